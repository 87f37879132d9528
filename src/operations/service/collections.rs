//! Whole collections: creating, listing, changing and deleting them.

use async_trait::async_trait;

use super::{StoreOperations, is_pipeline_text, require_any_scope};
use crate::operations::api::{CollectionsApi, administered_collection, caller_collection};
use crate::operations::messages::collection::{
    CollectionList, CollectionSettings, CollectionSettingsChange, CollectionView, CreateCollectionRequest,
    ListCollectionsRequest,
};
use crate::operations::messages::page::{cursor_after, entry_of_cursor, page_limit};
use contexture_core::domain::ids::TenantId;
use contexture_core::domain::principal::{AccessScope, Principal};
use contexture_core::fault::{Refusal, RefusalKind};
use contexture_core::ingest::submit::unknown_collection_refusal;
use contexture_core::jobs::audit::schedule::{self, LastAuditResult};
use contexture_core::jobs::collection_states::forget_collection_states;
use contexture_core::ports::ledger::CollectionRecord;

#[async_trait]
impl CollectionsApi for StoreOperations {
    async fn create_collection(
        &self,
        caller: &Principal,
        request: CreateCollectionRequest,
    ) -> Result<(CollectionView, bool), Refusal> {
        caller.require(AccessScope::Write)?;
        let key = caller_collection(caller, &request.name)?;
        if request.pipeline.as_deref().is_some_and(is_pipeline_text) {
            // The text of a pipeline can name folders of the server and providers that cost money.
            caller.require(AccessScope::Admin)?;
        }
        let wanted = request.settings.unwrap_or_default();
        wanted.validate()?;
        let (record, is_new) = self.ensure_collection(&key, request.pipeline.as_deref()).await?;
        let known = self.settings.settings(&key).await?;
        if wanted != CollectionSettings::default() && wanted != *known {
            // Making a collection again changes nothing, so that two programs that both make it agree.
            if !is_new {
                return Err(Refusal::new(
                    RefusalKind::Conflict,
                    "settings_differ",
                    "settings",
                    format!("collection '{}' has other settings; change them by themselves", key.collection),
                ));
            }
            self.settings.change(&key, wanted.into()).await?;
        }
        Ok((self.collection_view(&record).await?, is_new))
    }

    async fn collection(&self, caller: &Principal, name: &str) -> Result<CollectionView, Refusal> {
        require_any_scope(caller)?;
        let record = self.existing(&caller_collection(caller, name)?).await?;
        self.collection_view(&record).await
    }

    async fn list_collections(
        &self,
        caller: &Principal,
        request: ListCollectionsRequest,
    ) -> Result<CollectionList, Refusal> {
        require_any_scope(caller)?;
        let limit = page_limit(request.limit)?;
        let after = request.cursor.as_deref().map(entry_of_cursor).transpose()?;
        let prefix = request.prefix.unwrap_or_default();
        let mut records = self.caller_collections(caller).await?;
        records.retain(|record| {
            let name = record.key.collection.as_str();
            name.starts_with(&prefix) && after.as_deref().is_none_or(|after| name > after)
        });
        let more = records.len() > limit;
        records.truncate(limit);
        let next_cursor =
            records.last().filter(|_| more).map(|last| cursor_after(last.key.collection.as_str()));
        let mut collections = Vec::with_capacity(records.len());
        let audits = self.audits(caller.tenant()).await?;
        for record in &records {
            collections.push(self.view_with(record, &audits).await?);
        }
        Ok(CollectionList { collections, next_cursor })
    }

    async fn change_settings(
        &self,
        caller: &Principal,
        name: &str,
        change: CollectionSettingsChange,
    ) -> Result<CollectionView, Refusal> {
        let record = self.existing(&administered_collection(caller, name)?).await?;
        self.settings.change(&record.key, change.settings).await?;
        self.collection_view(&record).await
    }

    async fn delete_collection(&self, caller: &Principal, name: &str) -> Result<(), Refusal> {
        let key = administered_collection(caller, name)?;
        self.existing(&key).await?;
        let (stages, settings, sampler) = (self.stages.clone(), self.settings.clone(), self.sampler.clone());
        // A task of its own: the caller's deadline must not leave it half done.
        let dropping = tokio::spawn(async move {
            // From here on nobody finds it, and its name is free. What belongs to the name goes at once.
            let hidden = stages.ledger.hide_collection(&key).await?;
            let generations = hidden.ok_or_else(|| unknown_collection_refusal(&key.collection))?;
            settings.forget(&key).await?;
            if let Some(sampler) = sampler {
                sampler.forget(&key);
            }
            forget_collection_states(&*stages.states, &key).await?;
            // Rows and stores that remain are unreachable, and housekeeping removes them.
            if let Err(fault) = stages.catalog.remove_collection(&generations, true).await {
                tracing::info!(collection = %key.collection, %fault, "the stores of a deleted collection remain for now");
            }
            Ok(())
        });
        dropping.await.map_err(|error| {
            Refusal::new(RefusalKind::Internal, "internal", "", format!("deleting a collection: {error}"))
        })?
    }
}

impl StoreOperations {
    /// The caller's collections, by name.
    pub(super) async fn caller_collections(
        &self,
        caller: &Principal,
    ) -> Result<Vec<CollectionRecord>, Refusal> {
        let mut records = self.stages.ledger.collections().await?;
        records.retain(|record| record.key.tenant == *caller.tenant());
        records.sort_by(|first, second| first.key.cmp(&second.key));
        Ok(records)
    }

    async fn collection_view(&self, record: &CollectionRecord) -> Result<CollectionView, Refusal> {
        let audits = self.audits(&record.key.tenant).await?;
        self.view_with(record, &audits).await
    }

    /// The last audits of a tenant's collections, by name.
    async fn audits(&self, tenant: &TenantId) -> Result<Vec<(String, LastAuditResult)>, Refusal> {
        Ok(schedule::tenant_audit_results(&*self.stages.states, tenant.as_str()).await?)
    }

    async fn view_with(
        &self,
        record: &CollectionRecord,
        audits: &[(String, LastAuditResult)],
    ) -> Result<CollectionView, Refusal> {
        let key = &record.key;
        let audit = audits.iter().find(|(name, _)| name == key.collection.as_str());
        Ok(CollectionView {
            name: key.collection.to_string(),
            pipeline: record.pipeline.clone(),
            generation: record.generation,
            settings: (*self.settings.settings(key).await?).clone(),
            counts: self.stages.ledger.counts(key).await?.into(),
            audit: audit.map(|(_, last)| (*last).into()),
        })
    }
}
