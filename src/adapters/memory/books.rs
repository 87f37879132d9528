//! What the memory ledger writes down: one history of versions per document.

use std::collections::BTreeMap;
use std::ops::Bound;

use bytes::Bytes;

use super::builds::Builds;
use crate::domain::chunk::ChunkSpan;
use crate::domain::document::{Description, Submission};
use crate::domain::fence::{Verdict, decide};
use crate::domain::ids::{CollectionKey, ContentHash, DocumentId, Generation, Version, VersionKey};
use crate::domain::task::{Stage, Task};
use crate::fault::{Fault, Reason};
use crate::ports::ledger::{
    Change, CollectionRecord, Counts, DeadFilter, DeadLetter, Intake, Loser, State, StoredBody, VersionRecord,
};

/// The versions of one document.
pub(super) type History = BTreeMap<Version, Entry>;

/// One collection and its documents.
pub(super) struct Room {
    pub(super) builds: Builds,
    pub(super) documents: BTreeMap<DocumentId, History>,
    /// Documents by the position of their last change.
    pub(super) log: BTreeMap<u64, DocumentId>,
    pub(super) log_position: u64,
}

/// One version.
pub(super) struct Entry {
    pub(super) content_hash: ContentHash,
    pub(super) deletes: bool,
    pub(super) description: Description,
    /// None for a delete, and once it was swept.
    pub(super) body: Option<Bytes>,
    pub(super) body_bytes: u64,
    /// By generation.
    pub(super) spans: BTreeMap<Generation, Vec<ChunkSpan>>,
    pub(super) state: State,
    pub(super) reason: Option<Reason>,
    pub(super) swept: bool,
    pub(super) accepted_ms: u64,
    pub(super) updated_ms: u64,
}

impl Entry {
    pub(super) fn new(submission: &Submission, now_ms: u64) -> Self {
        Self {
            content_hash: submission.content_hash(),
            deletes: submission.deletes(),
            description: submission.description().clone(),
            body: (!submission.deletes()).then(|| submission.body().clone()),
            body_bytes: submission.body().len() as u64,
            spans: BTreeMap::new(),
            state: State::Accepted,
            reason: None,
            swept: false,
            accepted_ms: now_ms,
            updated_ms: now_ms,
        }
    }

    /// Keeps the spans of a version in flight.
    pub(super) fn chunk(&mut self, generation: Generation, spans: Vec<ChunkSpan>, now_ms: u64) {
        if self.state.is_terminal() {
            return;
        }
        self.spans.insert(generation, spans);
        if self.state == State::Accepted {
            self.enter(State::Chunked, now_ms);
        }
    }

    pub(super) fn enter(&mut self, state: State, now_ms: u64) {
        self.state = state;
        self.updated_ms = now_ms;
    }

