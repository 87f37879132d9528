//! The port's contract for each embedder, and the numbers of the models they run.

#![expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "the numbers are small")]

mod tiny;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use contexture_adapters::embedder::bundled::TOKENIZER_JSON;
use contexture_adapters::embedder::{TEXT_BYTES_MAX, open_embedder};
use contexture_core::domain::pipeline::EmbedderDefinition;
use contexture_core::fault::{Fault, Refusal, reason};
use contexture_core::ports::embedder::{Embedder, EmbeddingPurpose};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use tiny::TinyModelOptions;

fn local(path: &Path) -> EmbedderDefinition {
    let path = path.to_owned();
    EmbedderDefinition::Local { path, query_prefix: None, passage_prefix: None, tokens_max: None }
}

fn tiny_folder(options: &TinyModelOptions) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    tiny::write(folder.path(), options);
    folder
}

fn open_error(definition: &EmbedderDefinition) -> Refusal {
    match open_embedder(definition) {
        Ok(_) => panic!("the definition was accepted: {definition:?}"),
        Err(refusal) => refusal,
    }
}

async fn embed_one(embedder: &dyn Embedder, text: &str, purpose: EmbeddingPurpose) -> Vec<f32> {
    embedder.embed(&[text.to_owned()], purpose).await.unwrap().remove(0)
}

fn rejection(result: Result<Vec<Vec<f32>>, Fault>) -> String {
    match result {
        Err(Fault::Permanent(reason)) if reason.code == reason::EMBEDDER_REJECTED => reason.detail,
        other => panic!("expected a rejection, got {other:?}"),
    }
}

fn cosine(left: &[f32], right: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    dot(left, right) / (dot(left, left) * dot(right, right)).sqrt()
}

/// What every embedder promises.
async fn assert_contract(embedder: Arc<dyn Embedder>) {
    let info = embedder.info().clone();
    let texts: Vec<String> =
        ["b a c", "", "a", "\u{200b}", "a b c d e f g", " \n", "a"].map(str::to_owned).to_vec();
    let vectors = embedder.embed(&texts, EmbeddingPurpose::Passage).await.unwrap();
    assert_eq!(vectors.len(), texts.len());
    for vector in &vectors {
        assert_eq!(vector.len(), info.dims);
        let length: f64 = vector.iter().map(|value| f64::from(*value).powi(2)).sum();
        assert!((length - 1.0).abs() < 1e-5, "length {length}");
    }
    assert_eq!(vectors[2], vectors[6], "the same text, another vector");
    assert_eq!(vectors[1], vectors[5], "blank is not as empty");
    for (text, vector) in texts.iter().zip(&vectors) {
        assert_eq!(
            &embed_one(embedder.as_ref(), text, EmbeddingPurpose::Passage).await,
            vector,
            "order or batching"
        );
    }
    assert!(embedder.embed(&[], EmbeddingPurpose::Query).await.unwrap().is_empty());

    let fits = info.tokens_max - info.tokens_reserved;
    assert_eq!(embedder.tokenizer().count(&"a ".repeat(fits)), fits);
    embed_one(embedder.as_ref(), &"a ".repeat(fits), EmbeddingPurpose::Passage).await;
    let too_long = rejection(embedder.embed(&["a ".repeat(fits + 1)], EmbeddingPurpose::Passage).await);
    assert!(too_long.contains(&(info.tokens_max + 1).to_string()), "{too_long}");
    assert!(too_long.contains(&info.tokens_max.to_string()), "{too_long}");
    let too_large =
        rejection(embedder.embed(&["a".repeat(TEXT_BYTES_MAX + 1)], EmbeddingPurpose::Passage).await);
    assert!(too_large.contains(&(TEXT_BYTES_MAX + 1).to_string()), "{too_large}");
    let too_many = vec![String::new(); info.batch_texts_max + 1];
    rejection(embedder.embed(&too_many, EmbeddingPurpose::Passage).await);
    let marks = "e".to_owned() + &"\u{301}".repeat((TEXT_BYTES_MAX - 1) / 2);
    embed_one(embedder.as_ref(), &marks, EmbeddingPurpose::Passage).await;
}

