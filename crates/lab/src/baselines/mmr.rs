//! Maximal marginal relevance: Carbonell and Goldstein, "The Use of MMR, Diversity-Based
//! Reranking for Reordering Documents and Producing Summaries" (SIGIR 1998).
//!
//! The next passage is the one with the highest λ · relevance − (1 − λ) · similarity to the most
//! similar passage before it. Relevance is the score over the best score. Similarity is the cosine
//! of term counts, where terms are lower-cased runs of letters and digits: packing sees no vectors.
//! All passages are ordered, whether they will fit or not. Ties keep their rank.

use std::collections::{BTreeMap, HashMap};

use super::passage_relevance;
use contexture_core::context::answer::Passage;

/// Weight of relevance against novelty.
const MMR_LAMBDA: f64 = 0.7;

/// Term counts divided by their Euclidean length, sorted by term.
type UnitTermVector = Vec<(usize, f64)>;

/// Orders passages, which come by rank, by MMR. Returns their indices.
pub(super) fn order(passages: &[Passage]) -> Vec<usize> {
    let best = passages.iter().map(passage_relevance).fold(0.0, f64::max);
    let relative = |passage: &Passage| if best > 0.0 { passage_relevance(passage) / best } else { 0.0 };
    let relevances: Vec<f64> = passages.iter().map(relative).collect();
    let vectors = term_vectors(passages);
    let mut nearest = vec![0.0_f64; passages.len()];
    let mut left: Vec<usize> = (0..passages.len()).collect();
    let mut order = Vec::with_capacity(passages.len());
    while !left.is_empty() {
        let marginal = |index: usize| MMR_LAMBDA * relevances[index] - (1.0 - MMR_LAMBDA) * nearest[index];
        let mut place = 0;
        for other in 1..left.len() {
            // Strictly greater: ties keep their rank.
            if marginal(left[other]) > marginal(left[place]) {
                place = other;
            }
        }
        let chosen = left.remove(place);
        // Only the passage just chosen can be more similar: the maximum is kept, not computed anew.
        for index in &left {
            nearest[*index] = nearest[*index].max(cosine_similarity(&vectors[chosen], &vectors[*index]));
        }
        order.push(chosen);
    }
    order
}

fn term_vectors(passages: &[Passage]) -> Vec<UnitTermVector> {
    let mut numbers: HashMap<String, usize> = HashMap::new();
    let mut vectors = Vec::with_capacity(passages.len());
    for passage in passages {
        let mut counts: BTreeMap<usize, f64> = BTreeMap::new();
        let words = passage.text.split(|letter: char| !letter.is_alphanumeric());
        for word in words.filter(|word| !word.is_empty()) {
            let next = numbers.len();
            let number = *numbers.entry(word.to_lowercase()).or_insert(next);
            *counts.entry(number).or_default() += 1.0;
        }
        let length = counts.values().map(|count| count * count).sum::<f64>().sqrt();
        vectors.push(counts.into_iter().map(|(number, count)| (number, count / length)).collect());
    }
    vectors
}

fn cosine_similarity(left: &UnitTermVector, right: &UnitTermVector) -> f64 {
    let (mut at_left, mut at_right, mut sum) = (0, 0, 0.0);
    // Both vectors are sorted by term: a merge finds the common ones.
    while let (Some((one, weight)), Some((other, other_weight))) = (left.get(at_left), right.get(at_right)) {
        if one == other {
            sum += weight * other_weight;
        }
        at_left += usize::from(one <= other);
        at_right += usize::from(other <= one);
    }
    sum
}
