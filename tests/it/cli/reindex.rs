//! `contexture reindex`, as scripts see it.

use std::fs;

use serde_json::Value;

use super::CliSandbox;

/// Another model, so that nothing is known already.
const OTHER_MODEL: &str = "[embedder]\nkind = \"hash\"\ndims = 32\ntokens_max = 256\n";
/// The same model, smaller chunks.
const SMALLER: &str = "[embedder]\nkind = \"hash\"\ndims = 64\ntokens_max = 256\n[chunker]\ntokens_max = 64\ntokens_target = 64\n";
/// The same model and chunks, other words.
const OTHER_WORDS: &str = "[embedder]\nkind = \"hash\"\ndims = 64\ntokens_max = 256\n[analyzer]\nlanguage = \"english\"\nstem = false\nstop_words = true\n";

fn filled() -> CliSandbox {
    let cli = CliSandbox::new();
    for number in 0..12 {
        let text = format!(
            "# Harbour {number}\n\nThe {number}th harbour lies behind a long pier of stone. Boats with red sails \
             wait there for the tide, and the keeper of the light counts them every evening.\n\n## Fish\n\n\
             Herring are landed on day {number}, and sold before noon in the hall by the water.\n"
        );
        cli.write(&format!("harbour-{number}.md"), text);
    }
    cli.ingest(0);
    for (name, text) in [("other.toml", OTHER_MODEL), ("smaller.toml", SMALLER), ("words.toml", OTHER_WORDS)]
    {
        fs::write(cli.path(name), text).unwrap();
    }
    cli
}

fn reindex<'a>(action: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["reindex", action, "--collection", "c"], more].concat()
}

fn generations(cli: &CliSandbox) -> Vec<(u64, String)> {
    let shown = cli.json(0, &reindex("status", &[]));
    let generations = shown["generations"].as_array().unwrap().iter();
    generations
        .map(|one| (one["generation"].as_u64().unwrap(), one["state"].as_str().unwrap().to_owned()))
        .collect()
}

fn answer(cli: &CliSandbox) -> Value {
    let mut answer = cli.json(0, &["query", "--collection", "c", "--budget", "400", "red sails and herring"]);
    // Counts commits, which is not what was found.
    answer["snapshot"] = Value::Null;
    answer
}

#[test]
fn another_model_goes_live_and_comes_back() {
    let cli = filled();
    let before = answer(&cli);
    let built = cli.json(0, &reindex("start", &["--pipeline", "other.toml"]));
    let one = &built["generations"][0];
    assert_eq!((one["generation"].as_u64(), one["caught_up"].as_bool()), (Some(2), Some(true)));
    assert_eq!((one["documents"].as_u64(), one["remaining"].as_u64()), (Some(12), Some(0)));
    assert!(one["disk_bytes"].as_u64() > Some(0));
    assert_eq!(answer(&cli), before, "it serves nothing yet");
    let activated = cli.json(0, &reindex("activate", &[]));
    assert_eq!((activated["generation"].as_u64(), activated["done"].as_str()), (Some(2), Some("active")));
    let after = answer(&cli);
    assert_ne!(after["passages"], before["passages"], "another model ranks otherwise");
    assert_eq!(generations(&cli), [(1, "kept".to_owned()), (2, "active".to_owned())]);
    cli.json(0, &reindex("rollback", &[]));
    assert_eq!(answer(&cli), before, "byte for byte");
    cli.json(0, &reindex("rollback", &[]));
    assert_eq!(answer(&cli), after);
}

#[test]
fn what_is_written_meanwhile_is_in_both() {
    let cli = filled();
    cli.json(0, &reindex("start", &["--pipeline", "smaller.toml"]));
    cli.write("late.md", "# Late\n\nA walrus came into the harbour of the red sails.\n");
    cli.write("harbour-3.md", "# Harbour 3\n\nIt has silted up, and nobody lands herring there.\n");
    cli.ingest(0);
    cli.json(0, &["delete", "--collection", "c", "harbour-5.md"]);
    cli.json(0, &reindex("activate", &[]));
    let walrus = cli.context("walrus in the harbour");
    assert!(walrus.contains("A walrus came"), "{walrus}");
    let all = cli.context("herring harbour pier");
    assert!(all.contains("silted up") && !all.contains("The 3th harbour"), "{all}");
    assert!(!all.contains("The 5th harbour"), "{all}");
    // And in what was active before, which is kept up to date.
    cli.write("later.md", "# Later\n\nThe walrus left again with the ebb.\n");
    let differs = cli.error(1, &["ingest", "--collection", "c", "--pipeline", "hash.toml", "docs"]);
    assert!(differs["message"].as_str().unwrap().contains("reindex start"), "{differs}");
    cli.json(0, &["ingest", "--collection", "c", "docs"]);
    cli.json(0, &reindex("rollback", &[]));
    let walrus = cli.context("walrus left with the ebb");
    assert!(walrus.contains("The walrus left again"), "{walrus}");
}

