//! A RabbitMQ to test against, and names of one's own at it.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use contexture_adapters::rabbitmq::{AmqpUrl, RabbitMqBroker, RabbitMqConfig, TopologyNames};
use contexture_core::ports::producers::ProducerMessage;
use lapin::message::Delivery;
use lapin::options::{
    BasicGetOptions, BasicPublishOptions, ConfirmSelectOptions, ExchangeDeleteOptions, QueueBindOptions,
    QueueDeclareOptions, QueueDeleteOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties};
use tokio::time::Instant;

use super::amqp_proxy::AmqpProxy;

const VARIABLE: &str = "CONTEXTURE_TEST_AMQP_URL";
const DEFAULT_URL: &str = "amqp://guest:guest@127.0.0.1:5672/%2f";
/// Patience with a broker that shares two cores with a compiler.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A prefix of its own, whose exchanges and queues are deleted in the end.
pub(crate) struct RabbitPrefix {
    pub(crate) config: RabbitMqConfig,
    url: String,
}

impl RabbitPrefix {
    /// The broker of the variable, or of this machine. A failure when the variable is not set and
    /// nothing listens here.
    #[expect(clippy::unnecessary_wraps, reason = "fixtures of servers are optional to their suites")]
    pub(crate) fn find() -> Option<Self> {
        let url = std::env::var(VARIABLE).unwrap_or_else(|_| {
            let here = listens("127.0.0.1:5672");
            assert!(here, "no RabbitMQ on 127.0.0.1:5672: `make test` starts one, {VARIABLE} names another");
            DEFAULT_URL.to_owned()
        });
        let mut config = RabbitMqConfig::new(AmqpUrl::parse(&url).unwrap());
        config.prefix = format!("test-{:016x}", RandomState::new().hash_one(std::process::id()));
        config.retry_tiers = TIERS.to_vec();
        config.answer_max = PATIENCE;
        config.connect_max = PATIENCE;
        config.hold_max = PATIENCE;
        Some(Self { config, url })
    }

    pub(crate) async fn connect(&self) -> RabbitMqBroker {
        RabbitMqBroker::connect(self.config.clone()).await.unwrap()
    }

    /// Puts a proxy in between.
    pub(crate) async fn through_proxy(&mut self) -> AmqpProxy {
        let (host, port) = self.address();
        let proxy = AmqpProxy::before(&format!("{host}:{port}")).await;
        let through = self.url.replacen(&format!("{host}:{port}"), &proxy.address().to_string(), 1);
        self.config.url = AmqpUrl::parse(&through).unwrap();
        proxy
    }

    /// The same, with a heartbeat of so many seconds.
    pub(crate) async fn through_proxy_with_heartbeat(&mut self, seconds: u16) -> AmqpProxy {
        let separator = if self.url.contains('?') { '&' } else { '?' };
        self.url = format!("{}{separator}heartbeat={seconds}", self.url);
        self.through_proxy().await
    }

    /// A connection beside the adapter, to see and do what it would not.
    pub(crate) async fn beside(&self) -> PlainAmqpClient {
        let connection = Connection::connect(&self.url, ConnectionProperties::default()).await.unwrap();
        let channel = connection.create_channel().await.unwrap();
        channel.confirm_select(ConfirmSelectOptions { nowait: false }).await.unwrap();
        PlainAmqpClient { channel, _connection: connection }
    }

    /// Where it is, with credentials.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// The name of an exchange or queue under the prefix.
    pub(crate) fn named(&self, name: &str) -> String {
        format!("{}.{name}", self.config.prefix)
    }

    /// Whom the broker takes us for.
    pub(crate) fn user(&self) -> String {
        let uri: lapin::uri::AMQPUri = self.url.parse().unwrap();
        uri.authority.userinfo.username
    }

    fn address(&self) -> (String, u16) {
        let uri: lapin::uri::AMQPUri = self.url.parse().unwrap();
        (uri.authority.host, uri.authority.port)
    }
}

/// A plain client.
pub(crate) struct PlainAmqpClient {
    pub(crate) channel: Channel,
    _connection: Connection,
}

impl PlainAmqpClient {
    /// Publishes bytes without properties to a queue.
    pub(crate) async fn publish(&self, queue: &str, bytes: &[u8]) {
        let options = BasicPublishOptions { mandatory: true, immediate: false };
        let properties = BasicProperties::default();
        let publish = self.channel.basic_publish("".into(), queue.into(), options, bytes, properties);
        let confirmation = publish.await.unwrap().await.unwrap();
        assert!(confirmation.is_ack() && confirmation.take_message().is_none());
    }

