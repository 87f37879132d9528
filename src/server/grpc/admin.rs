//! `AdminService`: the generations of collections, and what their stores hold.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::gate::{Deadline, deadline_passed, passed, reached, shutting_down};
use super::proto::{self, admin_service_server::AdminService};
use super::{Phase, comparing, convert};
use crate::domain::ids::{CollectionId, CollectionKey};
use crate::domain::principal::{Principal, Scope};
use crate::fault::Refusal;
use crate::jobs::audit::Progress as Compared;
use crate::jobs::reindex::{Progress, Standing};
use crate::jobs::repair::Repaired;
use crate::ports::generations::{BuildPace, GenerationState};
use crate::server::AdminApi;
use crate::server::status::from_refusal;

/// Time between two messages of a watched re-index.
const WATCH_INTERVAL: Duration = Duration::from_millis(500);
/// Messages between a job and the transport.
const MESSAGES_MAX: usize = 4;

/// Where a job tells how far it is.
type Messages<M> = mpsc::Sender<Result<M, Status>>;

/// Serves whoever looks after collections.
pub struct AdminHandler {
    api: Arc<dyn AdminApi>,
    phases: watch::Receiver<Phase>,
}

impl AdminHandler {
    pub(super) fn new(api: Arc<dyn AdminApi>, phases: watch::Receiver<Phase>) -> Self {
        Self { api, phases }
    }

    /// What `work` tells, as long as somebody reads it.
    fn told<M, F>(
        &self,
        deadline: Option<Deadline>,
        work: impl FnOnce(Messages<M>) -> F,
    ) -> Response<ReceiverStream<Result<M, Status>>>
    where
        M: Send + 'static,
        F: Future<Output = Result<(), Refusal>> + Send + 'static,
    {
        let (messages, receiver) = mpsc::channel(MESSAGES_MAX);
        let (work, phases) = (work(messages.clone()), self.phases.clone());
        tokio::spawn(async move {
            let ended = tokio::select! {
                ended = work => ended,
                () = passed(deadline) => Err(deadline_passed()),
                () = reached(phases, Phase::Draining) => Err(shutting_down()),
                () = messages.closed() => return,
            };
            if let Err(refusal) = ended {
                let _ = messages.send(Err(refused(refusal))).await;
            }
        });
        Response::new(ReceiverStream::new(receiver))
    }

    /// An audit or a repair that runs as long as somebody reads how far it is.
    fn audited(
        &self,
        request: Request<proto::CollectionRequest>,
        repair: bool,
    ) -> Result<Response<ReceiverStream<Result<proto::AuditProgress, Status>>>, Status> {
        let deadline = request.extensions().get::<Deadline>().copied();
        let (principal, request) = opened(request)?;
        let key = collection(&principal, &request.collection).map_err(refused)?;
        let api = self.api.clone();
        Ok(self.told(deadline, |messages| async move {
            let mut tell = now_and_then(messages.clone());
            let show = move |Compared { done, total }, mended| {
                tell(proto::AuditProgress { done, total, mended, report: None });
            };
            let audited = api.audit(&key, repair, Box::new(show)).await?;
            let _ = messages.send(Ok(audited_whole(audited))).await;
            Ok(())
        }))
    }

    async fn building(&self, key: &CollectionKey) -> Result<Response<proto::Generation>, Refusal> {
        let standing = self.api.reindexing().building(key).await?;
        Ok(Response::new(generation(&standing, self.api.now_ms())))
    }
}

/// Sends a message every [`WATCH_INTERVAL`] at most; whoever reads slowly misses some.
fn now_and_then<M>(messages: Messages<M>) -> impl FnMut(M) {
    let mut last: Option<Instant> = None;
    move |message| {
        if last.is_none_or(|last| last.elapsed() >= WATCH_INTERVAL) {
            last = Some(Instant::now());
            let _ = messages.try_send(Ok(message));
        }
    }
}

/// The caller's collection of that name; refused like an unknown one without the scope.
fn collection(principal: &Principal, name: &str) -> Result<CollectionKey, Refusal> {
    principal.require(Scope::Admin)?;
    Ok(CollectionKey { tenant: principal.tenant().clone(), collection: CollectionId::new(name)? })
}

fn pace(pace: proto::BuildPace) -> BuildPace {
    let default = BuildPace::default();
    BuildPace {
        documents_per_second: pace.documents_per_second,
        provider_percent: pace.provider_percent.unwrap_or(default.provider_percent),
    }
}