#[test]
fn only_what_changed_is_computed() {
    let cli = filled();
    let forecast = cli.json(0, &reindex("start", &["--pipeline", "words.toml", "--dry-run"]));
    assert_eq!((forecast["documents"].as_u64(), forecast["texts"].as_u64()), (Some(12), Some(0)));
    assert_eq!(generations(&cli).len(), 1, "nothing was begun");
    let used = || {
        let status = cli.json(0, &["status"]);
        let usage = status["usage"].as_array().unwrap().iter();
        usage.map(|one| one["texts"].as_u64().unwrap()).sum::<u64>()
    };
    let before = used();
    cli.json(0, &reindex("start", &["--pipeline", "words.toml", "--activate"]));
    assert_eq!(used(), before, "other words need no model");
    let forecast = cli.json(0, &reindex("start", &["--pipeline", "smaller.toml", "--dry-run"]));
    cli.json(0, &reindex("start", &["--pipeline", "smaller.toml"]));
    let texts = used() - before;
    assert_eq!(Some(texts), forecast["texts"].as_u64(), "as it was foretold");
    assert!(texts > 0);
    // Once more from nothing: everything is known.
    cli.json(0, &reindex("cancel", &[]));
    cli.json(0, &reindex("start", &["--pipeline", "smaller.toml"]));
    assert_eq!(used() - before, texts);
}

#[test]
fn a_reindex_outlives_its_command() {
    let cli = filled();
    let error = cli.error(
        4,
        &reindex("start", &["--pipeline", "other.toml", "--documents-per-second", "1", "--timeout", "0"]),
    );
    assert_eq!(error["code"], "not_caught_up");
    assert_eq!(generations(&cli)[1], (2, "building".to_owned()));
    cli.json(0, &reindex("pause", &[]));
    assert_eq!(
        cli.error(1, &reindex("start", &["--pipeline", "smaller.toml"]))["code"],
        "reindex_in_progress"
    );
    let resumed = cli.json(0, &reindex("resume", &["--provider-percent", "100"]));
    assert_eq!(resumed["generations"][0]["remaining"].as_u64(), Some(0));
    cli.json(0, &reindex("activate", &[]));
    let dropped = cli.json(0, &reindex("drop", &["--grace", "0"]));
    assert_eq!(dropped["generation"].as_u64(), Some(1));
    assert_eq!(cli.error(3, &reindex("drop", &["--generation", "7"]))["code"], "nothing_kept");
}

/// As a program of another version would have built it.
fn age(cli: &CliSandbox) {
    let ledger = rusqlite::Connection::open(cli.data().join("ledger.sqlite")).unwrap();
    ledger.execute("UPDATE generations SET epoch = ?1", [vec![7_u8; 32]]).unwrap();
}

#[test]
fn what_another_program_built_is_served_and_built_anew() {
    let cli = filled();
    age(&cli);
    let answer = cli.json(0, &["query", "--collection", "c", "--budget", "400", "red sails and herring"]);
    assert_eq!(answer["degraded"], serde_json::json!(["DENSE"]), "its vectors mean nothing here");
    assert!(answer["context"].as_str().unwrap().contains("red sails"), "{answer}");
    // What comes now waits, and costs no attempt.
    cli.write("walrus.md", "# Walrus\n\nA walrus came in late.\n");
    let error = cli.error(4, &["ingest", "--collection", "c", "--timeout", "1", "docs"]);
    assert_eq!(error["code"], "still_in_flight");
    assert!(!cli.context("walrus").contains("came in late"));
    cli.json(0, &reindex("start", &["--activate"]));
    let answer = cli.json(0, &["query", "--collection", "c", "--budget", "400", "red sails and herring"]);
    assert_eq!(answer["degraded"], serde_json::json!([]));
    assert_eq!(cli.error(1, &reindex("start", &[]))["code"], "nothing_to_change");
}

#[test]
fn what_is_wrong_is_said() {
    let cli = filled();
    assert_eq!(cli.error(3, &["reindex", "status", "--collection", "nowhere"])["code"], "unknown_collection");
    assert_eq!(cli.error(1, &reindex("start", &["--pipeline", "hash.toml"]))["code"], "nothing_to_change");
    assert_eq!(cli.error(3, &reindex("pause", &[]))["code"], "no_reindex");
    assert_eq!(cli.error(3, &reindex("activate", &[]))["code"], "no_reindex");
    assert_eq!(cli.error(3, &reindex("rollback", &[]))["code"], "nothing_kept");
    let pace = cli.error(2, &reindex("start", &["--pipeline", "other.toml", "--provider-percent", "0"]));
    assert_eq!(
        (pace["code"].as_str(), pace["field"].as_str()),
        (Some("invalid_pace"), Some("provider_percent"))
    );
    assert_eq!(
        cli.error(2, &reindex("start", &["--pipeline", "missing.toml"]))["code"],
        "invalid_pipeline_file"
    );
    let status = cli.run(&reindex("status", &[]));
    assert!(status.stdout.starts_with("generation  state"), "{}", status.stdout);
}

#[test]
fn a_document_that_a_generation_cannot_have_is_named() {
    let cli = filled();
    cli.write("long.md", "word ".repeat(8000));
    cli.ingest(0);
    let config = cli.path("tight.toml");
    fs::write(&config, "[limits]\nchunks_per_document_max = 50\n").unwrap();
    let config = config.to_str().unwrap().to_owned();
    let built = cli.json(0, &reindex("start", &["--pipeline", "smaller.toml", "--config", &config]));
    let one = &built["generations"][0];
    assert_eq!(one["failed"].as_u64(), Some(1));
    assert_eq!(one["failures"][0]["document_id"], "long.md");
    assert_eq!(one["failures"][0]["code"], "too_many_chunks");
    let error = cli.error(4, &reindex("activate", &[]));
    assert_eq!(error["code"], "documents_failed");
    cli.json(0, &reindex("activate", &["--allow-failed"]));
    let context = cli.context("red sails");
    assert!(context.contains("red sails"), "{context}");
    assert!(!context.contains("word word"), "{context}");
}
