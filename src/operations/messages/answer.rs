//! Contexts and rankings as JSON: the same fields as `query --json` and `search --json` print.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::place::{PlaceView, source_bytes, source_lines};
use contexture_core::context::answer::{
    AnswerDegradation, CandidateTrace, Citation, ContextAnswer, Passage, RankedChunk, ReusedPrefix,
    SearchAnswer,
};
use contexture_core::domain::document::DocumentAcl;
use contexture_core::domain::ids::CollectionId;
use contexture_core::domain::metadata::DocumentMetadata;
use contexture_core::fault::{Refusal, RefusalKind};

/// A context.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ContextResponse {
    /// The text for the prompt. Retrieved text in it is fenced as data.
    pub context: String,
    /// Tokens of `context`; at most `budget`.
    pub tokens: u64,
    /// The budget asked for.
    pub budget: u64,
    /// The tokenizer that counted; for a model's name, its vocabulary.
    pub tokenizer: String,
    /// The index state that was read; grows with every commit. Of several collections the highest.
    pub snapshot: u64,
    /// The index state of each collection, where several were asked.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub snapshots: BTreeMap<String, u64>,
    /// What the answer had to do without: `DENSE`, `RERANK`, `REFILL` or `INDEX`; empty when all was well.
    pub degraded: Vec<String>,
    /// Tokens of the budget that question and answer were left.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub reserved: u64,
    /// What the context is made of, in its order.
    pub passages: Vec<PassageView>,
    /// How much of the context before it starts with; only with `continuation`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<ReusedPrefixView>,
    /// To be handed back for a context that starts with this one; only where asked for.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub continuation: String,
    /// Proven share of the best selection's gain, 0 to 1.
    pub bound: f64,
    /// Every candidate and what became of it; only with `explain`.
    #[serde(default)]
    pub trace: Vec<TraceEntryView>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// A citation and its text: a span of one document version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PassageView {
    /// Its collection, where several were asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub collection: Option<String>,
    /// The document.
    pub document_id: String,
    /// The version.
    pub version: u64,
    /// First byte in the normalised text.
    pub start_byte: u64,
    /// One past the last byte.
    pub end_byte: u64,
    /// The section of the request that it answers, where there are some.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub section: String,
    /// Titles of the sections it stands in, outermost first; the document's title where there are none.
    pub heading: String,
    /// Relevance; comparable within one answer.
    pub score: f32,
    /// The text of the span.
    pub text: String,
    /// The page, slide or row of the source, where it has no lines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<PlaceView>,
    /// First line in the document's source, from 1; absent where it has none, and for documents indexed before version
    /// 2 of the chunker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_line: Option<u64>,
    /// Last line in the source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_line: Option<u64>,
    /// First byte in the source, where that is UTF-8 text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_start_byte: Option<u64>,
    /// One past the last byte in the source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_end_byte: Option<u64>,
    /// Other places with the same text.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<CitationView>,
    /// The document's title.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Its address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Its metadata.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub metadata: DocumentMetadata,
    /// The groups that may read it, where asked for and where it names some.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub groups: Option<Vec<String>>,
}

/// A place in a document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CitationView {
    /// Its collection, where several were asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub collection: Option<String>,
    /// The document.
    pub document_id: String,
    /// The version.
    pub version: u64,
    /// First byte in the normalised text.
    pub start_byte: u64,
    /// One past the last byte.
    pub end_byte: u64,
}

/// How much of the context before an answer starts with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReusedPrefixView {
    /// Passages that were kept.
    pub passages: u64,
    /// Bytes of the context that are those of the one before.
    pub bytes: u64,
    /// Tokens of them.
    pub tokens: u64,
    /// Number of the first passage that was not kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broken_at: Option<u64>,
    /// Why: `superseded`, `gone`, `filtered`, `changed`, `style`, `room` or `fence`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broken_by: Option<String>,
}

/// What became of one candidate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TraceEntryView {
    /// The candidate chunk.
    pub chunk_id: String,
    /// Where it stands; absent for what the snapshot has no more.
    #[serde(flatten)]
    pub citation: Option<CitationView>,
    /// Its score as it came.
    pub score: f32,
    /// What it adds to the objective.
    pub gain: f64,
    /// Bytes of it that are in the context.
    pub kept_bytes: u64,
    /// Tokens it adds to the context.
    pub tokens: u64,
    /// Why it was kept or dropped, such as `kept`, `duplicate_of`, `over_budget`.
    pub reason: String,
    /// Number of the passage it is in, from 1, if it was kept or merged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passage: Option<u64>,
    /// The chunk that stands for it, if it is a duplicate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<String>,
}

/// Ranked chunks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SearchResponse {
    /// Best first.
    pub results: Vec<SearchResultView>,
    /// The index state that was read. Of several collections the highest.
    pub snapshot: u64,
    /// The index state of each collection, where several were asked.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub snapshots: BTreeMap<String, u64>,
    /// What the answer had to do without.
    pub degraded: Vec<String>,
}

/// A ranked chunk.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SearchResultView {
    /// The chunk.
    pub chunk_id: String,
    /// Its collection, where several were asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub collection: Option<String>,
    /// The document.
    pub document_id: String,
    /// The version.
    pub version: u64,
    /// First byte in the normalised text.
    pub start_byte: u64,
    /// One past the last byte.
    pub end_byte: u64,
    /// Titles of the sections it stands in, outermost first; the document's title where there are none.
    pub heading: String,
    /// Relevance; comparable within one answer.
    pub score: f32,
    /// The chunk's text.
    pub text: String,
    /// The page, slide or row of the source, where it has no lines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<PlaceView>,
    /// First line in the document's source, from 1; absent where it has none, and for documents indexed before version
    /// 2 of the chunker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_line: Option<u64>,
    /// Last line in the source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_line: Option<u64>,
    /// First byte in the source, where that is UTF-8 text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_start_byte: Option<u64>,
    /// One past the last byte in the source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_end_byte: Option<u64>,
    /// Other places with the same text, under the same headings.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<CitationView>,
    /// The document's title.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Its address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Its metadata.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub metadata: DocumentMetadata,
    /// The groups that may read it, where asked for and where it names some.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub groups: Option<Vec<String>>,
}

