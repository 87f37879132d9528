//! A folder and its collection stay in step: what is gone, emptied, unreadable, unchanged or dead.

use std::fs::{self, File};
use std::io::Write as _;
use std::process::Stdio;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use super::CliSandbox;
#[cfg(unix)]
use super::serving::ServeProcess;

/// Well past the age below which a file may still be changing.
const SETTLED_AGE: Duration = Duration::from_hours(1);
/// A body that is not UTF-16, although it says so: it dies.
const UNDECODABLE: &[u8] = b"\xff\xfe\xfd";

impl CliSandbox {
    /// Writes a file that was changed long ago, a little longer ago the higher `age` is.
    #[expect(clippy::disallowed_methods, reason = "the times of files are the system's")]
    fn write_settled(&self, name: &str, text: impl AsRef<[u8]>, age: u64) {
        self.write(name, text);
        let file = File::options().write(true).open(self.path("docs").join(name)).unwrap();
        file.set_modified(SystemTime::now() - SETTLED_AGE - Duration::from_secs(age)).unwrap();
    }

    fn remove(&self, name: &str) {
        fs::remove_file(self.path("docs").join(name)).unwrap();
    }

    fn ingest_with(&self, code: i32, arguments: &[&str]) -> Value {
        self.json(code, &[&["ingest", "--collection", "c", "--pipeline", "hash.toml"], arguments].concat())
    }

    fn document_ids(&self) -> Vec<String> {
        let listed = self.json(0, &["documents", "list", "--collection", "c"]);
        let documents = listed["documents"].as_array().unwrap().iter();
        documents.map(|one| one["document_id"].as_str().unwrap().to_owned()).collect()
    }
}

fn about(thing: &str) -> String {
    format!("# {thing}\n\nThe {thing} is described here, and nothing but the {thing}.\n")
}

#[test]
fn what_is_gone_is_said_and_pruned() {
    let cli = CliSandbox::new();
    for thing in ["lighthouse", "anchor", "harbour"] {
        cli.write(&format!("{thing}.md"), about(thing));
    }
    cli.write("deep/compass.md", about("compass"));
    assert_eq!(cli.ingest(0)["gone"], 0);
    cli.remove("anchor.md");
    fs::remove_dir_all(cli.path("docs/deep")).unwrap();
    fs::rename(cli.path("docs/harbour.md"), cli.path("docs/port.md")).unwrap();

    let ran = cli.run(&["ingest", "--collection", "c", "docs"]);
    let note = "3 documents of earlier runs have no file any more: anchor.md, deep/compass.md, harbour.md; \
                --prune deletes them";
    assert!(ran.code == 0 && ran.stderr.contains(note), "{}", ran.stderr);
    assert!(cli.context("Where is the anchor?").contains("anchor"), "nothing is deleted unasked");

    let pruned = cli.ingest_with(0, &["--prune", "docs"]);
    assert_eq!((&pruned["gone"], &pruned["pruned"], &pruned["accepted"]), (&json!(3), &json!(3), &json!(0)));
    assert_eq!(cli.document_ids(), ["lighthouse.md", "port.md"]);
    assert!(!cli.context("Where is the compass?").contains("compass"));
    let again = cli.ingest_with(0, &["--prune", "docs"]);
    assert_eq!((&again["gone"], &again["pruned"]), (&json!(0), &json!(0)));
}

#[test]
fn a_renamed_file_costs_no_embedding() {
    let cli = CliSandbox::new();
    cli.write("a.md", about("lighthouse"));
    cli.ingest(0);
    fs::rename(cli.path("docs/a.md"), cli.path("docs/b.md")).unwrap();
    let renamed = cli.ingest_with(0, &["--prune", "docs"]);
    assert_eq!((&renamed["accepted"], &renamed["embedded"]), (&json!(1), &json!(0)), "{renamed}");
    assert_eq!(cli.document_ids(), ["b.md"]);
}

