//! What nobody is waiting for: the outbox relay, leftover sweeps, lost messages, dropped generations,
//! claims of the dead.
//!
//! Every process runs this, and lets go of dropped generations itself. One does the rest: the one that
//! has the lease [`HOUSEKEEPING_ROLE`]. It is renewed between pieces of work, given up at the end, and taken over
//! when a process died, [`HOUSEKEEPING_LEASE`] after its last sign of life. Two at once would only send messages
//! twice.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::domain::task::{IngestStage, IngestTask, TaskEnvelope};
use crate::fault::Fault;
use crate::ports::broker::OutgoingMessage;
use crate::ports::generations::{GenerationChange, GenerationRecord, GenerationState};
use crate::ports::ledger::CollectionRecord;

use super::{StageResources, submit, sweep};

/// The lease of the process that does it.
pub const HOUSEKEEPING_ROLE: &str = "housekeeping";
/// How long the lease lasts: three rounds.
pub const HOUSEKEEPING_LEASE: Duration = Duration::from_secs(15);
/// Time between rounds.
const ROUND_INTERVAL: Duration = Duration::from_secs(5);
/// Age at which an unconfirmed first message is sent again.
const OUTBOX_AGE_MS: u64 = 5_000;
/// Time without movement after which a version with no message is sent again.
const STUCK_MS: u64 = 60_000;
/// Time after the end of a claim on a text after which its process is taken for gone.
const CLAIM_KEPT: Duration = Duration::from_mins(10);
/// Versions per round.
const VERSIONS_PER_ROUND_MAX: usize = 1_000;
/// Rounds between two looks for lost messages in busy queues: those count every version.
const ROUNDS_PER_LOST_MESSAGE_CHECK: u32 = 12;
/// Looks at queues and ledger before a message counts as lost …
const LOST_MESSAGE_CHECKS: u32 = 5;
/// … and the time between two of them.
const LOST_MESSAGE_CHECK_PAUSE: Duration = Duration::from_millis(200);

/// Runs rounds until `stop` is true, the first at once.
pub async fn run_housekeeping(stages: Arc<StageResources>, mut stop: watch::Receiver<bool>) {
    let mut led = false;
    let mut rounds = 0;
    while !*stop.borrow() {
        match run_housekeeping_round(&stages, !led).await {
            Ok(leads) => led = leads,
            Err(fault) => tracing::warn!(%fault, "housekeeping failed; it tries again"),
        }
        rounds += 1;
        if led
            && rounds % ROUNDS_PER_LOST_MESSAGE_CHECK == 0
            && let Err(fault) = requeue_missing_messages(&stages).await
        {
            tracing::warn!(%fault, "lost messages cannot be looked for; housekeeping tries again");
        }
        let _ = tokio::time::timeout(ROUND_INTERVAL, stop.wait_for(|stop| *stop)).await;
    }
    if let Err(fault) = stages.ledger.resign(HOUSEKEEPING_ROLE).await {
        tracing::debug!(%fault, "the housekeeping lease was not given up; it ends by itself");
    }
}

/// One round, as far as this process leads; returns whether it does. `all` relays everything
/// unconfirmed, as after a start or a takeover: who sent it may be gone.
pub async fn run_housekeeping_round(stages: &StageResources, all: bool) -> Result<bool, Fault> {
    release_dropped_generations(stages).await?;
    if !holds_housekeeping_lease(stages).await? {
        return Ok(false);
    }
    relay_outbox(stages, all).await?;
    while holds_housekeeping_lease(stages).await? && sweep::sweep_leftovers(stages).await? > 0 {}
    if !holds_housekeeping_lease(stages).await? {
        return Ok(false);
    }
    requeue_lost_messages(stages).await?;
    drop_due_generations(stages).await?;
    stages.ledger.forget_claims(CLAIM_KEPT).await?;
    Ok(true)
}

/// Lets go of what was dropped, whoever leads: a process without an index follows no log that would tell
/// it, and would go on working for a generation whose vectors are removed.
async fn release_dropped_generations(stages: &StageResources) -> Result<(), Fault> {
    let records = stages.ledger.generations(None).await?;
    for record in records.iter().filter(|record| record.state == GenerationState::Dropped) {
        stages.let_go_of(record).await;
    }
    Ok(())
}

/// Drops generations whose time has come, and removes what is left of dropped ones. One that cannot
/// be removed holds up no other; it is tried again.
async fn drop_due_generations(stages: &StageResources) -> Result<(), Fault> {
    for record in stages.ledger.generations(None).await? {
        // Each may have waited for an engine that is away.
        if !holds_housekeeping_lease(stages).await? {
            break;
        }
        if let Err(fault) = drop_or_clear_generation(stages, &record).await {
            let CollectionRecord { key, generation, .. } = &record.home;
            tracing::warn!(
                tenant = %key.tenant, collection = %key.collection, generation, %fault,
                "a generation cannot be dropped or removed; housekeeping tries again"
            );
        }
    }
    Ok(())
}

async fn drop_or_clear_generation(stages: &StageResources, record: &GenerationRecord) -> Result<(), Fault> {
    let (key, generation) = (&record.home.key, record.home.generation);
    let is_dropped = record.state == GenerationState::Dropped;
    if !is_dropped && record.drop_ms.is_some_and(|drop_ms| drop_ms <= stages.clock.now_ms()) {
        let dropped = stages.ledger.change_generation(key, generation, GenerationChange::Dropped).await?;
        if dropped {
            tracing::info!(tenant = %key.tenant, collection = %key.collection, generation, "a generation is dropped");
        }
    } else if is_dropped && !record.is_cleared {
        // A round after it was dropped: most who worked on it have seen so by now. Writes of the others
        // fail, and begin again elsewhere.
        stages.catalog.remove(&record.home, true).await?;
        while holds_housekeeping_lease(stages).await?
            && stages.ledger.clear_dropped(key, generation, VERSIONS_PER_ROUND_MAX).await?
        {}
    }
    Ok(())
}

