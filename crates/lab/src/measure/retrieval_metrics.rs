//! Metrics of retrieval, from rankings and spans alone.
//!
//! Discounted gain is computed as by `trec_eval` (Järvelin and Kekäläinen 2002): the judged grade is the
//! gain, the discount is log2(rank + 1). Recall is over documents. Recall, precision and overlap over bytes
//! follow Chroma's "Evaluating Chunking Strategies for Retrieval" (2024): every byte counts once, however
//! many passages or references contain it.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use serde::Serialize;

use contexture_core::context::answer::Passage;
use contexture_core::domain::chunk::TextSpan;
use contexture_core::domain::ids::DocumentId;

/// The relevant documents of one question and their grades, all positive.
pub type RelevanceGrades = HashMap<DocumentId, f64>;

/// Normalised discounted cumulative gain of the first `depth` documents, within 0 and 1.
pub fn ndcg(ranking: &[DocumentId], grades: &RelevanceGrades, depth: usize) -> f64 {
    let mut ideal: Vec<f64> = grades.values().copied().collect();
    ideal.sort_by(|first, second| second.total_cmp(first));
    let best = discounted_gain(ideal.into_iter().take(depth));
    if best == 0.0 {
        return 0.0;
    }
    let gains = ranking.iter().take(depth).map(|document| grades.get(document).copied().unwrap_or(0.0));
    discounted_gain(gains) / best
}

fn discounted_gain(gains: impl Iterator<Item = f64>) -> f64 {
    // Rank 1 is divided by log2(2).
    gains.zip(2_u32..).map(|(gain, divisor)| gain / f64::from(divisor).log2()).sum()
}

/// The share of the relevant documents among the first `depth`.
pub fn recall(ranking: &[DocumentId], grades: &RelevanceGrades, depth: usize) -> f64 {
    let found = ranking.iter().take(depth).filter(|document| grades.contains_key(document)).count();
    ratio(found, grades.len())
}

/// Ranks documents by their best chunk, best first. Ties go by id, so that equal scores give one ranking.
pub fn rank_documents<'a>(chunks: impl Iterator<Item = (&'a DocumentId, f32)>) -> Vec<DocumentId> {
    let mut best: HashMap<&DocumentId, f32> = HashMap::new();
    for (document, score) in chunks {
        let known = best.entry(document).or_insert(score);
        *known = known.max(score);
    }
    let mut ranking: Vec<(&DocumentId, f32)> = best.into_iter().collect();
    ranking.sort_by(|(first_id, first), (second_id, second)| {
        second.total_cmp(first).then_with(|| first_id.cmp(second_id))
    });
    ranking.into_iter().map(|(document, _)| document.clone()).collect()
}

/// A set of bytes of documents: disjoint spans, sorted by document and offset.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ByteCoverage(BTreeMap<DocumentId, Vec<TextSpan>>);

impl ByteCoverage {
    /// The union of these spans.
    pub fn new(spans: impl IntoIterator<Item = (DocumentId, TextSpan)>) -> Self {
        let mut documents: BTreeMap<DocumentId, Vec<TextSpan>> = BTreeMap::new();
        for (document, span) in spans {
            documents.entry(document).or_default().push(span);
        }
        for spans in documents.values_mut() {
            spans.sort_unstable();
            // Sorted by start, so a span can only touch the one kept before it. Touching spans merge too.
            spans.dedup_by(|next, kept| {
                let touches = next.start <= kept.end;
                if touches {
                    kept.end = kept.end.max(next.end);
                }
                touches
            });
        }
        Self(documents)
    }

    /// The bytes of passages.
    pub fn from_passages(passages: &[Passage]) -> Self {
        Self::new(passages.iter().map(|passage| (passage.document_id.clone(), passage.span)))
    }

    /// The spans, disjoint, by document and offset.
    pub fn spans(&self) -> impl Iterator<Item = (&DocumentId, TextSpan)> {
        self.0.iter().flat_map(|(document, spans)| spans.iter().map(move |span| (document, *span)))
    }

    /// The number of bytes.
    pub fn bytes(&self) -> usize {
        self.0.values().flatten().map(|span| span.len()).sum()
    }

    /// The number of bytes that both contain.
    pub fn common_bytes(&self, other: &Self) -> usize {
        let overlap =
            |one: &TextSpan, two: &TextSpan| one.end.min(two.end).saturating_sub(one.start.max(two.start));
        let pairs = self.0.iter().filter_map(|(document, spans)| Some((spans, other.0.get(document)?)));
        pairs
            .map(|(ours, theirs)| {
                ours.iter().flat_map(|one| theirs.iter().map(move |two| overlap(one, two))).sum::<usize>()
            })
            .sum()
    }
}

/// How well retrieved bytes cover the relevant ones.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct CoverageOverlap {
    /// Relevant and retrieved bytes, as a share of the relevant.
    pub recall: f64,
    /// Relevant and retrieved bytes, as a share of the retrieved. 0 if nothing was retrieved.
    pub precision: f64,
    /// Relevant and retrieved bytes, as a share of the union.
    pub iou: f64,
}

