//! The state of the memory ledger: collections, outbox, dead letters and the embedding cache.

use std::collections::{BTreeMap, HashMap};

use super::collection::{
    MemoryCollection, VersionEntry, VersionHistory, decide_version, is_overtaken, supersede_older_versions,
    unknown_collection,
};
use contexture_core::domain::document::Submission;
use contexture_core::domain::ids::{CollectionKey, EmbeddingKey, GenerationNumber, VersionKey};
use contexture_core::domain::task::IngestTask;
use contexture_core::fault::Fault;
use contexture_core::ports::collection_drops::DroppedGeneration;
use contexture_core::ports::converter::ConvertedText;
use contexture_core::ports::ledger::{
    DeadLetter, EMBEDDING_CACHE_USE_PERIOD_MS, IntakeDecision, SubmissionReceipt, VersionOutcome,
    VersionState, embedding_cache_cost,
};

/// Past the bound, eviction frees this fraction of it in addition.
const EVICTION_SLACK_DIVISOR: u64 = 16;

#[derive(Default)]
pub(super) struct MemoryLedgerState {
    pub(super) collections: BTreeMap<CollectionKey, MemoryCollection>,
    /// Versions to publish, in the order in which they were accepted or replayed.
    pub(super) outbox: BTreeMap<u64, VersionKey>,
    pub(super) dead_letters: BTreeMap<u64, DeadLetter>,
    pub(super) vectors: MemoryEmbeddingCache,
    /// Generations of dropped collections whose stores may be left.
    pub(super) dropped: BTreeMap<(CollectionKey, GenerationNumber), DroppedGeneration>,
    /// The highest generation that dropped collections of a name had.
    pub(super) used_generations: BTreeMap<CollectionKey, GenerationNumber>,
    /// Last number of an outbox entry or a dead letter.
    sequence: u64,
}

impl MemoryLedgerState {
    pub(super) fn history(&self, key: &VersionKey) -> Option<&VersionHistory> {
        self.collections.get(&key.collection_key())?.documents.get(&key.document_id)
    }

    fn history_mut(&mut self, key: &VersionKey) -> Option<&mut VersionHistory> {
        self.collections.get_mut(&key.collection_key())?.documents.get_mut(&key.document_id)
    }

    pub(super) fn entry(&self, key: &VersionKey) -> Option<&VersionEntry> {
        self.history(key)?.get(&key.version)
    }

    pub(super) fn entry_mut(&mut self, key: &VersionKey) -> Option<&mut VersionEntry> {
        self.history_mut(key)?.get_mut(&key.version)
    }

    /// Keeps the first conversion of a version in flight, and returns it.
    pub(super) fn keep_conversion(
        &mut self,
        key: &VersionKey,
        converted: ConvertedText,
    ) -> Option<ConvertedText> {
        let entry = self.entry_mut(key).filter(|entry| !entry.state.is_terminal())?;
        Some(entry.converted.get_or_insert(converted).clone())
    }

    fn next_sequence(&mut self) -> u64 {
        self.sequence += 1;
        self.sequence
    }

    pub(super) fn accept(
        &mut self,
        submission: &Submission,
        now_ms: u64,
    ) -> Result<SubmissionReceipt, Fault> {
        let found = self
            .collections
            .get_mut(submission.collection())
            .ok_or_else(|| unknown_collection(submission))?;
        let history = found.documents.entry(submission.document_id().clone()).or_default();
        let version = match decide_version(history, submission) {
            Ok(version) => version,
            Err((intake, version)) => return Ok(SubmissionReceipt { version, intake, task: None }),
        };
        let key = submission.key(version);
        let entry = VersionEntry::new(submission, now_ms);
        let task = entry.task(key.clone(), found.generations.active());
        history.insert(version, entry);
        let sequence = self.next_sequence();
        self.outbox.insert(sequence, key);
        Ok(SubmissionReceipt { version, intake: IntakeDecision::Accepted, task: Some(task) })
    }

