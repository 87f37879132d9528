//! What a person does with the generations of a collection.
//!
//! A re-index is durable from the moment it is started: it is a generation in the ledger, and any
//! process that builds goes on with it. It never serves by itself: it is activated, in one
//! transaction, once it holds what the active one holds. The one that served before is kept, and is
//! kept up to date, until it is dropped: going back is another activation.

use std::sync::Arc;

use serde::Serialize;

use crate::domain::ids::{CollectionKey, Epoch, GenerationNumber};
use crate::fault::{Fault, Refusal, RefusalKind};
use crate::ports::clock::WallClock;
use crate::ports::generations::{
    BeginBuildOutcome, ChangeLogSize, GenerationBuildFailure, GenerationBuildPace, GenerationChange,
    GenerationRecord, GenerationState,
};
use crate::ports::ledger::Ledger;

/// Documents that a generation may lack when it is activated, and at most a hundredth of all: under
/// steady updates some are always on their way, and it serves nowhere before it has them.
pub const ACTIVATION_LAG_MAX: u64 = 256;
/// Documents that are counted one by one.
const COUNTED_MAX: usize = 1000;
/// Failures that are shown.
pub const FAILURES_SHOWN_MAX: usize = 20;

/// The generations of collections, in the hands of a person.
#[derive(Clone)]
pub struct ReindexControl {
    ledger: Arc<dyn Ledger>,
    clock: Arc<dyn WallClock>,
}

/// How a generation stands.
#[derive(Debug, Clone, PartialEq)]
pub struct LiveGenerationStatus {
    /// What the ledger says of it.
    pub record: GenerationRecord,
    /// Documents of the log, and those it lacks.
    pub log: ChangeLogSize,
    /// Documents it cannot have, the first [`FAILURES_SHOWN_MAX`].
    pub failures: Vec<GenerationBuildFailure>,
    /// How long the rest takes at the pace so far; none where nothing is built, or nobody can tell.
    pub eta_ms: Option<u64>,
}

/// A generation's progress, as scripts read it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ReindexProgress {
    /// Its number.
    pub generation: GenerationNumber,
    /// Where it is in its life.
    pub state: GenerationState,
    /// Whether it is paused.
    pub paused: bool,
    /// Whether it holds what the active generation holds.
    pub caught_up: bool,
    /// Documents to hold, tombstones included.
    pub documents: u64,
    /// Documents it lacks still.
    pub remaining: u64,
    /// Documents it cannot have.
    pub failed: u64,
    /// Documents per second since it was begun.
    pub documents_per_second: f64,
    /// Until it has caught up, in seconds.
    pub eta_seconds: Option<f64>,
    /// When it will be dropped, ms since the Unix epoch.
    pub drop_ms: Option<u64>,
}

impl LiveGenerationStatus {
    /// Documents that it lacks. The active one is filled by the stages, and its builder looks late.
    pub fn remaining(&self) -> u64 {
        if self.record.state == GenerationState::Active { 0 } else { self.log.after }
    }

    /// Whether it lacks nothing that it could have.
    pub fn is_caught_up(&self) -> bool {
        self.remaining() == 0
    }

    /// As scripts read it.
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
    /// Over a ledger.
    pub fn new(ledger: Arc<dyn Ledger>, clock: Arc<dyn WallClock>) -> Self {
        Self { ledger, clock }
    }

