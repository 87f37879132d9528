//! The generations of the memory ledger.

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
use contexture_core::ports::ledger::{ChangeLogEntry, CollectionRecord, VersionState};

/// The generations of one collection, by their numbers: one of them is active.
pub(super) struct CollectionGenerations {
    records: BTreeMap<GenerationNumber, GenerationRecord>,
    active: GenerationNumber,
    failures: BTreeMap<(GenerationNumber, DocumentId, Version), FailureReason>,
}

impl CollectionGenerations {
    pub(super) fn new(key: &CollectionKey, pipeline: &str, epoch: Epoch, now_ms: u64) -> Self {
        let home = CollectionRecord { key: key.clone(), pipeline: pipeline.to_owned(), generation: 1, epoch };
        let first = GenerationRecord {
            state: GenerationState::Active,
            activated_ms: Some(now_ms),
            ..new_generation_record(home, GenerationBuildPace::default(), now_ms)
        };
        Self { records: BTreeMap::from([(1, first)]), active: 1, failures: BTreeMap::new() }
    }

    pub(super) fn active(&self) -> &CollectionRecord {
        &self.records[&self.active].home
    }

    pub(super) fn live(&self) -> impl Iterator<Item = &CollectionRecord> {
        let live = self.records.values().filter(|record| record.state != GenerationState::Dropped);
        live.map(|record| &record.home)
    }

    fn begin(
        &mut self,
        pipeline: &str,
        epoch: Epoch,
        pace: GenerationBuildPace,
        now_ms: u64,
    ) -> BeginBuildOutcome {
        let mut live = self.records.values().filter(|record| record.state != GenerationState::Dropped);
        if let Some(record) = live.clone().find(|record| record.home.epoch == epoch) {
            return BeginBuildOutcome::Known(record.clone());
        }
        if let Some(record) = live.find(|record| record.state == GenerationState::Building) {
            return BeginBuildOutcome::Busy(record.clone());
        }
        let generation = self.records.keys().max().copied().unwrap_or(0) + 1;
        let key = self.active().key.clone();
        let home = CollectionRecord { key, pipeline: pipeline.to_owned(), generation, epoch };
        let record = new_generation_record(home, pace, now_ms);
        self.records.insert(generation, record.clone());
        BeginBuildOutcome::Started(record)
    }

    fn apply(
        &mut self,
        generation: GenerationNumber,
        change: GenerationChange,
        end: u64,
        now_ms: u64,
    ) -> bool {
        use GenerationState::{Active, Building, Dropped, Kept};
        let Some(record) = self.records.get_mut(&generation) else { return false };
        let allowed = match change {
            GenerationChange::Pause => record.state == Building,
            GenerationChange::Resume | GenerationChange::Pace(_) => record.state != Dropped,
            GenerationChange::Activate | GenerationChange::DropAt(_) | GenerationChange::Dropped => {
                matches!(record.state, Building | Kept)
            }
        };
        if !allowed {
            return false;
        }
        match change {
            GenerationChange::Pause => record.is_paused = true,
            GenerationChange::Resume => record.is_paused = false,
            GenerationChange::Pace(pace) => record.pace = pace,
            GenerationChange::DropAt(at_ms) => record.drop_ms = Some(at_ms),
            GenerationChange::Dropped => record.state = Dropped,
            GenerationChange::Activate => {
                (record.state, record.is_paused, record.drop_ms) = (Active, false, None);
                (record.activated_ms, record.activated_at) = (Some(now_ms), end);
                let before = std::mem::replace(&mut self.active, generation);
                if let Some(before) = self.records.get_mut(&before) {
                    before.state = Kept;
                }
            }
        }
        true
    }
}

fn new_generation_record(home: CollectionRecord, pace: GenerationBuildPace, now_ms: u64) -> GenerationRecord {
    GenerationRecord {
        home,
        state: GenerationState::Building,
        is_paused: false,
        pace,
        cursor: 0,
        log_end: 0,
        prepared: 0,
        failed: 0,
        created_ms: now_ms,
        activated_ms: None,
        activated_at: 0,
        drop_ms: None,
        is_cleared: false,
    }
}

impl MemoryCollection {
    fn is_visible(&self, document_id: &DocumentId, version: Version) -> bool {
        let entry = self.documents.get(document_id).and_then(|history| history.get(&version));
        entry.is_some_and(|entry| entry.state == VersionState::Visible)
    }

    fn failed(&self, generation: GenerationNumber) -> Vec<GenerationBuildFailure> {
        let failures = self.builds.failures.iter();
        let of_generation = failures.filter(|((of, ..), _)| *of == generation);
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
        self.builds.records.values().map(counted).collect()
    }

