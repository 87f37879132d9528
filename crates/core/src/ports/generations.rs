//! Generations: the builds of a collection, side by side.
//!
//! A collection has one active generation, which serves, and may have others: one that is being
//! built, and those that were active before and are kept for a rollback. Every generation that is
//! not dropped holds the documents of the ledger's log of visible versions, under its own pipeline:
//! a version is *prepared* for a generation once its spans of that generation are stored, and then
//! its vectors are staged there, too. What the stages make visible is prepared for the active
//! generation already; a builder prepares what is missing anywhere, in the order of the log.
//!
//! Contract: as of the ledger, each call is one transaction. Of two live generations of a
//! collection no two have the same epoch; one at most is being built. A number is never used again.

use async_trait::async_trait;
use serde::Serialize;

use super::ledger::{ChangeLogEntry, CollectionRecord};
use crate::domain::chunk::ChunkSpan;
use crate::domain::ids::{CollectionKey, Epoch, GenerationNumber, VersionKey};
use crate::fault::{FailureReason, Fault};

/// Where a generation is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum GenerationState {
    /// Being built; serves nothing yet.
    Building,
    /// Serves.
    Active,
    /// Served before, and could again at once.
    Kept,
    /// Gone.
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
    /// Documents per second; none without a bound.
    pub documents_per_second: Option<u32>,
    /// Percent of what the provider of its model bears, 1 to 100.
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
    /// Where it is.
    pub state: GenerationState,
    /// Whether nothing is prepared for it for now.
    pub is_paused: bool,
    /// How fast it is built.
    pub pace: GenerationBuildPace,
    /// Everything up to here in the log is prepared, or has failed.
    pub cursor: u64,
    /// Where the log ends.
    pub log_end: u64,
    /// Documents that were prepared for it by a builder, so far.
    pub prepared: u64,
    /// Visible versions that cannot be prepared for it.
    pub failed: u64,
    /// When it was begun, ms since the Unix epoch.
    pub created_ms: u64,
    /// When it became active last; none if it never was.
    pub activated_ms: Option<u64>,
    /// Where the log was then: it may serve once it holds that.
    pub activated_at: u64,
    /// When it is to be dropped; none where nobody said so.
    pub drop_ms: Option<u64>,
    /// Whether everything of it is gone from the stores, once it was dropped.
    pub is_cleared: bool,
}

/// What became of the wish to build a generation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BeginBuildOutcome {
    /// It is being built.
    Started(GenerationRecord),
    /// Another is being built.
    Busy(GenerationRecord),
    /// This live generation has the same epoch already.
    Known(GenerationRecord),
}

/// A change of a generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GenerationChange {
    /// Prepare nothing until it is resumed. Of one that is being built.
    Pause,
    /// Go on.
    Resume,
    /// Another pace.
    Pace(GenerationBuildPace),
    /// Let it serve; what served before is kept. Of one that is being built or kept.
    Activate,
    /// Drop it at this time, unless it is activated before. Of one that is kept, or being built.
    DropAt(u64),
    /// It is gone. Of any but the active one.
    Dropped,
}

/// The part of the log that a generation lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnpreparedVersions {
    /// Documents to prepare, in the order of the log.
    pub changes: Vec<ChangeLogEntry>,
    /// Where the log ended when it was looked at.
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

/// A version that a generation cannot have.
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

    /// Visible versions after a position that are neither prepared for this generation nor failed,
    /// at most `limit`; tombstones need no preparing. Their tasks are of this generation.
    async fn unprepared(
        &self,
        collection: &CollectionKey,
        generation: GenerationNumber,
        after: u64,
        limit: usize,
    ) -> Result<UnpreparedVersions, Fault>;

    /// Stores the spans of versions that are prepared; false for one that is not visible any more,
    /// whose vectors are the caller's to remove.
    async fn prepared(
        &self,
        generation: GenerationNumber,
        spans: Vec<(VersionKey, Vec<ChunkSpan>)>,
    ) -> Result<Vec<bool>, Fault>;

    /// Notes versions that cannot be prepared.
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

    /// Moves the cursor forward, and counts documents that were prepared.
    async fn advance_cursor(
        &self,
        collection: &CollectionKey,
        generation: GenerationNumber,
        cursor: u64,
        prepared: u64,
    ) -> Result<(), Fault>;

    /// How long the log is, and how much of it is after a position.
    async fn log_size(&self, collection: &CollectionKey, after: u64) -> Result<ChangeLogSize, Fault>;

    /// Removes what the ledger holds of a dropped generation, at most `limit` rows; false when
    /// nothing is left.
    async fn clear_dropped(
        &self,
        collection: &CollectionKey,
        generation: GenerationNumber,
        limit: usize,
    ) -> Result<bool, Fault>;
}
