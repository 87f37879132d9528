//! Documents that the chunk stage has cut, kept for the later stages of the same process.
//!
//! A saving and nothing else: what is not here is read from the ledger, decoded and checked
//! again. A stage that finds a document here takes the text as it was accepted; whether its
//! version still counts is decided by the fence of the index stage, as ever. Of a document only the
//! newest version stays, so that an overtaken one is looked up and costs no embedding. Bounded in
//! bytes: when it is full, what comes stays out, because what is here is needed first. What nobody
//! has fetched for [`CACHED_AGE_MAX`] goes: another process has its message.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::chunk::NormalisedText;
use crate::domain::chunk::ChunkSpan;
use crate::domain::document::DocumentDescription;
use crate::domain::ids::{CollectionKey, ContentHash, DocumentId, Epoch, Version, VersionKey};
use crate::domain::task::IngestTask;

/// How long a document is kept for a later stage.
const CACHED_AGE_MAX: Duration = Duration::from_mins(1);
/// What a span costs besides its headings, and a document besides its texts, in bytes.
const ENTRY_BYTES: usize = 128;

/// A document version as the chunk stage cut it.
#[derive(Debug)]
pub(super) struct ChunkedDocument {
    pub(super) text: NormalisedText,
    /// With the title found in the text, if the producer gave none.
    pub(super) description: DocumentDescription,
    pub(super) spans: Vec<ChunkSpan>,
}

impl ChunkedDocument {
    fn bytes(&self) -> usize {
        let headings = self.spans.iter().flat_map(|span| &span.heading).map(|heading| heading.len() + 24);
        self.text.text.len() + ENTRY_BYTES * (1 + self.spans.len()) + headings.sum::<usize>()
    }
}

/// What is kept, up to a bound in bytes.
#[derive(Debug)]
pub struct ChunkedDocumentCache {
    kept: Mutex<CachedDocuments>,
    bytes_max: usize,
}

#[derive(Debug, Default)]
struct CachedDocuments {
    documents: HashMap<CachedDocumentKey, CachedDocument>,
    /// In the order they came; an entry may be gone by now.
    arrivals: VecDeque<(Instant, CachedDocumentKey)>,
    bytes: usize,
}

type CachedDocumentKey = (CollectionKey, DocumentId);

#[derive(Debug)]
struct CachedDocument {
    version: Version,
    document: Arc<ChunkedDocument>,
    content_hash: ContentHash,
    epoch: Epoch,
    bytes: usize,
}

impl ChunkedDocumentCache {
    /// Keeps at most `bytes_max`; 0 keeps nothing.
    pub fn new(bytes_max: usize) -> Self {
        Self { kept: Mutex::default(), bytes_max }
    }

    fn kept(&self) -> MutexGuard<'_, CachedDocuments> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a document for the stages after this one, if there is room.
    pub(super) fn keep(&self, task: &IngestTask, document: ChunkedDocument) {
        let (key, version) = (document_key(&task.key), task.key.version);
        let bytes = document.bytes();
        let mut kept = self.kept();
        kept.expire();
        if kept.documents.get(&key).is_some_and(|entry| entry.version > version) {
            return;
        }
        kept.remove(&key);
        if kept.bytes + bytes > self.bytes_max {
            return;
        }
        kept.bytes += bytes;
        kept.arrivals.push_back((Instant::now(), key.clone()));
        let (content_hash, epoch, document) = (task.content_hash, task.epoch, Arc::new(document));
        kept.documents.insert(key, CachedDocument { version, document, content_hash, epoch, bytes });
    }

    /// A task's document, if it is here.
    pub(super) fn get(&self, task: &IngestTask) -> Option<Arc<ChunkedDocument>> {
        let kept = self.kept();
        let entry = kept.documents.get(&document_key(&task.key))?;
        let is_it = entry.version == task.key.version
            && entry.content_hash == task.content_hash
            && entry.epoch == task.epoch;
        is_it.then(|| entry.document.clone())
    }

    /// Lets go of a version that has ended, and of older ones.
    pub(super) fn forget(&self, key: &VersionKey) {
        let mut kept = self.kept();
        let document = document_key(key);
        if kept.documents.get(&document).is_some_and(|entry| entry.version <= key.version) {
            kept.remove(&document);
        }
    }
}

fn document_key(key: &VersionKey) -> CachedDocumentKey {
    (key.collection_key(), key.document_id.clone())
}

