//! A producer as others write them: any AMQP client, JSON, confirms, and again when in doubt.

use std::time::Duration;

use lapin::options::{BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties};

use super::world::{COLLECTION, StormWorld};

const CONFIRM_MAX: Duration = Duration::from_secs(20);
const RECONNECT_PAUSE: Duration = Duration::from_millis(500);
const TRIES_MAX: usize = 120;

/// One submission; a delete without text.
#[derive(Clone)]
pub(crate) struct ProducedMessage {
    pub(crate) id: String,
    pub(crate) version: u64,
    pub(crate) text: Option<String>,
}

impl ProducedMessage {
    fn encode(&self) -> Vec<u8> {
        let message = match &self.text {
            Some(text) => serde_json::json!({"document_id": self.id, "version": self.version, "text": text}),
            None => serde_json::json!({"document_id": self.id, "version": self.version, "delete": true}),
        };
        message.to_string().into_bytes()
    }
}

pub(crate) struct StormProducer {
    url: String,
}

impl StormProducer {
    pub(crate) fn new(world: &StormWorld) -> Self {
        Self { url: world.node.url() }
    }

    /// Publishes until everything is confirmed; what is in doubt is sent again.
    pub(crate) async fn publish(&self, world: &StormWorld, messages: &[ProducedMessage]) {
        for _ in 0..TRIES_MAX {
            if self.try_publish(world, messages).await.is_some() {
                return;
            }
            tokio::time::sleep(RECONNECT_PAUSE).await;
        }
        panic!("the broker did not confirm");
    }

    async fn channel(&self) -> Option<(Connection, Channel)> {
        let connecting = Connection::connect(&self.url, ConnectionProperties::default());
        let connection = tokio::time::timeout(CONFIRM_MAX, connecting).await.ok()?.ok()?;
        let channel = connection.create_channel().await.ok()?;
        Some((connection, channel))
    }

    async fn try_publish(&self, world: &StormWorld, messages: &[ProducedMessage]) -> Option<()> {
        let (_connection, channel) = self.channel().await?;
        channel.confirm_select(ConfirmSelectOptions { nowait: false }).await.ok()?;
        let key = format!("local.{COLLECTION}");
        let mut confirms = Vec::with_capacity(messages.len());
        for message in messages {
            let options = BasicPublishOptions { mandatory: true, immediate: false };
            let properties = BasicProperties::default().with_delivery_mode(2);
            let published = channel
                .basic_publish(
                    world.submit().into(),
                    key.as_str().into(),
                    options,
                    &message.encode(),
                    properties,
                )
                .await;
            confirms.push(published.ok()?);
        }
        for confirm in confirms {
            let confirmation = tokio::time::timeout(CONFIRM_MAX, confirm).await.ok()?.ok()?;
            if !confirmation.is_ack() || confirmation.take_message().is_some() {
                return None;
            }
        }
        Some(())
    }

    /// Submissions that no worker has taken yet.
    pub(crate) async fn waiting(&self, world: &StormWorld) -> u32 {
        let Some((_connection, channel)) = self.channel().await else { return u32::MAX };
        let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::durable() };
        let declared = channel.queue_declare(world.submit().into(), passive, FieldTable::default()).await;
        declared.map_or(u32::MAX, |queue| queue.message_count())
    }
}
