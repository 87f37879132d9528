//! `CollectionService`: whole collections.

use std::sync::Arc;

use tonic::Request;

use super::call_frame::{CallResult, OpenedCall, answer};
use super::proto::{self, collection_service_server::CollectionService};
use crate::operations::CollectionsApi;
use crate::operations::messages::collection::{
    AuditResultView, CollectionSettings, CollectionSettingsChange, CollectionView, CreateCollectionRequest,
    ListCollectionsRequest, SettingsPatch, VersionCountsView,
};

/// Serves callers who make and manage collections.
pub struct CollectionHandler {
    api: Arc<dyn CollectionsApi>,
}

impl CollectionHandler {
    pub(super) fn new(api: Arc<dyn CollectionsApi>) -> Self {
        Self { api }
    }
}

#[tonic::async_trait]
impl CollectionService for CollectionHandler {
    async fn create_collection(
        &self,
        request: Request<proto::CreateCollectionRequest>,
    ) -> CallResult<proto::CreateCollectionResponse> {
        answer(request, async |OpenedCall { principal, message, .. }| {
            let proto::CreateCollectionRequest { collection: name, pipeline, settings } = message;
            let settings = settings.map(settings_from_message);
            let asked = CreateCollectionRequest { name, pipeline, settings };
            let (view, created) = self.api.create_collection(&principal, asked).await?;
            Ok(proto::CreateCollectionResponse { collection: Some(collection_message(view)), created })
        })
        .await
    }

    async fn get_collection(
        &self,
        request: Request<proto::GetCollectionRequest>,
    ) -> CallResult<proto::Collection> {
        answer(request, async |OpenedCall { principal, message, .. }| {
            self.api.collection(&principal, &message.collection).await.map(collection_message)
        })
        .await
    }

    async fn list_collections(
        &self,
        request: Request<proto::ListCollectionsRequest>,
    ) -> CallResult<proto::ListCollectionsResponse> {
        answer(request, async |OpenedCall { principal, message, .. }| {
            let proto::ListCollectionsRequest { prefix, limit, cursor } = message;
            let asked = ListCollectionsRequest { prefix, limit, cursor: cursor_from_message(cursor) };
            let page = self.api.list_collections(&principal, asked).await?;
            Ok(proto::ListCollectionsResponse {
                collections: page.collections.into_iter().map(collection_message).collect(),
                next_cursor: page.next_cursor.unwrap_or_default(),
            })
        })
        .await
    }

    async fn update_collection(
        &self,
        request: Request<proto::UpdateCollectionRequest>,
    ) -> CallResult<proto::Collection> {
        answer(request, async |OpenedCall { principal, message, .. }| {
            let settings = patch_from_message(message.settings.unwrap_or_default());
            let change = CollectionSettingsChange { settings };
            let changed = self.api.change_settings(&principal, &message.collection, change).await?;
            Ok(collection_message(changed))
        })
        .await
    }

    async fn delete_collection(
        &self,
        request: Request<proto::DeleteCollectionRequest>,
    ) -> CallResult<proto::DeleteCollectionResponse> {
        answer(request, async |OpenedCall { principal, message, .. }| {
            self.api.delete_collection(&principal, &message.collection).await?;
            Ok(proto::DeleteCollectionResponse {})
        })
        .await
    }
}

/// Returns the cursor of a request; empty stands for none.
pub(super) fn cursor_from_message(cursor: String) -> Option<String> {
    Some(cursor).filter(|cursor| !cursor.is_empty())
}

fn settings_from_message(settings: proto::CollectionSettings) -> CollectionSettings {
    patch_from_message(settings).applied_to(CollectionSettings::default())
}

fn patch_from_message(settings: proto::CollectionSettings) -> SettingsPatch {
    // A field of a message is absent or there, and cannot be null; so an empty text removes.
    let change = |field: Option<String>| field.map(|text| Some(text).filter(|text| !text.is_empty()));
    SettingsPatch {
        url_template: change(settings.url_template),
        url_metadata_key: change(settings.url_metadata_key),
    }
}

fn collection_message(view: CollectionView) -> proto::Collection {
    let CollectionSettings { url_template, url_metadata_key } = view.settings;
    proto::Collection {
        name: view.name,
        pipeline: view.pipeline,
        generation: view.generation,
        settings: Some(proto::CollectionSettings { url_template, url_metadata_key }),
        counts: Some(counts_message(view.counts)),
        audit: view.audit.map(audit_message),
    }
}

pub(super) fn counts_message(counts: VersionCountsView) -> proto::VersionCounts {
    let VersionCountsView { accepted, in_flight, visible, superseded, dead, documents } = counts;
    proto::VersionCounts { accepted, in_flight, visible, superseded, dead, documents }
}

pub(super) fn audit_message(audit: AuditResultView) -> proto::AuditResult {
    let AuditResultView { at_ms, report } = audit;
    let report = proto::AuditReport {
        documents: report.documents,
        missing: report.missing,
        stale: report.stale,
        orphan: report.orphan,
        drift: report.drift,
        unsettled: report.unsettled,
        failed: 0,
    };
    proto::AuditResult { at_ms, report: Some(report) }
}
