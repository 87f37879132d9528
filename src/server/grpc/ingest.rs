//! `IngestService`: converts requests to submissions and receipts to messages.

use std::sync::Arc;

use tokio::sync::watch;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Status, Streaming};

use super::call_frame::{CallResult, OpenedCall, answer};
use super::call_frame::{ServerPhase, panicked_refusal};
use super::convert::{self, receipt_missing_refusal};
use super::proto::{self, ingest_service_server::IngestService};
use super::submit_stream::SubmitStreamSession;
use crate::config::ServerLimits;
use crate::server::api::IngestApi;
use crate::server::limits::RequestTicket;
use contexture_core::domain::document::Submission;
use contexture_core::domain::ids::{CollectionId, DocumentId};
use contexture_core::domain::principal::AccessScope;
use contexture_core::fault::Refusal;

/// Serves submissions.
pub struct IngestHandler {
    api: Arc<dyn IngestApi>,
    limits: Arc<ServerLimits>,
    phases: watch::Receiver<ServerPhase>,
}

impl IngestHandler {
    pub(super) fn new(
        api: Arc<dyn IngestApi>,
        limits: Arc<ServerLimits>,
        phases: watch::Receiver<ServerPhase>,
    ) -> Self {
        Self { api, limits, phases }
    }

    async fn submit_one(&self, submission: Submission) -> Result<proto::Receipt, Refusal> {
        let document_id = submission.document_id().clone();
        let receipts = self.api.submit(vec![submission]).await?;
        let receipt = receipts.first().ok_or_else(receipt_missing_refusal)?;
        convert::receipt_message(&document_id, receipt)
    }
}

#[tonic::async_trait]
impl IngestService for IngestHandler {
    type SubmitStreamStream = ReceiverStream<Result<proto::SubmitResult, Status>>;

    async fn submit(&self, request: Request<proto::SubmitRequest>) -> CallResult<proto::Receipt> {
        answer(request, async |call| {
            let body_bytes_max = self.api.body_bytes_max();
            let submission = convert::submission_from_request(&call.principal, call.message, body_bytes_max)?;
            self.submit_one(submission).await
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
        answer(request, async |call| {
            self.submit_one(convert::deletion_from_request(&call.principal, &call.message)?).await
        })
        .await
    }

    async fn get_document(
        &self,
        request: Request<proto::GetDocumentRequest>,
    ) -> CallResult<proto::GetDocumentResponse> {
        answer(request, async |OpenedCall { principal, message, .. }| {
            // Producers may look up what became of their documents without the scope to read.
            principal.require(AccessScope::Read).or_else(|_| principal.require(AccessScope::Write))?;
            let collection = CollectionId::new(&message.collection)?;
            let id = DocumentId::new(&message.document_id)?;
            let records = self.api.document(&principal, collection, id).await?;
            let versions = records.into_iter().map(convert::document_version_message).collect();
            Ok(proto::GetDocumentResponse { versions })
        })
        .await
    }
}
