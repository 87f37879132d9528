//! A collection of the memory ledger: its documents, each with a history of versions, and its log.

use std::collections::BTreeMap;
use std::ops::Bound;

use bytes::Bytes;

use super::generations::CollectionGenerations;
use super::source_ledger::MemorySource;
use crate::ledger_rules::{count_versions, repeats_latest};
use contexture_core::domain::chunk::ChunkSpan;
use contexture_core::domain::document::{DocumentDescription, Submission};
use contexture_core::domain::ids::{
    CollectionKey, ContentHash, DocumentId, GenerationNumber, Version, VersionKey,
};
use contexture_core::domain::source::SourceName;
use contexture_core::domain::task::{IngestStage, IngestTask};
use contexture_core::domain::version_fence::{FenceDecision, check_version_fence};
use contexture_core::fault::{FailureReason, Fault};
use contexture_core::ports::converter::ConvertedText;
use contexture_core::ports::ledger::{
    ChangeLogEntry, CollectionRecord, DeadLetter, DeadLetterFilter, IntakeDecision, StoredBody,
    UnsweptVersion, VersionCounts, VersionRecord, VersionState,
};

/// The versions of one document.
pub(super) type VersionHistory = BTreeMap<Version, VersionEntry>;

/// One collection and its documents.
pub(super) struct MemoryCollection {
    pub(super) generations: CollectionGenerations,
    pub(super) documents: BTreeMap<DocumentId, VersionHistory>,
    /// Documents by position of their latest change.
    pub(super) log: BTreeMap<u64, DocumentId>,
    pub(super) log_position: u64,
    pub(super) sources: BTreeMap<SourceName, MemorySource>,
}

/// One version.
pub(super) struct VersionEntry {
    pub(super) content_hash: ContentHash,
    pub(super) deletes: bool,
    pub(super) description: DocumentDescription,
    /// None for a delete, and after the sweep.
    pub(super) body: Option<Bytes>,
    pub(super) body_bytes: u64,
    pub(super) converted: Option<ConvertedText>,
    /// By generation.
    pub(super) spans: BTreeMap<GenerationNumber, Vec<ChunkSpan>>,
    pub(super) state: VersionState,
    pub(super) reason: Option<FailureReason>,
    pub(super) swept: bool,
    pub(super) accepted_ms: u64,
    pub(super) updated_ms: u64,
}

impl VersionEntry {
    pub(super) fn new(submission: &Submission, now_ms: u64) -> Self {
        Self {
            content_hash: submission.content_hash(),
            deletes: submission.deletes(),
            description: submission.description().clone(),
            body: (!submission.deletes()).then(|| submission.body().clone()),
            body_bytes: submission.body().len() as u64,
            converted: None,
            spans: BTreeMap::new(),
            state: VersionState::Accepted,
            reason: None,
            swept: false,
            accepted_ms: now_ms,
            updated_ms: now_ms,
        }
    }

    /// Stores the spans of a version in flight.
    pub(super) fn chunk(&mut self, generation: GenerationNumber, spans: Vec<ChunkSpan>, now_ms: u64) {
        if self.state.is_terminal() {
            return;
        }
        self.spans.insert(generation, spans);
        // Chunking again after the embedding must not move it back.
        if self.state == VersionState::Accepted {
            self.enter(VersionState::Chunked, now_ms);
        }
    }

    pub(super) fn enter(&mut self, state: VersionState, now_ms: u64) {
        self.state = state;
        self.updated_ms = now_ms;
    }

    /// Builds its task in a generation of its collection.
    pub(super) fn task(&self, key: VersionKey, home: &CollectionRecord) -> IngestTask {
        IngestTask {
            key,
            generation: home.generation,
            epoch: home.epoch,
            content_hash: self.content_hash,
            deletes: self.deletes,
            body_bytes: self.body_bytes,
            attempt: 0,
            accepted_ms: self.accepted_ms,
            origin: None,
        }
    }

