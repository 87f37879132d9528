//! What becomes of a message: the only place that acknowledges.
//!
//! In this order: endings are recorded in the ledger, producers are told, messages for other
//! stages and retries are published and confirmed, the deliveries are acknowledged, losers'
//! vectors are swept. A crash between any two leads to a redelivery that ends, and tells, the same. A failure of this message
//! counts an attempt, [`ATTEMPTS_MAX`] at most within [`AGE_MAX`]; throttling and missing
//! credentials wait and cost none.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::domain::task::{Envelope, Stage, Task};
use crate::fault::{Fault, Reason, reason};
use crate::ports::broker::{Consumer, Outgoing};
use crate::ports::ledger::Ending;
use crate::ports::meter::Fate;
use crate::resilience::backoff;

use super::tell::Endings;
use super::{Outcome, Stages, sweep};

/// Failures after which a message is dead.
pub const ATTEMPTS_MAX: u32 = 8;
/// Age after which a failing message is dead.
pub const AGE_MAX: Duration = Duration::from_hours(24);
/// How long a message waits when a credential is missing.
const CREDENTIAL_WAIT: Duration = Duration::from_secs(30);

/// How far settling came before it failed.
#[derive(Debug)]
pub enum Unsettled {
    /// The ledger or the broker did not take it: settle again.
    Again(Fault),
    /// It is settled but not acknowledged, and the consumer cannot any more: open another one,
    /// which gets the deliveries again.
    ConsumerLost(Fault),
}

/// Settles a batch: `tags` are the deliveries of `tasks`, in order, with one outcome each.
pub async fn run(
    stages: &Stages,
    stage: Stage,
    consumer: &mut dyn Consumer,
    tags: Vec<u64>,
    tasks: Vec<Task>,
    outcomes: Vec<Outcome>,
) -> Result<(), Unsettled> {
    let mut endings = Vec::new();
    let mut messages = Vec::new();
    let mut documents = BTreeSet::new();
    let mut told = Endings::default();
    let now_ms = stages.clock.now_ms();
    let mut fates = Vec::with_capacity(tasks.len());
    for (task, outcome) in tasks.into_iter().zip(outcomes) {
        let judgement = judge(now_ms, stage, &task, outcome);
        fates.push((judgement.fate(), task.accepted_ms));
        match judgement {
            Judgement::Publish(message, _) => messages.push(*message),
            Judgement::End { ending, sweep } => {
                if sweep {
                    documents.insert((task.key.collection_key(), task.key.document_id.clone()));
                }
                log_ending(&task, &ending);
                told.ended(&task, &ending);
                stages.handover.forget(&task.key);
                endings.push((task.key, ending));
            }
            Judgement::Forget => told.known(task),
        }
    }
    let ended = endings.len() as u64;
    if !endings.is_empty() {
        stages.ledger.finish(endings).await.map_err(Unsettled::Again)?;
    }
    told.tell(stages).await.map_err(Unsettled::Again)?;
    if !messages.is_empty() {
        stages.broker.publish(messages).await.map_err(Unsettled::Again)?;
    }
    measure(stages, stage, now_ms, fates);
    consumer.ack(tags).await.map_err(Unsettled::ConsumerLost)?;
    if let Err(fault) = sweep::run(stages, &documents).await {
        tracing::warn!(%fault, "sweeping failed; housekeeping tries again");
    }
    if ended > 0 {
        stages.tally.settled(ended);
    }
    Ok(())
}

enum Judgement {
    Publish(Box<Outgoing>, Fate),
    End { ending: Ending, sweep: bool },
    Forget,
}

impl Judgement {
    fn fate(&self) -> Fate {
        match self {
            Self::Publish(_, fate) => *fate,
            Self::End { ending: Ending::Visible(_), .. } => Fate::Visible,
            Self::End { ending: Ending::Superseded, .. } => Fate::Superseded,
            Self::End { ending: Ending::Dead(..), .. } => Fate::Dead,
            Self::Forget => Fate::Repeated,
        }
    }
}

fn measure(stages: &Stages, stage: Stage, now_ms: u64, fates: Vec<(Fate, u64)>) {
    for (fate, accepted_ms) in fates {
        stages.meter.settled(stage, fate);
        if fate == Fate::Visible {
            stages.meter.visible(Duration::from_millis(now_ms.saturating_sub(accepted_ms)));
        }
    }
}

fn judge(now_ms: u64, stage: Stage, task: &Task, outcome: Outcome) -> Judgement {
    let publish = |message, fate| Judgement::Publish(Box::new(message), fate);
    let again = |delay: Duration, attempt: u32| {
        let fate = if attempt > task.attempt { Fate::Retried } else { Fate::Waiting };
        let task = Task { attempt, ..task.clone() };
        publish(Outgoing { envelope: Envelope::new(stage, task), delay }, fate)
    };
    let dead = |reason: Reason| Judgement::End { ending: Ending::Dead(stage, reason), sweep: true };
    match outcome {
        Outcome::HandOn(next) => {
            let task = Task { attempt: 0, ..task.clone() };
            publish(Outgoing::now(Envelope::new(next, task)), Fate::HandedOn)
        }
        Outcome::StartAgain { generation, epoch } => {
            let first = if task.deletes { Stage::Index } else { Stage::Chunk };
            let task = Task { generation, epoch, attempt: 0, ..task.clone() };
            publish(Outgoing::now(Envelope::new(first, task)), Fate::HandedOn)
        }
        Outcome::Ended { ending, sweep } => Judgement::End { ending, sweep },
        Outcome::AlreadyEnded => Judgement::Forget,
        Outcome::Failed(Fault::Superseded) => Judgement::End { ending: Ending::Superseded, sweep: true },
        Outcome::Failed(Fault::Permanent(reason)) => dead(reason),
        Outcome::Failed(Fault::Throttled { retry_after, .. }) => again(retry_after, task.attempt),
        Outcome::Failed(Fault::Unauthorized(_)) => again(CREDENTIAL_WAIT, task.attempt),
        Outcome::Failed(Fault::Transient(what)) => {
            let attempt = task.attempt + 1;
            let age_ms = now_ms.saturating_sub(task.accepted_ms);
            if attempt >= ATTEMPTS_MAX || u128::from(age_ms) > AGE_MAX.as_millis() {
                return dead(Reason::new(
                    reason::ATTEMPTS_EXHAUSTED,
                    format!("failed {attempt} times in the {} stage, last: {what}", stage.name()),
                ));
            }
            tracing::warn!(
                tenant = %task.key.tenant, collection = %task.key.collection, document = %task.key.document_id,
                version = %task.key.version, attempt, what, "a stage failed; the message is retried"
            );
            again(backoff::delay(attempt), attempt)
        }
    }
}

fn log_ending(task: &Task, ending: &Ending) {
    if let Ending::Dead(stage, reason) = ending {
        tracing::warn!(
            tenant = %task.key.tenant, collection = %task.key.collection, document = %task.key.document_id,
            version = %task.key.version, attempt = task.attempt, stage = stage.name(), reason = reason.code,
            "a document version is dead"
        );
    }
}
