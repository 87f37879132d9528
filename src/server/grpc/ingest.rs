//! `IngestService`: converts requests to submissions and receipts to messages, and shows stored documents.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Status, Streaming};

use super::call_frame::{CallDeadline, ServerPhase, panicked_refusal};
use super::call_frame::{CallResult, OpenedCall, answer};
use super::collections::cursor_from_message;
use super::context::time_for_query;
use super::convert;
use super::document_convert::{self, document_message, event_message, state_message, version_message};
use super::message_stream::{MessageStream, stream_messages};
use super::proto::{self, ingest_service_server::IngestService};
use super::submit_stream::SubmitStreamSession;
use crate::config::ServerLimits;
use crate::operations::messages::document::{DocumentDetails, VersionState};
use crate::operations::{ApiServices, DocumentsApi, EventsApi, IngestApi};
use crate::server::limits::RequestTicket;
use crate::server::submission_windows::receipt_missing_refusal;
use contexture_core::domain::document::Submission;
use contexture_core::domain::ids::{CollectionId, DocumentId};
use contexture_core::domain::principal::{AccessScope, Principal};
use contexture_core::fault::{FailureReason, Refusal};

/// Longest wait of a call without a deadline. Only a deadline beyond the range of the clock is none.
const WAIT_MAX: Duration = Duration::from_hours(1);

/// Serves submissions and stored documents.
pub struct IngestHandler {
    api: Arc<dyn IngestApi>,
    documents: Arc<dyn DocumentsApi>,
    events: Arc<dyn EventsApi>,
    limits: Arc<ServerLimits>,
    phases: watch::Receiver<ServerPhase>,
}

impl IngestHandler {
    pub(super) fn new(
        services: &ApiServices,
        limits: Arc<ServerLimits>,
        phases: watch::Receiver<ServerPhase>,
    ) -> Self {
        Self {
            api: services.ingest.clone(),
            documents: services.documents.clone(),
            events: services.events.clone(),
            limits,
            phases,
        }
    }

    /// Submits a document version, and waits until it has ended where the caller asked for that.
    async fn submit_one(
        &self,
        submission: Submission,
        wait_visible_ms: Option<u64>,
        deadline: Option<CallDeadline>,
    ) -> Result<proto::Receipt, Refusal> {
        let (collection, document_id) = (submission.collection().clone(), submission.document_id().clone());
        let receipts = self.api.submit(vec![submission]).await?;
        let receipt = receipts.first().ok_or_else(receipt_missing_refusal)?;
        let mut message = convert::receipt_message(&document_id, receipt)?;
        let Some(wait_ms) = wait_visible_ms.filter(|wait_ms| *wait_ms > 0) else { return Ok(message) };
        let left = deadline.map_or(WAIT_MAX, time_for_query);
        let until = Instant::now() + Duration::from_millis(wait_ms).min(left);
        // Of a duplicate or superseded submission, the version that is stored is waited for.
        let ended =
            self.documents.wait_for_version(&collection, &document_id, receipt.version, until).await?;
        match ended {
            (VersionState::Dead, reason) => Err(document_died_refusal(&document_id, reason)),
            (state, _) => {
                message.set_state(state_message(state.into()));
                Ok(message)
            }
        }
    }

    /// Returns the versions of a document for a caller who may write and not read.
    async fn versions_for_writer(
        &self,
        caller: &Principal,
        message: &proto::GetDocumentRequest,
    ) -> Result<proto::GetDocumentResponse, Refusal> {
        let collection = CollectionId::new(&message.collection)?;
        let id = DocumentId::new(&message.document_id)?;
        let records = self.api.document(caller, collection, id).await?;
        let versions = records.into_iter().map(|record| version_message(record.into())).collect();
        Ok(proto::GetDocumentResponse { versions, ..proto::GetDocumentResponse::default() })
    }
}

fn document_died_refusal(document_id: &DocumentId, reason: Option<FailureReason>) -> Refusal {
    let why = reason.map_or_else(
        || "its reason is not known".to_owned(),
        |reason| {
            let FailureReason { code, detail, .. } = reason;
            format!("{code}: {detail}")
        },
    );
    Refusal::invalid("document_died", "", format!("document '{document_id}' was given up: {why}"))
}

#[tonic::async_trait]
impl IngestService for IngestHandler {
    type SubmitStreamStream = ReceiverStream<Result<proto::SubmitResult, Status>>;
    type WatchDocumentsStream = MessageStream<proto::DocumentEvent>;

