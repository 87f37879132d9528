//! Durable queues between the stages.
//!
//! Contract: `publish` returns after the messages are durable (confirmed), all or none of one
//! call; a queue hands each message to one consumer at a time; a delivery that is not
//! acknowledged before its consumer is dropped, or before the process dies, is delivered
//! again, marked `redelivered`. Dropping a delivery is never an acknowledgement. A delayed
//! message appears no earlier than its delay. Order is first in, first out, but nothing may
//! depend on it. The queues are not the record: the ledger is.

use std::time::Duration;

use async_trait::async_trait;

use crate::domain::task::{Envelope, Stage};
use crate::fault::Fault;

/// A message to publish.
#[derive(Debug, Clone)]
pub struct Outgoing {
    /// What it says; also decides its queue.
    pub envelope: Envelope,
    /// How long it stays invisible.
    pub delay: Duration,
}

impl Outgoing {
    /// A message that is due at once.
    pub fn now(envelope: Envelope) -> Self {
        Self { envelope, delay: Duration::ZERO }
    }
}

/// A message that was handed out.
#[derive(Debug)]
pub struct Delivery {
    /// What to acknowledge; meaningful to the consumer that handed it out.
    pub tag: u64,
    /// What it says; an error text when the bytes cannot be decoded.
    pub envelope: Result<Envelope, String>,
    /// Whether it was handed out before.
    pub redelivered: bool,
}

/// Publishes messages and opens consumers.
#[async_trait]
pub trait Broker: Send + Sync {
    /// Makes the messages durable, all or none.
    async fn publish(&self, messages: Vec<Outgoing>) -> Result<(), Fault>;

    /// Opens a consumer of a stage's queue.
    async fn consume(&self, stage: Stage) -> Result<Box<dyn Consumer>, Fault>;

    /// Messages in a stage's queue: ready, delayed and handed out.
    async fn depth(&self, stage: Stage) -> Result<u64, Fault>;
}

/// Receives from one queue.
#[async_trait]
pub trait Consumer: Send {
    /// Waits for at least one message, then returns up to `messages_max` that are ready, after
    /// lingering at most `linger` for more.
    async fn receive(&mut self, messages_max: usize, linger: Duration) -> Result<Vec<Delivery>, Fault>;

    /// Forgets handed-out messages for good.
    async fn ack(&mut self, tags: Vec<u64>) -> Result<(), Fault>;
}
