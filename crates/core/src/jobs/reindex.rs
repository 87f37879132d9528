//! Control over the generations of a collection.
//!
//! A re-index is a generation in the ledger, so it is durable from its start, and any process that runs a
//! builder continues it. It never starts to serve by itself. It is activated in one transaction, once it
//! holds what the active generation holds. The previous generation is kept and kept up to date until it is
//! dropped; a rollback is another activation.

use std::sync::Arc;

use serde::Serialize;

use crate::domain::ids::{CollectionKey, Epoch, GenerationNumber};
use crate::fault::{Refusal, RefusalKind};
use crate::ports::clock::WallClock;
use crate::ports::generations::{
    BeginBuildOutcome, ChangeLogSize, GenerationBuildFailure, GenerationBuildPace, GenerationChange,
    GenerationRecord, GenerationState,
};
use crate::ports::ledger::Ledger;

/// Documents that a generation may lack at its activation, but at most 1 % of all. Under steady updates some
/// are always on their way. No process serves the generation before it has them.
pub const ACTIVATION_LAG_MAX: u64 = 256;
/// Most documents that are counted exactly.
const COUNTED_MAX: usize = 1000;
/// Most failures that are shown.
pub const FAILURES_SHOWN_MAX: usize = 20;

/// Starts, shows, activates and drops generations.
#[derive(Clone)]
pub struct ReindexControl {
    ledger: Arc<dyn Ledger>,
    clock: Arc<dyn WallClock>,
}

/// The state of a live generation.
#[derive(Debug, Clone, PartialEq)]
pub struct LiveGenerationStatus {
    /// Its record in the ledger.
    pub record: GenerationRecord,
    /// Documents in the log, and how many of them it lacks.
    pub log: ChangeLogSize,
    /// Documents that failed, the first [`FAILURES_SHOWN_MAX`].
    pub failures: Vec<GenerationBuildFailure>,
    /// How long the rest takes at the pace so far. None if it is not being built or has no pace yet.
    pub eta_ms: Option<u64>,
}

/// The progress of a generation, as scripts read it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ReindexProgress {
    /// Its number.
    pub generation: GenerationNumber,
    /// Its state.
    pub state: GenerationState,
    /// Whether it is paused.
    pub paused: bool,
    /// Whether it holds what the active generation holds.
    pub caught_up: bool,
    /// Documents to hold, tombstones included.
    pub documents: u64,
    /// Documents it still lacks.
    pub remaining: u64,
    /// Documents that failed.
    pub failed: u64,
    /// Documents per second since its start.
    pub documents_per_second: f64,
    /// Seconds until it has caught up.
    pub eta_seconds: Option<f64>,
    /// When it will be dropped, ms since the Unix epoch.
    pub drop_ms: Option<u64>,
}

impl LiveGenerationStatus {
    /// Documents that it lacks. 0 for the active one: the stages fill it, and its own cursor lags behind.
    pub fn remaining(&self) -> u64 {
        if self.record.state == GenerationState::Active { 0 } else { self.log.after }
    }

    /// Whether it lacks nothing but documents that failed.
    pub fn is_caught_up(&self) -> bool {
        self.remaining() == 0
    }

    /// Its progress, as scripts read it.
    pub fn progress(&self, now_ms: u64) -> ReindexProgress {
        ReindexProgress {
            generation: self.record.home.generation,
            state: self.record.state,
            paused: self.record.is_paused,
            caught_up: self.is_caught_up(),
            documents: self.log.entries,
            remaining: self.remaining(),
            failed: self.record.failed,
            documents_per_second: documents_per_second(&self.record, now_ms),
            eta_seconds: self.eta_ms.map(|ms| std::time::Duration::from_millis(ms).as_secs_f64()),
            drop_ms: self.record.drop_ms,
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "for people")]
fn documents_per_second(record: &GenerationRecord, now_ms: u64) -> f64 {
    let ms = now_ms.saturating_sub(record.created_ms).max(1);
    if record.state == GenerationState::Building { record.prepared as f64 * 1000.0 / ms as f64 } else { 0.0 }
}

impl ReindexControl {
    /// Controls the generations of this ledger.
    pub fn new(ledger: Arc<dyn Ledger>, clock: Arc<dyn WallClock>) -> Self {
        Self { ledger, clock }
    }

