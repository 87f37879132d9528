//! Decides what happens to a message after its stage; the only place that acknowledges.
//!
//! Effects have a fixed order: the ledger records endings, producers receive events, the broker
//! confirms messages for other stages and retries, the deliveries are acknowledged, and vectors of
//! losers are swept. A crash between any two leads to a redelivery with the same result and the same
//! events. A message of a dropped collection ends no version of one made again under its name. A failure
//! of the message itself counts an attempt: at most [`ATTEMPTS_MAX`], within [`MESSAGE_AGE_MAX`].
//! Throttling and missing credentials wait and cost no attempt.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::domain::ids::CollectionKey;
use crate::domain::task::{IngestStage, IngestTask, TaskEnvelope};
use crate::fault::{FailureReason, Fault, reason};
use crate::ports::broker::{BrokerConsumer, OutgoingMessage};
use crate::ports::ledger::VersionOutcome;
use crate::ports::meter::StageMessageOutcome;
use crate::resilience::retry;

use super::engine_watch::StageEngine;
use super::event_publisher::EndingEvents;
use super::{StageResources, TaskOutcome, sweep};

/// Number of failures after which a message becomes a dead letter.
pub const ATTEMPTS_MAX: u32 = 8;
/// Age after which a failing message becomes a dead letter.
pub const MESSAGE_AGE_MAX: Duration = Duration::from_hours(24);
/// Delay of a message whose provider has no valid credential.
const CREDENTIAL_WAIT: Duration = Duration::from_secs(30);

/// Why a batch could not be acknowledged.
#[derive(Debug)]
pub enum AcknowledgeError {
    /// The ledger or the broker failed. Nothing was acknowledged; the whole call is to be repeated.
    Again(Fault),
    /// All effects are done, but this consumer can acknowledge no more. A new consumer receives the
    /// deliveries again.
    ConsumerLost(Fault),
}

/// Records the outcomes of a batch and acknowledges it. `tags` are the deliveries of `tasks`, in order,
/// with one outcome each.
pub async fn acknowledge_batch(
    stages: &StageResources,
    stage: IngestStage,
    consumer: &mut dyn BrokerConsumer,
    tags: Vec<u64>,
    tasks: Vec<IngestTask>,
    outcomes: Vec<TaskOutcome>,
) -> Result<(), AcknowledgeError> {
    // All three are matched by position.
    debug_assert!(tags.len() == tasks.len() && tasks.len() == outcomes.len());
    let mut endings = Vec::new();
    let mut messages = Vec::new();
    let mut documents = BTreeSet::new();
    let mut ending_events = EndingEvents::default();
    let now_ms = stages.clock.now_ms();
    let mut message_outcomes = Vec::with_capacity(tasks.len());
    let mut dispositions: Vec<(IngestTask, MessageDisposition)> = Vec::with_capacity(tasks.len());
    for (task, outcome) in tasks.into_iter().zip(outcomes) {
        let disposition = decide_disposition(now_ms, stage, &task, outcome);
        dispositions.push((task, disposition));
    }
    forget_losses_of_dropped_collections(stages, &mut dispositions).await.map_err(AcknowledgeError::Again)?;
    for (task, disposition) in dispositions {
        message_outcomes.push((disposition.message_outcome(), task.accepted_ms));
        match disposition {
            MessageDisposition::Publish(message, _) => messages.push(*message),
            MessageDisposition::End { ending, sweep } => {
                if sweep {
                    documents.insert((task.key.collection_key(), task.key.document_id.clone()));
                }
                log_ending(&task, &ending);
                ending_events.ended(&task, &ending);
                // Safe before the ledger knows the ending: the cache only saves work.
                stages.chunked_documents.forget(&task.key);
                endings.push((task.key, ending));
            }
            MessageDisposition::Forget => ending_events.known(task),
        }
    }
    // The order below is the contract of this module. Each effect may repeat; none may be lost.
    let ended = endings.len() as u64;
    if !endings.is_empty() {
        stages.ledger.finish(endings).await.map_err(AcknowledgeError::Again)?;
    }
    ending_events.publish(stages).await.map_err(AcknowledgeError::Again)?;
    if !messages.is_empty() {
        stages.broker.publish(messages).await.map_err(AcknowledgeError::Again)?;
    }
    record_message_metrics(stages, stage, now_ms, message_outcomes);
    consumer.ack(tags).await.map_err(AcknowledgeError::ConsumerLost)?;
    // The messages are done. A sweep that fails here must not bring them back; the ledger keeps the losers.
    // While the vectors are away, housekeeping has it all to do once they are back.
    let vectors_away = stages.engines.outage().is_some_and(|outage| outage.engine == StageEngine::Vectors);
    if !vectors_away && let Err(fault) = sweep::sweep_losers(stages, &documents).await {
        tracing::warn!(%fault, "sweeping failed; housekeeping tries again");
    }
    if ended > 0 {
        stages.counters.settled(ended);
    }
    Ok(())
}

enum MessageDisposition {
    Publish(Box<OutgoingMessage>, StageMessageOutcome),
    End { ending: VersionOutcome, sweep: bool },
    Forget,
}

impl MessageDisposition {
    /// Whether it ends a version that does not become visible.
    fn is_loss(&self) -> bool {
        matches!(self, Self::End { ending: VersionOutcome::Superseded | VersionOutcome::Dead(..), .. })
    }

