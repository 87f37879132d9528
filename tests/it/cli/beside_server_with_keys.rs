//! Commands beside a `serve` that asks for API keys.

use std::fmt::Write as _;
use std::fs;

use serde_json::{Value, json};

use super::serving::ServeProcess;
use super::{CliSandbox, CommandOutput};

/// A server with a key of each scope for tenant `acme`, and one of every scope for `umbra`.
fn served() -> (CliSandbox, ServeProcess) {
    let cli = CliSandbox::new();
    cli.write("a.md", "The lighthouse stands on a rock.");
    let mut config = String::new();
    for (name, tenant, scopes) in [
        ("reader", "acme", "\"read\""),
        ("writer", "acme", "\"write\""),
        ("owner", "acme", "\"read\", \"write\", \"admin\""),
        ("other", "umbra", "\"read\", \"write\", \"admin\""),
    ] {
        let hash = blake3::hash(key(name).as_bytes()).to_hex();
        let _ = writeln!(
            config,
            "[[auth.keys]]\nname = \"{name}\"\ntenant = \"{tenant}\"\nscopes = [{scopes}]\nhash = \"{hash}\""
        );
        fs::write(cli.path(&format!("{name}.key")), format!("{}\n", key(name))).unwrap();
    }
    fs::write(cli.path("serve.toml"), config).unwrap();
    let server = ServeProcess::start_with(&cli, &["--config", "serve.toml"], &[]);
    (cli, server)
}

fn key(name: &str) -> String {
    format!("{name}-key-of-the-tests-0123456789abcdef")
}

fn as_bearer(cli: &CliSandbox, name: &str, arguments: &[&str]) -> CommandOutput {
    let file = format!("{name}.key");
    cli.run(&[arguments, &["--api-key-file", &file, "--json"]].concat())
}

fn error_of(ran: &CommandOutput) -> (i32, Value) {
    (ran.code, ran.error()["code"].clone())
}

const INGEST: [&str; 6] = ["ingest", "--collection", "c", "--pipeline", "hash.toml", "docs"];
const QUERY: [&str; 6] = ["query", "--collection", "c", "--budget", "200", "lighthouse"];

#[test]
fn a_key_is_asked_for_and_says_the_tenant() {
    let (cli, server) = served();
    let error = cli.error(1, &["status"]);
    assert_eq!(error["code"], "unauthenticated");
    let message = error["message"].as_str().unwrap();
    assert!(message.contains("--api-key-file") && message.contains(&server.url()), "{message}");

    fs::write(cli.path("wrong.key"), "no-such-key").unwrap();
    let wrong = as_bearer(&cli, "wrong", &["status"]);
    assert_eq!(error_of(&wrong), (1, json!("unauthenticated")));
    assert!(wrong.stderr.contains("wrong.key") && !wrong.stderr.contains("no-such-key"), "{}", wrong.stderr);
    assert_eq!(error_of(&as_bearer(&cli, "missing", &["status"])), (2, json!("api_key_file_unreadable")));
    fs::write(cli.path("two.key"), "two keys").unwrap();
    assert_eq!(error_of(&as_bearer(&cli, "two", &["status"])), (2, json!("invalid_api_key")));

    assert_eq!(as_bearer(&cli, "owner", &INGEST).json()["visible"], 1);
    let by_variable =
        cli.command(&[&QUERY[..], &["--json"]].concat()).env("CONTEXTURE_API_KEY", key("reader")).output();
    assert!(
        CommandOutput::from(by_variable.unwrap()).json()["context"].as_str().unwrap().contains("lighthouse")
    );
    assert_eq!(error_of(&as_bearer(&cli, "other", &QUERY)), (3, json!("unknown_collection")));
    assert_eq!(as_bearer(&cli, "other", &["status"]).json()["collections"], json!([]));
    server.stop();
}

#[test]
fn a_missing_scope_is_named() {
    let (cli, server) = served();
    let refused = as_bearer(&cli, "reader", &INGEST);
    assert_eq!(error_of(&refused), (1, json!("missing_scope")));
    assert!(refused.error()["message"].as_str().unwrap().contains("'write'"), "{}", refused.stderr);
    // The text of a pipeline is for administrators.
    assert_eq!(error_of(&as_bearer(&cli, "writer", &INGEST)), (1, json!("missing_scope")));
    let make = ["collections", "create", "c", "--pipeline", "hash.toml"];
    assert_eq!(as_bearer(&cli, "owner", &make).code, 0);
    // A key that may only write follows its versions by the counts.
    let written = as_bearer(&cli, "writer", &["ingest", "--collection", "c", "docs"]);
    assert_eq!((written.code, &written.json()["visible"]), (0, &json!(1)), "{}", written.stderr);
    assert_eq!(error_of(&as_bearer(&cli, "writer", &QUERY)), (1, json!("missing_scope")));
    for command in [&["dead", "list"][..], &["audit"], &["collections", "delete", "c", "--yes"]] {
        assert_eq!(error_of(&as_bearer(&cli, "reader", command)), (1, json!("missing_scope")), "{command:?}");
    }
    server.stop();
}
