//! Search in the shape of OpenAI's vector stores, read-only: a collection is a vector store.
//!
//! Several queries are asked as one question, joined by line ends. Queries are never rewritten. Scores are
//! within 0 and 1 and keep their order. An attribute is a string, a number or a boolean, so a list of metadata
//! becomes its JSON text; `version`, `start_byte` and `end_byte` are always the place of the text.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::vector_store_filter::VectorStoreFilter;
use crate::server::admission::AdmittedCall;
use crate::server::http::extract::{JsonBody, PathParameters};
use crate::server::http::problem::HttpProblem;
use crate::server::http::served_state::{HttpServices, time_for_work};
use contexture_core::context::answer::RankedChunk;
use contexture_core::context::request::{ContextQuery, RawContextQuery};
use contexture_core::domain::metadata::{DocumentMetadata, MetadataValue};
use contexture_core::fault::Refusal;

/// Results when the caller does not say.
const RESULTS_DEFAULT: i64 = 10;
/// Most results.
const RESULTS_MAX: i64 = 50;
/// Most queries of a request.
const QUERIES_MAX: usize = 16;

pub(super) fn routes() -> OpenApiRouter<Arc<HttpServices>> {
    OpenApiRouter::default().routes(routes!(search_vector_store))
}

/// A vector store in a path.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
struct VectorStorePath {
    /// The collection's name.
    #[param(min_length = 1, max_length = 64, pattern = "^[a-z0-9][a-z0-9_-]*$", example = "handbook")]
    vector_store_id: String,
}

/// A search.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct VectorStoreSearchRequest {
    /// One query, or several that are asked as one question.
    query: VectorStoreQuery,
    /// Most results, 1 to 50; absent: 10.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 50)]
    max_num_results: Option<i64>,
    /// A condition on attributes.
    #[serde(default)]
    filters: Option<VectorStoreFilter>,
    /// How to rank.
    #[serde(default)]
    ranking_options: Option<VectorStoreRanking>,
    /// Must be false: queries are asked as they are.
    #[serde(default)]
    rewrite_query: Option<bool>,
}

/// One query or several.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(untagged, expecting = "a string or a list of strings")]
enum VectorStoreQuery {
    /// One.
    One(String),
    /// Several.
    Several(Vec<String>),
}

/// How to rank.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct VectorStoreRanking {
    /// `auto`: the reranker, where the server has one. `none`: without it.
    #[serde(default)]
    #[schema(pattern = "^(auto|none)$")]
    ranker: Option<String>,
    /// The lowest score that is returned, 0 to 1.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 1)]
    score_threshold: Option<f64>,
}

/// A page of results; there is one.
#[derive(Debug, Serialize, ToSchema)]
struct VectorStoreResultPage {
    /// `vector_store.search_results.page`
    object: &'static str,
    /// The queries, as they were asked.
    search_query: Vec<String>,
    /// Best first.
    data: Vec<VectorStoreResult>,
    /// Always false.
    has_more: bool,
    /// Always null.
    next_page: Option<String>,
}

/// A chunk of a document.
#[derive(Debug, Serialize, ToSchema)]
struct VectorStoreResult {
    /// The document's id.
    file_id: String,
    /// The last part of the id.
    filename: String,
    /// Relevance, 0 to 1.
    #[schema(minimum = 0, maximum = 1)]
    score: f64,
    /// The document's metadata, and the version and the span of the text.
    #[schema(value_type = Object)]
    attributes: BTreeMap<String, Value>,
    /// The text of the chunk.
    content: Vec<VectorStoreText>,
}

/// A text.
#[derive(Debug, Serialize, ToSchema)]
struct VectorStoreText {
    /// `text`
    #[serde(rename = "type")]
    content_type: &'static str,
    /// The text.
    text: String,
}

/// Searches a collection as OpenAI's clients search a vector store.
///
/// Needs the scope `read`. Several queries are asked as one question. `rewrite_query` true and other rankers
/// than `auto` and `none` are refused.
#[utoipa::path(
    post, path = "/v1/vector_stores/{vector_store_id}/search", operation_id = "search_vector_store",
    tag = "questions",
    params(VectorStorePath),
    request_body = VectorStoreSearchRequest,
    responses((status = 200, description = "Chunks, best first.", body = VectorStoreResultPage)),
)]
async fn search_vector_store(
    State(http): State<Arc<HttpServices>>,
    call: AdmittedCall,
    PathParameters(path): PathParameters<VectorStorePath>,
    JsonBody(request): JsonBody<VectorStoreSearchRequest>,
) -> Result<Json<VectorStoreResultPage>, HttpProblem> {
    let threshold = request.ranking_options.as_ref().and_then(|ranking| ranking.score_threshold);
    let (raw, queries) = request.into_query(&path.vector_store_id)?;
    let raw = RawContextQuery { deadline: time_for_work(&call, None), ..raw };
    let ranked = http.services.context.search(ContextQuery::new(call.principal.clone(), &raw)?).await?;
    let results = ranked.results.into_iter().map(VectorStoreResult::from);
    let data = results.filter(|result| threshold.is_none_or(|lowest| result.score >= lowest)).collect();
    let object = "vector_store.search_results.page";
    Ok(Json(VectorStoreResultPage { object, search_query: queries, data, has_more: false, next_page: None }))
}

