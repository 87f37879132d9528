//! MCP over stdio: one message per line in, one per line out, answered by an [`McpEndpoint`].
//!
//! Messages are passed on unread but for what HTTP wants in headers. Requests run side by side, at most
//! [`REQUESTS_IN_FLIGHT_MAX`]; more wait unread. A cancelled request ends without an answer. Other
//! notifications are dropped: a server without sessions ignores them. At the end of the input, requests in
//! flight have [`LAST_ANSWERS_TIME_MAX`] to be answered.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::HeaderMap;
use hyper::header::HeaderValue;
use serde_json::{Value, json};
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::{AbortHandle, JoinSet};

use super::endpoint::{MCP_MESSAGE_BYTES_MAX, McpEndpoint, McpReply};
use contexture_core::fault::Refusal;

/// Most requests that are answered at once.
const REQUESTS_IN_FLIGHT_MAX: usize = 64;
/// How long the end of the input waits for answers.
const LAST_ANSWERS_TIME_MAX: Duration = Duration::from_secs(30);
/// Longest part of a problem that an error repeats, in characters.
const DETAIL_CHARS_MAX: usize = 500;

const VERSION_KEY: &str = "io.modelcontextprotocol/protocolVersion";
/// JSON-RPC: the message is not JSON.
const PARSE_ERROR: i64 = -32700;
/// JSON-RPC: the message is not a request.
const INVALID_REQUEST: i64 = -32600;
/// The first code that JSON-RPC leaves to servers: no answer, or a refused one.
const SERVER_ERROR: i64 = -32000;

/// Answers the messages of an input until it ends.
pub async fn serve_mcp_over_stdio(
    endpoint: Arc<dyn McpEndpoint>,
    mut input: impl AsyncBufRead + Unpin,
    output: impl AsyncWrite + Unpin + Send + 'static,
) -> io::Result<()> {
    // One place is enough: whoever waits to write holds its answer already.
    let (answers, written) = mpsc::channel(1);
    let writing = tokio::spawn(write_answers(output, written));
    let mut bridge = StdioBridge {
        endpoint,
        answers,
        negotiated: Arc::default(),
        room: Arc::new(Semaphore::new(REQUESTS_IN_FLIGHT_MAX)),
        running: JoinSet::new(),
        by_id: HashMap::new(),
    };
    while let Some(line) = read_line(&mut input).await? {
        bridge.accept(line).await;
        if bridge.answers.is_closed() {
            break;
        }
    }
    let finishing = async { while bridge.running.join_next().await.is_some() {} };
    let _ = tokio::time::timeout(LAST_ANSWERS_TIME_MAX, finishing).await;
    // Ends the writer, which then has written everything.
    drop(bridge);
    writing.await.map_err(io::Error::other)?
}

async fn write_answers(
    mut output: impl AsyncWrite + Unpin,
    mut answers: mpsc::Receiver<Vec<u8>>,
) -> io::Result<()> {
    while let Some(mut answer) = answers.recv().await {
        answer.push(b'\n');
        output.write_all(&answer).await?;
        output.flush().await?;
    }
    Ok(())
}

/// Reads one line without its end. One that is too long is read to its end and returned cut, so that it
/// cannot be valid; nothing at the end of the input.
async fn read_line(input: &mut (impl AsyncBufRead + Unpin)) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    let mut is_started = false;
    loop {
        let piece = input.fill_buf().await?;
        if piece.is_empty() {
            return Ok(is_started.then_some(line));
        }
        is_started = true;
        let end = piece.iter().position(|byte| *byte == b'\n');
        let part = &piece[..end.unwrap_or(piece.len())];
        let room = (MCP_MESSAGE_BYTES_MAX + 1).saturating_sub(line.len());
        line.extend_from_slice(&part[..part.len().min(room)]);
        let read = end.map_or(piece.len(), |end| end + 1);
        input.consume(read);
        if end.is_some() {
            return Ok(Some(line));
        }
    }
}

struct StdioBridge {
    endpoint: Arc<dyn McpEndpoint>,
    answers: mpsc::Sender<Vec<u8>>,
    /// The revision that `initialize` agreed on. Later ones stand in each message.
    negotiated: Arc<Mutex<Option<String>>>,
    room: Arc<Semaphore>,
    running: JoinSet<()>,
    by_id: HashMap<String, AbortHandle>,
}

impl StdioBridge {
    async fn accept(&mut self, line: Vec<u8>) {
        if line.trim_ascii().is_empty() {
            return;
        }
        if line.len() > MCP_MESSAGE_BYTES_MAX {
            let why = format!("a message has at most {MCP_MESSAGE_BYTES_MAX} bytes");
            return self.send(error_message(&Value::Null, INVALID_REQUEST, &why)).await;
        }
        let message: Value = match serde_json::from_slice(&line) {
            Ok(message) => message,
            Err(error) => {
                let why = format!("a line is one message of JSON-RPC, and this is no JSON: {error}");
                return self.send(error_message(&Value::Null, PARSE_ERROR, &why)).await;
            }
        };
        let method = message.get("method").and_then(Value::as_str);
        match (method, message.get("id")) {
            (Some("notifications/cancelled"), None) => self.cancel(&message),
            (Some(_), Some(_)) => self.start(line, message).await,
            // Other notifications, and answers to requests that the server never sends.
            (Some(_), None) => {}
            (None, Some(_)) if message.get("result").or(message.get("error")).is_some() => {}
            (None, _) => {
                let why = "a line is one message of JSON-RPC with a method";
                self.send(error_message(&Value::Null, INVALID_REQUEST, why)).await;
            }
        }
    }

