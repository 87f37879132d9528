//! Fuses the lexical and the dense list into one, then adds support from neighbouring chunks.
//!
//! Relative scores, the default, add `0.3 · minmax(cosine)` and `0.7 · BM25 / max(BM25)`.
//! Normalise-and-add is Lee, "Analyses of multiple evidence combination" (SIGIR 1997); Bruch et
//! al., "An analysis of fusion functions for hybrid retrieval" (TOIS 2023), prefer it to ranks.
//! On our evaluation sets recall is flat for a dense weight from 0.3 to 0.5. Reciprocal rank
//! fusion is Cormack et al. (SIGIR 2009).
//!
//! Neighbour support: a chunk gets [`NEIGHBOUR_SHARE`] of the fused score of each chunk directly
//! before and after it; the only neighbour of an end chunk counts for both. An answer often crosses a chunk boundary, so a hit next to a hit is more
//! likely right. This is the passage evidence of Callan, "Passage-level evidence in document
//! retrieval" (SIGIR 1994), over the neighbourhood instead of the document, so it works for
//! documents of any length.
//!
//! Lists are best first. If a list names an id twice, the first entry counts. A score that is not
//! finite counts as 0. Equal inputs give equal outputs: ties are broken by id.

use std::collections::{BTreeMap, HashMap};
use std::hash::BuildHasher;
use std::sync::Arc;

use super::request::FusionMethod;
use crate::domain::chunk::Chunk;
use crate::domain::ids::{ChunkId, DocumentId};
use crate::ports::lexical::LexicalHit;
use crate::ports::vectors::DenseHit;

/// Share of a direct neighbour's score; chosen on the evaluation sets of docs/quality.md.
pub const NEIGHBOUR_SHARE: f32 = 0.15;
/// Chunks on either side that belong to the window of a chunk.
const WINDOW_REACH: u32 = 2;
/// Share of the window in a cosine; chosen on the same sets.
const WINDOW_SHARE: f32 = 0.4;

/// Weight of each leg in the fused score.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FusionWeights {
    /// Weight of the lexical leg.
    pub lexical: f32,
    /// Weight of the dense leg.
    pub dense: f32,
}

/// What is left of the dense weight where the model spells the question out: it makes a token of each letter, and its
/// vectors tell little more than which letters there are.
const SPELLED_OUT_DENSE_SHARE: f32 = 1.0 / 3.0;

impl FusionWeights {
    /// The weights for a question in a script that the model does not know.
    #[must_use]
    pub(super) fn with_dense_lowered(self) -> Self {
        let dense = self.dense * SPELLED_OUT_DENSE_SHARE;
        Self { lexical: self.lexical + self.dense - dense, dense }
    }
}

/// The default weights of [`FusionMethod::RelativeScore`]; they add up to 1.
pub const RELATIVE_WEIGHTS: FusionWeights = FusionWeights { lexical: 0.7, dense: 0.3 };

/// A chunk and its fused score.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FusedHit {
    /// The chunk.
    pub id: ChunkId,
    /// Higher is better; within 0 and 1 for relative scores.
    pub score: f32,
}

/// Fuses two lists, best first. If one is empty, the other keeps its order.
///
/// `relative` holds the weights of [`FusionMethod::RelativeScore`].
pub fn fuse_hits(
    lexical: &[LexicalHit],
    dense: &[DenseHit],
    fusion: FusionMethod,
    relative: FusionWeights,
) -> Vec<FusedHit> {
    match fusion {
        FusionMethod::RelativeScore => fuse_relative_scores(lexical, dense, relative),
        FusionMethod::Rrf { k } => {
            fuse_reciprocal_ranks(lexical, dense, k, FusionWeights { lexical: 1.0, dense: 1.0 })
        }
        FusionMethod::WeightedRrf { k, lexical: lexical_weight, dense: dense_weight } => {
            fuse_reciprocal_ranks(
                lexical,
                dense,
                k,
                FusionWeights { lexical: lexical_weight, dense: dense_weight },
            )
        }
    }
}

/// Adds normalised scores: BM25 over its maximum, cosine scaled from minimum and maximum to 0 and 1.
pub fn fuse_relative_scores(
    lexical: &[LexicalHit],
    dense: &[DenseHit],
    weights: FusionWeights,
) -> Vec<FusedHit> {
    let finite = |score: f32| if score.is_finite() { score } else { 0.0 };
    let highest_bm25 = lexical.iter().map(|hit| finite(hit.score)).fold(0.0_f32, f32::max);
    let lowest_cosine = dense.iter().map(|hit| finite(hit.score)).fold(f32::INFINITY, f32::min);
    let highest_cosine = dense.iter().map(|hit| finite(hit.score)).fold(f32::NEG_INFINITY, f32::max);
    let cosine_range = highest_cosine - lowest_cosine;
    // BM25 has a natural zero, so its maximum alone scales it. Cosines of one model lie in a narrow
    // band far from zero; without their minimum they would hardly differ.
    let from_bm25 = |score: f32| {
        if highest_bm25 > 0.0 { (finite(score) / highest_bm25).max(0.0) } else { 0.0 }
    };
    let from_cosine = |score: f32| {
        // One hit, or equal cosines: all of them are the best there is.
        if cosine_range > 0.0 { (finite(score) - lowest_cosine) / cosine_range } else { 1.0 }
    };
    sum_shares(
        lexical.iter().map(|hit| (hit.id, weights.lexical * from_bm25(hit.score))),
        dense.iter().map(|hit| (hit.id, weights.dense * from_cosine(hit.score))),
    )
}

