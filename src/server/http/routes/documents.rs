//! One document: storing, reading and deleting it; and lists of documents.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::put;
use hyper::header::{CONTENT_TYPE, ETAG};
use hyper::{HeaderMap, StatusCode};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::document_writes::{DocumentWriter, WriteWaitQuery};
use super::{CollectionPath, DocumentPath};
use crate::operations::messages::document::{
    DeleteMatchingOutcome, DeleteMatchingRequest, DocumentDetails, DocumentList, DocumentRequest,
    DocumentView, ListDocumentsRequest, ReceiptView,
};
use crate::server::admission::AdmittedCall;
use crate::server::http::conditional::{WriteCondition, is_not_modified, version_tag};
use crate::server::http::extract::{
    JsonBody, PathParameters, QueryString, media_type, unsupported_media_type,
};
use crate::server::http::json_text::parse_json;
use crate::server::http::problem::HttpProblem;
use crate::server::http::request_body::read_body;
use crate::server::http::served_state::HttpServices;
use contexture_core::domain::document::{DocumentAcl, DocumentDescription, Submission};
use contexture_core::domain::principal::AccessScope;
use contexture_core::fault::Refusal;

pub(super) fn routes() -> OpenApiRouter<Arc<HttpServices>> {
    OpenApiRouter::default()
        .routes(routes!(list_documents))
        .routes(routes!(put_document, get_document, delete_document))
        .routes(routes!(delete_documents))
        // A route is chosen by its path alone, so a document called `delete` has to be served here, too.
        .route(
            "/v1/collections/{collection}/documents/delete",
            put(put_document).get(get_document).delete(delete_document),
        )
}

/// How a document is put.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct PutDocumentQuery {
    /// The title of a body that is the document itself.
    #[serde(default)]
    #[param(max_length = 1024)]
    title: Option<String>,
    /// The version of a body that is the document itself; absent: the next one.
    #[serde(default)]
    #[param(minimum = 1)]
    version: Option<u64>,
    /// `visible`: answer when queries find the document.
    #[serde(default)]
    #[param(inline)]
    wait: Option<WriteWaitQuery>,
    /// Longest wait, in ms; the call's deadline bounds it, too.
    #[serde(default)]
    timeout_ms: Option<u64>,
}

/// How a document is deleted.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct DeleteDocumentQuery {
    /// The version of the deletion; absent: the next one.
    #[serde(default)]
    #[param(minimum = 1)]
    version: Option<u64>,
    /// `visible`: answer when queries find the document no more.
    #[serde(default)]
    #[param(inline)]
    wait: Option<WriteWaitQuery>,
    /// Longest wait, in ms; the call's deadline bounds it, too.
    #[serde(default)]
    timeout_ms: Option<u64>,
}

/// What else to return of a document.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct GetDocumentQuery {
    /// `chunks`, `text` and `groups`, with commas between.
    #[serde(default)]
    #[param(example = "chunks,groups", pattern = "^(chunks|text|groups)(,(chunks|text|groups))*$")]
    include: Option<String>,
}

/// Lists documents by id.
///
/// Needs the scope `read`. Deleted documents and those that you may not read are left out.
#[utoipa::path(
    get, path = "/v1/collections/{collection}/documents", operation_id = "list_documents", tag = "documents",
    params(CollectionPath, ListDocumentsRequest),
    responses((status = 200, description = "A page of documents.", body = DocumentList)),
)]
async fn list_documents(
    State(http): State<Arc<HttpServices>>,
    call: AdmittedCall,
    PathParameters(path): PathParameters<CollectionPath>,
    QueryString(request): QueryString<ListDocumentsRequest>,
) -> Result<Json<DocumentList>, HttpProblem> {
    let documents = &http.services.documents;
    Ok(Json(documents.list_documents(&call.principal, &path.collection, request).await?))
}

