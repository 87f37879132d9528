//! Consumes messages of producers from the broker, stores them as versions and answers with events.
//!
//! ```text
//! receive ─▶ admit ─▶ accept (ledger) ─▶ dead-letter the refused ─▶ publish events ─▶ send tasks ─▶ ack
//! ```
//!
//! A message is acknowledged only after every step before is durable. While the ledger or the broker is
//! down, or the intake is full, the current batch waits and is retried, and the queue holds the rest.
//! Nothing is lost, and no answer is repeated under another id. A message that can never be accepted is
//! dead-lettered with its reason, its producer gets an event, and the messages behind it go on. Messages
//! of a document are accepted in their order. Limits: [`MESSAGES_MAX`] and [`BATCH_BYTES_MAX`]; a larger
//! message forms a batch of its own.

mod admit;
mod batch;
mod broker_intake;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use tokio::sync::watch;

pub use self::batch::BATCH_BYTES_MAX;
pub use self::broker_intake::{BrokerIntake, CreateCollectionFn, ProducerAccess};

use self::batch::IntakeBatch;
use crate::fault::Fault;
use crate::ports::producers::{ProducerMessage, SubmissionConsumer};
use crate::resilience::retry;

/// Most messages of a batch.
pub const MESSAGES_MAX: usize = 256;
/// Time that the intake waits for further messages after the first.
const MESSAGE_LINGER: Duration = Duration::from_millis(5);

/// Consumes messages until `stop` is true; finishes the current batch.
pub async fn run_intake(intake: Arc<BrokerIntake>, mut stop: watch::Receiver<bool>) {
    let mut failures = 0;
    while !*stop.borrow() {
        let consumed =
            AssertUnwindSafe(consume_submissions(&intake, stop.clone(), &mut failures)).catch_unwind().await;
        let fault = match consumed {
            Ok(Ok(())) => return,
            Ok(Err(fault)) => fault,
            // The batch was not acknowledged, so the broker delivers it again.
            Err(_) => Fault::transient("the intake panicked"),
        };
        failures += 1;
        tracing::warn!(%fault, failures, "the intake lost its queue and opens it again");
        let _ = tokio::time::timeout(retry::reopen_delay(failures), stop.wait_for(|stop| *stop)).await;
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
            // Only a finished batch shows that queue and ledger work again.
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

/// Splits messages where their bytes would exceed the limit.
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