#[tokio::test]
async fn bundled_keeps_the_contract() {
    let embedder = open_embedder(&EmbedderDefinition::Bundled {}).unwrap();
    assert_eq!(
        (embedder.info().dims, embedder.info().tokens_max, embedder.info().tokens_reserved),
        (384, 128, 2)
    );
    assert_contract(embedder).await;
}

#[tokio::test]
async fn hash_keeps_the_contract() {
    assert_contract(open_embedder(&EmbedderDefinition::Hash { dims: 384, tokens_max: 64 }).unwrap()).await;
    let embedder = open_embedder(&EmbedderDefinition::Hash { dims: 384, tokens_max: 64 }).unwrap();
    let near = embed_one(embedder.as_ref(), "retry with backoff", EmbeddingPurpose::Passage).await;
    let query = embed_one(embedder.as_ref(), "Backoff?", EmbeddingPurpose::Query).await;
    let far = embed_one(embedder.as_ref(), "tokens per second", EmbeddingPurpose::Passage).await;
    assert!(cosine(&near, &query) > cosine(&far, &query) + 0.2);
    for dims in [0, 1_000_000] {
        let refusal = open_error(&EmbedderDefinition::Hash { dims, tokens_max: 64 });
        assert_eq!(refusal.code, "embedder_dims_out_of_range");
    }
}

#[tokio::test]
async fn local_keeps_the_contract() {
    let folder = tiny_folder(&TinyModelOptions::default());
    let embedder = open_embedder(&local(folder.path())).unwrap();
    assert_eq!(
        (embedder.info().dims, embedder.info().tokens_max, embedder.info().tokens_reserved),
        (32, 20, 2)
    );
    assert_contract(embedder).await;
}

#[test]
fn the_shipped_tokenizer_is_the_bundled_models() {
    use std::fmt::Write as _;
    let digest = Sha256::digest(TOKENIZER_JSON).iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").unwrap();
        hex
    });
    assert_eq!(digest, pocket_encoder::model_info().tokenizer_sha256);
}

#[tokio::test]
async fn bundled_never_meets_the_crates_truncation() {
    let embedder = open_embedder(&EmbedderDefinition::Bundled {}).unwrap();
    let full = embed_one(embedder.as_ref(), &"word ".repeat(126), EmbeddingPurpose::Passage).await;
    let one_less = embed_one(embedder.as_ref(), &"word ".repeat(125), EmbeddingPurpose::Passage).await;
    assert_ne!(full, one_less);
    let detail = rejection(embedder.embed(&["word ".repeat(127)], EmbeddingPurpose::Passage).await);
    assert!(detail.contains("129") && detail.contains("128"), "{detail}");
}

fn pooled(states: &[Vec<f64>], pooling: &str) -> Vec<f32> {
    let column = |index: usize| states.iter().map(move |row| row[index]);
    let number = |index: usize| match pooling {
        "cls_token" => states[0][index],
        "max_tokens" => column(index).fold(f64::NEG_INFINITY, f64::max),
        _ => column(index).sum::<f64>() / states.len() as f64,
    };
    (0..tiny::HIDDEN).map(|index| number(index) as f32).collect()
}

#[tokio::test]
async fn local_computes_what_a_plain_implementation_does() {
    for pooling in ["mean_tokens", "cls_token", "max_tokens"] {
        for root in ["", "bert."] {
            let mode = format!("pooling_mode_{pooling}");
            let options = TinyModelOptions {
                pooling: json!({ mode: true, "pooling_mode_x": false }),
                root,
                ..TinyModelOptions::default()
            };
            let folder = tiny_folder(&options);
            let embedder = open_embedder(&local(folder.path())).unwrap();
            // The last one is longer than the 8 tokens at which the tokenizer.json truncates.
            for text in ["abc", "a b", "", "query: the last word."] {
                let vector = embed_one(embedder.as_ref(), text, EmbeddingPurpose::Passage).await;
                let plain = pooled(&tiny::states(&tiny::token_ids(text)), pooling);
                let cosine = cosine(&vector, &plain);
                assert!(cosine > 0.999_999, "{pooling} of {text:?}: cosine {cosine}");
            }
        }
    }
}

