//! Dead letters: documents that were given up.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::operations::messages::dead_letter::{
    DeadLetterActionRequest, DeadLetterPageView, DeadLetterReasons, DeadLetterSelection, DeadLetterView,
    DropOutcome, ListDeadLettersRequest, ReplayOutcome,
};
use crate::server::admission::AdmittedCall;
use crate::server::http::extract::{JsonBody, PathParameters, QueryString};
use crate::server::http::problem::HttpProblem;
use crate::server::http::served_state::HttpServices;

pub(super) fn routes() -> OpenApiRouter<Arc<HttpServices>> {
    OpenApiRouter::default()
        .routes(routes!(list_dead_letters))
        .routes(routes!(list_dead_letter_reasons))
        .routes(routes!(get_dead_letter))
        .routes(routes!(replay_dead_letters))
        .routes(routes!(drop_dead_letters))
}

/// Which dead letters to count.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct DeadLetterReasonsQuery {
    /// Only this collection.
    #[serde(default)]
    collection: Option<String>,
    /// Only this reason's code.
    #[serde(default)]
    reason: Option<String>,
    /// Only this stage: `chunk`, `embed` or `index`.
    #[serde(default)]
    stage: Option<String>,
    /// Only those that died at or after this time.
    #[serde(default)]
    since_ms: Option<u64>,
}

/// The number of a dead letter.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
struct DeadLetterPath {
    /// The letter's number.
    id: u64,
}

/// Lists dead letters, oldest first.
///
/// Needs the scope `admin`.
#[utoipa::path(
    get, path = "/v1/dead-letters", operation_id = "list_dead_letters", tag = "dead letters",
    params(ListDeadLettersRequest),
    responses((status = 200, description = "A page of dead letters.", body = DeadLetterPageView)),
)]
async fn list_dead_letters(
    State(http): State<Arc<HttpServices>>,
    call: AdmittedCall,
    QueryString(request): QueryString<ListDeadLettersRequest>,
) -> Result<Json<DeadLetterPageView>, HttpProblem> {
    Ok(Json(http.services.dead_letters.list_dead_letters(&call.principal, request).await?))
}

/// Counts dead letters by reason and stage, most first.
///
/// Needs the scope `admin`.
#[utoipa::path(
    get, path = "/v1/dead-letters/reasons", operation_id = "list_dead_letter_reasons", tag = "dead letters",
    params(DeadLetterReasonsQuery),
    responses((status = 200, description = "The reasons.", body = DeadLetterReasons)),
)]
async fn list_dead_letter_reasons(
    State(http): State<Arc<HttpServices>>,
    call: AdmittedCall,
    QueryString(query): QueryString<DeadLetterReasonsQuery>,
) -> Result<Json<DeadLetterReasons>, HttpProblem> {
    let DeadLetterReasonsQuery { collection, reason, stage, since_ms } = query;
    let selection = DeadLetterSelection { ids: None, collection, reason, stage, since_ms };
    Ok(Json(http.services.dead_letters.dead_letter_reasons(&call.principal, selection).await?))
}

/// Returns a dead letter.
///
/// Needs the scope `admin`.
#[utoipa::path(
    get, path = "/v1/dead-letters/{id}", operation_id = "get_dead_letter", tag = "dead letters",
    params(DeadLetterPath),
    responses((status = 200, description = "The dead letter.", body = DeadLetterView)),
)]
async fn get_dead_letter(
    State(http): State<Arc<HttpServices>>,
    call: AdmittedCall,
    PathParameters(path): PathParameters<DeadLetterPath>,
) -> Result<Json<DeadLetterView>, HttpProblem> {
    Ok(Json(http.services.dead_letters.dead_letter(&call.principal, path.id).await?))
}

/// Processes dead letters again, from the beginning.
///
/// An empty object selects all of your tenant. Needs the scope `admin`.
#[utoipa::path(
    post, path = "/v1/dead-letters/replay", operation_id = "replay_dead_letters", tag = "dead letters",
    request_body = DeadLetterActionRequest,
    responses((status = 200, description = "How many were selected and replayed.", body = ReplayOutcome)),
)]
async fn replay_dead_letters(
    State(http): State<Arc<HttpServices>>,
    call: AdmittedCall,
    JsonBody(request): JsonBody<DeadLetterActionRequest>,
) -> Result<Json<ReplayOutcome>, HttpProblem> {
    let (selection, dry_run) = request.into_selection();
    let letters = &http.services.dead_letters;
    Ok(Json(letters.replay_dead_letters(&call.principal, selection, dry_run).await?))
}

/// Removes dead letters from the list; the documents stay as they are.
///
/// An empty object selects all of your tenant. Needs the scope `admin`.
#[utoipa::path(
    post, path = "/v1/dead-letters/drop", operation_id = "drop_dead_letters", tag = "dead letters",
    request_body = DeadLetterActionRequest,
    responses((status = 200, description = "How many were selected and dropped.", body = DropOutcome)),
)]
async fn drop_dead_letters(
    State(http): State<Arc<HttpServices>>,
    call: AdmittedCall,
    JsonBody(request): JsonBody<DeadLetterActionRequest>,
) -> Result<Json<DropOutcome>, HttpProblem> {
    let (selection, dry_run) = request.into_selection();
    let letters = &http.services.dead_letters;
    Ok(Json(letters.drop_dead_letters(&call.principal, selection, dry_run).await?))
}