    /// Begins to build a generation under another pipeline.
    pub async fn start(
        &self,
        collection: &CollectionKey,
        pipeline: &str,
        epoch: Epoch,
        pace: GenerationBuildPace,
    ) -> Result<GenerationRecord, Refusal> {
        check_pace(pace)?;
        let name = &collection.collection;
        match self
            .ledger
            .begin_generation(collection, pipeline, epoch, pace)
            .await
            .map_err(map_unknown_collection)?
        {
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

    /// How the live generations stand, in the order of their numbers.
    pub async fn standings(&self, collection: &CollectionKey) -> Result<Vec<LiveGenerationStatus>, Refusal> {
        let records = self.ledger.generations(Some(collection)).await?;
        if records.is_empty() {
            return Err(unknown_collection(collection));
        }
        let mut standings = Vec::new();
        for record in records.into_iter().filter(|record| record.state != GenerationState::Dropped) {
            standings.push(self.standing(record).await?);
        }
        Ok(standings)
    }

    async fn standing(&self, record: GenerationRecord) -> Result<LiveGenerationStatus, Refusal> {
        let key = &record.home.key;
        let mut log = self.ledger.log_size(key, record.cursor).await?;
        if log.after > 0 {
            // A cursor may be late: what is lacking is told by what is prepared.
            let (generation, cursor) = (record.home.generation, record.cursor);
            let lacking = self.ledger.unprepared(key, generation, cursor, COUNTED_MAX).await?.changes.len();
            if lacking < COUNTED_MAX {
                log.after = lacking as u64;
            }
        }
        let failures = match record.failed {
            0 => Vec::new(),
            _ => self.ledger.failures(key, record.home.generation, FAILURES_SHOWN_MAX).await?,
        };
        let eta_ms = estimate_remaining_ms(&record, log, self.clock.now_ms());
        Ok(LiveGenerationStatus { record, log, failures, eta_ms })
    }

    /// The generation that is being built.
    pub async fn building(&self, collection: &CollectionKey) -> Result<LiveGenerationStatus, Refusal> {
        let standings = self.standings(collection).await?;
        let building =
            standings.into_iter().find(|standing| standing.record.state == GenerationState::Building);
        building.ok_or_else(|| {
            let message = format!("no generation of '{}' is being built", collection.collection);
            Refusal::not_found("no_reindex", message)
        })
    }

    /// Stops building for now. Returns the generation's number.
    pub async fn pause(&self, collection: &CollectionKey) -> Result<GenerationNumber, Refusal> {
        self.change_building(collection, GenerationChange::Pause).await
    }

    /// Goes on building, at another pace if one is given.
    pub async fn resume(
        &self,
        collection: &CollectionKey,
        pace: Option<GenerationBuildPace>,
    ) -> Result<(), Refusal> {
        if let Some(pace) = pace {
            check_pace(pace)?;
            self.change_building(collection, GenerationChange::Pace(pace)).await?;
        }
        self.change_building(collection, GenerationChange::Resume).await?;
        Ok(())
    }

    /// Gives the generation up that is being built. Returns its number.
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
        if self.ledger.change_generation(collection, generation, change).await? {
            return Ok(());
        }
        let message = format!("generation {generation} of '{}' changed meanwhile", collection.collection);
        Err(conflict("generation_changed", message))
    }

    /// Lets the generation serve that was built; refused while it lacks more than
    /// [`ACTIVATION_LAG_MAX`] allows, or, without `allow_failed`, cannot have some. Returns its number.
    pub async fn activate(
        &self,
        collection: &CollectionKey,
        allow_failed: bool,
    ) -> Result<GenerationNumber, Refusal> {
        let standing = self.building(collection).await?;
        self.activate_standing(collection, &standing, allow_failed).await
    }

    /// Lets the generation serve again that served before the active one. Returns its number.
    pub async fn rollback(&self, collection: &CollectionKey) -> Result<GenerationNumber, Refusal> {
        let standings = self.standings(collection).await?;
        let kept = standings.into_iter().filter(|standing| standing.record.state == GenerationState::Kept);
        let last = kept.max_by_key(|standing| standing.record.activated_ms);
        let last = last.ok_or_else(|| {
            let message = format!("no generation of '{}' is kept to go back to", collection.collection);
            Refusal::not_found("nothing_kept", message)
        })?;
        self.activate_standing(collection, &last, true).await
    }

    async fn activate_standing(
        &self,
        collection: &CollectionKey,
        standing: &LiveGenerationStatus,
        allow_failed: bool,
    ) -> Result<GenerationNumber, Refusal> {
        let generation = standing.record.home.generation;
        let name = &collection.collection;
        if standing.log.after > ACTIVATION_LAG_MAX.min(standing.log.entries / 100) {
            let message = format!(
                "generation {generation} of '{name}' lacks {} documents still; wait until it has caught up",
                standing.log.after
            );
            return Err(Refusal::new(RefusalKind::Precondition, "not_caught_up", "", message));
        }
        if standing.record.failed > 0 && !allow_failed {
            let message = format!(
                "generation {generation} of '{name}' cannot have {} documents; look at them with reindex status, \
                 and activate it with --allow-failed if it may go without them",
                standing.record.failed
            );
            return Err(Refusal::new(RefusalKind::Precondition, "documents_failed", "", message));
        }
        self.change(collection, generation, GenerationChange::Activate).await?;
        Ok(generation)
    }

    /// Drops a kept generation, the oldest if none is named, after a time of grace. Returns its
    /// number.
    pub async fn drop_kept(
        &self,
        collection: &CollectionKey,
        generation: Option<GenerationNumber>,
        grace_ms: u64,
    ) -> Result<GenerationNumber, Refusal> {
        let standings = self.standings(collection).await?;
        let mut kept =
            standings.into_iter().filter(|standing| standing.record.state == GenerationState::Kept);
        let chosen = kept.find(|one| generation.is_none_or(|wanted| one.record.home.generation == wanted));
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

/// At the pace since the start; pauses make it longer than it is.
fn estimate_remaining_ms(record: &GenerationRecord, log: ChangeLogSize, now_ms: u64) -> Option<u64> {
    if record.state != GenerationState::Building || record.is_paused || record.prepared == 0 {
        return None;
    }
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

fn map_unknown_collection(fault: Fault) -> Refusal {
    match fault {
        Fault::Permanent(reason) if reason.code == "unknown_collection" => {
            Refusal::new(RefusalKind::NotFound, "unknown_collection", "collection", reason.detail)
        }
        other => other.into(),
    }
}