async fn holds_housekeeping_lease(stages: &StageResources) -> Result<bool, Fault> {
    stages.ledger.lead(HOUSEKEEPING_ROLE, HOUSEKEEPING_LEASE).await
}

async fn relay_outbox(stages: &StageResources, all: bool) -> Result<(), Fault> {
    let before_ms = if all { u64::MAX } else { stages.clock.now_ms().saturating_sub(OUTBOX_AGE_MS) };
    let mut tasks = stages.ledger.unpublished(VERSIONS_PER_ROUND_MAX).await?;
    tasks.retain(|task| task.accepted_ms < before_ms);
    submit::publish_first_messages(&*stages.ledger, &*stages.broker, tasks).await;
    Ok(())
}

/// Versions in flight while every queue is empty have lost their message, unless another process
/// holds it: what has not moved for as long as one can hold a message is sent again.
async fn requeue_lost_messages(stages: &StageResources) -> Result<(), Fault> {
    if count_queued_messages(stages).await? > 0 {
        return Ok(());
    }
    let lost = stages.ledger.stuck(overdue_before_ms(stages), VERSIONS_PER_ROUND_MAX).await?;
    republish_messages(stages, lost).await
}

/// The same while queues are busy: fewer messages than versions in flight, whenever looked at, means
/// that some are lost. Which ones nobody can tell from outside, so everything that has not
/// moved is sent again, [`VERSIONS_PER_ROUND_MAX`] at most. That makes up for the difference, so a message too many is sent
/// once, not every time; it costs work and does no harm. Returns how many were sent.
pub async fn requeue_missing_messages(stages: &StageResources) -> Result<usize, Fault> {
    requeue_stuck_versions(stages, overdue_before_ms(stages), VERSIONS_PER_ROUND_MAX).await
}

/// The same at once, for who is told that messages are lost. Where no queue has any, everything in
/// flight is sent; else what no other process can hold.
pub async fn requeue_lost_messages_now(stages: &StageResources, versions_max: usize) -> Result<usize, Fault> {
    let unseen =
        if count_queued_messages(stages).await? == 0 { Duration::ZERO } else { stages.broker.unseen_max() };
    let unseen_ms = u64::try_from(unseen.as_millis()).unwrap_or(u64::MAX);
    requeue_stuck_versions(stages, (stages.clock.now_ms() + 1).saturating_sub(unseen_ms), versions_max).await
}

/// The same for versions that have not moved since `before_ms`.
pub async fn requeue_stuck_versions(
    stages: &StageResources,
    before_ms: u64,
    versions_max: usize,
) -> Result<usize, Fault> {
    let stuck = stages.ledger.stuck(before_ms, versions_max).await?;
    if stuck.is_empty() || !messages_are_missing(stages).await? {
        return Ok(0);
    }
    let count = stuck.len();
    republish_messages(stages, stuck).await?;
    Ok(count)
}

/// Whether the fewest versions in flight of several looks are more than the most messages.
async fn messages_are_missing(stages: &StageResources) -> Result<bool, Fault> {
    let (mut fewest, mut most) = (u64::MAX, 0);
    for look in 0..LOST_MESSAGE_CHECKS {
        if look > 0 {
            tokio::time::sleep(LOST_MESSAGE_CHECK_PAUSE).await;
        }
        most = most.max(count_queued_messages(stages).await?);
        fewest = fewest.min(count_versions_in_flight(stages).await?);
        if most >= fewest {
            return Ok(false);
        }
    }
    Ok(true)
}

async fn count_queued_messages(stages: &StageResources) -> Result<u64, Fault> {
    let mut messages = 0;
    for stage in IngestStage::ALL {
        messages += stages.broker.depth(stage).await?;
    }
    Ok(messages)
}

async fn count_versions_in_flight(stages: &StageResources) -> Result<u64, Fault> {
    let mut in_flight = 0;
    for record in stages.ledger.collections().await? {
        in_flight += stages.ledger.counts(&record.key).await?.in_flight;
    }
    Ok(in_flight)
}

/// What moved last before this may have no message, whoever could hold one.
fn overdue_before_ms(stages: &StageResources) -> u64 {
    let unseen_ms = u64::try_from(stages.broker.unseen_max().as_millis()).unwrap_or(u64::MAX);
    stages.clock.now_ms().saturating_sub(STUCK_MS.max(unseen_ms))
}

async fn republish_messages(
    stages: &StageResources,
    lost: Vec<(IngestStage, IngestTask)>,
) -> Result<(), Fault> {
    if lost.is_empty() {
        return Ok(());
    }
    tracing::warn!(versions = lost.len(), "versions in flight had no message; they are sent again");
    let messages = lost.into_iter().map(|(stage, task)| {
        // What was staged, and for which generation, is not known once a collection was re-indexed.
        let from_start = task.generation > 1 && !task.deletes;
        OutgoingMessage::immediate(TaskEnvelope::new(
            if from_start { IngestStage::Chunk } else { stage },
            task,
        ))
    });
    let messages = messages.collect();
    stages.broker.publish(messages).await
}
