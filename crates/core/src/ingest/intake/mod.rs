//! The intake of the broker: what producers published becomes versions, and they are told.
//!
//! ```text
//! receive ─▶ admit ─▶ accept (the ledger has it) ─▶ bury what is refused ─▶ tell ─▶ send ─▶ ack
//! ```
//!
//! A message is acknowledged only after all before it in this line is durable. While the ledger
//! or the broker is away, or the intake is full, the batch at hand waits and is tried again, so
//! the queue holds the rest; nothing is lost and nobody is told twice with another id. What can
//! never be accepted is buried with its reason, its producer is told, and nothing behind it
//! waits. Messages of a document are taken in in their order. Limits: [`MESSAGES_MAX`],
//! [`BATCH_BYTES_MAX`]; a larger message goes alone.

mod access;
mod admit;
mod batch;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::watch;

pub use self::access::ProducerAccess;

use self::batch::IntakeBatch;
use super::submit::DocumentSubmitter;
use crate::domain::ids::CollectionKey;
use crate::fault::{Fault, Refusal};
use crate::ports::ledger::Ledger;
use crate::ports::producers::{
    BodyReferenceFetcher, ProducerEventSink, ProducerMessage, ProducerQueue, SubmissionConsumer,
};
use crate::resilience::backoff;

/// Most messages of a batch.
pub const MESSAGES_MAX: usize = 256;
/// Bytes of messages, and of bodies, after which a batch is closed.
pub const BATCH_BYTES_MAX: usize = 16 * 1024 * 1024;
/// How long a first message waits for company.
const MESSAGE_LINGER: Duration = Duration::from_millis(5);

/// Creates a collection with the default pipeline.
pub type CreateCollectionFn =
    Box<dyn Fn(CollectionKey) -> BoxFuture<'static, Result<(), Refusal>> + Send + Sync>;

/// What the intake works with.
pub struct BrokerIntake {
    /// Stores submissions and sends them on their way.
    pub submitter: Arc<DocumentSubmitter>,
    /// The record.
    pub ledger: Arc<dyn Ledger>,
    /// Where producers publish.
    pub producers: Arc<dyn ProducerQueue>,
    /// Where they listen.
    pub events: Arc<dyn ProducerEventSink>,
    /// Who may write for whom.
    pub access: ProducerAccess,
    /// Fetches bodies by reference; none where that is off.
    pub references: Option<Arc<dyn BodyReferenceFetcher>>,
    /// Creates collections that are not there; none where that is off.
    pub found: Option<CreateCollectionFn>,
}

/// Takes in until `stop` is true; finishes the batch at hand.
pub async fn run_intake(intake: Arc<BrokerIntake>, mut stop: watch::Receiver<bool>) {
    let mut failures = 0;
    while !*stop.borrow() {
        let consumed =
            AssertUnwindSafe(consume_submissions(&intake, stop.clone(), &mut failures)).catch_unwind().await;
        let fault = match consumed {
            Ok(Ok(())) => return,
            Ok(Err(fault)) => fault,
            Err(_) => Fault::Transient("the intake panicked".to_owned()),
        };
        failures += 1;
        tracing::warn!(%fault, failures, "the intake lost its queue and opens it again");
        let _ = tokio::time::timeout(backoff::reopen_delay(failures), stop.wait_for(|stop| *stop)).await;
    }
}

async fn consume_submissions(
    intake: &BrokerIntake,
    mut stop: watch::Receiver<bool>,
    failures: &mut u32,
) -> Result<(), Fault> {
    let mut consumer = intake.producers.submissions().await?;
    loop {
        let messages = tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => return Ok(()),
            messages = consumer.receive(MESSAGES_MAX, MESSAGE_LINGER) => messages?,
        };
        for messages in split_messages_by_bytes(messages) {
            take_in_messages(intake, &mut *consumer, messages, &mut stop).await?;
            *failures = 0;
        }
    }
}

async fn take_in_messages(
    intake: &BrokerIntake,
    consumer: &mut dyn SubmissionConsumer,
    messages: Vec<ProducerMessage>,
    stop: &mut watch::Receiver<bool>,
) -> Result<(), Fault> {
    let tags: Vec<u64> = messages.iter().map(|message| message.tag).collect();
    let mut batch = IntakeBatch::new(intake, stop);
    for message in messages {
        batch.add(message).await?;
    }
    batch.finish().await?;
    consumer.ack(&tags).await
}

/// Cuts where messages would exceed the bound.
fn split_messages_by_bytes(messages: Vec<ProducerMessage>) -> Vec<Vec<ProducerMessage>> {
    let mut batches: Vec<Vec<ProducerMessage>> = Vec::new();
    let mut bytes = 0;
    for message in messages {
        bytes += message.body.len();
        match batches.last_mut() {
            Some(batch) if bytes <= BATCH_BYTES_MAX => batch.push(message),
            _ => {
                bytes = message.body.len();
                batches.push(vec![message]);
            }
        }
    }
    batches
}

/// Waits longer after every failure of one thing.
#[derive(Default)]
struct IntakeBackoff {
    failures: u32,
}

impl IntakeBackoff {
    /// Returns when it is time to try again; the fault itself when told to stop.
    async fn after(
        &mut self,
        fault: Fault,
        what: &str,
        stop: &mut watch::Receiver<bool>,
    ) -> Result<(), Fault> {
        self.failures += 1;
        tracing::warn!(%fault, failures = self.failures, what, "the intake waits; nothing was acknowledged");
        let wait = tokio::time::timeout(backoff::reopen_delay(self.failures), stop.wait_for(|stop| *stop));
        if wait.await.is_ok() { Err(fault) } else { Ok(()) }
    }
}
