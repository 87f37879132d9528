//! Jobs on whole collections as JSON.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::document::ReasonView;
use contexture_core::jobs::audit::{AuditProgress, AuditReport};
use contexture_core::jobs::reindex::LiveGenerationStatus;
use contexture_core::jobs::repair::RepairOutcome;
use contexture_core::ports::generations::GenerationBuildPace;

/// What an audit found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuditReportView {
    /// Documents that were compared.
    pub documents: u64,
    /// Documents of which a head, chunks or points are not there.
    pub missing: u64,
    /// Documents of which the index has another version than the visible one.
    pub stale: u64,
    /// Heads and points of no version that may have them.
    pub orphan: u64,
    /// Documents that are not there as they were accepted.
    pub drift: u64,
    /// What was on the move at every look, and is left to the next audit.
    pub unsettled: u64,
}

impl AuditReportView {
    /// Everything that is not as the ledger has it.
    pub fn wrong(&self) -> u64 {
        self.missing + self.stale + self.orphan + self.drift
    }

    /// Adds the report of another collection.
    pub fn add(&mut self, other: &Self) {
        self.documents += other.documents;
        self.missing += other.missing;
        self.stale += other.stale;
        self.orphan += other.orphan;
        self.drift += other.drift;
        self.unsettled += other.unsettled;
    }
}

impl From<AuditReport> for AuditReportView {
    fn from(report: AuditReport) -> Self {
        let AuditReport { documents, missing, stale, orphan, drift, unsettled } = report;
        Self { documents, missing, stale, orphan, drift, unsettled }
    }
}

/// What an audit or a repair found and did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuditOutcomeView {
    /// What was found.
    #[serde(flatten)]
    pub report: AuditReportView,
    /// Findings that were mended.
    pub mended: u64,
    /// Findings that could not be mended.
    pub failed: u64,
}

impl From<RepairOutcome> for AuditOutcomeView {
    fn from(outcome: RepairOutcome) -> Self {
        Self { report: outcome.found.into(), mended: outcome.mended, failed: outcome.failed }
    }
}

/// How far an audit or a repair is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuditProgressView {
    /// Documents, heads and points that were looked at.
    pub done: u64,
    /// All of them, as there were at the start.
    pub total: u64,
    /// Findings that were mended.
    pub mended: u64,
}

impl AuditProgressView {
    /// The progress, and how much was mended.
    pub fn new(progress: AuditProgress, mended: u64) -> Self {
        Self { done: progress.done, total: progress.total, mended }
    }
}

/// A re-index to begin.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StartReindexRequest {
    /// The other pipeline: the name of a configured one, or the text of a pipeline file (TOML).
    pub pipeline: String,
    /// How fast; absent: without a bound, at half of what the provider bears.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pace: Option<BuildPaceRequest>,
}

/// A re-index to go on with.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ResumeReindexRequest {
    /// Another pace; absent: as before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pace: Option<BuildPaceRequest>,
}

/// How fast a generation is built.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BuildPaceRequest {
    /// Documents per second; absent: without a bound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub documents_per_second: Option<u32>,
    /// Percent of what the provider of its model bears, 1 to 100; absent: 50.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 100)]
    pub provider_percent: Option<u32>,
}

impl From<BuildPaceRequest> for GenerationBuildPace {
    fn from(pace: BuildPaceRequest) -> Self {
        let default = Self::default();
        Self {
            documents_per_second: pace.documents_per_second,
            provider_percent: pace.provider_percent.unwrap_or(default.provider_percent),
        }
    }
}

/// A generation to activate.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ActivateReindexRequest {
    /// Even if it cannot have some documents.
    #[serde(default)]
    pub allow_failed: bool,
}

/// A generation to drop.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DropGenerationRequest {
    /// Its number; absent: the oldest one that is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<u32>,
    /// How long a rollback stays possible, in ms.
    #[serde(default)]
    pub grace_ms: u64,
}

/// What was done to which generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReindexDoneView {
    /// The generation.
    pub generation: u32,
}

/// One build of a collection, and how far it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct GenerationView {
    /// Its number.
    pub generation: u32,
    /// `building`, `active` or `kept`.
    pub state: String,
    /// Whether it is paused.
    pub paused: bool,
    /// Whether it holds what the active generation holds.
    pub caught_up: bool,
    /// Documents to hold, deleted ones included.
    pub documents: u64,
    /// Documents it lacks still.
    pub remaining: u64,
    /// Documents it cannot have.
    pub failed: u64,
    /// Documents per second since it was begun, while it is being built.
    pub documents_per_second: f64,
    /// Until it has caught up, in seconds; absent where nobody can tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eta_seconds: Option<f64>,
    /// When it is to be dropped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drop_ms: Option<u64>,
    /// The first of those it cannot have.
    pub failures: Vec<BuildFailureView>,
}

/// A document that a generation cannot have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BuildFailureView {
    /// The document.
    pub document_id: String,
    /// Its version.
    pub version: u64,
    /// Why.
    pub reason: ReasonView,
}

impl GenerationView {
    /// How a generation stands at a time.
    pub fn new(standing: &LiveGenerationStatus, now_ms: u64) -> Self {
        let progress = standing.progress(now_ms);
        let failures = standing.failures.iter().map(|failure| BuildFailureView {
            document_id: failure.key.document_id.to_string(),
            version: failure.key.version.get(),
            reason: failure.reason.clone().into(),
        });
        Self {
            generation: progress.generation,
            state: progress.state.name().to_owned(),
            paused: progress.paused,
            caught_up: progress.caught_up,
            documents: progress.documents,
            remaining: progress.remaining,
            failed: progress.failed,
            documents_per_second: progress.documents_per_second,
            eta_seconds: progress.eta_seconds,
            drop_ms: progress.drop_ms,
            failures: failures.collect(),
        }
    }
}

/// The live generations of a collection, in the order of their numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct GenerationList {
    /// The generations.
    pub generations: Vec<GenerationView>,
}
