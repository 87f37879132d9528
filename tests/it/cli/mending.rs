//! Stores that are gone or were tampered with: said, found, mended.

use std::fs;
use std::process::Command;
use std::time::Duration;

use contexture::domain::ids::ChunkId;
use serde_json::{Value, json};
use tokio::time::Instant;

#[cfg(unix)]
use super::serving::ServeProcess;
use super::{CliSandbox, names};

const THINGS: [&str; 12] = [
    "lighthouse",
    "anchor",
    "harbour",
    "compass",
    "rudder",
    "sextant",
    "keel",
    "mast",
    "buoy",
    "tide",
    "reef",
    "galley",
];

/// Documents, one of them changed and one deleted since.
fn filled() -> CliSandbox {
    let cli = CliSandbox::new();
    for thing in THINGS {
        let part = |number: usize| {
            format!("## Part {number}\n\n{}\n\n", format!("The {thing} of part {number}. ").repeat(20))
        };
        cli.write(&format!("{thing}.md"), format!("# The {thing}\n\n{}{}{}", part(1), part(2), part(3)));
    }
    cli.ingest(0);
    cli.write("anchor.md", "# The anchor\n\nAn anchor was changed since.\n");
    cli.ingest(0);
    cli.json(0, &["delete", "--collection", "c", "galley.md"]);
    cli
}

impl CliSandbox {
    fn store(&self, name: &str) -> std::path::PathBuf {
        self.data().join("collections/local/c/1").join(name)
    }

    fn audit(&self, code: i32) -> Value {
        self.json(code, &["audit", "--collection", "c"])
    }

    /// Contexts, traces and rankings, byte for byte. The snapshot's number counts commits, and differs.
    fn answers(&self) -> Vec<String> {
        let forms: [&[&str]; 4] = [
            &["query", "--budget", "300", "--explain"],
            &["query", "--budget", "1000", "--format", "xml"],
            &["query", "--budget", "500", "--continuable"],
            &["search", "--top-k", "50"],
        ];
        let mut answers = Vec::new();
        for question in ["Where is the compass?", "reef and tide", "what has changed at the anchor", "galley"]
        {
            for form in forms {
                let arguments = [form, &["--collection", "c", question]].concat();
                let mut answer = self.json(0, &arguments);
                answer.as_object_mut().unwrap().remove("snapshot");
                answers.push(answer.to_string());
            }
        }
        answers
    }
}

