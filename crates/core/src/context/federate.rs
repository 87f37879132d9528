//! Several collections in one ranking.
//!
//! Each collection is retrieved and fused for itself, from its own snapshot, with its own model, filter and
//! access control. Raw scores of different collections are not comparable: BM25 depends on how rare a word is
//! in the collection, and cosines on the model. Fused scores are normalised within each list (relative scores:
//! the best of a leg gets the leg's whole weight; rank fusion: the rank alone counts), so they are taken as
//! they are, times the collection's weight, and sorted into one list. That is the weighted merging of result
//! lists of Callan, "Distributed information retrieval" (2000), with the caller's weights instead of estimates.
//!
//! Normalised scores cannot tell that a collection has nothing on the question. Two later steps can, since they
//! read all candidates together: the reranker, and the question's terms in assembly, where a term's weight
//! comes from all candidates. Both are multiplied by the weights, too. The heaviest collection counts 1, so
//! only the proportions of weights matter. The terms are analysed as the first collection analyses them.
//!
//! The best `2 · top_k` of the merged list are candidates, as many as both legs of one collection can yield.
//! A list of one collection gives the answer of that collection, which then names it.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use super::answer::{AnswerDegradation, CandidateTrace, Passage};
use super::assemble::{CandidateSource, ContextCandidate};
use super::request::WeightedCollection;
use crate::domain::ids::CollectionId;
use crate::ports::catalog::OpenCollection;
use crate::ports::lexical::{LexicalSnapshot, QuestionTerms};

/// Legs of retrieval: each yields at most `top_k` candidates.
pub(super) const LEGS: usize = 2;
/// Lowest weight beside the heaviest collection. Below, scores would get lost in rounding.
const WEIGHT_SHARE_MIN: f64 = 1e-9;

/// A collection of a query: open, and read from one snapshot.
pub(super) struct PinnedCollection {
    pub(super) open: Arc<OpenCollection>,
    pub(super) snapshot: Arc<dyn LexicalSnapshot>,
    /// What its candidates are marked with; none if the query has only one collection.
    pub(super) source: Option<Arc<CandidateSource>>,
    /// Number of the first collection of the query with the same model.
    pub(super) model: usize,
}

impl PinnedCollection {
    /// Its name beside other collections.
    pub(super) fn name(&self) -> Option<&str> {
        self.source.as_ref().map(|source| source.collection.as_str())
    }
}

/// The ranked candidates of one collection, or of several merged ones.
pub(super) struct RankedCollection {
    pub(super) candidates: Vec<ContextCandidate>,
    pub(super) terms: Option<Arc<dyn QuestionTerms>>,
    pub(super) dropped: Vec<CandidateTrace>,
    pub(super) degraded: Vec<AnswerDegradation>,
    /// Candidates of the first ranking; those behind them a deeper one added.
    pub(super) first: usize,
    /// How long fusion took.
    pub(super) fuse: Duration,
}

/// What the candidates of each collection are marked with; nothing if there is only one.
pub(super) fn candidate_sources(collections: &[WeightedCollection]) -> Vec<Option<Arc<CandidateSource>>> {
    let heaviest = collections.iter().map(|one| one.weight).fold(0.0, f64::max);
    let source = |one: &WeightedCollection| CandidateSource {
        collection: one.key.collection.clone(),
        weight: (one.weight / heaviest).max(WEIGHT_SHARE_MIN),
    };
    if collections.len() < 2 {
        return vec![None];
    }
    collections.iter().map(|one| Some(Arc::new(source(one)))).collect()
}

/// For each collection the number of the first with the same model, so that a question is embedded once.
pub(super) fn number_models(open: &[Arc<OpenCollection>]) -> Vec<usize> {
    let same =
        |one: &Arc<OpenCollection>, other: &Arc<OpenCollection>| Arc::ptr_eq(&one.embedder, &other.embedder);
    open.iter().map(|one| open.iter().position(|other| same(one, other)).unwrap_or(0)).collect()
}

