//! Messages of this adapter, and their conversion to and from lapin's types.
//!
//! Published messages are persistent (`delivery_mode` 2) and carry only the headers given. They
//! never carry `x-death` or the counters of another queue: the broker would detect a
//! dead-letter cycle and drop the message.

use std::collections::BTreeMap;
use std::time::Duration;

use lapin::BasicProperties;
use lapin::protocol::basic::AMQPProperties;
use lapin::types::{AMQPValue, FieldTable, ShortString};

use super::names::TopologyNames;
use contexture_core::domain::task::TaskEnvelope;
use contexture_core::fault::Fault;
use contexture_core::ports::broker::OutgoingMessage;

/// `delivery_mode` of messages that survive a restart of the broker.
const DELIVERY_MODE_PERSISTENT: u8 = 2;
/// Headers with the broker's redelivery count: up to 4.2, and from 4.3.
const REDELIVERY_COUNT_HEADERS: [&str; 2] = ["x-delivery-count", "x-acquired-count"];

/// Properties of a message. Texts are at most 255 bytes long.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MessageProperties {
    /// Media type of the body.
    pub content_type: Option<String>,
    /// Identity of the message.
    pub message_id: Option<String>,
    /// Id of the message that this one answers.
    pub correlation_id: Option<String>,
    /// Queue that receives the answers.
    pub reply_to: Option<String>,
    /// Type tag of the body (AMQP `type`).
    pub kind: Option<String>,
    /// Publishing user. The broker refuses any other than the connection's.
    pub user_id: Option<String>,
    /// Publishing application.
    pub app_id: Option<String>,
    /// Time of publishing, in seconds since the Unix epoch.
    pub timestamp_s: Option<u64>,
    /// Text headers. Headers of other types are neither read nor written.
    pub headers: BTreeMap<String, String>,
}

/// A message to publish.
#[derive(Debug, Clone)]
pub struct AmqpMessage {
    /// The exchange.
    pub exchange: String,
    /// The routing key.
    pub routing_key: String,
    /// Whether publishing fails when no queue is bound for it.
    pub mandatory: bool,
    /// Its properties.
    pub properties: MessageProperties,
    /// Its body.
    pub body: Vec<u8>,
}

/// A received message.
#[derive(Debug)]
pub struct AmqpDelivery {
    /// Tag to acknowledge it by, valid for the consumer that received it.
    pub tag: u64,
    /// The exchange it was published to.
    pub exchange: String,
    /// Its routing key.
    pub routing_key: String,
    /// Whether it was delivered before.
    pub redelivered: bool,
    /// How often it returned to this queue unacknowledged.
    pub redeliveries: u32,
    /// Its properties.
    pub properties: MessageProperties,
    /// Its body.
    pub body: Vec<u8>,
    /// Whether the broker moved it here by dead-lettering; it then carries the old counters.
    pub(super) dead_lettered: bool,
}

/// Encodes a stage message for its queue, or for the retry queue of its delay.
pub(super) fn encode_stage_message(
    names: &TopologyNames,
    outgoing: &OutgoingMessage,
) -> Result<AmqpMessage, Fault> {
    let body = serde_json::to_vec(&outgoing.envelope)
        .map_err(|error| Fault::permanent_error("unencodable_message", error))?;
    let exchange = match outgoing.delay {
        Duration::ZERO => names.tasks(),
        delay => names.retry(names.tier_for(delay)),
    };
    let stage = match &outgoing.envelope {
        TaskEnvelope::ChunkV1(_) => "ChunkV1",
        TaskEnvelope::EmbedV1(_) => "EmbedV1",
        TaskEnvelope::IndexV1(_) => "IndexV1",
    };
    let properties = MessageProperties {
        content_type: Some("application/json".to_owned()),
        message_id: Some(derive_message_id(&body)),
        kind: Some(stage.to_owned()),
        correlation_id: None,
        reply_to: None,
        user_id: None,
        app_id: None,
        timestamp_s: None,
        headers: BTreeMap::new(),
    };
    let routing_key = outgoing.envelope.clone().open().0.name().to_owned();
    Ok(AmqpMessage { exchange, routing_key, mandatory: true, properties, body })
}

/// Derives an id from the body alone, so that equal messages have equal ids.
fn derive_message_id(body: &[u8]) -> String {
    blake3::hash(body).to_hex()[..32].to_owned()
}

/// Converts a name or property to an AMQP short string of at most 255 bytes.
pub(super) fn short_string(text: &str) -> Result<ShortString, Fault> {
    ShortString::try_new(text)
        .map_err(|_| Fault::permanent("amqp_name_too_long", "a name or property is longer than 255 bytes"))
}

