//! Whole collections over the API.

use std::sync::Arc;

use contexture::domain::ids::{CollectionKey, VersionKey};
use contexture::domain::principal::AccessScope;
use contexture::fault::FailureReason;
use contexture::ports::generations::{GenerationBuildFailure, GenerationLedger};
use contexture::ports::ledger::{Ledger, VersionOutcome};
use contexture::server::grpc::proto::admin_service_client::AdminServiceClient;
use contexture::server::grpc::proto::{
    ActivateReindexRequest, BuildPace, CollectionRequest, DropGenerationRequest, Generation, GenerationState,
    ResumeReindexRequest, StartReindexRequest,
};
use tonic::transport::Channel;
use tonic::{Code, Request};

use super::support::*;
use crate::support::{collection, epoch, spans, submission as accepted, version_key};

fn home() -> CollectionKey {
    collection("local", "docs")
}

fn docs() -> CollectionRequest {
    CollectionRequest { collection: "docs".to_owned() }
}

fn start(pipeline: &str) -> StartReindexRequest {
    StartReindexRequest { collection: "docs".to_owned(), pipeline: pipeline.to_owned(), pace: None }
}

/// A collection of visible documents, and whoever looks after it.
struct AdminFixture {
    scripted: Arc<ScriptedServices>,
    client: AdminServiceClient<Channel>,
    keys: Vec<VersionKey>,
    _server: RunningServer,
}

impl AdminFixture {
    async fn new(documents: usize) -> Self {
        let scripted = Arc::new(ScriptedServices::default());
        let ledger = &scripted.admin.ledger;
        ledger.ensure_collection(&home(), "", epoch("one")).await.unwrap();
        let mut keys = Vec::new();
        for number in 0..documents {
            let id = format!("doc {number:04}");
            ledger.accept(vec![accepted(&home(), &id, Some(1), "text")]).await.unwrap();
            keys.push(version_key(&home(), &id, 1));
        }
        ledger.store_spans(1, keys.iter().map(|key| (key.clone(), spans(1))).collect()).await.unwrap();
        ledger
            .finish(keys.iter().map(|key| (key.clone(), VersionOutcome::Visible(1))).collect())
            .await
            .unwrap();
        let server = RunningServer::start(&scripted, limits(), Vec::new()).await;
        let client = AdminServiceClient::new(server.channel().await);
        Self { scripted, client, keys, _server: server }
    }

    /// Does what a builder does for the first `documents`.
    async fn build(&self, generation: u32, documents: usize) {
        let ledger = &self.scripted.admin.ledger;
        let all = self.keys[..documents].iter().map(|key| (key.clone(), spans(1))).collect();
        ledger.prepared(generation, all).await.unwrap();
        ledger.advance_cursor(&home(), generation, documents as u64, documents as u64).await.unwrap();
    }

    async fn list(&mut self) -> Vec<Generation> {
        self.client.list_generations(docs()).await.unwrap().into_inner().generations
    }

    async fn states(&mut self) -> Vec<(u32, GenerationState)> {
        self.list().await.iter().map(|one| (one.generation, one.state())).collect()
    }
}

#[tokio::test]
async fn a_reindex_goes_from_start_to_drop() {
    use GenerationState::{Active, Building, Kept};
    let mut desk = AdminFixture::new(3).await;
    let started = desk.client.start_reindex(start("two")).await.unwrap().into_inner();
    assert_eq!((started.generation, started.state(), started.caught_up), (2, Building, false));
    assert_eq!((started.documents, started.remaining, started.failed), (3, 3, 0));
    desk.build(2, 3).await;
    assert!(desk.list().await[1].caught_up);
    let activate = ActivateReindexRequest { collection: "docs".to_owned(), allow_failed: false };
    assert_eq!(desk.client.activate_reindex(activate).await.unwrap().into_inner().generation, 2);
    assert_eq!(desk.states().await, [(1, Kept), (2, Active)]);
    assert_eq!(desk.client.rollback(docs()).await.unwrap().into_inner().generation, 1);
    assert_eq!(desk.states().await, [(1, Active), (2, Kept)]);
    let drop = DropGenerationRequest { collection: "docs".to_owned(), generation: None, grace_ms: 5000 };
    assert_eq!(desk.client.drop_generation(drop).await.unwrap().into_inner().generation, 2);
    assert!(desk.list().await[1].drop_ms.is_some());
    // Until then it comes back.
    assert_eq!(desk.client.rollback(docs()).await.unwrap().into_inner().generation, 2);
    assert_eq!(desk.list().await[1].drop_ms, None);
}

#[tokio::test]
async fn a_reindex_is_paused_paced_and_cancelled() {
    let mut desk = AdminFixture::new(2).await;
    desk.client.start_reindex(start("two")).await.unwrap();
    assert!(desk.client.pause_reindex(docs()).await.unwrap().into_inner().paused);
    let pace = BuildPace { documents_per_second: Some(9), provider_percent: None };
    let resume = ResumeReindexRequest { collection: "docs".to_owned(), pace: Some(pace) };
    assert!(!desk.client.resume_reindex(resume.clone()).await.unwrap().into_inner().paused);
    let records = desk.scripted.admin.ledger.generations(Some(&home())).await.unwrap();
    assert_eq!((records[1].pace.documents_per_second, records[1].pace.provider_percent), (Some(9), 50));
    assert_eq!(desk.client.cancel_reindex(docs()).await.unwrap().into_inner().generation, 2);
    let status = desk.client.resume_reindex(resume).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::NotFound, "no_reindex"));
    assert_eq!(desk.states().await, [(1, GenerationState::Active)]);
}

