//! The bridge between lines and an endpoint that answers as told.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use axum::http::HeaderMap;
use contexture::fault::{Refusal, RefusalKind};
use contexture::server::mcp::{MCP_MESSAGE_BYTES_MAX, McpEndpoint, McpReply, serve_mcp_over_stdio};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream, Lines, duplex, split};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

type AnswerLines = Lines<BufReader<tokio::io::ReadHalf<DuplexStream>>>;

/// Echoes methods; a method `wait` hangs until its exchange is dropped.
#[derive(Default)]
struct EchoEndpoint {
    seen: Mutex<Vec<(HeaderMap, Value)>>,
    waiting: Notify,
    dropped: Arc<Notify>,
}

/// Tells when it is dropped.
struct NotifyOnDrop(Arc<Notify>);

impl Drop for NotifyOnDrop {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

#[async_trait]
impl McpEndpoint for EchoEndpoint {
    async fn exchange(&self, headers: HeaderMap, message: Vec<u8>) -> Result<McpReply, Refusal> {
        let message: Value = serde_json::from_slice(&message).unwrap();
        let method = message["method"].as_str().unwrap_or_default().to_owned();
        self.seen.lock().unwrap().push((headers, message.clone()));
        let reply = |status: u16, body: String| Ok(McpReply { status, body: body.into() });
        match method.as_str() {
            "wait" => {
                let _dropped = NotifyOnDrop(self.dropped.clone());
                self.waiting.notify_one();
                std::future::pending().await
            }
            "unreachable" => Err(Refusal::new(RefusalKind::Unavailable, "gone", "", "nobody is there")),
            "problem" => reply(401, json!({ "code": "unauthenticated", "detail": "no key" }).to_string()),
            "page" => reply(502, "<html>\nBad Gateway".to_owned()),
            "pretty" => reply(200, "{\n\"jsonrpc\": \"2.0\",\n\"id\": 1, \"result\": {}}".to_owned()),
            "initialize" => {
                let result = json!({ "protocolVersion": "2025-06-18" });
                reply(200, json!({ "jsonrpc": "2.0", "id": message["id"], "result": result }).to_string())
            }
            _ => reply(200, json!({ "jsonrpc": "2.0", "id": message["id"], "result": method }).to_string()),
        }
    }
}

struct StdioConversation {
    endpoint: Arc<EchoEndpoint>,
    input: tokio::io::WriteHalf<DuplexStream>,
    output: AnswerLines,
    bridge: JoinHandle<std::io::Result<()>>,
}

impl StdioConversation {
    fn start() -> Self {
        let endpoint = Arc::new(EchoEndpoint::default());
        let (ours, theirs) = duplex(1024);
        let (their_input, their_output) = split(theirs);
        let bridge =
            tokio::spawn(serve_mcp_over_stdio(endpoint.clone(), BufReader::new(their_input), their_output));
        let (output, input) = split(ours);
        Self { endpoint, input, output: BufReader::new(output).lines(), bridge }
    }

    async fn say(&mut self, line: &str) {
        self.input.write_all(format!("{line}\n").as_bytes()).await.unwrap();
    }

    async fn hear(&mut self) -> Value {
        serde_json::from_str(&self.output.next_line().await.unwrap().unwrap()).unwrap()
    }

    async fn ask(&mut self, method: &str, params: Value) -> Value {
        self.say(&json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string()).await;
        self.hear().await
    }
}

#[tokio::test]
async fn headers_come_from_the_message_or_from_the_handshake() {
    let mut stdio = StdioConversation::start();
    stdio.ask("tools/list", json!({})).await;
    stdio.ask("initialize", json!({ "protocolVersion": "2030-01-01" })).await;
    stdio.ask("tools/call", json!({ "name": "search" })).await;
    let meta = json!({ "io.modelcontextprotocol/protocolVersion": "2026-07-28" });
    stdio.ask("tools/call", json!({ "name": " süß ", "_meta": meta })).await;
    let seen = stdio.endpoint.seen.lock().unwrap();
    let header = |index: usize, name: &str| seen[index].0.get(name).map(|value| value.to_str().unwrap());
    assert_eq!((header(0, "mcp-protocol-version"), header(0, "mcp-method")), (None, Some("tools/list")));
    assert_eq!(header(1, "mcp-protocol-version"), None);
    assert_eq!(
        (header(2, "mcp-protocol-version"), header(2, "mcp-name")),
        (Some("2025-06-18"), Some("search"))
    );
    assert_eq!(
        (header(3, "mcp-protocol-version"), header(3, "mcp-name")),
        (Some("2026-07-28"), Some("=?base64?IHPDvMOfIA==?="))
    );
}

#[tokio::test]
async fn what_is_no_answer_becomes_an_error() {
    let mut stdio = StdioConversation::start();
    for (method, said) in [
        ("unreachable", "gone: nobody is there"),
        ("problem", "unauthenticated: no key"),
        ("page", "the server answered 502: <html> Bad Gateway"),
    ] {
        let answer = stdio.ask(method, json!({})).await;
        assert_eq!((&answer["error"]["code"], &answer["error"]["message"]), (&json!(-32000), &json!(said)));
        assert_eq!(answer["id"], 1);
    }
    assert_eq!(stdio.ask("pretty", json!({})).await["result"], json!({}), "one line, however it came");
}

#[tokio::test]
async fn lines_that_are_no_request_reach_nobody() {
    let mut stdio = StdioConversation::start();
    stdio.say("").await;
    stdio.say("{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}").await;
    stdio.say("{\"jsonrpc\":\"2.0\",\"id\":7,\"result\":{}}").await;
    for (line, code) in [("{broken", -32700), ("[]", -32600), ("{\"id\":1}", -32600), ("7", -32600)] {
        stdio.say(line).await;
        let answer = stdio.hear().await;
        assert_eq!((&answer["error"]["code"], &answer["id"]), (&json!(code), &Value::Null), "{line}");
    }
    stdio.say(&format!("{{\"method\":\"{}\"}}", "x".repeat(MCP_MESSAGE_BYTES_MAX))).await;
    assert_eq!(stdio.hear().await["error"]["code"], -32600);
    assert!(stdio.endpoint.seen.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_cancelled_request_ends_without_an_answer() {
    let mut stdio = StdioConversation::start();
    stdio.say("{\"jsonrpc\":\"2.0\",\"id\":\"slow\",\"method\":\"wait\"}").await;
    stdio.endpoint.waiting.notified().await;
    let cancel =
        json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": "slow" } });
    stdio.say(&cancel.to_string()).await;
    stdio.endpoint.dropped.notified().await;
    assert_eq!(stdio.ask("after", json!({})).await["result"], "after");
}

#[tokio::test(start_paused = true)]
async fn the_end_of_the_input_waits_for_answers_but_not_for_ever() {
    let mut stdio = StdioConversation::start();
    stdio.say("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"wait\"}").await;
    stdio.say("{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"quick\"}").await;
    stdio.input.shutdown().await.unwrap();
    assert_eq!(stdio.hear().await["result"], "quick");
    stdio.bridge.await.unwrap().unwrap();
    stdio.endpoint.dropped.notified().await;
    assert_eq!(stdio.output.next_line().await.unwrap(), None);
}
