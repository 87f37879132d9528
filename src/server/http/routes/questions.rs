//! Questions: contexts and rankings, from one collection or from several.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::CollectionPath;
use crate::operations::messages::answer::{ContextResponse, SearchResponse};
use crate::operations::messages::context::{ContextRequest, SearchRequest};
use crate::server::admission::AdmittedCall;
use crate::server::http::extract::{JsonBody, PathParameters};
use crate::server::http::problem::HttpProblem;
use crate::server::http::served_state::{HttpServices, time_for_work};
use contexture_core::context::request::{AssemblyRequest, ContextQuery};
use contexture_core::fault::Refusal;

pub(super) fn routes() -> OpenApiRouter<Arc<HttpServices>> {
    OpenApiRouter::default()
        .routes(routes!(assemble_context))
        .routes(routes!(assemble_context_of_many))
        .routes(routes!(search))
        .routes(routes!(search_many))
}

/// Returns the context for a question: cited passages that fit a budget of tokens.
///
/// Needs the scope `read`. The context never has more tokens than the budget, framing included, counted with
/// the tokenizer named.
#[utoipa::path(
    post, path = "/v1/collections/{collection}/context", operation_id = "assemble_context", tag = "questions",
    params(CollectionPath),
    request_body = ContextRequest,
    responses((status = 200, description = "The context.", body = ContextResponse)),
)]
async fn assemble_context(
    State(http): State<Arc<HttpServices>>,
    call: AdmittedCall,
    PathParameters(path): PathParameters<CollectionPath>,
    JsonBody(request): JsonBody<ContextRequest>,
) -> Result<Json<ContextResponse>, HttpProblem> {
    refuse_collections(request.collections.is_empty())?;
    Ok(Json(context_of(&http, &call, &path.collection, request).await?))
}

/// Returns the context for a question from several collections, within one budget.
///
/// Needs the scope `read`. Each collection has a weight; passages name the collection they are from.
#[utoipa::path(
    post, path = "/v1/context", operation_id = "assemble_context_of_many", tag = "questions",
    request_body = ContextRequest,
    responses((status = 200, description = "The context.", body = ContextResponse)),
)]
async fn assemble_context_of_many(
    State(http): State<Arc<HttpServices>>,
    call: AdmittedCall,
    JsonBody(request): JsonBody<ContextRequest>,
) -> Result<Json<ContextResponse>, HttpProblem> {
    require_collections(request.collections.is_empty())?;
    Ok(Json(context_of(&http, &call, "", request).await?))
}

/// Ranks the chunks of a collection for a question.
///
/// Needs the scope `read`.
#[utoipa::path(
    post, path = "/v1/collections/{collection}/search", operation_id = "search", tag = "questions",
    params(CollectionPath),
    request_body = SearchRequest,
    responses((status = 200, description = "Chunks, best first.", body = SearchResponse)),
)]
async fn search(
    State(http): State<Arc<HttpServices>>,
    call: AdmittedCall,
    PathParameters(path): PathParameters<CollectionPath>,
    JsonBody(request): JsonBody<SearchRequest>,
) -> Result<Json<SearchResponse>, HttpProblem> {
    refuse_collections(request.collections.is_empty())?;
    Ok(Json(ranking_of(&http, &call, &path.collection, request).await?))
}

/// Ranks the chunks of several collections for a question.
///
/// Needs the scope `read`.
#[utoipa::path(
    post, path = "/v1/search", operation_id = "search_many", tag = "questions",
    request_body = SearchRequest,
    responses((status = 200, description = "Chunks, best first.", body = SearchResponse)),
)]
async fn search_many(
    State(http): State<Arc<HttpServices>>,
    call: AdmittedCall,
    JsonBody(request): JsonBody<SearchRequest>,
) -> Result<Json<SearchResponse>, HttpProblem> {
    require_collections(request.collections.is_empty())?;
    Ok(Json(ranking_of(&http, &call, "", request).await?))
}

async fn context_of(
    http: &HttpServices,
    call: &AdmittedCall,
    collection: &str,
    request: ContextRequest,
) -> Result<ContextResponse, Refusal> {
    let (groups, timeout_ms) = (request.include_groups, request.timeout_ms);
    let mut raw = request.into_raw(collection);
    raw.deadline = time_for_work(call, timeout_ms);
    let query = ContextQuery::new(call.principal.clone(), &raw)?;
    let answer = http.services.context.assemble(query, AssemblyRequest::new(&raw)?).await?;
    ContextResponse::new(answer, groups)
}

async fn ranking_of(
    http: &HttpServices,
    call: &AdmittedCall,
    collection: &str,
    request: SearchRequest,
) -> Result<SearchResponse, Refusal> {
    let (groups, timeout_ms) = (request.include_groups, request.timeout_ms);
    let mut raw = request.into_raw(collection);
    raw.deadline = time_for_work(call, timeout_ms);
    let query = ContextQuery::new(call.principal.clone(), &raw)?;
    Ok(SearchResponse::new(http.services.context.search(query).await?, groups))
}

fn refuse_collections(is_empty: bool) -> Result<(), Refusal> {
    if is_empty {
        return Ok(());
    }
    let message = "the path names the collection; to ask several, leave it out of the path";
    Err(Refusal::invalid("two_collections", "collections", message))
}

fn require_collections(is_empty: bool) -> Result<(), Refusal> {
    if !is_empty {
        return Ok(());
    }
    let message = "collections is missing or empty; name at least one, or ask /v1/collections/NAME/…";
    Err(Refusal::invalid("missing_field", "collections", message))
}
