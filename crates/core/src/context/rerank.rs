//! Rerank: a model that reads question and text together orders the best candidates anew.
//!
//! The first [`BoundedReranker::candidates_max`] candidates, in fused order, are scored with the text
//! that was embedded, context line included. Their scores become the model's alone: it has read
//! both texts, and a blend would need a weight per model, for no two put their scores on one
//! scale. If any score lies outside 0 and 1 all are logits and go through the logistic function,
//! as the models' authors do. The other candidates keep their order below: their fused scores
//! are scaled so that what was best among the unread comes under the lowest of the read.
//!
//! It may take [`BoundedReranker::time_max`] and [`RERANK_SHARE`] of what is left of the deadline. Late,
//! failed or nonsense, it changes nothing, and the answer says so. Ties go by chunk id.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::answer::AnswerDegradation;
use super::assemble::ContextCandidate;
use super::request::ContextQuery;
use crate::domain::chunk::{Chunk, embedded_text};
use crate::fault::Fault;
use crate::ports::reranker::Reranker;

/// Part of what is left of the deadline that reranking may use; the rest is for assembly.
pub const RERANK_SHARE: f64 = 0.6;
/// Most of a reranked score that an unread candidate gets.
const UNREAD_SHARE: f32 = 0.999;

/// The model, and its bounds.
#[derive(Clone)]
pub struct BoundedReranker {
    /// The model.
    pub reranker: Arc<dyn Reranker>,
    /// Candidates that it reads.
    pub candidates_max: usize,
    /// Longest time for one query.
    pub time_max: Duration,
}

/// Reorders candidates, which come best first; says if the answer has to do without.
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
    let share = deadline.saturating_duration_since(now).mul_f64(RERANK_SHARE);
    let called = reranking.reranker.rerank(&query.question, texts);
    let Ok(scores) = timeout_at(now + share.min(reranking.time_max), called).await else {
        return Err(Fault::transient("no scores in time"));
    };
    let scores = scores?;
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
        ranked.push((*raw, ContextCandidate { score, ..candidate.clone() }));
    }
    // By what the model said: the logistic function may have made different scores equal.
    ranked.sort_by(|(left_raw, left), (right_raw, right)| {
        right_raw.total_cmp(left_raw).then(left.chunk.id.cmp(&right.chunk.id))
    });
    let lowest = ranked.last().map_or(0.0, |(_, candidate)| candidate.score);
    for (place, (_, candidate)) in read.iter_mut().zip(ranked) {
        *place = candidate;
    }
    let best_unread = unread.first().map_or(0.0, |candidate| candidate.score);
    for candidate in unread {
        let share = if best_unread > 0.0 { (candidate.score / best_unread).clamp(0.0, 1.0) } else { 0.0 };
        candidate.score = lowest * UNREAD_SHARE * share;
    }
}

/// Scores within 0 and 1, in the same order.
fn calibrate_scores(scores: &[f32]) -> Vec<f32> {
    if scores.iter().all(|score| (0.0..=1.0).contains(score)) {
        return scores.to_vec();
    }
    scores.iter().map(|score| 1.0 / (1.0 + (-score).exp())).collect()
}