    pub(super) fn finish(&mut self, key: VersionKey, outcome: VersionOutcome, now_ms: u64) {
        // A commit to a dropped collection of that name says nothing about this version.
        if let VersionOutcome::Visible(generation) = &outcome
            && self
                .collections
                .get(&key.collection_key())
                .is_some_and(|found| !found.generations.records.contains_key(generation))
        {
            return;
        }
        let Some(history) = self.history_mut(&key) else { return };
        let overtaken = is_overtaken(history, key.version);
        // Terminal already: a redelivered message repeats its outcome, and nothing may change.
        let Some(entry) = history.get_mut(&key.version).filter(|entry| !entry.state.is_terminal()) else {
            return;
        };
        match outcome {
            // A late version loses to a newer visible one, without ever being visible.
            VersionOutcome::Visible(_) if overtaken => entry.enter(VersionState::Superseded, now_ms),
            VersionOutcome::Visible(generation) => {
                entry.enter(VersionState::Visible, now_ms);
                // Spans of other generations may lack vectors there, and a builder goes by the spans.
                entry.spans.retain(|other, _| *other == generation);
                supersede_older_versions(history, key.version, now_ms);
                if let Some(found) = self.collections.get_mut(&key.collection_key()) {
                    found.append_to_log(&key.document_id);
                }
            }
            VersionOutcome::Superseded => entry.enter(VersionState::Superseded, now_ms),
            VersionOutcome::Dead(stage, reason) => {
                entry.enter(VersionState::Dead, now_ms);
                entry.reason = Some(reason.clone());
                let id = self.next_sequence();
                self.dead_letters.insert(id, DeadLetter { id, key, stage, reason, died_ms: now_ms });
            }
        }
    }

    pub(super) fn replay(&mut self, id: u64, now_ms: u64) -> Option<IngestTask> {
        let key = self.dead_letters.remove(&id)?.key;
        let overtaken = is_overtaken(self.history(&key)?, key.version);
        let home = self.collections.get(&key.collection_key())?.record().clone();
        let entry = self.entry_mut(&key)?;
        entry.enter(if overtaken { VersionState::Superseded } else { VersionState::Accepted }, now_ms);
        entry.reason = None;
        entry.swept = false;
        let task = (!overtaken).then(|| entry.task(key.clone(), &home));
        if task.is_some() {
            // Back into the outbox: the replayed task is published even if the caller never does.
            let sequence = self.next_sequence();
            self.outbox.insert(sequence, key);
        }
        task
    }
}

/// Vectors, and the period of their last use.
#[derive(Default)]
pub(super) struct MemoryEmbeddingCache {
    entries: HashMap<EmbeddingKey, (Vec<f32>, u64)>,
    bytes: u64,
}

impl MemoryEmbeddingCache {
    pub(super) fn get(&mut self, key: &EmbeddingKey, now_ms: u64) -> Option<Vec<f32>> {
        let (vector, used) = self.entries.get_mut(key)?;
        *used = now_ms / EMBEDDING_CACHE_USE_PERIOD_MS;
        Some(vector.clone())
    }

    pub(super) fn insert(&mut self, vectors: Vec<(EmbeddingKey, Vec<f32>)>, bytes_max: u64, now_ms: u64) {
        for (key, vector) in vectors {
            let cost = embedding_cache_cost(&vector);
            if cost <= bytes_max && !self.entries.contains_key(&key) {
                self.entries.insert(key, (vector, now_ms / EMBEDDING_CACHE_USE_PERIOD_MS));
                self.bytes += cost;
            }
        }
        if self.bytes > bytes_max {
            // Down to 15/16 of the bound, so that the next calls do not evict again at once.
            self.evict(bytes_max - bytes_max / EVICTION_SLACK_DIVISOR);
        }
    }

    fn evict(&mut self, bytes_max: u64) {
        let mut oldest: Vec<_> = self.entries.iter().map(|(key, (_, used))| (*used, *key)).collect();
        // By period, then by key, so that the order does not depend on the hash map.
        oldest.sort_unstable();
        for (_, key) in oldest {
            if self.bytes <= bytes_max {
                return;
            }
            if let Some((vector, _)) = self.entries.remove(&key) {
                self.bytes -= embedding_cache_cost(&vector);
            }
        }
    }
}
