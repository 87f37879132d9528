//! Two ranked lists become one.
//!
//! The default, relative scores, adds `0.3 · minmax(cosine)` and `0.7 · BM25 / max(BM25)` over
//! the two lists as they came: Lee, "Analyses of multiple evidence combination" (SIGIR 1997),
//! for normalise-and-add; Bruch et al., "An analysis of fusion functions for hybrid
//! retrieval" (TOIS 2023), for preferring it to ranks. On our sets the weight of the dense leg
//! is flat between 0.3 and 0.5. Reciprocal rank fusion is Cormack et al. (SIGIR 2009).
//!
//! Lists are best first. Of an id that a list names twice the first counts. A score that is
//! not a number counts as none. Equal inputs give equal outputs: ties go by id.

use std::collections::BTreeMap;

use super::request::FusionMethod;
use crate::domain::ids::ChunkId;
use crate::ports::lexical::LexicalHit;
use crate::ports::vectors::DenseHit;

/// Share of each leg in the fused score.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FusionWeights {
    /// Weight of the lexical leg.
    pub lexical: f32,
    /// Weight of the dense leg.
    pub dense: f32,
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

/// Fuses two lists, best first; when one is empty the other keeps its order.
///
/// `relative` are the weights of [`FusionMethod::RelativeScore`].
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

/// Adds normalised scores: BM25 by its maximum, cosine between its minimum and maximum.
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
    let from_bm25 = |score: f32| {
        if highest_bm25 > 0.0 { (finite(score) / highest_bm25).max(0.0) } else { 0.0 }
    };
    let from_cosine = |score: f32| {
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
