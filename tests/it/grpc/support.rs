//! Scripted services, a real server on a free port, and helpers to read errors.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use contexture::adapters::memory::ledger::MemoryLedger;
use contexture::adapters::tokenizer::bpe::BpeTokenizer;
use contexture::config::api_keys::HashedApiKey;
use contexture::config::{ServerConfig, ServerLimits};
use contexture::context::answer::{ContextAnswer, QueryTimings, SearchAnswer};
use contexture::context::request::{AssemblyRequest, ContextQuery};
use contexture::domain::document::Submission;
use contexture::domain::ids::{CollectionId, CollectionKey, DocumentId, TenantId, Version};
use contexture::domain::principal::{AccessScope, Principal};
use contexture::fault::Refusal;
use contexture::jobs::audit::{AuditProgress, AuditReport};
use contexture::jobs::reindex::ReindexControl;
use contexture::jobs::repair::RepairOutcome;
use contexture::lab::compare::{ComparisonRequest, GenerationComparison};
use contexture::operations::{AdminApi, ApiServices, ContextApi, IngestApi};
use contexture::ports::clock::WallClock;
use contexture::ports::generations::GenerationBuildPace;
use contexture::ports::ledger::{IntakeDecision, Ledger, SubmissionReceipt, VersionRecord};
use contexture::server::auth::Authenticator;
use contexture::server::grpc::GrpcServices;
use contexture::server::grpc::proto::context_service_client::ContextServiceClient;
use contexture::server::grpc::proto::ingest_service_client::IngestServiceClient;
use contexture::server::grpc::proto::{AssembleRequest, SubmitRequest};
use contexture::server::mcp::McpTools;
use contexture::server::{ServeError, ServedApi, run_server};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, oneshot, watch};
use tokio::task::JoinHandle;
use tonic::Status;
use tonic::transport::{Channel, Endpoint};
use tonic_types::StatusExt;

use super::stores::unserved_operations;
use crate::support::clock::ManualClock;
use crate::support::epoch;

pub(super) const BODY_BYTES_MAX: usize = 1000;

type SubmitHook = Box<dyn Fn(&[Submission]) -> Result<Vec<SubmissionReceipt>, Refusal> + Send + Sync>;
type DocumentHook = Box<dyn Fn(&Principal) -> Result<Vec<VersionRecord>, Refusal> + Send + Sync>;
type QueryHook = Box<dyn Fn(&ContextQuery) -> Result<(), Refusal> + Send + Sync>;

/// Both services: answers as told, holds calls until let go, remembers what it saw.
pub(super) struct ScriptedServices {
    pub(super) on_submit: SubmitHook,
    pub(super) on_document: DocumentHook,
    pub(super) on_query: QueryHook,
    pub(super) context: ContextAnswer,
    pub(super) ranking: SearchAnswer,
    pub(super) admin: Arc<MemoryCollections>,
    pub(super) seen: Mutex<Vec<Vec<Submission>>>,
    pub(super) queries: Mutex<Vec<ContextQuery>>,
    pub(super) entered: watch::Sender<usize>,
    pub(super) leave: Semaphore,
}

/// Collections in memory, to be looked after.
pub(super) struct MemoryCollections {
    pub(super) ledger: MemoryLedger,
    clock: Arc<ManualClock>,
    reindexing: ReindexControl,
}

impl Default for MemoryCollections {
    fn default() -> Self {
        let clock = Arc::new(ManualClock::new());
        let ledger = MemoryLedger::new(clock.clone());
        let reindexing = ReindexControl::new(Arc::new(ledger.peer()), clock.clone());
        Self { ledger, clock, reindexing }
    }
}

#[async_trait]
impl AdminApi for MemoryCollections {
    async fn start_reindex(
        &self,
        collection: &CollectionKey,
        pipeline: &str,
        pace: GenerationBuildPace,
    ) -> Result<(), Refusal> {
        self.reindexing.start(collection, pipeline, epoch(pipeline), pace).await.map(|_| ())
    }

    async fn audit(
        &self,
        collection: &CollectionKey,
        repair: bool,
        mut show: Box<dyn FnMut(AuditProgress, u64) + Send>,
    ) -> Result<RepairOutcome, Refusal> {
        let counts = self.ledger.counts(collection).await?;
        show(AuditProgress { done: 1, total: 2 }, 0);
        let found =
            AuditReport { documents: counts.documents, missing: 3, orphan: 1, ..AuditReport::default() };
        Ok(RepairOutcome { found, mended: if repair { 4 } else { 0 }, ..RepairOutcome::default() })
    }

