//! The records that a ledger stores and answers with.

use serde::Serialize;

use crate::domain::document::DocumentDescription;
use crate::domain::ids::{
    CollectionKey, ContentHash, Epoch, GenerationNumber, TenantId, Version, VersionKey,
};
use crate::domain::task::{IngestStage, IngestTask};
use crate::fault::FailureReason;
use crate::ports::converter::ConvertedText;

/// A collection and one of its generations: the active one, where nothing else is said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CollectionRecord {
    /// Its key.
    pub key: CollectionKey,
    /// The generation's pipeline definition, as TOML.
    pub pipeline: String,
    /// The generation.
    pub generation: GenerationNumber,
    /// That generation's epoch.
    pub epoch: Epoch,
}

/// The decision about a submission.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum IntakeDecision {
    /// Stored; it will be processed.
    Accepted,
    /// Nothing to do: the document has this content already.
    Duplicate,
    /// The same version is stored with other content.
    Conflict,
    /// A higher version is stored already.
    Superseded,
}

/// The answer to one submission.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubmissionReceipt {
    /// The version it got, or the one that won over it.
    pub version: Version,
    /// The decision.
    pub intake: IntakeDecision,
    /// The task to publish, when accepted.
    pub task: Option<IngestTask>,
}

/// The state of a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum VersionState {
    /// Stored, not yet chunked.
    Accepted,
    /// Spans are stored.
    Chunked,
    /// Vectors are staged.
    Embedded,
    /// Committed to the index.
    Visible,
    /// A newer version won.
    Superseded,
    /// Failed for good, with a reason.
    Dead,
}

impl VersionState {
    /// The name in answers and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Chunked => "chunked",
            Self::Embedded => "embedded",
            Self::Visible => "visible",
            Self::Superseded => "superseded",
            Self::Dead => "dead",
        }
    }

    /// Whether it is final, unless a person or a newer version changes it.
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Visible | Self::Superseded | Self::Dead)
    }
}

/// A stored body and its description.
#[derive(Debug, Clone)]
pub struct StoredBody {
    /// The bytes as submitted.
    pub body: Vec<u8>,
    /// Title, type, metadata, readers.
    pub description: DocumentDescription,
    /// The fingerprint at intake.
    pub content_hash: ContentHash,
    /// The version's state now.
    pub state: VersionState,
    /// Whether a newer version of the document is visible already: its work would be in vain.
    pub overtaken: bool,
    /// What a converter made of it, if one did: the text that spans refer to.
    pub converted: Option<ConvertedText>,
}

/// One version in a document's history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionRecord {
    /// The version.
    pub key: VersionKey,
    /// Its state.
    pub state: VersionState,
    /// Why it is dead.
    pub reason: Option<FailureReason>,
    /// Whether it deletes the document.
    pub deletes: bool,
    /// Its fingerprint.
    pub content_hash: ContentHash,
    /// Bytes of its body.
    pub body_bytes: u64,
    /// Number of chunks, once chunked.
    pub chunk_count: Option<u32>,
    /// When it was accepted, ms since the Unix epoch.
    pub accepted_ms: u64,
    /// When its state last changed.
    pub updated_ms: u64,
}

/// Versions of a collection by state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct VersionCounts {
    /// Every version ever accepted.
    pub accepted: u64,
    /// Not yet terminal.
    pub in_flight: u64,
    /// Serving; at most one of each document.
    pub visible: u64,
    /// Lost to a newer version.
    pub superseded: u64,
    /// Failed for good.
    pub dead: u64,
    /// Documents with a live (not deleted) visible version.
    pub documents: u64,
}

/// How a version ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VersionOutcome {
    /// Committed to the index of this generation; the version that was visible before becomes
    /// superseded.
    Visible(GenerationNumber),
    /// A newer version was committed first.
    Superseded,
    /// Failed for good, in this stage.
    Dead(IngestStage, FailureReason),
}

/// A dead version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// Its number on the command line.
    pub id: u64,
    /// The version.
    pub key: VersionKey,
    /// The stage that gave up.
    pub stage: IngestStage,
    /// Why.
    pub reason: FailureReason,
    /// When, ms since the Unix epoch.
    pub died_ms: u64,
}

/// Selects dead letters; an empty filter selects all.
#[derive(Debug, Clone, Default)]
pub struct DeadLetterFilter {
    /// Only these numbers, if any are given.
    pub ids: Vec<u64>,
    /// Only this tenant.
    pub tenant: Option<TenantId>,
    /// Only this collection.
    pub collection: Option<CollectionKey>,
    /// Only this reason code.
    pub reason: Option<String>,
    /// Only this stage.
    pub stage: Option<IngestStage>,
    /// Only those that died at or after this time, ms since the Unix epoch.
    pub since_ms: Option<u64>,
    /// Only numbers above this one: the next page after a letter of that number.
    pub after_id: Option<u64>,
}

/// An entry of the log of visible versions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangeLogEntry {
    /// Its position: grows by one with every version of the collection that becomes visible.
    pub position: u64,
    /// The document's visible version.
    pub task: IngestTask,
}

/// A version that lost, and whose staged vectors are to be deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnsweptVersion {
    /// The version.
    pub key: VersionKey,
    /// Its fingerprint.
    pub content_hash: ContentHash,
    /// Its chunks in this generation, ordinals `0..chunk_count`.
    pub chunk_count: u32,
    /// The generation they were made for.
    pub generation: GenerationNumber,
    /// That generation's epoch.
    pub epoch: Epoch,
}

/// The extent of a log of visible versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ChangeLogExtent {
    /// Documents in it, deleted ones included.
    pub documents: u64,
    /// The position of the last entry ever made; 0 if none was.
    pub end: u64,
}
