//! Answers to queries. The JSON names are a contract with other people's scripts.
//!
//! Texts and headings are the document's own bytes: `text` is exactly
//! `document[start_byte..end_byte]`. Only the rendered context escapes hidden characters.

use std::time::Duration;

use serde::ser::{SerializeStruct, Serializer};
use serde::{Deserialize, Serialize};

use crate::domain::chunk::TextSpan;
use crate::domain::ids::{ChunkId, DocumentId, Version};

/// The place of a text: document, version and span.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Citation {
    /// The document.
    pub document_id: DocumentId,
    /// The version.
    pub version: Version,
    /// Bytes of the document's normalised text.
    #[serde(flatten, serialize_with = "span_fields")]
    pub span: TextSpan,
}

/// A span of one document in the context. It may come from several merged chunks.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Passage {
    /// The document.
    pub document_id: DocumentId,
    /// The version.
    pub version: Version,
    /// Bytes of the document's normalised text; passages of a document never overlap.
    #[serde(flatten, serialize_with = "span_fields")]
    pub span: TextSpan,
    /// The section of the request that it answers; empty if there are no sections.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub section: String,
    /// Headings above its first byte, outermost first; the title if there are none.
    pub heading: String,
    /// The best score among its chunks.
    pub score: f32,
    /// The bytes of the span.
    pub text: String,
    /// Where else the same, or nearly the same, text occurs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<Citation>,
}

/// The verdict on one candidate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum CandidateVerdict {
    /// The best candidate of a passage, in whole or in part. If it is in several passages, the first is
    /// named.
    Kept {
        /// Number of the passage, from 1.
        passage: usize,
    },
    /// In a passage, in whole or in part, whose best candidate is another.
    MergedInto {
        /// Number of the passage, from 1.
        passage: usize,
    },
    /// Has the same text as another, white space aside.
    DuplicateOf {
        /// The candidate that stands for both.
        #[serde(serialize_with = "as_text")]
        of: ChunkId,
    },
    /// Has nearly the same text as another.
    NearDuplicateOf {
        /// The candidate that stands for both.
        #[serde(serialize_with = "as_text")]
        of: ChunkId,
    },
    /// Every sentence of it occurs, word for word, in another candidate.
    CoveredBy {
        /// The candidate that has the first of them.
        #[serde(serialize_with = "as_text")]
        of: ChunkId,
    },
    /// The context kept from the previous answer contains it.
    InPrefix,
    /// Did not fit into what was left of the budget.
    OverBudget,
    /// Less relevant than the cut-off.
    BelowCutoff,
    /// Its document has the most passages that the request allows.
    DocumentCap,
    /// Found, but the filter excludes its metadata in the snapshot.
    Filtered,
    /// Found, but no longer in the snapshot: its document was replaced or deleted.
    Superseded,
    /// Chosen, then given back when the final text was counted.
    GivenBack,
    /// Nothing but white space.
    Blank,
    /// Its text contradicts its span or an overlapping candidate.
    Inconsistent,
}

/// Why one candidate is or is not in the context.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CandidateTrace {
    /// The candidate.
    #[serde(serialize_with = "as_text")]
    pub chunk_id: ChunkId,
    /// Its place; unknown if the snapshot no longer has it.
    #[serde(flatten)]
    pub citation: Option<Citation>,
    /// Its score before assembly.
    pub score: f32,
    /// What the whole of it adds to the objective.
    pub gain: f64,
    /// Bytes of it that are in the context.
    pub kept_bytes: usize,
    /// Tokens it adds to the rendered text: counted if it was about to be chosen, else estimated from
    /// its embedder tokens.
    pub tokens: usize,
    /// The verdict.
    #[serde(flatten)]
    pub verdict: CandidateVerdict,
}

impl CandidateTrace {
    /// The entry of a hit that could not be a candidate.
    pub fn dropped(
        chunk_id: ChunkId,
        citation: Option<Citation>,
        score: f32,
        verdict: CandidateVerdict,
    ) -> Self {
        Self { chunk_id, citation, score, gain: 0.0, kept_bytes: 0, tokens: 0, verdict }
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct PrefixBreak {
    /// Number of the first passage that was not kept.
    #[serde(rename = "broken_at")]
    pub passage: usize,
    /// Why.
    #[serde(rename = "broken_by")]
    pub by: PrefixBreakReason,
}

/// Why a passage of the previous context was not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
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
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ContextAnswer {
    /// The rendered text.
    pub context: String,
    /// Its tokens.
    pub tokens: usize,
    /// The budget of the request.
    pub budget: usize,
    /// The tokenizer that counted.
    pub tokenizer: String,
    /// The index snapshot that was read.
    pub snapshot: u64,
    /// The parts that are missing from the answer.
    pub degraded: Vec<AnswerDegradation>,
    /// Tokens of the budget that were reserved for question and answer.
    #[serde(skip_serializing_if = "is_zero")]
    pub reserved: usize,
    /// The passages, as numbered in the text.
    pub passages: Vec<Passage>,
    /// How much of the previous context it starts with; only if the request continues one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefix: Option<ReusedPrefix>,
    /// Handed back with the next request, it makes a context that starts with this one; only on request.
    #[serde(skip_serializing_if = "String::is_empty")]
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
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RankedChunk {
    /// The chunk.
    #[serde(serialize_with = "as_text")]
    pub chunk_id: ChunkId,
    /// The document.
    pub document_id: DocumentId,
    /// The version.
    pub version: Version,
    /// Bytes of the document's normalised text.
    #[serde(flatten, serialize_with = "span_fields")]
    pub span: TextSpan,
    /// Headings above it, outermost first; the title if there are none.
    pub heading: String,
    /// Its score.
    pub score: f32,
    /// The bytes of the span.
    pub text: String,
}

/// The answer to `search`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SearchAnswer {
    /// Chunks, best first.
    pub results: Vec<RankedChunk>,
    /// The index snapshot that was read.
    pub snapshot: u64,
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

fn span_fields<S: Serializer>(span: &TextSpan, serializer: S) -> Result<S::Ok, S::Error> {
    let mut fields = serializer.serialize_struct("Span", 2)?;
    fields.serialize_field("start_byte", &span.start)?;
    fields.serialize_field("end_byte", &span.end)?;
    fields.end()
}

fn as_text<S: Serializer>(id: &ChunkId, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(id)
}
