//! Measurements of the work of this process.
//!
//! The worker says what was done. What becomes of it, such as a page of metrics, is not its concern.
//! No call waits or fails, and none takes the name of a tenant, a collection or a document.

use std::time::Duration;

use crate::domain::task::IngestStage;

/// The outcome of a stage message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StageMessageOutcome {
    /// Its document went on to the next stage, or to the first stage of another generation.
    HandedOn,
    /// Its version is visible.
    Visible,
    /// A newer version won.
    Superseded,
    /// Its version is dead.
    Dead,
    /// It failed and is retried.
    Retried,
    /// It waits for a provider or a credential, which costs no attempt.
    Waiting,
    /// Its version had ended before.
    Repeated,
}

impl StageMessageOutcome {
    /// All, in the order of the metrics page.
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

/// The cost of one batch at a model.
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
    /// A stage worked on a batch for `took`.
    fn batch(&self, stage: IngestStage, took: Duration);

    /// A message of a stage was settled.
    fn settled(&self, stage: IngestStage, outcome: StageMessageOutcome);

    /// A version became visible, `after` its acceptance.
    fn visible(&self, after: Duration);

    /// A model was called.
    fn spent(&self, spent: EmbeddingCallCounts<'_>);

    /// Chunks got their vector from the cache, or from a call that was under way already.
    fn cached(&self, chunks: u64);

    /// Chunks were committed to an index.
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
