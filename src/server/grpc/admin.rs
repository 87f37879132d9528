//! `AdminService`: generations of collections, comparison, audit and repair.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use tonic::Request;

use super::call_frame::{CallResult, OpenedCall, ServerPhase, answer};
use super::compare_convert;
use super::message_stream::{MessageSender, MessageStream, stream_messages};
use super::proto::{self, admin_service_server::AdminService};
use crate::operations::AdminApi;
use contexture_core::domain::ids::{CollectionId, CollectionKey, GenerationNumber};
use contexture_core::domain::principal::AccessScope;
use contexture_core::fault::Refusal;
use contexture_core::jobs::audit::AuditProgress;
use contexture_core::jobs::reindex::{LiveGenerationStatus, ReindexProgress};
use contexture_core::jobs::repair::RepairOutcome;
use contexture_core::ports::generations::{GenerationBuildPace, GenerationState};

/// Shortest time between two progress messages.
const WATCH_INTERVAL: Duration = Duration::from_millis(500);
/// Serves administrators of collections.
pub struct AdminHandler {
    api: Arc<dyn AdminApi>,
    phases: watch::Receiver<ServerPhase>,
}

impl AdminHandler {
    pub(super) fn new(api: Arc<dyn AdminApi>, phases: watch::Receiver<ServerPhase>) -> Self {
        Self { api, phases }
    }

    /// Streams an audit or a repair, which runs as long as the caller reads its progress.
    async fn stream_audit(
        &self,
        request: Request<proto::CollectionRequest>,
        repair: bool,
    ) -> CallResult<MessageStream<proto::AuditProgress>> {
        answer_admin(request, async |key, call| {
            let api = self.api.clone();
            Ok(stream_messages(self.phases.clone(), call.deadline, |messages| async move {
                let mut send = throttled_sender(messages.clone());
                let show = move |AuditProgress { done, total }, mended| {
                    send(proto::AuditProgress { done, total, mended, report: None });
                };
                let audited = api.audit(&key, repair, Box::new(show)).await?;
                // Unlike progress, the result must not be lost, so it waits for room in the buffer.
                let _ = messages.send(Ok(audit_result_message(audited))).await;
                Ok(())
            }))
        })
        .await
    }

    /// Answers a call that changes a build with the build after the change.
    async fn change_build<M: CollectionMessage>(
        &self,
        request: Request<M>,
        change: impl AsyncFnOnce(&CollectionKey, M) -> Result<(), Refusal>,
    ) -> CallResult<proto::Generation> {
        answer_admin(request, async |key, call| {
            change(&key, call.message).await?;
            let standing = self.api.reindexing().building(&key).await?;
            Ok(generation_message(&standing, self.api.now_ms()))
        })
        .await
    }
}

/// A message about one collection.
trait CollectionMessage {
    fn collection(&self) -> &str;
}

/// The generated messages have the field in common, but no trait that names it.
macro_rules! collection_messages {
    ($($message:ident),+) => {
        $(impl CollectionMessage for proto::$message {
            fn collection(&self) -> &str {
                &self.collection
            }
        })+
    };
}

collection_messages!(
    ActivateReindexRequest,
    CollectionRequest,
    CompareRequest,
    DropGenerationRequest,
    ResumeReindexRequest,
    StartReindexRequest
);

/// Answers a call on the caller's collection of that name, if the caller has the scope for administration.
async fn answer_admin<M: CollectionMessage, A>(
    request: Request<M>,
    work: impl AsyncFnOnce(CollectionKey, OpenedCall<M>) -> Result<A, Refusal>,
) -> CallResult<A> {
    answer(request, async |call| {
        call.principal.require(AccessScope::Admin)?;
        let collection = CollectionId::new(call.message.collection())?;
        work(CollectionKey { tenant: call.principal.tenant().clone(), collection }, call).await
    })
    .await
}

/// Answers a call that ends a build or changes what serves with the generation that it was about.
async fn end_build<M: CollectionMessage>(
    request: Request<M>,
    end: impl AsyncFnOnce(CollectionKey, M) -> Result<GenerationNumber, Refusal>,
) -> CallResult<proto::ReindexDone> {
    answer_admin(request, async |key, call| {
        Ok(proto::ReindexDone { generation: end(key, call.message).await? })
    })
    .await
}

/// Sends at most one message per [`WATCH_INTERVAL`]. A slow reader misses some.
fn throttled_sender<M>(messages: MessageSender<M>) -> impl FnMut(M) {
    let mut last: Option<Instant> = None;
    move |message| {
        if last.is_none_or(|last| last.elapsed() >= WATCH_INTERVAL) {
            last = Some(Instant::now());
            // Progress may be lost when the buffer is full; a job never waits for its reader here.
            let _ = messages.try_send(Ok(message));
        }
    }
}

fn build_pace_from_request(pace: proto::BuildPace) -> GenerationBuildPace {
    let default = GenerationBuildPace::default();
    GenerationBuildPace {
        documents_per_second: pace.documents_per_second,
        provider_percent: pace.provider_percent.unwrap_or(default.provider_percent),
    }
}

