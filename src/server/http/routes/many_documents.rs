//! Many documents at once: an array, a stream of lines, or the files of a form.
//!
//! An array and a form are read whole before anything is stored, so what cannot be read stores nothing. What is
//! read is decided document by document.

use std::fmt;
use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::CollectionPath;
use super::form_documents::read_form;
use super::submission_lines::LineSubmissionSession;
use crate::operations::caller_collection;
use crate::operations::messages::document::{DocumentRequest, ReceiptView};
use crate::server::admission::AdmittedCall;
use crate::server::http::extract::{LINE_TYPES, PathParameters, media_type, unsupported_media_type};
use crate::server::http::json_text::{DOCUMENTS_MAX, TOO_MANY_DOCUMENTS, parse_json};
use crate::server::http::problem::{HttpProblem, ProblemDetails};
use crate::server::http::request_body::read_body;
use crate::server::http::served_state::HttpServices;
use crate::server::submission_windows::{store_window, window_is_full};
use contexture_core::domain::ids::CollectionId;
use contexture_core::domain::principal::{AccessScope, Principal};
use contexture_core::fault::Refusal;

pub(super) fn routes() -> OpenApiRouter<Arc<HttpServices>> {
    OpenApiRouter::default().routes(routes!(submit_documents))
}

/// What became of one of many documents.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub(super) enum DocumentResult {
    /// It is stored, or was already.
    Stored(ReceiptView),
    /// It is not.
    Refused(RefusedDocument),
}

/// A document that was not stored.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RefusedDocument {
    /// The document, where its id could be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) document_id: Option<String>,
    /// The line of the stream it stood on, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) line: Option<u64>,
    /// Why.
    pub(super) error: ProblemDetails,
}

/// What became of many documents, in their order.
#[derive(Debug, Serialize, ToSchema)]
struct DocumentResults {
    /// One result for each document.
    results: Vec<DocumentResult>,
}

impl DocumentResult {
    pub(super) fn refused(document_id: Option<String>, line: Option<u64>, refusal: Refusal) -> Self {
        Self::Refused(RefusedDocument { document_id, line, error: HttpProblem(refusal).details() })
    }
}

/// Stores many documents.
///
/// A JSON array is answered when all are stored. Lines of JSON are answered line by line, while others still
/// arrive. Of a form, each file is a document: its name is the id, its type the media type; the n-th field `id`,
/// `title`, `version`, `metadata` or `groups` (the last two as JSON) is about the n-th file.
///
/// Every document has a result of its own, in order; one that is refused does not keep others from being
/// stored. Needs the scope `write`.
#[utoipa::path(
    post, path = "/v1/collections/{collection}/documents", operation_id = "submit_documents", tag = "documents",
    params(CollectionPath),
    request_body(
        content((Vec<DocumentRequest> = "application/json"), (DocumentRequest = "application/x-ndjson"),
            (Object = "multipart/form-data")),
        description = "The documents, each with its id.",
    ),
    responses((status = 200, description = "A result for each document.", content(
        (DocumentResults = "application/json"), (DocumentResult = "application/x-ndjson"),
    ))),
)]
async fn submit_documents(
    State(http): State<Arc<HttpServices>>,
    call: AdmittedCall,
    PathParameters(path): PathParameters<CollectionPath>,
    request: Request,
) -> Result<Response, HttpProblem> {
    call.principal.require(AccessScope::Write)?;
    let collection = caller_collection(&call.principal, &path.collection)?.collection;
    let (head, body) = request.into_parts();
    let named = media_type(&head.headers);
    let documents = match named.as_str() {
        "application/json" => read_array(body, http.limits.message_bytes_max).await?,
        "multipart/form-data" => {
            read_form(Request::from_parts(head, body), http.limits.message_bytes_max).await?
        }
        lines if LINE_TYPES.contains(&lines) => {
            return Ok(LineSubmissionSession::new(http, call, collection, body).answer());
        }
        other => {
            let taken = "application/json (an array), application/x-ndjson or multipart/form-data";
            return Err(unsupported_media_type(other, taken).into());
        }
    };
    let results = store_documents(&http, &call.principal, &collection, documents).await?;
    Ok(Json(DocumentResults { results }).into_response())
}

async fn read_array(body: Body, bytes_max: usize) -> Result<Vec<DocumentRequest>, Refusal> {
    let DocumentArray(documents) = parse_json(&read_body(body, bytes_max).await?)?;
    Ok(documents)
}

/// An array of at most [`DOCUMENTS_MAX`] documents.
// Empty documents are two bytes of a body and hundreds in memory, so the limit of bytes does not suffice.
struct DocumentArray(Vec<DocumentRequest>);

impl<'de> Deserialize<'de> for DocumentArray {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(DocumentArrayVisitor)
    }
}

struct DocumentArrayVisitor;

impl<'de> Visitor<'de> for DocumentArrayVisitor {
    type Value = DocumentArray;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an array of documents")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<DocumentArray, A::Error> {
        let mut documents = Vec::new();
        while let Some(document) = elements.next_element()? {
            if documents.len() == DOCUMENTS_MAX {
                return Err(A::Error::custom(TOO_MANY_DOCUMENTS));
            }
            documents.push(document);
        }
        Ok(DocumentArray(documents))
    }
}

/// Stores documents in windows. Refuses all of them alike where the collection does not exist.
async fn store_documents(
    http: &HttpServices,
    caller: &Principal,
    collection: &CollectionId,
    documents: Vec<DocumentRequest>,
) -> Result<Vec<DocumentResult>, Refusal> {
    let ingest = &*http.services.ingest;
    let body_bytes_max = ingest.body_bytes_max();
    let mut results = Vec::with_capacity(documents.len());
    let (mut names, mut window, mut bytes) = (Vec::new(), Vec::new(), 0);
    let mut waiting = documents.into_iter().peekable();
    while let Some(document) = waiting.next() {
        names.push(document.id.clone());
        let checked = document.into_submission(caller, collection, body_bytes_max);
        bytes += checked.as_ref().map_or(0, |submission| submission.body().len());
        window.push(checked);
        if waiting.peek().is_some() && !window_is_full(&http.limits, window.len(), bytes) {
            continue;
        }
        let decided = store_window(ingest, std::mem::take(&mut window)).await;
        bytes = 0;
        for (name, outcome) in names.drain(..).zip(decided) {
            match outcome.and_then(|(id, receipt)| ReceiptView::new(&id, &receipt)) {
                Ok(receipt) => results.push(DocumentResult::Stored(receipt)),
                // Nothing of this request can be stored, so it is refused as a whole.
                Err(refusal) if refusal.code == "unknown_collection" => return Err(refusal),
                Err(refusal) => results.push(DocumentResult::refused(name, None, refusal)),
            }
        }
    }
    Ok(results)
}
