//! Generations of a collection: building another one, and letting it serve.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use hyper::StatusCode;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{CollectionPath, NoFields};
use crate::operations::administered_collection;
use crate::operations::messages::job::{
    ActivateReindexRequest, DropGenerationRequest, GenerationList, GenerationView, ReindexDoneView,
    ResumeReindexRequest, StartReindexRequest,
};
use crate::server::admission::AdmittedCall;
use crate::server::http::extract::{JsonBody, OptionalJsonBody, PathParameters};
use crate::server::http::problem::HttpProblem;
use crate::server::http::served_state::HttpServices;
use contexture_core::domain::ids::CollectionKey;
use contexture_core::fault::Refusal;

pub(super) fn routes() -> OpenApiRouter<Arc<HttpServices>> {
    OpenApiRouter::default()
        .routes(routes!(list_generations))
        .routes(routes!(start_reindex, get_reindex))
        .routes(routes!(pause_reindex))
        .routes(routes!(resume_reindex))
        .routes(routes!(cancel_reindex))
        .routes(routes!(activate_reindex))
        .routes(routes!(rollback_reindex))
        .routes(routes!(drop_generation))
}

/// How the generation that is being built stands now.
async fn building(http: &HttpServices, key: &CollectionKey) -> Result<GenerationView, Refusal> {
    let admin = &http.services.admin;
    let standing = admin.reindexing().building(key).await?;
    Ok(GenerationView::new(&standing, admin.now_ms()))
}

/// Lists the live generations of a collection, in the order of their numbers.
///
/// Needs the scope `admin`.
#[utoipa::path(
    get, path = "/v1/collections/{collection}/generations", operation_id = "list_generations",
    tag = "administration",
    params(CollectionPath),
    responses((status = 200, description = "The generations.", body = GenerationList)),
)]
async fn list_generations(
    State(http): State<Arc<HttpServices>>,
    call: AdmittedCall,
    PathParameters(path): PathParameters<CollectionPath>,
) -> Result<Json<GenerationList>, HttpProblem> {
    let key = administered_collection(&call.principal, &path.collection)?;
    let admin = &http.services.admin;
    let now_ms = admin.now_ms();
    let standings = admin.reindexing().live_generations(&key).await?;
    let generations = standings.iter().map(|standing| GenerationView::new(standing, now_ms)).collect();
    Ok(Json(GenerationList { generations }))
}

/// Begins to build a generation under another pipeline.
///
/// It is built beside the one that serves, and goes on after a restart. Needs the scope `admin`.
#[utoipa::path(
    post, path = "/v1/collections/{collection}/reindex", operation_id = "start_reindex", tag = "administration",
    params(CollectionPath),
    request_body = StartReindexRequest,
    responses((status = 202, description = "It is being built.", body = GenerationView)),
)]
async fn start_reindex(
    State(http): State<Arc<HttpServices>>,
    call: AdmittedCall,
    PathParameters(path): PathParameters<CollectionPath>,
    JsonBody(request): JsonBody<StartReindexRequest>,
) -> Result<(StatusCode, Json<GenerationView>), HttpProblem> {
    let key = administered_collection(&call.principal, &path.collection)?;
    let pace = request.pace.map(Into::into).unwrap_or_default();
    http.services.admin.start_reindex(&key, &request.pipeline, pace).await?;
    Ok((StatusCode::ACCEPTED, Json(building(&http, &key).await?)))
}

/// Returns the generation that is being built.
///
/// Needs the scope `admin`.
#[utoipa::path(
    get, path = "/v1/collections/{collection}/reindex", operation_id = "get_reindex", tag = "administration",
    params(CollectionPath),
    responses((status = 200, description = "How it stands.", body = GenerationView)),
)]
async fn get_reindex(
    State(http): State<Arc<HttpServices>>,
    call: AdmittedCall,
    PathParameters(path): PathParameters<CollectionPath>,
) -> Result<Json<GenerationView>, HttpProblem> {
    let key = administered_collection(&call.principal, &path.collection)?;
    Ok(Json(building(&http, &key).await?))
}

/// Stops building for now.
///
/// Needs the scope `admin`.
#[utoipa::path(
    post, path = "/v1/collections/{collection}/reindex/pause", operation_id = "pause_reindex",
    tag = "administration",
    params(CollectionPath),
    request_body = Option<NoFields>,
    responses((status = 200, description = "How it stands.", body = GenerationView)),
)]
async fn pause_reindex(
    State(http): State<Arc<HttpServices>>,
    call: AdmittedCall,
    PathParameters(path): PathParameters<CollectionPath>,
    OptionalJsonBody(_nothing): OptionalJsonBody<NoFields>,
) -> Result<Json<GenerationView>, HttpProblem> {
    let key = administered_collection(&call.principal, &path.collection)?;
    http.services.admin.reindexing().pause(&key).await?;
    Ok(Json(building(&http, &key).await?))
}

