//! The sweep: vectors of versions that lost are removed (promise C10).
//!
//! The ledger keeps losers until they are swept, so a crash in between only delays it. Vectors
//! carry no authority: until the sweep a reader drops them, because they are not in its snapshot.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::ids::{ChunkId, CollectionKey, DocumentId};
use crate::fault::Fault;

use super::Stages;

/// Documents swept at once.
const DOCUMENTS_MAX: usize = 256;

/// Removes the vectors of every unswept loser of these documents.
pub async fn run(stages: &Stages, documents: &BTreeSet<(CollectionKey, DocumentId)>) -> Result<(), Fault> {
    let documents: Vec<_> = documents.iter().cloned().collect();
    for batch in documents.chunks(DOCUMENTS_MAX) {
        let losers = stages.ledger.losers(batch).await?;
        let mut ids: BTreeMap<CollectionKey, Vec<ChunkId>> = BTreeMap::new();
        for loser in &losers {
            let chunk_ids = (0..loser.chunk_count)
                .map(|ordinal| ChunkId::derive(&loser.epoch, &loser.key, &loser.content_hash, ordinal));
            ids.entry(loser.key.collection_key()).or_default().extend(chunk_ids);
        }
        for (collection, ids) in ids {
            if let Some(open) = stages.catalog.open(&collection).await? {
                open.vectors.delete(ids).await?;
            }
        }
        let keys: Vec<_> = losers.into_iter().map(|loser| loser.key).collect();
        stages.ledger.mark_swept(&keys).await?;
    }
    Ok(())
}

/// Sweeps whatever a crash left behind; returns how many documents had losers.
pub async fn run_leftovers(stages: &Stages) -> Result<usize, Fault> {
    let documents: BTreeSet<_> = stages.ledger.unswept(DOCUMENTS_MAX).await?.into_iter().collect();
    run(stages, &documents).await?;
    Ok(documents.len())
}
