//! `IngestService`: converts requests to submissions and receipts to messages.

use std::sync::Arc;

use tokio::sync::watch;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::call_lifetime::{CallDeadline, ServerPhase, panicked_refusal};
use super::convert::{self, receipt_missing_refusal};
use super::proto::{self, ingest_service_server::IngestService};
use super::submit_stream::SubmitStreamSession;
use crate::config::ServerLimits;
use crate::server::api::IngestApi;
use crate::server::limits::RequestTicket;
use crate::server::status::status_from_refusal;
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

    async fn submit(
        &self,
        request: Request<proto::SubmitRequest>,
    ) -> Result<Response<proto::Receipt>, Status> {
        let principal = convert::request_principal(&request)?;
        let submission =
            convert::submission_from_request(&principal, request.into_inner(), self.api.body_bytes_max())
                .map_err(|refusal| status_from_refusal(&refusal))?;
        let receipt = self.submit_one(submission).await;
        receipt.map(Response::new).map_err(|refusal| status_from_refusal(&refusal))
    }

    async fn submit_stream(
        &self,
        request: Request<Streaming<proto::SubmitRequest>>,
    ) -> Result<Response<Self::SubmitStreamStream>, Status> {
        let principal = convert::request_principal(&request)?;
        principal.require(AccessScope::Write).map_err(|refusal| status_from_refusal(&refusal))?;
        let deadline = request.extensions().get::<CallDeadline>().copied();
        let ticket = request
            .extensions()
            .get::<Arc<RequestTicket>>()
            .cloned()
            .ok_or_else(|| status_from_refusal(&panicked_refusal("a stream that passed no gate")))?;
        let session = SubmitStreamSession {
            api: Arc::clone(&self.api),
            principal,
            limits: Arc::clone(&self.limits),
            ticket,
            deadline,
            phases: self.phases.clone(),
            incoming: request.into_inner(),
        };
        Ok(Response::new(session.start()))
    }

    async fn delete(
        &self,
        request: Request<proto::DeleteRequest>,
    ) -> Result<Response<proto::Receipt>, Status> {
        let principal = convert::request_principal(&request)?;
        let submission = convert::deletion_from_request(&principal, &request.into_inner())
            .map_err(|refusal| status_from_refusal(&refusal))?;
        let receipt = self.submit_one(submission).await;
        receipt.map(Response::new).map_err(|refusal| status_from_refusal(&refusal))
    }

    async fn get_document(
        &self,
        request: Request<proto::GetDocumentRequest>,
    ) -> Result<Response<proto::GetDocumentResponse>, Status> {
        let principal = convert::request_principal(&request)?;
        let message = request.into_inner();
        let checked =
            // Producers may look up what became of their documents without the scope to read.
            principal.require(AccessScope::Read).or_else(|_| principal.require(AccessScope::Write)).and_then(
                |()| Ok((CollectionId::new(&message.collection)?, DocumentId::new(&message.document_id)?)),
            );
        let (collection, id) = checked.map_err(|refusal| status_from_refusal(&refusal))?;
        let records = self
            .api
            .document(&principal, collection, id)
            .await
            .map_err(|refusal| status_from_refusal(&refusal))?;
        let versions = records.into_iter().map(convert::document_version_message).collect();
        Ok(Response::new(proto::GetDocumentResponse { versions }))
    }
}
