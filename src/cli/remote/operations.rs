//! The operations of a server, as this program has them itself. The server knows the caller by its key, so the
//! caller that is passed here is not sent.

use std::time::Duration;

use async_trait::async_trait;
use futures::stream::{self, BoxStream, StreamExt};
use reqwest::Method;
use tokio::time::Instant;

use super::{HttpCall, RemoteServer};
use crate::operations::messages::collection::{
    CollectionList, CollectionSettingsChange, CollectionView, CreateCollectionRequest, ListCollectionsRequest,
};
use crate::operations::messages::dead_letter::{
    DeadLetterActionRequest, DeadLetterPageView, DeadLetterReasons, DeadLetterSelection, DeadLetterView,
    DropOutcome, ListDeadLettersRequest, ReplayOutcome,
};
use crate::operations::messages::document::{
    DeleteMatchingOutcome, DeleteMatchingRequest, DocumentDetails, DocumentList, DocumentView,
    ListDocumentsRequest, ReceiptView, VersionState,
};
use crate::operations::messages::event::{DocumentEventKind, DocumentOutcomeEvent};
use crate::operations::messages::status::{PipelineList, ServiceStatus, UsageReport};
use crate::operations::{CollectionsApi, DeadLettersApi, DocumentsApi, EventsApi, StatusApi};
use contexture_core::domain::ids::{CollectionKey, DocumentId, Version};
use contexture_core::domain::principal::Principal;
use contexture_core::fault::{FailureReason, Refusal, RefusalKind};

/// How long a server may load the model of a new collection.
pub(super) const MODEL_LOADING_MAX: Duration = Duration::from_mins(1);

impl RemoteServer {
    pub(super) fn collection_call<'a>(
        &'a self,
        method: Method,
        collection: &str,
        rest: &[&str],
    ) -> HttpCall<'a> {
        self.call(method, &[&["v1", "collections", collection], rest].concat())
    }

    /// Deletes a document. Refuses with `unknown_document` if there is none.
    pub(crate) async fn delete_document(
        &self,
        collection: &str,
        document_id: &str,
    ) -> Result<ReceiptView, Refusal> {
        self.collection_call(Method::DELETE, collection, &["documents", document_id]).answer().await
    }
}

#[async_trait]
impl CollectionsApi for RemoteServer {
    async fn create_collection(
        &self,
        _caller: &Principal,
        request: CreateCollectionRequest,
    ) -> Result<(CollectionView, bool), Refusal> {
        let call = self.call(Method::POST, &["v1", "collections"]).json(&request);
        let (view, status) = call.with_server_deadline(Some(MODEL_LOADING_MAX)).answer_with_status().await?;
        Ok((view, status == 201))
    }

    async fn collection(&self, _caller: &Principal, name: &str) -> Result<CollectionView, Refusal> {
        self.collection_call(Method::GET, name, &[]).answer().await
    }

    async fn list_collections(
        &self,
        _caller: &Principal,
        request: ListCollectionsRequest,
    ) -> Result<CollectionList, Refusal> {
        self.call(Method::GET, &["v1", "collections"]).query(&request).answer().await
    }

    async fn change_settings(
        &self,
        _caller: &Principal,
        name: &str,
        change: CollectionSettingsChange,
    ) -> Result<CollectionView, Refusal> {
        self.collection_call(Method::PATCH, name, &[]).json(&change).answer().await
    }

    async fn delete_collection(&self, _caller: &Principal, name: &str) -> Result<(), Refusal> {
        self.collection_call(Method::DELETE, name, &[]).done().await
    }
}

#[async_trait]
impl DocumentsApi for RemoteServer {
    async fn document_view(
        &self,
        _caller: &Principal,
        collection: &str,
        document_id: &str,
        details: DocumentDetails,
    ) -> Result<DocumentView, Refusal> {
        let call = self.collection_call(Method::GET, collection, &["documents", document_id]);
        let parts = [(details.chunks, "chunks"), (details.text, "text"), (details.groups, "groups")];
        let included: Vec<&str> = parts.iter().filter(|(wanted, _)| *wanted).map(|(_, name)| *name).collect();
        let call = if included.is_empty() { call } else { call.query_value("include", &included.join(",")) };
        call.answer().await
    }

    async fn list_documents(
        &self,
        _caller: &Principal,
        collection: &str,
        request: ListDocumentsRequest,
    ) -> Result<DocumentList, Refusal> {
        self.collection_call(Method::GET, collection, &["documents"]).query(&request).answer().await
    }