fn generation(standing: &Standing, now_ms: u64) -> proto::Generation {
    let failures = standing.failures.iter().map(|failure| proto::BuildFailure {
        document_id: failure.key.document_id.to_string(),
        version: failure.key.version.get(),
        code: failure.reason.code.clone(),
        detail: failure.reason.detail.clone(),
    });
    let Progress {
        generation,
        state,
        paused,
        caught_up,
        documents,
        remaining,
        failed,
        documents_per_second,
        eta_seconds,
        drop_ms,
    } = standing.progress(now_ms);
    let state = match state {
        GenerationState::Building => proto::GenerationState::Building,
        GenerationState::Active => proto::GenerationState::Active,
        GenerationState::Kept => proto::GenerationState::Kept,
        GenerationState::Dropped => proto::GenerationState::Unspecified,
    };
    proto::Generation {
        generation,
        state: state.into(),
        paused,
        caught_up,
        documents,
        remaining,
        failed,
        documents_per_second,
        eta_seconds,
        drop_ms,
        failures: failures.collect(),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "used as a function in map")]
fn audited_whole(repaired: Repaired) -> proto::AuditProgress {
    let Repaired { found, mended, failed, .. } = repaired;
    let report = proto::AuditReport {
        documents: found.documents,
        missing: found.missing,
        stale: found.stale,
        orphan: found.orphan,
        drift: found.drift,
        unsettled: found.unsettled,
        failed,
    };
    proto::AuditProgress { done: found.documents, total: found.documents, mended, report: Some(report) }
}

fn done(generation: u32) -> Response<proto::ReindexDone> {
    Response::new(proto::ReindexDone { generation })
}

/// Whoever calls, and what they ask for.
fn opened<T>(request: Request<T>) -> Result<(Principal, T), Status> {
    let principal = convert::principal(&request)?;
    Ok((principal, request.into_inner()))
}

#[expect(clippy::needless_pass_by_value, reason = "used as a function in map_err")]
fn refused(refusal: Refusal) -> Status {
    from_refusal(&refusal)
}

#[tonic::async_trait]
impl AdminService for AdminHandler {
    type WatchReindexStream = ReceiverStream<Result<proto::Generation, Status>>;
    type CompareStream = ReceiverStream<Result<proto::CompareProgress, Status>>;
    type AuditStream = ReceiverStream<Result<proto::AuditProgress, Status>>;
    type RepairStream = ReceiverStream<Result<proto::AuditProgress, Status>>;

    async fn audit(
        &self,
        request: Request<proto::CollectionRequest>,
    ) -> Result<Response<Self::AuditStream>, Status> {
        self.audited(request, false)
    }

    async fn repair(
        &self,
        request: Request<proto::CollectionRequest>,
    ) -> Result<Response<Self::RepairStream>, Status> {
        self.audited(request, true)
    }

    async fn start_reindex(
        &self,
        request: Request<proto::StartReindexRequest>,
    ) -> Result<Response<proto::Generation>, Status> {
        let (principal, request) = opened(request)?;
        let start = async {
            let key = collection(&principal, &request.collection)?;
            let pace = request.pace.map(pace).unwrap_or_default();
            self.api.start_reindex(&key, &request.pipeline, pace).await?;
            self.building(&key).await
        };
        start.await.map_err(refused)
    }

    async fn list_generations(
        &self,
        request: Request<proto::CollectionRequest>,
    ) -> Result<Response<proto::ListGenerationsResponse>, Status> {
        let (principal, request) = opened(request)?;
        let list = async {
            let key = collection(&principal, &request.collection)?;
            let now_ms = self.api.now_ms();
            let standings = self.api.reindexing().standings(&key).await?;
            let generations = standings.iter().map(|standing| generation(standing, now_ms)).collect();
            Ok(Response::new(proto::ListGenerationsResponse { generations }))
        };
        list.await.map_err(refused)
    }

    async fn watch_reindex(
        &self,
        request: Request<proto::CollectionRequest>,
    ) -> Result<Response<Self::WatchReindexStream>, Status> {
        let deadline = request.extensions().get::<Deadline>().copied();
        let (principal, request) = opened(request)?;
        let key = collection(&principal, &request.collection).map_err(refused)?;
        let first = self.api.reindexing().building(&key).await.map_err(refused)?;
        let api = self.api.clone();
        Ok(self.told(deadline, |messages| async move { watch(&*api, &key, first, &messages).await }))
    }

