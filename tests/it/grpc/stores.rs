//! The real operations over stores in memory: for scripted services, and behind a server with working stages.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use contexture::adapters::embedder::hash::HashEmbedder;
use contexture::adapters::memory::broker::MemoryBroker;
use contexture::adapters::memory::shared_states::MemorySharedStates;
use contexture::domain::document::Submission;
use contexture::domain::ids::{CollectionId, CollectionKey, DocumentId, Epoch};
use contexture::domain::pipeline::Pipeline;
use contexture::domain::principal::{AccessScope, Principal};
use contexture::fault::{Fault, Refusal};
use contexture::ingest::submit::DocumentSubmitter;
use contexture::ingest::{
    ChunkedDocumentCache, EmbeddingSingleFlight, IngestCounters, StageLimits, StageResources,
};
use contexture::operations::service::{CollectionSettingsStore, ModelCatalog, StoreOperations};
use contexture::operations::{ApiServices, IngestApi};
use contexture::ports::catalog::{CollectionCatalog, OpenCollection};
use contexture::ports::clock::{SystemClock, WallClock};
use contexture::ports::extractor::TextDocumentsOnly;
use contexture::ports::ledger::{Ledger, SubmissionReceipt, VersionRecord};
use contexture::resilience::quota_protocol::{QuotaStatus, WaitReason};
use contexture::server::grpc::proto::collection_service_client::CollectionServiceClient;
use contexture::server::grpc::proto::dead_letter_service_client::DeadLetterServiceClient;
use contexture::server::grpc::proto::ingest_service_client::IngestServiceClient;
use contexture::server::grpc::proto::status_service_client::StatusServiceClient;
use contexture::server::grpc::proto::{Receipt, SubmitRequest};
use tonic::Request;
use tonic::transport::Channel;

use super::support::*;
use crate::support::plant::ProcessStages;
use crate::support::tokenizers::RunTokenizer;
use crate::support::{BODY_BYTES_MAX as STORED_BYTES_MAX, epoch};

/// A key with all scopes, of the group `engineering`.
pub(super) const OWNER: &str = "canary-owner-key";
/// One that may only read, of the same group.
pub(super) const READER: &str = "canary-reader-key";
/// One that may only write.
pub(super) const WRITER: &str = "canary-writer-key";
/// The collection that there is.
pub(super) const HOME: &str = "home";

/// Numbers per vector.
const DIMS: usize = 8;

/// Models whose epochs tell pipelines apart, and one provider that throttles.
struct NamedModels;

#[async_trait]
impl ModelCatalog for NamedModels {
    async fn epoch_of(&self, pipeline: &Pipeline) -> Result<Epoch, Refusal> {
        Ok(epoch(&pipeline.to_toml()?))
    }

    async fn provider_quotas(&self) -> Result<Vec<(String, QuotaStatus)>, Refusal> {
        let quota = QuotaStatus {
            why: Some(WaitReason::RetryBudget),
            wait_ms: 1500,
            words: "slow down".to_owned(),
            waiting: 2,
            open: 3,
            window: 4,
            calls: 50,
            throttled: 6,
            failed: 7,
        };
        Ok(vec![("openai".to_owned(), quota)])
    }
}

/// A catalog in which no collection is open.
struct ClosedCatalog;

#[async_trait]
impl CollectionCatalog for ClosedCatalog {
    async fn open(&self, _: &CollectionKey) -> Result<Option<Arc<OpenCollection>>, Fault> {
        Ok(None)
    }

    async fn opened(&self) -> Vec<Arc<OpenCollection>> {
        Vec::new()
    }
}

/// Submits to the real ledger.
struct SubmitterApi(DocumentSubmitter);

#[async_trait]
impl IngestApi for SubmitterApi {
    async fn submit(&self, submissions: Vec<Submission>) -> Result<Vec<SubmissionReceipt>, Refusal> {
        self.0.submit(submissions).await
    }

    async fn document(
        &self,
        principal: &Principal,
        collection: CollectionId,
        id: DocumentId,
    ) -> Result<Vec<VersionRecord>, Refusal> {
        self.0.document(principal, collection, id).await
    }

    fn body_bytes_max(&self) -> usize {
        self.0.body_bytes_max()
    }
}

/// The operations on these stores.
fn operations(stages: Arc<StageResources>, ingest: Arc<dyn IngestApi>) -> Arc<StoreOperations> {
    let settings = Arc::new(CollectionSettingsStore::new(stages.states.clone()));
    let embedder = "[embedder]\nkind = \"hash\"\ndims = 8\ntokens_max = 512\n";
    let configured = Pipeline::from_toml(&format!("{embedder}[chunker]\ntokens_target = 200\n")).unwrap();
    let configured = vec![("short".to_owned(), configured)];
    Arc::new(StoreOperations::new(stages, ingest, Arc::new(NamedModels), settings, configured).unwrap())
}