    /// Starts to build a generation under another pipeline. Refuses a second build, and a pipeline that a
    /// live generation already has.
    pub async fn start(
        &self,
        collection: &CollectionKey,
        pipeline: &str,
        epoch: Epoch,
        pace: GenerationBuildPace,
    ) -> Result<GenerationRecord, Refusal> {
        check_pace(pace)?;
        let name = &collection.collection;
        match self.ledger.begin_generation(collection, pipeline, epoch, pace).await? {
            BeginBuildOutcome::Started(record) => Ok(record),
            BeginBuildOutcome::Busy(record) => Err(conflict(
                "reindex_in_progress",
                format!(
                    "generation {} of '{name}' is being built; activate it or cancel it first",
                    record.home.generation
                ),
            )),
            BeginBuildOutcome::Known(record) => Err(conflict(
                "nothing_to_change",
                match record.state {
                    GenerationState::Active => format!("'{name}' is served under this pipeline already"),
                    GenerationState::Building => {
                        format!("generation {} of '{name}' is being built under it", record.home.generation)
                    }
                    _ => format!(
                        "generation {} of '{name}' has this pipeline and is kept; activate it with rollback",
                        record.home.generation
                    ),
                },
            )),
        }
    }

    /// The live generations, in order of their numbers.
    pub async fn live_generations(
        &self,
        collection: &CollectionKey,
    ) -> Result<Vec<LiveGenerationStatus>, Refusal> {
        let records = self.ledger.generations(Some(collection)).await?;
        if records.is_empty() {
            return Err(unknown_collection(collection));
        }
        let mut live = Vec::new();
        for record in records.into_iter().filter(|record| record.state != GenerationState::Dropped) {
            live.push(self.status(record).await?);
        }
        Ok(live)
    }

    async fn status(&self, record: GenerationRecord) -> Result<LiveGenerationStatus, Refusal> {
        let key = &record.home.key;
        let mut log = self.ledger.log_size(key, record.cursor).await?;
        if log.after > 0 {
            // The cursor may lag behind: a builder that died had prepared a page beyond it. So a short rest
            // is counted by what is not prepared.
            let (generation, cursor) = (record.home.generation, record.cursor);
            let unprepared =
                self.ledger.unprepared(key, generation, cursor, COUNTED_MAX).await?.changes.len();
            // A full page says only that there are at least so many.
            if unprepared < COUNTED_MAX {
                log.after = unprepared as u64;
            }
        }
        // Failures are rare, so the second request is, too.
        let failures = match record.failed {
            0 => Vec::new(),
            _ => self.ledger.failures(key, record.home.generation, FAILURES_SHOWN_MAX).await?,
        };
        let eta_ms = estimate_remaining_ms(&record, log, self.clock.now_ms());
        Ok(LiveGenerationStatus { record, log, failures, eta_ms })
    }

    /// The generation that is being built.
    pub async fn building(&self, collection: &CollectionKey) -> Result<LiveGenerationStatus, Refusal> {
        let live = self.live_generations(collection).await?;
        let building = live.into_iter().find(|status| status.record.state == GenerationState::Building);
        building.ok_or_else(|| {
            let message = format!("no generation of '{}' is being built", collection.collection);
            Refusal::not_found("no_reindex", message)
        })
    }

    /// Pauses the build. Returns the generation's number.
    pub async fn pause(&self, collection: &CollectionKey) -> Result<GenerationNumber, Refusal> {
        self.change_building(collection, GenerationChange::Pause).await
    }

    /// Resumes the build, at another pace if one is given.
    pub async fn resume(
        &self,
        collection: &CollectionKey,
        pace: Option<GenerationBuildPace>,
    ) -> Result<(), Refusal> {
        if let Some(pace) = pace {
            // The pace changes before the build resumes, so no page runs at the old one.
            check_pace(pace)?;
            self.change_building(collection, GenerationChange::Pace(pace)).await?;
        }
        self.change_building(collection, GenerationChange::Resume).await?;
        Ok(())
    }

    /// Cancels the build and drops its generation. Returns its number.
    pub async fn cancel(&self, collection: &CollectionKey) -> Result<GenerationNumber, Refusal> {
        self.change_building(collection, GenerationChange::Dropped).await
    }

    async fn change_building(
        &self,
        collection: &CollectionKey,
        change: GenerationChange,
    ) -> Result<GenerationNumber, Refusal> {
        let generation = self.building(collection).await?.record.home.generation;
        self.change(collection, generation, change).await?;
        Ok(generation)
    }

    async fn change(
        &self,
        collection: &CollectionKey,
        generation: GenerationNumber,
        change: GenerationChange,
    ) -> Result<(), Refusal> {
        // The ledger applies a change only from a state that allows it. Another caller may have been faster.
        if self.ledger.change_generation(collection, generation, change).await? {
            return Ok(());
        }
        let message = format!("generation {generation} of '{}' changed meanwhile", collection.collection);
        Err(conflict("generation_changed", message))
    }

