//! What an audit finds, and how it is counted.

use serde::{Deserialize, Serialize};

use crate::domain::ids::{ChunkId, DocumentId, Version};
use crate::ingest::restore::VersionToRestore;

/// What kind of difference was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AuditFindingKind {
    /// A visible version's head, chunks or points are not there.
    Missing,
    /// The index has another version of the document than the visible one.
    Stale,
    /// A head or a point of no version that may have one.
    Orphan,
    /// The right version, but not as it was accepted: another content hash, epoch or number of
    /// chunks, chunks too many, or a point stored for something else.
    Drift,
}

impl AuditFindingKind {
    /// The name in answers.
    pub fn name(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Stale => "stale",
            Self::Orphan => "orphan",
            Self::Drift => "drift",
        }
    }
}

/// The store that differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AuditedStore {
    /// The lexical index.
    Index,
    /// The vectors.
    Vectors,
    /// Both.
    Both,
}

impl AuditedStore {
    /// The name in answers.
    pub fn name(self) -> &'static str {
        match self {
            Self::Index => "index",
            Self::Vectors => "vectors",
            Self::Both => "both",
        }
    }
}

/// One difference, and what repairs it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "most are documents")]
pub enum AuditFinding {
    /// A visible document. It is reported once, under its gravest kind.
    Document(AuditFindingKind, VersionToRestore),
    /// A document that the index holds and the ledger does not have visible.
    Head(DocumentId),
    /// A point that belongs to no version.
    Point(ChunkId, Option<DocumentId>),
}

impl AuditFinding {
    /// Its kind.
    pub fn kind(&self) -> AuditFindingKind {
        match self {
            Self::Document(kind, _) => *kind,
            Self::Head(_) | Self::Point(..) => AuditFindingKind::Orphan,
        }
    }

    /// The finding for a reader.
    pub fn summary(&self) -> FindingSummary {
        let (store, document_id, version, point) = match self {
            Self::Document(_, VersionToRestore { task, index, vectors }) => {
                let store = match (index, vectors) {
                    (true, true) => AuditedStore::Both,
                    (true, false) => AuditedStore::Index,
                    // A finding has at least one wrong store, so without the index it is the vectors.
                    (false, _) => AuditedStore::Vectors,
                };
                (store, Some(task.key.document_id.clone()), Some(task.key.version), None)
            }
            Self::Head(document_id) => (AuditedStore::Index, Some(document_id.clone()), None, None),
            Self::Point(id, document_id) => {
                (AuditedStore::Vectors, document_id.clone(), None, Some(id.to_string()))
            }
        };
        FindingSummary { kind: self.kind(), store, document_id, version, point }
    }
}

/// A finding as answers show it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FindingSummary {
    /// What is wrong.
    pub kind: AuditFindingKind,
    /// Where.
    pub store: AuditedStore,
    /// The document, if the store says it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub document_id: Option<DocumentId>,
    /// Its visible version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<Version>,
    /// The point that belongs to no version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub point: Option<String>,
}

/// The counts of an audit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct AuditReport {
    /// Documents that were compared, without deleted ones.
    pub documents: u64,
    /// Documents with something missing.
    pub missing: u64,
    /// Documents of which the index has another version.
    pub stale: u64,
    /// Heads and points that belong to no visible version.
    pub orphan: u64,
    /// Documents whose visible version is stored differently from how it was accepted.
    pub drift: u64,
    /// Suspects that moved at every inspection. They are not counted elsewhere.
    pub unsettled: u64,
}

impl AuditReport {
    /// All differences.
    pub fn wrong(&self) -> u64 {
        // Without `unsettled`: those were on the move and may well be right.
        self.missing + self.stale + self.orphan + self.drift
    }

    /// The differences of one kind.
    pub fn count_of(&self, kind: AuditFindingKind) -> u64 {
        match kind {
            AuditFindingKind::Missing => self.missing,
            AuditFindingKind::Stale => self.stale,
            AuditFindingKind::Orphan => self.orphan,
            AuditFindingKind::Drift => self.drift,
        }
    }

    /// Counts one finding.
    pub fn count(&mut self, finding: &AuditFinding) {
        match finding.kind() {
            AuditFindingKind::Missing => self.missing += 1,
            AuditFindingKind::Stale => self.stale += 1,
            AuditFindingKind::Orphan => self.orphan += 1,
            AuditFindingKind::Drift => self.drift += 1,
        }
    }

    /// Adds the counts of another collection.
    pub fn add(&mut self, other: &Self) {
        self.documents += other.documents;
        self.missing += other.missing;
        self.stale += other.stale;
        self.orphan += other.orphan;
        self.drift += other.drift;
        self.unsettled += other.unsettled;
    }
}

/// The result of an audit.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AuditOutcome {
    /// The counts.
    pub report: AuditReport,
    /// The first findings.
    pub findings: Vec<FindingSummary>,
}