    fn message_outcome(&self) -> StageMessageOutcome {
        match self {
            Self::Publish(_, message_outcome) => *message_outcome,
            Self::End { ending: VersionOutcome::Visible(_), .. } => StageMessageOutcome::Visible,
            Self::End { ending: VersionOutcome::Superseded, .. } => StageMessageOutcome::Superseded,
            Self::End { ending: VersionOutcome::Dead(..), .. } => StageMessageOutcome::Dead,
            Self::Forget => StageMessageOutcome::Repeated,
        }
    }
}

/// Forgets the losses of tasks whose generation their collection does not have: no generation number is
/// used twice, so they are of a dropped collection. The same version may exist in one made again under its
/// name. A commit needs no check here, because the ledger makes it in the transaction that records it.
async fn forget_losses_of_dropped_collections(
    stages: &StageResources,
    dispositions: &mut [(IngestTask, MessageDisposition)],
) -> Result<(), Fault> {
    let losses = dispositions.iter().filter(|(_, disposition)| disposition.is_loss());
    let collections: BTreeSet<CollectionKey> = losses.map(|(task, _)| task.key.collection_key()).collect();
    for collection in collections {
        let records = stages.ledger.generations(Some(&collection)).await?;
        let is_known =
            |task: &IngestTask| records.iter().any(|record| record.home.generation == task.generation);
        for (task, disposition) in dispositions.iter_mut() {
            if disposition.is_loss() && task.key.collection_key() == collection && !is_known(task) {
                *disposition = MessageDisposition::Forget;
            }
        }
    }
    Ok(())
}

fn record_message_metrics(
    stages: &StageResources,
    stage: IngestStage,
    now_ms: u64,
    message_outcomes: Vec<(StageMessageOutcome, u64)>,
) {
    for (message_outcome, accepted_ms) in message_outcomes {
        stages.meter.settled(stage, message_outcome);
        if message_outcome == StageMessageOutcome::Visible {
            stages.meter.visible(Duration::from_millis(now_ms.saturating_sub(accepted_ms)));
        }
    }
}

fn decide_disposition(
    now_ms: u64,
    stage: IngestStage,
    task: &IngestTask,
    outcome: TaskOutcome,
) -> MessageDisposition {
    let publish = |message, message_outcome| MessageDisposition::Publish(Box::new(message), message_outcome);
    let again = |delay: Duration, attempt: u32| {
        let message_outcome =
            if attempt > task.attempt { StageMessageOutcome::Retried } else { StageMessageOutcome::Waiting };
        let task = IngestTask { attempt, ..task.clone() };
        publish(OutgoingMessage { envelope: TaskEnvelope::new(stage, task), delay }, message_outcome)
    };
    let dead = |reason: FailureReason| MessageDisposition::End {
        ending: VersionOutcome::Dead(stage, reason),
        sweep: true,
    };
    match outcome {
        // Attempts count per stage.
        TaskOutcome::HandOn(next) => {
            let task = IngestTask { attempt: 0, ..task.clone() };
            publish(OutgoingMessage::immediate(TaskEnvelope::new(next, task)), StageMessageOutcome::HandedOn)
        }
        // Spans and vectors of the old generation do not fit the new one. A delete has neither.
        TaskOutcome::StartAgain { generation, epoch } => {
            let first = if task.deletes { IngestStage::Index } else { IngestStage::Chunk };
            let task = IngestTask { generation, epoch, attempt: 0, ..task.clone() };
            publish(OutgoingMessage::immediate(TaskEnvelope::new(first, task)), StageMessageOutcome::HandedOn)
        }
        TaskOutcome::Ended { ending, sweep } => MessageDisposition::End { ending, sweep },
        TaskOutcome::AlreadyEnded => MessageDisposition::Forget,
        TaskOutcome::Failed(Fault::Superseded) => {
            MessageDisposition::End { ending: VersionOutcome::Superseded, sweep: true }
        }
        TaskOutcome::Failed(Fault::Permanent(reason)) => dead(reason),
        TaskOutcome::Failed(Fault::Throttled { retry_after, .. }) => again(retry_after, task.attempt),
        TaskOutcome::Failed(Fault::Unauthorized(_)) => again(CREDENTIAL_WAIT, task.attempt),
        TaskOutcome::Failed(Fault::Transient(cause)) => {
            let attempt = task.attempt + 1;
            let age_ms = now_ms.saturating_sub(task.accepted_ms);
            if attempt >= ATTEMPTS_MAX || u128::from(age_ms) > MESSAGE_AGE_MAX.as_millis() {
                return dead(FailureReason::new(
                    reason::ATTEMPTS_EXHAUSTED,
                    format!("failed {attempt} times in the {} stage, last: {cause}", stage.name()),
                ));
            }
            tracing::warn!(
                tenant = %task.key.tenant, collection = %task.key.collection, document = %task.key.document_id,
                version = %task.key.version, attempt, what = cause.as_str(), "a stage failed; the message is retried"
            );
            again(retry::retry_delay(attempt), attempt)
        }
    }
}

fn log_ending(task: &IngestTask, ending: &VersionOutcome) {
    if let VersionOutcome::Dead(stage, reason) = ending {
        tracing::warn!(
            tenant = %task.key.tenant, collection = %task.key.collection, document = %task.key.document_id,
            version = %task.key.version, attempt = task.attempt, stage = stage.name(), reason = reason.code,
            "a document version is dead"
        );
    }
}
