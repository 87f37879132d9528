//! `OpenAI`'s older vocabularies, and the table of which model reads which, from the tiktoken-rs crate.
//!
//! `cl100k_base` and `o200k_base` are counted in [`super::bpe`], several times faster. `o200k_harmony` is
//! `o200k_base` with other special tokens, which plain text has none of, so it is counted there as well.

use std::sync::Arc;

use tiktoken_rs::CoreBPE;
use tiktoken_rs::tokenizer::{Tokenizer as Encoding, get_tokenizer};

use super::bpe::BpeTokenizer;
use contexture_core::domain::chunk::TextSpan;
use contexture_core::ports::tokenizer::{TokenCountTable, Tokenizer};

/// Loads a vocabulary, at its first call.
pub type OpenEncoding = fn() -> Arc<dyn Tokenizer>;

/// The vocabularies here, beside those of [`super::bpe`], by name.
pub const ENCODINGS: [(&str, OpenEncoding); 5] = [
    ("o200k_harmony", || Arc::new(BpeTokenizer::o200k_harmony())),
    ("p50k_base", || TiktokenTokenizer::open("p50k_base", tiktoken_rs::p50k_base_singleton)),
    ("p50k_edit", || TiktokenTokenizer::open("p50k_edit", tiktoken_rs::p50k_edit_singleton)),
    ("r50k_base", || TiktokenTokenizer::open("r50k_base", tiktoken_rs::r50k_base_singleton)),
    // GPT-2's merges are those of `r50k_base`.
    ("gpt2", || TiktokenTokenizer::open("gpt2", tiktoken_rs::r50k_base_singleton)),
];

/// The vocabulary of an `OpenAI` model, as tiktoken's `model.py` maps them. A family may stand without the
/// suffix that tiktoken asks for, such as `gpt-4.5`.
pub fn model_encoding(model: &str) -> Option<&'static str> {
    let encoding = get_tokenizer(model).or_else(|| get_tokenizer(&format!("{model}-")))?;
    Some(match encoding {
        // Of the two equal counts, the one that is loaded anyway.
        Encoding::O200kBase | Encoding::O200kHarmony => "o200k_base",
        Encoding::Cl100kBase => "cl100k_base",
        Encoding::P50kBase => "p50k_base",
        Encoding::P50kEdit => "p50k_edit",
        Encoding::R50kBase => "r50k_base",
        Encoding::Gpt2 => "gpt2",
    })
}

/// Counts with tiktoken-rs itself.
struct TiktokenTokenizer {
    name: &'static str,
    encoding: &'static CoreBPE,
}

impl TiktokenTokenizer {
    fn open(name: &'static str, load: fn() -> &'static CoreBPE) -> Arc<dyn Tokenizer> {
        Arc::new(Self { name, encoding: load() })
    }
}

impl Tokenizer for TiktokenTokenizer {
    fn name(&self) -> &str {
        self.name
    }

    fn count(&self, text: &str) -> usize {
        self.encoding.count_ordinary(text)
    }

    /// A piece of these vocabularies has at most one space, in front of letters or digits.
    fn splits_words(&self) -> bool {
        true
    }

    fn table<'a>(&'a self, text: &'a str) -> Box<dyn TokenCountTable + 'a> {
        let mut end = 0;
        let ends = self.encoding.encode_ordinary(text).into_iter().map(|token| {
            end += self.encoding.decode_bytes(&[token]).map_or(0, |bytes| bytes.len());
            end
        });
        Box::new(TiktokenSliceTable { encoding: self.encoding, text, ends: ends.collect() })
    }
}

/// Counts each range from scratch, exactly. Estimates come from one pass over the text.
struct TiktokenSliceTable<'a> {
    encoding: &'static CoreBPE,
    text: &'a str,
    /// Where each token of the whole text ends, in bytes.
    ends: Vec<usize>,
}

