//! Small `tokenizer.json` files of the families that reading models have.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;

/// The regular expression of Llama 3, which is GPT-4's.
pub(crate) const LLAMA_3: &str = concat!(
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*",
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
);

fn special(id: usize, content: &str) -> Value {
    json!({ "id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": false, "special": true })
}

/// Truncates and pads at 8, which must not matter.
fn file(normalizer: &Value, pre_tokenizer: &Value, model: &Value, added: &Value) -> Value {
    json!({
        "version": "1.0",
        "truncation": { "max_length": 8, "strategy": "LongestFirst", "stride": 0, "direction": "Right" },
        "padding": { "strategy": { "Fixed": 8 }, "direction": "Right", "pad_to_multiple_of": null,
                     "pad_id": 0, "pad_type_id": 0, "pad_token": "<pad>" },
        "added_tokens": added,
        "normalizer": normalizer,
        "pre_tokenizer": pre_tokenizer,
        "post_processor": null,
        "decoder": null,
        "model": model,
    })
}

/// A vocabulary of these pieces, then of what merging adds.
fn bpe(pieces: impl Iterator<Item = String>, merges: &[(&str, &str)]) -> (Value, usize) {
    let joined = merges.iter().map(|(left, right)| format!("{left}{right}"));
    let vocabulary: BTreeMap<String, usize> = pieces.chain(joined).zip(0..).collect();
    let size = vocabulary.len();
    let merges: Vec<String> = merges.iter().map(|(left, right)| format!("{left} {right}")).collect();
    (json!({ "type": "BPE", "vocab": vocabulary, "merges": merges }), size)
}

/// Bytes, and a few words, cut by an expression: as Llama 3, Qwen and Mistral's tekken.
pub(crate) fn byte_level(expression: &str) -> Value {
    const MERGES: [(&str, &str); 8] = [
        ("t", "h"),
        ("th", "e"),
        ("Ġ", "the"),
        ("a", "l"),
        ("al", "p"),
        ("h", "a"),
        ("alp", "ha"),
        ("Ċ", "Ċ"),
    ];
    let mut alphabet: Vec<char> = ByteLevel::alphabet().into_iter().collect();
    alphabet.sort_unstable();
    let (mut model, size) = bpe(alphabet.into_iter().map(String::from), &MERGES);
    model["ignore_merges"] = json!(true);
    let cuts = json!({ "type": "Sequence", "pretokenizers": [
        { "type": "Split", "pattern": { "Regex": expression }, "behavior": "Isolated", "invert": false },
        { "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false },
    ] });
    let added = json!([special(size, "<|begin|>"), special(size + 1, "<|end|>")]);
    file(&Value::Null, &cuts, &model, &added)
}

/// `▁` for spaces, bytes for what is unknown, and a token of two words: as Llama 2 and Gemma.
pub(crate) fn spaces_as_letters() -> Value {
    const MERGES: [(&str, &str); 7] = [
        ("▁", "a"),
        ("▁a", "l"),
        ("▁al", "p"),
        ("h", "a"),
        ("▁alp", "ha"),
        ("▁alpha", "▁"),
        ("▁alpha▁", "b"),
    ];
    let bytes = (0..=u8::MAX).map(|byte| format!("<0x{byte:02X}>"));
    let letters = ('a'..='z').chain(['▁', '.', '\n']).map(String::from);
    let pieces = std::iter::once("<unk>".to_owned()).chain(bytes).chain(letters);
    let (mut model, _) = bpe(pieces, &MERGES);
    for (name, value) in
        [("unk_token", json!("<unk>")), ("fuse_unk", json!(true)), ("byte_fallback", json!(true))]
    {
        model[name] = value;
    }
    let normalizer = json!({ "type": "Sequence", "normalizers": [
        { "type": "Prepend", "prepend": "▁" },
        { "type": "Replace", "pattern": { "String": " " }, "content": "▁" },
    ] });
    file(&normalizer, &Value::Null, &model, &json!([special(0, "<unk>")]))
}

/// Scored pieces, as T5; without a token for the unknown where `unknown` is none.
pub(crate) fn unigram(unknown: Option<usize>) -> Value {
    let letters = ('a'..='z').map(|letter| (letter.to_string(), -6.0));
    let pieces: Vec<(String, f64)> = [("<unk>", 0.0), ("▁", -3.0), ("▁alpha", -2.0), ("▁the", -1.5)]
        .map(|(piece, score)| (piece.to_owned(), score))
        .into_iter()
        .chain(letters)
        .collect();
    let model = json!({ "type": "Unigram", "unk_id": unknown, "vocab": pieces });
    let cuts = json!({ "type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": true });
    file(&json!({ "type": "NFKC" }), &cuts, &model, &json!([special(0, "<unk>")]))
}

pub(crate) fn bytes(value: &Value) -> Vec<u8> {
    serde_json::to_vec(value).unwrap()
}
