//! Answers to queries. The JSON names are a contract with other people's scripts.
//!
//! Texts and headings are the document's own bytes: `text` is exactly
//! `document[start_byte..end_byte]`. Only the rendered context escapes hidden characters.
//!
//! A passage or chunk carries its document's title, metadata and readers as the snapshot has them. The
//! readers are never written as JSON: only a caller that may see them adds them. The URL is the caller's
//! to fill in, since it depends on settings of the collection. `collection` is set where the request
//! lists collections. Answers can be read back from their JSON, without readers and timings.

mod json_fields;
mod trace;

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::domain::chunk::{SourcePlace, TextSpan};
use crate::domain::document::{DocumentAcl, DocumentDescription};
use crate::domain::ids::{ChunkId, CollectionId, DocumentId, Version};
use crate::domain::metadata::DocumentMetadata;
use json_fields::{chunk_id_text, source_fields, span_fields};
pub use trace::{CandidateTrace, CandidateVerdict};

/// The place of a text: document, version and span.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Citation {
    /// The collection, if the request lists collections.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub collection: Option<CollectionId>,
    /// The document.
    pub document_id: DocumentId,
    /// The version.
    pub version: Version,
    /// Bytes of the document's normalised text.
    #[serde(flatten, with = "span_fields")]
    pub span: TextSpan,
}

/// A span of one document in the context. It may come from several merged chunks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Passage {
    /// The collection, if the request lists collections.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub collection: Option<CollectionId>,
    /// The document.
    pub document_id: DocumentId,
    /// The version.
    pub version: Version,
    /// Bytes of the document's normalised text; passages of a document never overlap.
    #[serde(flatten, with = "span_fields")]
    pub span: TextSpan,
    /// The section of the request that it answers; empty if there are no sections.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub section: String,
    /// Headings above its first byte, outermost first; the title if there are none.
    pub heading: String,
    /// The best score among its chunks.
    pub score: f32,
    /// The bytes of the span.
    pub text: String,
    /// Where it stands in the document's source.
    #[serde(flatten, with = "source_fields")]
    pub source: Option<SourcePlace>,
    /// Where else the same, or nearly the same, text occurs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<Citation>,
    /// The document's title.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// The document's URL; the engine knows none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The document's metadata.
    #[serde(default)]
    pub metadata: DocumentMetadata,
    /// Who may read the document. Not part of the JSON, so an answer that is read back has the default.
    #[serde(skip)]
    pub acl: DocumentAcl,
}

impl Passage {
    /// A passage of this text, of which nothing else is known.
    pub fn new(document_id: DocumentId, version: Version, span: TextSpan, text: String) -> Self {
        Self {
            collection: None,
            document_id,
            version,
            span,
            section: String::new(),
            heading: String::new(),
            score: 0.0,
            text,
            source: None,
            also: Vec::new(),
            title: None,
            url: None,
            metadata: DocumentMetadata::default(),
            acl: DocumentAcl::default(),
        }
    }

    /// Copies what the document's description says.
    pub(super) fn describe(&mut self, description: &DocumentDescription) {
        self.title.clone_from(&description.title);
        self.metadata.clone_from(&description.metadata);
        self.acl.clone_from(&description.acl);
    }
}

/// A context and how it was assembled.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct AssembledContext {
    /// The rendered text; empty when nothing fits.
    pub context: String,
    /// Its counted tokens; never more than the budget.
    pub tokens: usize,
    /// The byte of `context` after each passage and its framing.
    pub ends: Vec<usize>,
    /// Ordinals of the first and the last chunk of each new passage; passages kept in front have none here.
    pub chunks: Vec<(u32, u32)>,
    /// Its passages, as numbered in the text.
    pub passages: Vec<Passage>,
    /// Proven share of the best possible gain, within 0 and 1.
    pub bound: f64,
    /// The gain of what was chosen.
    pub gain: f64,
    /// The gain of the passages kept in front.
    pub kept_gain: f64,
    /// One entry per candidate, best first.
    pub trace: Vec<CandidateTrace>,
}

/// How much of the previous context an answer starts with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReusedPrefix {
    /// Passages that were kept.
    pub passages: usize,
    /// Bytes that both contexts share at their start.
    pub bytes: usize,
    /// Tokens of these bytes.
    pub tokens: usize,
    /// Where and why it ends; none if everything was kept.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub broken: Option<PrefixBreak>,
}

/// Where a reused prefix ends, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrefixBreak {
    /// Number of the first passage that was not kept.
    #[serde(rename = "broken_at")]
    pub passage: usize,
    /// Why.
    #[serde(rename = "broken_by")]
    pub by: PrefixBreakReason,
}

