//! Commands beside a running `serve`: they find it in the data directory, and do the same as without one.

use std::fs;

use serde_json::{Value, json};

use super::serving::ServeProcess;
use super::{CliSandbox, CommandOutput, bare};

/// A sandbox with a few documents, and a server on its data directory.
fn served() -> (CliSandbox, ServeProcess) {
    let cli = CliSandbox::new();
    for (name, thing) in [("a.md", "lighthouse"), ("b.md", "anchor"), ("deep/c d.md", "harbour")] {
        cli.write(
            name,
            format!("# {thing}\n\nThe {thing} is described here, and nothing but the {thing}.\n"),
        );
    }
    let server = ServeProcess::start(&cli, &[]);
    (cli, server)
}

/// What a command printed, without times and what a commit counts.
fn comparable(mut value: Value) -> Value {
    if let Some(object) = value.as_object_mut() {
        for name in ["snapshot", "seconds", "disk_bytes"] {
            object.remove(name);
        }
    }
    value
}

#[test]
fn documents_are_ingested_found_and_deleted() {
    let (cli, server) = served();
    let first = cli.ingest(0);
    assert_eq!((&first["accepted"], &first["visible"], &first["dead"]), (&json!(3), &json!(3), &json!(0)));
    // Only the process that does the work knows what it cost.
    assert_eq!((&first["chunks"], &first["in_flight"]), (&Value::Null, &json!(0)));
    let again = cli.ingest(0);
    assert_eq!((&again["unchanged"], &again["accepted"]), (&json!(3), &json!(0)));
    assert!(cli.context("Where is the lighthouse?").contains("lighthouse"));
    let found = cli.json(0, &["search", "--collection", "c", "--top-k", "1", "harbour"]);
    assert_eq!(found["results"][0]["document_id"], "deep/c d.md");

    let error = cli.error(3, &["delete", "--collection", "c", "a.md", "unknown.md"]);
    assert_eq!(error["code"], "document_not_found");
    assert!(!cli.context("lighthouse").contains("lighthouse"));
    let deleted = cli.json(0, &["delete", "--collection", "c", "deep/c d.md"]);
    assert_eq!(deleted, json!({"deleted": 1, "not_found": []}));
    assert_eq!(cli.json(0, &["status", "--collection", "c"])["documents"], 1);
    server.stop();
}

