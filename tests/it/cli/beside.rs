//! Commands that read a data directory beside its writer, and beside each other.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::SystemTime;

use serde_json::{Value, json};

use super::CliSandbox;
use super::serving::ServeProcess;

const SEARCH: [&str; 5] = ["search", "--collection", "c", "what guides ships", "--json"];

fn filled() -> CliSandbox {
    let cli = CliSandbox::new();
    for thing in ["lighthouse", "anchor", "harbour", "compass"] {
        let sentence = format!("The {thing} guides and keeps ships in its own way. ");
        cli.write(&format!("{thing}.md"), format!("# On the {thing}\n\n{}\n", sentence.repeat(8)));
    }
    cli.ingest(0);
    cli
}

/// Every file of a folder, and when it was changed.
fn files(folder: &Path) -> BTreeMap<PathBuf, (Vec<u8>, Option<SystemTime>)> {
    let mut files = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                files.insert(path.clone(), (Vec::new(), None));
                folders.push(path);
            } else {
                let changed = std::fs::metadata(&path).unwrap().modified().unwrap();
                files.insert(path.clone(), (std::fs::read(&path).unwrap(), Some(changed)));
            }
        }
    }
    files
}

/// Without its address the server is only whoever holds the directory, and no command asks it.
fn hide_address(cli: &CliSandbox) {
    std::fs::remove_file(cli.data().join("server.json")).unwrap();
}

/// Runs commands at once; each must succeed. Returns what they printed.
fn at_once(cli: &CliSandbox, commands: &[&[&str]]) -> Vec<Value> {
    let spawn = |arguments: &&[&str]| {
        cli.command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let running: Vec<_> = commands.iter().map(spawn).collect();
    let ended = running.into_iter().map(|process| process.wait_with_output().unwrap());
    ended
        .map(|output| {
            let stderr = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(0), "{stderr}");
            serde_json::from_slice(&output.stdout).unwrap()
        })
        .collect()
}

#[test]
fn eight_searches_at_once_need_no_server_and_change_nothing() {
    let cli = filled();
    let before = files(&cli.data());
    let answers = at_once(&cli, &[&SEARCH[..]; 8]);
    for answer in &answers {
        assert_eq!(answer["degraded"], json!([]));
        assert_eq!(answer["results"].as_array().unwrap().len(), 4);
        assert_eq!(answer, &answers[0]);
    }
    let others: [&[&str]; 4] = [
        &["query", "--collection", "c", "--budget", "200", "anchor", "--json"],
        &["status", "--json"],
        &["dead", "list", "--json"],
        &["status", "--collection", "c", "anchor.md", "--json"],
    ];
    assert_eq!(at_once(&cli, &others)[0]["degraded"], json!([]));
    let after = files(&cli.data());
    assert_eq!(after.keys().collect::<Vec<_>>(), before.keys().collect::<Vec<_>>());
    assert!(after == before, "a reader wrote something");
}

#[test]
fn readers_run_beside_a_server() {
    let cli = filled();
    let server = ServeProcess::start(&cli, &[]);
    hide_address(&cli);
    let readers: [&[&str]; 5] = [
        &SEARCH[..],
        &["query", "--collection", "c", "--budget", "200", "anchor", "--json"],
        &["status", "--json"],
        &["dead", "list", "--json"],
        &["audit", "--collection", "c", "--json"],
    ];
    let answers = at_once(&cli, &readers);
    assert_eq!((&answers[0]["degraded"], &answers[1]["degraded"]), (&json!([]), &json!([])));
    assert_eq!(answers[0]["results"].as_array().unwrap().len(), 4);
    server.stop();
}

#[test]
fn readers_run_beside_a_busy_writer() {
    let cli = filled();
    for round in 0..4 {
        for number in 0..20 {
            let text = format!("# Note {number}\n\nThe compass of round {round} guides ships.\n");
            cli.write(&format!("note-{number}.md"), text);
        }
        let ingest = ["ingest", "--collection", "c", "--pipeline", "hash.toml", "docs", "--json"];
        let searches = [&ingest[..], &SEARCH, &SEARCH, &SEARCH];
        for answer in &at_once(&cli, &searches)[1..] {
            assert_eq!(answer["degraded"], json!([]), "round {round}");
            assert!(!answer["results"].as_array().unwrap().is_empty());
        }
    }
}

#[test]
fn second_writer_is_told_who_holds_the_directory() {
    let cli = filled();
    let server = ServeProcess::start(&cli, &[]);
    hide_address(&cli);
    let error = cli.error(1, &["ingest", "--collection", "c", "docs"]);
    assert_eq!((&error["code"], &error["field"]), (&json!("data_dir_in_use"), &json!("data_dir")));
    let message = error["message"].as_str().unwrap();
    assert!(message.contains(&format!("process {};", server.id())), "{message}");
    assert!(message.contains("--server") && message.contains("stop it"), "{message}");
    server.stop();
    cli.ingest(0);
}
