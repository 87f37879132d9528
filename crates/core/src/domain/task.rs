//! Stage messages: small, versioned and tagged. Bodies, spans and vectors travel by reference.
//!
//! One message is one document version at every stage. Golden files in the tests fix the JSON form, so
//! that older and newer workers understand each other.

use serde::{Deserialize, Serialize};

use super::ids::{
    CollectionId, ContentHash, DocumentId, Epoch, GenerationNumber, TenantId, Version, VersionKey,
};
use super::origin::MessageOrigin;

/// The stages that consume messages, in a document's order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IngestStage {
    /// Turns bytes into spans.
    Chunk,
    /// Turns spans into vectors.
    Embed,
    /// Commits everything to the index.
    Index,
}

impl IngestStage {
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

/// The processing of one document version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IngestTask {
    /// The version.
    #[serde(flatten)]
    pub key: VersionKey,
    /// The generation it is built into.
    pub generation: GenerationNumber,
    /// That generation's epoch.
    pub epoch: Epoch,
    /// Fingerprint of the accepted content.
    pub content_hash: ContentHash,
    /// Whether it deletes the document.
    pub deletes: bool,
    /// Bytes of its body, which a worker has to hold in memory.
    pub body_bytes: u64,
    /// Failures so far.
    pub attempt: u32,
    /// When it was accepted, in milliseconds since the Unix epoch.
    pub accepted_ms: u64,
    /// The properties of the producer's message. Lost when the task is read back from the ledger.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<MessageOrigin>,
}

/// The wire form of a [`IngestTask`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", from = "FlatTaskEnvelope")]
pub enum TaskEnvelope {
    /// For the chunk stage.
    ChunkV1(IngestTask),
    /// For the embed stage.
    EmbedV1(IngestTask),
    /// For the index stage.
    IndexV1(IngestTask),
}

/// The fields of an [`TaskEnvelope`] as they stand in a message, to be read in one pass: reading a tag and
/// flattened fields would keep all of them twice.
#[derive(Deserialize)]
#[serde(expecting = "struct Flat")]
struct FlatTaskEnvelope {
    r#type: TaskEnvelopeType,
    // These four are `IngestTask::key`, which a message has flattened.
    tenant: TenantId,
    collection: CollectionId,
    document_id: DocumentId,
    version: Version,
    generation: GenerationNumber,
    epoch: Epoch,
    content_hash: ContentHash,
    deletes: bool,
    body_bytes: u64,
    attempt: u32,
    accepted_ms: u64,
    #[serde(default)]
    origin: Option<MessageOrigin>,
}

/// What may stand in a message's `type`.
#[derive(Deserialize)]
enum TaskEnvelopeType {
    ChunkV1,
    EmbedV1,
    IndexV1,
}

impl From<FlatTaskEnvelope> for TaskEnvelope {
    fn from(flat: FlatTaskEnvelope) -> Self {
        let FlatTaskEnvelope {
            tenant,
            collection,
            document_id,
            version,
            generation,
            epoch,
            content_hash,
            ..
        } = flat;
        let FlatTaskEnvelope { deletes, body_bytes, attempt, accepted_ms, origin, .. } = flat;
        let key = VersionKey { tenant, collection, document_id, version };
        let task = IngestTask {
            key,
            generation,
            epoch,
            content_hash,
            deletes,
            body_bytes,
            attempt,
            accepted_ms,
            origin,
        };
        match flat.r#type {
            TaskEnvelopeType::ChunkV1 => Self::ChunkV1(task),
            TaskEnvelopeType::EmbedV1 => Self::EmbedV1(task),
            TaskEnvelopeType::IndexV1 => Self::IndexV1(task),
        }
    }
}

impl TaskEnvelope {
    /// Addresses a task to a stage.
    pub fn new(stage: IngestStage, task: IngestTask) -> Self {
        match stage {
            IngestStage::Chunk => Self::ChunkV1(task),
            IngestStage::Embed => Self::EmbedV1(task),
            IngestStage::Index => Self::IndexV1(task),
        }
    }

    /// The stage it is for, and the task.
    pub fn open(self) -> (IngestStage, IngestTask) {
        match self {
            Self::ChunkV1(task) => (IngestStage::Chunk, task),
            Self::EmbedV1(task) => (IngestStage::Embed, task),
            Self::IndexV1(task) => (IngestStage::Index, task),
        }
    }
}
