//! Addresses of the documents of an answer.

use std::collections::HashMap;
use std::sync::Arc;

use super::CollectionSettingsStore;
use crate::operations::messages::collection::CollectionSettings;
use contexture_core::context::answer::{Passage, RankedChunk};
use contexture_core::domain::document_url::DocumentUrlSettings;
use contexture_core::domain::ids::{CollectionId, CollectionKey, TenantId};
use contexture_core::fault::Refusal;

/// Finds the addresses of one answer's documents. Settings of each collection are read and checked once.
pub struct DocumentUrls<'a> {
    store: &'a CollectionSettingsStore,
    tenant: TenantId,
    home: CollectionId,
    known: HashMap<CollectionId, DocumentUrlSettings>,
}

impl<'a> DocumentUrls<'a> {
    /// For an answer from collections of this tenant; what names no collection is of `home`.
    pub fn new(store: &'a CollectionSettingsStore, tenant: TenantId, home: CollectionId) -> Self {
        Self { store, tenant, home, known: HashMap::new() }
    }

    /// The address of a passage's document.
    pub async fn passage_url(&mut self, passage: &Passage) -> Result<Option<String>, Refusal> {
        let collection = passage.collection.clone().unwrap_or_else(|| self.home.clone());
        let settings = self.settings(&collection).await?;
        Ok(settings.url(&collection, &passage.document_id, passage.title.as_deref(), &passage.metadata))
    }

    /// The address of a ranked chunk's document.
    pub async fn chunk_url(&mut self, ranked: &RankedChunk) -> Result<Option<String>, Refusal> {
        let collection = ranked.collection.clone().unwrap_or_else(|| self.home.clone());
        let settings = self.settings(&collection).await?;
        Ok(settings.url(&collection, &ranked.document_id, ranked.title.as_deref(), &ranked.metadata))
    }

    async fn settings(&mut self, collection: &CollectionId) -> Result<&DocumentUrlSettings, Refusal> {
        if !self.known.contains_key(collection) {
            let key = CollectionKey { tenant: self.tenant.clone(), collection: collection.clone() };
            let settings: Arc<CollectionSettings> = self.store.settings(&key).await?;
            self.known.insert(collection.clone(), settings.url_settings()?);
        }
        Ok(&self.known[collection])
    }
}
