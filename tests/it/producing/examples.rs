//! The examples that `docs/producers.md` shows, run as a new user would.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};

use super::{ProducedService, kind};

#[expect(dead_code, unreachable_pub, reason = "an example is a program of its own")]
#[path = "../../../examples/producer.rs"]
mod producer;

const DOCUMENT: &str = include_str!("../../../docs/producers.md");
const PYTHON: &str = include_str!("../../../examples/producer.py");
/// The client that the Python example imports.
const PIKA: &str = "pika==1.3.2";

#[test]
fn documentation_shows_the_python_example_as_it_is_run() {
    let shown: Vec<&str> = DOCUMENT.lines().map(|line| line.strip_prefix("   ").unwrap_or(line)).collect();
    assert!(shown.join("\n").contains(PYTHON), "docs/producers.md and examples/producer.py differ");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rust_producer_gets_visible_back() {
    let Some(service) = ProducedService::start().await else { return };
    let document = json!({ "document_id": "sun.md", "text": "The sun is a ball of plasma." });
    let (url, exchange) = (service.rabbit.url(), service.exchange());
    let events = producer::publish(url, &exchange, "local.handbook", &document).await.unwrap();
    assert_eq!(events.iter().map(kind).collect::<Vec<_>>(), ["accepted", "visible"]);
    let refused = json!({ "document_id": "../sun.md", "text": "x" });
    let events = producer::publish(url, &exchange, "local.handbook", &refused).await.unwrap();
    assert_eq!(events.iter().map(kind).collect::<Vec<_>>(), ["rejected"]);
    let lost = producer::publish(url, &exchange, "local.nowhere", &document).await.unwrap();
    assert_eq!(lost[0]["data"]["reason"]["code"], "unknown_collection");
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn python_producer_gets_visible_back_and_its_text_is_found() {
    let Some(service) = ProducedService::start().await else { return };
    let python = tokio::task::spawn_blocking(python_with_pika).await.unwrap();
    let mut script = Command::new(python);
    script
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/producer.py"))
        .env("AMQP_URL", service.rabbit.url())
        .env("SUBMIT_EXCHANGE", service.exchange());
    let ran = tokio::task::spawn_blocking(move || script.output().unwrap()).await.unwrap();
    let said = said(&ran);
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines.len(), 2, "{said}");
    assert!(lines[0].starts_with("contexture.document.accepted {"), "{said}");
    assert!(lines[1].starts_with("contexture.document.visible {"), "{said}");

    let config = service.config_file();
    let (_rabbit, _folder) = service.stop().await;
    let mut query = Command::new(env!("CARGO_BIN_EXE_contexture"));
    query.args(["query", "--collection", "handbook", "--budget", "200", "--json", "--config"]);
    query.arg(config).arg("What is the moon made of?");
    let answer: Value = serde_json::from_str(&self::said(&query.output().unwrap())).unwrap();
    assert_eq!(answer["passages"][0]["document_id"], "moon.md");
    assert!(answer["context"].as_str().unwrap().contains("made of rock"), "{answer}");
}

/// What it printed; it must have succeeded.
fn said(ran: &Output) -> String {
    let (out, err) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert!(ran.status.success(), "{}\n{out}\n{err}", ran.status);
    out.into_owned()
}

/// A Python of its own under the target folder, with the client installed once.
fn python_with_pika() -> PathBuf {
    let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join(PIKA);
    let python = home.join("bin/python");
    let has_pika = |python: &Path| {
        Command::new(python).args(["-c", "import pika"]).output().is_ok_and(|ran| ran.status.success())
    };
    if has_pika(&python) {
        return python;
    }
    let made = Command::new("python3").args(["-m", "venv", "--clear"]).arg(&home).output();
    said(&made.expect("python3 is needed to run examples/producer.py: install it, with its module venv"));
    let installed = Command::new(&python).args(["-m", "pip", "install", "--quiet", PIKA]).output().unwrap();
    said(&installed);
    assert!(has_pika(&python), "{PIKA} was installed and cannot be imported");
    python
}
