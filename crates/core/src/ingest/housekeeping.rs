//! Background maintenance: outbox relay, sweep of leftovers, lost messages, dropped generations,
//! dropped collections and expired claims.
//!
//! Every process runs this and closes dropped generations itself. The rest is done by the process that
//! holds the lease [`HOUSEKEEPING_ROLE`]. It renews the lease between steps and gives it up when it
//! stops. When it crashes, another process takes over [`HOUSEKEEPING_LEASE`] after the last renewal.
//! Two leaders at once would only send messages twice, which is safe.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::domain::task::{IngestStage, IngestTask, TaskEnvelope};
use crate::fault::Fault;
use crate::ports::broker::OutgoingMessage;
use crate::ports::collection_drops::{DroppedGeneration, PURGED_DOCUMENTS_MAX};
use crate::ports::generations::{GenerationChange, GenerationRecord, GenerationState};
use crate::ports::ledger::CollectionRecord;

use super::fault_log::FaultLog;
use super::{StageResources, submit, sweep};

/// Name of the leader lease.
pub const HOUSEKEEPING_ROLE: &str = "housekeeping";
/// Duration of the lease: three rounds.
pub const HOUSEKEEPING_LEASE: Duration = Duration::from_secs(15);
/// Time between rounds.
const ROUND_INTERVAL: Duration = Duration::from_secs(5);
/// Age at which an unconfirmed first message is sent again.
const OUTBOX_AGE_MS: u64 = 5_000;
/// Time without progress after which a version without a message is sent again.
const STUCK_MS: u64 = 60_000;
/// Time after which an expired text claim is deleted.
const CLAIM_KEPT: Duration = Duration::from_mins(10);
/// How long after a drop every round deletes what shared engines hold of it.
const DROPPED_SOON_MS: u64 = 60 * 1000;
/// How long generations of dropped collections stay listed, so that every process learns of them.
const DROPPED_KEPT_MS: u64 = 60 * 60 * 1000;
/// Versions per round.
const VERSIONS_PER_ROUND_MAX: usize = 1_000;
/// Rounds between two checks for lost messages in busy queues. Rare, because a check counts every
/// version in flight.
const ROUNDS_PER_LOST_MESSAGE_CHECK: u32 = 12;
/// Rounds between two erasures: an hour.
const ROUNDS_PER_ERASURE: u32 = 720;
/// Comparisons of queues and ledger before a message counts as lost.
const LOST_MESSAGE_CHECKS: u32 = 5;
/// Time between two of these comparisons.
const LOST_MESSAGE_CHECK_PAUSE: Duration = Duration::from_millis(200);

/// Runs rounds until `stop` is true, the first at once.
pub async fn run_housekeeping(stages: Arc<StageResources>, mut stop: watch::Receiver<bool>) {
    let mut led = false;
    let mut rounds = 0;
    let mut faults = FaultLog::default();
    while !*stop.borrow() {
        // A process that was not leader in the last round relays everything: see `run_housekeeping_round`.
        let round = run_housekeeping_round(&stages, !led).await;
        faults.note("housekeeping", &round);
        led = round.unwrap_or(led);
        rounds += 1;
        if led && rounds % ROUNDS_PER_LOST_MESSAGE_CHECK == 0 {
            faults.note("looking for lost messages", &requeue_missing_messages(&stages).await);
        }
        if rounds % ROUNDS_PER_ERASURE == 0 {
            faults.note("erasing what was deleted", &erase_deleted(&stages).await);
        }
        let _ = tokio::time::timeout(ROUND_INTERVAL, stop.wait_for(|stop| *stop)).await;
    }
    // Released at once, so that another process need not wait until the lease expires.
    if let Err(fault) = stages.ledger.release_lease(HOUSEKEEPING_ROLE).await {
        tracing::debug!(%fault, "the housekeeping lease was not given up; it ends by itself");
    }
}

/// Runs one round, as far as this process is the leader; returns whether it is. With `all` it relays
/// every unconfirmed message regardless of age, as after a start or takeover: the sender may have crashed.
pub async fn run_housekeeping_round(stages: &StageResources, all: bool) -> Result<bool, Fault> {
    release_dropped_generations(stages).await?;
    if !holds_housekeeping_lease(stages).await? {
        return Ok(false);
    }
    relay_outbox(stages, all).await?;
    // Each batch may take long, so the lease is renewed before the next one.
    while holds_housekeeping_lease(stages).await? && sweep::sweep_leftovers(stages).await? > 0 {}
    if !holds_housekeeping_lease(stages).await? {
        return Ok(false);
    }
    requeue_lost_messages(stages).await?;
    drop_due_generations(stages).await?;
    finish_collection_drops(stages).await?;
    stages.ledger.forget_claims(CLAIM_KEPT).await?;
    Ok(true)
}

/// Takes the text of deleted and replaced documents off the disk of this process, whoever leads.
async fn erase_deleted(stages: &StageResources) -> Result<(), Fault> {
    for open in stages.catalog.opened().await {
        if let Ok(lexical) = open.lexical() {
            lexical.erase_deleted(u32::MAX).await?;
        }
    }
    stages.ledger.erase_deleted().await
}

/// Closes dropped generations in this process, whoever leads. A process without an index follows no log
/// and would otherwise go on writing to a generation whose vectors are deleted.
async fn release_dropped_generations(stages: &StageResources) -> Result<(), Fault> {
    let records = stages.ledger.generations(None).await?;
    for record in records.iter().filter(|record| record.state == GenerationState::Dropped) {
        stages.close_dropped_generation(record).await;
    }
    stages.close_dropped_collections().await
}

