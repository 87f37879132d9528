//! `IngestService`: requests to submissions, receipts to messages.

use std::sync::Arc;

use tokio::sync::watch;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::gate::{Deadline, panicked};
use super::proto::{self, ingest_service_server::IngestService};
use super::stream::Session;
use super::{Phase, convert};
use crate::config::ServerLimits;
use crate::domain::document::Submission;
use crate::domain::ids::{CollectionId, DocumentId};
use crate::domain::principal::Scope;
use crate::fault::{Refusal, RefusalKind};
use crate::server::IngestApi;
use crate::server::limits::Ticket;
use crate::server::status::from_refusal;

/// Serves submissions.
pub struct IngestHandler {
    api: Arc<dyn IngestApi>,
    limits: Arc<ServerLimits>,
    phases: watch::Receiver<Phase>,
}

impl IngestHandler {
    pub(super) fn new(
        api: Arc<dyn IngestApi>,
        limits: Arc<ServerLimits>,
        phases: watch::Receiver<Phase>,
    ) -> Self {
        Self { api, limits, phases }
    }

    async fn submit_one(&self, submission: Submission) -> Result<proto::Receipt, Refusal> {
        let document_id = submission.document_id().clone();
        let receipts = self.api.submit(vec![submission]).await?;
        let receipt = receipts.first().ok_or_else(receipt_missing)?;
        convert::receipt(&document_id, receipt)
    }
}

/// A submission without a receipt: intake broke its contract.
pub(super) fn receipt_missing() -> Refusal {
    Refusal::new(RefusalKind::Internal, "receipt_missing", "", "intake returned too few receipts")
}

#[tonic::async_trait]
impl IngestService for IngestHandler {
    type SubmitStreamStream = ReceiverStream<Result<proto::SubmitResult, Status>>;

    async fn submit(
        &self,
        request: Request<proto::SubmitRequest>,
    ) -> Result<Response<proto::Receipt>, Status> {
        let principal = convert::principal(&request)?;
        let submission = convert::submission(&principal, request.into_inner(), self.api.body_bytes_max())
            .map_err(|refusal| from_refusal(&refusal))?;
        let receipt = self.submit_one(submission).await;
        receipt.map(Response::new).map_err(|refusal| from_refusal(&refusal))
    }

    async fn submit_stream(
        &self,
        request: Request<Streaming<proto::SubmitRequest>>,
    ) -> Result<Response<Self::SubmitStreamStream>, Status> {
        let principal = convert::principal(&request)?;
        principal.require(Scope::Write).map_err(|refusal| from_refusal(&refusal))?;
        let deadline = request.extensions().get::<Deadline>().copied();
        let ticket = request
            .extensions()
            .get::<Arc<Ticket>>()
            .cloned()
            .ok_or_else(|| from_refusal(&panicked("a stream that passed no gate")))?;
        let session = Session {
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
        let principal = convert::principal(&request)?;
        let submission =
            convert::deletion(&principal, &request.into_inner()).map_err(|refusal| from_refusal(&refusal))?;
        let receipt = self.submit_one(submission).await;
        receipt.map(Response::new).map_err(|refusal| from_refusal(&refusal))
    }

    async fn get_document(
        &self,
        request: Request<proto::GetDocumentRequest>,
    ) -> Result<Response<proto::GetDocumentResponse>, Status> {
        let principal = convert::principal(&request)?;
        let message = request.into_inner();
        let checked =
            principal.require(Scope::Read).or_else(|_| principal.require(Scope::Write)).and_then(|()| {
                Ok((CollectionId::new(&message.collection)?, DocumentId::new(&message.document_id)?))
            });
        let (collection, id) = checked.map_err(|refusal| from_refusal(&refusal))?;
        let records =
            self.api.document(&principal, collection, id).await.map_err(|refusal| from_refusal(&refusal))?;
        let versions = records.into_iter().map(convert::document_version).collect();
        Ok(Response::new(proto::GetDocumentResponse { versions }))
    }
}