    /// Returns the stage that has to move it on, if any. A delete has no text, so it goes straight to
    /// the index stage.
    pub(super) fn waits_for(&self) -> Option<IngestStage> {
        match self.state {
            VersionState::Accepted if self.deletes => Some(IngestStage::Index),
            VersionState::Accepted => Some(IngestStage::Chunk),
            VersionState::Chunked => Some(IngestStage::Embed),
            VersionState::Embedded => Some(IngestStage::Index),
            VersionState::Visible | VersionState::Superseded | VersionState::Dead => None,
        }
    }

    pub(super) fn is_unswept(&self) -> bool {
        matches!(self.state, VersionState::Superseded | VersionState::Dead) && !self.swept
    }

    pub(super) fn stored_body(&self, overtaken: bool) -> Option<StoredBody> {
        self.body.as_ref().map(|body| StoredBody {
            body: body.to_vec(),
            description: self.description.clone(),
            content_hash: self.content_hash,
            state: self.state,
            overtaken,
            converted: self.converted.clone(),
        })
    }

    pub(super) fn version_record(&self, key: VersionKey, generation: GenerationNumber) -> VersionRecord {
        VersionRecord {
            key,
            state: self.state,
            reason: self.reason.clone(),
            deletes: self.deletes,
            content_hash: self.content_hash,
            body_bytes: self.body_bytes,
            chunk_count: self.chunk_count(generation),
            accepted_ms: self.accepted_ms,
            updated_ms: self.updated_ms,
        }
    }

    pub(super) fn chunk_count(&self, generation: GenerationNumber) -> Option<u32> {
        self.spans.get(&generation).map(|spans| u32::try_from(spans.len()).unwrap_or(u32::MAX))
    }
}

/// The version fence at intake. Returns the version to store, or the refusal and the version that won.
pub(super) fn decide_version(
    history: &VersionHistory,
    submission: &Submission,
) -> Result<Version, (IntakeDecision, Version)> {
    let latest = history.last_key_value().map(|(version, entry)| (*version, entry));
    let Some(version) = submission.version() else {
        return assign_version(latest, submission);
    };
    let head = latest.map(|(latest, entry)| (latest, entry.content_hash));
    match (check_version_fence(head, version, submission.content_hash()), history.get(&version), head) {
        (FenceDecision::Apply, _, _) => Ok(version),
        (FenceDecision::Duplicate, _, _) => Err((IntakeDecision::Duplicate, version)),
        (FenceDecision::Superseded, None, Some((latest, _))) => Err((IntakeDecision::Superseded, latest)),
        // A producer that sends an older version again gets the answer of a repetition.
        (FenceDecision::Superseded, Some(stored), _) if stored.content_hash == submission.content_hash() => {
            Err((IntakeDecision::Duplicate, version))
        }
        (FenceDecision::Superseded | FenceDecision::Conflict, _, _) => {
            Err((IntakeDecision::Conflict, version))
        }
    }
}

/// Assigns the next version where the producer gave none, unless there is nothing to do. No version
/// follows the highest one, so other content conflicts with it.
fn assign_version(
    latest: Option<(Version, &VersionEntry)>,
    submission: &Submission,
) -> Result<Version, (IntakeDecision, Version)> {
    match latest {
        // Deleting what never was is done already, and a tombstone would hide nothing.
        None if submission.deletes() => Err((IntakeDecision::Duplicate, Version::FIRST)),
        None => Ok(Version::FIRST),
        Some((latest, entry))
            if entry.content_hash == submission.content_hash()
                && repeats_latest(entry.state, submission.deletes()) =>
        {
            Err((IntakeDecision::Duplicate, latest))
        }
        Some((latest, _)) => Version::new(latest.get() + 1).map_err(|_| (IntakeDecision::Conflict, latest)),
    }
}

/// Supersedes older visible versions. Those in flight reach their own outcome.
pub(super) fn supersede_older_versions(history: &mut VersionHistory, winner: Version, now_ms: u64) {
    for (_, older) in history.range_mut(..winner) {
        if older.state == VersionState::Visible {
            older.enter(VersionState::Superseded, now_ms);
        }
    }
}

