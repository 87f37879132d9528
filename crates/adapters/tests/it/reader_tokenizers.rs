//! Tokenizers of reading models: any `tokenizer.json`, counted as its own crate counts.

use contexture_core::domain::chunk::TextSpan;
use contexture_core::ports::tokenizer::Tokenizer;
use contexture_tokenizers::hugging_face::{
    HuggingFaceTokenizer, TOKENIZER_FILE_BYTES_MAX, read_tokenizer_file,
};
use proptest::prelude::*;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::strategies::runner;
use crate::support::tokenizer_files::{LLAMA_3, byte_level, bytes, spaces_as_letters, unigram};

const CASES: u32 = 256;
const GPT_2: &str = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";

/// Ours and the crate's, of one file.
struct ReaderTokenizerPair {
    ours: HuggingFaceTokenizer,
    crates: tokenizers::Tokenizer,
}

impl ReaderTokenizerPair {
    fn new(file: &Value) -> Self {
        let mut crates = tokenizers::Tokenizer::from_bytes(bytes(file)).unwrap();
        crates.with_padding(None);
        crates.with_truncation(None).unwrap();
        Self { ours: HuggingFaceTokenizer::from_json("test", &bytes(file)).unwrap(), crates }
    }

    fn exact(&self, text: &str) -> usize {
        self.crates.encode(text, false).unwrap().len()
    }

    /// Whether a token of the text has letters or digits on both sides of white space.
    fn joins_words(&self, text: &str) -> bool {
        let encoding = self.crates.encode(text, false).unwrap();
        encoding.get_offsets().iter().any(|(start, end)| {
            let is_word = |part: &&str| part.contains(char::is_alphanumeric);
            text[*start..*end].split(char::is_whitespace).filter(is_word).count() > 1
        })
    }
}

