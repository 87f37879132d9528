//! The producers' side on RabbitMQ: submissions, events, rejected messages.
//!
//! Submissions come from the `submit` queue. Events go to the `events` exchange, persistent and
//! not mandatory. A copy goes through the default exchange to the queue named in `reply_to`,
//! unless it is one of our own: otherwise a producer could write into our queues through us.
//! A rejected message is copied to `dead` with the reason in its [`headers`].

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::RabbitMqBroker;
use super::message::{AmqpDelivery, AmqpMessage, MessageProperties};
use super::names::DEAD_ROUTING_KEY;
use super::queue_consumer::AmqpQueueConsumer;
use contexture_core::domain::event::DocumentEvent;
use contexture_core::domain::origin::MessageOrigin;
use contexture_core::fault::Fault;
use contexture_core::ports::clock::WallClock;
use contexture_core::ports::producers::{
    ProducerEventSink, ProducerMessage, ProducerQueue, RejectedMessage, SubmissionConsumer,
};

/// Media type of an event in structured mode.
const CLOUD_EVENT_MEDIA_TYPE: &str = "application/cloudevents+json";
/// Header of a W3C trace context.
const TRACEPARENT_HEADER: &str = "traceparent";

/// Headers of a rejected message.
pub mod headers {
    /// Code of the reason.
    pub const REASON: &str = "x-contexture-reason";
    /// The reason in a sentence.
    pub const DETAIL: &str = "x-contexture-detail";
    /// Path of the invalid field.
    pub const FIELD: &str = "x-contexture-field";
    /// Line and column of broken JSON, as `3:17`.
    pub const POSITION: &str = "x-contexture-position";
    /// The routing key it was published with.
    pub const ROUTING_KEY: &str = "x-contexture-routing-key";
    /// The user who published it.
    pub const USER: &str = "x-contexture-user";
}

/// Receives submissions and publishes events and rejected messages.
pub struct RabbitMqProducers {
    broker: RabbitMqBroker,
    clock: Arc<dyn WallClock>,
    prefetch: u16,
}

impl RabbitMqProducers {
    /// Holds at most `prefetch` submissions at once. `clock` gives the time of events.
    pub fn new(broker: RabbitMqBroker, clock: Arc<dyn WallClock>, prefetch: u16) -> Self {
        Self { broker, clock, prefetch }
    }
}

#[async_trait]
impl ProducerQueue for RabbitMqProducers {
    async fn submissions(&self) -> Result<Box<dyn SubmissionConsumer>, Fault> {
        let queue = self.broker.names().submit();
        let consumer = match self.broker.consume_raw(&queue, self.prefetch).await {
            Err(fault) => {
                self.broker.redeclare_after(fault).await?;
                self.broker.consume_raw(&queue, self.prefetch).await?
            }
            Ok(consumer) => consumer,
        };
        Ok(Box::new(RabbitMqSubmissions(consumer)))
    }

    async fn store_rejected(&self, rejected: Vec<RejectedMessage>) -> Result<(), Fault> {
        let exchange = self.broker.names().tasks();
        let messages: Vec<AmqpMessage> =
            rejected.into_iter().map(|message| encode_rejected_message(exchange.clone(), message)).collect();
        self.broker.publish_raw(&messages).await
    }
}

#[async_trait]
impl ProducerEventSink for RabbitMqProducers {
    async fn publish(&self, events: Vec<DocumentEvent>) -> Result<(), Fault> {
        let now_ms = self.clock.now_ms();
        let names = self.broker.names();
        let (mut messages, mut replies) = (Vec::with_capacity(events.len()), Vec::new());
        for event in &events {
            let message = encode_event(event, now_ms, names.events());
            let reply_to = event.origin().and_then(|origin| origin.reply_to.as_deref());
            if let Some(queue) = reply_to.filter(|queue| !names.is_own(queue)) {
                replies.push(AmqpMessage {
                    exchange: String::new(),
                    routing_key: queue.to_owned(),
                    ..message.clone()
                });
            }
            messages.push(message);
        }
        // Events first: a reply queue is the producer's business and must not hold events up.
        self.broker.publish_raw(&messages).await?;
        self.reply(&replies).await
    }
}

