//! Models at a provider, as the command line has them.

use std::fs;

use serde_json::Value;
use tokio::task::spawn_blocking;

#[cfg(unix)]
use super::serving::{ServeProcess, http};
use super::{CliSandbox, CommandOutput};
use crate::support::providers::{DIMS, KEY, answer_well, refusal, texts_of};
use crate::support::scripted_http::{RecordedRequest, ScriptedHttp, ScriptedReply};

/// A command line whose configuration names the server, with more lines for its entry.
fn cli(server: &ScriptedHttp, more: &str) -> CliSandbox {
    let cli = CliSandbox::new();
    let config = format!(
        "[[providers]]\nname = \"scripted\"\nkind = \"openai\"\nbase_url = \"{}\"\napi_key_env = \"SCRIPTED_KEY\"\n{more}\n",
        server.url("/v1")
    );
    fs::write(cli.path("config.toml"), config).unwrap();
    let pipeline = format!(
        "[embedder]\nkind = \"provider\"\nprovider = \"scripted\"\nmodel = \"words\"\ndims = {DIMS}\n\
         tokens_max = 512\ntokens_reserved = 0\ntokenizer = \"cl100k_base\"\n[chunker]\ntokens_max = 128\n"
    );
    fs::write(cli.path("provider.toml"), pipeline).unwrap();
    for number in 0..40 {
        let text =
            format!("# Part {number}\n\n{}", format!("Sentence of part {number}, with words. ").repeat(40));
        cli.write(&format!("part-{number}.md"), text);
    }
    cli
}

/// Runs off the runtime, where the server lives.
async fn run(cli: &CliSandbox, arguments: &[&str]) -> CommandOutput {
    let mut command = cli.command(&[&["--config", "config.toml"], arguments].concat());
    command.env("SCRIPTED_KEY", KEY);
    CommandOutput::from(spawn_blocking(move || command.output().unwrap()).await.unwrap())
}

async fn json(cli: &CliSandbox, code: i32, arguments: &[&str]) -> Value {
    let ran = run(cli, &[arguments, &["--json"]].concat()).await;
    assert_eq!(ran.code, code, "{arguments:?}: {} {}", ran.stdout, ran.stderr);
    assert!(!format!("{} {}", ran.stdout, ran.stderr).contains(KEY));
    if code == 0 { ran.json() } else { ran.error() }
}