impl CachedDocuments {
    fn remove(&mut self, key: &CachedDocumentKey) {
        if let Some(entry) = self.documents.remove(key) {
            self.bytes -= entry.bytes;
        }
        // The list of arrivals is shortened where it is looked at: at its old end.
        while self.arrivals.front().is_some_and(|(_, key)| !self.documents.contains_key(key)) {
            self.arrivals.pop_front();
        }
    }

    fn expire(&mut self) {
        while let Some((came, key)) = self.arrivals.front()
            && came.elapsed() > CACHED_AGE_MAX
        {
            let key = key.clone();
            self.arrivals.pop_front();
            self.remove(&key);
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails where one does")]
mod tests {
    use super::*;
    use crate::domain::chunk::TextSpan;
    use crate::domain::ids::{CollectionId, TenantId};
    use crate::ingest::chunk::TextFormat;

    fn task(id: &str, content: u8) -> IngestTask {
        IngestTask {
            key: VersionKey {
                tenant: TenantId::new("t").unwrap(),
                collection: CollectionId::new("c").unwrap(),
                document_id: DocumentId::new(id).unwrap(),
                version: Version::new(1).unwrap(),
            },
            generation: 1,
            epoch: Epoch::from_slice(&[1; 32]).unwrap(),
            content_hash: ContentHash::from_slice(&[content; 32]).unwrap(),
            deletes: false,
            body_bytes: 0,
            attempt: 0,
            accepted_ms: 0,
            origin: None,
        }
    }

    fn document(bytes: usize) -> ChunkedDocument {
        let span =
            ChunkSpan { span: TextSpan { start: 0, end: bytes }, heading: Vec::new(), embed_tokens: 1 };
        ChunkedDocument {
            text: NormalisedText { text: "a".repeat(bytes), format: TextFormat::Plain, title: None },
            description: DocumentDescription::default(),
            spans: vec![span],
        }
    }

    #[test]
    fn a_full_one_keeps_what_it_has() {
        let handover = ChunkedDocumentCache::new(1000);
        handover.keep(&task("a", 1), document(500));
        handover.keep(&task("b", 1), document(500));
        assert!(handover.get(&task("a", 1)).is_some());
        assert!(handover.get(&task("b", 1)).is_none());
        handover.forget(&task("a", 1).key);
        handover.keep(&task("b", 1), document(500));
        assert!(handover.get(&task("b", 1)).is_some());
        handover.keep(&task("b", 1), document(400));
        assert_eq!(handover.get(&task("b", 1)).unwrap().text.text.len(), 400);
        handover.forget(&task("b", 1).key);
        let kept = handover.kept();
        assert_eq!((kept.bytes, kept.documents.len(), kept.arrivals.len()), (0, 0, 0));
    }

    #[test]
    fn a_document_is_for_its_own_content_and_epoch() {
        let handover = ChunkedDocumentCache::new(1000);
        handover.keep(&task("a", 1), document(10));
        assert!(handover.get(&task("a", 2)).is_none());
        let other_epoch = IngestTask { epoch: Epoch::from_slice(&[2; 32]).unwrap(), ..task("a", 1) };
        assert!(handover.get(&other_epoch).is_none());
    }

    #[test]
    fn the_newest_version_of_a_document_stays() {
        let version = |number| {
            let mut task = task("a", 1);
            task.key.version = Version::new(number).unwrap();
            task
        };
        let handover = ChunkedDocumentCache::new(1000);
        handover.keep(&version(2), document(10));
        handover.keep(&version(1), document(10));
        assert!(handover.get(&version(1)).is_none());
        handover.forget(&version(1).key);
        assert!(handover.get(&version(2)).is_some());
        handover.keep(&version(3), document(10));
        assert!(handover.get(&version(2)).is_none());
        handover.forget(&version(4).key);
        assert!(handover.get(&version(3)).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn what_nobody_fetches_makes_room() {
        let handover = ChunkedDocumentCache::new(1000);
        handover.keep(&task("a", 1), document(500));
        tokio::time::advance(CACHED_AGE_MAX + Duration::from_millis(1)).await;
        handover.keep(&task("b", 1), document(500));
        assert!(handover.get(&task("a", 1)).is_none());
        assert!(handover.get(&task("b", 1)).is_some());
    }

    #[test]
    fn nothing_is_kept_without_room() {
        let handover = ChunkedDocumentCache::new(0);
        handover.keep(&task("a", 1), document(1));
        assert!(handover.get(&task("a", 1)).is_none());
    }
}