#[test]
fn an_audit_is_a_contract() {
    let cli = filled();
    let ran = cli.run(&["audit", "--collection", "c", "--json"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{}", ran.stdout);
    let contract = ["documents", "missing", "stale", "orphan", "drift"];
    assert_eq!(names(&ran.stdout)[..contract.len()], contract);
    let counts = ran.json();
    assert_eq!(counts["documents"], 11);
    assert!(contract[1..].iter().all(|name| counts[name] == 0), "{counts}");
    assert_eq!(cli.json(0, &["audit"])["collections"][0]["collection"], "c");
    let told = cli.run(&["audit"]);
    let lines: Vec<&str> = told.stdout.lines().collect();
    assert!(lines[0].starts_with("collection  documents  missing  stale  orphan  drift"), "{}", told.stdout);
    assert!(lines[1].starts_with("c                  11        0"), "{}", told.stdout);
    assert_eq!(cli.error(3, &["audit", "--collection", "unknown"])["code"], "unknown_collection");
    assert_eq!(cli.error(3, &["repair", "--collection", "unknown"])["code"], "unknown_collection");
    cli.error(2, &["audit", "--collection", "not/a/name"]);
    let status = cli.json(0, &["status", "--collection", "c"]);
    assert_eq!((&status["audit"]["documents"], &status["audit"]["missing"]), (&json!(11), &json!(0)));
}

#[test]
fn what_was_removed_comes_back_byte_for_byte() {
    let cli = filled();
    let before = cli.answers();
    for lost in [&["lexical"][..], &["vectors"], &["lexical", "vectors"]] {
        for store in lost {
            fs::remove_dir_all(cli.store(store)).unwrap();
        }
        let query = ["query", "--collection", "c", "--budget", "300", "compass"];
        assert_eq!(
            cli.json(0, &query)["degraded"],
            json!(["INDEX"]),
            "{lost:?}: it does not serve nothing silently"
        );
        let told = cli.run(&query);
        assert!(told.stderr.contains("contexture repair"), "{}", told.stderr);

        let ran = cli.run(&["audit", "--collection", "c", "--json"]);
        assert_eq!((ran.code, ran.error()["code"].as_str()), (1, Some("stores_differ")));
        // A tombstone has no point.
        let missing = if lost.contains(&"lexical") { 12 } else { 11 };
        assert_eq!((&ran.json()["documents"], &ran.json()["missing"]), (&json!(11), &json!(missing)));
        assert_eq!(ran.json()["collections"][0]["findings"].as_array().unwrap().len(), missing);
        let dry = cli.json(0, &["repair", "--collection", "c", "--dry-run"]);
        assert_eq!((&dry["missing"], &dry["mended"]), (&json!(missing), &json!(0)));
        assert_eq!(cli.audit(1)["missing"], missing, "nothing was changed");
        assert_eq!(cli.json(0, &["status", "--collection", "c"])["audit"]["missing"], missing);

        let repaired = cli.json(0, &["repair", "--collection", "c"]);
        assert_eq!((&repaired["mended"], &repaired["failed"]), (&json!(missing), &json!(0)));
        assert_eq!(cli.audit(0)["missing"], 0);
        for (answer, before) in cli.answers().iter().zip(&before) {
            assert_eq!(answer, before, "{lost:?}");
        }
        assert_eq!(cli.json(0, &["status", "--collection", "c"])["audit"]["missing"], 0);
    }
    let told = cli.run(&["repair"]);
    assert!(told.stdout.starts_with("11 documents compared: 0 missing, 0 stale"), "{}", told.stdout);
}

/// An index from an old copy: it lacks what came since, and has what was deleted.
#[test]
fn index_from_an_old_copy_is_brought_up() {
    let cli = filled();
    let copy = cli.path("copy");
    let copied = |from: &std::path::Path, to: &std::path::Path| {
        assert!(Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap().success());
    };
    copied(&cli.store("lexical"), &copy);
    cli.write("new.md", "# New\n\nA capstan came since.\n");
    cli.write("anchor.md", "# The anchor\n\nAn anchor was changed once more.\n");
    cli.ingest(0);
    cli.json(0, &["delete", "--collection", "c", "mast.md"]);
    let before = cli.answers();
    fs::remove_dir_all(cli.store("lexical")).unwrap();
    copied(&copy, &cli.store("lexical"));
    let counts = cli.audit(1);
    let found =
        ["documents", "missing", "stale", "orphan", "drift"].map(|name| counts[name].as_u64().unwrap());
    // galley.md came back with the folder of documents, and so is stale, too.
    assert_eq!(found, [12, 1, 3, 0, 0], "{counts}");
    assert_eq!(cli.json(0, &["repair"])["mended"], 4);
    cli.audit(0);
    assert_eq!(cli.answers(), before);
}

#[test]
fn wiped_queues_are_filled_again() {
    let cli = CliSandbox::new();
    for number in 0..40 {
        cli.write(&format!("{number}.md"), format!("# Thing {number}\n\n{}", "It is a thing. ".repeat(50)));
    }
    cli.json(0, &["ingest", "--collection", "c", "--pipeline", "hash.toml", "--no-wait", "docs"]);
    let ledger = rusqlite::Connection::open(cli.data().join("ledger.sqlite")).unwrap();
    for queue in ["messages_chunk", "messages_embed", "messages_index", "delayed_messages"] {
        ledger.execute(&format!("DELETE FROM {queue}"), []).unwrap();
    }
    drop(ledger);
    let in_flight = cli.json(0, &["status", "--collection", "c"])["in_flight"].as_u64().unwrap();
    let repaired = cli.json(0, &["repair"]);
    assert_eq!(repaired["requeued"], in_flight, "{repaired}");
    let status = cli.json(0, &["status", "--collection", "c"]);
    assert_eq!((&status["visible"], &status["in_flight"]), (&json!(40), &json!(0)));
    cli.audit(0);
}

#[cfg(unix)]
#[test]
fn server_audits_by_the_clock() {
    let cli = filled();
    let audited = |cli: &CliSandbox| {
        let deadline = Instant::now() + Duration::from_mins(1);
        loop {
            let audit = cli.json(0, &["status", "--collection", "c"])["audit"].clone();
            if audit["missing"].as_u64() > Some(0) || (Instant::now() > deadline) {
                return audit;
            }
        }
    };
    fs::remove_dir_all(cli.store("vectors")).unwrap();
    let server = ServeProcess::start(&cli, &[("CONTEXTURE__AUDIT__INTERVAL_MS", "100")]);
    assert_eq!(audited(&cli)["missing"], 11);
    let logs = server.stop();
    assert!(logs.contains("stores and ledger differ"), "{logs}");
    assert!(logs.lines().any(|line| line.contains("ERROR") && line.contains("contexture repair")), "{logs}");
}

/// A chunk's id is of no use outside, but a finding names a point by it.
#[test]
fn findings_name_what_is_nobodys() {
    let cli = filled();
    let open = || {
        let vectors = contexture::adapters::edge::QdrantEdgeVectors::open(&cli.store("vectors"), 64);
        std::sync::Arc::new(vectors.unwrap()) as std::sync::Arc<dyn contexture::ports::vectors::VectorStore>
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let point = contexture::ports::vectors::VectorPoint {
        id: ChunkId::from_uuid(uuid::Uuid::from_u128(7)),
        vector: vec![0.125; 64],
        document_id: crate::support::document("nobody.md"),
        version: crate::support::version(1),
        facets: Vec::new(),
        numbers: Vec::new(),
        place: None,
        readers: vec!["*".to_owned()],
    };
    runtime.block_on(async { open().upsert(vec![point]).await.unwrap() });
    let counts = cli.audit(1);
    assert_eq!((&counts["orphan"], &counts["missing"]), (&json!(1), &json!(0)), "{counts}");
    let finding = &counts["collections"][0]["findings"][0];
    assert_eq!((&finding["kind"], &finding["store"]), (&json!("orphan"), &json!("vectors")));
    assert_eq!(finding["document_id"], "nobody.md");
    assert_eq!(finding["point"], "00000000-0000-0000-0000-000000000007");
    let told = cli.run(&["audit", "--collection", "c"]);
    assert!(told.stdout.contains("nobody.md") && told.stderr.contains("contexture repair --collection c"));
    assert_eq!(cli.json(0, &["repair"])["mended"], 1);
    cli.audit(0);
}
