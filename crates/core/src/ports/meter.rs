//! Where the work of this process is measured.
//!
//! Whoever works says what was done; what becomes of it (a page of metrics, nothing) is not its
//! concern. Nothing here waits, fails or keeps a name of a tenant, a collection or a document.

use std::time::Duration;

use crate::domain::task::IngestStage;

/// What became of a message of a stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StageMessageOutcome {
    /// Its document went on to another stage, or to the first of another generation.
    HandedOn,
    /// Its version is visible.
    Visible,
    /// A newer version took its place.
    Superseded,
    /// Its version is dead.
    Dead,
    /// It failed, and is tried again.
    Retried,
    /// It waits for a provider or a credential, which costs no attempt.
    Waiting,
    /// Its version had ended before.
    Repeated,
}

impl StageMessageOutcome {
    /// All, in the order of a page.
    pub const ALL: [Self; 7] = [
        Self::HandedOn,
        Self::Visible,
        Self::Superseded,
        Self::Dead,
        Self::Retried,
        Self::Waiting,
        Self::Repeated,
    ];

    /// The name in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::HandedOn => "handed_on",
            Self::Visible => "visible",
            Self::Superseded => "superseded",
            Self::Dead => "dead",
            Self::Retried => "retried",
            Self::Waiting => "waiting",
            Self::Repeated => "repeated",
        }
    }
}

/// What was asked of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EmbeddingCallCounts<'a> {
    /// The model, as the pipeline names it.
    pub model: &'a str,
    /// Calls.
    pub requests: u64,
    /// Texts that got a vector.
    pub texts: u64,
    /// Their tokens.
    pub tokens: u64,
}

/// Takes measurements.
pub trait IngestMeter: Send + Sync {
    /// A stage worked on a batch for so long.
    fn batch(&self, stage: IngestStage, took: Duration);

    /// A message of a stage was settled.
    fn settled(&self, stage: IngestStage, fate: StageMessageOutcome);

    /// A version became visible so long after it was accepted.
    fn visible(&self, after: Duration);

    /// A model was asked.
    fn spent(&self, spent: EmbeddingCallCounts<'_>);

    /// So many chunks got a vector that the cache, or a call under way, had already.
    fn cached(&self, chunks: u64);

    /// So many chunks were committed to an index.
    fn committed(&self, chunks: u64);
}

/// Measures nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoopIngestMeter;

impl IngestMeter for NoopIngestMeter {
    fn batch(&self, _: IngestStage, _: Duration) {}
    fn settled(&self, _: IngestStage, _: StageMessageOutcome) {}
    fn visible(&self, _: Duration) {}
    fn spent(&self, _: EmbeddingCallCounts<'_>) {}
    fn cached(&self, _: u64) {}
    fn committed(&self, _: u64) {}
}