#[test]
fn a_run_over_a_part_prunes_only_there() {
    let cli = CliSandbox::new();
    for name in ["a.md", "sub/b.md", "sub/c.md", "other/d.md"] {
        cli.write(name, about("anchor"));
    }
    cli.ingest(0);
    for name in ["a.md", "sub/b.md", "other/d.md"] {
        cli.remove(name);
    }
    let part = cli.ingest_with(0, &["--prune", "docs/sub"]);
    assert_eq!((&part["pruned"], &part["unchanged"]), (&json!(1), &json!(1)), "{part}");
    assert_eq!(cli.document_ids(), ["a.md", "other/d.md", "sub/c.md"], "ids go on from the known root");
    assert_eq!(cli.ingest_with(0, &["--prune", "docs"])["pruned"], 2);
    assert_eq!(cli.document_ids(), ["sub/c.md"]);
}

#[test]
fn folder_and_file_of_one_project_go_together() {
    let cli = CliSandbox::new();
    cli.write("README.md", about("anchor"));
    fs::write(cli.path("README.md"), about("lighthouse")).unwrap();
    assert_eq!(cli.ingest_with(0, &["docs", "README.md"])["accepted"], 2);
    assert_eq!(cli.document_ids(), ["README.md", "docs/README.md"]);
    let alone = cli.ingest_with(0, &["docs"]);
    assert_eq!((&alone["unchanged"], &alone["gone"]), (&json!(1), &json!(0)), "{alone}");
    assert_eq!(cli.document_ids(), ["README.md", "docs/README.md"]);
}

