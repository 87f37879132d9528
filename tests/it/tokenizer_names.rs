//! By which names a tokenizer is known, and who may add one.

use std::sync::Arc;

use contexture::adapters::tokenizer::bpe::BpeTokenizer;
use contexture::adapters::tokenizer::tiktoken::model_encoding;
use contexture::config::{ContextureConfig, NAMED_FILES_MAX, NamedFileConfig};
use contexture::context::TokenizerRegistry;
use contexture::fault::Refusal;

fn known() -> TokenizerRegistry {
    let mut known = TokenizerRegistry::with_models(model_encoding);
    known.add("cl100k_base", "", Arc::new(|| Ok(Arc::new(BpeTokenizer::cl100k())))).unwrap();
    known.add("o200k_base", "", Arc::new(|| Ok(Arc::new(BpeTokenizer::o200k())))).unwrap();
    known
}

fn refusal(known: &TokenizerRegistry, name: &str) -> Refusal {
    known.get(name).err().unwrap_or_else(|| panic!("{name} is known"))
}

#[test]
fn models_of_openai_stand_for_their_vocabularies() {
    let known = known();
    for (name, vocabulary) in [
        ("cl100k_base", "cl100k_base"),
        ("gpt-4", "cl100k_base"),
        ("gpt-4-turbo", "cl100k_base"),
        ("gpt-3.5-turbo", "cl100k_base"),
        ("gpt-4o-mini", "o200k_base"),
        ("gpt-4.1", "o200k_base"),
        ("o3", "o200k_base"),
        ("gpt-5-nano", "o200k_base"),
    ] {
        assert_eq!(known.get(name).unwrap().name(), vocabulary, "{name}");
    }
}

#[test]
fn a_configured_tokenizer_wins_against_a_model_and_not_against_a_vocabulary() {
    let mut known = known();
    known.add("gpt-4", "tokenizers[0]", Arc::new(|| Ok(Arc::new(BpeTokenizer::o200k())))).unwrap();
    assert_eq!(known.get("gpt-4").unwrap().name(), "o200k_base");
    let refusal = known
        .add("o200k_base", "tokenizers[1]", Arc::new(|| Ok(Arc::new(BpeTokenizer::cl100k()))))
        .unwrap_err();
    assert_eq!((refusal.code, refusal.field.as_str()), ("tokenizer_known", "tokenizers[1]"));
}

#[test]
fn an_unknown_tokenizer_is_refused_with_the_known_ones_and_a_way_to_add_it() {
    let mut known = known();
    known.add("llama-3", "tokenizers[0]", Arc::new(|| Ok(Arc::new(BpeTokenizer::cl100k())))).unwrap();
    for name in ["", "abacus", "gpt-2", "/etc/hostname", "../tokenizer.json", "\0", &"x".repeat(10_000)] {
        let refusal = refusal(&known, name);
        assert_eq!((refusal.code, refusal.field.as_str()), ("unknown_tokenizer", "tokenizer"));
        for part in ["cl100k_base", "o200k_base", "llama-3", "gpt-4o", "[[tokenizers]]"] {
            assert!(refusal.message.contains(part), "{part}: {refusal}");
        }
        assert!(refusal.message.len() < 1000, "{}", refusal.message.len());
    }
}

#[test]
fn an_option_means_a_file_when_it_looks_like_a_path() {
    for text in
        ["tokenizer.json", "a/b", "./llama", "/models/x", "Tokenizer.JSON", "models/llama-3/tokenizer.json"]
    {
        let file = NamedFileConfig::from_tokenizer_option(text).unwrap_or_else(|| panic!("{text}"));
        assert_eq!((file.name.as_str(), file.path.to_str()), (text, Some(text)));
    }
    for text in ["", "cl100k_base", "gpt-4.1", "json", ".json-like", "llama-3"] {
        assert_eq!(NamedFileConfig::from_tokenizer_option(text), None, "{text}");
    }
}

fn load(text: &str) -> Result<ContextureConfig, Refusal> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("contexture.toml");
    std::fs::write(&path, text).unwrap();
    ContextureConfig::load(Some(&path), [])
}

fn entry(name: &str, path: &str) -> String {
    format!("[[tokenizers]]\nname = \"{name}\"\npath = \"{path}\"\n")
}

#[test]
fn configured_tokenizers_count_their_paths_from_the_file() {
    let config =
        load(&(entry("llama-3", "llama/tokenizer.json") + &entry("other_2.0", "/srv/t.json"))).unwrap();
    let [llama, other] = config.tokenizers.as_slice() else { panic!("{:?}", config.tokenizers) };
    assert_eq!((llama.name.as_str(), llama.field.as_str()), ("llama-3", "tokenizers[0]"));
    assert!(llama.path.is_absolute() && llama.path.ends_with("llama/tokenizer.json"));
    assert_ne!(
        llama.path.parent().and_then(|folder| folder.parent()),
        std::env::current_dir().ok().as_deref()
    );
    assert_eq!((other.name.as_str(), other.path.to_str()), ("other_2.0", Some("/srv/t.json")));
    assert_eq!(load(&config.masked_toml()).unwrap().masked_toml(), config.masked_toml());
    assert!(load("").unwrap().tokenizers.is_empty());
}

#[test]
fn tokenizers_that_cannot_be_asked_for_are_refused() {
    let many: String = (0..=NAMED_FILES_MAX).map(|number| entry(&format!("t{number}"), "x")).collect();
    for (text, field) in [
        (entry("", "x"), "tokenizers[0]"),
        (entry(&"n".repeat(65), "x"), "tokenizers[0]"),
        (entry("two words", "x"), "tokenizers[0]"),
        (entry("a/b", "x"), "tokenizers[0]"),
        (entry("a.json", "x"), "tokenizers[0]"),
        (entry("ünicode", "x"), "tokenizers[0]"),
        (entry("a", "x") + &entry("a", "y"), "tokenizers[1]"),
        (entry("a", "x").replace("path", "file"), "tokenizers"),
        (many, "tokenizers"),
    ] {
        let refusal = load(&text).unwrap_err();
        assert!(refusal.field.starts_with(field), "{text}: {refusal:?}");
    }
}