/// Adds `weight / (k + rank)`, with ranks from 1.
pub fn fuse_reciprocal_ranks(
    lexical: &[LexicalHit],
    dense: &[DenseHit],
    k: f32,
    weights: FusionWeights,
) -> Vec<FusedHit> {
    sum_shares(
        lexical.iter().zip(ranks()).map(|(hit, rank)| (hit.id, weights.lexical / (k + rank))),
        dense.iter().zip(ranks()).map(|(hit, rank)| (hit.id, weights.dense / (k + rank))),
    )
}

fn ranks() -> impl Iterator<Item = f32> {
    std::iter::successors(Some(1.0_f32), |rank| Some(rank + 1.0))
}

fn sum_shares(
    lexical: impl Iterator<Item = (ChunkId, f32)>,
    dense: impl Iterator<Item = (ChunkId, f32)>,
) -> Vec<FusedHit> {
    // One slot for each leg: the first share of an id wins, and the sum below adds in a fixed order.
    let mut by_id: BTreeMap<ChunkId, (Option<f32>, Option<f32>)> = BTreeMap::new();
    for (id, share) in lexical {
        by_id.entry(id).or_default().0.get_or_insert(share);
    }
    for (id, share) in dense {
        by_id.entry(id).or_default().1.get_or_insert(share);
    }
    let mut fused: Vec<FusedHit> = by_id
        .into_iter()
        .map(|(id, (first, second))| FusedHit { id, score: first.unwrap_or(0.0) + second.unwrap_or(0.0) })
        .collect();
    // The map yields ids in order and the sort is stable: ties stay ordered by id.
    fused.sort_by(|left, right| right.score.total_cmp(&left.score));
    fused
}

/// Adds each chunk's neighbour support, and scales the sum so that relative scores stay within 0 and 1. Best first,
/// ties by document and place. Ids without a chunk are left out.
pub fn add_neighbour_support<S: BuildHasher>(
    fused: &[FusedHit],
    chunks: &HashMap<ChunkId, Arc<Chunk>, S>,
) -> Vec<FusedHit> {
    let scores: HashMap<(&DocumentId, u32), f32> = fused
        .iter()
        .filter_map(|hit| chunks.get(&hit.id).map(|chunk| ((&chunk.document_id, chunk.ordinal), hit.score)))
        .collect();
    // Support is read from the fused scores, not from supported ones: it reaches one chunk far and the
    // order of the hits does not matter.
    let mut supported: Vec<(FusedHit, &Chunk)> = fused
        .iter()
        .filter_map(|hit| {
            let chunk = chunks.get(&hit.id)?;
            let at = |ordinal: u32| scores.get(&(&chunk.document_id, ordinal)).copied().unwrap_or(0.0);
            let before = chunk.ordinal.checked_sub(1).map(at);
            let after = Some(chunk.ordinal + 1).filter(|next| *next < chunk.chunk_count).map(at);
            // The first and the last chunk have one neighbour, which counts for both.
            let support = match (before, after) {
                (Some(before), Some(after)) => before + after,
                (Some(only), None) | (None, Some(only)) => 2.0 * only,
                (None, None) => 0.0,
            };
            let score = (hit.score + NEIGHBOUR_SHARE * support) / (1.0 + 2.0 * NEIGHBOUR_SHARE);
            Some((FusedHit { id: hit.id, score }, &**chunk))
        })
        .collect();
    let place = |chunk: &Chunk| (chunk.span, chunk.id);
    supported.sort_by(|(left, left_chunk), (right, right_chunk)| {
        let by_score = right.score.total_cmp(&left.score);
        by_score
            .then_with(|| left_chunk.document_id.cmp(&right_chunk.document_id))
            .then_with(|| place(left_chunk).cmp(&place(right_chunk)))
    });
    supported.into_iter().map(|(hit, _)| hit).collect()
}

/// Mixes the cosine of each chunk with the mean over the window of its neighbours. Best first, ties by id.
///
/// The mean is the product of the question's vector with the mean of the window's vectors: a window is ranked without
/// another call of the model. A neighbour that is not among the hits counts as the lowest of them.
pub fn mix_window_cosines<S: BuildHasher>(
    hits: &[DenseHit],
    chunks: &HashMap<ChunkId, Arc<Chunk>, S>,
) -> Vec<DenseHit> {
    let lowest = hits.iter().map(|hit| hit.score).fold(f32::INFINITY, f32::min);
    let scores: HashMap<(&DocumentId, u32), f32> = hits
        .iter()
        .filter_map(|hit| chunks.get(&hit.id).map(|chunk| ((&chunk.document_id, chunk.ordinal), hit.score)))
        .collect();
    let mixed = hits.iter().map(|hit| {
        let Some(chunk) = chunks.get(&hit.id) else { return *hit };
        let first = chunk.ordinal.saturating_sub(WINDOW_REACH);
        let last = chunk.ordinal.saturating_add(WINDOW_REACH).min(chunk.chunk_count.saturating_sub(1));
        let (mut sum, mut count) = (0.0, 0.0);
        for near in first..=last.max(chunk.ordinal) {
            sum += scores.get(&(&chunk.document_id, near)).copied().unwrap_or(lowest);
            count += 1.0;
        }
        DenseHit { score: (1.0 - WINDOW_SHARE) * hit.score + WINDOW_SHARE * sum / count, ..*hit }
    });
    let mut mixed: Vec<DenseHit> = mixed.collect();
    mixed.sort_by(|left, right| right.score.total_cmp(&left.score).then(left.id.cmp(&right.id)));
    mixed
}