impl RabbitMqProducers {
    /// Publishes replies in one batch. When the broker refuses it, sends them one by one and skips
    /// those whose queue cannot be used.
    async fn reply(&self, replies: &[AmqpMessage]) -> Result<(), Fault> {
        if replies.is_empty() {
            return Ok(());
        }
        match self.broker.publish_raw(replies).await {
            // One refused reply fails the whole batch. Repeating the others is harmless: delivery
            // is at least once.
            Err(Fault::Unauthorized(_) | Fault::Permanent(_)) => {}
            outcome => return outcome,
        }
        for reply in replies {
            match self.broker.publish_raw(std::slice::from_ref(reply)).await {
                Err(Fault::Unauthorized(cause)) => {
                    tracing::warn!(
                        what = cause.as_str(),
                        "a producer's queue to reply to is not ours to write to"
                    );
                }
                Err(Fault::Permanent(reason)) => {
                    tracing::warn!(%reason, "a producer's queue to reply to cannot be used");
                }
                outcome => outcome?,
            }
        }
        Ok(())
    }
}

struct RabbitMqSubmissions(AmqpQueueConsumer);

#[async_trait]
impl SubmissionConsumer for RabbitMqSubmissions {
    async fn receive(
        &mut self,
        messages_max: usize,
        linger: Duration,
    ) -> Result<Vec<ProducerMessage>, Fault> {
        Ok(self.0.receive(messages_max, linger).await?.into_iter().map(decode_submission).collect())
    }

    async fn ack(&mut self, tags: &[u64]) -> Result<(), Fault> {
        self.0.ack(tags).await
    }
}

fn decode_submission(delivery: AmqpDelivery) -> ProducerMessage {
    let MessageProperties { message_id, correlation_id, reply_to, user_id, mut headers, .. } =
        delivery.properties;
    ProducerMessage {
        tag: delivery.tag,
        routing_key: delivery.routing_key,
        user_id,
        origin: MessageOrigin::new(message_id, correlation_id, reply_to, headers.remove(TRACEPARENT_HEADER)),
        body: delivery.body,
        redelivered: delivery.redelivered,
    }
}

fn encode_event(event: &DocumentEvent, now_ms: u64, exchange: String) -> AmqpMessage {
    let origin = event.origin();
    let traceparent = origin.and_then(|origin| origin.traceparent.clone());
    let properties = MessageProperties {
        content_type: Some(CLOUD_EVENT_MEDIA_TYPE.to_owned()),
        message_id: Some(event.id()),
        correlation_id: origin.and_then(MessageOrigin::correlation).map(str::to_owned),
        reply_to: None,
        kind: Some(event.type_name()),
        user_id: None,
        app_id: None,
        timestamp_s: Some(now_ms / 1000),
        headers: traceparent.into_iter().map(|text| (TRACEPARENT_HEADER.to_owned(), text)).collect(),
    };
    let (routing_key, body) = (event.routing_key(), event.to_json(now_ms));
    AmqpMessage { exchange, routing_key, mandatory: false, properties, body }
}

fn encode_rejected_message(exchange: String, rejected_message: RejectedMessage) -> AmqpMessage {
    let RejectedMessage { message, rejection } = rejected_message;
    let MessageOrigin { message_id, correlation_id, reply_to, traceparent } =
        message.origin.unwrap_or_default();
    let position = rejection.position.map(|position| format!("{}:{}", position.line, position.column));
    let headers = [
        (headers::REASON, Some(rejection.code.to_owned())),
        (headers::DETAIL, Some(rejection.message)),
        (headers::FIELD, Some(rejection.field).filter(|field| !field.is_empty())),
        (headers::POSITION, position),
        (headers::ROUTING_KEY, Some(message.routing_key)),
        (headers::USER, message.user_id),
        (TRACEPARENT_HEADER, traceparent),
    ];
    let headers: BTreeMap<String, String> =
        headers.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect();
    let properties = MessageProperties {
        content_type: Some("application/json".to_owned()),
        message_id,
        correlation_id,
        reply_to,
        kind: None,
        user_id: None,
        app_id: None,
        timestamp_s: None,
        headers,
    };
    let routing_key = DEAD_ROUTING_KEY.to_owned();
    AmqpMessage { exchange, routing_key, mandatory: true, properties, body: message.body }
}
