//! `ContextService`: converts requests to queries and answers to messages.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tonic::Request;

use super::call_frame::CallDeadline;
use super::call_frame::{CallResult, OpenedCall, answer};
use super::convert;
use super::metadata_convert::metadata_struct;
use super::proto::{self, context_service_server::ContextService};
use crate::operations::ContextApi;
use contexture_core::context::answer::{
    AnswerDegradation, CandidateTrace, Citation, ContextAnswer, Passage, RankedChunk, ReusedPrefix,
    SearchAnswer,
};
use contexture_core::context::request::{
    AssemblyRequest, ContextQuery, RawCollectionWeight, RawContextQuery, RawContextSection,
};
use contexture_core::domain::chunk::{SourcePlace, TextSpan};
use contexture_core::domain::document::DocumentAcl;
use contexture_core::domain::ids::CollectionId;
use contexture_core::fault::Refusal;

/// Most time of a deadline that is reserved for sending the answer. The reserve is at most a tenth of the time left.
const ANSWER_RESERVE_MAX: Duration = Duration::from_millis(50);

/// Serves queries.
pub struct ContextHandler {
    api: Arc<dyn ContextApi>,
}

impl ContextHandler {
    pub(super) fn new(api: Arc<dyn ContextApi>) -> Self {
        Self { api }
    }
}

#[tonic::async_trait]
impl ContextService for ContextHandler {
    async fn assemble(
        &self,
        request: Request<proto::AssembleRequest>,
    ) -> CallResult<proto::AssembleResponse> {
        answer(request, async |OpenedCall { principal, deadline, message }| {
            let raw = RawContextQuery {
                collection: message.collection,
                collections: message.collections.into_iter().map(raw_weight).collect(),
                question: message.question,
                budget: message.budget,
                tokenizer: message.tokenizer,
                format: message.format,
                top_k: message.top_k,
                filter: message.filter,
                fusion: message.fusion,
                rerank: message.rerank,
                min_versions: min_versions(message.min_versions),
                explain: message.explain,
                order: message.order,
                cutoff: message.cutoff,
                passages_per_document_max: message.passages_per_document_max,
                reserve_answer: message.reserve_answer,
                reserve_question: message.reserve_question,
                sections: message.sections.into_iter().map(raw_section).collect(),
                continuable: message.continuable,
                previous: message.continuation,
                deadline: deadline.map(time_for_query),
            };
            let query = ContextQuery::new(principal, &raw)?;
            let answer = self.api.assemble(query, AssemblyRequest::new(&raw)?).await?;
            assemble_response(answer, message.include_groups)
        })
        .await
    }

    async fn search(&self, request: Request<proto::SearchRequest>) -> CallResult<proto::SearchResponse> {
        answer(request, async |OpenedCall { principal, deadline, message }| {
            let raw = RawContextQuery {
                collection: message.collection,
                collections: message.collections.into_iter().map(raw_weight).collect(),
                question: message.question,
                top_k: message.top_k,
                filter: message.filter,
                fusion: message.fusion,
                rerank: message.rerank,
                min_versions: min_versions(message.min_versions),
                deadline: deadline.map(time_for_query),
                ..RawContextQuery::default()
            };
            let query = ContextQuery::new(principal, &raw)?;
            let ranking = self.api.search(query).await?;
            Ok(search_response(ranking, message.include_groups))
        })
        .await
    }
}

fn raw_weight(asked: proto::CollectionWeight) -> RawCollectionWeight {
    let proto::CollectionWeight { name, weight } = asked;
    RawCollectionWeight { name, weight }
}

fn raw_section(section: proto::Section) -> RawContextSection {
    let proto::Section { name, question, filter, share } = section;
    RawContextSection { name, question, filter, share }
}

/// Returns the time left until the call's deadline, less the reserve for sending the answer.
pub(super) fn time_for_query(CallDeadline(instant): CallDeadline) -> Duration {
    let left = instant.saturating_duration_since(Instant::now());
    // A fixed reserve would leave a short deadline no time for the query.
    left.saturating_sub(ANSWER_RESERVE_MAX.min(left / 10))
}

fn min_versions(raw: Vec<proto::MinVersion>) -> Vec<(String, u64)> {
    raw.into_iter().map(|one| (one.document_id, one.version)).collect()
}

fn assemble_response(
    answer: ContextAnswer,
    include_groups: bool,
) -> Result<proto::AssembleResponse, Refusal> {
    let passages = answer.passages.into_iter().map(|passage| passage_message(passage, include_groups));
    Ok(proto::AssembleResponse {
        context: answer.context,
        tokens: answer.tokens as u64,
        budget: answer.budget as u64,
        tokenizer: answer.tokenizer,
        snapshot: answer.snapshot,
        snapshots: snapshots_message(answer.snapshots),
        degraded: degraded_names(&answer.degraded),
        passages: passages.collect(),
        reserved: answer.reserved as u64,
        prefix: answer.prefix.map(prefix_message),
        continuation: answer.continuation,
        bound: answer.bound,
        trace: answer.trace.iter().map(trace_entry_message).collect::<Result<_, _>>()?,
    })
}