    async fn delete_matching(
        &self,
        _caller: &Principal,
        collection: &str,
        request: DeleteMatchingRequest,
    ) -> Result<DeleteMatchingOutcome, Refusal> {
        self.collection_call(Method::POST, collection, &["documents", "delete"]).json(&request).answer().await
    }

    async fn wait_for_version(
        &self,
        _collection: &CollectionKey,
        _document_id: &DocumentId,
        _version: Version,
        _deadline: Instant,
    ) -> Result<(VersionState, Option<FailureReason>), Refusal> {
        // Commands follow all of their versions at once, see `FollowedVersions`.
        let message = "a server is not asked about one version";
        Err(Refusal::new(RefusalKind::Internal, "not_on_a_server", "", message))
    }
}

#[async_trait]
impl EventsApi for RemoteServer {
    async fn document_events(
        &self,
        _caller: &Principal,
        collection: &str,
        after: Option<&str>,
    ) -> Result<BoxStream<'static, Result<DocumentOutcomeEvent, Refusal>>, Refusal> {
        let call = self.collection_call(Method::GET, collection, &["events"]);
        let call = match after {
            Some(after) => call.query_value("after", after),
            None => call,
        };
        let reader = call.events().await?;
        let events = stream::unfold(Some(reader), |reader| async {
            let mut reader = reader?;
            loop {
                let event = match reader.next().await {
                    Ok(event) => event?,
                    Err(refusal) => return Some((Err(refusal), None)),
                };
                let kind = match &*event.name {
                    "visible" => DocumentEventKind::Visible,
                    "deleted" => DocumentEventKind::Deleted,
                    "dead" => DocumentEventKind::Dead,
                    // A newer server may tell of more.
                    _ => continue,
                };
                let read = event.message().map(|read: DocumentOutcomeEvent| DocumentOutcomeEvent {
                    kind,
                    cursor: event.id,
                    ..read
                });
                return Some((read, Some(reader)));
            }
        });
        Ok(events.boxed())
    }
}

#[async_trait]
impl DeadLettersApi for RemoteServer {
    async fn list_dead_letters(
        &self,
        _caller: &Principal,
        request: ListDeadLettersRequest,
    ) -> Result<DeadLetterPageView, Refusal> {
        self.call(Method::GET, &["v1", "dead-letters"]).query(&request).answer().await
    }

    async fn dead_letter_reasons(
        &self,
        _caller: &Principal,
        selection: DeadLetterSelection,
    ) -> Result<DeadLetterReasons, Refusal> {
        self.call(Method::GET, &["v1", "dead-letters", "reasons"]).query(&selection).answer().await
    }

    async fn dead_letter(&self, _caller: &Principal, id: u64) -> Result<DeadLetterView, Refusal> {
        self.call(Method::GET, &["v1", "dead-letters", &id.to_string()]).answer().await
    }

    async fn replay_dead_letters(
        &self,
        _caller: &Principal,
        selection: DeadLetterSelection,
        dry_run: bool,
    ) -> Result<ReplayOutcome, Refusal> {
        self.call(Method::POST, &["v1", "dead-letters", "replay"])
            .json(&action_request(selection, dry_run))
            .answer()
            .await
    }

    async fn drop_dead_letters(
        &self,
        _caller: &Principal,
        selection: DeadLetterSelection,
        dry_run: bool,
    ) -> Result<DropOutcome, Refusal> {
        self.call(Method::POST, &["v1", "dead-letters", "drop"])
            .json(&action_request(selection, dry_run))
            .answer()
            .await
    }
}

fn action_request(selection: DeadLetterSelection, dry_run: bool) -> DeadLetterActionRequest {
    let DeadLetterSelection { ids, collection, reason, stage, since_ms } = selection;
    DeadLetterActionRequest { ids, collection, reason, stage, since_ms, dry_run }
}

#[async_trait]
impl StatusApi for RemoteServer {
    async fn status(&self, _caller: &Principal) -> Result<ServiceStatus, Refusal> {
        self.call(Method::GET, &["v1", "status"]).answer().await
    }

    async fn usage(&self, _caller: &Principal, days: u64) -> Result<UsageReport, Refusal> {
        self.call(Method::GET, &["v1", "usage"]).query_value("days", &days.to_string()).answer().await
    }

    async fn pipelines(&self, _caller: &Principal) -> Result<PipelineList, Refusal> {
        self.call(Method::GET, &["v1", "pipelines"]).answer().await
    }
}
