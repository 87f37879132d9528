//! Sources, and the items that their runs saw.

use std::collections::BTreeMap;

use async_trait::async_trait;

use super::collection::MemoryCollection;
use super::ledger::MemoryLedger;
use crate::ledger_rules::unknown_collection;
use contexture_core::domain::ids::{CollectionKey, DocumentId};
use contexture_core::domain::source::SourceName;
use contexture_core::fault::Fault;
use contexture_core::ports::source_ledger::{
    SettledSource, SourceDocument, SourceDocumentVersion, SourceLedger, SourceRecord, SourceSighting,
};

/// A source of a collection.
pub(super) struct MemorySource {
    run: u64,
    finished_run: u64,
    begun_ms: u64,
    finished_ms: Option<u64>,
    settled: Option<SettledSource>,
    /// What was reported last, and by which run.
    items: BTreeMap<DocumentId, (SourceSighting, u64)>,
}

impl MemoryCollection {
    fn source_document(&self, (sighting, run): &(SourceSighting, u64)) -> SourceDocument {
        let newest = self.documents.get(&sighting.document_id).and_then(|history| history.last_key_value());
        let newest = newest.map(|(version, entry)| SourceDocumentVersion {
            version: *version,
            state: entry.state,
            deletes: entry.deletes,
            reason: entry.reason.clone(),
        });
        SourceDocument { sighting: sighting.clone(), run: *run, newest }
    }
}

impl MemoryLedger {
    fn with_source<T>(
        &self,
        collection: &CollectionKey,
        source: &SourceName,
        work: impl FnOnce(&mut MemorySource, u64) -> T,
    ) -> Option<T> {
        self.with_collection(collection, |found, now_ms| {
            found.sources.get_mut(source).map(|source| work(source, now_ms))
        })
        .flatten()
    }
}

#[async_trait]
impl SourceLedger for MemoryLedger {
    async fn begin_source_run(&self, collection: &CollectionKey, source: &SourceName) -> Result<u64, Fault> {
        let begun = self.with_collection(collection, |found, now_ms| {
            let source = found.sources.entry(source.clone()).or_insert_with(|| MemorySource {
                run: 0,
                finished_run: 0,
                begun_ms: now_ms,
                finished_ms: None,
                settled: None,
                items: BTreeMap::new(),
            });
            source.run += 1;
            source.begun_ms = now_ms;
            source.run
        });
        begun.ok_or_else(|| unknown_collection(&collection.collection))
    }

    async fn report_sightings(
        &self,
        collection: &CollectionKey,
        source: &SourceName,
        run: u64,
        sightings: Vec<SourceSighting>,
    ) -> Result<(), Fault> {
        self.with_source(collection, source, |source, _| {
            for sighting in sightings {
                let known = source.items.get(&sighting.document_id).map_or(0, |(_, known)| *known);
                source.items.insert(sighting.document_id.clone(), (sighting, run.max(known)));
            }
        });
        Ok(())
    }

    async fn report_unchanged(
        &self,
        collection: &CollectionKey,
        source: &SourceName,
        run: u64,
        documents: Vec<DocumentId>,
    ) -> Result<(), Fault> {
        self.with_source(collection, source, |source, _| {
            for document_id in &documents {
                if let Some((_, known)) = source.items.get_mut(document_id) {
                    *known = run.max(*known);
                }
            }
        });
        Ok(())
    }

    async fn source_documents(
        &self,
        collection: &CollectionKey,
        source: &SourceName,
        after: Option<&DocumentId>,
        limit: usize,
    ) -> Result<Vec<SourceDocument>, Fault> {
        let found = self.with_collection(collection, |found, _| {
            let items = found.sources.get(source).into_iter().flat_map(|source| source.items.iter());
            let behind = items.filter(|(id, _)| after.is_none_or(|after| *id > after));
            behind.take(limit).map(|(_, item)| found.source_document(item)).collect()
        });
        Ok(found.unwrap_or_default())
    }

    async fn unseen_source_documents(
        &self,
        collection: &CollectionKey,
        source: &SourceName,
        run: u64,
        after: Option<&DocumentId>,
        limit: usize,
    ) -> Result<Vec<SourceDocument>, Fault> {
        let found = self.with_collection(collection, |found, _| {
            let items = found.sources.get(source).into_iter().flat_map(|source| source.items.iter());
            let unseen = items.filter(|(id, (_, seen))| *seen < run && after.is_none_or(|after| *id > after));
            unseen.take(limit).map(|(_, item)| found.source_document(item)).collect()
        });
        Ok(found.unwrap_or_default())
    }

    async fn count_unsettled(&self, collection: &CollectionKey, source: &SourceName) -> Result<u64, Fault> {
        let counted = self.with_collection(collection, |found, _| {
            let items = found.sources.get(source).into_iter().flat_map(|source| source.items.values());
            items.filter(|item| !found.source_document(item).is_settled()).count() as u64
        });
        Ok(counted.unwrap_or_default())
    }

    async fn forget_source_documents(
        &self,
        collection: &CollectionKey,
        source: &SourceName,
        run: u64,
        documents: Vec<DocumentId>,
    ) -> Result<(), Fault> {
        self.with_source(collection, source, |source, _| {
            source.items.retain(|id, (_, seen)| *seen >= run || !documents.contains(id));
        });
        Ok(())
    }

    async fn finish_source_run(
        &self,
        collection: &CollectionKey,
        source: &SourceName,
        run: u64,
        settled: Option<SettledSource>,
    ) -> Result<(), Fault> {
        self.with_source(collection, source, |source, now_ms| {
            source.finished_run = source.finished_run.max(run);
            source.finished_ms = Some(now_ms);
            source.settled = settled;
        });
        Ok(())
    }

    async fn sources(&self, collection: &CollectionKey) -> Result<Vec<SourceRecord>, Fault> {
        let found = self.with_collection(collection, |found, _| {
            let record = |(name, source): (&SourceName, &MemorySource)| SourceRecord {
                name: name.clone(),
                run: source.run,
                finished_run: source.finished_run,
                documents: source.items.len() as u64,
                begun_ms: source.begun_ms,
                finished_ms: source.finished_ms,
                settled: source.settled.clone(),
            };
            found.sources.iter().map(record).collect()
        });
        Ok(found.unwrap_or_default())
    }

    async fn sources_of(
        &self,
        collection: &CollectionKey,
        documents: &[DocumentId],
    ) -> Result<Vec<Option<SourceName>>, Fault> {
        let found = self.with_collection(collection, |found, _| {
            let has = |id| found.sources.iter().find(|(_, source)| source.items.contains_key(id));
            documents.iter().map(|id| has(id).map(|(name, _)| name.clone())).collect()
        });
        Ok(found.unwrap_or_else(|| vec![None; documents.len()]))
    }

    async fn forget_source(&self, collection: &CollectionKey, source: &SourceName) -> Result<bool, Fault> {
        let forgotten = self.with_collection(collection, |found, _| found.sources.remove(source).is_some());
        Ok(forgotten.unwrap_or_default())
    }
}