    async fn submit(&self, request: Request<proto::SubmitRequest>) -> CallResult<proto::Receipt> {
        answer(request, async |OpenedCall { principal, deadline, message }| {
            let wait_visible_ms = message.wait_visible_ms;
            let body_bytes_max = self.api.body_bytes_max();
            let submission = convert::submission_from_request(&principal, message, body_bytes_max)?;
            self.submit_one(submission, wait_visible_ms, deadline).await
        })
        .await
    }

    async fn submit_stream(
        &self,
        request: Request<Streaming<proto::SubmitRequest>>,
    ) -> CallResult<Self::SubmitStreamStream> {
        let ticket = request.extensions().get::<Arc<RequestTicket>>().cloned();
        answer(request, async |OpenedCall { principal, deadline, message: incoming }| {
            principal.require(AccessScope::Write)?;
            let session = SubmitStreamSession {
                api: Arc::clone(&self.api),
                principal,
                limits: Arc::clone(&self.limits),
                ticket: ticket.ok_or_else(|| panicked_refusal("a stream that passed no gate"))?,
                deadline,
                phases: self.phases.clone(),
                incoming,
            };
            Ok(session.start())
        })
        .await
    }

    async fn delete(&self, request: Request<proto::DeleteRequest>) -> CallResult<proto::Receipt> {
        answer(request, async |OpenedCall { principal, deadline, message }| {
            let deletion = convert::deletion_from_request(&principal, &message)?;
            self.submit_one(deletion, message.wait_visible_ms, deadline).await
        })
        .await
    }

    async fn get_document(
        &self,
        request: Request<proto::GetDocumentRequest>,
    ) -> CallResult<proto::GetDocumentResponse> {
        answer(request, async |OpenedCall { principal, message, .. }| {
            let is_writer = principal.require(AccessScope::Write).is_ok();
            let is_reader = principal.require(AccessScope::Read).is_ok();
            // Producers look up what became of their documents. For who may read, the groups decide, as over
            // HTTP: otherwise `write` would show that there is what they may not read.
            if is_writer && !is_reader {
                return self.versions_for_writer(&principal, &message).await;
            }
            let proto::GetDocumentRequest { collection, document_id, .. } = &message;
            let details = DocumentDetails {
                chunks: message.include_chunks,
                text: message.include_text,
                groups: message.include_groups,
            };
            let view = self.documents.document_view(&principal, collection, document_id, details).await?;
            Ok(document_convert::document_response(view))
        })
        .await
    }

    async fn list_documents(
        &self,
        request: Request<proto::ListDocumentsRequest>,
    ) -> CallResult<proto::ListDocumentsResponse> {
        answer(request, async |OpenedCall { principal, message, .. }| {
            let (collection, asked) = document_convert::listing_from_request(message)?;
            let page = self.documents.list_documents(&principal, &collection, asked).await?;
            Ok(proto::ListDocumentsResponse {
                documents: page.documents.into_iter().map(document_message).collect(),
                next_cursor: page.next_cursor.unwrap_or_default(),
            })
        })
        .await
    }

    async fn delete_documents(
        &self,
        request: Request<proto::DeleteDocumentsRequest>,
    ) -> CallResult<proto::DeleteDocumentsResponse> {
        answer(request, async |OpenedCall { principal, message, .. }| {
            let (collection, asked) = document_convert::deletion_from_matching(message);
            let outcome = self.documents.delete_matching(&principal, &collection, asked).await?;
            Ok(proto::DeleteDocumentsResponse {
                matched: outcome.matched,
                deleted: outcome.deleted,
                dry_run: outcome.dry_run,
            })
        })
        .await
    }

    async fn watch_documents(
        &self,
        request: Request<proto::WatchDocumentsRequest>,
    ) -> CallResult<Self::WatchDocumentsStream> {
        answer(request, async |OpenedCall { principal, deadline, message }| {
            let proto::WatchDocumentsRequest { collection, after } = message;
            let after = cursor_from_message(after);
            let mut events = self.events.document_events(&principal, &collection, after.as_deref()).await?;
            Ok(stream_messages(self.phases.clone(), deadline, |messages| async move {
                while let Some(event) = events.next().await {
                    // Waits for the reader, so a slow one holds its own stream back and nothing else.
                    if messages.send(Ok(event_message(event?))).await.is_err() {
                        break;
                    }
                }
                Ok(())
            }))
        })
        .await
    }
}