#[test]
fn a_server_and_the_directory_say_the_same() {
    let (cli, server) = served();
    cli.write("bad.txt", b"\xff\xfe\xfd");
    assert_eq!(cli.ingest(1)["dead"], 1);
    let commands: [&[&str]; 11] = [
        &["query", "--collection", "c", "--budget", "300", "anchor"],
        &["query", "--collection", "c", "--budget", "300", "--explain", "--format", "xml", "anchor"],
        &["search", "--collection", "c", "anchor"],
        &["status"],
        &["status", "--collection", "c"],
        &["status", "--collection", "c", "a.md"],
        &["dead", "list"],
        &["dead", "reasons"],
        &["audit"],
        &["collections", "show", "c"],
        &["documents", "list", "--collection", "c"],
    ];
    let run = || commands.map(|command| comparable(cli.json(0, command)));
    let there = run();
    let texts = || commands.map(|command| cli.run(command).stdout);
    let there_texts = texts();
    server.stop();
    for ((command, there), here) in commands.iter().zip(there).zip(run()) {
        // The audit that ran meanwhile is a part of the status.
        let without_audit = |mut value: Value| {
            if let Some(object) = value.as_object_mut() {
                object.remove("audit");
            }
            for collection in value["collections"].as_array_mut().into_iter().flatten() {
                collection.as_object_mut().into_iter().for_each(|object| drop(object.remove("audit")));
            }
            value
        };
        assert_eq!(without_audit(there), without_audit(here), "{command:?}");
    }
    for ((command, there), here) in commands.iter().zip(there_texts).zip(texts()) {
        let lines = |text: &str| {
            let timeless = |line: &&str| !line.contains(" ms") && !line.contains("audited at");
            text.lines().filter(timeless).map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(lines(&there), lines(&here), "{command:?}");
    }
}

#[test]
fn dead_letters_are_shown_replayed_and_dropped() {
    let (cli, server) = served();
    cli.write("bad.txt", b"\xff\xfe\xfd");
    let ran = cli.run(&["ingest", "--collection", "c", "--pipeline", "hash.toml", "--json", "docs"]);
    assert_eq!((ran.code, &ran.json()["visible"], &ran.json()["dead"]), (1, &json!(3), &json!(1)));
    let message = ran.error()["message"].as_str().unwrap().to_owned();
    assert!(message.contains("bad.txt (invalid_encoding"), "{message}");
    let letter = cli.json(0, &["dead", "list", "--reason", "invalid_encoding"])["dead"][0].clone();
    let id = letter["id"].to_string();
    assert_eq!(cli.json(0, &["dead", "show", &id]), letter);
    assert_eq!(cli.json(0, &["dead", "list", "--stage", "index", &id])["dead"], json!([]));
    assert_eq!(cli.error(3, &["dead", "show", "999"])["code"], "dead_letter_not_found");
    let reasons = cli.json(0, &["dead", "reasons", "--collection", "c"]);
    assert_eq!(
        (&reasons["reasons"][0]["code"], &reasons["reasons"][0]["count"]),
        (&json!("invalid_encoding"), &json!(1))
    );

    let dry = cli.json(0, &["dead", "replay", "--dry-run"]);
    assert_eq!(dry, json!({"matched": 1, "replayed": 0, "dead": 0}));
    let replayed = cli.run(&["dead", "replay", "--json"]);
    assert_eq!((replayed.code, replayed.error()["code"].as_str()), (1, Some("documents_died")));
    assert_eq!(replayed.json(), json!({"matched": 1, "replayed": 1, "dead": 1}));
    assert_eq!(cli.json(0, &["dead", "drop", "--dry-run"]), json!({"matched": 1, "dropped": 0}));
    assert_eq!(cli.json(0, &["dead", "drop"]), json!({"matched": 1, "dropped": 1}));
    assert_eq!(cli.json(0, &["dead", "list"]), json!({"dead": [], "more": false}));
    server.stop();
}

#[test]
fn collections_are_made_changed_and_deleted() {
    let (cli, server) = served();
    let made = cli.json(0, &["collections", "create", "c", "--pipeline", "hash.toml"]);
    assert_eq!((&made["name"], &made["counts"]["accepted"]), (&json!("c"), &json!(0)));
    assert_eq!(cli.json(0, &["collections", "create", "c", "--pipeline", "hash.toml"]), made);
    assert_eq!(
        cli.error(1, &["collections", "create", "c", "--pipeline", "default"])["code"],
        "pipeline_differs"
    );
    assert_eq!(
        cli.error(2, &["collections", "create", "d", "--pipeline", "nope"])["code"],
        "unknown_pipeline"
    );
    assert_eq!(cli.error(2, &["collections", "set", "c"])["code"], "nothing_to_change");
    let template = "https://wiki.example/{document_id}";
    let set = cli.json(0, &["collections", "set", "c", "--url-template", template]);
    assert_eq!(set["settings"], json!({"url_template": template}));
    cli.ingest(0);
    let shown = cli.json(0, &["documents", "show", "--collection", "c", "deep/c d.md", "--chunks", "--text"]);
    assert_eq!(shown["url"], "https://wiki.example/deep/c%20d.md");
    assert!(shown["text"].as_str().unwrap().contains("harbour"));
    assert_eq!(shown["chunks"][0]["start_byte"], 0);
    let cleared = cli.json(0, &["collections", "set", "c", "--no-url-template"]);
    assert_eq!(cleared["settings"], json!({}));
    let listed = cli.json(0, &["collections", "list"]);
    assert_eq!(listed["collections"].as_array().unwrap().len(), 1);

    let error = cli.error(2, &["collections", "delete", "c"]);
    assert_eq!((&error["code"], &error["field"]), (&json!("not_confirmed"), &json!("yes")));
    assert_eq!(cli.json(0, &["collections", "delete", "c", "--yes"]), json!({"deleted": "c"}));
    assert_eq!(cli.error(3, &["collections", "show", "c"])["code"], "unknown_collection");
    server.stop();
}

#[test]
fn documents_are_listed_shown_and_deleted_by_condition() {
    let (cli, server) = served();
    cli.ingest(0);
    let listed = cli.json(0, &["documents", "list", "--collection", "c", "--limit", "2"]);
    let ids: Vec<&str> = listed["documents"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["document_id"].as_str().unwrap())
        .collect();
    assert_eq!((ids, &listed["more"]), (vec!["a.md", "b.md"], &json!(true)));
    let deep =
        cli.json(0, &["documents", "list", "--collection", "c", "--prefix", "deep/", "--state", "visible"]);
    assert_eq!(deep["documents"].as_array().unwrap().len(), 1);
    assert_eq!(
        cli.error(3, &["documents", "show", "--collection", "c", "no.md"])["code"],
        "document_not_found"
    );
    assert_eq!(cli.error(2, &["documents", "delete", "--collection", "c"])["code"], "no_condition");
    let prefix = ["documents", "delete", "--collection", "c", "--prefix", "deep/"];
    let dry = cli.json(0, &[&prefix[..], &["--dry-run"]].concat());
    assert_eq!((&dry["matched"], &dry["deleted"]), (&json!(1), &json!(0)));
    assert_eq!(cli.json(0, &prefix)["deleted"], 1);
    assert!(!cli.context("harbour").contains("harbour"));
    server.stop();
}

#[test]
fn a_collection_is_audited_repaired_and_built_anew() {
    let (cli, server) = served();
    cli.ingest(0);
    let audited = cli.json(0, &["audit", "--collection", "c"]);
    assert_eq!((&audited["documents"], &audited["missing"]), (&json!(3), &json!(0)));
    assert_eq!(audited["collections"][0]["collection"], "c");
    let repaired = cli.json(0, &["repair"]);
    assert_eq!(
        (&repaired["mended"], &repaired["failed"], &repaired["requeued"]),
        (&json!(0), &json!(0), &Value::Null)
    );
    assert_eq!(cli.json(0, &["repair", "--dry-run"])["documents"], 3);

    fs::write(cli.path("other.toml"), super::HASH_PIPELINE.replace("64", "32")).unwrap();
    let reindex = |action: &str, more: &[&str]| {
        cli.json(0, &[&["reindex", action, "--collection", "c"], more].concat())
    };
    let built = reindex("start", &["--pipeline", "other.toml"]);
    assert_eq!(
        (&built["generations"][0]["generation"], &built["generations"][0]["caught_up"]),
        (&json!(2), &json!(true))
    );
    assert_eq!(reindex("status", &[])["generations"].as_array().unwrap().len(), 2);
    assert_eq!(reindex("pause", &[])["done"], "paused");
    assert_eq!(reindex("resume", &[])["generations"][0]["paused"], false);
    fs::write(cli.path("questions.txt"), "Where is the anchor?\n").unwrap();
    let compared =
        reindex("compare", &["--questions", "questions.txt", "--require", "overlap@3>=0.1", "--top-k", "3"]);
    assert_eq!((&compared["questions"], &compared["requirements"][0]["met"]), (&json!(1), &json!(true)));
    assert_eq!(reindex("activate", &[])["done"], "active");
    assert_eq!(reindex("rollback", &[])["generation"], 1);
    assert_eq!(reindex("drop", &["--grace", "0"])["done"], "dropped");
    assert_eq!(cli.error(3, &["reindex", "cancel", "--collection", "c"])["code"], "no_reindex");
    server.stop();
}

#[test]
fn a_server_is_named_from_anywhere() {
    let (cli, server) = served();
    let url = server.url();
    let elsewhere =
        |arguments: &[&str]| CommandOutput::from(bare(cli.home.path(), arguments).output().unwrap());
    let made = elsewhere(&[
        "ingest",
        "--server",
        &url,
        "--collection",
        "c",
        "--pipeline",
        "hash.toml",
        "docs",
        "--json",
    ]);
    assert_eq!((made.code, &made.json()["visible"]), (0, &json!(3)), "{}", made.stderr);
    assert!(!cli.path("contexture-data").exists());
    let by_variable =
        bare(cli.home.path(), &["status", "--json"]).env("CONTEXTURE_SERVER", &url).output().unwrap();
    assert_eq!(CommandOutput::from(by_variable).json()["collections"][0]["collection"], "c");
    // The option wins, and there is no such directory.
    let other = bare(cli.home.path(), &["status", "--json", "--data", "other"])
        .env("CONTEXTURE_SERVER", &url)
        .output();
    assert_eq!(CommandOutput::from(other.unwrap()).error()["code"], "data_dir_not_found");
    for arguments in [
        &["eval", "--dataset", "docs"][..],
        &["demo"],
        &["query", "--collection", "c", "--budget", "9", "--template", "hash.toml", "x"],
        &["query", "--collection", "c", "--budget", "9", "--tokenizer", "./t.json", "x"],
        &["ingest", "--collection", "c", "--dry-run", "docs"],
    ] {
        let refused = elsewhere(&[arguments, &["--server", &url, "--json"]].concat());
        assert_eq!(refused.code, 2, "{arguments:?}: {}", refused.stderr);
        assert!(
            ["not_on_a_server", "invalid_template"].contains(&refused.error()["code"].as_str().unwrap()),
            "{arguments:?}: {}",
            refused.stderr
        );
    }
    let tenant = elsewhere(&["status", "--server", &url, "--tenant", "acme", "--json"]);
    assert_eq!((tenant.code, &tenant.error()["code"]), (2, &json!("tenant_of_key")));
    let nobody = elsewhere(&["status", "--server", "http://127.0.0.1:1", "--json"]);
    assert_eq!((nobody.code, &nobody.error()["code"]), (1, &json!("server_unreachable")));
    server.stop();
}

#[test]
fn a_file_that_a_dead_server_left_is_ignored() {
    let (cli, mut server) = served();
    cli.ingest(0);
    let file = cli.data().join("server.json");
    let left = fs::read_to_string(&file).unwrap();
    let said: Value = serde_json::from_str(&left).unwrap();
    assert_eq!(said["url"].as_str().unwrap(), server.url());
    server.kill();
    assert!(file.exists());
    assert_eq!(cli.json(0, &["status", "--collection", "c"])["visible"], 3);
    assert_eq!(cli.ingest(0)["unchanged"], 3);
    // The same of a process that lives and serves something else.
    fs::write(&file, left.replace(&said["pid"].to_string(), &std::process::id().to_string())).unwrap();
    assert_eq!(cli.ingest(0)["unchanged"], 3);
    let other = ServeProcess::start(&CliSandbox::new(), &[]);
    fs::write(&file, json!({"pid": std::process::id(), "url": other.url()}).to_string()).unwrap();
    assert_eq!(cli.ingest(0)["unchanged"], 3);
    other.stop();
    let server = ServeProcess::start(&cli, &[]);
    assert_ne!(fs::read_to_string(&file).unwrap(), left);
    server.stop();
    assert!(!file.exists());
}

#[test]
fn a_tenant_of_the_directory_sees_its_own_collections() {
    let cli = CliSandbox::new();
    cli.write("a.md", "The lighthouse stands.");
    let ingest = ["ingest", "--collection", "c", "--pipeline", "hash.toml", "--tenant", "acme", "docs"];
    assert_eq!(cli.json(0, &ingest)["visible"], 1);
    assert_eq!(cli.json(0, &["status", "--tenant", "acme"])["collections"][0]["documents"], 1);
    assert_eq!(cli.json(0, &["status"])["collections"], json!([]));
    let local = ["query", "--collection", "c", "--budget", "100", "lighthouse"];
    assert_eq!(cli.error(3, &local)["code"], "unknown_collection");
    assert!(
        cli.json(0, &[&local[..], &["--tenant", "acme"]].concat())["context"]
            .as_str()
            .unwrap()
            .contains("lighthouse")
    );
    assert_eq!(cli.error(2, &["status", "--tenant", "no tenant"])["field"], "tenant");
}
