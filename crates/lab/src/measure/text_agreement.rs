//! How much of a known text an extracted one has, and whether in the same order.
//!
//! Both are compared as words: compatibility-normalised (NFKC) and in lower case, runs of letters, digits and their
//! marks; letters of scripts that write without spaces (Han, kana, Thai, Lao, Khmer, Burmese) are words each. A `*`
//! separates nothing, because Markdown puts it within words. So neither punctuation nor markup counts.
//!
//! * *F1*: the harmonic mean of precision and recall over the multisets of words, as in `SQuAD` (Rajpurkar et al. 2016).
//! * *Order*: the longest common subsequence of the words as a share of the common ones. The length is exact, by the
//!   bit-parallel algorithm of Hyyrö, "Bit-Parallel LCS-length Computation Revisited" (2004), of the first
//!   [`ORDERED_WORDS_MAX`] words of each.

use std::collections::HashMap;

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// Words of a text whose order is looked at. Bounds the work to its square over 64.
pub const ORDERED_WORDS_MAX: usize = 100_000;

/// The agreement of two texts. Symmetric, but for precision and recall, which change places.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TextAgreement {
    /// The share of the extracted words that are in the known text.
    pub precision: f64,
    /// The share of the known words that were extracted.
    pub recall: f64,
    /// Their harmonic mean. 1 for two texts without words.
    pub f1: f64,
    /// The share of the common words that stand in the same order; none without common words.
    pub order: Option<f64>,
}

impl TextAgreement {
    /// Compares an extracted text with what it should be.
    pub fn between(extracted: &str, known: &str) -> Self {
        let (extracted, known) = (words(extracted), words(known));
        let mut left: HashMap<&str, usize> = HashMap::new();
        for word in &known {
            *left.entry(word).or_default() += 1;
        }
        let is_common = |word: &&String| match left.get_mut(word.as_str()) {
            Some(count) if *count > 0 => {
                *count -= 1;
                true
            }
            _ => false,
        };
        let common = extracted.iter().filter(is_common).count();
        let (precision, recall) = (share(common, extracted.len()), share(common, known.len()));
        let both = extracted.len() + known.len();
        let f1 = if both == 0 { 1.0 } else { share(2 * common, both) };
        Self { precision, recall, f1, order: order(&extracted, &known) }
    }
}

/// The words of a text.
pub fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    for letter in text.nfkc().flat_map(char::to_lowercase) {
        if is_word_alone(letter) {
            words.extend(taken(&mut word));
            words.push(letter.to_string());
        } else if letter.is_alphanumeric() || (is_combining_mark(letter) && !word.is_empty()) {
            word.push(letter);
        } else if letter != '*' {
            words.extend(taken(&mut word));
        }
    }
    words.extend(taken(&mut word));
    words
}

fn taken(word: &mut String) -> Option<String> {
    (!word.is_empty()).then(|| std::mem::take(word))
}

/// Letters of scripts that put no space between words.
fn is_word_alone(letter: char) -> bool {
    matches!(u32::from(letter),
        0xE01..=0xE30 | 0xE81..=0xEB0 | 0x1000..=0x102A | 0x1780..=0x17B3 | 0x3005..=0x3007 | 0x3041..=0x30FF
        | 0x3400..=0x4DBF | 0x4E00..=0x9FFF | 0xF900..=0xFAFF | 0x2_0000..=0x3_FFFF)
        && letter.is_alphanumeric()
}

fn order(first: &[String], second: &[String]) -> Option<f64> {
    let first = &first[..first.len().min(ORDERED_WORDS_MAX)];
    let second = &second[..second.len().min(ORDERED_WORDS_MAX)];
    let mut counts: HashMap<&str, (usize, usize)> = HashMap::new();
    for word in first {
        counts.entry(word).or_default().0 += 1;
    }
    for word in second {
        counts.entry(word).or_default().1 += 1;
    }
    let common: usize = counts.values().map(|(one, other)| one.min(other)).sum();
    (common > 0).then(|| share(common_subsequence(first, second), common))
}

/// The length of the longest common subsequence.
fn common_subsequence(first: &[String], second: &[String]) -> usize {
    // Where each word stands in the first text, as bits of its blocks, in their order.
    let mut places: HashMap<&str, Vec<(usize, u64)>> = HashMap::new();
    for (at, word) in first.iter().enumerate() {
        let (block, bit) = (at / 64, 1_u64 << (at % 64));
        let blocks = places.entry(word).or_default();
        match blocks.last_mut() {
            Some((last, bits)) if *last == block => *bits |= bit,
            _ => blocks.push((block, bit)),
        }
    }
    // A bit becomes zero where the length grows: one step of the algorithm for each word of the second text. A block
    // without the word changes only by what is carried into it.
    let mut row = vec![u64::MAX; first.len().div_ceil(64)];
    for word in second {
        let Some(blocks) = places.get(word.as_str()) else { continue };
        let (mut carry, mut next) = (false, 0);
        for (block, bits) in blocks {
            carry = carry_through(&mut row[next..*block], carry);
            let before = row[*block];
            let (sum, over) = before.overflowing_add(before & bits);
            let (sum, over_again) = sum.overflowing_add(u64::from(carry));
            row[*block] = sum | (before & !bits);
            carry = over || over_again;
            next = block + 1;
        }
        carry_through(&mut row[next..], carry);
    }
    let zeros = |(block, bits): (usize, &u64)| {
        let used = (first.len() - block * 64).min(64);
        let unused = if used == 64 { 0 } else { u64::MAX << used };
        (bits | unused).count_zeros() as usize
    };
    row.iter().enumerate().map(zeros).sum()
}

