//! An in-process cache of documents that the chunk stage has cut.
//!
//! It only saves work: a stage reads, decodes and checks a missing document from the ledger. A
//! cached document holds the text as it was accepted; the version fence of the index stage still
//! decides whether the version counts. The cache keeps only the newest version of a document, so an
//! overtaken version misses, and the ledger then ends it before it is embedded. The size is bounded in
//! bytes. A full cache rejects new entries, because the stages need the older ones first. Entries
//! that nobody used for [`CACHED_AGE_MAX`] are evicted: another process has their message.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::chunk::NormalisedText;
use crate::domain::chunk::ChunkSpan;
use crate::domain::document::DocumentDescription;
use crate::domain::ids::{CollectionKey, ContentHash, DocumentId, Epoch, Version, VersionKey};
use crate::domain::task::IngestTask;

/// Longest time that a document stays in the cache.
const CACHED_AGE_MAX: Duration = Duration::from_mins(1);
/// Overhead in bytes of a span without its headings, and of a document without its text.
const ENTRY_BYTES: usize = 128;

/// A document version after the chunk stage.
#[derive(Debug)]
pub(super) struct ChunkedDocument {
    pub(super) text: NormalisedText,
    /// The producer's description, with the title found in the text if the producer gave none.
    pub(super) description: DocumentDescription,
    pub(super) spans: Vec<ChunkSpan>,
}

impl ChunkedDocument {
    fn bytes(&self) -> usize {
        let headings = self.spans.iter().flat_map(|span| &span.heading).map(|heading| heading.len() + 24);
        self.text.text.len() + ENTRY_BYTES * (1 + self.spans.len()) + headings.sum::<usize>()
    }
}

/// The cache, bounded in bytes.
#[derive(Debug)]
pub struct ChunkedDocumentCache {
    kept: Mutex<CachedDocuments>,
    bytes_max: usize,
}

#[derive(Debug, Default)]
struct CachedDocuments {
    documents: HashMap<CachedDocumentKey, CachedDocument>,
    /// Keys by time of arrival. An entry may have been removed since.
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
    /// Creates a cache of at most `bytes_max` bytes; 0 disables it.
    pub fn new(bytes_max: usize) -> Self {
        Self { kept: Mutex::default(), bytes_max }
    }

    fn kept(&self) -> MutexGuard<'_, CachedDocuments> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stores a document for later stages, if there is room.
    pub(super) fn keep(&self, task: &IngestTask, document: ChunkedDocument) {
        let (key, version) = (document_key(&task.key), task.key.version);
        let bytes = document.bytes();
        let mut kept = self.kept();
        kept.expire();
        // Messages may arrive out of order; an older version must not replace a newer one.
        if kept.documents.get(&key).is_some_and(|entry| entry.version > version) {
            return;
        }
        // Removed even when the new version does not fit: nobody needs an overtaken one.
        kept.remove(&key);
        if kept.bytes + bytes > self.bytes_max {
            return;
        }
        kept.bytes += bytes;
        kept.arrivals.push_back((Instant::now(), key.clone()));
        let (content_hash, epoch, document) = (task.content_hash, task.epoch, Arc::new(document));
        kept.documents.insert(key, CachedDocument { version, document, content_hash, epoch, bytes });
    }

    /// Returns the document of a task, if it is cached.
    pub(super) fn get(&self, task: &IngestTask) -> Option<Arc<ChunkedDocument>> {
        let kept = self.kept();
        let entry = kept.documents.get(&document_key(&task.key))?;
        // A re-index changes the epoch and perhaps the chunk sizes: a document of another epoch may have
        // other spans.
        let is_same = entry.version == task.key.version
            && entry.content_hash == task.content_hash
            && entry.epoch == task.epoch;
        is_same.then(|| entry.document.clone())
    }

    /// Removes a version that has ended, and older ones.
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
        // Only the old end is trimmed. Stale keys behind it stay until they reach the front, because
        // searching the queue on every removal would make it linear.
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
        let span = ChunkSpan {
            span: TextSpan { start: 0, end: bytes },
            heading: Vec::new(),
            embed_tokens: 1,
            open_fence: None,
        };
        ChunkedDocument {
            text: NormalisedText::new("a".repeat(bytes), TextFormat::Plain),
            description: DocumentDescription::default(),
            spans: vec![span],
        }
    }

    #[test]
    fn a_full_one_keeps_what_it_has() {
        let cache = ChunkedDocumentCache::new(1000);
        cache.keep(&task("a", 1), document(500));
        cache.keep(&task("b", 1), document(500));
        assert!(cache.get(&task("a", 1)).is_some());
        assert!(cache.get(&task("b", 1)).is_none());
        cache.forget(&task("a", 1).key);
        cache.keep(&task("b", 1), document(500));
        assert!(cache.get(&task("b", 1)).is_some());
        cache.keep(&task("b", 1), document(400));
        assert_eq!(cache.get(&task("b", 1)).unwrap().text.text.len(), 400);
        cache.forget(&task("b", 1).key);
        let kept = cache.kept();
        assert_eq!((kept.bytes, kept.documents.len(), kept.arrivals.len()), (0, 0, 0));
    }

    #[test]
    fn a_document_is_for_its_own_content_and_epoch() {
        let cache = ChunkedDocumentCache::new(1000);
        cache.keep(&task("a", 1), document(10));
        assert!(cache.get(&task("a", 2)).is_none());
        let other_epoch = IngestTask { epoch: Epoch::from_slice(&[2; 32]).unwrap(), ..task("a", 1) };
        assert!(cache.get(&other_epoch).is_none());
    }

    #[test]
    fn the_newest_version_of_a_document_stays() {
        let version = |number| {
            let mut task = task("a", 1);
            task.key.version = Version::new(number).unwrap();
            task
        };
        let cache = ChunkedDocumentCache::new(1000);
        cache.keep(&version(2), document(10));
        cache.keep(&version(1), document(10));
        assert!(cache.get(&version(1)).is_none());
        cache.forget(&version(1).key);
        assert!(cache.get(&version(2)).is_some());
        cache.keep(&version(3), document(10));
        assert!(cache.get(&version(2)).is_none());
        cache.forget(&version(4).key);
        assert!(cache.get(&version(3)).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn what_nobody_fetches_makes_room() {
        let cache = ChunkedDocumentCache::new(1000);
        cache.keep(&task("a", 1), document(500));
        tokio::time::advance(CACHED_AGE_MAX + Duration::from_millis(1)).await;
        cache.keep(&task("b", 1), document(500));
        assert!(cache.get(&task("a", 1)).is_none());
        assert!(cache.get(&task("b", 1)).is_some());
    }

    #[test]
    fn nothing_is_kept_without_room() {
        let cache = ChunkedDocumentCache::new(0);
        cache.keep(&task("a", 1), document(1));
        assert!(cache.get(&task("a", 1)).is_none());
    }
}