#[tokio::test]
async fn prefixes_are_embedded_counted_and_named() {
    let prompts = json!({ "query": "q: ", "document": "pas: " });
    let folder = tiny_folder(&TinyModelOptions { prompts, ..TinyModelOptions::default() });
    let own = open_embedder(&local(folder.path())).unwrap();
    let none = EmbedderDefinition::Local {
        path: folder.path().to_owned(),
        query_prefix: Some(String::new()),
        passage_prefix: Some(String::new()),
        tokens_max: None,
    };
    let none = open_embedder(&none).unwrap();
    assert_ne!(own.info().model, none.info().model);
    assert_eq!((own.info().tokens_reserved, none.info().tokens_reserved), (2 + 4, 2));
    for (purpose, prefixed) in [(EmbeddingPurpose::Query, "q: abc"), (EmbeddingPurpose::Passage, "pas: abc")]
    {
        let with_prefix = embed_one(own.as_ref(), "abc", purpose).await;
        assert_eq!(with_prefix, embed_one(none.as_ref(), prefixed, purpose).await);
        assert_ne!(with_prefix, embed_one(none.as_ref(), "abc", purpose).await);
    }
    own.embed(&["a ".repeat(14)], EmbeddingPurpose::Passage).await.unwrap();
    rejection(own.embed(&["a ".repeat(15)], EmbeddingPurpose::Passage).await);
    own.embed(&["a ".repeat(16)], EmbeddingPurpose::Query).await.unwrap();
    rejection(own.embed(&["a ".repeat(17)], EmbeddingPurpose::Query).await);
}

#[test]
fn unusable_folders_say_why() {
    let break_file = |name: &str, content: Option<Value>| {
        let folder = tiny_folder(&TinyModelOptions::default());
        match content {
            Some(content) => std::fs::write(folder.path().join(name), content.to_string()).unwrap(),
            None => std::fs::remove_file(folder.path().join(name)).unwrap(),
        }
        open_error(&local(folder.path()))
    };
    assert_eq!(open_error(&local(Path::new("no/such/folder"))).code, "model_folder_missing");
    for name in ["config.json", "tokenizer.json", "model.safetensors", "1_Pooling/config.json"] {
        let refusal = break_file(name, None);
        assert_eq!(refusal.code, "model_file_missing");
        assert!(refusal.message.contains(name), "{}", refusal.message);
    }
    assert_eq!(break_file("config.json", Some(json!({ "model_type": "t5" }))).code, "model_unsupported");
    assert_eq!(break_file("config.json", Some(json!({ "model_type": "bert" }))).code, "model_unsupported");
    assert_eq!(break_file("model.safetensors", Some(json!({}))).code, "model_unsupported");
    assert_eq!(break_file("modules.json", Some(json!("x"))).code, "model_file_unreadable");
    let dense = json!([{ "path": "", "type": "sentence_transformers.models.Dense" }]);
    assert_eq!(break_file("modules.json", Some(dense)).code, "model_unsupported");
    for modes in [
        json!({}),
        json!({ "pooling_mode_lasttoken": true }),
        json!({ "pooling_mode_cls_token": true, "pooling_mode_mean_tokens": true }),
    ] {
        assert_eq!(break_file("1_Pooling/config.json", Some(modes)).code, "pooling_unknown");
    }
}

