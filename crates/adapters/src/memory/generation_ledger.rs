//! The port of generations on the memory ledger. One lock is the transaction.

use std::collections::BTreeMap;

use async_trait::async_trait;

use super::collection::MemoryCollection;
use super::ledger::MemoryLedger;
use contexture_core::domain::chunk::ChunkSpan;
use contexture_core::domain::ids::{CollectionKey, DocumentId, Epoch, GenerationNumber, Version, VersionKey};
use contexture_core::domain::task::IngestTask;
use contexture_core::fault::{FailureReason, Fault};
use contexture_core::ports::generations::{
    BeginBuildOutcome, ChangeLogSize, GenerationBuildFailure, GenerationBuildPace, GenerationChange,
    GenerationLedger, GenerationRecord, GenerationState, UnpreparedVersions,
};
use contexture_core::ports::ledger::{ChangeLogEntry, VersionState};

impl MemoryCollection {
    fn is_visible(&self, document_id: &DocumentId, version: Version) -> bool {
        let entry = self.documents.get(document_id).and_then(|history| history.get(&version));
        entry.is_some_and(|entry| entry.state == VersionState::Visible)
    }

    fn failed(&self, generation: GenerationNumber) -> Vec<GenerationBuildFailure> {
        let failures = self.generations.failures.iter();
        let of_generation = failures.filter(|((of, ..), _)| *of == generation);
        // A failure of a version that is no longer visible does not count any more.
        let visible = of_generation.filter(|((_, id, version), _)| self.is_visible(id, *version));
        let failure =
            |((_, id, version), reason): (&(GenerationNumber, DocumentId, Version), &FailureReason)| {
                GenerationBuildFailure { key: self.key(id, *version), reason: reason.clone() }
            };
        visible.map(failure).collect()
    }

    fn records(&self) -> Vec<GenerationRecord> {
        let counted = |record: &GenerationRecord| GenerationRecord {
            failed: self.failed(record.home.generation).len() as u64,
            log_end: self.log_position,
            ..record.clone()
        };
        self.generations.records.values().map(counted).collect()
    }

    fn unprepared(&self, generation: GenerationNumber, after: u64, limit: usize) -> Vec<ChangeLogEntry> {
        let Some(record) = self.generations.records.get(&generation) else { return Vec::new() };
        let lacks = |change: &ChangeLogEntry| {
            let key = &change.task.key;
            let entry = self.documents.get(&key.document_id).and_then(|history| history.get(&key.version));
            !change.task.deletes
                && entry.is_some_and(|entry| !entry.spans.contains_key(&generation))
                && !self.generations.failures.contains_key(&(
                    generation,
                    key.document_id.clone(),
                    key.version,
                ))
        };
        let (generation, epoch) = (record.home.generation, record.home.epoch);
        let mine = |change: ChangeLogEntry| ChangeLogEntry {
            task: IngestTask { generation, epoch, ..change.task },
            ..change
        };
        self.changes(after).filter(lacks).take(limit).map(mine).collect()
    }

    fn prepare(&mut self, generation: GenerationNumber, key: &VersionKey, spans: Vec<ChunkSpan>) -> bool {
        // The generation may have been dropped, or the version superseded, since the builder read it.
        let is_live = self.generations.live().any(|home| home.generation == generation);
        if !is_live || !self.is_visible(&key.document_id, key.version) {
            return false;
        }
        let history = self.documents.get_mut(&key.document_id);
        let Some(entry) = history.and_then(|history| history.get_mut(&key.version)) else { return false };
        entry.spans.insert(generation, spans);
        true
    }

    fn clear(&mut self, generation: GenerationNumber) {
        let dropped = self.generations.records.get_mut(&generation);
        let Some(record) = dropped.filter(|record| record.state == GenerationState::Dropped) else {
            return;
        };
        record.is_cleared = true;
        self.generations.failures.retain(|(of, ..), _| *of != generation);
        for entry in self.documents.values_mut().flat_map(BTreeMap::values_mut) {
            entry.spans.remove(&generation);
        }
    }
}

