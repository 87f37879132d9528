//! The broker as producers see it: messages they publish, and events they receive.
//!
//! Contract: a queue hands each message to one consumer at a time, first in, first out. A message that
//! was not acknowledged before its consumer was dropped is handed out again, marked `redelivered`.
//!
//! `store_rejected` returns when the copies are durable where a person can look, each with its reason.
//! `publish` returns when the events are with the broker, for anyone who listens. If the origin of an
//! event names a reply queue, a copy goes there. Nobody may be listening, and the reply queue may be
//! gone or not ours to write to: neither is a failure. An error means unknown: do all of it again.
//! Events are deduplicated by their ids.

use std::time::Duration;

use async_trait::async_trait;

use crate::domain::event::DocumentEvent;
use crate::domain::origin::MessageOrigin;
use crate::domain::submit_message::MessageRejection;
use crate::fault::Fault;

/// A producer's message, handed to a consumer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProducerMessage {
    /// What to acknowledge; meaningful to the consumer that handed it out.
    pub tag: u64,
    /// The routing key it was published under.
    pub routing_key: String,
    /// The publisher, if the broker has verified it.
    pub user_id: Option<String>,
    /// Its properties, for answers and traces.
    pub origin: Option<MessageOrigin>,
    /// Its bytes.
    pub body: Vec<u8>,
    /// Whether it was handed out before.
    pub redelivered: bool,
}

/// A message that cannot be accepted, and the reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RejectedMessage {
    /// The message.
    pub message: ProducerMessage,
    /// The reason.
    pub rejection: MessageRejection,
}

/// The queue that producers publish to.
#[async_trait]
pub trait ProducerQueue: Send + Sync {
    /// Opens a consumer.
    async fn submissions(&self) -> Result<Box<dyn SubmissionConsumer>, Fault>;

    /// Stores copies of rejected messages with the reasons. The messages are acknowledged afterwards,
    /// like all others.
    async fn store_rejected(&self, rejected: Vec<RejectedMessage>) -> Result<(), Fault>;
}

/// Receives what producers published. After an error it is unusable: open another one.
#[async_trait]
pub trait SubmissionConsumer: Send {
    /// Waits for at least one message, then returns up to `messages_max` that are ready, after
    /// lingering at most `linger` for more.
    async fn receive(&mut self, messages_max: usize, linger: Duration)
    -> Result<Vec<ProducerMessage>, Fault>;

    /// Acknowledges messages: they are gone for good.
    async fn ack(&mut self, tags: &[u64]) -> Result<(), Fault>;
}

/// Publishes events to producers.
#[async_trait]
pub trait ProducerEventSink: Send + Sync {
    /// Publishes events.
    async fn publish(&self, events: Vec<DocumentEvent>) -> Result<(), Fault>;
}

/// Fetches bodies that a message refers to.
#[async_trait]
pub trait BodyReferenceFetcher: Send + Sync {
    /// The bytes at `url`, if it is allowed and has at most `bytes_max`.
    async fn fetch(&self, url: &str, bytes_max: usize) -> Result<Vec<u8>, MessageRejection>;
}
