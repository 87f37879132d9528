//! `contexture mcp`: lines in, lines out.

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::super::{CliSandbox, CommandOutput};
use super::{McpSandbox, READER, current_message, plant_documents, text_of};

/// Runs `mcp` with these lines as its whole input, and returns what it printed.
fn spoken(mut command: Command, lines: &[String]) -> CommandOutput {
    let mut process =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut input = process.stdin.take().unwrap();
    for line in lines {
        writeln!(input, "{line}").unwrap();
    }
    // Dropping the input ends the process, which first answers what it has read.
    drop(input);
    CommandOutput::from(process.wait_with_output().unwrap())
}

/// The answers by id; every line is one message.
fn answers(output: &CommandOutput) -> Vec<Value> {
    assert_eq!(output.code, 0, "{}", output.stderr);
    let mut answers: Vec<Value> =
        output.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    answers.sort_by_key(|answer| answer["id"].as_u64());
    assert!(answers.iter().all(|answer| answer["jsonrpc"] == "2.0"), "{answers:?}");
    answers
}

fn conversation() -> Vec<String> {
    let call = |id: u64, name: &str, arguments: Value| {
        let mut message = current_message("tools/call", &json!({ "name": name, "arguments": arguments }));
        message["id"] = json!(id);
        message.to_string()
    };
    vec![
        current_message("server/discover", &json!({})).to_string(),
        call(2, "get_context", json!({ "question": "pier of harbour 3", "max_tokens": 300 })),
        call(3, "search", json!({ "query": "herring" })),
        call(4, "list_collections", json!({})),
        call(5, "fetch", json!({ "id": "c/harbour-1.md", "all": true })),
    ]
}

fn check_conversation(answers: &[Value]) {
    assert_eq!(answers.len(), 5, "{answers:?}");
    assert!(answers[0]["result"]["supportedVersions"].is_array(), "{}", answers[0]);
    assert!(text_of(&answers[1]["result"]).contains("30 metres"), "{}", answers[1]);
    assert_eq!(answers[2]["result"]["structuredContent"]["results"][0]["url"], "");
    assert_eq!(text_of(&answers[3]["result"]), "c: 6 documents");
    assert_eq!(answers[4]["result"]["isError"], true);
}

#[test]
fn without_a_server_it_answers_from_the_data_directory() {
    let cli = CliSandbox::new();
    plant_documents(&cli);
    check_conversation(&answers(&spoken(cli.command(&["mcp"]), &conversation())));
}

#[test]
fn with_a_server_it_passes_messages_on() {
    let mcp = McpSandbox::start();
    let empty = CliSandbox::new();
    let command = |key: &str| {
        let mut command = empty.command(&["mcp", "--server", &mcp.server.url()]);
        command.env("CONTEXTURE_API_KEY", key);
        command
    };
    let passed_on = answers(&spoken(command(READER), &conversation()));
    check_conversation(&passed_on);
    let asked = json!({ "name": "list_collections", "arguments": {} });
    assert_eq!(passed_on[3]["result"], mcp.current(READER, "tools/call", &asked).result());
    let refused = answers(&spoken(command("a-key-of-nobody-here"), &conversation()[..1]));
    let said = refused[0]["error"]["message"].as_str().unwrap();
    assert!(said.starts_with("unauthenticated: "), "{said}");
}

#[test]
fn the_server_of_a_data_directory_is_found() {
    let mcp = McpSandbox::start();
    std::fs::write(mcp.cli.path("reader.key"), format!("{READER}\n")).unwrap();
    let command = mcp.cli.command(&["mcp", "--api-key-file", "reader.key"]);
    check_conversation(&answers(&spoken(command, &conversation())));
}

#[test]
fn an_older_client_shakes_hands_first() {
    let cli = CliSandbox::new();
    plant_documents(&cli);
    let hello = json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": { "name": "test", "version": "1" },
    } });
    let begun = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
    let called = json!({ "jsonrpc": "2.0", "id": "a", "method": "tools/call",
        "params": { "name": "list_collections", "arguments": {} } });
    let lines = [hello, begun, called].map(|line| line.to_string());
    let output = spoken(cli.command(&["mcp"]), &lines);
    let answers = answers(&output);
    let by_id = |id: Value| answers.iter().find(|answer| answer["id"] == id).unwrap();
    assert_eq!(answers.len(), 2, "{answers:?}");
    assert_eq!(by_id(json!(0))["result"]["protocolVersion"], "2025-06-18");
    assert_eq!(text_of(&by_id(json!("a"))["result"]), "c: 6 documents");
}

#[test]
fn without_a_server_and_without_data_it_says_so_and_prints_nothing() {
    let empty = CliSandbox::new();
    let output = spoken(empty.command(&["mcp"]), &conversation()[..1]);
    assert_ne!(output.code, 0);
    assert_eq!(output.stdout, "");
    assert!(output.stderr.contains("there is no ledger in"), "{}", output.stderr);
    let unreachable = empty.command(&["mcp", "--server", "http://127.0.0.1:9"]);
    let answered = answers(&spoken(unreachable, &conversation()[..1]));
    let said = answered[0]["error"]["message"].as_str().unwrap();
    assert!(said.starts_with("server_unreachable: "), "{said}");
}