/// Stores a version of a document.
///
/// With content type `application/json` the body describes the document; with any other it is the document, and
/// the content type is its media type. Needs the scope `write`, and `read` for a condition.
///
/// A condition fences the write: with `If-Match: "3"` it is stored as version 4, or not at all.
#[utoipa::path(
    put, path = "/v1/collections/{collection}/documents/{*document_id}", operation_id = "put_document",
    tag = "documents",
    params(
        DocumentPath, PutDocumentQuery,
        ("If-Match" = Option<String>, Header, description = "The version that must be the newest, in quotes; \
            several with commas between; or *, if there must be any.", example = "\"3\""),
        ("If-None-Match" = Option<String>, Header, description = "*, if the document must not exist."),
    ),
    request_body(
        content((DocumentRequest = "application/json"), (String = "text/markdown"), (String = "text/html"),
            (String = "text/plain"), (Vec<u8> = "application/octet-stream")),
        description = "The document.",
    ),
    responses(
        (status = 202, description = "It is stored and will be processed.", body = ReceiptView,
            headers(("Location" = String, description = "Where the document is."),
                ("ETag" = String, description = "Its version in quotes."))),
        (status = 200, description = "With wait=visible: the version has ended, as its state says.",
            body = ReceiptView,
            headers(("Location" = String, description = "Where the document is."),
                ("ETag" = String, description = "Its version in quotes."))),
    ),
)]
async fn put_document(
    State(http): State<Arc<HttpServices>>,
    call: AdmittedCall,
    PathParameters(path): PathParameters<DocumentPath>,
    QueryString(query): QueryString<PutDocumentQuery>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, HttpProblem> {
    // Before the body is read: it may be large.
    call.principal.require(AccessScope::Write)?;
    let condition = WriteCondition::read(&headers)?;
    let writer = DocumentWriter::new(&http, &call, &path)?;
    let wait = query.wait.map(|_| query.timeout_ms);
    let (title, version) = (query.title, query.version);
    let document = PutBody::read(&headers, title, version, body, http.limits.message_bytes_max).await?;
    let fence = writer.fence(condition, document.version()).await?;
    let submission = document.into_submission(&writer, fence.version)?;
    Ok(writer.write(submission, fence.condition.as_ref(), wait).await?)
}

/// The body of a put document.
enum PutBody {
    /// Described by JSON.
    Described(DocumentRequest),
    /// The document itself.
    Raw { description: DocumentDescription, version: Option<u64>, body: bytes::Bytes },
}

impl PutBody {
    async fn read(
        headers: &HeaderMap,
        title: Option<String>,
        version: Option<u64>,
        body: Body,
        bytes_max: usize,
    ) -> Result<Self, Refusal> {
        let named = media_type(headers);
        // What curl and browsers name when nobody told them, and never the type of a document.
        if named == "application/x-www-form-urlencoded" || named == "multipart/form-data" {
            let taken =
                "application/json, or the document with its own type; files of a form go to …/documents";
            return Err(unsupported_media_type(&named, taken));
        }
        let body = read_body(body, bytes_max).await?;
        if named == "application/json" {
            if title.is_some() || version.is_some() {
                let field = if title.is_some() { "title" } else { "version" };
                let message = format!("with a body of JSON, {field} is a field of it");
                return Err(Refusal::invalid("invalid_query", field, message));
            }
            return Ok(Self::Described(parse_json(&body)?));
        }
        // Bytes without a type of their own get the one that the pipeline finds.
        let declared = headers.get(CONTENT_TYPE).filter(|_| named != "application/octet-stream");
        let declared = declared.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
        let description = DocumentDescription {
            media_type: declared.filter(|declared| !declared.is_empty()),
            title,
            acl: DocumentAcl::Tenant,
            ..DocumentDescription::default()
        };
        Ok(Self::Raw { description, version, body })
    }

    /// The version that the caller names.
    fn version(&self) -> Option<u64> {
        match self {
            Self::Described(document) => document.version,
            Self::Raw { version, .. } => *version,
        }
    }

    fn into_submission(
        self,
        writer: &DocumentWriter<'_>,
        version: Option<u64>,
    ) -> Result<Submission, Refusal> {
        match self {
            Self::Described(document) => writer.described_submission(document, version),
            Self::Raw { description, body, .. } => writer.raw_submission(description, body, version),
        }
    }
}

/// Returns a document with its versions.
///
/// The entity tag is the newest version. It does not change with the state of that version, so a caller who
/// waits for it to be visible asks without `If-None-Match`. Needs the scope `read`.
#[utoipa::path(
    get, path = "/v1/collections/{collection}/documents/{*document_id}", operation_id = "get_document",
    tag = "documents",
    params(
        DocumentPath, GetDocumentQuery,
        ("If-None-Match" = Option<String>, Header, description = "The version that you have, in quotes."),
    ),
    responses(
        (status = 200, description = "The document.", body = DocumentView,
            headers(("ETag" = String, description = "Its newest version in quotes."))),
        (status = 304, description = "The newest version is the one that you have.",
            headers(("ETag" = String, description = "Its newest version in quotes."))),
    ),
)]
async fn get_document(
    State(http): State<Arc<HttpServices>>,
    call: AdmittedCall,
    PathParameters(path): PathParameters<DocumentPath>,
    QueryString(query): QueryString<GetDocumentQuery>,
    headers: HeaderMap,
) -> Result<Response, HttpProblem> {
    let details = document_details(query.include.as_deref())?;
    let documents = &http.services.documents;
    let view = documents.document_view(&call.principal, &path.collection, &path.document_id, details).await?;
    let tag = version_tag(view.version);
    if is_not_modified(&headers, view.version)? {
        return Ok((StatusCode::NOT_MODIFIED, [(ETAG, tag)]).into_response());
    }
    Ok(([(ETAG, tag)], Json(view)).into_response())
}

