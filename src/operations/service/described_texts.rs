//! What documents say about themselves, such as front matter: the index has it, the ledger only what producers said.
//!
//! The first chunk of a visible version has its whole description. Where the index lacks it, or cannot be read, the
//! producer's words stay. They stay, too, for who may know of a document and not read its text. Where a filter decides,
//! the description must be there: a condition such as `not exists(draft)` would hold of whatever is not known. So
//! filters wait at most [`READY_WAIT`] for a replica that has not read the collection, and do not select a visible
//! document that the index lacks.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::StoreOperations;
use super::document_views::DocumentReader;
use contexture_core::context::retrieve::await_snapshot;
use contexture_core::domain::ids::{ChunkId, CollectionKey, Epoch};
use contexture_core::fault::{Fault, Refusal};
use contexture_core::ports::document_ledger::DocumentRecord;
use contexture_core::ports::lexical::LexicalSnapshot;

/// Longest wait for an index, where a filter decides.
const READY_WAIT: Duration = Duration::from_secs(10);

/// The descriptions of a collection's visible documents, of one snapshot.
pub(super) struct DescribedTexts {
    /// With the epoch of its chunks; none where the index cannot be read.
    snapshot: Option<(Arc<dyn LexicalSnapshot>, Epoch)>,
    /// Whether a filter decides.
    decide: bool,
}

impl StoreOperations {
    /// The descriptions of a collection; where a filter decides, of all that is visible.
    pub(super) async fn described_texts(
        &self,
        collection: &CollectionKey,
        decide: bool,
    ) -> Result<DescribedTexts, Refusal> {
        let snapshot = match self.pinned_descriptions(collection, decide).await {
            Ok(pinned) => Some(pinned),
            Err(refusal) if decide => return Err(refusal),
            Err(refusal) => {
                tracing::warn!(collection = %collection.collection, %refusal, "documents are described by their producers only");
                None
            }
        };
        Ok(DescribedTexts { snapshot, decide })
    }

    async fn pinned_descriptions(
        &self,
        collection: &CollectionKey,
        decide: bool,
    ) -> Result<(Arc<dyn LexicalSnapshot>, Epoch), Refusal> {
        let open = self.stages.catalog.open(collection).await?;
        let open =
            open.ok_or_else(|| Fault::transient("a collection is gone that was there a moment ago"))?;
        let snapshot = if decide {
            await_snapshot(&open, &[], Instant::now() + READY_WAIT).await?
        } else {
            open.lexical()?.snapshot()
        };
        Ok((snapshot, open.record.epoch))
    }
}

impl DescribedTexts {
    /// Replaces the descriptions of visible documents that the caller may read by what the index has of them.
    pub(super) async fn describe(
        &self,
        reader: &DocumentReader,
        mut documents: Vec<DocumentRecord>,
    ) -> Result<Vec<DocumentRecord>, Refusal> {
        let Some((snapshot, epoch)) = self.snapshot.clone() else { return Ok(documents) };
        let first_chunk = |document: &DocumentRecord| {
            let visible =
                document.visible.as_ref().filter(|visible| !visible.deletes && reader.reads(document))?;
            Some(ChunkId::derive(&epoch, &visible.key, &visible.content_hash, 0))
        };
        let wanted: Vec<Option<ChunkId>> = documents.iter().map(first_chunk).collect();
        let ids: Vec<ChunkId> = wanted.iter().copied().flatten().collect();
        // Memory-mapped files are read here, which can block.
        let chunks = tokio::task::spawn_blocking(move || snapshot.chunks(&ids))
            .await
            .map_err(|error| Fault::transient_error("reading descriptions", error))??;
        let mut chunks = chunks.into_iter();
        let mut is_known = Vec::with_capacity(documents.len());
        for (document, id) in documents.iter_mut().zip(wanted) {
            let chunk = id.and_then(|_| chunks.next().flatten());
            is_known.push(id.is_none() || chunk.is_some());
            if let Some(chunk) = chunk {
                document.description = Some(chunk.description.clone());
            }
        }
        if self.decide {
            let mut is_known = is_known.into_iter();
            documents.retain(|_| is_known.next() == Some(true));
        }
        Ok(documents)
    }
}
