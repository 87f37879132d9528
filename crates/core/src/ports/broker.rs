//! Durable queues between the stages.
//!
//! Contract: `publish` returns once all messages of the call are durable (confirmed). An error means
//! unknown: some may be durable, so publish all of them again. A queue hands each message to one
//! consumer at a time. A delivery that is not acknowledged before its consumer is dropped, or before
//! the process dies, is delivered again, marked `redelivered`. Dropping a delivery is never an
//! acknowledgement. A delayed message appears no earlier than its delay, or than the adapter's longest
//! delay if that is shorter. Order is first in, first out, but nothing may depend on it.
//!
//! A message that came back [`SUSPECT_REDELIVERIES`] times may be what kills its consumers. It is
//! handed out alone, so that it takes no other message with it.
//!
//! The queues are not the record: the ledger is. A lost queue is refilled from it.

use std::time::Duration;

use async_trait::async_trait;

use crate::domain::task::{IngestStage, TaskEnvelope};
use crate::fault::Fault;

/// Redeliveries after which a message is handed out in a batch of one.
pub const SUSPECT_REDELIVERIES: u32 = 2;

/// A message to publish.
#[derive(Debug, Clone)]
pub struct OutgoingMessage {
    /// The content; it also decides the queue.
    pub envelope: TaskEnvelope,
    /// How long it stays invisible.
    pub delay: Duration,
}

impl OutgoingMessage {
    /// A message that is due at once.
    pub fn immediate(envelope: TaskEnvelope) -> Self {
        Self { envelope, delay: Duration::ZERO }
    }
}

/// A message handed to a consumer.
#[derive(Debug)]
pub struct BrokerDelivery {
    /// What to acknowledge; meaningful to the consumer that handed it out.
    pub tag: u64,
    /// The content, or an error text when the bytes cannot be decoded.
    pub envelope: Result<TaskEnvelope, String>,
    /// Whether it was handed out before.
    pub redelivered: bool,
    /// How often it came back without an acknowledgement; 1 where the broker only says that it may have.
    pub redeliveries: u32,
}

/// Publishes messages and opens consumers.
#[async_trait]
pub trait Broker: Send + Sync {
    /// Publishes messages; durable on return.
    async fn publish(&self, messages: Vec<OutgoingMessage>) -> Result<(), Fault>;

    /// Opens a consumer of a stage's queue.
    async fn consume(&self, stage: IngestStage) -> Result<Box<dyn BrokerConsumer>, Fault>;

    /// Messages of a stage: ready, delayed, and handed out by this broker; exact at rest. Where stages
    /// share delay queues, the delayed messages of other stages are counted, too.
    async fn depth(&self, stage: IngestStage) -> Result<u64, Fault>;

    /// Consumers of a stage's queue, of all processes; none where the broker does not know. The default is for brokers of
    /// one process.
    async fn consumers(&self, _stage: IngestStage) -> Result<Option<u64>, Fault> {
        Ok(None)
    }

    /// How long a message can be handed out by another process, where `depth` does not see it. Zero
    /// where there is no other process.
    fn unseen_max(&self) -> Duration;
}

/// Receives from one queue.
#[async_trait]
pub trait BrokerConsumer: Send {
    /// Waits for at least one message, then returns up to `messages_max` that are ready, after
    /// lingering at most `linger` for more. After an error the consumer is unusable: what it handed
    /// out is delivered again, to the next one.
    async fn receive(&mut self, messages_max: usize, linger: Duration) -> Result<Vec<BrokerDelivery>, Fault>;

    /// Acknowledges deliveries: they are gone for good. After an error the consumer is unusable.
    async fn ack(&mut self, tags: Vec<u64>) -> Result<(), Fault>;
}
