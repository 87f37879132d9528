//! A Qdrant server that is not there: when a process starts, and while it works.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::CliSandbox;
use super::serving::ServeProcess;
use crate::support::edge_behind_qdrant_grpc::EdgeBehindQdrantGrpc;

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_mins(1);

impl CliSandbox {
    /// Asks until the answer is as wanted.
    fn until(&self, arguments: &[&str], wanted: impl Fn(&Value) -> bool) -> Value {
        let begun = Instant::now();
        loop {
            let ran = self.run(&[arguments, &["--json"]].concat());
            let answer: Value = serde_json::from_str(&ran.stdout).unwrap_or_default();
            if wanted(&answer) {
                return answer;
            }
            assert!(begun.elapsed() < PATIENCE, "{arguments:?}: {answer} {}", ran.stderr);
        }
    }
}

#[test]
fn without_vectors_answers_are_by_words_and_documents_wait() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut qdrant = EdgeBehindQdrantGrpc::start(None);
    let url = qdrant.url();
    let variables = [("CONTEXTURE__VECTORS__URL", url.as_str())];
    let cli = CliSandbox::new();
    cli.write("lamp.md", "The lamp in the hall is green.\n");
    let ingest = ["ingest", "--collection", "c", "--pipeline", "hash.toml", "--json", "docs"];
    let made = cli.command(&ingest).envs(variables).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));

    runtime.block_on(qdrant.stop());
    let server = ServeProcess::start(&cli, &variables);
    let question = ["query", "--collection", "c", "--budget", "200", "Which colour has the lamp?"];
    let answer = cli.json(0, &question);
    assert!(answer["context"].as_str().unwrap().contains("green"), "{answer}");
    assert_eq!(answer["degraded"], json!(["DENSE"]), "{answer}");

    for number in 0..40 {
        cli.write(&format!("rope-{number}.md"), format!("The rope number {number} in the cellar is blue.\n"));
    }
    cli.json(0, &["ingest", "--collection", "c", "--pipeline", "hash.toml", "--no-wait", "docs"]);
    let status = ["status", "--collection", "c"];
    // All but the vectors is done.
    let waiting = cli.json(0, &status);
    assert_eq!((&waiting["in_flight"], &waiting["dead"]), (&json!(40), &json!(0)), "{waiting}");
    qdrant.serve();
    let visible = cli.until(&status, |counts| counts["visible"] == 41);
    assert_eq!(visible["dead"], 0, "{visible}");
    let answer = cli.until(&question, |answer| answer["degraded"] == json!([]));
    assert!(answer["context"].as_str().unwrap().contains("green"), "{answer}");

    let logs = server.stop();
    let told = |words: &str| logs.lines().filter(|line| line.contains(words)).count();
    assert_eq!(told("the vectors are away"), 1, "{logs}");
    assert_eq!(told("an engine cannot be used"), 1, "{logs}");
    assert_eq!(told("an engine can be used again"), 1, "{logs}");
    assert!(told("is retried") == 0 && logs.lines().count() < 40, "{logs}");
}
