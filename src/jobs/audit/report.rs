//! What an audit finds, and how it is counted.

use serde::{Deserialize, Serialize};

use crate::domain::ids::{ChunkId, DocumentId, Version};
use crate::ingest::restore::Wanted;

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
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

impl Kind {
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

/// Where it is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Store {
    /// The lexical index.
    Index,
    /// The vectors.
    Vectors,
    /// Both.
    Both,
}

impl Store {
    /// The name in answers.
    pub fn name(self) -> &'static str {
        match self {
            Self::Index => "index",
            Self::Vectors => "vectors",
            Self::Both => "both",
        }
    }
}

/// One thing that is wrong, and what mends it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "most are documents")]
pub enum Finding {
    /// A visible document, once, under the gravest of its kinds.
    Document(Kind, Wanted),
    /// A document that the index holds and the ledger does not have visible.
    Head(DocumentId),
    /// A point that is nobody's.
    Point(ChunkId, Option<DocumentId>),
}

impl Finding {
    /// Its kind.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Document(kind, _) => *kind,
            Self::Head(_) | Self::Point(..) => Kind::Orphan,
        }
    }

    /// In words.
    pub fn shown(&self) -> Shown {
        let (store, document_id, version, point) = match self {
            Self::Document(_, Wanted { task, index, vectors }) => {
                let store = match (index, vectors) {
                    (true, true) => Store::Both,
                    (true, false) => Store::Index,
                    (false, _) => Store::Vectors,
                };
                (store, Some(task.key.document_id.clone()), Some(task.key.version), None)
            }
            Self::Head(document_id) => (Store::Index, Some(document_id.clone()), None, None),
            Self::Point(id, document_id) => (Store::Vectors, document_id.clone(), None, Some(id.to_string())),
        };
        Shown { kind: self.kind(), store, document_id, version, point }
    }
}

/// A finding for whoever reads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Shown {
    /// What is wrong.
    pub kind: Kind,
    /// Where.
    pub store: Store,
    /// The document, if the store says it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub document_id: Option<DocumentId>,
    /// Its visible version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<Version>,
    /// The point that is nobody's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub point: Option<String>,
}

/// The counts of an audit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Report {
    /// Documents that were compared, without deleted ones.
    pub documents: u64,
    /// Documents with something missing.
    pub missing: u64,
    /// Documents of which the index has another version.
    pub stale: u64,
    /// Heads and points of nobody.
    pub orphan: u64,
    /// Documents whose visible version stands there otherwise than it was accepted.
    pub drift: u64,
    /// Suspects that were on the move at every look; not counted elsewhere.
    pub unsettled: u64,
}

impl Report {
    /// Everything that is wrong.
    pub fn wrong(&self) -> u64 {
        self.missing + self.stale + self.orphan + self.drift
    }

    /// What is wrong in one way.
    pub fn of(&self, kind: Kind) -> u64 {
        match kind {
            Kind::Missing => self.missing,
            Kind::Stale => self.stale,
            Kind::Orphan => self.orphan,
            Kind::Drift => self.drift,
        }
    }

    /// Counts one finding.
    pub fn count(&mut self, finding: &Finding) {
        match finding.kind() {
            Kind::Missing => self.missing += 1,
            Kind::Stale => self.stale += 1,
            Kind::Orphan => self.orphan += 1,
            Kind::Drift => self.drift += 1,
        }
    }

    /// Adds another collection's.
    pub fn add(&mut self, other: &Self) {
        self.documents += other.documents;
        self.missing += other.missing;
        self.stale += other.stale;
        self.orphan += other.orphan;
        self.drift += other.drift;
        self.unsettled += other.unsettled;
    }
}

/// What an audit says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Audited {
    /// The counts.
    pub report: Report,
    /// The first findings.
    pub findings: Vec<Shown>,
}
