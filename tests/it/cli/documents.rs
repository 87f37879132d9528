//! Documents in, changed, out, and given up.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use serde_json::json;

use super::{CliSandbox, CommandOutput, bare, names};

/// A document of sections that are each about one thing.
fn sections(things: &[&str]) -> String {
    let mut text = String::from("# Things\n");
    for thing in things {
        let sentence = format!("The {thing} is described here, and nothing but the {thing}. ");
        let _ = write!(text, "\n## {thing}\n\n{}\n", sentence.repeat(12));
    }
    text
}

#[test]
fn the_summary_of_an_ingest_is_a_contract() {
    let cli = CliSandbox::new();
    cli.write("a.md", sections(&["lighthouse", "anchor"]));
    cli.write("deep/b.txt", "A harbour is a sheltered place for ships.");
    cli.write(".hidden/c.md", "never read");
    cli.write("empty.md", "");
    let ran = cli.run(&["ingest", "--collection", "c", "--pipeline", "hash.toml", "--json", "docs"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{}", ran.stdout);
    let contract = ["accepted", "visible", "unchanged", "dead", "chunks", "embedded", "cached", "seconds"];
    assert_eq!(names(&ran.stdout)[..contract.len()], contract);
    let summary = ran.json();
    assert_eq!((&summary["accepted"], &summary["visible"]), (&json!(2), &json!(2)));
    assert_eq!(
        (&summary["unchanged"], &summary["dead"], &summary["skipped"]),
        (&json!(0), &json!(0), &json!(2))
    );
    assert!(summary["chunks"].as_u64().unwrap() >= 2);
    assert_eq!(
        cli.json(0, &["status", "--collection", "c", "deep/b.txt"])["versions"][0]["state"],
        "visible"
    );
}

#[test]
fn unchanged_files_cost_nothing() {
    let cli = CliSandbox::new();
    cli.write("a.md", sections(&["lighthouse", "anchor"]));
    cli.write("b.md", sections(&["harbour"]));
    cli.ingest(0);
    let again = cli.ingest(0);
    assert_eq!((&again["unchanged"], &again["accepted"]), (&json!(2), &json!(0)));
    assert_eq!((&again["embedded"], &again["chunks"]), (&json!(0), &json!(0)));
}

#[test]
fn a_changed_paragraph_replaces_the_old_one() {
    let cli = CliSandbox::new();
    let things = ["lighthouse", "anchor", "harbour", "compass", "rudder", "sextant"];
    cli.write("a.md", sections(&things));
    let first = cli.ingest(0);
    assert!(cli.context("Where is the compass?").contains("compass"));
    cli.write("a.md", sections(&things).replace("compass", "gyroscope"));
    let second = cli.ingest(0);
    assert_eq!((&second["accepted"], &second["visible"]), (&json!(1), &json!(1)));
    assert!(second["embedded"].as_u64() < first["embedded"].as_u64(), "{second}");
    let context = cli.context("Where is the compass?");
    assert!(!context.contains("compass"), "{context}");
    assert!(cli.context("Where is the gyroscope?").contains("gyroscope"));
    let status = cli.json(0, &["status", "--collection", "c"]);
    assert_eq!(
        (&status["visible"], &status["superseded"], &status["documents"]),
        (&json!(1), &json!(1), &json!(1))
    );
}

#[test]
fn a_deleted_document_is_not_found_again() {
    let cli = CliSandbox::new();
    cli.write("a.md", sections(&["lighthouse"]));
    cli.write("b.md", sections(&["anchor"]));
    cli.ingest(0);
    let error = cli.error(3, &["delete", "--collection", "c", "a.md", "unknown.md"]);
    assert_eq!(error["code"], "document_not_found");
    assert!(error["message"].as_str().unwrap().contains("unknown.md"));
    assert!(!cli.context("lighthouse").contains("lighthouse"));
    assert!(cli.context("anchor").contains("anchor"));
    assert_eq!(cli.error(3, &["delete", "--collection", "c", "a.md"])["code"], "document_not_found");
    assert_eq!(cli.json(0, &["delete", "--collection", "c", "b.md"]), json!({"deleted": 1, "not_found": []}));
    assert_eq!(cli.json(0, &["status", "--collection", "c"])["documents"], 0);
    let back = cli.ingest(0);
    assert_eq!((&back["accepted"], &back["embedded"]), (&json!(2), &json!(0)), "{back}");
    assert!(cli.context("lighthouse").contains("lighthouse"));
}

#[test]
fn a_document_that_cannot_be_read_dies_with_a_reason() {
    let cli = CliSandbox::new();
    cli.write("a.md", sections(&["lighthouse"]));
    cli.write("bad.txt", b"\xff\xfe\xfd");
    let ran = cli.run(&["ingest", "--collection", "c", "--pipeline", "hash.toml", "--json", "docs"]);
    assert_eq!(ran.code, 1);
    assert_eq!((&ran.json()["visible"], &ran.json()["dead"]), (&json!(1), &json!(1)));
    let error = ran.error();
    assert_eq!(error["code"], "documents_died");
    let message = error["message"].as_str().unwrap();
    assert!(message.contains("bad.txt") && message.contains("dead list"), "{message}");

    let listed = cli.json(0, &["dead", "list", "--collection", "c"]);
    assert_eq!(listed["dead"].as_array().unwrap().len(), 1);
    let letter = &listed["dead"][0];
    assert_eq!((&letter["document_id"], &letter["stage"]), (&json!("bad.txt"), &json!("chunk")));
    assert_eq!(letter["reason"]["code"], "invalid_encoding");
    let id = letter["id"].to_string();
    assert_eq!(&cli.json(0, &["dead", "show", &id]), letter);
    let shown = cli.run(&["dead", "show", &id]);
    assert!(shown.stdout.contains("invalid_encoding"), "{}", shown.stdout);
}

#[test]
fn dead_letters_are_selected_replayed_and_dropped() {
    let cli = CliSandbox::new();
    cli.write("one.txt", b"\xff\xfe\xfd");
    cli.write("two.txt", b"\xfe\xff\xfd");
    cli.ingest(1);
    let number = |arguments: &[&str]| {
        cli.json(0, &[&["dead", "list"], arguments].concat())["dead"].as_array().unwrap().len()
    };
    assert_eq!(number(&[]), 2);
    assert_eq!(number(&["--limit", "1"]), 1);
    assert_eq!(number(&["--reason", "invalid_encoding", "--stage", "chunk", "--since", "1h"]), 2);
    assert_eq!(number(&["--reason", "conflict"]), 0);
    assert_eq!(number(&["--stage", "index"]), 0);

    let dry = cli.json(0, &["dead", "replay", "--dry-run"]);
    assert_eq!(dry, json!({"matched": 2, "replayed": 0, "dead": 0}));
    let replayed = cli.run(&["dead", "replay", "--json"]);
    assert_eq!((replayed.code, replayed.error()["code"].as_str()), (1, Some("documents_died")));
    assert_eq!(replayed.json(), json!({"matched": 2, "replayed": 2, "dead": 2}));

    let dry = cli.json(0, &["dead", "drop", "--dry-run"]);
    assert_eq!(dry, json!({"matched": 2, "dropped": 0}));
    assert_eq!(cli.json(0, &["dead", "drop"]), json!({"matched": 2, "dropped": 2}));
    assert_eq!(number(&[]), 0);
    let status = cli.json(0, &["status", "--collection", "c"]);
    assert_eq!((&status["dead"], &status["in_flight"]), (&json!(0), &json!(0)));
}

#[test]
fn accepted_is_enough_with_no_wait_and_the_next_run_ends_it() {
    let cli = CliSandbox::new();
    for number in 0..40 {
        cli.write(&format!("{number}.md"), sections(&["lighthouse", "anchor", "harbour"]));
    }
    let arguments = ["ingest", "--collection", "c", "--pipeline", "hash.toml", "--no-wait", "docs"];
    assert_eq!(cli.json(0, &arguments)["accepted"], 40);
    let next = cli.ingest(0);
    assert_eq!((&next["unchanged"], &next["in_flight"]), (&json!(40), &json!(0)), "{next}");
    let counts = cli.json(0, &["status", "--collection", "c"]);
    assert_eq!((&counts["visible"], &counts["accepted"]), (&json!(40), &json!(40)));
}

#[test]
fn another_pipeline_than_the_stored_one_is_refused() {
    let cli = CliSandbox::new();
    cli.write("a.md", "text");
    cli.ingest(0);
    fs::write(cli.path("other.toml"), super::HASH_PIPELINE.replace("64", "128")).unwrap();
    let error = cli.error(1, &["ingest", "--collection", "c", "--pipeline", "other.toml", "docs"]);
    assert_eq!(error["code"], "pipeline_differs");
    cli.json(0, &["ingest", "--collection", "c", "docs"]);
}

#[test]
fn a_person_reads_lines_with_numbers_and_units() {
    let cli = CliSandbox::new();
    cli.write("a.md", sections(&["lighthouse"]));
    let ran = cli.run(&["ingest", "--collection", "c", "--pipeline", "hash.toml", "docs"]);
    assert!(
        ran.stdout.starts_with("c: 1 document accepted, 1 visible, 0 unchanged, 0 dead\n"),
        "{}",
        ran.stdout
    );
    let status = cli.run(&["status"]);
    let lines: Vec<&str> = status.stdout.lines().collect();
    assert!(lines[0].starts_with("collection  accepted  in flight  visible"), "{}", status.stdout);
    assert!(lines[1].starts_with("c                  1          0        1"), "{}", status.stdout);
}

#[test]
fn the_demo_works_anywhere_and_leaves_nothing() {
    let cli = CliSandbox::new();
    let temporary = cli.path("tmp");
    fs::create_dir(&temporary).unwrap();
    let run = |arguments: &[&str]| {
        CommandOutput::from(bare(Path::new("/"), arguments).env("TMPDIR", &temporary).output().unwrap())
    };
    let ran = run(&["demo", "--json"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let report = ran.json();
    let answer = &report["answer"];
    assert!(answer["tokens"].as_u64() <= answer["budget"].as_u64());
    assert!(!answer["passages"].as_array().unwrap().is_empty());
    assert!(answer["context"].as_str().unwrap().contains("message-queues.md"), "{}", answer["context"]);
    let told = run(&["demo", "--budget", "300", "What is a tombstone for?"]);
    assert_eq!(told.code, 0, "{}", told.stderr);
    assert!(told.stdout.contains("of 300 tokens (cl100k_base)"), "{}", told.stdout);
    assert_eq!(fs::read_dir(&temporary).unwrap().count(), 0);
}
