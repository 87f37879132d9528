//! How much two contexts have in common: bytes of documents, weighted by their tokens.
//!
//! Bytes are the same if document, version and offset are the same; equal text elsewhere does not count.
//! The weight of a part of a passage is the number of tokens by which it extends the part before it. So
//! the parts of a passage add up to the whole. Framing and order do not count.

use contexture_core::context::answer::Passage;
use contexture_core::domain::chunk::TextSpan;
use contexture_core::ports::tokenizer::Tokenizer;

/// What two contexts have in common.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ContextOverlap {
    /// Common tokens as a share of the tokens of both (Dice's coefficient). Symmetric.
    pub overlap: f64,
    /// The share of the first that the second has, too.
    pub first_in_second: f64,
    /// The share of the second that the first has, too.
    pub second_in_first: f64,
}

impl ContextOverlap {
    /// Compares the passages of two contexts. Two empty contexts are equal.
    pub fn between(first: &[Passage], second: &[Passage], tokenizer: &dyn Tokenizer) -> Self {
        let of_first = SharedTokens::measure(first, second, tokenizer);
        let of_second = SharedTokens::measure(second, first, tokenizer);
        let both =
            SharedTokens { tokens: of_first.tokens + of_second.tokens, all: of_first.all + of_second.all };
        if both.all == 0 {
            return Self { overlap: 1.0, first_in_second: 1.0, second_in_first: 1.0 };
        }
        Self { overlap: both.share(), first_in_second: of_first.share(), second_in_first: of_second.share() }
    }
}

/// Tokens of a context, and how many of them another one has.
struct SharedTokens {
    tokens: usize,
    all: usize,
}

impl SharedTokens {
    fn measure(ours: &[Passage], theirs: &[Passage], tokenizer: &dyn Tokenizer) -> Self {
        let mut shared = Self { tokens: 0, all: 0 };
        for passage in ours {
            let table = tokenizer.table(&passage.text);
            shared.all += table.tokens_before(passage.text.len());
            for common in common_spans(passage, theirs) {
                let (start, end) = (common.start - passage.span.start, common.end - passage.span.start);
                // A tokenizer need not be monotonic in the length of a prefix.
                shared.tokens += table.tokens_before(end).saturating_sub(table.tokens_before(start));
            }
        }
        shared
    }

    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
    fn share(&self) -> f64 {
        if self.all == 0 { 0.0 } else { self.tokens as f64 / self.all as f64 }
    }
}