/// Merges the lists of several collections, which come in the order of `pinned`. A single list stays as it is.
pub(super) fn merge_collections(
    mut lists: Vec<RankedCollection>,
    pinned: &[PinnedCollection],
    top_k: usize,
) -> RankedCollection {
    if lists.len() == 1
        && let Some(only) = lists.pop()
    {
        return only;
    }
    let mut merged = RankedCollection {
        candidates: Vec::new(),
        terms: None,
        dropped: Vec::new(),
        degraded: Vec::new(),
        first: 0,
        fuse: Duration::ZERO,
    };
    for (mut list, PinnedCollection { source, .. }) in lists.into_iter().zip(pinned) {
        if let Some(source) = source {
            for candidate in &mut list.candidates {
                candidate.score = weighted_score(candidate.score, source.weight);
                candidate.source = Some(Arc::clone(source));
            }
            name_traces(&mut list.dropped, &source.collection);
        }
        merged.candidates.append(&mut list.candidates);
        merged.terms = merged.terms.or(list.terms);
        merged.dropped.append(&mut list.dropped);
        merged.degraded.append(&mut list.degraded);
        merged.fuse += list.fuse;
    }
    merged.candidates.sort_by(|left, right| {
        let by_score = right.score.total_cmp(&left.score);
        by_score.then_with(|| (left.collection(), left.chunk.id).cmp(&(right.collection(), right.chunk.id)))
    });
    merged.candidates.truncate(LEGS * top_k);
    merged.first = merged.candidates.len();
    merged
}

/// Adds what a deeper ranking found and the first one did not, in its order, below the lowest score of the first.
pub(super) fn append_below(ranked: &mut RankedCollection, deeper: RankedCollection) {
    let key = |candidate: &ContextCandidate| (candidate.collection().cloned(), candidate.chunk.id);
    let known: HashSet<_> = ranked.candidates.iter().map(key).collect();
    let lowest = ranked.candidates.last().map_or(f32::INFINITY, |candidate| candidate.score);
    for mut candidate in deeper.candidates {
        if !known.contains(&key(&candidate)) {
            candidate.score = candidate.score.min(lowest);
            ranked.candidates.push(candidate);
        }
    }
    let traced: HashSet<_> = ranked.dropped.iter().map(|trace| trace.chunk_id).collect();
    ranked.dropped.extend(deeper.dropped.into_iter().filter(|trace| !traced.contains(&trace.chunk_id)));
    ranked.degraded.extend(deeper.degraded);
    ranked.fuse += deeper.fuse;
}

#[expect(clippy::cast_possible_truncation, reason = "scores are single precision")]
pub(super) fn weighted_score(score: f32, weight: f64) -> f32 {
    (f64::from(score) * weight) as f32
}

/// The highest number of a snapshot, and the number of each if there are several.
pub(super) fn snapshot_numbers(pinned: &[PinnedCollection]) -> (u64, BTreeMap<CollectionId, u64>) {
    let highest = pinned.iter().map(|one| one.snapshot.id()).max().unwrap_or(0);
    let named = pinned.iter().filter_map(|one| {
        let source = one.source.as_ref()?;
        Some((source.collection.clone(), one.snapshot.id()))
    });
    (highest, named.collect())
}

/// Names the collection of passages and of what they cite.
pub(super) fn name_passages(passages: &mut [Passage], collection: &CollectionId) {
    for passage in passages {
        passage.collection = Some(collection.clone());
        for citation in &mut passage.also {
            citation.collection = Some(collection.clone());
        }
    }
}

/// Names the collection of candidates.
pub(super) fn name_traces(traces: &mut [CandidateTrace], collection: &CollectionId) {
    for citation in traces.iter_mut().filter_map(|trace| trace.citation.as_mut()) {
        citation.collection = Some(collection.clone());
    }
}