    async fn compare(
        &self,
        _: &Principal,
        collection: &CollectionId,
        _: ComparisonRequest,
        _: Box<dyn FnMut(usize, usize) + Send>,
    ) -> Result<GenerationComparison, Refusal> {
        Err(Refusal::not_found("no_reindex", format!("no generation of '{collection}' is being built")))
    }

    fn reindexing(&self) -> &ReindexControl {
        &self.reindexing
    }

    fn now_ms(&self) -> u64 {
        self.clock.now_ms()
    }
}

impl Default for ScriptedServices {
    fn default() -> Self {
        Self {
            on_submit: Box::new(|submissions| Ok(submissions.iter().map(accepted).collect())),
            on_document: Box::new(|_| Err(Refusal::not_found("not_found", "not found, or not yours to see"))),
            on_query: Box::new(|_| Ok(())),
            context: answer(),
            ranking: ranking(),
            admin: Arc::default(),
            seen: Mutex::default(),
            queries: Mutex::default(),
            entered: watch::Sender::new(0),
            leave: Semaphore::new(Semaphore::MAX_PERMITS / 2),
        }
    }
}

impl ScriptedServices {
    /// One whose calls stay inside until `leave` gets permits.
    pub(super) fn holding() -> Self {
        Self { leave: Semaphore::new(0), ..Self::default() }
    }

    pub(super) async fn entered(&self, calls: usize) {
        self.entered.subscribe().wait_for(|entered| *entered >= calls).await.unwrap();
    }

    async fn pass(&self) {
        self.entered.send_modify(|entered| *entered += 1);
        self.leave.acquire().await.unwrap().forget();
    }
}

pub(super) fn accepted(submission: &Submission) -> SubmissionReceipt {
    let version = submission.version().unwrap_or(Version::new(1).unwrap());
    SubmissionReceipt { version, intake: IntakeDecision::Accepted, task: None }
}

pub(super) fn answer() -> ContextAnswer {
    ContextAnswer {
        context: "a context".to_owned(),
        tokens: 2,
        budget: 100,
        tokenizer: "cl100k_base".to_owned(),
        snapshot: 7,
        snapshots: BTreeMap::new(),
        degraded: Vec::new(),
        reserved: 0,
        passages: Vec::new(),
        prefix: None,
        continuation: String::new(),
        bound: 1.0,
        trace: Vec::new(),
        timings: QueryTimings::default(),
    }
}

pub(super) fn ranking() -> SearchAnswer {
    SearchAnswer {
        results: Vec::new(),
        snapshot: 7,
        snapshots: BTreeMap::new(),
        degraded: Vec::new(),
        timings: QueryTimings::default(),
    }
}

#[async_trait]
impl IngestApi for ScriptedServices {
    async fn submit(&self, submissions: Vec<Submission>) -> Result<Vec<SubmissionReceipt>, Refusal> {
        self.pass().await;
        self.seen.lock().unwrap().push(submissions.clone());
        (self.on_submit)(&submissions)
    }

    async fn document(
        &self,
        principal: &Principal,
        _collection: CollectionId,
        _id: DocumentId,
    ) -> Result<Vec<VersionRecord>, Refusal> {
        self.pass().await;
        (self.on_document)(principal)
    }

    fn body_bytes_max(&self) -> usize {
        BODY_BYTES_MAX
    }
}

#[async_trait]
impl ContextApi for ScriptedServices {
    async fn assemble(
        &self,
        query: ContextQuery,
        assembly: AssemblyRequest,
    ) -> Result<ContextAnswer, Refusal> {
        self.pass().await;
        self.queries.lock().unwrap().push(query.clone());
        (self.on_query)(&query)?;
        Ok(ContextAnswer { budget: assembly.budget, ..self.context.clone() })
    }

    async fn search(&self, query: ContextQuery) -> Result<SearchAnswer, Refusal> {
        self.pass().await;
        self.queries.lock().unwrap().push(query.clone());
        (self.on_query)(&query)?;
        Ok(self.ranking.clone())
    }
}

pub(super) fn limits() -> ServerLimits {
    ServerLimits {
        connections_max: 16,
        streams_per_connection_max: 64,
        requests_in_flight_max: 64,
        request_bytes_in_flight_max: 16 * 1024 * 1024,
        message_bytes_max: 4096,
        metadata_bytes_max: 16 * 1024,
        request_deadline: Duration::from_mins(1),
        request_deadline_max: Duration::from_mins(2),
        retry_after: Duration::from_millis(250),
        stream_idle_max: Duration::from_secs(30),
        stream_window_submissions_max: 8,
        stream_window_bytes_max: 64 * 1024,
        keepalive_interval: Duration::from_secs(20),
        keepalive_timeout: Duration::from_secs(10),
        drain_max: Duration::from_mins(1),
    }
}