/// Converts properties to their AMQP form, with persistent delivery mode.
pub(super) fn encode_properties(properties: &MessageProperties) -> Result<BasicProperties, Fault> {
    let mut amqp = AMQPProperties::default().with_delivery_mode(DELIVERY_MODE_PERSISTENT);
    // `with` is one of lapin's builder methods, which take the properties by value.
    let set =
        |amqp, value: &Option<String>, with: fn(AMQPProperties, ShortString) -> AMQPProperties| match value {
            Some(text) => Ok::<_, Fault>(with(amqp, short_string(text)?)),
            None => Ok(amqp),
        };
    amqp = set(amqp, &properties.content_type, AMQPProperties::with_content_type)?;
    amqp = set(amqp, &properties.message_id, AMQPProperties::with_message_id)?;
    amqp = set(amqp, &properties.correlation_id, AMQPProperties::with_correlation_id)?;
    amqp = set(amqp, &properties.reply_to, AMQPProperties::with_reply_to)?;
    amqp = set(amqp, &properties.kind, AMQPProperties::with_type)?;
    amqp = set(amqp, &properties.user_id, AMQPProperties::with_user_id)?;
    amqp = set(amqp, &properties.app_id, AMQPProperties::with_app_id)?;
    if let Some(timestamp_s) = properties.timestamp_s {
        amqp = amqp.with_timestamp(timestamp_s);
    }
    if !properties.headers.is_empty() {
        let mut headers = FieldTable::default();
        for (name, value) in &properties.headers {
            headers.insert(short_string(name)?, AMQPValue::LongString(value.as_str().into()));
        }
        amqp = amqp.with_headers(headers);
    }
    Ok(amqp)
}

fn decode_properties(amqp: &BasicProperties) -> MessageProperties {
    let text = |value: &Option<ShortString>| value.as_ref().map(|text| text.as_str().to_owned());
    let headers = amqp.headers().iter().flat_map(FieldTable::inner).filter_map(|(name, value)| {
        let text = match value {
            AMQPValue::LongString(text) => String::from_utf8(text.as_bytes().to_vec()).ok()?,
            AMQPValue::ShortString(text) => text.as_str().to_owned(),
            _ => return None,
        };
        Some((name.as_str().to_owned(), text))
    });
    MessageProperties {
        content_type: text(amqp.content_type()),
        message_id: text(amqp.message_id()),
        correlation_id: text(amqp.correlation_id()),
        reply_to: text(amqp.reply_to()),
        kind: text(amqp.kind()),
        user_id: text(amqp.user_id()),
        app_id: text(amqp.app_id()),
        timestamp_s: *amqp.timestamp(),
        headers: headers.collect(),
    }
}

/// Reads a counter of any integer width; the broker's choice differs between versions.
fn read_counter(value: &AMQPValue) -> Option<u32> {
    let wide = match value {
        AMQPValue::ShortShortInt(number) => i64::from(*number),
        AMQPValue::ShortShortUInt(number) => i64::from(*number),
        AMQPValue::ShortInt(number) => i64::from(*number),
        AMQPValue::ShortUInt(number) => i64::from(*number),
        AMQPValue::LongInt(number) => i64::from(*number),
        AMQPValue::LongUInt(number) => i64::from(*number),
        AMQPValue::LongLongInt(number) => *number,
        _ => return None,
    };
    // Clamped, not refused: a count out of range must not keep a message from being read.
    Some(u32::try_from(wide.max(0)).unwrap_or(u32::MAX))
}

/// Converts lapin's delivery, without its acker.
pub(super) fn decode_delivery(delivery: lapin::message::Delivery) -> AmqpDelivery {
    let headers = delivery.properties.headers().as_ref();
    let counted =
        REDELIVERY_COUNT_HEADERS.iter().filter_map(|name| read_counter(headers?.inner().get(*name)?)).max();
    AmqpDelivery {
        tag: delivery.delivery_tag,
        exchange: delivery.exchange.as_str().to_owned(),
        routing_key: delivery.routing_key.as_str().to_owned(),
        redelivered: delivery.redelivered,
        // A redelivered message without a counter came back at least once.
        redeliveries: counted.unwrap_or(0).max(u32::from(delivery.redelivered)),
        properties: decode_properties(&delivery.properties),
        // Our own copies never have `x-death`: see the module header.
        dead_lettered: headers.is_some_and(|headers| headers.inner().contains_key("x-death")),
        body: delivery.data,
    }
}