/// Why a passage of the previous context was not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PrefixBreakReason {
    /// Its document has another version.
    Superseded,
    /// Its document was deleted, or is not the caller's to read.
    Gone,
    /// The filter excludes its document.
    Filtered,
    /// Its bytes, or how they are written, changed.
    Changed,
    /// The request asks for another style.
    Style,
    /// It left too little room for the new question.
    Room,
    /// A new passage contains the tag that fences it.
    Fence,
}

impl PrefixBreakReason {
    /// The name it has in answers.
    pub fn name(self) -> &'static str {
        match self {
            Self::Superseded => "superseded",
            Self::Gone => "gone",
            Self::Filtered => "filtered",
            Self::Changed => "changed",
            Self::Style => "style",
            Self::Room => "room",
            Self::Fence => "fence",
        }
    }
}

/// A part that is missing from an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum AnswerDegradation {
    /// The dense leg was late or failed.
    Dense,
    /// The reranker was late or failed.
    Rerank,
    /// Not all dense hits that are missing from the snapshot could be replaced.
    Refill,
    /// The stores lack documents that the ledger has; a repair brings them back.
    Index,
}

impl AnswerDegradation {
    /// The name in answers.
    pub fn name(self) -> &'static str {
        match self {
            Self::Dense => "DENSE",
            Self::Rerank => "RERANK",
            Self::Refill => "REFILL",
            Self::Index => "INDEX",
        }
    }
}

/// How long each step took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct QueryTimings {
    /// Both legs and the snapshot check.
    pub retrieve: Duration,
    /// Fusion.
    pub fuse: Duration,
    /// The reranker.
    pub rerank: Duration,
    /// Selection, rendering and counting.
    pub assemble: Duration,
}

/// The answer to `query`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ContextAnswer {
    /// The rendered text.
    pub context: String,
    /// Its tokens.
    pub tokens: usize,
    /// The budget of the request.
    pub budget: usize,
    /// The tokenizer that counted.
    pub tokenizer: String,
    /// The index snapshot that was read; of several the one with the highest number.
    pub snapshot: u64,
    /// The snapshot of each collection, if several were read. Each collection counts its own commits.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub snapshots: BTreeMap<CollectionId, u64>,
    /// The parts that are missing from the answer.
    pub degraded: Vec<AnswerDegradation>,
    /// Tokens of the budget that were reserved for question and answer.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub reserved: usize,
    /// The passages, as numbered in the text.
    pub passages: Vec<Passage>,
    /// How much of the previous context it starts with; only if the request continues one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<ReusedPrefix>,
    /// Handed back with the next request, it makes a context that starts with this one; only on request.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub continuation: String,
    /// Proven share of the best possible gain.
    pub bound: f64,
    /// One entry per candidate; empty unless asked for.
    pub trace: Vec<CandidateTrace>,
    /// How long it took; not part of the JSON, so equal questions give equal bytes.
    #[serde(skip)]
    pub timings: QueryTimings,
}

/// One chunk of a search result.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RankedChunk {
    /// The chunk.
    #[serde(with = "chunk_id_text")]
    pub chunk_id: ChunkId,
    /// The collection, if the request lists collections.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub collection: Option<CollectionId>,
    /// The document.
    pub document_id: DocumentId,
    /// The version.
    pub version: Version,
    /// Bytes of the document's normalised text.
    #[serde(flatten, with = "span_fields")]
    pub span: TextSpan,
    /// Headings above it, outermost first; the title if there are none.
    pub heading: String,
    /// Its score.
    pub score: f32,
    /// The bytes of the span.
    pub text: String,
    /// Where it stands in the document's source.
    #[serde(flatten, with = "source_fields")]
    pub source: Option<SourcePlace>,
    /// Where else the same text occurs, under the same headings.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<Citation>,
    /// The document's title.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// The document's URL; the engine knows none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The document's metadata.
    #[serde(default)]
    pub metadata: DocumentMetadata,
    /// Who may read the document. Not part of the JSON, so an answer that is read back has the default.
    #[serde(skip)]
    pub acl: DocumentAcl,
}

/// The answer to `search`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SearchAnswer {
    /// Chunks, best first.
    pub results: Vec<RankedChunk>,
    /// The index snapshot that was read; of several the one with the highest number.
    pub snapshot: u64,
    /// The snapshot of each collection, if several were read. Each collection counts its own commits.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub snapshots: BTreeMap<CollectionId, u64>,
    /// The parts that are missing from the answer.
    pub degraded: Vec<AnswerDegradation>,
    /// How long it took; not part of the JSON.
    #[serde(skip)]
    pub timings: QueryTimings,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_zero(number: &usize) -> bool {
    *number == 0
}
