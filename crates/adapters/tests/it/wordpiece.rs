//! Token counts against the `tokenizers` crate, on text that tries to break them.

use contexture_adapters::embedder::bundled::TOKENIZER_JSON;
use contexture_core::domain::chunk::TextSpan;
use contexture_core::ports::tokenizer::Tokenizer;
use contexture_tokenizers::hugging_face::HuggingFaceTokenizer;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::sync::LazyLock;

/// Our counter and the crate's tokenizer for the same file.
struct WordPiecePair {
    ours: HuggingFaceTokenizer,
    crates: tokenizers::Tokenizer,
}

impl WordPiecePair {
    fn new(change: impl Fn(&mut Value)) -> Self {
        let mut file: Value = serde_json::from_slice(TOKENIZER_JSON).unwrap();
        change(&mut file);
        let json = serde_json::to_vec(&file).unwrap();
        let mut crates = tokenizers::Tokenizer::from_bytes(&json).unwrap();
        crates.with_padding(None);
        crates.with_truncation(None).unwrap();
        Self { ours: HuggingFaceTokenizer::from_json("test", &json).unwrap(), crates }
    }

    fn exact(&self, text: &str) -> usize {
        self.crates.encode(text, false).unwrap().len()
    }
}

static UNCASED: LazyLock<WordPiecePair> = LazyLock::new(|| WordPiecePair::new(|_| ()));
static CASED: LazyLock<WordPiecePair> = LazyLock::new(|| {
    WordPiecePair::new(|file| {
        file["normalizer"]["lowercase"] = json!(false);
        file["normalizer"]["handle_chinese_chars"] = json!(false);
    })
});
static RAW: LazyLock<WordPiecePair> = LazyLock::new(|| {
    WordPiecePair::new(|file| {
        file["normalizer"]["clean_text"] = json!(false);
        file["model"]["max_input_chars_per_word"] = json!(5);
    })
});

/// Where order and overlap matter: marks that are vocabulary words one by one and together,
/// and added tokens of which one can begin inside another.
static TRICKY: LazyLock<WordPiecePair> = LazyLock::new(|| {
    WordPiecePair::new(|file| {
        for (word, id) in ["##\u{1d165}", "##\u{302e}", "##\u{1d165}\u{302e}"].into_iter().zip(40_000..) {
            file["model"]["vocab"][word] = json!(id);
        }
        for (content, id) in ["[A]", "]-x", "a b"].into_iter().zip(50_000..) {
            let token = json!({ "id": id, "content": content, "single_word": false, "lstrip": false,
                                "rstrip": false, "normalized": false, "special": false });
            file["added_tokens"].as_array_mut().unwrap().push(token);
        }
    })
});

/// Pieces that meet in every order: accents, marks that change places, spaces of all kinds,
/// CJK, joiners, controls, and the added tokens whole and in parts.
fn fragment() -> impl Strategy<Value = String> {
    const ODD: &[&str] = &[
        " ",
        "  ",
        "\n",
        "\t",
        "\u{a0}",
        "\u{2003}",
        "\u{3000}",
        "\u{0}",
        "\u{7}",
        "\u{fffd}",
        "\u{200b}",
        "\u{200d}",
        "\u{fe0f}",
        "\u{ad}",
        "\u{202e}",
        "\u{301}",
        "\u{323}",
        "\u{334}",
        "\u{345}",
        "\u{344}",
        "\u{e31}",
        "\u{f73}",
        "\u{302e}",
        "\u{302f}",
        "\u{1d165}",
        "\u{1d16d}",
        "\u{16ff0}",
        "\u{1e2ec}",
        "é",
        "e\u{301}",
        "İ",
        "ß",
        "ﬁ",
        "Å",
        "≠",
        ";",
        "한국어",
        "각",
        "日本",
        "語",
        "豈",
        "。",
        "，",
        "カタ",
        "ї",
        "Ελλάς",
        "مرحبا",
        "👩‍👩‍👧",
        "🦀",
        "e",
        "E",
        "un",
        "affable",
        "tokenization",
        "##ing",
        "don't",
        "_",
        "-",
        "[SEP]",
        "[CLS]",
        "[UNK]",
        "[",
        "]",
        "[SE",
        "P]",
        "[MASK]",
        "$",
        "+",
        "—",
        "…",
        "x\u{301}\u{302e}y",
        "x\u{302e}\u{1d165}",
        "x\u{302e}\u{e31}\u{1d165}",
        "x\u{302e}\u{7}\u{1d165}",
        "[A]-x",
        "]-x",
        "a b",
        "x",
    ];
    prop_oneof![
        6 => prop::sample::select(ODD).prop_map(str::to_owned),
        2 => any::<char>().prop_map(String::from),
        2 => "[a-zA-Z0-9]{1,12}",
        1 => "[a-z]{95,110}",
        1 => prop::sample::select(ODD).prop_map(|piece| piece.repeat(120)),
    ]
}