impl VectorStoreSearchRequest {
    /// The unchecked query, and the queries as they came.
    fn into_query(self, collection: &str) -> Result<(RawContextQuery, Vec<String>), Refusal> {
        if self.rewrite_query == Some(true) {
            let message = "queries are asked as they are; rewrite_query must be false or absent";
            return Err(Refusal::invalid("rewrite_unsupported", "rewrite_query", message));
        }
        let queries = match self.query {
            VectorStoreQuery::One(query) => vec![query],
            VectorStoreQuery::Several(queries) => queries,
        };
        if !(1..=QUERIES_MAX).contains(&queries.len()) {
            let message = format!("query has {} texts; 1 to {QUERIES_MAX} can be asked", queries.len());
            return Err(Refusal::invalid("invalid_query_list", "query", message));
        }
        let results_max = self.max_num_results.unwrap_or(RESULTS_DEFAULT);
        if !(1..=RESULTS_MAX).contains(&results_max) {
            let message = format!("max_num_results must be between 1 and {RESULTS_MAX}");
            return Err(Refusal::invalid("invalid_limit", "max_num_results", message));
        }
        let raw = RawContextQuery {
            collection: collection.to_owned(),
            question: queries.join("\n"),
            top_k: Some(results_max),
            filter: self.filters.map(VectorStoreFilter::into_text).transpose()?,
            rerank: self.ranking_options.unwrap_or_default().reranks()?,
            ..RawContextQuery::default()
        };
        Ok((raw, queries))
    }
}

impl VectorStoreRanking {
    /// Whether to rerank; none: as the server is configured.
    fn reranks(&self) -> Result<Option<bool>, Refusal> {
        if self.score_threshold.is_some_and(|threshold| !(0.0..=1.0).contains(&threshold)) {
            let message = "score_threshold must be between 0 and 1";
            let field = "ranking_options.score_threshold";
            return Err(Refusal::invalid("invalid_score_threshold", field, message));
        }
        match self.ranker.as_deref() {
            None | Some("auto") => Ok(None),
            Some("none") => Ok(Some(false)),
            Some(other) => {
                let message = format!("there is no ranker '{other}'; known: auto, none");
                Err(Refusal::invalid("unknown_ranker", "ranking_options.ranker", message))
            }
        }
    }
}

impl From<RankedChunk> for VectorStoreResult {
    fn from(ranked: RankedChunk) -> Self {
        let file_id = ranked.document_id.to_string();
        let filename =
            file_id.rsplit('/').next().filter(|name| !name.is_empty()).unwrap_or(&file_id).to_owned();
        let mut attributes = attributes(&ranked.metadata);
        for (name, text) in [("title", ranked.title), ("url", ranked.url)] {
            if let Some(text) = text {
                attributes.entry(name.to_owned()).or_insert(Value::String(text));
            }
        }
        attributes.insert("version".to_owned(), ranked.version.get().into());
        attributes.insert("start_byte".to_owned(), ranked.span.start.into());
        attributes.insert("end_byte".to_owned(), ranked.span.end.into());
        let content = vec![VectorStoreText { content_type: "text", text: ranked.text }];
        Self { file_id, filename, score: unit_score(ranked.score), attributes, content }
    }
}

fn attributes(metadata: &DocumentMetadata) -> BTreeMap<String, Value> {
    let written = |value: &MetadataValue| {
        // Scalars and lists of them always have a JSON form.
        let json = serde_json::to_value(value).unwrap_or_default();
        if json.is_array() { Value::String(json.to_string()) } else { json }
    };
    metadata.iter().map(|(key, value)| (key.clone(), written(value))).collect()
}

/// Maps a score into 0 to 1 and keeps the order. Scores up to 0.9 stay; those beyond, of which there are few
/// because fused scores with support of neighbours seldom pass 1, approach 1.
fn unit_score(score: f32) -> f64 {
    const KNEE: f64 = 0.9;
    let score = if score.is_finite() { f64::from(score).max(0.0) } else { 0.0 };
    if score <= KNEE {
        return score;
    }
    // Continues the straight line with its slope, and never reaches 1.
    1.0 - (1.0 - KNEE) * (1.0 - KNEE) / (score - KNEE + (1.0 - KNEE))
}

#[cfg(test)]
mod tests {
    use super::unit_score;

    #[test]
    fn scores_stay_within_0_and_1_and_keep_their_order() {
        let scores = [-1.0, 0.0, 0.1, 0.5, 0.899, 0.901, 0.95, 1.0, 1.3, 4.0, 1000.0];
        let mapped = scores.map(unit_score);
        assert!(mapped.iter().all(|score| (0.0..=1.0).contains(score)), "{mapped:?}");
        assert!(mapped.windows(2).skip(1).all(|pair| pair[0] < pair[1]), "{mapped:?}");
        assert!(unit_score(f32::NAN).abs() < f64::EPSILON);
    }
}
