//! The similarity of two rankings of documents, where neither is known to be right.
//!
//! Every measure reads the first `depth` documents, is symmetric, and is 1 for equal rankings. A ranking
//! names no document twice.
//!
//! * [`ranking_overlap`]: the common documents as a share of the longer ranking.
//! * [`rank_biased_overlap`]: extrapolated to infinite depth from rankings of any two lengths, `RBO_EXT`
//!   of Webber, Moffat and Zobel, "A Similarity Measure for Indefinite Rankings" (2010), equation 32.
//! * [`kendall_tau`]: Kendall's tau-b ("The Treatment of Ties in Ranking Problems", 1945) over the
//!   documents of both; those that a ranking lacks are tied behind all that it has, as in Fagin,
//!   Kumar and Sivakumar, "Comparing Top k Lists" (2003).

use std::collections::HashSet;

use contexture_core::domain::ids::DocumentId;

/// The weight of a rank relative to the rank before it, in [`rank_biased_overlap`]: with 0.9 the first
/// ten ranks have 86 % of all weight.
pub const PERSISTENCE: f64 = 0.9;

/// The share of common documents, within 0 and 1. 1 if both rankings are empty.
pub fn ranking_overlap(first: &[DocumentId], second: &[DocumentId], depth: usize) -> f64 {
    let (first, second) = (cut_at_depth(first, depth), cut_at_depth(second, depth));
    let longer = first.len().max(second.len());
    if longer == 0 { 1.0 } else { to_f64(common_count(first, second)) / to_f64(longer) }
}

/// Rank-biased overlap, within 0 and 1: the agreement at every depth, weighted towards the first ranks.
pub fn rank_biased_overlap(first: &[DocumentId], second: &[DocumentId], depth: usize) -> f64 {
    let (first, second) = (cut_at_depth(first, depth), cut_at_depth(second, depth));
    let (short, long) = if first.len() <= second.len() { (first, second) } else { (second, first) };
    if short.is_empty() {
        return if long.is_empty() { 1.0 } else { 0.0 };
    }
    let at = |depth: usize| to_f64(common_count(cut_at_depth(short, depth), cut_at_depth(long, depth)));
    let (short_at, long_at) = (at(short.len()), at(long.len()));
    let mut sum = 0.0;
    let mut weight = 1.0;
    for depth in 1..=long.len() {
        weight *= PERSISTENCE;
        sum += at(depth) / to_f64(depth) * weight;
        // Beyond the end of the shorter ranking, its agreement is extrapolated: the second sum of equation
        // 32.
        if depth > short.len() {
            sum += short_at * to_f64(depth - short.len()) / (to_f64(short.len()) * to_f64(depth)) * weight;
        }
    }
    let seen = (1.0 - PERSISTENCE) / PERSISTENCE * sum;
    seen + ((long_at - short_at) / to_f64(long.len()) + short_at / to_f64(short.len())) * weight
}

/// Kendall's tau-b, within −1 and 1. If it is undefined: 1 for equal rankings and 0 for others.
pub fn kendall_tau(first: &[DocumentId], second: &[DocumentId], depth: usize) -> f64 {
    let (first, second) = (cut_at_depth(first, depth), cut_at_depth(second, depth));
    if first == second {
        return 1.0;
    }
    let known: HashSet<&DocumentId> = first.iter().collect();
    let either: Vec<&DocumentId> =
        first.iter().chain(second.iter().filter(|document| !known.contains(document))).collect();
    let places: Vec<(usize, usize)> =
        either.into_iter().map(|document| (rank_of(first, document), rank_of(second, document))).collect();
    let (mut score, mut untied_in_first, mut untied_in_second) = (0_i64, 0_usize, 0_usize);
    for (at, one) in places.iter().enumerate() {
        for two in &places[at + 1..] {
            let (in_first, in_second) = (one.0.cmp(&two.0), one.1.cmp(&two.1));
            // `Ordering` is −1, 0 or 1: 1 for a concordant pair, −1 for a discordant one, 0 for a tie.
            score += in_first as i64 * in_second as i64;
            untied_in_first += usize::from(in_first.is_ne());
            untied_in_second += usize::from(in_second.is_ne());
        }
    }
    if untied_in_first == 0 || untied_in_second == 0 {
        return 0.0;
    }
    #[expect(clippy::cast_precision_loss, reason = "pairs of at most some hundred documents")]
    let score = score as f64;
    score / (to_f64(untied_in_first) * to_f64(untied_in_second)).sqrt()
}

fn cut_at_depth(ranking: &[DocumentId], depth: usize) -> &[DocumentId] {
    &ranking[..ranking.len().min(depth)]
}

fn common_count(first: &[DocumentId], second: &[DocumentId]) -> usize {
    let known: HashSet<&DocumentId> = first.iter().collect();
    second.iter().filter(|document| known.contains(document)).count()
}