#[test]
fn an_emptied_file_is_deleted_and_an_unreadable_one_is_still_answered() {
    let cli = CliSandbox::new();
    cli.write("a.md", about("lighthouse"));
    cli.write("b.md", about("anchor"));
    cli.write("c.md", "");
    assert_eq!(cli.ingest(0)["skipped"], 1);
    cli.write("a.md", "");
    cli.write("b.md", [0x89, b'P', b'N', b'G', 0x0D, 0x0A, 0x1A, 0x0A, 0, 0, 0, 13, 0, 1, 2, 3]);
    let ran = cli.run(&["ingest", "--collection", "c", "docs"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let note = "docs/b.md is image/png now, which is not read; version 1 of it is still answered";
    assert!(ran.stderr.contains(note), "{}", ran.stderr);
    assert_eq!(cli.document_ids(), ["b.md"]);
    let pruned = cli.ingest_with(0, &["--prune", "docs"]);
    assert_eq!((&pruned["pruned"], &pruned["gone"]), (&json!(0), &json!(0)), "{pruned}");
    assert_eq!(cli.document_ids(), ["b.md"], "it is there, and only not read");
}

#[test]
fn a_type_that_is_not_read_is_an_error_only_where_it_is_named() {
    let cli = CliSandbox::new();
    cli.write("a.md", about("lighthouse"));
    let picture = [0x89, b'P', b'N', b'G', 0x0D, 0x0A, 0x1A, 0x0A, 0, 0, 0, 13, 0, 1, 2, 3];
    cli.write("logo.png", picture);
    cli.write("without-ending", picture);
    let summary = cli.ingest(0);
    assert_eq!(
        (&summary["accepted"], &summary["skipped"], &summary["dead"]),
        (&json!(1), &json!(2), &json!(0))
    );
    let error = cli.error(1, &["ingest", "--collection", "c", "docs/logo.png"]);
    assert_eq!(error["code"], "documents_refused");
    assert!(error["message"].as_str().unwrap().contains("is image/png, which is not read"), "{error}");
}

#[test]
fn unchanged_files_are_not_read() {
    let cli = CliSandbox::new();
    cli.write_settled("a.md", about("lighthouse"), 1);
    cli.write_settled("b.md", about("harbour"), 1);
    cli.ingest(0);
    // As long as before and changed at the same time: only reading it would tell.
    let file = File::options().write(true).open(cli.path("docs/a.md")).unwrap();
    let changed = file.metadata().unwrap().modified().unwrap();
    (&file).write_all(about("lighthause").as_bytes()).unwrap();
    file.set_modified(changed).unwrap();
    drop(file);
    let second = cli.ingest(0);
    assert_eq!((&second["unchanged"], &second["accepted"]), (&json!(2), &json!(0)), "{second}");
    let third = cli.ingest_with(0, &["--checksum", "docs"]);
    assert_eq!((&third["unchanged"], &third["accepted"]), (&json!(1), &json!(1)), "{third}");
    cli.write_settled("a.md", about("lighthouse"), 2);
    assert_eq!(cli.ingest(0)["accepted"], 1, "another time is reason enough to read it");
}

#[test]
fn a_folder_that_is_in_step_is_asked_about_no_file() {
    let cli = CliSandbox::new();
    for thing in ["lighthouse", "anchor", "harbour"] {
        cli.write_settled(&format!("{thing}.md"), about(thing), 1);
    }
    cli.write_settled("empty.md", "", 1);
    cli.write_settled("logo.png", "", 1);
    let ledger = cli.path("data/ledger.sqlite");
    // A run that looks at files says so of each of them.
    let asked = || {
        let ledger = rusqlite::Connection::open(&ledger).unwrap();
        let sql = "SELECT MIN(i.run) = MAX(s.run) FROM source_documents i JOIN sources s USING (source_ref)";
        ledger.query_row(sql, [], |row| row.get::<_, bool>(0)).unwrap()
    };
    let counts = |ran: &Value| {
        ["accepted", "unchanged", "gone", "pruned", "skipped"].map(|name| ran[name].as_u64().unwrap())
    };
    assert_eq!(counts(&cli.ingest(0)), [3, 0, 0, 0, 2]);
    assert_eq!((counts(&cli.ingest(0)), asked()), ([0, 3, 0, 0, 2], false));
    assert_eq!((counts(&cli.ingest_with(0, &["--prune", "docs"])), asked()), ([0, 3, 0, 0, 2], false));
    // A part of a folder says nothing of the whole, and takes nothing from it.
    assert_eq!(counts(&cli.ingest_with(0, &["docs/anchor.md"])), [0, 1, 0, 0, 0]);

    cli.write_settled("anchor.md", about("anchor chain"), 2);
    assert_eq!((counts(&cli.ingest(0)), asked()), ([1, 2, 0, 0, 2], true));
    assert_eq!((counts(&cli.ingest(0)), asked()), ([0, 3, 0, 0, 2], false));
    cli.json(0, &["delete", "--collection", "c", "harbour.md"]);
    assert_eq!((counts(&cli.ingest(0)), asked()), ([1, 2, 0, 0, 2], true), "somebody else deleted one");
    assert_eq!((counts(&cli.ingest(0)), asked()), ([0, 3, 0, 0, 2], false));
    cli.remove("harbour.md");
    for _ in 0..2 {
        assert_eq!(counts(&cli.ingest(0)), [0, 2, 1, 0, 2], "gone until it is pruned");
    }
    assert_eq!(counts(&cli.ingest_with(0, &["--prune", "docs"])), [0, 2, 1, 1, 2]);
    assert_eq!((counts(&cli.ingest(0)), asked()), ([0, 2, 0, 0, 2], false));
    cli.write_settled("harbour.md", about("harbour"), 1);
    assert_eq!((counts(&cli.ingest(0)), asked()), ([1, 2, 0, 0, 2], true));
    assert_eq!(cli.document_ids(), ["anchor.md", "harbour.md", "lighthouse.md"]);
}

#[test]
fn a_document_that_somebody_deleted_comes_back() {
    let cli = CliSandbox::new();
    cli.write_settled("a.md", about("lighthouse"), 1);
    cli.ingest(0);
    cli.json(0, &["delete", "--collection", "c", "a.md"]);
    assert_eq!(cli.ingest(0)["accepted"], 1);
    assert_eq!(cli.document_ids(), ["a.md"]);
}

#[test]
fn the_same_bytes_die_once() {
    let cli = CliSandbox::new();
    cli.write("a.md", about("lighthouse"));
    cli.write_settled("bad.txt", UNDECODABLE, 1);
    cli.write("worse.txt", [UNDECODABLE, b"more"].concat());
    assert_eq!(cli.ingest(1)["dead"], 2);
    let again = cli.ingest(0);
    assert_eq!(
        (&again["unchanged"], &again["still_dead"], &again["dead"]),
        (&json!(3), &json!(2), &json!(0))
    );
    assert_eq!(cli.json(0, &["dead", "list"])["dead"].as_array().unwrap().len(), 2, "no new letters");
    let ran = cli.run(&["ingest", "--collection", "c", "docs"]);
    assert!(ran.stderr.contains("2 files unchanged and dead: bad.txt (invalid_encoding)"), "{}", ran.stderr);
    let error = cli.error(1, &["ingest", "--collection", "c", "--retry-dead", "docs"]);
    assert_eq!(error["code"], "documents_died", "it is tried again, and dies again");
    assert_eq!(cli.json(0, &["dead", "list"])["dead"].as_array().unwrap().len(), 2);
}

#[test]
fn dropped_letters_count_no_more_and_dead_documents_can_be_deleted() {
    let cli = CliSandbox::new();
    cli.write("bad.txt", UNDECODABLE);
    cli.write("a.md", about("lighthouse"));
    cli.ingest(1);
    cli.json(0, &["dead", "drop", "--collection", "c"]);
    assert_eq!(cli.json(0, &["status", "--collection", "c"])["dead"], 0);
    assert_eq!(cli.ingest(1)["dead"], 1, "it is new, and dies");
    cli.json(0, &["delete", "--collection", "c", "bad.txt"]);
    assert_eq!(cli.document_ids(), ["a.md"]);
}

#[test]
fn standard_input_metadata_and_sidecars() {
    let cli = CliSandbox::new();
    let mut child = cli
        .command(&[
            "ingest",
            "--collection",
            "c",
            "--pipeline",
            "hash.toml",
            "--id",
            "notes/today.md",
            "-",
            "--json",
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(about("lighthouse").as_bytes()).unwrap();
    assert!(child.wait_with_output().unwrap().status.success());
    assert_eq!(cli.document_ids(), ["notes/today.md"]);
    assert_eq!(cli.error(2, &["ingest", "--collection", "c", "-"])["code"], "id_missing");
    assert_eq!(
        cli.error(2, &["ingest", "--collection", "c", "--id", "x", "docs"])["code"],
        "id_without_single_file"
    );

    cli.write("a.md", about("anchor"));
    cli.write("b.md", about("harbour"));
    cli.write("b.md.meta.json", r#"{"title": "The harbour", "lang": "de", "groups": ["crew"]}"#);
    let common = ["--metadata", "lang=en", "--metadata", "year=2024", "docs"];
    assert_eq!(cli.ingest_with(0, &common)["accepted"], 2, "a sidecar is no document");
    let shown = |id: &str| cli.json(0, &["documents", "show", "--collection", "c", id]);
    assert_eq!(shown("a.md")["metadata"], json!({"lang": "en", "year": 2024}));
    let described = shown("b.md");
    assert_eq!(described["metadata"], json!({"lang": "de", "year": 2024}));
    assert_eq!((&described["title"], &described["groups"]), (&json!("The harbour"), &json!(["crew"])));
    // What the sidecar says is a part of the document.
    cli.write("b.md.meta.json", "{}");
    assert_eq!(cli.ingest_with(0, &common)["accepted"], 1);
    cli.write("b.md.meta.json", "[]");
    assert_eq!(cli.error(1, &["ingest", "--collection", "c", "docs"])["code"], "documents_refused");
}

#[cfg(unix)]
#[test]
fn beside_a_server_a_folder_stays_in_step_as_well() {
    let cli = CliSandbox::new();
    let server = ServeProcess::start(&cli, &[]);
    for thing in ["lighthouse", "anchor", "harbour"] {
        cli.write_settled(&format!("{thing}.md"), about(thing), 1);
    }
    cli.write("bad.txt", UNDECODABLE);
    let first = cli.ingest(1);
    assert_eq!((&first["accepted"], &first["dead"]), (&json!(4), &json!(1)));
    cli.remove("anchor.md");
    cli.write("harbour.md", "");
    let second = cli.ingest(0);
    assert_eq!(
        (&second["unchanged"], &second["still_dead"], &second["gone"]),
        (&json!(2), &json!(1), &json!(1))
    );
    let third = cli.ingest_with(0, &["--prune", "docs"]);
    assert_eq!((&third["pruned"], &third["gone"]), (&json!(1), &json!(1)), "{third}");
    let answers = |question: &str| cli.context(question);
    assert!(!answers("Where is the anchor?").contains("anchor"));
    assert!(!answers("Where is the harbour?").contains("harbour"));
    assert!(answers("Where is the lighthouse?").contains("lighthouse"));
    server.stop();
}