/// Goes on building, at another pace if one is given.
///
/// Needs the scope `admin`.
#[utoipa::path(
    post, path = "/v1/collections/{collection}/reindex/resume", operation_id = "resume_reindex",
    tag = "administration",
    params(CollectionPath),
    request_body = Option<ResumeReindexRequest>,
    responses((status = 200, description = "How it stands.", body = GenerationView)),
)]
async fn resume_reindex(
    State(http): State<Arc<HttpServices>>,
    call: AdmittedCall,
    PathParameters(path): PathParameters<CollectionPath>,
    OptionalJsonBody(request): OptionalJsonBody<ResumeReindexRequest>,
) -> Result<Json<GenerationView>, HttpProblem> {
    let key = administered_collection(&call.principal, &path.collection)?;
    http.services.admin.reindexing().resume(&key, request.pace.map(Into::into)).await?;
    Ok(Json(building(&http, &key).await?))
}

/// Gives up the generation that is being built.
///
/// Needs the scope `admin`.
#[utoipa::path(
    post, path = "/v1/collections/{collection}/reindex/cancel", operation_id = "cancel_reindex",
    tag = "administration",
    params(CollectionPath),
    request_body = Option<NoFields>,
    responses((status = 200, description = "Which was given up.", body = ReindexDoneView)),
)]
async fn cancel_reindex(
    State(http): State<Arc<HttpServices>>,
    call: AdmittedCall,
    PathParameters(path): PathParameters<CollectionPath>,
    OptionalJsonBody(_nothing): OptionalJsonBody<NoFields>,
) -> Result<Json<ReindexDoneView>, HttpProblem> {
    let key = administered_collection(&call.principal, &path.collection)?;
    let generation = http.services.admin.reindexing().cancel(&key).await?;
    Ok(Json(ReindexDoneView { generation }))
}

/// Lets the generation serve that was built.
///
/// The one that served before is kept up to date until it is dropped. Needs the scope `admin`.
#[utoipa::path(
    post, path = "/v1/collections/{collection}/reindex/activate", operation_id = "activate_reindex",
    tag = "administration",
    params(CollectionPath),
    request_body = Option<ActivateReindexRequest>,
    responses((status = 200, description = "Which serves now.", body = ReindexDoneView)),
)]
async fn activate_reindex(
    State(http): State<Arc<HttpServices>>,
    call: AdmittedCall,
    PathParameters(path): PathParameters<CollectionPath>,
    OptionalJsonBody(request): OptionalJsonBody<ActivateReindexRequest>,
) -> Result<Json<ReindexDoneView>, HttpProblem> {
    let key = administered_collection(&call.principal, &path.collection)?;
    let generation = http.services.admin.reindexing().activate(&key, request.allow_failed).await?;
    Ok(Json(ReindexDoneView { generation }))
}

/// Lets the generation serve again that served before the active one.
///
/// Needs the scope `admin`.
#[utoipa::path(
    post, path = "/v1/collections/{collection}/reindex/rollback", operation_id = "rollback_reindex",
    tag = "administration",
    params(CollectionPath),
    request_body = Option<NoFields>,
    responses((status = 200, description = "Which serves now.", body = ReindexDoneView)),
)]
async fn rollback_reindex(
    State(http): State<Arc<HttpServices>>,
    call: AdmittedCall,
    PathParameters(path): PathParameters<CollectionPath>,
    OptionalJsonBody(_nothing): OptionalJsonBody<NoFields>,
) -> Result<Json<ReindexDoneView>, HttpProblem> {
    let key = administered_collection(&call.principal, &path.collection)?;
    let generation = http.services.admin.reindexing().rollback(&key).await?;
    Ok(Json(ReindexDoneView { generation }))
}

/// Drops a kept generation after a time of grace, in which a rollback still brings it back.
///
/// Needs the scope `admin`.
#[utoipa::path(
    post, path = "/v1/collections/{collection}/reindex/drop", operation_id = "drop_generation",
    tag = "administration",
    params(CollectionPath),
    request_body = Option<DropGenerationRequest>,
    responses((status = 200, description = "Which will be dropped.", body = ReindexDoneView)),
)]
async fn drop_generation(
    State(http): State<Arc<HttpServices>>,
    call: AdmittedCall,
    PathParameters(path): PathParameters<CollectionPath>,
    OptionalJsonBody(request): OptionalJsonBody<DropGenerationRequest>,
) -> Result<Json<ReindexDoneView>, HttpProblem> {
    let key = administered_collection(&call.principal, &path.collection)?;
    let reindexing = http.services.admin.reindexing();
    let generation = reindexing.drop_kept(&key, request.generation, request.grace_ms).await?;
    Ok(Json(ReindexDoneView { generation }))
}
