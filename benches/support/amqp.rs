//! A plain client of the broker for the benches: publishes as others do, and cleans up.

#![allow(dead_code, unreachable_pub, reason = "each bench is a crate of its own")]

use contexture::adapters::rabbitmq::{AmqpUrl, RabbitMqConfig, TopologyNames};
use lapin::options::{
    BasicPublishOptions, ConfirmSelectOptions, ExchangeDeleteOptions, QueueDeclareOptions, QueueDeleteOptions,
};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties};

/// Messages whose confirms are awaited together.
const CONFIRMS: usize = 1000;

/// The broker of `CONTEXTURE_TEST_AMQP_URL`, or of this machine.
pub fn url() -> String {
    std::env::var("CONTEXTURE_TEST_AMQP_URL")
        .unwrap_or_else(|_| "amqp://guest:guest@127.0.0.1:5672/%2f".to_owned())
}

/// A prefix that nobody else uses.
pub fn prefix(name: &str) -> String {
    format!("bench-{name}-{}", std::process::id())
}

/// A connection and a channel that confirms.
pub struct ConfirmingClient {
    pub connection: Connection,
    pub channel: Channel,
}

impl ConfirmingClient {
    /// Connects.
    pub async fn connect() -> Self {
        let connection = Connection::connect(&url(), ConnectionProperties::default()).await.unwrap();
        let channel = connection.create_channel().await.unwrap();
        channel.confirm_select(ConfirmSelectOptions { nowait: false }).await.unwrap();
        Self { connection, channel }
    }

    /// Publishes persistent messages; returns when all are confirmed.
    pub async fn publish(&self, exchange: &str, key: &str, messages: impl IntoIterator<Item = Vec<u8>>) {
        let mut confirms = Vec::with_capacity(CONFIRMS);
        for body in messages {
            let options = BasicPublishOptions { mandatory: true, immediate: false };
            let properties = BasicProperties::default().with_delivery_mode(2);
            let published =
                self.channel.basic_publish(exchange.into(), key.into(), options, &body, properties).await;
            confirms.push(published.unwrap());
            if confirms.len() == CONFIRMS {
                confirmed(std::mem::take(&mut confirms)).await;
            }
        }
        confirmed(confirms).await;
    }

    /// Messages that are ready in a queue.
    pub async fn ready(&self, queue: &str) -> u32 {
        let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::durable() };
        self.channel
            .queue_declare(queue.into(), passive, FieldTable::default())
            .await
            .unwrap()
            .message_count()
    }

    /// Deletes a queue.
    pub async fn delete_queue(&self, queue: &str) {
        let options = QueueDeleteOptions { if_unused: false, if_empty: false, nowait: false };
        self.channel.queue_delete(queue.into(), options).await.unwrap();
    }

    /// Deletes all that was declared under a prefix.
    pub async fn delete_all(&self, prefix: &str) {
        let tiers = RabbitMqConfig::new(AmqpUrl::parse(&url()).unwrap()).retry_tiers;
        let names = TopologyNames::new(prefix, &tiers);
        for queue in names.queues() {
            self.delete_queue(&queue).await;
        }
        for exchange in names.exchanges() {
            let options = ExchangeDeleteOptions { if_unused: false, nowait: false };
            self.channel.exchange_delete(exchange.as_str().into(), options).await.unwrap();
        }
    }
}

async fn confirmed(confirms: Vec<lapin::PublisherConfirm>) {
    for confirm in confirms {
        let confirmation = confirm.await.unwrap();
        assert!(confirmation.is_ack() && confirmation.take_message().is_none(), "the broker did not take it");
    }
}
