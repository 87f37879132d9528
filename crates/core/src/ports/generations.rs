//! Generations: the builds of a collection, side by side.
//!
//! A collection has one active generation, which serves. It may have others: one that is being built,
//! and earlier ones that are kept for a rollback. Every generation that is not dropped holds the
//! documents of the ledger's log of visible versions, under its own pipeline.
//!
//! A version is *prepared* for a generation once its spans of that generation are stored; its vectors
//! are staged there by then. What the stages make visible is prepared for the active generation
//! already. A builder prepares what is missing in any generation, in the order of the log.
//!
//! Contract: each call is one transaction of the ledger. No two live generations of a collection have
//! the same epoch. At most one is being built. A number is never reused.

use async_trait::async_trait;
use serde::Serialize;

use super::ledger_records::{ChangeLogEntry, CollectionRecord};
use crate::domain::chunk::ChunkSpan;
use crate::domain::ids::{CollectionKey, Epoch, GenerationNumber, VersionKey};
use crate::fault::{FailureReason, Fault};

/// The state of a generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum GenerationState {
    /// Being built; not serving yet.
    Building,
    /// Serving.
    Active,
    /// Served before; can serve again at once.
    Kept,
    /// Deleted.
    Dropped,
}

impl GenerationState {
    /// Every state.
    pub const ALL: [Self; 4] = [Self::Building, Self::Active, Self::Kept, Self::Dropped];

    /// The name in the ledger, in answers and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Building => "building",
            Self::Active => "active",
            Self::Kept => "kept",
            Self::Dropped => "dropped",
        }
    }

    /// The state of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }
}

/// How fast a generation is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct GenerationBuildPace {
    /// Documents per second; none is unbounded.
    pub documents_per_second: Option<u32>,
    /// Percent of what the provider of its model allows, 1 to 100.
    pub provider_percent: u32,
}

impl Default for GenerationBuildPace {
    fn default() -> Self {
        Self { documents_per_second: None, provider_percent: 50 }
    }
}

/// One build of a collection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GenerationRecord {
    /// The collection under this generation's number, pipeline and epoch.
    pub home: CollectionRecord,
    /// Its state.
    pub state: GenerationState,
    /// Whether its build is paused.
    pub is_paused: bool,
    /// How fast it is built.
    pub pace: GenerationBuildPace,
    /// Everything up to this position of the log is prepared or has failed.
    pub cursor: u64,
    /// The end of the log.
    pub log_end: u64,
    /// Documents that a builder has prepared for it so far.
    pub prepared: u64,
    /// Visible versions that cannot be prepared for it.
    pub failed: u64,
    /// When it was begun, ms since the Unix epoch.
    pub created_ms: u64,
    /// When it became active last; none if it never was.
    pub activated_ms: Option<u64>,
    /// The end of the log at that time. An index may serve once it holds the log up to there.
    pub activated_at: u64,
    /// When it is to be dropped; none if not scheduled.
    pub drop_ms: Option<u64>,
    /// Whether all its data is gone from the stores, after it was dropped.
    pub is_cleared: bool,
}

/// The result of asking for a build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BeginBuildOutcome {
    /// The build has begun.
    Started(GenerationRecord),
    /// Another build is under way.
    Busy(GenerationRecord),
    /// This live generation has the same epoch already.
    Known(GenerationRecord),
}

/// A change of a generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GenerationChange {
    /// Pause the build. Only while it is being built.
    Pause,
    /// Resume the build.
    Resume,
    /// Change the pace.
    Pace(GenerationBuildPace),
    /// Make it serve; the one that served before is kept. Only if it is being built or kept.
    Activate,
    /// Drop it at this time, unless it is activated first. Only if it is kept or being built.
    DropAt(u64),
    /// Drop it now. Any but the active one.
    Dropped,
}

/// The part of the log that is not prepared for a generation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnpreparedVersions {
    /// Documents to prepare, in the order of the log.
    pub changes: Vec<ChangeLogEntry>,
    /// The end of the log at the time of the call.
    pub end: u64,
}

/// The size of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct ChangeLogSize {
    /// Entries, tombstones included.
    pub entries: u64,
    /// Entries after the position that was asked for.
    pub after: u64,
}

/// A version that cannot be prepared for a generation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GenerationBuildFailure {
    /// The version.
    pub key: VersionKey,
    /// Why.
    pub reason: FailureReason,
}

/// The builds of collections.
#[async_trait]
pub trait GenerationLedger: Send + Sync {
    /// Begins a build of an existing collection under another pipeline.
    async fn begin_generation(
        &self,
        collection: &CollectionKey,
        pipeline: &str,
        epoch: Epoch,
        pace: GenerationBuildPace,
    ) -> Result<BeginBuildOutcome, Fault>;

    /// All generations, of one collection or of all, in the order of their numbers; dropped ones
    /// included.
    async fn generations(&self, collection: Option<&CollectionKey>) -> Result<Vec<GenerationRecord>, Fault>;

    /// Changes a generation; false where its state does not allow it.
    async fn change_generation(
        &self,
        collection: &CollectionKey,
        generation: GenerationNumber,
        change: GenerationChange,
    ) -> Result<bool, Fault>;

    /// Visible versions after a position that are neither prepared for this generation nor failed, at
    /// most `limit`, as tasks of this generation. Tombstones need no preparing.
    async fn unprepared(
        &self,
        collection: &CollectionKey,
        generation: GenerationNumber,
        after: u64,
        limit: usize,
    ) -> Result<UnpreparedVersions, Fault>;

    /// Stores the spans of prepared versions. False for a version that is no longer visible: the caller
    /// removes its vectors.
    async fn prepared(
        &self,
        generation: GenerationNumber,
        spans: Vec<(VersionKey, Vec<ChunkSpan>)>,
    ) -> Result<Vec<bool>, Fault>;

    /// Records versions that cannot be prepared.
    async fn fail_preparing(
        &self,
        generation: GenerationNumber,
        failures: Vec<GenerationBuildFailure>,
    ) -> Result<(), Fault>;

    /// Visible versions that could not be prepared, at most `limit`.
    async fn failures(
        &self,
        collection: &CollectionKey,
        generation: GenerationNumber,
        limit: usize,
    ) -> Result<Vec<GenerationBuildFailure>, Fault>;

    /// Moves the cursor forward and adds to the count of prepared documents.
    async fn advance_cursor(
        &self,
        collection: &CollectionKey,
        generation: GenerationNumber,
        cursor: u64,
        prepared: u64,
    ) -> Result<(), Fault>;

    /// The size of the log, in all and after a position.
    async fn log_size(&self, collection: &CollectionKey, after: u64) -> Result<ChangeLogSize, Fault>;

    /// Deletes the ledger's data of a dropped generation, at most `limit` rows; false when nothing is
    /// left.
    async fn clear_dropped(
        &self,
        collection: &CollectionKey,
        generation: GenerationNumber,
        limit: usize,
    ) -> Result<bool, Fault>;
}
