//! The generations of one collection: their records, the active one and what failed to build.

use std::collections::BTreeMap;

use crate::ledger_rules::{existing_build, next_generation};
use contexture_core::domain::ids::{DocumentId, Epoch, GenerationNumber, Version};
use contexture_core::fault::FailureReason;
use contexture_core::ports::generations::{
    BeginBuildOutcome, GenerationBuildPace, GenerationChange, GenerationRecord, GenerationState,
};
use contexture_core::ports::ledger::CollectionRecord;

/// The generations of one collection by number. Exactly one is active.
pub(super) struct CollectionGenerations {
    pub(super) records: BTreeMap<GenerationNumber, GenerationRecord>,
    active: GenerationNumber,
    pub(super) failures: BTreeMap<(GenerationNumber, DocumentId, Version), FailureReason>,
}

impl CollectionGenerations {
    pub(super) fn new(home: CollectionRecord, now_ms: u64) -> Self {
        let active = home.generation;
        let first = GenerationRecord {
            state: GenerationState::Active,
            activated_ms: Some(now_ms),
            ..new_generation_record(home, GenerationBuildPace::default(), now_ms)
        };
        Self { records: BTreeMap::from([(active, first)]), active, failures: BTreeMap::new() }
    }

    pub(super) fn active(&self) -> &CollectionRecord {
        &self.records[&self.active].home
    }

    pub(super) fn live(&self) -> impl Iterator<Item = &CollectionRecord> {
        let live = self.records.values().filter(|record| record.state != GenerationState::Dropped);
        live.map(|record| &record.home)
    }

    pub(super) fn begin(
        &mut self,
        pipeline: &str,
        epoch: Epoch,
        pace: GenerationBuildPace,
        now_ms: u64,
    ) -> BeginBuildOutcome {
        if let Some(outcome) = existing_build(self.records.values(), epoch) {
            return outcome;
        }
        let generation = next_generation(self.records.values());
        let key = self.active().key.clone();
        let home = CollectionRecord { key, pipeline: pipeline.to_owned(), generation, epoch };
        let record = new_generation_record(home, pace, now_ms);
        self.records.insert(generation, record.clone());
        BeginBuildOutcome::Started(record)
    }

    pub(super) fn apply(
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
                // The former active generation is kept for a rollback.
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