    async fn compare(
        &self,
        request: Request<proto::CompareRequest>,
    ) -> Result<Response<Self::CompareStream>, Status> {
        let deadline = request.extensions().get::<Deadline>().copied();
        let (principal, request) = opened(request)?;
        let key = collection(&principal, &request.collection).map_err(refused)?;
        principal.require(Scope::Read).map_err(refused)?;
        let asking = comparing::asking(request).map_err(refused)?;
        let api = self.api.clone();
        Ok(self.told(deadline, |messages| async move {
            let mut tell = now_and_then(messages.clone());
            let show = move |done: usize, total: usize| {
                let (done, total) = (done as u64, total as u64);
                tell(proto::CompareProgress { done, total, question: None, report: None });
            };
            let comparison = api.compare(&principal, &key.collection, asking, Box::new(show)).await?;
            for message in comparing::messages(comparison) {
                if messages.send(Ok(message)).await.is_err() {
                    break;
                }
            }
            Ok(())
        }))
    }

    async fn pause_reindex(
        &self,
        request: Request<proto::CollectionRequest>,
    ) -> Result<Response<proto::Generation>, Status> {
        let (principal, request) = opened(request)?;
        let pause = async {
            let key = collection(&principal, &request.collection)?;
            self.api.reindexing().pause(&key).await?;
            self.building(&key).await
        };
        pause.await.map_err(refused)
    }

    async fn resume_reindex(
        &self,
        request: Request<proto::ResumeReindexRequest>,
    ) -> Result<Response<proto::Generation>, Status> {
        let (principal, request) = opened(request)?;
        let resume = async {
            let key = collection(&principal, &request.collection)?;
            self.api.reindexing().resume(&key, request.pace.map(pace)).await?;
            self.building(&key).await
        };
        resume.await.map_err(refused)
    }

    async fn cancel_reindex(
        &self,
        request: Request<proto::CollectionRequest>,
    ) -> Result<Response<proto::ReindexDone>, Status> {
        let (principal, request) = opened(request)?;
        let cancel = async {
            let key = collection(&principal, &request.collection)?;
            self.api.reindexing().cancel(&key).await.map(done)
        };
        cancel.await.map_err(refused)
    }

    async fn activate_reindex(
        &self,
        request: Request<proto::ActivateReindexRequest>,
    ) -> Result<Response<proto::ReindexDone>, Status> {
        let (principal, request) = opened(request)?;
        let activate = async {
            let key = collection(&principal, &request.collection)?;
            self.api.reindexing().activate(&key, request.allow_failed).await.map(done)
        };
        activate.await.map_err(refused)
    }

    async fn rollback(
        &self,
        request: Request<proto::CollectionRequest>,
    ) -> Result<Response<proto::ReindexDone>, Status> {
        let (principal, request) = opened(request)?;
        let rollback = async {
            let key = collection(&principal, &request.collection)?;
            self.api.reindexing().rollback(&key).await.map(done)
        };
        rollback.await.map_err(refused)
    }

    async fn drop_generation(
        &self,
        request: Request<proto::DropGenerationRequest>,
    ) -> Result<Response<proto::ReindexDone>, Status> {
        let (principal, request) = opened(request)?;
        let drop = async {
            let key = collection(&principal, &request.collection)?;
            self.api.reindexing().drop_kept(&key, request.generation, request.grace_ms).await.map(done)
        };
        drop.await.map_err(refused)
    }
}

/// Tells how a build moves until it has caught up, or is over.
async fn watch(
    api: &dyn AdminApi,
    key: &CollectionKey,
    mut standing: Standing,
    messages: &Messages<proto::Generation>,
) -> Result<(), Refusal> {
    let number = standing.record.home.generation;
    let mut told: Option<Standing> = None;
    loop {
        if told.as_ref() != Some(&standing) {
            let message = generation(&standing, api.now_ms());
            if messages.send(Ok(message)).await.is_err() || standing.is_caught_up() {
                return Ok(());
            }
            told = Some(standing);
        }
        tokio::time::sleep(WATCH_INTERVAL).await;
        let standings = api.reindexing().standings(key).await?;
        let still = standings.into_iter().find(|standing| standing.record.home.generation == number);
        let Some(now) = still else { return Ok(()) };
        standing = now;
    }
}
