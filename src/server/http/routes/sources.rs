//! Sources: folders, sites and feeds that producers keep a collection in step with.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::CollectionPath;
use crate::operations::messages::source::{
    FinishSourceRunRequest, FinishedSourceRun, ListSourceDocumentsRequest, ReportSourceDocumentsRequest,
    SourceDocumentList, SourceList, SourceRunView, SourceSelection,
};
use crate::server::admission::AdmittedCall;
use crate::server::http::extract::{JsonBody, PathParameters, QueryString};
use crate::server::http::problem::HttpProblem;
use crate::server::http::served_state::HttpServices;

pub(super) fn routes() -> OpenApiRouter<Arc<HttpServices>> {
    OpenApiRouter::default()
        .routes(routes!(list_sources, forget_source))
        .routes(routes!(list_source_documents))
        .routes(routes!(begin_source_run))
        .routes(routes!(report_source_documents))
        .routes(routes!(finish_source_run))
}

/// A run of a source of a collection.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
struct SourceRunPath {
    /// The collection.
    collection: String,
    /// The run's number.
    run: u64,
}

/// Lists the sources of a collection.
///
/// Needs one of the scopes `read`, `write` and `admin`.
#[utoipa::path(
    get, path = "/v1/collections/{collection}/sources", operation_id = "list_sources", tag = "sources",
    params(CollectionPath),
    responses((status = 200, description = "The sources, by name.", body = SourceList)),
)]
async fn list_sources(
    State(http): State<Arc<HttpServices>>,
    call: AdmittedCall,
    PathParameters(path): PathParameters<CollectionPath>,
) -> Result<Json<SourceList>, HttpProblem> {
    Ok(Json(http.services.sources.list_sources(&call.principal, &path.collection).await?))
}

/// Forgets a source; its documents stay.
///
/// Needs the scope `write`.
#[utoipa::path(
    delete, path = "/v1/collections/{collection}/sources", operation_id = "forget_source", tag = "sources",
    params(CollectionPath, SourceSelection),
    responses((status = 204, description = "It is forgotten.")),
)]
async fn forget_source(
    State(http): State<Arc<HttpServices>>,
    call: AdmittedCall,
    PathParameters(path): PathParameters<CollectionPath>,
    QueryString(selected): QueryString<SourceSelection>,
) -> Result<StatusCode, HttpProblem> {
    http.services.sources.forget_source(&call.principal, &path.collection, &selected.source).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Lists what the runs of a source saw, by id.
///
/// Needs the scope `write`.
#[utoipa::path(
    get, path = "/v1/collections/{collection}/sources/documents", operation_id = "list_source_documents",
    tag = "sources", params(CollectionPath, ListSourceDocumentsRequest),
    responses((status = 200, description = "A page of documents.", body = SourceDocumentList)),
)]
async fn list_source_documents(
    State(http): State<Arc<HttpServices>>,
    call: AdmittedCall,
    PathParameters(path): PathParameters<CollectionPath>,
    QueryString(request): QueryString<ListSourceDocumentsRequest>,
) -> Result<Json<SourceDocumentList>, HttpProblem> {
    Ok(Json(http.services.sources.source_documents(&call.principal, &path.collection, request).await?))
}

/// Begins a run of a source, which is made if it is new.
///
/// A run is one way through all of a folder, site or feed: report each document before you submit it and again
/// afterwards, then finish the run. What earlier runs saw and this one did not is gone. Needs the scope `write`.
#[utoipa::path(
    post, path = "/v1/collections/{collection}/sources/runs", operation_id = "begin_source_run",
    tag = "sources", params(CollectionPath), request_body = SourceSelection,
    responses((status = 201, description = "The run.", body = SourceRunView)),
)]
async fn begin_source_run(
    State(http): State<Arc<HttpServices>>,
    call: AdmittedCall,
    PathParameters(path): PathParameters<CollectionPath>,
    JsonBody(selected): JsonBody<SourceSelection>,
) -> Result<(StatusCode, Json<SourceRunView>), HttpProblem> {
    let sources = &http.services.sources;
    let run = sources.begin_source_run(&call.principal, &path.collection, &selected.source).await?;
    Ok((StatusCode::CREATED, Json(run)))
}

/// Reports documents that a run saw.
///
/// Needs the scope `write`.
#[utoipa::path(
    post, path = "/v1/collections/{collection}/sources/runs/{run}/documents",
    operation_id = "report_source_documents", tag = "sources",
    params(SourceRunPath), request_body = ReportSourceDocumentsRequest,
    responses((status = 204, description = "They are recorded.")),
)]
async fn report_source_documents(
    State(http): State<Arc<HttpServices>>,
    call: AdmittedCall,
    PathParameters(path): PathParameters<SourceRunPath>,
    JsonBody(request): JsonBody<ReportSourceDocumentsRequest>,
) -> Result<StatusCode, HttpProblem> {
    let sources = &http.services.sources;
    sources.report_source_documents(&call.principal, &path.collection, path.run, request).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Ends a run, and deletes what is gone where `prune` says so.
///
/// Needs the scope `write`.
#[utoipa::path(
    post, path = "/v1/collections/{collection}/sources/runs/{run}/finish",
    operation_id = "finish_source_run", tag = "sources",
    params(SourceRunPath), request_body = FinishSourceRunRequest,
    responses((status = 200, description = "What is gone.", body = FinishedSourceRun)),
)]
async fn finish_source_run(
    State(http): State<Arc<HttpServices>>,
    call: AdmittedCall,
    PathParameters(path): PathParameters<SourceRunPath>,
    JsonBody(request): JsonBody<FinishSourceRunRequest>,
) -> Result<Json<FinishedSourceRun>, HttpProblem> {
    let sources = &http.services.sources;
    Ok(Json(sources.finish_source_run(&call.principal, &path.collection, path.run, request).await?))
}
