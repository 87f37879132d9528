//! Audits and repairs of whole collections.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use hyper::HeaderMap;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{CollectionPath, NoFields};
use crate::operations::administered_collection;
use crate::operations::messages::job::{AuditOutcomeView, AuditProgressView};
use crate::server::admission::AdmittedCall;
use crate::server::http::event_stream::{ProgressSender, answer_job};
use crate::server::http::extract::{OptionalJsonBody, PathParameters};
use crate::server::http::problem::HttpProblem;
use crate::server::http::served_state::HttpServices;
use contexture_core::fault::Refusal;

pub(super) fn routes() -> OpenApiRouter<Arc<HttpServices>> {
    OpenApiRouter::default().routes(routes!(audit)).routes(routes!(repair))
}

/// Compares the stores of a collection with the ledger.
///
/// Answers with the report at the end; with `Accept: text/event-stream` with events `progress`, and `report` as
/// the last. It ends with its connection. Needs the scope `admin`.
#[utoipa::path(
    post, path = "/v1/collections/{collection}/audit", operation_id = "audit", tag = "administration",
    params(CollectionPath),
    request_body = Option<NoFields>,
    responses((status = 200, description = "What was found.", content(
        (AuditOutcomeView = "application/json"), (AuditProgressView = "text/event-stream"),
    ))),
)]
async fn audit(
    State(http): State<Arc<HttpServices>>,
    call: AdmittedCall,
    PathParameters(path): PathParameters<CollectionPath>,
    headers: HeaderMap,
    OptionalJsonBody(_nothing): OptionalJsonBody<NoFields>,
) -> Result<Response, HttpProblem> {
    Ok(run_audit(&http, call, &path, &headers, false).await?)
}

/// Compares the stores of a collection with the ledger, and mends what differs.
///
/// Answers as an audit does. Needs the scope `admin`.
#[utoipa::path(
    post, path = "/v1/collections/{collection}/repair", operation_id = "repair", tag = "administration",
    params(CollectionPath),
    request_body = Option<NoFields>,
    responses((status = 200, description = "What was found and mended.", content(
        (AuditOutcomeView = "application/json"), (AuditProgressView = "text/event-stream"),
    ))),
)]
async fn repair(
    State(http): State<Arc<HttpServices>>,
    call: AdmittedCall,
    PathParameters(path): PathParameters<CollectionPath>,
    headers: HeaderMap,
    OptionalJsonBody(_nothing): OptionalJsonBody<NoFields>,
) -> Result<Response, HttpProblem> {
    Ok(run_audit(&http, call, &path, &headers, true).await?)
}

async fn run_audit(
    http: &HttpServices,
    call: AdmittedCall,
    path: &CollectionPath,
    headers: &HeaderMap,
    repairs: bool,
) -> Result<Response, Refusal> {
    let key = administered_collection(&call.principal, &path.collection)?;
    let admin = http.services.admin.clone();
    answer_job(headers, call, |mut progress: ProgressSender<AuditProgressView>| async move {
        let show = move |at, mended| progress.send(AuditProgressView::new(at, mended));
        Ok(AuditOutcomeView::from(admin.audit(&key, repairs, Box::new(show)).await?))
    })
    .await
}