/// Finishes drops of collections that crashes cut short, and deletes what shared engines hold of them.
async fn finish_collection_drops(stages: &StageResources) -> Result<(), Fault> {
    while holds_housekeeping_lease(stages).await? && stages.ledger.purge_hidden(PURGED_DOCUMENTS_MAX).await? {
    }
    for DroppedGeneration { home, dropped_ms } in stages.ledger.dropped_generations().await? {
        if !holds_housekeeping_lease(stages).await? {
            break;
        }
        let age_ms = stages.clock.now_ms().saturating_sub(dropped_ms);
        // Soon after the drop, and once more at the end: a process that had not heard of it may have made
        // the generation's vectors anew in between.
        if (DROPPED_SOON_MS..DROPPED_KEPT_MS).contains(&age_ms) {
            continue;
        }
        let home = std::slice::from_ref(&home);
        if let Err(fault) = stages.catalog.remove_collection(home, true).await {
            tracing::warn!(%fault, "a dropped collection cannot be removed; housekeeping tries again");
        } else if age_ms >= DROPPED_KEPT_MS {
            stages.ledger.forget_dropped(home).await?;
        }
    }
    Ok(())
}

/// Drops generations whose grace period is over and deletes the data of dropped ones. A generation that
/// cannot be deleted does not delay the others; the next round tries again.
async fn drop_due_generations(stages: &StageResources) -> Result<(), Fault> {
    for record in stages.ledger.generations(None).await? {
        // The last deletion may have waited for an engine that is down, so the lease may be lost by now.
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
        // Files go one round after the drop: by then most workers have seen it. Writes of the others fail,
        // and their tasks restart under the serving generation.
        stages.catalog.remove(&record.home, true).await?;
        while holds_housekeeping_lease(stages).await?
            && stages.ledger.clear_dropped(key, generation, VERSIONS_PER_ROUND_MAX).await?
        {}
    }
    Ok(())
}

async fn holds_housekeeping_lease(stages: &StageResources) -> Result<bool, Fault> {
    stages.ledger.acquire_lease(HOUSEKEEPING_ROLE, HOUSEKEEPING_LEASE).await
}

async fn relay_outbox(stages: &StageResources, all: bool) -> Result<(), Fault> {
    let before_ms = if all { u64::MAX } else { stages.clock.now_ms().saturating_sub(OUTBOX_AGE_MS) };
    let mut tasks = stages.ledger.unpublished(VERSIONS_PER_ROUND_MAX).await?;
    tasks.retain(|task| task.accepted_ms < before_ms);
    submit::publish_first_messages(&*stages.ledger, &*stages.broker, tasks).await;
    Ok(())
}

/// Sends versions again that are in flight while every queue is empty: their message is lost. Only
/// versions that made no progress for as long as a process can hold a message are sent.
async fn requeue_lost_messages(stages: &StageResources) -> Result<(), Fault> {
    if count_queued_messages(stages).await? > 0 {
        return Ok(());
    }
    let lost = stages.ledger.stuck(overdue_before_ms(stages), VERSIONS_PER_ROUND_MAX).await?;
    republish_messages(stages, lost).await
}

/// Finds lost messages while queues are busy: some are lost when every comparison shows fewer messages
/// than versions in flight. Nobody can tell which, so every version without progress is sent again,
/// [`VERSIONS_PER_ROUND_MAX`] at most. That closes the difference, so surplus messages are sent once and
/// not in every round; they cost work and do no harm. Returns how many were sent.
pub async fn requeue_missing_messages(stages: &StageResources) -> Result<usize, Fault> {
    requeue_stuck_versions(stages, overdue_before_ms(stages), VERSIONS_PER_ROUND_MAX).await
}

/// Sends lost messages again without the waiting time, for an operator who knows that some are lost. With
/// empty queues it sends every version in flight, otherwise those that no other process can hold.
pub async fn requeue_lost_messages_now(stages: &StageResources, versions_max: usize) -> Result<usize, Fault> {
    let unseen =
        if count_queued_messages(stages).await? == 0 { Duration::ZERO } else { stages.broker.unseen_max() };
    let unseen_ms = u64::try_from(unseen.as_millis()).unwrap_or(u64::MAX);
    // One more than now, so that a version that moved in this very millisecond is included.
    requeue_stuck_versions(stages, (stages.clock.now_ms() + 1).saturating_sub(unseen_ms), versions_max).await
}

/// Sends versions again that made no progress since `before_ms`, if messages are missing.
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

/// Whether the smallest number of versions in flight over several comparisons exceeds the largest number
/// of messages.
async fn messages_are_missing(stages: &StageResources) -> Result<bool, Fault> {
    // Queues and ledger cannot be read in one instant. Extremes over several reads keep a message that is
    // just being handed on from being taken for lost.
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

/// Versions whose last progress is older than this time cannot have a message that a process still holds.
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
        // After a re-index it is unknown for which generation spans and vectors are staged, so the task
        // starts at the first stage.
        let from_start = task.generation > 1 && !task.deletes;
        OutgoingMessage::immediate(TaskEnvelope::new(
            if from_start { IngestStage::Chunk } else { stage },
            task,
        ))
    });
    let messages = messages.collect();
    stages.broker.publish(messages).await
}
