//! Near duplicates: exactly those that comparing every pair finds.

use std::collections::BTreeSet;

use contexture_core::context::answer::CandidateVerdict;
use proptest::prelude::*;

use super::{candidate, run};
use crate::support::corpora::chunk;

const WORDS: [&str; 12] =
    ["queue", "worker", "index", "commit", "snapshot", "retry", "budget", "ledger", "the", "of", "v2", "40"];

/// What is compared of a text, the plain way.
struct PlainShingles<'a> {
    words: Vec<&'a str>,
    shingles: BTreeSet<Vec<&'a str>>,
    numbers: Vec<&'a str>,
    bytes: usize,
}

impl<'a> PlainShingles<'a> {
    fn of(text: &'a str) -> Self {
        let words: Vec<&str> = text.split_ascii_whitespace().collect();
        let mut numbers = words.clone();
        numbers.retain(|word| word.contains(|character: char| character.is_ascii_digit()));
        numbers.sort_unstable();
        let shingles = words.windows(3.min(words.len())).map(<[&str]>::to_vec).collect();
        let bytes = words.iter().map(|word| word.len()).sum();
        Self { words, shingles, numbers, bytes }
    }

    fn is_near(&self, other: &Self) -> bool {
        let (shorter, longer) = (self.bytes.min(other.bytes), self.bytes.max(other.bytes));
        let both = self.shingles.intersection(&other.shingles).count();
        let either = self.shingles.union(&other.shingles).count();
        self.numbers == other.numbers && shorter * 10 >= longer * 9 && both * 10 >= either * 9
    }
}

/// A few texts, and copies of them with some words changed.
fn texts() -> impl Strategy<Value = Vec<String>> {
    let base = prop::collection::vec(prop::collection::vec(0..WORDS.len(), 1..120), 1..4);
    let edits = prop::collection::vec((any::<prop::sample::Index>(), 0..WORDS.len()), 0..6);
    let copies = prop::collection::vec((any::<prop::sample::Index>(), edits, any::<bool>()), 1..12);
    (base, copies).prop_map(|(base, copies)| {
        let copy = |(which, edits, in_lines): (prop::sample::Index, Vec<_>, bool)| {
            let mut words = which.get(&base).clone();
            for (place, word) in edits {
                let place: prop::sample::Index = place;
                let at = place.index(words.len());
                words[at] = word;
            }
            let words: Vec<&str> = words.into_iter().map(|word| WORDS[word]).collect();
            words.join(if in_lines { "\n" } else { " " })
        };
        copies.into_iter().map(copy).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn near_duplicates_are_those_of_all_pairs(texts in texts()) {
        let mut score = 1.0;
        let mut candidates = Vec::new();
        for (number, text) in texts.iter().enumerate() {
            candidates.push(candidate(chunk(&format!("{number}.md"), 0, text), score));
            score *= 0.9;
        }
        let ids: Vec<_> = candidates.iter().map(|one| one.chunk.id).collect();
        let trace = run(candidates, 20_000).trace;
        let plain: Vec<PlainShingles> = texts.iter().map(|text| PlainShingles::of(text)).collect();
        let mut kept: Vec<usize> = Vec::new();
        for (number, one) in plain.iter().enumerate() {
            prop_assert_eq!(trace[number].chunk_id, ids[number]);
            let original = kept.iter().copied().find(|other| one.is_near(&plain[*other]));
            let found = match trace[number].verdict {
                verdict @ (CandidateVerdict::DuplicateOf { .. } | CandidateVerdict::NearDuplicateOf { .. }) => Some(verdict),
                _ => None,
            };
            let expected = original.map(|other| {
                let of = ids[other];
                if plain[other].words == one.words {
                    CandidateVerdict::DuplicateOf { of }
                } else {
                    CandidateVerdict::NearDuplicateOf { of }
                }
            });
            prop_assert_eq!(found, expected, "{:?}", texts);
            if original.is_none() {
                kept.push(number);
            }
        }
    }
}