fn text() -> impl Strategy<Value = String> {
    prop::collection::vec(fragment(), 0..40).prop_map(|fragments| fragments.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_500, ..ProptestConfig::default() })]

    #[test]
    fn counts_equal_the_crates(text in text()) {
        for pair in [&*UNCASED, &*CASED, &*RAW, &*TRICKY] {
            prop_assert!(pair.ours.is_bert_like());
            prop_assert_eq!(pair.ours.count(&text), pair.exact(&text));
        }
    }

    #[test]
    fn tables_equal_counts_of_slices(text in text(), cuts in prop::collection::vec(any::<(prop::sample::Index, prop::sample::Index)>(), 8)) {
        let borders: Vec<usize> =
            text.char_indices().map(|(offset, _)| offset).chain([text.len()]).collect();
        for pair in [&*UNCASED, &*CASED, &*RAW, &*TRICKY] {
            let table = pair.ours.table(&text);
            for (left, right) in &cuts {
                let (left, right) = (*left.get(&borders), *right.get(&borders));
                let span = TextSpan { start: left.min(right), end: left.max(right) };
                prop_assert_eq!(table.count(span), pair.exact(&text[span.start..span.end]));
            }
        }
    }
}

#[test]
fn marks_change_places_unless_a_barrier_stands_between() {
    let count = |text: &str| {
        assert_eq!(TRICKY.ours.count(text), TRICKY.exact(text));
        TRICKY.ours.count(text)
    };
    assert_eq!(count("x\u{302e}\u{1d165}"), count("x\u{1d165}\u{302e}"));
    assert_eq!(count("x\u{302e}\u{7}\u{1d165}"), count("x\u{1d165}\u{302e}"));
    assert_eq!(count("x\u{302e}\u{e31}\u{1d165}"), count("x\u{1d165}\u{302e}") + 1);
}

#[test]
fn no_border_lies_where_an_added_token_can_reach_over_it() {
    let text = format!("[A]-x {}", "more words, and more; ".repeat(9));
    let table = TRICKY.ours.table(&text);
    for start in 0..text.len() {
        let span = TextSpan { start, end: text.len() };
        assert_eq!(table.count(span), TRICKY.exact(&text[start..]), "from {start}");
    }
}

#[test]
fn long_runs_are_counted_without_being_stored() {
    let million = 1_000_000;
    let tokenizer = &UNCASED.ours;
    assert_eq!(tokenizer.count(&"a".repeat(million)), 1);
    assert_eq!(tokenizer.count(&format!("e{}", "\u{301}".repeat(million))), tokenizer.count("e"));
    assert_eq!(tokenizer.count(&"\u{302e}\u{301}".repeat(million)), 1);
    assert_eq!(tokenizer.count(&"日".repeat(million)), million);
    let line = "tokenization, ".repeat(million / 10);
    let per_repeat = tokenizer.count("tokenization, ");
    let table = tokenizer.table(&line);
    assert_eq!(table.count(TextSpan { start: 0, end: line.len() }), per_repeat * million / 10);
    assert_eq!(table.count(TextSpan { start: 14 * 500, end: 14 * 60_000 }), per_repeat * 59_500);
}

#[test]
fn truncation_and_padding_of_the_file_are_dropped() {
    let file: Value = serde_json::from_slice(TOKENIZER_JSON).unwrap();
    assert_eq!(file["truncation"]["max_length"], 128, "the file no longer sets the trap");
    let pair = WordPiecePair::new(|file| file["padding"]["strategy"] = json!({ "Fixed": 128 }));
    let words = "word ".repeat(300);
    assert_eq!(pair.ours.count(&words), 300);
    assert_eq!(pair.ours.encode(&words).unwrap().len(), 302);
    assert_eq!(pair.ours.encode("word").unwrap(), [101, 2773, 102]);
}

#[test]
fn other_models_fall_back_to_the_crate() {
    let pair = WordPiecePair::new(|file| file["pre_tokenizer"] = json!({ "type": "Whitespace" }));
    assert!(!pair.ours.is_bert_like());
    let text = "Don't \u{301}stop — 日本 [SEP] now";
    let table = pair.ours.table(text);
    for (end, _) in text.char_indices() {
        assert_eq!(table.count(TextSpan { start: 0, end }), pair.exact(&text[..end]));
    }
}

#[test]
fn broken_files_are_refused() {
    assert_eq!(HuggingFaceTokenizer::from_json("broken", b"{").unwrap_err().code, "tokenizer_unreadable");
    let mut file: Value = serde_json::from_slice(TOKENIZER_JSON).unwrap();
    file["model"]["unk_token"] = json!("[NOT THERE]");
    let json = serde_json::to_vec(&file).unwrap();
    assert_eq!(HuggingFaceTokenizer::from_json("broken", &json).unwrap_err().code, "tokenizer_unreadable");
}