/// Adds a carry to blocks; returns whether it comes out at their end.
fn carry_through(blocks: &mut [u64], carry: bool) -> bool {
    let mut carry = carry;
    for block in blocks {
        if !carry {
            return false;
        }
        let (sum, over) = block.overflowing_add(1);
        *block |= sum;
        carry = over;
    }
    carry
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
fn share(part: usize, whole: usize) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::float_cmp, reason = "the same counts give the same shares")]

    use proptest::prelude::*;

    use super::{TextAgreement, common_subsequence, words};

    #[test]
    fn words_are_told_apart_as_readers_do() {
        assert_eq!(words("**Straße** & ﬁnal, 12.5 %"), ["straße", "final", "12", "5"]);
        assert_eq!(words("# 東京タワー is\u{3000}high"), ["東", "京", "タ", "ワ", "ー", "is", "high"]);
        assert_eq!(words("e\u{301}te\u{301} שָׁלוֹם"), ["été", &words("שָׁלוֹם")[0]]);
        assert_eq!(words("שָׁלוֹם").len(), 1);
        assert_eq!(words("un**believ**able \\*"), ["unbelievable"]);
        assert_eq!(words("| --- | \u{301} ||"), Vec::<String>::new());
    }

    #[test]
    fn figures_by_hand() {
        let same = TextAgreement::between("one two two three", "one two two three");
        assert_eq!((same.f1, same.order), (1.0, Some(1.0)));
        let turned = TextAgreement::between("b a", "A, b!");
        assert_eq!((turned.precision, turned.recall, turned.f1, turned.order), (1.0, 1.0, 1.0, Some(0.5)));
        let twice = TextAgreement::between("a b a b", "a b");
        assert_eq!((twice.precision, twice.recall), (0.5, 1.0));
        assert!((twice.f1 - 2.0 / 3.0).abs() < 1e-12, "a text that comes twice is half right");
        assert_eq!(twice.order, Some(1.0));
        let nothing = TextAgreement::between("", "a");
        assert_eq!((nothing.f1, nothing.order), (0.0, None));
        let neither = TextAgreement::between("- \n", "");
        assert_eq!((neither.f1, neither.order), (1.0, None), "nothing to read, nothing read");
    }

    /// The length by the table of all pairs of prefixes.
    fn by_table(first: &[String], second: &[String]) -> usize {
        let mut row = vec![0; second.len() + 1];
        for one in first {
            let mut diagonal = 0;
            for (at, other) in second.iter().enumerate() {
                let above = row[at + 1];
                row[at + 1] = if one == other { diagonal + 1 } else { above.max(row[at]) };
                diagonal = above;
            }
        }
        row[second.len()]
    }

    fn texts() -> impl Strategy<Value = String> {
        // Few words, so that they come again; longer than two blocks of bits.
        prop::collection::vec(prop::sample::select(vec!["a", "b", "c", "d", "e f", "Ä", "東"]), 0..200)
            .prop_map(|words| words.join(" "))
    }

    proptest! {
        #[test]
        fn the_subsequence_has_the_length_of_the_table(first in texts(), second in texts()) {
            let (first, second) = (words(&first), words(&second));
            prop_assert_eq!(common_subsequence(&first, &second), by_table(&first, &second));
        }

        #[test]
        fn figures_are_symmetric_and_within_bounds(first in texts(), second in texts()) {
            let there = TextAgreement::between(&first, &second);
            let back = TextAgreement::between(&second, &first);
            prop_assert_eq!(there.f1, back.f1);
            prop_assert_eq!(there.order, back.order);
            prop_assert_eq!(there.precision, back.recall);
            for figure in [there.precision, there.recall, there.f1, there.order.unwrap_or(1.0)] {
                prop_assert!((0.0..=1.0).contains(&figure), "{figure}");
            }
        }

        #[test]
        fn any_text_agrees_with_itself(text in "\\PC{0,80}") {
            let same = TextAgreement::between(&text, &text);
            prop_assert_eq!(same.f1, 1.0);
            prop_assert!(same.order.is_none_or(|order| order == 1.0));
        }
    }
}
