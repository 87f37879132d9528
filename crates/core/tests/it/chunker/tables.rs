//! A table counts what the tokenizer counts, for every slice.

use contexture_core::domain::chunk::TextSpan;
use contexture_core::ports::tokenizer::Tokenizer;
use contexture_tokenizers::bpe::BpeTokenizer;
use proptest::prelude::*;

/// Text of what tokenizers trip over: white space runs, contractions, scripts, clusters.
pub(super) fn difficult_text() -> impl Strategy<Value = String> {
    let fragment = prop_oneof![
        4 => "[a-zA-Z]{1,9}",
        3 => Just(" ".to_owned()),
        2 => "[ \t\n]{1,6}",
        2 => prop::sample::select(vec![
            "'s", "'re", "'LL", "'", "we'll", "I'M", "!\n", "!\n/", "/", "//", "...", ". ", "。", "？」",
            "\u{301}", "e\u{301}\u{302}", "👩‍👩‍👧‍👦", "\u{200d}", "🇩🇪🇫🇷", "가나", "漢字", "ไทยกำ", "नमस्ते", "\u{600}a",
            "\u{202e}", "\u{200b}", "\u{a0}", "\u{3000}", "\u{85}", "# ", "\n# h\n", "\n\n", "- ", "```\n", "| a |\n", "12345",
        ]).prop_map(str::to_owned),
        1 => any::<char>().prop_map(String::from),
        1 => ("[a-z=# ]", 1_usize..90).prop_map(|(unit, count)| unit.repeat(count)),
    ];
    prop::collection::vec(fragment, 0..60).prop_map(|fragments| fragments.concat())
}

fn border(text: &str, share: usize) -> usize {
    text.floor_char_boundary(text.len() * share / 1000)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn a_table_counts_like_its_tokenizer(
        text in difficult_text(),
        prefix in difficult_text(),
        shares in prop::collection::vec((0_usize..=1000, 0_usize..=1000), 24),
    ) {
        for bpe in [BpeTokenizer::cl100k(), BpeTokenizer::o200k()] {
            let table = bpe.table(&text);
            for &(left, right) in &shares {
                let span = TextSpan { start: border(&text, left.min(right)), end: border(&text, left.max(right)) };
                let slice = &text[span.start..span.end];
                prop_assert_eq!(table.count(span), bpe.count(slice), "{} {:?}", bpe.name(), slice);
                if let Some(joined) = table.count_after(&prefix, span) {
                    prop_assert_eq!(joined, bpe.count(&format!("{prefix}{slice}")), "{} {:?}+{:?}", bpe.name(), prefix, slice);
                }
                prop_assert!(table.tokens_before(span.start) <= table.tokens_before(span.end));
            }
        }
    }
}

#[test]
fn a_table_answers_after_a_prefix_without_tokenising_all() {
    let bpe = BpeTokenizer::cl100k();
    let text = "The queue holds the work. ".repeat(200);
    let span = TextSpan { start: 4, end: text.len() };
    let joined = bpe.table(&text).count_after("Queues > Holding\n", span);
    assert_eq!(joined, Some(bpe.count(&format!("Queues > Holding\n{}", &text[4..]))));
}

#[test]
fn a_known_text_has_its_known_count() {
    // The example of OpenAI's cookbook.
    assert_eq!(BpeTokenizer::cl100k().count("tiktoken is great!"), 6);
    assert_eq!(BpeTokenizer::o200k().count("tiktoken is great!"), 6);
    assert_eq!(BpeTokenizer::cl100k().count(""), 0);
}