#[test]
fn limits_and_prefixes_out_of_range_are_refused() {
    let folder = tiny_folder(&TinyModelOptions::default());
    let open_with = |prefix: Option<String>, tokens_max: usize| {
        open_error(&EmbedderDefinition::Local {
            path: folder.path().to_owned(),
            query_prefix: None,
            passage_prefix: prefix,
            tokens_max: Some(tokens_max),
        })
    };
    let above = open_with(None, tiny::POSITIONS + 1);
    assert_eq!(above.code, "embedder_tokens_max_out_of_range");
    assert!(above.message.contains("25") && above.message.contains("24"), "{}", above.message);
    assert_eq!(open_with(None, 2).code, "embedder_tokens_max_out_of_range");
    assert_eq!(open_with(Some("passage".into()), 20).code, "prefix_unbounded");
    assert_eq!(open_with(Some("x".repeat(600)), 20).code, "prefix_too_long");
    let folder = tiny_folder(&TinyModelOptions { sequence_max: 999, ..TinyModelOptions::default() });
    assert_eq!(open_error(&local(folder.path())).code, "embedder_tokens_max_out_of_range");
}

#[test]
fn the_model_name_changes_with_the_weights() {
    let folder = tiny_folder(&TinyModelOptions::default());
    let before = open_embedder(&local(folder.path())).unwrap().info().model.clone();
    let file = folder.path().join("model.safetensors");
    let mut weights = std::fs::read(&file).unwrap();
    *weights.last_mut().unwrap() ^= 1;
    std::fs::write(&file, weights).unwrap();
    assert_ne!(open_embedder(&local(folder.path())).unwrap().info().model, before);
}

#[test]
fn definitions_refuse_unknown_fields() {
    let parse = |value: Value| serde_json::from_value::<EmbedderDefinition>(value);
    assert_eq!(parse(json!({ "kind": "bundled" })).unwrap(), EmbedderDefinition::Bundled {});
    assert!(parse(json!({ "kind": "bundled", "dims": 3 })).is_err());
    assert!(parse(json!({ "kind": "local", "path": "x", "prefix": "y" })).is_err());
    assert!(parse(json!({ "kind": "hash" })).is_err());
}

/// The folder of the real model, when this machine has it.
fn minilm() -> Option<PathBuf> {
    let folder = std::env::var_os("CONTEXTURE_TEST_MODEL").map_or_else(
        || crate::support::workspace::workspace_file(".cache/models/all-MiniLM-L6-v2"),
        PathBuf::from,
    );
    folder.is_dir().then_some(folder)
}

#[tokio::test]
async fn minilm_gives_the_numbers_of_sentence_transformers() {
    let Some(folder) = minilm() else {
        println!("not run: all-MiniLM-L6-v2 is not here; fetch it with scripts/fetch-model.sh");
        return;
    };
    let embedder = open_embedder(&local(&folder)).unwrap();
    assert_eq!((embedder.info().dims, embedder.info().tokens_max), (384, 256));
    let golden: Vec<Value> =
        serde_json::from_str(include_str!("../../../../tests/fixtures/all-MiniLM-L6-v2.json")).unwrap();
    let texts: Vec<String> = golden.iter().map(|entry| entry["text"].as_str().unwrap().to_owned()).collect();
    let vectors = embedder.embed(&texts, EmbeddingPurpose::Passage).await.unwrap();
    for (entry, vector) in golden.iter().zip(&vectors) {
        let text = entry["text"].as_str().unwrap();
        let expected = |name: &str| entry[name].as_f64().unwrap();
        assert_eq!(embedder.tokenizer().count(text) + 2, entry["tokens"].as_u64().unwrap() as usize);
        for (number, first) in vector.iter().zip(entry["first"].as_array().unwrap()) {
            assert!((f64::from(*number) - first.as_f64().unwrap()).abs() < 5e-6, "{text:?}");
        }
        let sum: f64 = vector.iter().copied().map(f64::from).sum();
        assert!((sum - expected("sum")).abs() < 1e-4, "{text:?}: sum {sum}");
        assert!((cosine(vector, &vectors[0]) - expected("cosine_to_first")).abs() < 5e-6, "{text:?}");
    }
    embed_one(embedder.as_ref(), &"word ".repeat(254), EmbeddingPurpose::Passage).await;
    rejection(embedder.embed(&["word ".repeat(255)], EmbeddingPurpose::Passage).await);
}