impl ContextResponse {
    /// The answer as JSON has it; with `groups`, passages name who may read them.
    pub fn new(answer: ContextAnswer, groups: bool) -> Result<Self, Refusal> {
        Ok(Self {
            context: answer.context,
            tokens: answer.tokens as u64,
            budget: answer.budget as u64,
            tokenizer: answer.tokenizer,
            snapshot: answer.snapshot,
            snapshots: snapshot_names(answer.snapshots),
            degraded: degraded_names(&answer.degraded),
            reserved: answer.reserved as u64,
            passages: answer.passages.into_iter().map(|passage| PassageView::new(passage, groups)).collect(),
            prefix: answer.prefix.map(ReusedPrefixView::from),
            continuation: answer.continuation,
            bound: answer.bound,
            trace: answer.trace.iter().map(TraceEntryView::new).collect::<Result<_, _>>()?,
        })
    }
}

impl SearchResponse {
    /// The ranking as JSON has it; with `groups`, results name who may read them.
    pub fn new(ranking: SearchAnswer, groups: bool) -> Self {
        let results = ranking.results.into_iter().map(|ranked| SearchResultView::new(ranked, groups));
        Self {
            results: results.collect(),
            snapshot: ranking.snapshot,
            snapshots: snapshot_names(ranking.snapshots),
            degraded: degraded_names(&ranking.degraded),
        }
    }
}

impl PassageView {
    fn new(passage: Passage, groups: bool) -> Self {
        Self {
            collection: passage.collection.as_ref().map(CollectionId::to_string),
            document_id: passage.document_id.to_string(),
            version: passage.version.get(),
            start_byte: passage.span.start as u64,
            end_byte: passage.span.end as u64,
            section: passage.section,
            heading: passage.heading,
            score: passage.score,
            text: passage.text,
            place: passage.source.and_then(PlaceView::new),
            first_line: source_lines(passage.source).map(|lines| lines.0),
            last_line: source_lines(passage.source).map(|lines| lines.1),
            source_start_byte: source_bytes(passage.source).map(|bytes| bytes.0),
            source_end_byte: source_bytes(passage.source).map(|bytes| bytes.1),
            also: passage.also.iter().map(CitationView::from).collect(),
            title: passage.title,
            url: passage.url,
            metadata: passage.metadata,
            groups: if groups { named_groups(&passage.acl) } else { None },
        }
    }
}

impl SearchResultView {
    fn new(ranked: RankedChunk, groups: bool) -> Self {
        Self {
            chunk_id: ranked.chunk_id.to_string(),
            collection: ranked.collection.as_ref().map(CollectionId::to_string),
            document_id: ranked.document_id.to_string(),
            version: ranked.version.get(),
            start_byte: ranked.span.start as u64,
            end_byte: ranked.span.end as u64,
            heading: ranked.heading,
            score: ranked.score,
            text: ranked.text,
            place: ranked.source.and_then(PlaceView::new),
            first_line: source_lines(ranked.source).map(|lines| lines.0),
            last_line: source_lines(ranked.source).map(|lines| lines.1),
            source_start_byte: source_bytes(ranked.source).map(|bytes| bytes.0),
            source_end_byte: source_bytes(ranked.source).map(|bytes| bytes.1),
            also: ranked.also.iter().map(CitationView::from).collect(),
            title: ranked.title,
            url: ranked.url,
            metadata: ranked.metadata,
            groups: if groups { named_groups(&ranked.acl) } else { None },
        }
    }
}

impl From<&Citation> for CitationView {
    fn from(citation: &Citation) -> Self {
        Self {
            collection: citation.collection.as_ref().map(CollectionId::to_string),
            document_id: citation.document_id.to_string(),
            version: citation.version.get(),
            start_byte: citation.span.start as u64,
            end_byte: citation.span.end as u64,
        }
    }
}

impl From<ReusedPrefix> for ReusedPrefixView {
    fn from(prefix: ReusedPrefix) -> Self {
        Self {
            passages: prefix.passages as u64,
            bytes: prefix.bytes as u64,
            tokens: prefix.tokens as u64,
            broken_at: prefix.broken.map(|broken| broken.passage as u64),
            broken_by: prefix.broken.map(|broken| broken.by.name().to_owned()),
        }
    }
}

impl TraceEntryView {
    fn new(entry: &CandidateTrace) -> Result<Self, Refusal> {
        // Through JSON, so that reasons have one name in all answers. Traces are asked for by people, and
        // rarely.
        serde_json::to_value(entry)
            .and_then(serde_json::from_value)
            .map_err(|error| Refusal::new(RefusalKind::Internal, "trace_unreadable", "", error.to_string()))
    }
}

fn degraded_names(degraded: &[AnswerDegradation]) -> Vec<String> {
    degraded.iter().map(|one| one.name().to_owned()).collect()
}

fn snapshot_names(snapshots: BTreeMap<CollectionId, u64>) -> BTreeMap<String, u64> {
    snapshots.into_iter().map(|(collection, snapshot)| (collection.to_string(), snapshot)).collect()
}

fn named_groups(acl: &DocumentAcl) -> Option<Vec<String>> {
    match acl {
        DocumentAcl::Tenant => None,
        DocumentAcl::Groups(groups) => Some(groups.iter().cloned().collect()),
    }
}
