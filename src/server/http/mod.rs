//! HTTP: the routes beside gRPC, admission of their calls, and problems.
//!
//! [`http_router`] is where routes are added. Those of operations stand behind [`admission_layer`]: their
//! handlers take an [`AdmittedCall`](super::admission::AdmittedCall), and their calls are counted under the names
//! of [`operation_names`]. `/healthz` needs no credential.

pub(super) mod admission_layer;
mod api_document;
mod browsers;
mod conditional;
mod event_stream;
mod extract;
mod json_text;
mod line_reader;
mod operation_names;
pub mod problem;
mod request_body;
mod resource_metadata;
mod routes;
mod served_state;

use std::sync::Arc;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use axum::{Router, middleware};
use hyper::{Method, Request, Uri};

use self::admission_layer::HttpAdmission;
pub use self::api_document::{api_document, api_document_json};
use self::problem::HttpProblem;
pub use self::request_body::read_body;
use self::resource_metadata::{MetadataChallenge, challenge_with_metadata};
use self::served_state::HttpServices;
use super::ServedApi;
use super::admission::CallAdmission;
use super::auth::Authenticator;
use super::mcp::{McpAccess, McpService, mcp_router};
use crate::config::ServerConfig;
use contexture_core::fault::{Refusal, RefusalKind};

/// Bytes that a header counts beside its name and its value, as in HTTP/2.
const HEADER_OVERHEAD_BYTES: usize = 32;

/// Returns all routes of HTTP.
pub(super) fn http_router(api: &ServedApi, admission: &Arc<CallAdmission>, config: &ServerConfig) -> Router {
    let state = Arc::new(HttpServices::new(api.services.clone(), config.limits.clone()));
    let http_admission = HttpAdmission::new(Arc::clone(admission), &config.cors_origins);
    let (operations, _) = routes::operation_routes().split_for_parts();
    // A layer on routes, not on the router: an unknown path needs no credential.
    let operations = operations
        .with_state(state)
        .merge(mcp_routes(api, config))
        .route_layer(middleware::from_fn_with_state(http_admission, admission_layer::admit_http_call));
    let (open, _) = routes::open_routes().split_for_parts();
    let router = Router::new().merge(open).merge(operations);
    let router = with_resource_metadata(router, config, &api.authenticator)
        .fallback(unknown_route)
        .method_not_allowed_fallback(method_not_allowed);
    match browsers::cors_layer(&config.cors_origins) {
        // Outermost: a browser asks for leave without a credential.
        Some(cors) => router.layer(cors),
        None => router,
    }
}

fn mcp_routes(api: &ServedApi, config: &ServerConfig) -> Router {
    let access = McpAccess {
        origins: config.mcp_origins.clone(),
        is_authenticated: api.authenticator.needs_credential(),
    };
    mcp_router(McpService::new(Arc::clone(&api.mcp_tools), &access))
}

/// Adds what tells clients of MCP about the issuers, if there are any and the public address is known.
fn with_resource_metadata(router: Router, config: &ServerConfig, authenticator: &Authenticator) -> Router {
    let issuers = authenticator.issuer_names();
    let Some(public_url) = config.public_url.as_deref().filter(|_| !issuers.is_empty()) else {
        return router;
    };
    let router = router.merge(resource_metadata::metadata_routes(public_url, &issuers));
    match MetadataChallenge::new(public_url) {
        Some(challenge) => router.layer(middleware::from_fn_with_state(challenge, challenge_with_metadata)),
        None => router,
    }
}

async fn unknown_route(method: Method, uri: Uri) -> HttpProblem {
    HttpProblem(Refusal::not_found("unknown_route", format!("there is no {method} {}", uri.path())))
}

async fn method_not_allowed(method: Method, uri: Uri) -> HttpProblem {
    let message = format!("{} does not take {method}", uri.path());
    HttpProblem(Refusal::new(RefusalKind::Invalid, "method_not_allowed", "", message))
}

/// Returns the answer to a request whose line and headers are larger than `bytes_max`. HTTP/2 counts alike.
pub(super) fn metadata_refused<B>(request: &Request<B>, bytes_max: usize) -> Option<Response<Body>> {
    let of_path = request.uri().path_and_query().map_or(0, |path| path.as_str().len());
    let of_header = |(name, value): (&hyper::header::HeaderName, &hyper::header::HeaderValue)| {
        name.as_str().len() + value.len() + HEADER_OVERHEAD_BYTES
    };
    let bytes = of_path + request.headers().iter().map(of_header).sum::<usize>();
    (bytes > bytes_max).then(|| {
        let message = format!("path and headers have {bytes} bytes; at most {bytes_max} are taken");
        HttpProblem(Refusal::invalid("metadata_too_large", "", message)).into_response()
    })
}