/// The operations on a ledger of which no process serves anything.
pub(super) fn unserved_operations(
    ledger: Arc<dyn Ledger>,
    clock: Arc<dyn WallClock>,
    ingest: Arc<dyn IngestApi>,
) -> Arc<StoreOperations> {
    let stages = StageResources {
        ledger,
        broker: Arc::new(MemoryBroker::new(clock.clone())),
        catalog: Arc::new(ClosedCatalog),
        clock: clock.clone(),
        extractor: Arc::new(TextDocumentsOnly),
        limits: StageLimits {
            chunk_batch_documents_max: 64,
            embed_batch_documents_max: 64,
            embed_batch_texts_max: 64,
            embed_batch_tokens_max: 4096,
            embed_claim_max: Duration::from_secs(30),
            commit_documents_max: 64,
            commit_wait_max: Duration::from_millis(20),
            batch_body_bytes_max: 1 << 20,
            chunks_per_document_max: 100,
        },
        counters: IngestCounters::default(),
        meter: Arc::new(contexture::ports::meter::NoopIngestMeter),
        chunked_documents: ChunkedDocumentCache::new(1 << 20),
        single_flight: EmbeddingSingleFlight::default(),
        engines: contexture_core::ingest::EngineWatch::default(),
        states: Arc::new(MemorySharedStates::new(clock)),
        events: None,
        replicas: false,
    };
    operations(Arc::new(stages), ingest)
}

/// A server over one collection in memory whose stages work.
pub(super) struct StoreServer {
    pub(super) plant: ProcessStages,
    server: RunningServer,
}

impl StoreServer {
    pub(super) async fn start() -> Self {
        let clock: Arc<dyn WallClock> = Arc::new(SystemClock);
        let embedder = Arc::new(HashEmbedder::new(Arc::new(RunTokenizer), DIMS, 512).unwrap());
        let states = Arc::new(MemorySharedStates::new(clock.clone()));
        let plant = ProcessStages::new(embedder, states, clock, 1).await;
        let stages = plant.stages.clone();
        let submitter =
            DocumentSubmitter::new(stages.ledger.clone(), stages.broker.clone(), STORED_BYTES_MAX, 64 << 20);
        let ingest = Arc::new(SubmitterApi(submitter));
        let stored = operations(stages, ingest.clone());
        let scripted = Arc::new(ScriptedServices::default());
        let services = ApiServices {
            ingest,
            context: scripted.clone(),
            admin: scripted.admin.clone(),
            collections: stored.clone(),
            documents: stored.clone(),
            events: stored.clone(),
            dead_letters: stored.clone(),
            sources: stored.clone(),
            status: stored,
        };
        let keys = vec![
            key("owner", OWNER, &[AccessScope::Read, AccessScope::Write, AccessScope::Admin]),
            key("reader", READER, &[AccessScope::Read]),
            key("writer", WRITER, &[AccessScope::Write]),
        ];
        let server = RunningServer::start_with(authenticated(services, keys), served(limits())).await;
        Self { plant, server }
    }

    pub(super) async fn ingest(&self) -> IngestServiceClient<Channel> {
        self.server.ingest().await
    }

    pub(super) async fn collections(&self) -> CollectionServiceClient<Channel> {
        CollectionServiceClient::new(self.server.channel().await)
    }

    pub(super) async fn dead_letters(&self) -> DeadLetterServiceClient<Channel> {
        DeadLetterServiceClient::new(self.server.channel().await)
    }

    pub(super) async fn status(&self) -> StatusServiceClient<Channel> {
        StatusServiceClient::new(self.server.channel().await)
    }

    /// Submits as the owner, and waits until queries see it.
    pub(super) async fn put(&self, request: SubmitRequest) -> Receipt {
        let request = SubmitRequest { wait_visible_ms: Some(30_000), ..request };
        self.ingest().await.submit(with_key(request, OWNER)).await.unwrap().into_inner()
    }
}

/// A request with a key.
pub(super) fn with_key<T>(message: T, key: &str) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("x-api-key", key.parse().unwrap());
    request
}

/// A Markdown document for the collection.
pub(super) fn page(document_id: &str, text: &str) -> SubmitRequest {
    SubmitRequest {
        collection: HOME.to_owned(),
        document_id: document_id.to_owned(),
        body: text.as_bytes().to_vec().into(),
        ..SubmitRequest::default()
    }
}

/// A document that no stage can read.
pub(super) fn unreadable(document_id: &str) -> SubmitRequest {
    page(document_id, "%PDF-1.7 no text")
}
