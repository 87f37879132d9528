//! What producers publish to a broker, and what they are told.
//!
//! Contract. A source hands each message to one consumer at a time, first in, first out; one
//! that was not acknowledged before its consumer was dropped is handed out again, marked
//! `redelivered`. `bury` returns when copies are durable where a person can look, each with its
//! reason. `publish` returns when the events are with the broker for whoever listens, and, of
//! those whose origin names a queue to reply to, a copy in that queue. Nobody may be listening,
//! and that queue may be gone or not ours to write to: neither is a failure. An error means
//! unknown: do all of it again; events are known by their ids.

use std::time::Duration;

use async_trait::async_trait;

use crate::domain::event::DocumentEvent;
use crate::domain::origin::MessageOrigin;
use crate::domain::submit_message::MessageRejection;
use crate::fault::Fault;

/// A producer's message that was handed out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProducerMessage {
    /// What to acknowledge; meaningful to the consumer that handed it out.
    pub tag: u64,
    /// Where it was published.
    pub routing_key: String,
    /// Who published it, as far as the broker vouches for it.
    pub user_id: Option<String>,
    /// What it says about itself.
    pub origin: Option<MessageOrigin>,
    /// Its bytes.
    pub body: Vec<u8>,
    /// Whether it was handed out before.
    pub redelivered: bool,
}

/// A message that cannot be accepted, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RejectedMessage {
    /// The message.
    pub message: ProducerMessage,
    /// Why.
    pub rejection: MessageRejection,
}

/// Where producers publish.
#[async_trait]
pub trait ProducerQueue: Send + Sync {
    /// Opens a consumer.
    async fn submissions(&self) -> Result<Box<dyn SubmissionConsumer>, Fault>;

    /// Keeps copies of messages that cannot be accepted, with the reasons. They are acknowledged
    /// like others, after.
    async fn bury(&self, burials: Vec<RejectedMessage>) -> Result<(), Fault>;
}

/// Receives what producers published. After an error it is of no more use: open another one.
#[async_trait]
pub trait SubmissionConsumer: Send {
    /// Waits for at least one message, then returns up to `messages_max` that are ready, after
    /// lingering at most `linger` for more.
    async fn receive(&mut self, messages_max: usize, linger: Duration)
    -> Result<Vec<ProducerMessage>, Fault>;

    /// Forgets handed-out messages for good.
    async fn ack(&mut self, tags: &[u64]) -> Result<(), Fault>;
}

/// Takes what producers are to know.
#[async_trait]
pub trait ProducerEventSink: Send + Sync {
    /// Tells whoever listens.
    async fn publish(&self, events: Vec<DocumentEvent>) -> Result<(), Fault>;
}

/// Fetches bodies that a message refers to.
#[async_trait]
pub trait BodyReferenceFetcher: Send + Sync {
    /// The bytes at `url`, if it is allowed and has at most `bytes_max`.
    async fn fetch(&self, url: &str, bytes_max: usize) -> Result<Vec<u8>, MessageRejection>;
}
