//! Support: a chunk gains from its neighbours in the document.
//!
//! What answers a question seldom stands alone: when the chunks before or after were found, too,
//! the passage is more likely right, and a border the chunker drew through it costs less. A
//! chunk gets [`NEIGHBOUR_SHARE`] of each direct neighbour's fused score. This is passage
//! evidence in the sense of Callan, "Passage-level evidence in document retrieval" (SIGIR 1994),
//! with the neighbourhood in place of the document, so it works for documents of any length.

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::sync::Arc;

use super::fuse::FusedHit;
use crate::domain::chunk::Chunk;
use crate::domain::ids::{ChunkId, DocumentId};

/// Share of a direct neighbour's score; chosen on the two evaluation sets of the README.
pub const NEIGHBOUR_SHARE: f32 = 0.25;

/// Adds each chunk's support; best first, ties by id. Ids without a chunk are left out.
pub fn add_neighbour_support<S: BuildHasher>(
    fused: &[FusedHit],
    chunks: &HashMap<ChunkId, Arc<Chunk>, S>,
) -> Vec<FusedHit> {
    let place = |id: &ChunkId| chunks.get(id).map(|chunk| (&chunk.document_id, chunk.ordinal));
    let scores: HashMap<(&DocumentId, u32), f32> =
        fused.iter().filter_map(|hit| Some((place(&hit.id)?, hit.score))).collect();
    let mut supported: Vec<FusedHit> = fused
        .iter()
        .filter_map(|hit| {
            let (document_id, ordinal) = place(&hit.id)?;
            let neighbours = [ordinal.checked_sub(1), ordinal.checked_add(1)];
            let found = neighbours.into_iter().flatten().filter_map(|near| scores.get(&(document_id, near)));
            Some(FusedHit { id: hit.id, score: hit.score + NEIGHBOUR_SHARE * found.sum::<f32>() })
        })
        .collect();
    supported.sort_by(|left, right| right.score.total_cmp(&left.score).then(left.id.cmp(&right.id)));
    supported
}
