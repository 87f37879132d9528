//! What a query returns. The JSON names are a contract with other people's scripts.
//!
//! Texts and headings are the document's own bytes: `text` is exactly
//! `document[start_byte..end_byte]`. Only the rendered context makes characters visible.

use std::time::Duration;

use serde::ser::{SerializeStruct, Serializer};
use serde::{Deserialize, Serialize};

use crate::domain::chunk::TextSpan;
use crate::domain::ids::{ChunkId, DocumentId, Version};

/// Where a text stands.
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

/// A span of one document in the context, maybe of several merged chunks.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Passage {
    /// The document.
    pub document_id: DocumentId,
    /// The version.
    pub version: Version,
    /// Bytes of the document's normalised text; passages of a document never overlap.
    #[serde(flatten, serialize_with = "span_fields")]
    pub span: TextSpan,
    /// The section of the request that it answers; empty where none was asked for.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub section: String,
    /// Headings above its first byte, outermost first; the title where there are none.
    pub heading: String,
    /// The best score among its chunks.
    pub score: f32,
    /// The bytes of the span.
    pub text: String,
    /// Where (nearly) the same text stands, too.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<Citation>,
}

/// What became of one candidate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum CandidateVerdict {
    /// The best candidate of a passage, as a whole or in part, numbered as cited; of several
    /// passages the first.
    Kept {
        /// Number of the passage, from 1.
        passage: usize,
    },
    /// In a passage, as a whole or in part, whose best candidate is another.
    MergedInto {
        /// Number of the passage, from 1.
        passage: usize,
    },
    /// The same text, white space aside.
    DuplicateOf {
        /// The candidate that stands for both.
        #[serde(serialize_with = "as_text")]
        of: ChunkId,
    },
    /// Nearly the same text.
    NearDuplicateOf {
        /// The candidate that stands for both.
        #[serde(serialize_with = "as_text")]
        of: ChunkId,
    },
    /// Every sentence of it stands, word by word, in another candidate.
    CoveredBy {
        /// The candidate that has the first of them.
        #[serde(serialize_with = "as_text")]
        of: ChunkId,
    },
    /// The context that was kept from the answer before has it.
    InPrefix,
    /// Did not fit into what was left of the budget.
    OverBudget,
    /// Less relevant than the cut-off asks for.
    BelowCutoff,
    /// Its document has as many passages as were asked for.
    DocumentCap,
    /// Found, but the filter excludes what the snapshot says of it.
    Filtered,
    /// Found, but the snapshot has it no more: its document was replaced or deleted.
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
    /// Where it stands; not known of what the snapshot has no more.
    #[serde(flatten)]
    pub citation: Option<Citation>,
    /// Its score as it came.
    pub score: f32,
    /// What it adds to the objective as a whole.
    pub gain: f64,
    /// Bytes of it that are in the context.
    pub kept_bytes: usize,
    /// Tokens it adds to the rendered text: counted when it was about to be chosen, else an
    /// estimate from its embedder tokens.
    pub tokens: usize,
    /// What became of it.
    #[serde(flatten)]
    pub verdict: CandidateVerdict,
}

impl CandidateTrace {
    /// A hit that could not be a candidate.
    pub fn dropped(
        chunk_id: ChunkId,
        citation: Option<Citation>,
        score: f32,
        verdict: CandidateVerdict,
    ) -> Self {
        Self { chunk_id, citation, score, gain: 0.0, kept_bytes: 0, tokens: 0, verdict }
    }
}

/// A context and how it came about.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct AssembledContext {
    /// The rendered text; empty when nothing fits.
    pub context: String,
    /// Its tokens, counted; never more than the budget.
    pub tokens: usize,
    /// The byte of `context` after each passage and its framing.
    pub ends: Vec<usize>,
    /// Ordinals of the first and the last chunk that each passage is part of; of passages that
    /// stood in front none are known here.
    pub chunks: Vec<(u32, u32)>,
    /// Its passages, as numbered in the text.
    pub passages: Vec<Passage>,
    /// Proven share of the best possible gain, within 0 and 1.
    pub bound: f64,
    /// The gain of what was chosen.
    pub gain: f64,
    /// The gain of what stood in front.
    pub kept_gain: f64,
    /// One entry per candidate, best first.
    pub trace: Vec<CandidateTrace>,
}

/// How much of the context before an answer starts with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct ReusedPrefix {
    /// Passages that were kept.
    pub passages: usize,
    /// Bytes of the context that are those of the one before.
    pub bytes: usize,
    /// Tokens of them.
    pub tokens: usize,
    /// What ended it; none if everything was kept.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub broken: Option<PrefixBreak>,
}

/// Where a prefix ended, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct PrefixBreak {
    /// Number of the first passage that was not kept.
    #[serde(rename = "broken_at")]
    pub passage: usize,
    /// Why.
    #[serde(rename = "broken_by")]
    pub by: PrefixBreakReason,
}

/// Why a passage of the context before was not kept.
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
    /// The context is to be written in another style.
    Style,
    /// It left too little room for what was asked now.
    Room,
    /// A passage that follows holds the tag that fences it.
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

/// What an answer had to do without.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum AnswerDegradation {
    /// The dense leg was late or failed.
    Dense,
    /// The reranker was late or failed.
    Rerank,
    /// Dense hits missing from the snapshot could not all be replaced.
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
    /// What was allowed.
    pub budget: usize,
    /// The tokenizer that counted.
    pub tokenizer: String,
    /// The index snapshot that was read.
    pub snapshot: u64,
    /// What the answer had to do without.
    pub degraded: Vec<AnswerDegradation>,
    /// Tokens of the budget that question and answer were left.
    #[serde(skip_serializing_if = "is_zero")]
    pub reserved: usize,
    /// The passages, as numbered in the text.
    pub passages: Vec<Passage>,
    /// How much of the context before it starts with; only when it goes on from one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefix: Option<ReusedPrefix>,
    /// To be handed back for a context that starts with this one; only when asked for.
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
    /// Headings above it, outermost first; the title where there are none.
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
    /// What the answer had to do without.
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