const INGEST: [&str; 6] = ["ingest", "--collection", "c", "--pipeline", "provider.toml", "docs"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dry_run_estimates_what_the_run_counts_and_writes_nothing() {
    let server = ScriptedHttp::start(answer_well).await;
    let cli = cli(&server, "requests_per_minute = 60\ntokens_per_minute = 600000");
    cli.write("broken.md", b"\xff\xfe\xfa");
    let forecast = json(&cli, 0, &[&INGEST[..], &["--dry-run"]].concat()).await;
    assert!(server.requests().is_empty() && !cli.data().exists());
    assert_eq!((&forecast["documents"], &forecast["dead"]), (&Value::from(40), &Value::from(1)));
    assert_eq!(forecast["seconds"], forecast["requests"]);
    fs::remove_file(cli.path("docs/broken.md")).unwrap();
    // Where somebody has made the directory already, nothing is written to it either.
    fs::create_dir(cli.data()).unwrap();
    json(&cli, 0, &[&INGEST[..], &["--dry-run"]].concat()).await;
    assert_eq!(fs::read_dir(cli.data()).unwrap().count(), 0);

    let done = json(&cli, 0, &INGEST).await;
    assert_eq!(done["visible"], 40);
    assert_eq!(done["embedded"], forecast["texts"]);
    let status = json(&cli, 0, &["status"]).await;
    let usage = &status["usage"][0];
    let (expected, counted) = (forecast["tokens"].as_u64().unwrap(), usage["tokens"].as_u64().unwrap());
    assert!(expected.abs_diff(counted) * 100 <= counted, "{expected} {counted}");
    assert_eq!(usage["model"], "scripted/words");
    assert_eq!(usage["requests"], server.requests().len());
    assert_eq!(status["providers"][0]["provider"], "scripted");
    assert_eq!(status["providers"][0]["why"], Value::Null);

    let again = json(&cli, 0, &[&INGEST[..], &["--dry-run"]].concat()).await;
    assert_eq!((&again["unchanged"], &again["tokens"]), (&Value::from(40), &Value::from(0)));
    let calls = server.requests().len();
    cli.write("part-7.md", "# Part 7\n\nOnly this is new.");
    let changed = json(&cli, 0, &[&INGEST[..], &["--dry-run"]].concat()).await;
    assert_eq!((&changed["documents"], &changed["texts"]), (&Value::from(1), &Value::from(1)));
    assert_eq!(server.requests().len(), calls);
    let shown = run(&cli, &[&INGEST[..], &["--dry-run"]].concat()).await;
    assert!(
        shown.stdout.contains("nothing was written") && shown.stdout.contains("scripted/words"),
        "{}",
        shown.stdout
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn questions_find_what_a_provider_embedded_and_degrade_without_it() {
    let server = ScriptedHttp::start(|request: &RecordedRequest| {
        // Questions come alone, and fail.
        if texts_of(request)[0].starts_with("what") { refusal(500, "down") } else { answer_well(request) }
    })
    .await;
    let cli = cli(&server, "");
    assert_eq!(json(&cli, 0, &INGEST).await["visible"], 40);
    let ask = ["query", "--collection", "c", "--budget", "300"];
    let found = json(&cli, 0, &[&ask[..], &["Sentence of part 7"]].concat()).await;
    assert_eq!(found["degraded"], Value::Array(Vec::new()));
    let found = json(&cli, 0, &[&ask[..], &["what stands in part 7"]].concat()).await;
    assert_eq!(found["degraded"], serde_json::json!(["DENSE"]));
    assert!(!found["passages"].as_array().unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_key_is_told_and_costs_no_document() {
    let server = ScriptedHttp::always(refusal(401, "this key has expired")).await;
    let cli = cli(&server, "");
    let error = json(&cli, 4, &[&INGEST[..], &["--timeout", "4"]].concat()).await;
    assert_eq!(error["code"], "still_in_flight");
    let status = json(&cli, 0, &["status"]).await;
    let provider = &status["providers"][0];
    assert_eq!(provider["why"], "parked");
    assert!(provider["words"].as_str().unwrap().contains("this key has expired"), "{provider}");
    assert_eq!(status["collections"][0]["in_flight"], 40);
    assert_eq!(status["collections"][0]["dead"], 0);
    assert!(server.requests().len() <= 2, "{}", server.requests().len());
    let shown = run(&cli, &["status"]).await.stdout;
    assert!(shown.contains("limited by scripted: it refuses all calls"), "{shown}");
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_key_stands_in_the_metrics() {
    let server = ScriptedHttp::always(refusal(401, "this key has expired")).await;
    let cli = cli(&server, "");
    json(&cli, 4, &[&INGEST[..], &["--timeout", "4"]].concat()).await;
    let page = spawn_blocking(move || {
        let variables = [("SCRIPTED_KEY", KEY), ("CONTEXTURE__METRICS__LISTEN", "127.0.0.1:0")];
        let process = ServeProcess::start_with(&cli, &["--config", "config.toml"], &variables);
        let address = process.ready["metrics"].as_str().unwrap();
        let (_, _, page) = http(address, "GET /metrics HTTP/1.1\r\nhost: here\r\n\r\n");
        process.stop();
        page
    });
    let page = page.await.unwrap();
    for line in [
        "contexture_provider_held{provider=\"scripted\",reason=\"parked\"} 1",
        "contexture_provider_held{provider=\"scripted\",reason=\"broken\"} 0",
        "contexture_versions{state=\"in_flight\"} 40",
        "contexture_versions{state=\"dead\"} 0",
        "contexture_audit_documents 0",
    ] {
        assert!(page.lines().any(|told| told == line), "{line}\n{page}");
    }
    assert!(page.contains("contexture_provider_calls_total{provider=\"scripted\"}"));
    assert!(!page.contains("this key has expired") && !page.contains(KEY));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn status_is_told_beside_a_running_ingest() {
    let throttled = refusal(429, "slow down").header("retry-after", "300");
    let server = ScriptedHttp::always(throttled).await;
    let cli = cli(&server, "");
    let mut command =
        cli.command(&[&["--config", "config.toml"], &INGEST[..], &["--timeout", "20"]].concat());
    command.env("SCRIPTED_KEY", KEY).stdout(std::process::Stdio::null()).stderr(std::process::Stdio::piped());
    let running = command.spawn().unwrap();
    server.arrived(1).await;
    let limited = async {
        loop {
            let status = json(&cli, 0, &["status"]).await;
            if status["providers"][0]["why"] == "throttled" && status["providers"][0]["waiting"] != 0 {
                return status["providers"][0].clone();
            }
        }
    };
    let provider = tokio::time::timeout(std::time::Duration::from_secs(18), limited).await.unwrap();
    assert!(provider["wait_ms"].as_u64().unwrap() > 250_000, "{provider}");
    let ended = spawn_blocking(move || running.wait_with_output().unwrap()).await.unwrap();
    let said = String::from_utf8(ended.stderr).unwrap();
    assert!(said.contains("limited by scripted/words: it asks for patience, "), "{said}");
    assert_eq!(ended.status.code(), Some(4), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_settings_are_refused_by_name() {
    let server = ScriptedHttp::always(ScriptedReply::new(200, "")).await;
    let cli = cli(&server, "");
    let mut command = cli.command(&["--json", "--config", "config.toml", "check-config"]);
    command.env_remove("SCRIPTED_KEY");
    let error = CommandOutput::from(command.output().unwrap()).error();
    assert!(error["message"].as_str().unwrap().contains("SCRIPTED_KEY is not set"), "{error}");
    let pipeline = fs::read_to_string(cli.path("provider.toml")).unwrap();
    for (from, to, code) in [
        ("provider = \"scripted\"", "provider = \"other\"", "unknown_provider"),
        ("tokenizer = \"cl100k_base\"", "tokenizer = \"none\"", "unknown_tokenizer"),
        ("dims = 8", "dims = 0", "invalid_pipeline"),
    ] {
        fs::write(cli.path("provider.toml"), pipeline.replace(from, to)).unwrap();
        assert_eq!(json(&cli, 2, &INGEST).await["code"], code);
    }
    assert!(server.requests().is_empty());
}
