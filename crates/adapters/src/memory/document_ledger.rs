//! Lists of documents, and what was said about them.

use async_trait::async_trait;

use super::collection::{MemoryCollection, VersionEntry};
use super::ledger::MemoryLedger;
use crate::ledger_rules::group_by_document;
use contexture_core::domain::document::DocumentDescription;
use contexture_core::domain::ids::{CollectionKey, DocumentId, Version, VersionKey};
use contexture_core::fault::Fault;
use contexture_core::ports::document_ledger::{DocumentLedger, DocumentPage, DocumentRecord};
use contexture_core::ports::ledger::VersionState;

impl VersionEntry {
    /// What was said about it, while its body is kept.
    fn kept_description(&self) -> Option<DocumentDescription> {
        self.body.as_ref().map(|_| self.description.clone())
    }
}

impl MemoryCollection {
    fn documents(&self, page: &DocumentPage) -> Vec<DocumentRecord> {
        let (from, to) = page.id_bounds();
        let within = |id: &DocumentId| id.as_str() >= from.as_str() && id.as_str() < to.as_str();
        let listed = self.documents.iter().filter(|(id, history)| within(id) && !history.is_empty());
        let versions = listed.take(page.limit).flat_map(|(document_id, history)| {
            let newest = history.last_key_value().map(|(version, _)| *version);
            let wanted = move |(version, entry): &(&Version, &VersionEntry)| {
                Some(**version) == newest || entry.state == VersionState::Visible
            };
            history.iter().rev().filter(wanted).map(|(version, entry)| {
                let key = self.key(document_id, *version);
                (entry.version_record(key, self.record().generation), entry.kept_description())
            })
        });
        group_by_document(versions)
    }
}

#[async_trait]
impl DocumentLedger for MemoryLedger {
    async fn documents(
        &self,
        collection: &CollectionKey,
        page: &DocumentPage,
    ) -> Result<Vec<DocumentRecord>, Fault> {
        Ok(self.with_collection(collection, |found, _| found.documents(page)).unwrap_or_default())
    }

    async fn descriptions(&self, keys: &[VersionKey]) -> Result<Vec<Option<DocumentDescription>>, Fault> {
        let describe = |key: &VersionKey| {
            self.with_collection(&key.collection_key(), |found, _| {
                found.documents.get(&key.document_id)?.get(&key.version)?.kept_description()
            })
        };
        Ok(keys.iter().map(|key| describe(key).flatten()).collect())
    }
}