    /// Publishes to an exchange as a producer does.
    pub(crate) async fn submit(&self, exchange: &str, message: &ProducerMessage) {
        let mut properties = BasicProperties::default();
        if let Some(user_id) = &message.user_id {
            properties = properties.with_user_id(user_id.as_str().into());
        }
        let origin = message.origin.clone().unwrap_or_default();
        if let Some(message_id) = origin.message_id {
            properties = properties.with_message_id(message_id.into());
        }
        if let Some(correlation_id) = origin.correlation_id {
            properties = properties.with_correlation_id(correlation_id.into());
        }
        if let Some(reply_to) = origin.reply_to {
            properties = properties.with_reply_to(reply_to.into());
        }
        if let Some(traceparent) = origin.traceparent {
            let mut headers = FieldTable::default();
            headers.insert("traceparent".into(), AMQPValue::LongString(traceparent.into()));
            properties = properties.with_headers(headers);
        }
        let options = BasicPublishOptions { mandatory: true, immediate: false };
        let key = message.routing_key.as_str().into();
        let publish = self.channel.basic_publish(exchange.into(), key, options, &message.body, properties);
        let confirmation = publish.await.unwrap().await.unwrap();
        assert!(confirmation.is_ack() && confirmation.take_message().is_none());
    }

    /// A queue of this connection that gets what is published to a topic exchange.
    pub(crate) async fn listen(&self, exchange: &str, pattern: &str) -> String {
        let queue = self.answer_queue().await;
        let (name, options) = (queue.as_str().into(), QueueBindOptions { nowait: false });
        let bound =
            self.channel.queue_bind(name, exchange.into(), pattern.into(), options, FieldTable::default());
        bound.await.unwrap();
        queue
    }

    /// A queue of this connection, with a name from the broker.
    pub(crate) async fn answer_queue(&self) -> String {
        let exclusive = QueueDeclareOptions {
            passive: false,
            durable: false,
            exclusive: true,
            auto_delete: false,
            nowait: false,
        };
        let declared = self.channel.queue_declare("".into(), exclusive, FieldTable::default());
        declared.await.unwrap().name().to_string()
    }

    /// Messages that are ready in a queue.
    pub(crate) async fn ready(&self, queue: &str) -> u32 {
        let passive = QueueDeclareOptions {
            passive: true,
            durable: true,
            exclusive: false,
            auto_delete: false,
            nowait: false,
        };
        let declared = self.channel.queue_declare(queue.into(), passive, FieldTable::default());
        declared.await.unwrap().message_count()
    }

    /// Waits until so many messages are ready in a queue.
    pub(crate) async fn has_ready(&self, queue: &str, wanted: u32) {
        self.has_ready_in_all(&[queue], wanted).await;
    }

    /// Waits until so many messages are ready in these queues together.
    pub(crate) async fn has_ready_in_all(&self, queues: &[&str], wanted: u32) {
        let began = Instant::now();
        loop {
            let mut ready = 0;
            for queue in queues {
                ready += self.ready(queue).await;
            }
            if ready == wanted {
                return;
            }
            assert!(began.elapsed() < PATIENCE, "{queues:?} have {ready} messages, not {wanted}");
        }
    }

    /// The first message of a queue, without acknowledging it.
    pub(crate) async fn peek(&self, queue: &str) -> Delivery {
        let began = Instant::now();
        loop {
            let got = self.channel.basic_get(queue.into(), BasicGetOptions { no_ack: false }).await.unwrap();
            if let Some(got) = got {
                return got.delivery;
            }
            assert!(began.elapsed() < PATIENCE, "{queue} stays empty");
        }
    }

    pub(crate) async fn delete(&self, queue: &str) {
        let options = QueueDeleteOptions { if_unused: false, if_empty: false, nowait: false };
        self.channel.queue_delete(queue.into(), options).await.unwrap();
    }

    pub(crate) async fn delete_exchange(&self, exchange: &str) {
        let options = ExchangeDeleteOptions { if_unused: false, nowait: false };
        self.channel.exchange_delete(exchange.into(), options).await.unwrap();
    }
}

/// Delays of the tests.
pub(crate) const TIERS: [Duration; 3] =
    [Duration::from_millis(100), Duration::from_secs(1), Duration::from_secs(5)];

fn listens(address: &str) -> bool {
    let mut addresses = address.to_socket_addrs().unwrap();
    addresses.any(|address| TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_ok())
}

impl Drop for RabbitPrefix {
    fn drop(&mut self) {
        let (url, prefix) = (self.url.clone(), self.config.prefix.clone());
        let names = TopologyNames::new(&prefix, &self.config.retry_tiers);
        let delete = async move {
            let connection = Connection::connect(&url, ConnectionProperties::default()).await?;
            for queue in names.queues() {
                let channel = connection.create_channel().await?;
                let options = QueueDeleteOptions { if_unused: false, if_empty: false, nowait: false };
                channel.queue_delete(queue.as_str().into(), options).await?;
            }
            for exchange in names.exchanges() {
                let channel = connection.create_channel().await?;
                let options = ExchangeDeleteOptions { if_unused: false, nowait: false };
                channel.exchange_delete(exchange.as_str().into(), options).await?;
            }
            let _ = connection.close(200, "OK".into()).await;
            Ok::<(), lapin::Error>(())
        };
        let deleting = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
            runtime.unwrap().block_on(async { tokio::time::timeout(PATIENCE, delete).await })
        });
        let deleted = deleting.join();
        if !matches!(deleted, Ok(Ok(Ok(())))) {
            eprintln!("what '{prefix}' declared could not be deleted: {deleted:?}");
        }
    }
}
