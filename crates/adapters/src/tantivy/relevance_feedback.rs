//! Scored hits, and pseudo-relevance feedback: words of the best hits refine the order of all hits.
//!
//! The method is RM3 of Lavrenko and Croft, "Relevance-based language models" (SIGIR 2001), in the
//! form of Abdul-Jaleel et al. (TREC 2004). The words of the first [`FEEDBACK_HITS`] chunks,
//! weighted by the chunks' scores, are mixed half and half with the question's words. The
//! expanded question scores the same hits again. This second score is added with weight
//! [`FEEDBACK_SCORE_WEIGHT`], both relative to their maximum. Feedback only reorders: a chunk
//! without a word of the question is never found through it. It helps questions whose answers use
//! other words; a question that quotes its passage gains nothing.

use std::collections::HashMap;

use tantivy::DocAddress;
use tantivy::tokenizer::TextAnalyzer;

use contexture_core::domain::ids::ChunkId;

/// Number of best hits whose words are used.
pub(super) const FEEDBACK_HITS: usize = 5;
/// Number of words taken from these hits.
const FEEDBACK_WORDS_MAX: usize = 15;
/// Share of the feedback's words in the expanded question.
const FEEDBACK_WORDS_SHARE: f32 = 0.5;
/// Weight of the second score, next to 1 for the first.
const FEEDBACK_SCORE_WEIGHT: f32 = 0.6;
/// Scores are rounded to multiples of 1/4096. Floating-point sums differ with the order of
/// segments; the rounded ones do not.
const SCORE_STEPS: f32 = 4096.0;

/// A chunk that a search found.
pub(super) struct ScoredChunkHit {
    pub(super) score: f32,
    pub(super) id: ChunkId,
    pub(super) address: DocAddress,
}

/// Sorts the best score first, ties by id.
pub(super) fn sort_hits(hits: &mut [ScoredChunkHit]) {
    hits.sort_by(|left, right| right.score.total_cmp(&left.score).then(left.id.cmp(&right.id)));
}

/// Rounds a score to a multiple of `1 / SCORE_STEPS`.
pub(super) fn round_score(score: f32) -> f32 {
    (score * SCORE_STEPS).round() / SCORE_STEPS
}

/// Expands a question by words of its best hits. Returns words with weights that sum to 1: the
/// question's first, then new ones by descending weight.
pub(super) fn expand_question(
    question: &[String],
    hits: &[(f32, String)],
    analyzer: &mut TextAnalyzer,
) -> Vec<(String, f32)> {
    let hits = &hits[..hits.len().min(FEEDBACK_HITS)];
    let total: f32 = hits.iter().map(|(score, _)| score).sum();
    let mut model: HashMap<String, f32> = HashMap::new();
    for (score, text) in hits {
        let mut counts: HashMap<String, f32> = HashMap::new();
        let mut words = 0.0_f32;
        let mut position = None;
        let mut stream = analyzer.token_stream(text);
        while stream.advance() {
            // The other terms of a word, such as its parts, are not further words.
            if position.replace(stream.token().position) == Some(stream.token().position) {
                continue;
            }
            *counts.entry(stream.token().text.clone()).or_default() += 1.0;
            words += 1.0;
        }
        // `words` is at least 1 here. `total` is 0 only if all scores are: then weights become NaN,
        // and `add_feedback_scores` returns early.
        for (word, count) in counts {
            *model.entry(word).or_default() += score / total * count / words;
        }
    }
    // Ties by word, because the order of a hash map is random.
    let mut best: Vec<(String, f32)> = model.into_iter().collect();
    best.sort_by(|left, right| right.1.total_cmp(&left.1).then_with(|| left.0.cmp(&right.0)));
    best.truncate(FEEDBACK_WORDS_MAX);
    let mass: f32 = best.iter().map(|(_, weight)| weight).sum();
    #[expect(clippy::cast_precision_loss, reason = "a question has at most 512 words")]
    let share = (1.0 - FEEDBACK_WORDS_SHARE) / question.len().max(1) as f32;
    let mut mixed: Vec<(String, f32)> = question.iter().map(|word| (word.clone(), share)).collect();
    for (word, weight) in best {
        let weight = FEEDBACK_WORDS_SHARE * weight / mass;
        match mixed.iter_mut().find(|(known, _)| *known == word) {
            Some((_, known)) => *known += weight,
            None => mixed.push((word, weight)),
        }
    }
    mixed
}

/// Adds the second scores to the scores of the hits, in the scale of the hits.
pub(super) fn add_feedback_scores(hits: &mut [ScoredChunkHit], second: &[f32]) {
    let first_best = hits.iter().map(|hit| hit.score).fold(0.0_f32, f32::max);
    let second_best = second.iter().copied().fold(0.0_f32, f32::max);
    debug_assert_eq!(hits.len(), second.len(), "one second score per hit");
    // Nothing to compare with; dividing by zero would make scores NaN.
    if first_best <= 0.0 || second_best <= 0.0 {
        return;
    }
    for (hit, gained) in hits.iter_mut().zip(second) {
        hit.score = (hit.score + FEEDBACK_SCORE_WEIGHT * gained / second_best * first_best)
            / (1.0 + FEEDBACK_SCORE_WEIGHT);
    }
}