/// The rank of a document, from 0. One that is not in the ranking ties with all such, behind the last.
fn rank_of(ranking: &[DocumentId], document: &DocumentId) -> usize {
    ranking.iter().position(|known| known == document).unwrap_or(ranking.len())
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
fn to_f64(count: usize) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed step fails its test")]

    use proptest::prelude::*;
    use proptest::sample::subsequence;

    use super::{kendall_tau, rank_biased_overlap, ranking_overlap};
    use contexture_core::domain::ids::DocumentId;

    type RankingFigure = fn(&[DocumentId], &[DocumentId], usize) -> f64;

    fn ids(names: &str) -> Vec<DocumentId> {
        names.chars().map(|name| DocumentId::new(&name.to_string()).unwrap()).collect()
    }

    fn assert_close(actual: f64, expected: f64) {
        assert!((actual - expected).abs() < 1e-12, "{actual} is not {expected}");
    }

    #[test]
    fn overlap_is_of_the_longer_ranking() {
        for (first, second, depth, expected) in [
            ("abcd", "badx", 4, 0.75),
            ("abcd", "badx", 1, 0.0),
            ("abcd", "badx", 2, 1.0),
            ("ab", "abcd", 10, 0.5),
            ("abc", "cab", 10, 1.0),
            ("", "a", 10, 0.0),
            ("", "", 10, 1.0),
        ] {
            assert_close(ranking_overlap(&ids(first), &ids(second), depth), expected);
        }
    }

    #[test]
    fn rank_biased_overlap_by_hand() {
        let p: f64 = super::PERSISTENCE;
        // One swap: agreement 0 at depth 1, 1 at depth 2 and from there on.
        let swapped = (1.0 - p) / p * (p * p) + p * p;
        assert_close(rank_biased_overlap(&ids("ab"), &ids("ba"), 10), swapped);
        // The first of two is common: agreement 1, then 1/2 for ever.
        let half = (1.0 - p) / p * (p + p * p / 2.0) + p * p / 2.0;
        assert_close(rank_biased_overlap(&ids("ab"), &ids("ax"), 10), half);
        // Uneven: of two documents seen by one, the first is all that the other has.
        let uneven = (1.0 - p) / p * (p + p * p / 2.0 + p * p / 2.0) + p * p;
        assert_close(rank_biased_overlap(&ids("a"), &ids("ab"), 10), uneven);
        assert_close(uneven, 1.0);
        assert_close(rank_biased_overlap(&ids("ab"), &ids("xy"), 10), 0.0);
        assert_close(rank_biased_overlap(&ids("abc"), &ids("axc"), 1), 1.0);
        assert_close(rank_biased_overlap(&ids(""), &ids("a"), 10), 0.0);
        assert_close(rank_biased_overlap(&ids(""), &ids(""), 10), 1.0);
    }

    #[test]
    fn kendall_tau_by_hand() {
        // One of six pairs is turned.
        assert_close(kendall_tau(&ids("abcd"), &ids("abdc"), 10), 4.0 / 6.0);
        assert_close(kendall_tau(&ids("abcd"), &ids("dcba"), 10), -1.0);
        // a before b and c in both; b and c are missing on the other side: b and c are turned.
        assert_close(kendall_tau(&ids("ab"), &ids("ac"), 10), 1.0 / 3.0);
        // Nothing in common: 4 pairs turned; the pair of each side is tied on the other.
        assert_close(kendall_tau(&ids("ab"), &ids("cd"), 10), -4.0 / 5.0);
        assert_close(kendall_tau(&ids("abc"), &ids("abd"), 2), 1.0);
        // Not defined: everything is tied in one of them.
        assert_close(kendall_tau(&ids(""), &ids("ab"), 10), 0.0);
        assert_close(kendall_tau(&ids("a"), &ids("a"), 10), 1.0);
        assert_close(kendall_tau(&ids(""), &ids(""), 10), 1.0);
    }

    fn ranking() -> impl Strategy<Value = Vec<DocumentId>> {
        subsequence(ids("abcdefghijkl"), 0..=12).prop_shuffle()
    }

    proptest! {
        #[test]
        fn figures_are_bounded_and_symmetric(
            first in ranking(),
            second in ranking(),
            depth in 1_usize..14,
        ) {
            let figures: [RankingFigure; 3] = [ranking_overlap, rank_biased_overlap, kendall_tau];
            for (figure, lowest) in figures.into_iter().zip([0.0, 0.0, -1.0]) {
                let value = figure(&first, &second, depth);
                prop_assert!((lowest - 1e-12..=1.0 + 1e-12).contains(&value), "{value}");
                prop_assert!((value - figure(&second, &first, depth)).abs() < 1e-12);
                prop_assert!((figure(&first, &first, depth) - 1.0).abs() < 1e-12);
            }
        }

        #[test]
        fn what_stands_behind_the_depth_changes_nothing(first in ranking(), second in ranking()) {
            let cut = &second[..second.len().min(3)];
            prop_assert!((ranking_overlap(&first, &second, 3) - ranking_overlap(&first, cut, 3)).abs() < 1e-12);
            let (whole, part) =
                (rank_biased_overlap(&first, &second, 3), rank_biased_overlap(&first, cut, 3));
            prop_assert!((whole - part).abs() < 1e-12);
        }
    }
}
