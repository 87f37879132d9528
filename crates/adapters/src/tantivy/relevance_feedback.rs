//! Pseudo-relevance feedback: words of the best hits refine the order of all hits.
//!
//! RM3 of Lavrenko and Croft, "Relevance-based language models" (SIGIR 2001), in the form of
//! Abdul-Jaleel et al. (TREC 2004): the words of the first [`FEEDBACK_HITS`] chunks, weighted by the
//! chunks' scores, are mixed half and half with the question's, and searched. The second score
//! is added with weight [`FEEDBACK_SCORE_WEIGHT`], both relative to their best. It only reorders: a chunk that
//! has no word of the question is not found through it. It is meant
//! for questions in other words than their answers; one that quotes its passage gains nothing.

use std::collections::HashMap;

use tantivy::tokenizer::TextAnalyzer;

use super::snapshot::ScoredChunkHit;

/// First hits whose words count.
pub(super) const FEEDBACK_HITS: usize = 5;
/// Words taken from them.
const FEEDBACK_WORDS_MAX: usize = 15;
/// Share of the feedback's words in the second question.
const FEEDBACK_WORDS_SHARE: f32 = 0.5;
/// Weight of the second score.
const FEEDBACK_SCORE_WEIGHT: f32 = 0.6;

/// The second question: words and their weights, heaviest first.
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
        let mut stream = analyzer.token_stream(text);
        while stream.advance() {
            *counts.entry(stream.token().text.clone()).or_default() += 1.0;
            words += 1.0;
        }
        for (word, count) in counts {
            *model.entry(word).or_default() += score / total * count / words;
        }
    }
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

/// Adds the second scores to the hits', in the hits' scale.
pub(super) fn add_feedback_scores(hits: &mut [ScoredChunkHit], second: &[f32]) {
    let first_best = hits.iter().map(|hit| hit.score).fold(0.0_f32, f32::max);
    let second_best = second.iter().copied().fold(0.0_f32, f32::max);
    if first_best <= 0.0 || second_best <= 0.0 {
        return;
    }
    for (hit, gained) in hits.iter_mut().zip(second) {
        hit.score = (hit.score + FEEDBACK_SCORE_WEIGHT * gained / second_best * first_best)
            / (1.0 + FEEDBACK_SCORE_WEIGHT);
    }
}