/// A configuration with these limits and nothing else that is not the default.
pub(super) fn served(limits: ServerLimits) -> ServerConfig {
    ServerConfig {
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        tls: None,
        cors_origins: Vec::new(),
        mcp_origins: Vec::new(),
        public_url: None,
        limits,
    }
}

pub(super) fn key(name: &str, secret: &str, scopes: &[AccessScope]) -> HashedApiKey {
    let principal = Principal::new(
        TenantId::new("acme").unwrap(),
        BTreeSet::from(["engineering".to_owned()]),
        scopes.iter().copied().collect::<BTreeSet<_>>(),
    );
    HashedApiKey {
        name: name.to_owned(),
        principal: principal.unwrap(),
        hash: blake3::hash(secret.as_bytes()),
    }
}

/// The scripted operations, and the real ones on the ledger of their collections.
pub(super) fn services(scripted: &Arc<ScriptedServices>, keys: Vec<HashedApiKey>) -> ServedApi {
    let collections = &scripted.admin;
    let ledger = Arc::new(collections.ledger.peer());
    let stored = unserved_operations(ledger, collections.clock.clone(), scripted.clone());
    let services = ApiServices {
        ingest: scripted.clone(),
        context: scripted.clone(),
        admin: collections.clone(),
        collections: stored.clone(),
        documents: stored.clone(),
        events: stored.clone(),
        dead_letters: stored.clone(),
        sources: stored.clone(),
        status: stored,
    };
    authenticated(services, keys)
}

/// These operations for callers with these keys.
pub(super) fn authenticated(services: ApiServices, keys: Vec<HashedApiKey>) -> ServedApi {
    let authenticator = Arc::new(Authenticator::new(keys).unwrap());
    let mcp_tools = Arc::new(McpTools::new(services.clone(), Arc::new(BpeTokenizer::cl100k())));
    ServedApi { services, authenticator, metrics: Arc::default(), mcp_tools }
}

/// A client over HTTP that trusts nobody yet.
pub(super) fn http_client() -> reqwest::ClientBuilder {
    // Fails if a provider is installed already, which in this process is the same one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy()
}

/// The services behind their gate, without a network: time can be paused.
pub(super) fn gated(scripted: &Arc<ScriptedServices>, limits: ServerLimits) -> GrpcServices {
    GrpcServices::new(services(scripted, Vec::new()), limits)
}

/// A running server.
pub(super) struct RunningServer {
    pub(super) address: SocketAddr,
    pub(super) shutdown: oneshot::Sender<()>,
    pub(super) done: JoinHandle<Result<(), ServeError>>,
}

impl RunningServer {
    pub(super) async fn start(
        scripted: &Arc<ScriptedServices>,
        limits: ServerLimits,
        keys: Vec<HashedApiKey>,
    ) -> Self {
        Self::start_with(services(scripted, keys), served(limits)).await
    }

    pub(super) async fn start_with(api: ServedApi, config: ServerConfig) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (shutdown, stopped) = oneshot::channel::<()>();
        let done = tokio::spawn(async move {
            run_server(listener, api, config, async move { stopped.await.unwrap_or(()) }).await
        });
        Self { address, shutdown, done }
    }

    pub(super) async fn channel(&self) -> Channel {
        Endpoint::from_shared(format!("http://{}", self.address)).unwrap().connect().await.unwrap()
    }

    pub(super) async fn ingest(&self) -> IngestServiceClient<Channel> {
        IngestServiceClient::new(self.channel().await)
    }

    pub(super) async fn context(&self) -> ContextServiceClient<Channel> {
        ContextServiceClient::new(self.channel().await)
    }
}

pub(super) fn submission(document_id: &str, body_bytes: usize) -> SubmitRequest {
    SubmitRequest {
        collection: "docs".to_owned(),
        document_id: document_id.to_owned(),
        body: Bytes::from(vec![b'x'; body_bytes]),
        ..SubmitRequest::default()
    }
}

pub(super) fn question() -> AssembleRequest {
    AssembleRequest {
        collection: "docs".to_owned(),
        question: "why?".to_owned(),
        budget: Some(100),
        ..AssembleRequest::default()
    }
}

/// The stable code of an error; panics when it has none.
pub(super) fn reason(status: &Status) -> String {
    let info = status.get_details_error_info().unwrap_or_else(|| panic!("no ErrorInfo in {status:?}"));
    assert_eq!(info.domain, "contexture");
    info.reason
}

/// The field an error blames.
pub(super) fn field(status: &Status) -> String {
    let request = status.get_details_bad_request().unwrap_or_else(|| panic!("no BadRequest in {status:?}"));
    request.field_violations[0].field.clone()
}