    /// Its task in a generation of its collection.
    pub(super) fn task(&self, key: VersionKey, home: &CollectionRecord) -> Task {
        Task {
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

    /// The stage that has to move it on; none when nothing has to. A delete has no text, so
    /// it goes straight to the index.
    pub(super) fn waits_for(&self) -> Option<Stage> {
        match self.state {
            State::Accepted if self.deletes => Some(Stage::Index),
            State::Accepted => Some(Stage::Chunk),
            State::Chunked => Some(Stage::Embed),
            State::Embedded => Some(Stage::Index),
            State::Visible | State::Superseded | State::Dead => None,
        }
    }

    pub(super) fn is_unswept_loser(&self) -> bool {
        matches!(self.state, State::Superseded | State::Dead) && !self.swept
    }

    pub(super) fn stored_body(&self, overtaken: bool) -> Option<StoredBody> {
        self.body.as_ref().map(|body| StoredBody {
            body: body.to_vec(),
            description: self.description.clone(),
            content_hash: self.content_hash,
            state: self.state,
            overtaken,
        })
    }

    pub(super) fn version_record(&self, key: VersionKey, generation: Generation) -> VersionRecord {
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

    pub(super) fn chunk_count(&self, generation: Generation) -> Option<u32> {
        self.spans.get(&generation).map(|spans| u32::try_from(spans.len()).unwrap_or(u32::MAX))
    }
}

/// The version fence at intake: the version to store under, or why not and which version won.
pub(super) fn judge(history: &History, submission: &Submission) -> Result<Version, (Intake, Version)> {
    let latest = history.last_key_value().map(|(version, entry)| (*version, entry));
    let Some(version) = submission.version() else {
        return assign(latest, submission);
    };
    let head = latest.map(|(latest, entry)| (latest, entry.content_hash));
    match (decide(head, version, submission.content_hash()), history.get(&version), head) {
        (Verdict::Apply, _, _) => Ok(version),
        (Verdict::Duplicate, _, _) => Err((Intake::Duplicate, version)),
        (Verdict::Superseded, None, Some((latest, _))) => Err((Intake::Superseded, latest)),
        (Verdict::Superseded, Some(stored), _) if stored.content_hash == submission.content_hash() => {
            Err((Intake::Duplicate, version))
        }
        (Verdict::Superseded | Verdict::Conflict, _, _) => Err((Intake::Conflict, version)),
    }
}

/// Without a producer's version: the next one, unless there is nothing to do. There is none
/// after the highest possible version, so other content conflicts with it.
fn assign(latest: Option<(Version, &Entry)>, submission: &Submission) -> Result<Version, (Intake, Version)> {
    match latest {
        None if submission.deletes() => Err((Intake::Duplicate, Version::FIRST)),
        None => Ok(Version::FIRST),
        Some((latest, entry))
            if entry.content_hash == submission.content_hash() && entry.state != State::Dead =>
        {
            Err((Intake::Duplicate, latest))
        }
        Some((latest, _)) => Version::new(latest.get() + 1).map_err(|_| (Intake::Conflict, latest)),
    }
}

/// What served before stops serving. Versions still on their way meet their own end.
pub(super) fn supersede_older(history: &mut History, winner: Version, now_ms: u64) {
    for (_, older) in history.range_mut(..winner) {
        if older.state == State::Visible {
            older.enter(State::Superseded, now_ms);
        }
    }
}

/// The fault of a submission to nowhere.
pub(super) fn unknown_collection(submission: &Submission) -> Fault {
    Fault::permanent("unknown_collection", format!("no collection '{}'", submission.collection().collection))
}

/// Whether a dead letter is one of those asked for.
pub(super) fn admits(filter: &DeadFilter, letter: &DeadLetter) -> bool {
    (filter.ids.is_empty() || filter.ids.contains(&letter.id))
        && filter.collection.as_ref().is_none_or(|collection| *collection == letter.key.collection_key())
        && filter.reason.as_ref().is_none_or(|code| *code == letter.reason.code)
        && filter.stage.is_none_or(|stage| stage == letter.stage)
        && filter.since_ms.is_none_or(|since_ms| letter.died_ms >= since_ms)
}

/// Whether a newer version is visible.
pub(super) fn is_overtaken(history: &History, version: Version) -> bool {
    let newer = (Bound::Excluded(version), Bound::Unbounded);
    history.range(newer).any(|(_, entry)| entry.state == State::Visible)
}

impl Room {
    /// The collection, and its active generation.
    pub(super) fn record(&self) -> &CollectionRecord {
        self.builds.active()
    }

    /// What is to be swept of a version that lost: per live generation with chunks, or once.
    pub(super) fn losers(&self, key: &VersionKey, entry: &Entry) -> Vec<Loser> {
        let live = self.builds.live().filter_map(|home| Some((home, entry.chunk_count(home.generation)?)));
        let loser = |(home, chunk_count): (&CollectionRecord, u32)| Loser {
            key: key.clone(),
            content_hash: entry.content_hash,
            chunk_count,
            generation: home.generation,
            epoch: home.epoch,
        };
        let losers: Vec<Loser> = live.map(loser).collect();
        if losers.is_empty() { vec![loser((self.record(), 0))] } else { losers }
    }

    /// Moves a document to the end of the log.
    pub(super) fn append_to_log(&mut self, document_id: &DocumentId) {
        self.log.retain(|_, logged| logged != document_id);
        self.log_position += 1;
        self.log.insert(self.log_position, document_id.clone());
    }

    pub(super) fn changes(&self, after: u64) -> impl Iterator<Item = Change> {
        self.log.range((Bound::Excluded(after), Bound::Unbounded)).filter_map(|(position, document_id)| {
            let mut versions = self.documents.get(document_id)?.iter();
            let (version, entry) = versions.rfind(|(_, entry)| entry.state == State::Visible)?;
            let task = entry.task(self.key(document_id, *version), self.record());
            Some(Change { position: *position, task })
        })
    }

    pub(super) fn key(&self, document_id: &DocumentId, version: Version) -> VersionKey {
        let CollectionKey { tenant, collection } = self.record().key.clone();
        VersionKey { tenant, collection, document_id: document_id.clone(), version }
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = (VersionKey, &Entry)> {
        self.documents.iter().flat_map(|(document_id, history)| {
            history.iter().map(|(version, entry)| (self.key(document_id, *version), entry))
        })
    }

    /// Counts from scratch, so that no running total can hide a wrong move.
    pub(super) fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for (_, entry) in self.entries() {
            counts.accepted += 1;
            match entry.state {
                State::Accepted | State::Chunked | State::Embedded => counts.in_flight += 1,
                State::Visible => {
                    counts.visible += 1;
                    counts.documents += u64::from(!entry.deletes);
                }
                State::Superseded => counts.superseded += 1,
                State::Dead => counts.dead += 1,
            }
        }
        counts
    }
}