impl CoverageOverlap {
    /// Compares the two.
    pub fn between(relevant: &ByteCoverage, retrieved: &ByteCoverage) -> Self {
        let common = relevant.common_bytes(retrieved);
        let (relevant, retrieved) = (relevant.bytes(), retrieved.bytes());
        Self {
            recall: ratio(common, relevant),
            precision: ratio(common, retrieved),
            iou: ratio(common, relevant + retrieved - common),
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
fn ratio(part: usize, whole: usize) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// The mean. 0 without values.
#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
pub fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, number) = values.fold((0.0, 0_usize), |(sum, number), value| (sum + value, number + 1));
    if number == 0 { 0.0 } else { sum / number as f64 }
}

/// The nearest-rank percentile in milliseconds, to the microsecond. 0 without durations.
pub fn percentile_ms(durations: &[Duration], percent: usize) -> f64 {
    let mut sorted = durations.to_vec();
    sorted.sort_unstable();
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).map_or(0.0, |duration| (duration.as_secs_f64() * 1e6).round() / 1e3)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{
        ByteCoverage, CoverageOverlap, RelevanceGrades, mean, ndcg, percentile_ms, rank_documents, recall,
    };
    use contexture_core::domain::chunk::TextSpan;
    use contexture_core::domain::ids::DocumentId;

    fn id(name: &str) -> DocumentId {
        DocumentId::new(name).expect("an id")
    }

    fn ids(names: &[&str]) -> Vec<DocumentId> {
        names.iter().map(|name| id(name)).collect()
    }

    fn grades(pairs: &[(&str, f64)]) -> RelevanceGrades {
        pairs.iter().map(|(name, grade)| (id(name), *grade)).collect()
    }

    fn covering(spans: &[(&str, usize, usize)]) -> ByteCoverage {
        ByteCoverage::new(
            spans.iter().map(|(name, start, end)| (id(name), TextSpan { start: *start, end: *end })),
        )
    }

    fn assert_close(actual: f64, expected: f64) {
        assert!((actual - expected).abs() < 1e-12, "{actual} is not {expected}");
    }

    #[test]
    fn ndcg_of_binary_gains_by_hand() {
        let relevant = grades(&[("a", 1.0), ("b", 1.0), ("c", 1.0)]);
        // Hits at ranks 1 and 3 of an ideal 1, 2, 3.
        let found = 1.0 + 1.0 / 2.0;
        let ideal = 1.0 + 1.0 / 3_f64.log2() + 1.0 / 2.0;
        assert_close(ndcg(&ids(&["a", "x", "b", "y"]), &relevant, 10), found / ideal);
        assert_close(ndcg(&ids(&["c", "b", "a"]), &relevant, 10), 1.0);
        assert_close(ndcg(&ids(&["x", "y"]), &relevant, 10), 0.0);
        // The ideal is cut at the same depth as the ranking.
        assert_close(ndcg(&ids(&["a"]), &relevant, 1), 1.0);
        assert_close(ndcg(&[], &relevant, 10), 0.0);
    }

    #[test]
    fn ndcg_of_graded_gains_by_hand() {
        let relevant = grades(&[("a", 2.0), ("b", 1.0)]);
        let found = 1.0 + 2.0 / 3_f64.log2();
        let ideal = 2.0 + 1.0 / 3_f64.log2();
        assert_close(ndcg(&ids(&["b", "a"]), &relevant, 10), found / ideal);
    }

    #[test]
    fn recall_counts_documents_up_to_its_depth() {
        let relevant = grades(&[("a", 1.0), ("b", 1.0), ("c", 1.0), ("d", 1.0)]);
        let ranking = ids(&["a", "x", "b", "y", "c"]);
        assert_close(recall(&ranking, &relevant, 3), 0.5);
        assert_close(recall(&ranking, &relevant, 20), 0.75);
    }

    #[test]
    fn documents_rank_by_their_best_chunk_and_ties_by_id() {
        let chunks = [(id("b"), 0.5), (id("c"), 0.9), (id("a"), 0.5), (id("b"), 0.1), (id("d"), 0.95)];
        let ranking = rank_documents(chunks.iter().map(|(document, score)| (document, *score)));
        assert_eq!(ranking, ids(&["d", "c", "a", "b"]));
    }

    #[test]
    fn a_tie_is_worth_what_its_order_by_id_gives() {
        let relevant = grades(&[("b", 1.0)]);
        let chunks = [(id("b"), 0.7), (id("a"), 0.7)];
        let ranking = rank_documents(chunks.iter().map(|(document, score)| (document, *score)));
        assert_close(ndcg(&ranking, &relevant, 10), 1.0 / 3_f64.log2());
    }

    #[test]
    fn overlapping_references_count_once() {
        let relevant = covering(&[("a", 0, 100), ("a", 50, 150)]);
        assert_eq!(relevant.bytes(), 150);
        let retrieved = covering(&[("a", 0, 60), ("a", 40, 75), ("b", 0, 25)]);
        assert_eq!(retrieved.bytes(), 100);
        let overlap = CoverageOverlap::between(&relevant, &retrieved);
        assert_close(overlap.recall, 0.5);
        assert_close(overlap.precision, 0.75);
        assert_close(overlap.iou, 75.0 / 175.0);
    }

    #[test]
    fn spans_of_another_document_cover_nothing() {
        let overlap = CoverageOverlap::between(&covering(&[("a", 0, 10)]), &covering(&[("b", 0, 10)]));
        assert_eq!(overlap, CoverageOverlap::default());
        assert_eq!(
            CoverageOverlap::between(&covering(&[("a", 0, 10)]), &ByteCoverage::default()),
            CoverageOverlap::default()
        );
    }

    #[test]
    fn means_and_percentiles_by_hand() {
        assert_close(mean([1.0, 2.0, 6.0].into_iter()), 3.0);
        assert_close(mean(std::iter::empty()), 0.0);
        let durations: Vec<Duration> = (1..=200).rev().map(Duration::from_millis).collect();
        assert_close(percentile_ms(&durations, 50), 100.0);
        assert_close(percentile_ms(&durations, 99), 198.0);
        assert_close(percentile_ms(&durations[..1], 50), 200.0);
        assert_close(percentile_ms(&[], 99), 0.0);
    }
}