fn families() -> [(&'static str, ReaderTokenizerPair); 5] {
    [
        ("llama 3", ReaderTokenizerPair::new(&byte_level(LLAMA_3))),
        ("gpt 2", ReaderTokenizerPair::new(&byte_level(GPT_2))),
        ("own expression", ReaderTokenizerPair::new(&byte_level(r"[a-z ]+|\s+"))),
        ("llama 2", ReaderTokenizerPair::new(&spaces_as_letters())),
        ("t5", ReaderTokenizerPair::new(&unigram(Some(0)))),
    ]
}

/// What makes counts of parts differ from the whole.
fn text() -> impl Strategy<Value = String> {
    const PIECES: [&str; 24] = [
        "alpha",
        "the",
        " the",
        "alpha beta",
        " ",
        "  ",
        "\n",
        "\n\n",
        "\r\n",
        "\t",
        "\u{a0}",
        "\u{b}",
        "\u{2028}",
        "'ll",
        "'",
        "12345",
        "...",
        "é",
        "e\u{301}",
        "日本",
        "🦀",
        "<|end|>",
        "<unk>",
        "▁",
    ];
    let piece = prop_oneof![
        8 => prop::sample::select(PIECES.as_slice()).prop_map(str::to_owned),
        1 => any::<char>().prop_map(String::from),
    ];
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

#[test]
fn tokenizer_files_count_as_their_crate_does() {
    for (family, pair) in families() {
        runner(CASES)
            .run(&text(), |text| {
                prop_assert_eq!(pair.ours.count(&text), pair.exact(&text), "{} {:?}", family, &text);
                Ok(())
            })
            .unwrap();
    }
}

#[test]
fn tokenizer_tables_count_every_range_as_its_text() {
    for (family, pair) in families() {
        let cases = (text(), any::<prop::sample::Index>(), any::<prop::sample::Index>());
        runner(CASES)
            .run(&cases, |(text, left, right)| {
                let border = |at: &prop::sample::Index| text.floor_char_boundary(at.index(text.len() + 1));
                let span = TextSpan {
                    start: border(&left).min(border(&right)),
                    end: border(&left).max(border(&right)),
                };
                let counted = pair.ours.table(&text).count(span);
                prop_assert_eq!(counted, pair.exact(&text[span.start..span.end]), "{} {:?}", family, &text);
                Ok(())
            })
            .unwrap();
    }
}

#[test]
fn tokenizers_that_are_said_to_split_words_do() {
    let split: Vec<&str> =
        families().iter().filter(|(_, pair)| pair.ours.splits_words()).map(|(family, _)| *family).collect();
    assert_eq!(split, ["llama 3", "gpt 2"]);
    for (family, pair) in families().iter().filter(|(_, pair)| pair.ours.splits_words()) {
        runner(CASES * 4)
            .run(&text(), |text| {
                prop_assert!(!pair.joins_words(&text), "{} {:?}", family, &text);
                let words = text.split_whitespace().filter(|word| word.contains(char::is_alphanumeric));
                prop_assert!(pair.ours.count(&text) >= words.count());
                Ok(())
            })
            .unwrap();
    }
    let spaces = ReaderTokenizerPair::new(&spaces_as_letters());
    assert!(spaces.joins_words("alpha b"), "the file no longer shows why it must be asked");
    assert_eq!(spaces.ours.count("alpha b"), 1);
}

#[test]
fn tokenizers_split_words_only_where_that_is_certain() {
    let splits = |change: &dyn Fn(&mut Value)| {
        let mut file = byte_level(LLAMA_3);
        change(&mut file);
        HuggingFaceTokenizer::from_json("test", &bytes(&file)).unwrap().splits_words()
    };
    let with_expression = |expression: &str| {
        splits(&|file| file["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = json!(expression))
    };
    let with_cuts = |cuts: Value| splits(&|file| file["pre_tokenizer"] = cuts.clone());
    let with_normalizer = |normalizer: Value| splits(&|file| file["normalizer"] = normalizer.clone());
    let added = |content: &str| splits(&|file| file["added_tokens"][0]["content"] = json!(content));

    assert!(splits(&|_| ()));
    assert!(with_expression(&LLAMA_3.replace("{1,3}", "")), "Qwen");
    assert!(with_expression(&LLAMA_3.replace(r"[\r\n]*|", r"[\r\n/]*|")), "GPT-4o");
    assert!(!with_expression(&LLAMA_3.replace(r"\p{L}+", r"[\p{L} ]+")));
    assert!(!with_expression(LLAMA_3.strip_suffix(r"|\s+").unwrap()), "white space between matches");
    assert!(!splits(&|file| file["pre_tokenizer"]["pretokenizers"][0]["invert"] = json!(true)));
    assert!(!splits(&|file| {
        file["pre_tokenizer"]["pretokenizers"][0]["behavior"] = json!("MergedWithNext");
    }));
    assert!(!splits(&|file| file["pre_tokenizer"]["pretokenizers"].as_array_mut().unwrap().reverse()));

    let bytes_by = |regex: bool| json!({ "type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": regex });
    assert!(with_cuts(bytes_by(true)) && !with_cuts(bytes_by(false)) && !with_cuts(Value::Null));
    assert!(with_cuts(json!({ "type": "WhitespaceSplit" })));
    assert!(!with_cuts(json!({ "type": "Punctuation", "behavior": "Isolated" })));

    assert!(with_normalizer(json!({ "type": "NFC" })));
    assert!(with_normalizer(
        json!({ "type": "Sequence", "normalizers": [{ "type": "NFKD" }, { "type": "Lowercase" }] })
    ));
    assert!(!with_normalizer(json!({ "type": "Replace", "pattern": { "String": " " }, "content": "_" })));
    assert!(!with_normalizer(
        json!({ "type": "Sequence", "normalizers": [{ "type": "NFC" }, { "type": "Nmt" }] })
    ));

    assert!(added("a-b") && added("  ") && !added("a b") && !added("a - b"));
}

#[test]
fn bert_tokenizers_may_join_what_they_clean() {
    let bundled = contexture_adapters::embedder::bundled::tokenizer().unwrap();
    assert_eq!(bundled.count("un\u{c}affable"), bundled.count("unaffable"), "a form feed is dropped");
    assert!(!bundled.splits_words());
}

#[test]
fn tokenizers_that_cannot_count_exactly_are_refused() {
    let refused = |file: &Value| HuggingFaceTokenizer::from_json("test", &bytes(file)).unwrap_err();
    let mut dropout = byte_level(LLAMA_3);
    dropout["model"]["dropout"] = json!(0.1);
    let mut unknown = spaces_as_letters();
    unknown["model"]["byte_fallback"] = json!(false);
    unknown["model"]["unk_token"] = json!("<missing>");
    for (file, why) in [(dropout, "dropout"), (unknown, "vocabulary"), (unigram(None), "vocabulary")] {
        let refusal = refused(&file);
        assert_eq!(refusal.code, "tokenizer_unreadable");
        assert!(refusal.message.contains(why), "{refusal}");
    }
}

#[test]
fn tokenizer_files_are_read_or_refused() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("tokenizer.json");
    let read = || read_tokenizer_file("mine", &path, "tokenizers[0]");
    let refused = |code: &str| {
        let refusal = read().unwrap_err();
        assert_eq!((refusal.code, refusal.field.as_str()), (code, "tokenizers[0]"), "{refusal}");
        assert!(refusal.message.contains(path.to_str().unwrap()), "{refusal}");
    };
    refused("tokenizer_file_missing");
    std::fs::create_dir(&path).unwrap();
    refused("tokenizer_file_unreadable");
    std::fs::remove_dir(&path).unwrap();
    for broken in [&b""[..], b"{", b"[]", b"{\"model\":{}}", b"\xff\xfe"] {
        std::fs::write(&path, broken).unwrap();
        refused("tokenizer_unreadable");
    }
    let large = std::fs::File::create(&path).unwrap();
    large.set_len(TOKENIZER_FILE_BYTES_MAX + 1).unwrap();
    refused("tokenizer_file_too_large");

    std::fs::write(&path, bytes(&byte_level(LLAMA_3))).unwrap();
    let tokenizer = read().unwrap();
    assert_eq!((tokenizer.name(), tokenizer.count("the alpha ".repeat(9).trim())), ("mine", 27));
}