/// The parts of a passage that others contain. Passages of one document do not overlap, so no part counts
/// twice.
fn common_spans<'a>(passage: &'a Passage, others: &'a [Passage]) -> impl Iterator<Item = TextSpan> + 'a {
    let same =
        |other: &&Passage| other.document_id == passage.document_id && other.version == passage.version;
    others.iter().filter(same).filter_map(|other| {
        let start = passage.span.start.max(other.span.start);
        let end = passage.span.end.min(other.span.end);
        (start < end).then_some(TextSpan { start, end })
    })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed step fails its test")]

    use proptest::prelude::*;

    use super::ContextOverlap;
    use contexture_core::context::answer::Passage;
    use contexture_core::domain::chunk::TextSpan;
    use contexture_core::domain::ids::{DocumentId, Version};
    use contexture_core::ports::tokenizer::{TokenCountTable, Tokenizer};

    /// A token is a word with the blank behind it.
    struct WordCountTokenizer;

    struct WordCountTable<'a>(&'a str);

    impl Tokenizer for WordCountTokenizer {
        fn name(&self) -> &'static str {
            "words"
        }

        fn count(&self, text: &str) -> usize {
            text.split_whitespace().count()
        }

        fn table<'a>(&'a self, text: &'a str) -> Box<dyn TokenCountTable + 'a> {
            Box::new(WordCountTable(text))
        }
    }

    impl TokenCountTable for WordCountTable<'_> {
        fn count(&self, span: TextSpan) -> usize {
            WordCountTokenizer.count(&self.0[span.start..span.end])
        }
    }

    /// Ten words of four bytes each.
    const TEXT: &str = "aaa bbb ccc ddd eee fff ggg hhh iii jjj ";

    fn passage(document: &str, version: u64, start: usize, end: usize) -> Passage {
        let (id, version) = (DocumentId::new(document).unwrap(), Version::new(version).unwrap());
        Passage::new(id, version, TextSpan { start, end }, TEXT[start..end].to_owned())
    }

    fn assert_close(actual: f64, expected: f64) {
        assert!((actual - expected).abs() < 1e-12, "{actual} is not {expected}");
    }

    #[test]
    fn shares_by_hand() {
        // Six words and two; four words, of which the last two of the first passage are common.
        let first = [passage("d", 1, 0, 24), passage("e", 1, 0, 8)];
        let second = [passage("d", 1, 16, 32)];
        let shared = ContextOverlap::between(&first, &second, &WordCountTokenizer);
        assert_close(shared.first_in_second, 2.0 / 8.0);
        assert_close(shared.second_in_first, 2.0 / 4.0);
        assert_close(shared.overlap, 4.0 / 12.0);
    }

    #[test]
    fn one_passage_may_be_cut_in_two_elsewhere() {
        let whole = [passage("d", 1, 0, 40)];
        let parts = [passage("d", 1, 0, 16), passage("d", 1, 24, 40)];
        let shared = ContextOverlap::between(&whole, &parts, &WordCountTokenizer);
        assert_close(shared.first_in_second, 0.8);
        assert_close(shared.second_in_first, 1.0);
    }

    #[test]
    fn another_version_and_another_document_are_other_bytes() {
        for other in [passage("d", 2, 0, 8), passage("e", 1, 0, 8)] {
            let shared = ContextOverlap::between(&[passage("d", 1, 0, 8)], &[other], &WordCountTokenizer);
            assert_close(shared.overlap, 0.0);
        }
    }

    #[test]
    fn a_context_without_passages_shares_nothing_with_one_that_has_some() {
        let some = [passage("d", 1, 0, 8)];
        let shared = ContextOverlap::between(&some, &[], &WordCountTokenizer);
        assert_eq!((shared.overlap, shared.first_in_second, shared.second_in_first), (0.0, 0.0, 0.0));
        assert_close(ContextOverlap::between(&[], &[], &WordCountTokenizer).overlap, 1.0);
    }

    /// Passages of three documents that do not overlap.
    fn context() -> impl Strategy<Value = Vec<Passage>> {
        let cuts = proptest::collection::btree_set(0_usize..=10, 0..6);
        let of_document = |name: &'static str| {
            cuts.clone().prop_map(move |cuts| {
                let cuts: Vec<usize> = cuts.into_iter().map(|word| word * 4).collect();
                cuts.chunks_exact(2).map(|pair| passage(name, 1, pair[0], pair[1])).collect::<Vec<_>>()
            })
        };
        (of_document("d"), of_document("e"), of_document("f"))
            .prop_map(|(one, two, three)| [one, two, three].concat())
    }

    proptest! {
        #[test]
        fn overlap_is_bounded_symmetric_and_whole_for_equal_contexts(first in context(), second in context()) {
            let (there, back) =
                (ContextOverlap::between(&first, &second, &WordCountTokenizer), ContextOverlap::between(&second, &first, &WordCountTokenizer));
            prop_assert!((0.0..=1.0).contains(&there.overlap));
            prop_assert!((there.overlap - back.overlap).abs() < 1e-12);
            prop_assert!((there.first_in_second - back.second_in_first).abs() < 1e-12);
            let same = ContextOverlap::between(&first, &first, &WordCountTokenizer);
            prop_assert_eq!((same.overlap, same.first_in_second, same.second_in_first), (1.0, 1.0, 1.0));
        }
    }
}