    /// Activates the generation that was built. Refuses while it lacks more than [`ACTIVATION_LAG_MAX`]
    /// allows, and, without `allow_failed`, if documents failed. Returns its number.
    pub async fn activate(
        &self,
        collection: &CollectionKey,
        allow_failed: bool,
    ) -> Result<GenerationNumber, Refusal> {
        let status = self.building(collection).await?;
        self.activate_checked(collection, &status, allow_failed).await
    }

    /// Activates the generation again that served before the active one. Returns its number.
    pub async fn rollback(&self, collection: &CollectionKey) -> Result<GenerationNumber, Refusal> {
        let live = self.live_generations(collection).await?;
        let kept = live.into_iter().filter(|status| status.record.state == GenerationState::Kept);
        let last = kept.max_by_key(|status| status.record.activated_ms);
        let last = last.ok_or_else(|| {
            let message = format!("no generation of '{}' is kept to go back to", collection.collection);
            Refusal::not_found("nothing_kept", message)
        })?;
        self.activate_checked(collection, &last, true).await
    }

    async fn activate_checked(
        &self,
        collection: &CollectionKey,
        status: &LiveGenerationStatus,
        allow_failed: bool,
    ) -> Result<GenerationNumber, Refusal> {
        let generation = status.record.home.generation;
        let name = &collection.collection;
        if status.log.after > ACTIVATION_LAG_MAX.min(status.log.entries / 100) {
            let message = format!(
                "generation {generation} of '{name}' lacks {} documents still; wait until it has caught up",
                status.log.after
            );
            return Err(Refusal::new(RefusalKind::Precondition, "not_caught_up", "", message));
        }
        if status.record.failed > 0 && !allow_failed {
            let message = format!(
                "generation {generation} of '{name}' cannot have {} documents; look at them with reindex status, \
                 and activate it with --allow-failed if it may go without them",
                status.record.failed
            );
            return Err(Refusal::new(RefusalKind::Precondition, "documents_failed", "", message));
        }
        self.change(collection, generation, GenerationChange::Activate).await?;
        Ok(generation)
    }

    /// Drops a kept generation after a grace period: the named one, or the oldest. Returns its number.
    pub async fn drop_kept(
        &self,
        collection: &CollectionKey,
        generation: Option<GenerationNumber>,
        grace_ms: u64,
    ) -> Result<GenerationNumber, Refusal> {
        let live = self.live_generations(collection).await?;
        let mut kept = live.into_iter().filter(|status| status.record.state == GenerationState::Kept);
        let chosen =
            kept.find(|status| generation.is_none_or(|wanted| status.record.home.generation == wanted));
        let chosen = chosen.ok_or_else(|| {
            let message = format!("no such generation of '{}' is kept", collection.collection);
            Refusal::not_found("nothing_kept", message)
        })?;
        let at_ms = self.clock.now_ms().saturating_add(grace_ms);
        let generation = chosen.record.home.generation;
        self.change(collection, generation, GenerationChange::DropAt(at_ms)).await?;
        Ok(generation)
    }
}

fn check_pace(pace: GenerationBuildPace) -> Result<(), Refusal> {
    if !(1..=100).contains(&pace.provider_percent) {
        let message = "provider_percent must be between 1 and 100";
        return Err(Refusal::invalid("invalid_pace", "provider_percent", message));
    }
    if pace.documents_per_second == Some(0) {
        let message = "documents_per_second must be at least 1; leave it out for no bound";
        return Err(Refusal::invalid("invalid_pace", "documents_per_second", message));
    }
    Ok(())
}

/// An estimate at the average pace since the start. Pauses count as time, so it is too long after one.
fn estimate_remaining_ms(record: &GenerationRecord, log: ChangeLogSize, now_ms: u64) -> Option<u64> {
    if record.state != GenerationState::Building || record.is_paused || record.prepared == 0 {
        return None;
    }
    // 128 bits, because documents times milliseconds may exceed 64.
    let ms = u128::from(now_ms.saturating_sub(record.created_ms).max(1));
    let left = u128::from(log.after) * ms / u128::from(record.prepared);
    u64::try_from(left).ok()
}

fn conflict(code: &'static str, message: String) -> Refusal {
    Refusal::new(RefusalKind::Conflict, code, "", message)
}

fn unknown_collection(collection: &CollectionKey) -> Refusal {
    let message = format!("there is no collection '{}'", collection.collection);
    Refusal::new(RefusalKind::NotFound, "unknown_collection", "collection", message)
}