fn document_details(include: Option<&str>) -> Result<DocumentDetails, Refusal> {
    let mut details = DocumentDetails::default();
    for name in include.unwrap_or_default().split(',').map(str::trim).filter(|name| !name.is_empty()) {
        match name {
            "chunks" => details.chunks = true,
            "text" => details.text = true,
            "groups" => details.groups = true,
            other => {
                let message = format!("include knows chunks, text and groups, not '{other}'");
                return Err(Refusal::invalid("invalid_query", "include", message));
            }
        }
    }
    Ok(details)
}

/// Deletes a document.
///
/// A deletion is a version, which wins over those before it. Needs the scope `write`, and `read` for a
/// condition.
#[utoipa::path(
    delete, path = "/v1/collections/{collection}/documents/{*document_id}", operation_id = "delete_document",
    tag = "documents",
    params(
        DocumentPath, DeleteDocumentQuery,
        ("If-Match" = Option<String>, Header, description = "The version that must be the newest, in quotes."),
    ),
    responses(
        (status = 202, description = "The deletion is stored.", body = ReceiptView,
            headers(("Location" = String, description = "Where the document is."),
                ("ETag" = String, description = "The version of the deletion in quotes."))),
        (status = 200, description = "With wait=visible: the deletion has ended, as its state says.",
            body = ReceiptView,
            headers(("Location" = String, description = "Where the document is."),
                ("ETag" = String, description = "The version of the deletion in quotes."))),
    ),
)]
async fn delete_document(
    State(http): State<Arc<HttpServices>>,
    call: AdmittedCall,
    PathParameters(path): PathParameters<DocumentPath>,
    QueryString(query): QueryString<DeleteDocumentQuery>,
    headers: HeaderMap,
) -> Result<Response, HttpProblem> {
    call.principal.require(AccessScope::Write)?;
    let condition = WriteCondition::read(&headers)?;
    let writer = DocumentWriter::new(&http, &call, &path)?;
    writer.require_document(query.version).await?;
    let fence = writer.fence(condition, query.version).await?;
    let submission = writer.deletion(fence.version)?;
    Ok(writer.write(submission, fence.condition.as_ref(), query.wait.map(|_| query.timeout_ms)).await?)
}

/// Deletes the documents that a request selects.
///
/// At least one condition is needed, and all have to hold. Needs the scope `write`, and `read` for a filter.
#[utoipa::path(
    post, path = "/v1/collections/{collection}/documents/delete", operation_id = "delete_documents",
    tag = "documents",
    params(CollectionPath),
    request_body = DeleteMatchingRequest,
    responses((status = 200, description = "How many were selected and deleted.", body = DeleteMatchingOutcome)),
)]
async fn delete_documents(
    State(http): State<Arc<HttpServices>>,
    call: AdmittedCall,
    PathParameters(path): PathParameters<CollectionPath>,
    JsonBody(request): JsonBody<DeleteMatchingRequest>,
) -> Result<Json<DeleteMatchingOutcome>, HttpProblem> {
    let documents = &http.services.documents;
    Ok(Json(documents.delete_matching(&call.principal, &path.collection, request).await?))
}