    fn cancel(&mut self, message: &Value) {
        let id = message.pointer("/params/requestId").map(Value::to_string);
        if let Some(running) = id.and_then(|id| self.by_id.remove(&id)) {
            // Dropping the exchange also ends it at the server.
            running.abort();
        }
    }

    async fn start(&mut self, line: Vec<u8>, message: Value) {
        // Never closed, so the only error cannot happen.
        let Ok(permit) = self.room.clone().acquire_owned().await else { return };
        while self.running.try_join_next().is_some() {}
        self.by_id.retain(|_, running| !running.is_finished());
        let (endpoint, answers) = (self.endpoint.clone(), self.answers.clone());
        let negotiated = self.negotiated.clone();
        let id = message["id"].to_string();
        let running = self.running.spawn(async move {
            let answer = answer_request(&*endpoint, &negotiated, line, &message).await;
            // Fails only if the output is closed, which ends everything.
            let _ = answers.send(answer).await;
            drop(permit);
        });
        self.by_id.insert(id, running);
    }

    async fn send(&self, answer: Vec<u8>) {
        let _ = self.answers.send(answer).await;
    }
}

async fn answer_request(
    endpoint: &dyn McpEndpoint,
    negotiated: &Mutex<Option<String>>,
    line: Vec<u8>,
    message: &Value,
) -> Vec<u8> {
    let id = &message["id"];
    let agreed = negotiated.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let reply = match endpoint.exchange(message_headers(message, agreed.as_deref()), line).await {
        Ok(reply) => reply,
        Err(Refusal { code, message, .. }) => {
            return error_message(id, SERVER_ERROR, &format!("{code}: {message}"));
        }
    };
    let answer: Option<Value> = serde_json::from_slice(&reply.body).ok();
    let Some(answer) = answer.filter(|answer| answer.get("jsonrpc").is_some()) else {
        return error_message(id, SERVER_ERROR, &refused_text(&reply));
    };
    if message["method"] == "initialize"
        && let Some(version) = answer.pointer("/result/protocolVersion").and_then(Value::as_str)
    {
        *negotiated.lock().unwrap_or_else(PoisonError::into_inner) = Some(version.to_owned());
    }
    if reply.body.contains(&b'\n') { answer.to_string().into_bytes() } else { reply.body.into() }
}

/// Returns the headers that the protocol wants over HTTP, from revision 2026-07-28 on all of them.
fn message_headers(message: &Value, agreed: Option<&str>) -> HeaderMap {
    let method = message["method"].as_str().unwrap_or_default();
    let params = &message["params"];
    let version = match params["_meta"][VERSION_KEY].as_str() {
        Some(version) => Some(version),
        None if method == "initialize" => None,
        None => agreed,
    };
    let name = match method {
        "tools/call" | "prompts/get" => params["name"].as_str(),
        "resources/read" | "resources/subscribe" | "resources/unsubscribe" => params["uri"].as_str(),
        "tasks/get" | "tasks/update" | "tasks/cancel" => params["taskId"].as_str(),
        _ => None,
    };
    let mut headers = HeaderMap::new();
    let wanted = [("mcp-protocol-version", version), ("mcp-method", Some(method)), ("mcp-name", name)];
    for (header, value) in wanted {
        // Without the header the server answers what is wrong.
        if let Some(value) = value.and_then(|value| HeaderValue::try_from(header_text(value)).ok()) {
            headers.insert(header, value);
        }
    }
    headers
}

/// Encodes what a header cannot hold as it is, as the protocol says.
fn header_text(value: &str) -> String {
    let is_plain = value.bytes().all(|byte| (b' '..=b'~').contains(&byte)) && value.trim() == value;
    let looks_encoded = value.starts_with("=?base64?") && value.ends_with("?=");
    if is_plain && !looks_encoded {
        value.to_owned()
    } else {
        format!("=?base64?{}?=", STANDARD.encode(value))
    }
}

/// The text of an answer that is no message of JSON-RPC.
fn refused_text(reply: &McpReply) -> String {
    let problem: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
    if let (Some(code), Some(detail)) = (problem["code"].as_str(), problem["detail"].as_str()) {
        return format!("{code}: {detail}");
    }
    let text = String::from_utf8_lossy(&reply.body);
    let shown: String =
        text.chars().map(|one| if one.is_control() { ' ' } else { one }).take(DETAIL_CHARS_MAX).collect();
    format!("the server answered {}: {}", reply.status, shown.trim())
}

fn error_message(id: &Value, code: i64, message: &str) -> Vec<u8> {
    json!({ "jsonrpc": "2.0", "id": id, "error": { "code": code, "message": message } })
        .to_string()
        .into_bytes()
}