impl TokenCountTable for TiktokenSliceTable<'_> {
    fn count(&self, span: TextSpan) -> usize {
        self.encoding.count_ordinary(&self.text[span.start..span.end])
    }

    // The default counts a prefix anew each time, and the count of a longer prefix can be lower.
    fn tokens_before(&self, position: usize) -> usize {
        self.ends.partition_point(|&end| end <= position)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{ENCODINGS, model_encoding};
    use crate::bpe::BpeTokenizer;
    use contexture_core::ports::tokenizer::Tokenizer;

    const TEXT: &str = "The tide\n\n    turns at 12:30, doesn't it? Ebbe und Flut, прилив, 潮汐 🌊";

    #[test]
    fn models_stand_for_their_vocabularies() {
        for model in ["gpt-4", "gpt-4-turbo", "gpt-4-0613", "gpt-3.5-turbo", "gpt-3.5-turbo-16k"] {
            assert_eq!(model_encoding(model), Some("cl100k_base"), "{model}");
        }
        for model in [
            "gpt-4o",
            "gpt-4o-mini",
            "gpt-4o-2024-08-06",
            "chatgpt-4o-latest",
            "gpt-4.1",
            "gpt-4.1-nano",
            "gpt-4.5",
            "gpt-4.5-preview",
            "gpt-oss-20b",
            "o1",
            "o1-preview",
            "o3",
            "o3-mini",
            "o4-mini",
            "gpt-5",
            "gpt-5-mini",
            "gpt-5.1",
            "gpt-5.1-codex",
            // Python's tiktoken 0.14.0 takes fine-tuned models of GPT-4.1 for ones of GPT-4.
            "ft:gpt-4.1-mini-2025-04-14:acme:notes:A1b2C3d4",
            "ft:gpt-4o-2024-08-06:acme::A1b2C3d4",
        ] {
            assert_eq!(model_encoding(model), Some("o200k_base"), "{model}");
        }
        assert_eq!(model_encoding("text-embedding-3-small"), Some("cl100k_base"));
        assert_eq!(model_encoding("text-davinci-003"), Some("p50k_base"));
        assert_eq!(model_encoding("davinci"), Some("r50k_base"));
        for model in ["", "gpt", "gpt-4.7", "gpt-40", "o2", "o1x", "GPT-4", "cl100k", "llama-3"] {
            assert_eq!(model_encoding(model), None, "{model}");
        }
    }

    #[test]
    fn every_encoding_opens_and_counts() {
        for (name, open) in ENCODINGS {
            let tokenizer = open();
            assert_eq!(tokenizer.name(), name);
            assert!(tokenizer.count(TEXT) > 10, "{name}");
            assert_eq!(tokenizer.table(TEXT).tokens_before(TEXT.len()), tokenizer.count(TEXT), "{name}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(400))]

        /// The fast counter beside tiktoken itself.
        #[test]
        fn fast_counts_are_tiktokens(
            parts in prop::collection::vec(
                prop_oneof![
                    "[ \\n\\ta-zA-Z0-9'.,!?=-]{0,60}",
                    "[éßñĀЖя漢字かなกข가🎉👩‍🚀]{0,20}",
                    "\\PC{0,40}",
                ],
                0..6,
            ),
        ) {
            let text = parts.concat();
            let cl100k = tiktoken_rs::cl100k_base_singleton().count_ordinary(&text);
            prop_assert_eq!(BpeTokenizer::cl100k().count(&text), cl100k);
            let o200k = tiktoken_rs::o200k_base_singleton().count_ordinary(&text);
            prop_assert_eq!(BpeTokenizer::o200k().count(&text), o200k);
        }
    }

    #[test]
    fn harmony_counts_as_o200k() {
        let counted = BpeTokenizer::o200k_harmony().count(TEXT);
        assert_eq!(counted, tiktoken_rs::o200k_harmony_singleton().count_ordinary(TEXT));
        assert_eq!(counted, BpeTokenizer::o200k().count(TEXT));
    }
}