#[tokio::test]
async fn a_watched_reindex_tells_until_it_has_caught_up() {
    let mut desk = AdminFixture::new(4).await;
    desk.client.start_reindex(start("two")).await.unwrap();
    let mut told = desk.client.watch_reindex(docs()).await.unwrap().into_inner();
    assert_eq!(told.message().await.unwrap().unwrap().remaining, 4);
    desk.build(2, 2).await;
    assert_eq!(told.message().await.unwrap().unwrap().remaining, 2);
    desk.build(2, 4).await;
    let last = told.message().await.unwrap().unwrap();
    assert_eq!((last.remaining, last.caught_up), (0, true));
    assert_eq!(told.message().await.unwrap(), None, "and ends");
    // One that is cancelled ends, too.
    desk.client.cancel_reindex(docs()).await.unwrap();
    desk.client.start_reindex(start("three")).await.unwrap();
    let mut told = desk.client.watch_reindex(docs()).await.unwrap().into_inner();
    told.message().await.unwrap().unwrap();
    desk.client.cancel_reindex(docs()).await.unwrap();
    assert_eq!(told.message().await.unwrap(), None);
}

#[tokio::test]
async fn audits_and_repairs_tell_how_far_they_are_and_what_was_found() {
    let mut desk = AdminFixture::new(5).await;
    for (repairs, mended) in [(false, 0), (true, 4)] {
        let mut told = if repairs {
            desk.client.repair(docs()).await.unwrap().into_inner()
        } else {
            desk.client.audit(docs()).await.unwrap().into_inner()
        };
        let first = told.message().await.unwrap().unwrap();
        assert_eq!((first.done, first.total, first.report), (1, 2, None));
        let last = told.message().await.unwrap().unwrap();
        let report = last.report.unwrap();
        assert_eq!((report.documents, report.missing, report.orphan, report.drift), (5, 3, 1, 0));
        assert_eq!((last.mended, report.failed), (mended, 0));
        assert_eq!(told.message().await.unwrap(), None);
    }
}

#[tokio::test]
async fn what_cannot_be_done_is_refused_with_its_reason() {
    let mut desk = AdminFixture::new(300).await;
    desk.client.start_reindex(start("two")).await.unwrap();
    let activate = ActivateReindexRequest { collection: "docs".to_owned(), allow_failed: false };
    let status = desk.client.activate_reindex(activate.clone()).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::FailedPrecondition, "not_caught_up"));
    let status = desk.client.start_reindex(start("three")).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::AlreadyExists, "reindex_in_progress"));
    let status = desk.client.start_reindex(start("one")).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::AlreadyExists, "nothing_to_change"));
    let status = desk.client.rollback(docs()).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::NotFound, "nothing_kept"));
    let failure = GenerationBuildFailure {
        key: desk.keys[7].clone(),
        reason: FailureReason::new("too_many_chunks", "300"),
    };
    desk.scripted.admin.ledger.fail_preparing(2, vec![failure]).await.unwrap();
    desk.build(2, 300).await;
    let status = desk.client.activate_reindex(activate).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::FailedPrecondition, "documents_failed"));
    let failures = &desk.list().await[1].failures;
    assert_eq!(
        (failures[0].document_id.as_str(), failures[0].code.as_str()),
        ("doc 0007", "too_many_chunks")
    );
    let pace = BuildPace { documents_per_second: None, provider_percent: Some(101) };
    let resume = ResumeReindexRequest { collection: "docs".to_owned(), pace: Some(pace) };
    let status = desk.client.resume_reindex(resume).await.unwrap_err();
    assert_eq!((status.code(), field(&status).as_str()), (Code::InvalidArgument, "provider_percent"));
    for name in ["unknown", "", "No Name"] {
        let request = CollectionRequest { collection: name.to_owned() };
        let status = desk.client.list_generations(request).await.unwrap_err();
        assert!(matches!(status.code(), Code::NotFound | Code::InvalidArgument), "{name}: {status:?}");
    }
    let allow = ActivateReindexRequest { collection: "docs".to_owned(), allow_failed: true };
    assert_eq!(desk.client.activate_reindex(allow).await.unwrap().into_inner().generation, 2);
}

#[tokio::test]
async fn only_who_may_looks_after_collections() {
    let scripted = Arc::new(ScriptedServices::default());
    let all = [AccessScope::Read, AccessScope::Write];
    let keys =
        vec![key("user", "canary-user-key-1", &all), key("admin", "canary-admin-key", &[AccessScope::Admin])];
    let server = RunningServer::start(&scripted, limits(), keys).await;
    let ledger = &scripted.admin.ledger;
    ledger.ensure_collection(&collection("acme", "docs"), "", epoch("one")).await.unwrap();
    ledger.ensure_collection(&collection("local", "theirs"), "", epoch("one")).await.unwrap();
    let mut client = AdminServiceClient::new(server.channel().await);
    let mut list = async |name: &str, key: &str| {
        let mut request = Request::new(CollectionRequest { collection: name.to_owned() });
        request.metadata_mut().insert("x-api-key", key.parse().unwrap());
        client.list_generations(request).await.map_err(|status| status.code())
    };
    assert_eq!(list("docs", "canary-user-key-1").await.unwrap_err(), Code::PermissionDenied);
    assert_eq!(list("theirs", "canary-admin-key").await.unwrap_err(), Code::NotFound, "another tenant's");
    assert_eq!(list("docs", "canary-admin-key").await.unwrap().into_inner().generations.len(), 1);
}