/// The fault of a submission to an unknown collection.
pub(super) fn unknown_collection(submission: &Submission) -> Fault {
    Fault::permanent("unknown_collection", format!("no collection '{}'", submission.collection().collection))
}

/// Whether a dead letter matches a filter.
pub(super) fn matches_dead_letter_filter(filter: &DeadLetterFilter, letter: &DeadLetter) -> bool {
    (filter.ids.is_empty() || filter.ids.contains(&letter.id))
        && filter.after_id.is_none_or(|after| letter.id > after)
        && filter.tenant.as_ref().is_none_or(|tenant| *tenant == letter.key.tenant)
        && filter.collection.as_ref().is_none_or(|collection| *collection == letter.key.collection_key())
        && filter.reason.as_ref().is_none_or(|code| *code == letter.reason.code)
        && filter.stage.is_none_or(|stage| stage == letter.stage)
        && filter.since_ms.is_none_or(|since_ms| letter.died_ms >= since_ms)
}

/// Whether a newer version is visible.
pub(super) fn is_overtaken(history: &VersionHistory, version: Version) -> bool {
    let newer = (Bound::Excluded(version), Bound::Unbounded);
    history.range(newer).any(|(_, entry)| entry.state == VersionState::Visible)
}

impl MemoryCollection {
    /// The collection, and its active generation.
    pub(super) fn record(&self) -> &CollectionRecord {
        self.generations.active()
    }

    /// Lists what to sweep of a superseded or dead version: one entry per live generation with chunks,
    /// or one without chunks.
    pub(super) fn unswept_versions(&self, key: &VersionKey, entry: &VersionEntry) -> Vec<UnsweptVersion> {
        let live =
            self.generations.live().filter_map(|home| Some((home, entry.chunk_count(home.generation)?)));
        let unswept = |(home, chunk_count): (&CollectionRecord, u32)| UnsweptVersion {
            key: key.clone(),
            content_hash: entry.content_hash,
            chunk_count,
            generation: home.generation,
            epoch: home.epoch,
        };
        let all: Vec<UnsweptVersion> = live.map(unswept).collect();
        // The sweep marks what it is told of. Without an entry the version would stay unswept for ever.
        if all.is_empty() { vec![unswept((self.record(), 0))] } else { all }
    }

    /// Moves a document to the end of the log.
    pub(super) fn append_to_log(&mut self, document_id: &DocumentId) {
        // Linear, but a document is logged once; this ledger prefers simple to fast.
        self.log.retain(|_, logged| logged != document_id);
        self.log_position += 1;
        self.log.insert(self.log_position, document_id.clone());
    }

    pub(super) fn changes(&self, after: u64) -> impl Iterator<Item = ChangeLogEntry> {
        self.log.range((Bound::Excluded(after), Bound::Unbounded)).filter_map(|(position, document_id)| {
            let mut versions = self.documents.get(document_id)?.iter();
            let (version, entry) = versions.rfind(|(_, entry)| entry.state == VersionState::Visible)?;
            let task = entry.task(self.key(document_id, *version), self.record());
            Some(ChangeLogEntry { position: *position, task })
        })
    }

    pub(super) fn key(&self, document_id: &DocumentId, version: Version) -> VersionKey {
        let CollectionKey { tenant, collection } = self.record().key.clone();
        VersionKey { tenant, collection, document_id: document_id.clone(), version }
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = (VersionKey, &VersionEntry)> {
        self.documents.iter().flat_map(|(document_id, history)| {
            history.iter().map(|(version, entry)| (self.key(document_id, *version), entry))
        })
    }

    /// Counts from scratch, so that no running total can hide a wrong transition.
    pub(super) fn counts(&self) -> VersionCounts {
        let mut counts = VersionCounts::default();
        for (_, entry) in self.entries() {
            count_versions(&mut counts, entry.state, entry.deletes, 1);
        }
        counts
    }
}
