//! What becomes of a message: the only place that acknowledges.
//!
//! In this order: endings are recorded in the ledger, producers are told, messages for other
//! stages and retries are published and confirmed, the deliveries are acknowledged, losers'
//! vectors are swept. A crash between any two leads to a redelivery that ends, and tells, the same. A failure of this message
//! counts an attempt, [`ATTEMPTS_MAX`] at most within [`MESSAGE_AGE_MAX`]; throttling and missing
//! credentials wait and cost none.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::domain::task::{IngestStage, IngestTask, TaskEnvelope};
use crate::fault::{FailureReason, Fault, reason};
use crate::ports::broker::{BrokerConsumer, OutgoingMessage};
use crate::ports::ledger::VersionOutcome;
use crate::ports::meter::StageMessageOutcome;
use crate::resilience::backoff;

use super::event_publisher::EndingEvents;
use super::{StageResources, TaskOutcome, sweep};

/// Failures after which a message is dead.
pub const ATTEMPTS_MAX: u32 = 8;
/// Age after which a failing message is dead.
pub const MESSAGE_AGE_MAX: Duration = Duration::from_hours(24);
/// How long a message waits when a credential is missing.
const CREDENTIAL_WAIT: Duration = Duration::from_secs(30);

/// How far settling came before it failed.
#[derive(Debug)]
pub enum AcknowledgeError {
    /// The ledger or the broker did not take it: settle again.
    Again(Fault),
    /// It is settled but not acknowledged, and the consumer cannot any more: open another one,
    /// which gets the deliveries again.
    ConsumerLost(Fault),
}

/// Settles a batch: `tags` are the deliveries of `tasks`, in order, with one outcome each.
pub async fn acknowledge_batch(
    stages: &StageResources,
    stage: IngestStage,
    consumer: &mut dyn BrokerConsumer,
    tags: Vec<u64>,
    tasks: Vec<IngestTask>,
    outcomes: Vec<TaskOutcome>,
) -> Result<(), AcknowledgeError> {
    let mut endings = Vec::new();
    let mut messages = Vec::new();
    let mut documents = BTreeSet::new();
    let mut told = EndingEvents::default();
    let now_ms = stages.clock.now_ms();
    let mut fates = Vec::with_capacity(tasks.len());
    for (task, outcome) in tasks.into_iter().zip(outcomes) {
        let judgement = decide_disposition(now_ms, stage, &task, outcome);
        fates.push((judgement.fate(), task.accepted_ms));
        match judgement {
            MessageDisposition::Publish(message, _) => messages.push(*message),
            MessageDisposition::End { ending, sweep } => {
                if sweep {
                    documents.insert((task.key.collection_key(), task.key.document_id.clone()));
                }
                log_ending(&task, &ending);
                told.ended(&task, &ending);
                stages.handover.forget(&task.key);
                endings.push((task.key, ending));
            }
            MessageDisposition::Forget => told.known(task),
        }
    }
    let ended = endings.len() as u64;
    if !endings.is_empty() {
        stages.ledger.finish(endings).await.map_err(AcknowledgeError::Again)?;
    }
    told.tell(stages).await.map_err(AcknowledgeError::Again)?;
    if !messages.is_empty() {
        stages.broker.publish(messages).await.map_err(AcknowledgeError::Again)?;
    }
    record_message_metrics(stages, stage, now_ms, fates);
    consumer.ack(tags).await.map_err(AcknowledgeError::ConsumerLost)?;
    if let Err(fault) = sweep::sweep_losers(stages, &documents).await {
        tracing::warn!(%fault, "sweeping failed; housekeeping tries again");
    }
    if ended > 0 {
        stages.tally.settled(ended);
    }
    Ok(())
}

enum MessageDisposition {
    Publish(Box<OutgoingMessage>, StageMessageOutcome),
    End { ending: VersionOutcome, sweep: bool },
    Forget,
}

impl MessageDisposition {
    fn fate(&self) -> StageMessageOutcome {
        match self {
            Self::Publish(_, fate) => *fate,
            Self::End { ending: VersionOutcome::Visible(_), .. } => StageMessageOutcome::Visible,
            Self::End { ending: VersionOutcome::Superseded, .. } => StageMessageOutcome::Superseded,
            Self::End { ending: VersionOutcome::Dead(..), .. } => StageMessageOutcome::Dead,
            Self::Forget => StageMessageOutcome::Repeated,
        }
    }
}

fn record_message_metrics(
    stages: &StageResources,
    stage: IngestStage,
    now_ms: u64,
    fates: Vec<(StageMessageOutcome, u64)>,
) {
    for (fate, accepted_ms) in fates {
        stages.meter.settled(stage, fate);
        if fate == StageMessageOutcome::Visible {
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
    let publish = |message, fate| MessageDisposition::Publish(Box::new(message), fate);
    let again = |delay: Duration, attempt: u32| {
        let fate =
            if attempt > task.attempt { StageMessageOutcome::Retried } else { StageMessageOutcome::Waiting };
        let task = IngestTask { attempt, ..task.clone() };
        publish(OutgoingMessage { envelope: TaskEnvelope::new(stage, task), delay }, fate)
    };
    let dead = |reason: FailureReason| MessageDisposition::End {
        ending: VersionOutcome::Dead(stage, reason),
        sweep: true,
    };
    match outcome {
        TaskOutcome::HandOn(next) => {
            let task = IngestTask { attempt: 0, ..task.clone() };
            publish(OutgoingMessage::immediate(TaskEnvelope::new(next, task)), StageMessageOutcome::HandedOn)
        }
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
        TaskOutcome::Failed(Fault::Transient(what)) => {
            let attempt = task.attempt + 1;
            let age_ms = now_ms.saturating_sub(task.accepted_ms);
            if attempt >= ATTEMPTS_MAX || u128::from(age_ms) > MESSAGE_AGE_MAX.as_millis() {
                return dead(FailureReason::new(
                    reason::ATTEMPTS_EXHAUSTED,
                    format!("failed {attempt} times in the {} stage, last: {what}", stage.name()),
                ));
            }
            tracing::warn!(
                tenant = %task.key.tenant, collection = %task.key.collection, document = %task.key.document_id,
                version = %task.key.version, attempt, what, "a stage failed; the message is retried"
            );
            again(backoff::retry_delay(attempt), attempt)
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
