//! The caller, the service, and the description of this API.

use std::sync::{Arc, LazyLock};

use axum::Json;
use axum::extract::State;
use axum::response::{Html, IntoResponse, Response};
use hyper::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::operations::messages::status::{CallerView, PipelineList, ServiceStatus, UsageReport};
use crate::server::admission::AdmittedCall;
use crate::server::http::api_document::api_document_json;
use crate::server::http::extract::{PathParameters, QueryString};
use crate::server::http::problem::{HttpProblem, ProblemDetails};
use crate::server::http::served_state::HttpServices;
use contexture_core::fault::Refusal;

/// Days of usage when the caller does not say.
const USAGE_DAYS_DEFAULT: u64 = 30;
/// Everything of the page comes from this server.
const PAGE_POLICY: &str = "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'";
/// How long a browser may keep the files of the page, which change with the program only.
const PAGE_FILES_CACHE: &str = "public, max-age=3600";

/// The routes that need admission.
pub(super) fn routes() -> OpenApiRouter<Arc<HttpServices>> {
    OpenApiRouter::default()
        .routes(routes!(whoami))
        .routes(routes!(get_status))
        .routes(routes!(get_usage))
        .routes(routes!(list_pipelines))
}

/// The routes that need no credential: they tell nothing of a tenant.
pub(in crate::server::http) fn open_routes() -> OpenApiRouter {
    OpenApiRouter::default()
        .routes(routes!(get_health))
        .routes(routes!(get_openapi))
        .routes(routes!(get_docs))
        .routes(routes!(get_docs_file))
}

/// Whether the server is up.
#[derive(Debug, Serialize, ToSchema)]
struct HealthView {
    /// `ok`
    #[schema(example = "ok")]
    status: &'static str,
}

/// How far back to count.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct UsageQuery {
    /// Days to count, today included; absent: 30.
    #[serde(default)]
    #[param(minimum = 1)]
    days: Option<u64>,
}

/// A file of the page.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
struct DocsFilePath {
    /// Its name.
    #[param(example = "swagger-ui.css")]
    file: String,
}

/// Returns who your credential says you are.
#[utoipa::path(
    get, path = "/v1/whoami", operation_id = "whoami", tag = "service",
    responses((status = 200, description = "Tenant, groups and scopes.", body = CallerView)),
)]
async fn whoami(call: AdmittedCall) -> Json<CallerView> {
    Json(CallerView::from(&call.principal))
}

/// Returns how the service stands: collections, providers, and what embedding cost in 30 days.
///
/// Needs the scope `read`, `write` or `admin`.
#[utoipa::path(
    get, path = "/v1/status", operation_id = "get_status", tag = "service",
    responses((status = 200, description = "How it stands.", body = ServiceStatus)),
)]
async fn get_status(
    State(http): State<Arc<HttpServices>>,
    call: AdmittedCall,
) -> Result<Json<ServiceStatus>, HttpProblem> {
    Ok(Json(http.services.status.status(&call.principal).await?))
}

/// Returns what embedding cost your tenant, by model.
///
/// Needs the scope `read`, `write` or `admin`.
#[utoipa::path(
    get, path = "/v1/usage", operation_id = "get_usage", tag = "service",
    params(UsageQuery),
    responses((status = 200, description = "What it cost.", body = UsageReport)),
)]
async fn get_usage(
    State(http): State<Arc<HttpServices>>,
    call: AdmittedCall,
    QueryString(query): QueryString<UsageQuery>,
) -> Result<Json<UsageReport>, HttpProblem> {
    let days = query.days.unwrap_or(USAGE_DAYS_DEFAULT);
    Ok(Json(http.services.status.usage(&call.principal, days).await?))
}

/// Lists the pipelines that a collection can be made with by name.
#[utoipa::path(
    get, path = "/v1/pipelines", operation_id = "list_pipelines", tag = "service",
    responses((status = 200, description = "The default one first.", body = PipelineList)),
)]
async fn list_pipelines(
    State(http): State<Arc<HttpServices>>,
    call: AdmittedCall,
) -> Result<Json<PipelineList>, HttpProblem> {
    Ok(Json(http.services.status.pipelines(&call.principal).await?))
}

/// Tells that the server is up.
#[utoipa::path(
    get, path = "/healthz", operation_id = "get_health", tag = "service", security(()),
    responses((status = 200, description = "It is.", body = HealthView)),
)]
async fn get_health() -> Json<HealthView> {
    Json(HealthView { status: "ok" })
}

/// Returns the description of this API.
#[utoipa::path(
    get, path = "/openapi.json", operation_id = "get_openapi", tag = "service", security(()),
    responses((status = 200, description = "An OpenAPI 3.1 document.", body = Object)),
)]
async fn get_openapi() -> Response {
    static DOCUMENT: LazyLock<String> = LazyLock::new(api_document_json);
    ([(CONTENT_TYPE, "application/json")], DOCUMENT.as_str()).into_response()
}

/// Returns a page to read the description of this API.
#[utoipa::path(
    get, path = "/docs", operation_id = "get_docs", tag = "service", security(()),
    responses((status = 200, description = "The page.", body = String, content_type = "text/html")),
)]
async fn get_docs() -> Response {
    let policy = (CONTENT_SECURITY_POLICY, HeaderValue::from_static(PAGE_POLICY));
    ([policy], Html(include_str!("docs_page.html"))).into_response()
}

/// Returns a file of the page.
#[utoipa::path(
    get, path = "/docs/{file}", operation_id = "get_docs_file", tag = "service", security(()),
    params(DocsFilePath),
    responses(
        (status = 200, description = "The file.", content(
            (String = "text/css"), (String = "text/javascript"), (String = "image/png"),
        )),
        (
            status = 404, description = "The page has no such file.",
            body = ProblemDetails, content_type = "application/problem+json",
        ),
    ),
)]
async fn get_docs_file(PathParameters(path): PathParameters<DocsFilePath>) -> Result<Response, HttpProblem> {
    let cached = (CACHE_CONTROL, PAGE_FILES_CACHE);
    if path.file == "start.js" {
        return Ok(
            ([(CONTENT_TYPE, "text/javascript"), cached], include_str!("docs_page.js")).into_response()
        );
    }
    // Only what the page names: the others of the bundle would load what this server does not have.
    let content_type = match path.file.as_str() {
        "swagger-ui.css" => "text/css",
        "swagger-ui-bundle.js" => "text/javascript",
        "favicon-32x32.png" => "image/png",
        _ => return Err(Refusal::not_found("unknown_route", "the page has no such file").into()),
    };
    let file =
        utoipa_swagger_ui::serve(&path.file, Arc::new(utoipa_swagger_ui::Config::from("/openapi.json")));
    let Ok(Some(file)) = file else {
        return Err(Refusal::not_found("unknown_route", "the page has no such file").into());
    };
    Ok(([(CONTENT_TYPE, content_type), cached], file.bytes.into_owned()).into_response())
}