#[async_trait]
impl GenerationLedger for MemoryLedger {
    async fn begin_generation(
        &self,
        collection: &CollectionKey,
        pipeline: &str,
        epoch: Epoch,
        pace: GenerationBuildPace,
    ) -> Result<BeginBuildOutcome, Fault> {
        let begun = self.with_collection(collection, |found, now_ms| {
            found.generations.begin(pipeline, epoch, pace, now_ms)
        });
        begun.ok_or_else(|| {
            let detail = format!("collection '{}' does not exist", collection.collection);
            Fault::permanent("unknown_collection", detail)
        })
    }

    async fn generations(&self, collection: Option<&CollectionKey>) -> Result<Vec<GenerationRecord>, Fault> {
        let keys = collection.map_or_else(|| self.collection_keys(), |key| vec![key.clone()]);
        let records = keys.iter().filter_map(|key| self.with_collection(key, |found, _| found.records()));
        Ok(records.flatten().collect())
    }

    async fn change_generation(
        &self,
        collection: &CollectionKey,
        generation: GenerationNumber,
        change: GenerationChange,
    ) -> Result<bool, Fault> {
        let apply = |found: &mut MemoryCollection, now_ms| {
            let end = found.log_position;
            found.generations.apply(generation, change, end, now_ms)
        };
        Ok(self.with_collection(collection, apply).unwrap_or(false))
    }

    async fn unprepared(
        &self,
        collection: &CollectionKey,
        generation: GenerationNumber,
        after: u64,
        limit: usize,
    ) -> Result<UnpreparedVersions, Fault> {
        let found = self.with_collection(collection, |found, _| UnpreparedVersions {
            changes: found.unprepared(generation, after, limit),
            end: found.log_position,
        });
        Ok(found.unwrap_or(UnpreparedVersions { changes: Vec::new(), end: after }))
    }

    async fn prepared(
        &self,
        generation: GenerationNumber,
        spans: Vec<(VersionKey, Vec<ChunkSpan>)>,
    ) -> Result<Vec<bool>, Fault> {
        let stored = spans.into_iter().map(|(key, spans)| {
            self.with_collection(&key.collection_key(), |found, _| found.prepare(generation, &key, spans))
        });
        Ok(stored.map(|stored| stored.unwrap_or(false)).collect())
    }

    async fn fail_preparing(
        &self,
        generation: GenerationNumber,
        failures: Vec<GenerationBuildFailure>,
    ) -> Result<(), Fault> {
        for GenerationBuildFailure { key, reason } in failures {
            self.with_collection(&key.collection_key(), |found, _| {
                found.generations.failures.insert((generation, key.document_id.clone(), key.version), reason)
            });
        }
        Ok(())
    }

    async fn failures(
        &self,
        collection: &CollectionKey,
        generation: GenerationNumber,
        limit: usize,
    ) -> Result<Vec<GenerationBuildFailure>, Fault> {
        let failed = self.with_collection(collection, |found, _| found.failed(generation));
        Ok(failed.into_iter().flatten().take(limit).collect())
    }

    async fn advance_cursor(
        &self,
        collection: &CollectionKey,
        generation: GenerationNumber,
        cursor: u64,
        prepared: u64,
    ) -> Result<(), Fault> {
        self.with_collection(collection, |found, _| {
            if let Some(record) = found.generations.records.get_mut(&generation) {
                record.cursor = record.cursor.max(cursor);
                record.prepared += prepared;
            }
        });
        Ok(())
    }

    async fn log_size(&self, collection: &CollectionKey, after: u64) -> Result<ChangeLogSize, Fault> {
        let size = self.with_collection(collection, |found, _| ChangeLogSize {
            entries: found.changes(0).count() as u64,
            after: found.changes(after).count() as u64,
        });
        Ok(size.unwrap_or_default())
    }

    async fn clear_dropped(
        &self,
        collection: &CollectionKey,
        generation: GenerationNumber,
        _limit: usize,
    ) -> Result<bool, Fault> {
        // All at once: there is no transaction to keep short, so `_limit` does not matter.
        self.with_collection(collection, |found, _| found.clear(generation));
        Ok(false)
    }
}
