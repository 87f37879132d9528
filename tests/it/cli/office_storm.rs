//! A thousand files, of which one in twenty cannot be read, while their readers are killed.

use std::collections::BTreeMap;
use std::fs;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::{CliSandbox, CommandOutput};
use crate::support::office_files::{TestSheet, docx, pdf, pptx, xlsx};

/// Files in all.
const FILES: usize = 1000;
/// One file in so many cannot be read.
const BAD_ONE_IN: usize = 20;
/// Readers that must have come and gone between two kills, so that no document meets two.
const CHILDREN_BETWEEN_KILLS: usize = 12;

/// A file that is whole, by its number, and its ending.
fn good(number: usize) -> (&'static str, Vec<u8>) {
    let words = format!("Report {number} tells of harbour {number} and its {} cranes.", number % 7);
    match number % 4 {
        0 => ("pdf", pdf(&[&words, "The second page is about ropes."])),
        1 => ("docx", docx(&["# Report", &words])),
        2 => ("pptx", pptx(&[("Report", &words), ("Ropes", "They are blue.")])),
        _ => {
            let rows = vec![(1, vec!["Report", "Text"]), (2, vec!["one", &words])];
            ("xlsx", xlsx(&[TestSheet { name: "Reports", hidden: false, rows }]))
        }
    }
}

/// A file that cannot be read, and why.
fn bad(number: usize) -> (&'static str, Vec<u8>, &'static str) {
    let (kind, whole) = good(number);
    match number % 5 {
        0 => ("pdf", pdf(&["", ""]), "no_text_layer"),
        1 => ("pdf", b"%PDF-1.7\nnothing that follows is an object\n".to_vec(), "corrupt_document"),
        // Its directory is at its end.
        2 if kind != "pdf" => (kind, whole[..whole.len() * 2 / 3].to_vec(), "corrupt_document"),
        _ => ("docx", docx(&[]), "empty_document"),
    }
}

/// Kills readers of documents, children of a process, until it ends; returns how many.
#[cfg(target_os = "linux")]
fn kill_readers(parent: u32, ended: &dyn Fn() -> bool) -> usize {
    let mut seen = std::collections::BTreeSet::new();
    let (mut kills, mut seen_at_kill) = (0, 0);
    while !ended() {
        let listed = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).unwrap_or_default();
        let threads = fs::read_dir(format!("/proc/{parent}/task")).into_iter().flatten().flatten();
        let of_threads =
            threads.map(|task| fs::read_to_string(task.path().join("children")).unwrap_or_default());
        let all: String = std::iter::once(listed).chain(of_threads).collect::<Vec<_>>().join(" ");
        let children: Vec<u32> = all.split_whitespace().filter_map(|id| id.parse().ok()).collect();
        seen.extend(children.iter().copied());
        if seen.len() >= seen_at_kill + CHILDREN_BETWEEN_KILLS
            && let Some(child) = children.get(kills % children.len().max(1))
        {
            let killed = Command::new("kill").args(["-9", &child.to_string()]).stderr(Stdio::null()).status();
            if killed.is_ok_and(|status| status.success()) {
                kills += 1;
                seen_at_kill = seen.len();
            }
        }
        std::thread::yield_now();
    }
    kills
}

#[cfg(target_os = "linux")]
#[test]
fn a_thousand_files_of_which_fifty_cannot_be_read_while_readers_are_killed() {
    let cli = CliSandbox::new();
    let mut expected: BTreeMap<String, &str> = BTreeMap::new();
    for number in 0..FILES {
        if number % BAD_ONE_IN == 7 {
            let (kind, body, reason) = bad(number / BAD_ONE_IN);
            let name = format!("bad-{number:04}.{kind}");
            cli.write(&name, body);
            expected.insert(name, reason);
        } else {
            let (kind, body) = good(number);
            cli.write(&format!("good-{number:04}.{kind}"), body);
        }
    }
    let mut command =
        cli.command(&["ingest", "--collection", "c", "--pipeline", "hash.toml", "--json", "docs"]);
    let mut process = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let parent = process.id();
    let done = std::sync::atomic::AtomicBool::new(false);
    let (ran, kills) = std::thread::scope(|scope| {
        let killer = scope.spawn(|| kill_readers(parent, &|| done.load(std::sync::atomic::Ordering::SeqCst)));
        // The pipes hold what a command prints.
        process.wait().unwrap();
        done.store(true, std::sync::atomic::Ordering::SeqCst);
        (CommandOutput::from(process.wait_with_output().unwrap()), killer.join().unwrap())
    });
    let summary: Value = ran.json();
    assert_eq!(
        (&summary["visible"], &summary["dead"]),
        (&json!(FILES - expected.len()), &json!(expected.len())),
        "{kills} kills: {}",
        ran.stderr
    );
    assert!(kills >= 10, "{kills} kills");
    let letters = cli.json(0, &["dead", "list", "--collection", "c", "--limit", "1000"]);
    let found: BTreeMap<String, &str> = letters["dead"]
        .as_array()
        .unwrap()
        .iter()
        .map(|letter| {
            (letter["document_id"].as_str().unwrap().to_owned(), letter["reason"]["code"].as_str().unwrap())
        })
        .collect();
    assert_eq!(found, expected);
    assert!(cli.context("harbour 501 cranes").contains("harbour 501"));
}
