//! Writes of one document: their fence, their receipt, and waiting for their end.

use axum::Json;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use hyper::StatusCode;
use hyper::header::{ETAG, HeaderValue, LOCATION};
use serde::Deserialize;
use tokio::time::Instant;
use utoipa::ToSchema;

use super::DocumentPath;
use crate::operations::caller_collection;
use crate::operations::messages::document::{
    DocumentRequest, IntakeName, ReceiptView, VersionState, VersionStateName,
};
use crate::server::admission::AdmittedCall;
use crate::server::http::conditional::{WriteCondition, checked_version, version_tag};
use crate::server::http::served_state::{HttpServices, time_for_work};
use crate::server::submission_windows::receipt_missing_refusal;
use contexture_core::context::request::DEADLINE_MAX;
use contexture_core::domain::document::{DocumentDescription, Submission};
use contexture_core::domain::ids::{CollectionKey, DocumentId, Version};
use contexture_core::domain::principal::AccessScope;
use contexture_core::fault::{Refusal, RefusalKind};
use contexture_core::ingest::submit::unknown_document_refusal;
use contexture_core::ports::ledger::VersionRecord;

/// How often a write that needs its document to exist goes behind another writer's version.
const FENCE_RETRIES_MAX: u32 = 3;

/// What an answer waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum WriteWaitQuery {
    /// The end of the version: queries find it, or it lost, or it is dead.
    Visible,
}

/// How a write is kept apart from others.
pub(super) struct WriteFence {
    /// The version that it names, if any.
    pub(super) version: Option<u64>,
    /// The condition that made this version, if one did.
    pub(super) condition: Option<WriteCondition>,
}

/// Writes one document for one call.
pub(super) struct DocumentWriter<'a> {
    http: &'a HttpServices,
    call: &'a AdmittedCall,
    collection: CollectionKey,
    document_id: DocumentId,
}

impl<'a> DocumentWriter<'a> {
    pub(super) fn new(
        http: &'a HttpServices,
        call: &'a AdmittedCall,
        path: &DocumentPath,
    ) -> Result<Self, Refusal> {
        let collection = caller_collection(&call.principal, &path.collection)?;
        Ok(Self { http, call, collection, document_id: DocumentId::new(&path.document_id)? })
    }

    /// The versions of the document, newest first; none where it was never stored.
    async fn history(&self) -> Result<Vec<VersionRecord>, Refusal> {
        let (collection, id) = (self.collection.collection.clone(), self.document_id.clone());
        let found = self.http.services.ingest.document(&self.call.principal, collection, id).await;
        found.or_else(
            |refusal| if refusal.kind == RefusalKind::NotFound { Ok(Vec::new()) } else { Err(refusal) },
        )
    }

    /// The version that a write names: the caller's, or the one that its condition makes it.
    pub(super) async fn fence(
        &self,
        condition: Option<WriteCondition>,
        asked: Option<u64>,
    ) -> Result<WriteFence, Refusal> {
        let Some(condition) = condition else { return Ok(WriteFence { version: asked, condition: None }) };
        let version = condition.fenced_version(&self.document_id, &self.history().await?, asked)?;
        // That a document exists leaves its version to a caller who names one.
        let is_fence = condition != WriteCondition::Exists || asked.is_none();
        Ok(WriteFence { version, condition: is_fence.then_some(condition) })
    }

    /// Refuses to delete a document that there is not. A deletion that names its version may come first, and
    /// who may not read cannot know.
    pub(super) async fn require_document(&self, asked: Option<u64>) -> Result<(), Refusal> {
        if asked.is_some() || self.call.principal.require(AccessScope::Read).is_err() {
            return Ok(());
        }
        if self.history().await?.first().is_some_and(|newest| !newest.deletes) {
            return Ok(());
        }
        // Whether the collection is missing is the better answer, and costs nothing more when it is not.
        self.http
            .services
            .collections
            .collection(&self.call.principal, self.collection.collection.as_str())
            .await?;
        Err(unknown_document_refusal(&self.document_id))
    }

    /// A document that JSON describes.
    pub(super) fn described_submission(
        &self,
        document: DocumentRequest,
        version: Option<u64>,
    ) -> Result<Submission, Refusal> {
        if let Some(id) = &document.id
            && DocumentId::new(id)? != self.document_id
        {
            let message = format!("the path says '{}', and id says '{id}'; leave id out", self.document_id);
            return Err(Refusal::invalid("id_differs", "id", message));
        }
        let id = Some(self.document_id.as_str().to_owned());
        let bytes_max = self.http.services.ingest.body_bytes_max();
        let document = DocumentRequest { id, version, ..document };
        document.into_submission(&self.call.principal, &self.collection.collection, bytes_max)
    }

