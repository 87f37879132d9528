//! Reranks the best candidates with a model that reads question and text together.
//!
//! The model scores the first [`BoundedReranker::candidates_max`] candidates, in fused order, on the
//! text that was embedded, context line included. Its scores replace the fused ones: it has read
//! both texts, and a blend would need a weight for each model, since no two use the same scale. If
//! any score lies outside 0 and 1, all are logits and go through the logistic function, as the
//! models' authors do. The other candidates follow in their order: their fused scores are scaled
//! below the lowest reranked score.
//!
//! Reranking may take [`BoundedReranker::time_max`] and [`RERANK_SHARE`] of the remaining time. If it
//! is late, fails or returns nonsense, nothing changes and the answer is marked as degraded. Ties
//! are broken by chunk id.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::answer::AnswerDegradation;
use super::assemble::ContextCandidate;
use super::federate::weighted_score;
use super::request::ContextQuery;
use crate::domain::chunk::{Chunk, embedded_text};
use crate::fault::Fault;
use crate::ports::reranker::Reranker;

/// Share of the remaining time that reranking may use; the rest is for assembly.
pub const RERANK_SHARE: f64 = 0.6;
/// Share of the lowest reranked score that the best unread candidate gets.
const UNREAD_SHARE: f32 = 0.999;

/// A reranker and its limits.
#[derive(Clone)]
pub struct BoundedReranker {
    /// The model.
    pub reranker: Arc<dyn Reranker>,
    /// Candidates that it reads.
    pub candidates_max: usize,
    /// Longest time for one query.
    pub time_max: Duration,
}

/// Reorders candidates, which come best first. Returns the degradation if reranking failed.
pub async fn rerank_candidates(
    reranking: &BoundedReranker,
    query: &ContextQuery,
    candidates: &mut [ContextCandidate],
    deadline: Instant,
) -> Option<AnswerDegradation> {
    let read = candidates.len().min(reranking.candidates_max);
    if read == 0 {
        return None;
    }
    let texts: Vec<String> =
        candidates[..read].iter().map(|candidate| candidate_text(&candidate.chunk)).collect();
    match request_scores(reranking, query, &texts, deadline).await {
        Ok(scores) => {
            reorder_candidates(candidates, &scores);
            None
        }
        Err(fault) => {
            let (collection, model) = (&query.collection.collection, &reranking.reranker.info().model);
            tracing::warn!(%collection, model, %fault, "reranking failed; the fused order stays");
            Some(AnswerDegradation::Rerank)
        }
    }
}

fn candidate_text(chunk: &Chunk) -> String {
    embedded_text(chunk.description.title.as_deref(), &chunk.heading, &chunk.text)
}

async fn request_scores(
    reranking: &BoundedReranker,
    query: &ContextQuery,
    texts: &[String],
    deadline: Instant,
) -> Result<Vec<f32>, Fault> {
    let now = Instant::now();
    // A share of the time that is left now, after retrieval: a slow retrieval shortens reranking.
    let share = deadline.saturating_duration_since(now).mul_f64(RERANK_SHARE);
    let called = reranking.reranker.rerank(&query.question, texts);
    let Ok(scores) = timeout_at(now + share.min(reranking.time_max), called).await else {
        return Err(Fault::transient("no scores in time"));
    };
    let scores = scores?;
    // A model that answers nonsense is treated like one that fails; the fused order is better than a guess.
    if scores.len() != texts.len() || !scores.iter().all(|score| score.is_finite()) {
        return Err(Fault::transient("not one finite score for each text"));
    }
    Ok(scores)
}

/// Puts the read candidates first, by score, and the others below.
fn reorder_candidates(candidates: &mut [ContextCandidate], scores: &[f32]) {
    let (read, unread) = candidates.split_at_mut(scores.len());
    let calibrated = calibrate_scores(scores);
    let mut ranked: Vec<(f32, ContextCandidate)> = Vec::with_capacity(read.len());
    for ((candidate, raw), score) in read.iter().zip(scores).zip(calibrated) {
        // The model knows nothing of the weights of collections.
        let score = weighted_score(score, candidate.weight());
        ranked.push((*raw, ContextCandidate { score, ..candidate.clone() }));
    }
    // Ties by the raw scores: the logistic function may map different scores to one float.
    ranked.sort_by(|(left_raw, left), (right_raw, right)| {
        let by_score = right.score.total_cmp(&left.score).then(right_raw.total_cmp(left_raw));
        by_score.then(left.chunk.id.cmp(&right.chunk.id))
    });
    let lowest = ranked.last().map_or(0.0, |(_, candidate)| candidate.score);
    for (place, (_, candidate)) in read.iter_mut().zip(ranked) {
        *place = candidate;
    }
    // Below the lowest reranked score, in their own proportions: a candidate that the model did not
    // read must not pass one that it did.
    let best_unread = unread.first().map_or(0.0, |candidate| candidate.score);
    for candidate in unread {
        let share = if best_unread > 0.0 { (candidate.score / best_unread).clamp(0.0, 1.0) } else { 0.0 };
        candidate.score = lowest * UNREAD_SHARE * share;
    }
}

/// Maps scores to 0 and 1, in the same order.
fn calibrate_scores(scores: &[f32]) -> Vec<f32> {
    // Decided for all scores together: a mixture of both scales would reorder them.
    if scores.iter().all(|score| (0.0..=1.0).contains(score)) {
        return scores.to_vec();
    }
    scores.iter().map(|score| 1.0 / (1.0 + (-score).exp())).collect()
}