fn search_response(ranking: SearchAnswer, include_groups: bool) -> proto::SearchResponse {
    proto::SearchResponse {
        hits: ranking.results.into_iter().map(|ranked| hit_message(ranked, include_groups)).collect(),
        snapshot: ranking.snapshot,
        snapshots: snapshots_message(ranking.snapshots),
        degraded: degraded_names(&ranking.degraded),
    }
}

fn snapshots_message(snapshots: BTreeMap<CollectionId, u64>) -> HashMap<String, u64> {
    snapshots.into_iter().map(|(collection, snapshot)| (collection.to_string(), snapshot)).collect()
}

fn collection_name(collection: Option<&CollectionId>) -> String {
    collection.map(ToString::to_string).unwrap_or_default()
}

/// The groups that may read a document, where the caller asked for them and where not everyone may.
fn acl_message(acl: DocumentAcl, include_groups: bool) -> Option<proto::Acl> {
    match acl {
        DocumentAcl::Groups(groups) if include_groups => {
            Some(proto::Acl { groups: groups.into_iter().collect() })
        }
        _ => None,
    }
}

fn degraded_names(degraded: &[AnswerDegradation]) -> Vec<String> {
    degraded.iter().map(|one| one.name().to_owned()).collect()
}

fn passage_message(passage: Passage, include_groups: bool) -> proto::Passage {
    proto::Passage {
        collection: collection_name(passage.collection.as_ref()),
        document_id: passage.document_id.as_str().to_owned(),
        version: passage.version.get(),
        span: Some(convert::byte_span_message(passage.span)),
        section: passage.section,
        heading: passage.heading,
        score: passage.score.into(),
        text: passage.text,
        also: passage.also.iter().map(citation_message).collect(),
        title: passage.title,
        url: passage.url,
        metadata: metadata_struct(&passage.metadata),
        acl: acl_message(passage.acl, include_groups),
        source: passage.source.map(source_message),
    }
}

fn source_message(place: SourcePlace) -> proto::SourcePlace {
    let span = place.bytes.map(|(start, end)| convert::byte_span_message(TextSpan { start, end }));
    proto::SourcePlace {
        first_line: place.first_line as u64,
        last_line: place.last_line as u64,
        span,
        unit: if place.unit.is_line() { String::new() } else { place.unit.name().to_owned() },
    }
}

fn prefix_message(prefix: ReusedPrefix) -> proto::Prefix {
    proto::Prefix {
        passages: prefix.passages as u64,
        bytes: prefix.bytes as u64,
        tokens: prefix.tokens as u64,
        broken_at: prefix.broken.map(|broken| broken.passage as u64),
        broken_by: prefix.broken.map(|broken| broken.by.name().to_owned()),
    }
}

fn citation_message(citation: &Citation) -> proto::Citation {
    proto::Citation {
        collection: collection_name(citation.collection.as_ref()),
        document_id: citation.document_id.as_str().to_owned(),
        version: citation.version.get(),
        span: Some(convert::byte_span_message(citation.span)),
    }
}

fn hit_message(ranked: RankedChunk, include_groups: bool) -> proto::Hit {
    proto::Hit {
        collection: collection_name(ranked.collection.as_ref()),
        document_id: ranked.document_id.as_str().to_owned(),
        version: ranked.version.get(),
        span: Some(convert::byte_span_message(ranked.span)),
        heading: ranked.heading,
        score: ranked.score.into(),
        text: ranked.text,
        chunk_id: ranked.chunk_id.to_string(),
        title: ranked.title,
        url: ranked.url,
        metadata: metadata_struct(&ranked.metadata),
        acl: acl_message(ranked.acl, include_groups),
        source: ranked.source.map(source_message),
        also: ranked.also.iter().map(citation_message).collect(),
    }
}

/// The fields of a verdict, under their names in JSON.
#[derive(serde::Deserialize)]
struct VerdictFields {
    reason: String,
    passage: Option<u64>,
    of: Option<String>,
}

fn trace_entry_message(entry: &CandidateTrace) -> Result<proto::TraceEntry, Refusal> {
    // Through JSON, so that both APIs name reasons and fields alike.
    let verdict: VerdictFields =
        serde_json::to_value(entry.verdict).and_then(serde_json::from_value).map_err(|error| {
            Refusal::new(
                contexture_core::fault::RefusalKind::Internal,
                "trace_unreadable",
                "",
                error.to_string(),
            )
        })?;
    Ok(proto::TraceEntry {
        chunk_id: entry.chunk_id.to_string(),
        citation: entry.citation.as_ref().map(citation_message),
        score: entry.score.into(),
        gain: entry.gain,
        tokens: entry.tokens as u64,
        kept_bytes: entry.kept_bytes as u64,
        reason: verdict.reason,
        passage: verdict.passage,
        of: verdict.of,
    })
}