    /// A document that is the body itself.
    pub(super) fn raw_submission(
        &self,
        description: DocumentDescription,
        body: Bytes,
        version: Option<u64>,
    ) -> Result<Submission, Refusal> {
        Submission::new(
            &self.call.principal,
            self.collection.collection.clone(),
            self.document_id.clone(),
            checked_version(version)?,
            description,
            body,
            self.http.services.ingest.body_bytes_max(),
        )
    }

    /// The deletion of the document.
    pub(super) fn deletion(&self, version: Option<u64>) -> Result<Submission, Refusal> {
        Submission::deletion(
            &self.call.principal,
            self.collection.collection.clone(),
            self.document_id.clone(),
            checked_version(version)?,
        )
    }

    /// The same write as another version.
    fn with_version(&self, submission: &Submission, version: Option<u64>) -> Result<Submission, Refusal> {
        if submission.deletes() {
            return self.deletion(version);
        }
        self.raw_submission(submission.description().clone(), submission.body().clone(), version)
    }

    /// Stores a write behind the fence of its condition. Where the document only has to exist, a write that lost
    /// goes behind the new version, at most [`FENCE_RETRIES_MAX`] times.
    async fn store(
        &self,
        mut submission: Submission,
        condition: Option<&WriteCondition>,
    ) -> Result<ReceiptView, Refusal> {
        let mut retries_left = FENCE_RETRIES_MAX;
        loop {
            let stored = self.http.services.ingest.submit(vec![submission.clone()]).await;
            let receipt = stored?.into_iter().next().ok_or_else(receipt_missing_refusal)?;
            let receipt = ReceiptView::new(&self.document_id, &receipt);
            // Behind a fence, a version that is there already was written by somebody else meanwhile.
            let lost = match &receipt {
                Err(refusal) => refusal.kind == RefusalKind::Conflict,
                Ok(receipt) => receipt.intake == IntakeName::Superseded,
            };
            let Some(condition) = condition.filter(|_| lost) else { return receipt };
            let history = self.history().await?;
            if *condition != WriteCondition::Exists || retries_left == 0 {
                return Err(condition.broken(&self.document_id, history.first()));
            }
            retries_left -= 1;
            // Refuses where the document is deleted by now.
            let version = condition.fenced_version(&self.document_id, &history, None)?;
            submission = self.with_version(&submission, version)?;
        }
    }

    /// Stores a write and answers with its receipt; with `wait`, once the version has ended or the time is over.
    #[expect(clippy::option_option, reason = "a wait without a time of its own is not no wait")]
    pub(super) async fn write(
        &self,
        submission: Submission,
        condition: Option<&WriteCondition>,
        wait: Option<Option<u64>>,
    ) -> Result<Response, Refusal> {
        let mut receipt = self.store(submission, condition).await?;
        let mut status = StatusCode::ACCEPTED;
        if let Some(timeout_ms) = wait {
            let state = self.wait(Version::new(receipt.version)?, timeout_ms).await?;
            receipt.state = VersionStateName::from(state);
            if state.is_terminal() {
                status = StatusCode::OK;
            }
        }
        Ok(self.answer(status, receipt))
    }

    async fn wait(&self, version: Version, timeout_ms: Option<u64>) -> Result<VersionState, Refusal> {
        let time = time_for_work(self.call, timeout_ms).unwrap_or(DEADLINE_MAX);
        let deadline = Instant::now() + time;
        let waited = self.http.services.documents.wait_for_version(
            &self.collection,
            &self.document_id,
            version,
            deadline,
        );
        let (state, reason) = waited.await?;
        if state != VersionState::Dead {
            return Ok(state);
        }
        let why = reason.map_or_else(String::new, |reason| format!(": {} ({})", reason.detail, reason.code));
        let message = format!("version {version} of document '{}' was given up{why}", self.document_id);
        Err(Refusal::invalid("document_died", "", message))
    }

    fn answer(&self, status: StatusCode, receipt: ReceiptView) -> Response {
        let tag = version_tag(receipt.version);
        let location = document_location(self.collection.collection.as_str(), self.document_id.as_str());
        let mut response = (status, [(ETAG, tag)], Json(receipt)).into_response();
        // What is percent-encoded is always a header value.
        if let Ok(location) = HeaderValue::from_str(&location) {
            response.headers_mut().insert(LOCATION, location);
        }
        response
    }
}

/// The path of a document, percent-encoded; the slashes of its id stay.
fn document_location(collection: &str, document_id: &str) -> String {
    use std::fmt::Write as _;

    let mut location = format!("/v1/collections/{collection}/documents/");
    for byte in document_id.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            location.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(location, "%{byte:02X}");
        }
    }
    location
}

#[cfg(test)]
mod tests {
    use super::document_location;

    #[test]
    fn the_location_of_a_document_is_a_path() {
        let location = document_location("docs", "wiki/Leave & pay/ü?.md");
        assert_eq!(location, "/v1/collections/docs/documents/wiki/Leave%20%26%20pay/%C3%BC%3F.md");
    }
}
