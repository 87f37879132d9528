//! `--tokenizer`: names, models, and files; and the files of a configuration.

use std::fs;

use serde_json::json;

use super::CliSandbox;
use crate::support::tokenizer_files::{LLAMA_3, byte_level, bytes};

fn filled() -> CliSandbox {
    let cli = CliSandbox::new();
    let sentence = "The anchor holds the ship where it is. ";
    cli.write("anchor.md", format!("# On the anchor\n\n{}\n", sentence.repeat(8)));
    cli.ingest(0);
    fs::create_dir(cli.path("models")).unwrap();
    fs::write(cli.path("models/tokenizer.json"), bytes(&byte_level(LLAMA_3))).unwrap();
    let text = "[[tokenizers]]\nname = \"mine\"\npath = \"models/tokenizer.json\"\n";
    fs::write(cli.path("with.toml"), text).unwrap();
    cli
}

#[test]
fn a_query_counts_with_the_tokenizer_it_names() {
    let cli = filled();
    let ask = |tokenizer: &str| {
        let arguments = ["query", "--collection", "c", "--budget", "300", "--config", "with.toml"];
        cli.json(0, &[&arguments[..], &["--tokenizer", tokenizer, "anchor"]].concat())
    };
    for (named, known) in [
        ("o200k_base", "o200k_base"),
        ("gpt-4o-mini", "o200k_base"),
        ("gpt-4-turbo", "cl100k_base"),
        ("mine", "mine"),
        ("models/tokenizer.json", "models/tokenizer.json"),
    ] {
        let answer = ask(named);
        assert_eq!(answer["tokenizer"], known);
        assert!(answer["tokens"].as_u64().unwrap() <= 300, "{answer}");
    }
    let (mine, file) = (ask("mine"), ask("models/tokenizer.json"));
    assert_eq!((&mine["context"], &mine["tokens"]), (&file["context"], &file["tokens"]));
    let mut crates = tokenizers::Tokenizer::from_file(cli.path("models/tokenizer.json")).unwrap();
    crates.with_padding(None);
    crates.with_truncation(None).unwrap();
    let counted = crates.encode(mine["context"].as_str().unwrap(), false).unwrap().len();
    assert_eq!(mine["tokens"], json!(counted));
}

#[test]
fn older_vocabularies_are_known_and_a_configured_file_of_that_name_wins() {
    let cli = filled();
    let ask = |config: &str, tokenizer: &str| {
        let arguments = ["query", "--collection", "c", "--budget", "300", "--config", config];
        cli.json(0, &[&arguments[..], &["--tokenizer", tokenizer, "anchor"]].concat())
    };
    for (named, known) in [
        ("gpt2", "gpt2"),
        ("r50k_base", "r50k_base"),
        ("text-davinci-003", "p50k_base"),
        ("text-davinci-edit-001", "p50k_edit"),
        ("o200k_harmony", "o200k_harmony"),
    ] {
        assert_eq!(ask("with.toml", named)["tokenizer"], known);
    }
    let text = fs::read_to_string(cli.path("with.toml")).unwrap().replace("mine", "gpt2");
    fs::write(cli.path("taken.toml"), text).unwrap();
    let (configured, file) = (ask("taken.toml", "gpt2"), ask("with.toml", "mine"));
    assert_eq!((&configured["context"], &configured["tokens"]), (&file["context"], &file["tokens"]));
}

#[test]
fn tokenizers_that_cannot_be_used_are_refused_with_a_reason() {
    let cli = filled();
    fs::write(cli.path("broken.json"), "{").unwrap();
    for (named, code) in [
        ("abacus", "unknown_tokenizer"),
        ("missing.json", "tokenizer_file_missing"),
        ("models/", "tokenizer_file_unreadable"),
        ("broken.json", "tokenizer_unreadable"),
    ] {
        let arguments = ["query", "--collection", "c", "--budget", "9", "--tokenizer", named, "anchor"];
        let error = cli.error(2, &arguments);
        assert_eq!((&error["code"], &error["field"]), (&json!(code), &json!("tokenizer")), "{error}");
    }
}

#[test]
fn configured_tokenizers_are_checked_when_the_configuration_is() {
    let cli = filled();
    cli.json(0, &["check-config", "--config", "with.toml"]);
    fs::write(cli.path("models/tokenizer.json"), "{").unwrap();
    for command in [&["check-config"][..], &["serve", "--listen", "127.0.0.1:0"]] {
        let error = cli.error(2, &[command, &["--config", "with.toml"]].concat());
        assert_eq!(error["code"], "tokenizer_unreadable", "{error}");
        assert_eq!(error["field"], "tokenizers[0]");
    }
    cli.json(0, &["query", "--collection", "c", "--budget", "300", "--config", "with.toml", "anchor"]);
    fs::write(cli.path("taken.toml"), "[[tokenizers]]\nname = \"cl100k_base\"\npath = \"x\"\n").unwrap();
    let error = cli.error(2, &["check-config", "--config", "taken.toml"]);
    assert_eq!(error["code"], "tokenizer_known", "{error}");
}

#[test]
fn reranking_can_be_left_out_where_it_is_configured() {
    let cli = filled();
    // Nobody listens there: who asks without reranking does not notice.
    let nobody = "[rerank]\nurl = \"http://127.0.0.1:1/rerank\"\n";
    fs::write(cli.path("rerank.toml"), nobody).unwrap();
    for command in [&["query", "--budget", "300"][..], &["search"]] {
        let ask = |more: &[&str]| {
            let base = ["--collection", "c", "--config", "rerank.toml", "anchor"];
            cli.json(0, &[command, &base, more].concat())
        };
        assert_eq!(ask(&[])["degraded"], json!(["RERANK"]));
        assert_eq!(ask(&["--no-rerank"])["degraded"], json!([]));
    }
}
