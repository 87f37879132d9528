//! The sweep: deletes vectors of versions that lost against a newer one (promise C10).
//!
//! The ledger keeps losers until they are swept, so a crash only delays the sweep. Vectors have no
//! authority: readers drop vectors that are not in their snapshot. Vectors that a builder staged
//! before it crashed, without storing spans, are found by asking the generations themselves.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::domain::ids::{ChunkId, CollectionKey, DocumentId, GenerationNumber};
use crate::fault::Fault;
use crate::ports::catalog::OpenCollection;
use crate::ports::generations::GenerationState;
use crate::ports::ledger::UnsweptVersion;

use super::StageResources;

/// Most documents of one batch.
const SWEEP_DOCUMENTS_MAX: usize = 256;

/// Deletes the vectors of every unswept loser of these documents.
pub async fn sweep_losers(
    stages: &StageResources,
    documents: &BTreeSet<(CollectionKey, DocumentId)>,
) -> Result<(), Fault> {
    let documents: Vec<_> = documents.iter().cloned().collect();
    for batch in documents.chunks(SWEEP_DOCUMENTS_MAX) {
        let losers = stages.ledger.unswept_versions(batch).await?;
        let mut ids: BTreeMap<(CollectionKey, GenerationNumber), Vec<ChunkId>> = BTreeMap::new();
        for loser in &losers {
            let chunk_ids = (0..loser.chunk_count)
                .map(|ordinal| ChunkId::derive(&loser.epoch, &loser.key, &loser.content_hash, ordinal));
            ids.entry((loser.key.collection_key(), loser.generation)).or_default().extend(chunk_ids);
        }
        for ((collection, generation), ids) in ids {
            if let Some(open) = open_generation(stages, &collection, generation).await? {
                open.vectors.delete(ids).await?;
            }
        }
        // Marked last: until then a crash repeats the deletions, which is safe.
        remove_unrecorded_vectors(stages, &losers).await?;
        let keys: Vec<_> = losers.into_iter().map(|loser| loser.key).collect();
        stages.ledger.mark_swept(&keys).await?;
    }
    Ok(())
}

/// Deletes vectors of losers that a builder staged without storing spans. The ledger does not know them,
/// so the generations that do not serve are asked.
async fn remove_unrecorded_vectors(stages: &StageResources, losers: &[UnsweptVersion]) -> Result<(), Fault> {
    let collections: BTreeSet<CollectionKey> =
        losers.iter().map(|loser| loser.key.collection_key()).collect();
    for collection in collections {
        let records = stages.ledger.generations(Some(&collection)).await?;
        let idle = records
            .into_iter()
            .filter(|record| matches!(record.state, GenerationState::Building | GenerationState::Kept));
        for record in idle {
            let generation = record.home.generation;
            let losers_by = |recorded: bool| {
                let selected =
                    losers.iter().filter(move |loser| (loser.generation == generation) == recorded);
                let ours = selected.filter(|loser| loser.key.collection_key() == collection);
                ours.map(|loser| &loser.key).collect::<BTreeSet<_>>()
            };
            // Losers recorded for this generation were deleted by their chunk ids already.
            let known = losers_by(true);
            let unknown: Vec<_> = losers_by(false).into_iter().filter(|key| !known.contains(*key)).collect();
            if unknown.is_empty() {
                continue;
            }
            let open = stages.catalog.open_generation(&record.home).await?;
            let mut ids = Vec::new();
            for key in unknown {
                let points = open.vectors.ids_of(&key.document_id).await?;
                let of_loser = points.into_iter().filter(|(_, version)| *version == key.version);
                ids.extend(of_loser.map(|(id, _)| id));
            }
            if !ids.is_empty() {
                open.vectors.delete(ids).await?;
            }
        }
    }
    Ok(())
}

/// Opens a generation, whether it serves or not; `None` when it no longer exists.
async fn open_generation(
    stages: &StageResources,
    collection: &CollectionKey,
    generation: GenerationNumber,
) -> Result<Option<Arc<OpenCollection>>, Fault> {
    match stages.catalog.open(collection).await? {
        Some(open) if open.record.generation == generation => Ok(Some(open)),
        None => Ok(None),
        Some(_) => {
            let records = stages.ledger.generations(Some(collection)).await?;
            let Some(record) = records.into_iter().find(|record| record.home.generation == generation) else {
                return Ok(None);
            };
            if record.state == GenerationState::Dropped {
                return Ok(None);
            }
            stages.catalog.open_generation(&record.home).await.map(Some)
        }
    }
}

/// Sweeps losers that a crash left behind; returns how many documents had some.
pub async fn sweep_leftovers(stages: &StageResources) -> Result<usize, Fault> {
    let documents: BTreeSet<_> =
        stages.ledger.unswept_documents(SWEEP_DOCUMENTS_MAX).await?.into_iter().collect();
    sweep_losers(stages, &documents).await?;
    Ok(documents.len())
}
