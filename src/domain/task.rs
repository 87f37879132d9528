//! Stage messages: small, versioned and tagged. Bodies, spans and vectors travel by reference.
//!
//! One message is one document version at every stage. The JSON form is held by golden files
//! in the tests, so an older worker and a newer one understand each other.

use serde::{Deserialize, Serialize};

use super::ids::{CollectionId, ContentHash, DocumentId, Epoch, Generation, TenantId, Version, VersionKey};
use super::origin::Origin;

/// The stages that consume messages, in a document's order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Bytes to spans.
    Chunk,
    /// Spans to vectors.
    Embed,
    /// Everything to one commit.
    Index,
}

impl Stage {
    /// All stages, in order.
    pub const ALL: [Self; 3] = [Self::Chunk, Self::Embed, Self::Index];

    /// The name in queues, logs and the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Chunk => "chunk",
            Self::Embed => "embed",
            Self::Index => "index",
        }
    }

    /// The stage of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|stage| stage.name() == name)
    }
}

/// One document version on its way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// The version.
    #[serde(flatten)]
    pub key: VersionKey,
    /// The generation it is built into.
    pub generation: Generation,
    /// That generation's epoch.
    pub epoch: Epoch,
    /// Fingerprint of the accepted content.
    pub content_hash: ContentHash,
    /// Whether it deletes the document.
    pub deletes: bool,
    /// Bytes of its body: what a worker has to hold.
    pub body_bytes: u64,
    /// Failures of this message so far.
    pub attempt: u32,
    /// When it was accepted, in milliseconds since the Unix epoch.
    pub accepted_ms: u64,
    /// The producer's message it came in; lost when the task is read back from the ledger.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
}

/// The wire form of a [`Task`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", from = "Flat")]
pub enum Envelope {
    /// For the chunk stage.
    ChunkV1(Task),
    /// For the embed stage.
    EmbedV1(Task),
    /// For the index stage.
    IndexV1(Task),
}

/// The fields of an [`Envelope`] as they stand in a message, to be read in one pass: reading a tag and
/// flattened fields would keep all of them twice.
#[derive(Deserialize)]
struct Flat {
    r#type: Type,
    tenant: TenantId,
    collection: CollectionId,
    document_id: DocumentId,
    version: Version,
    generation: Generation,
    epoch: Epoch,
    content_hash: ContentHash,
    deletes: bool,
    body_bytes: u64,
    attempt: u32,
    accepted_ms: u64,
    #[serde(default)]
    origin: Option<Origin>,
}

/// What may stand in a message's `type`.
#[derive(Deserialize)]
enum Type {
    ChunkV1,
    EmbedV1,
    IndexV1,
}

impl From<Flat> for Envelope {
    fn from(flat: Flat) -> Self {
        let Flat { tenant, collection, document_id, version, generation, epoch, content_hash, .. } = flat;
        let Flat { deletes, body_bytes, attempt, accepted_ms, origin, .. } = flat;
        let key = VersionKey { tenant, collection, document_id, version };
        let task =
            Task { key, generation, epoch, content_hash, deletes, body_bytes, attempt, accepted_ms, origin };
        match flat.r#type {
            Type::ChunkV1 => Self::ChunkV1(task),
            Type::EmbedV1 => Self::EmbedV1(task),
            Type::IndexV1 => Self::IndexV1(task),
        }
    }
}

impl Envelope {
    /// Addresses a task to a stage.
    pub fn new(stage: Stage, task: Task) -> Self {
        match stage {
            Stage::Chunk => Self::ChunkV1(task),
            Stage::Embed => Self::EmbedV1(task),
            Stage::Index => Self::IndexV1(task),
        }
    }

    /// The stage it is for, and the task.
    pub fn open(self) -> (Stage, Task) {
        match self {
            Self::ChunkV1(task) => (Stage::Chunk, task),
            Self::EmbedV1(task) => (Stage::Embed, task),
            Self::IndexV1(task) => (Stage::Index, task),
        }
    }
}