fn generation_message(standing: &LiveGenerationStatus, now_ms: u64) -> proto::Generation {
    let failures = standing.failures.iter().map(|failure| proto::BuildFailure {
        document_id: failure.key.document_id.to_string(),
        version: failure.key.version.get(),
        code: failure.reason.code.clone(),
        detail: failure.reason.detail.clone(),
    });
    let ReindexProgress {
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
fn audit_result_message(repaired: RepairOutcome) -> proto::AuditProgress {
    let RepairOutcome { found, mended, failed, .. } = repaired;
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

#[tonic::async_trait]
impl AdminService for AdminHandler {
    type WatchReindexStream = MessageStream<proto::Generation>;
    type CompareStream = MessageStream<proto::CompareProgress>;
    type AuditStream = MessageStream<proto::AuditProgress>;
    type RepairStream = MessageStream<proto::AuditProgress>;

    async fn audit(&self, request: Request<proto::CollectionRequest>) -> CallResult<Self::AuditStream> {
        self.stream_audit(request, false).await
    }

    async fn repair(&self, request: Request<proto::CollectionRequest>) -> CallResult<Self::RepairStream> {
        self.stream_audit(request, true).await
    }

    async fn start_reindex(
        &self,
        request: Request<proto::StartReindexRequest>,
    ) -> CallResult<proto::Generation> {
        self.change_build(request, async |key, message| {
            let pace = message.pace.map(build_pace_from_request).unwrap_or_default();
            self.api.start_reindex(key, &message.pipeline, pace).await
        })
        .await
    }

    async fn list_generations(
        &self,
        request: Request<proto::CollectionRequest>,
    ) -> CallResult<proto::ListGenerationsResponse> {
        answer_admin(request, async |key, _| {
            let now_ms = self.api.now_ms();
            let standings = self.api.reindexing().live_generations(&key).await?;
            let generations = standings.iter().map(|standing| generation_message(standing, now_ms)).collect();
            Ok(proto::ListGenerationsResponse { generations })
        })
        .await
    }

    async fn watch_reindex(
        &self,
        request: Request<proto::CollectionRequest>,
    ) -> CallResult<Self::WatchReindexStream> {
        answer_admin(request, async |key, call| {
            let first = self.api.reindexing().building(&key).await?;
            let api = self.api.clone();
            Ok(stream_messages(self.phases.clone(), call.deadline, |messages| async move {
                watch_build(&*api, &key, first, &messages).await
            }))
        })
        .await
    }

    async fn compare(&self, request: Request<proto::CompareRequest>) -> CallResult<Self::CompareStream> {
        answer_admin(request, async |key, OpenedCall { principal, deadline, message }| {
            // The comparison shows documents, so administration alone does not suffice.
            principal.require(AccessScope::Read)?;
            let asking = compare_convert::asking_from_request(message)?;
            let api = self.api.clone();
            Ok(stream_messages(self.phases.clone(), deadline, |messages| async move {
                let mut send = throttled_sender(messages.clone());
                let show = move |done: usize, total: usize| {
                    let (done, total) = (done as u64, total as u64);
                    send(proto::CompareProgress { done, total, question: None, report: None });
                };
                let comparison = api.compare(&principal, &key.collection, asking, Box::new(show)).await?;
                for message in compare_convert::comparison_messages(comparison) {
                    if messages.send(Ok(message)).await.is_err() {
                        break;
                    }
                }
                Ok(())
            }))
        })
        .await
    }

    async fn pause_reindex(
        &self,
        request: Request<proto::CollectionRequest>,
    ) -> CallResult<proto::Generation> {
        self.change_build(request, async |key, _| self.api.reindexing().pause(key).await.map(drop)).await
    }

    async fn resume_reindex(
        &self,
        request: Request<proto::ResumeReindexRequest>,
    ) -> CallResult<proto::Generation> {
        self.change_build(request, async |key, message| {
            self.api.reindexing().resume(key, message.pace.map(build_pace_from_request)).await
        })
        .await
    }

    async fn cancel_reindex(
        &self,
        request: Request<proto::CollectionRequest>,
    ) -> CallResult<proto::ReindexDone> {
        end_build(request, async |key, _| self.api.reindexing().cancel(&key).await).await
    }

    async fn activate_reindex(
        &self,
        request: Request<proto::ActivateReindexRequest>,
    ) -> CallResult<proto::ReindexDone> {
        end_build(request, async |key, message| {
            self.api.reindexing().activate(&key, message.allow_failed).await
        })
        .await
    }

    async fn rollback(&self, request: Request<proto::CollectionRequest>) -> CallResult<proto::ReindexDone> {
        end_build(request, async |key, _| self.api.reindexing().rollback(&key).await).await
    }

    async fn drop_generation(
        &self,
        request: Request<proto::DropGenerationRequest>,
    ) -> CallResult<proto::ReindexDone> {
        end_build(request, async |key, message| {
            self.api.reindexing().drop_kept(&key, message.generation, message.grace_ms).await
        })
        .await
    }
}

/// Streams the progress of a build until it has caught up or has ended.
async fn watch_build(
    api: &dyn AdminApi,
    key: &CollectionKey,
    mut standing: LiveGenerationStatus,
    messages: &MessageSender<proto::Generation>,
) -> Result<(), Refusal> {
    let number = standing.record.home.generation;
    let mut sent: Option<LiveGenerationStatus> = None;
    loop {
        if sent.as_ref() != Some(&standing) {
            let message = generation_message(&standing, api.now_ms());
            if messages.send(Ok(message)).await.is_err() || standing.is_caught_up() {
                return Ok(());
            }
            sent = Some(standing);
        }
        tokio::time::sleep(WATCH_INTERVAL).await;
        let standings = api.reindexing().live_generations(key).await?;
        let still = standings.into_iter().find(|standing| standing.record.home.generation == number);
        let Some(now) = still else { return Ok(()) };
        standing = now;
    }
}