    fn unprepared(&self, generation: GenerationNumber, after: u64, limit: usize) -> Vec<ChangeLogEntry> {
        let Some(record) = self.builds.records.get(&generation) else { return Vec::new() };
        let lacks = |change: &ChangeLogEntry| {
            let key = &change.task.key;
            let entry = self.documents.get(&key.document_id).and_then(|history| history.get(&key.version));
            !change.task.deletes
                && entry.is_some_and(|entry| !entry.spans.contains_key(&generation))
                && !self.builds.failures.contains_key(&(generation, key.document_id.clone(), key.version))
        };
        let (generation, epoch) = (record.home.generation, record.home.epoch);
        let mine = |change: ChangeLogEntry| ChangeLogEntry {
            task: IngestTask { generation, epoch, ..change.task },
            ..change
        };
        self.changes(after).filter(lacks).take(limit).map(mine).collect()
    }

    fn prepare(&mut self, generation: GenerationNumber, key: &VersionKey, spans: Vec<ChunkSpan>) -> bool {
        let is_live = self.builds.live().any(|home| home.generation == generation);
        if !is_live || !self.is_visible(&key.document_id, key.version) {
            return false;
        }
        let history = self.documents.get_mut(&key.document_id);
        let Some(entry) = history.and_then(|history| history.get_mut(&key.version)) else { return false };
        entry.spans.insert(generation, spans);
        true
    }

    fn clear(&mut self, generation: GenerationNumber) {
        let dropped = self.builds.records.get_mut(&generation);
        let Some(record) = dropped.filter(|record| record.state == GenerationState::Dropped) else {
            return;
        };
        record.is_cleared = true;
        self.builds.failures.retain(|(of, ..), _| *of != generation);
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
        let begun = self.in_room(collection, |room, now_ms| room.builds.begin(pipeline, epoch, pace, now_ms));
        begun.ok_or_else(|| {
            let detail = format!("collection '{}' does not exist", collection.collection);
            Fault::permanent("unknown_collection", detail)
        })
    }

    async fn generations(&self, collection: Option<&CollectionKey>) -> Result<Vec<GenerationRecord>, Fault> {
        let keys = collection.map_or_else(|| self.room_keys(), |key| vec![key.clone()]);
        let records = keys.iter().filter_map(|key| self.in_room(key, |room, _| room.records()));
        Ok(records.flatten().collect())
    }

    async fn change_generation(
        &self,
        collection: &CollectionKey,
        generation: GenerationNumber,
        change: GenerationChange,
    ) -> Result<bool, Fault> {
        let apply = |room: &mut MemoryCollection, now_ms| {
            let end = room.log_position;
            room.builds.apply(generation, change, end, now_ms)
        };
        Ok(self.in_room(collection, apply).unwrap_or(false))
    }

    async fn unprepared(
        &self,
        collection: &CollectionKey,
        generation: GenerationNumber,
        after: u64,
        limit: usize,
    ) -> Result<UnpreparedVersions, Fault> {
        let found = self.in_room(collection, |room, _| UnpreparedVersions {
            changes: room.unprepared(generation, after, limit),
            end: room.log_position,
        });
        Ok(found.unwrap_or(UnpreparedVersions { changes: Vec::new(), end: after }))
    }

    async fn prepared(
        &self,
        generation: GenerationNumber,
        spans: Vec<(VersionKey, Vec<ChunkSpan>)>,
    ) -> Result<Vec<bool>, Fault> {
        let stored = spans.into_iter().map(|(key, spans)| {
            self.in_room(&key.collection_key(), |room, _| room.prepare(generation, &key, spans))
        });
        Ok(stored.map(|stored| stored.unwrap_or(false)).collect())
    }

    async fn fail_preparing(
        &self,
        generation: GenerationNumber,
        failures: Vec<GenerationBuildFailure>,
    ) -> Result<(), Fault> {
        for GenerationBuildFailure { key, reason } in failures {
            self.in_room(&key.collection_key(), |room, _| {
                room.builds.failures.insert((generation, key.document_id.clone(), key.version), reason)
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
        let failed = self.in_room(collection, |room, _| room.failed(generation));
        Ok(failed.into_iter().flatten().take(limit).collect())
    }

    async fn advance_cursor(
        &self,
        collection: &CollectionKey,
        generation: GenerationNumber,
        cursor: u64,
        prepared: u64,
    ) -> Result<(), Fault> {
        self.in_room(collection, |room, _| {
            if let Some(record) = room.builds.records.get_mut(&generation) {
                record.cursor = record.cursor.max(cursor);
                record.prepared += prepared;
            }
        });
        Ok(())
    }

    async fn log_size(&self, collection: &CollectionKey, after: u64) -> Result<ChangeLogSize, Fault> {
        let size = self.in_room(collection, |room, _| ChangeLogSize {
            entries: room.changes(0).count() as u64,
            after: room.changes(after).count() as u64,
        });
        Ok(size.unwrap_or_default())
    }

    async fn clear_dropped(
        &self,
        collection: &CollectionKey,
        generation: GenerationNumber,
        _limit: usize,
    ) -> Result<bool, Fault> {
        self.in_room(collection, |room, _| room.clear(generation));
        Ok(false)
    }
}
