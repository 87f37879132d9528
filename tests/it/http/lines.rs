//! Documents as a stream of lines, answered line by line.

use std::convert::Infallible;

use bytes::Bytes;
use futures::StreamExt;
use reqwest::{Body, Method, Response};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::{HttpTestServer, PATIENCE};

/// A stream that is being sent, and its answer.
struct LineExchange {
    sender: mpsc::Sender<Result<Bytes, Infallible>>,
    answer: Response,
    arrived: Vec<u8>,
}

impl LineExchange {
    /// Begins with these bytes: the head of the answer comes with the first of a request.
    async fn begin(server: &HttpTestServer, first: &str) -> Self {
        let (sender, receiver) = mpsc::channel(4);
        sender.send(Ok(Bytes::copy_from_slice(first.as_bytes()))).await.unwrap();
        let request = server.request(Method::POST, "/v1/collections/c/documents");
        let request = request.header("content-type", "application/x-ndjson");
        let answer = request.body(Body::wrap_stream(ReceiverStream::new(receiver))).send().await.unwrap();
        assert_eq!(answer.headers()["content-type"], "application/x-ndjson");
        Self { sender, answer, arrived: Vec::new() }
    }

    async fn send(&self, text: &str) {
        self.sender.send(Ok(Bytes::copy_from_slice(text.as_bytes()))).await.unwrap();
    }

    /// The next result; none at the end.
    async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some(end) = self.arrived.iter().position(|byte| *byte == b'\n') {
                let rest = self.arrived.split_off(end + 1);
                let line = std::mem::replace(&mut self.arrived, rest);
                return Some(serde_json::from_slice(&line).unwrap());
            }
            let chunk = tokio::time::timeout(PATIENCE, self.answer.chunk()).await.unwrap().unwrap()?;
            self.arrived.extend_from_slice(&chunk);
        }
    }
}

fn line(id: &str) -> String {
    format!("{}\n", json!({"id": id, "text": format!("The text of {id}.")}))
}

#[tokio::test(flavor = "multi_thread")]
async fn results_come_while_lines_still_arrive() {
    let server = HttpTestServer::with_collection().await;
    let mut exchange = LineExchange::begin(&server, &line("a")).await;
    assert_eq!(exchange.next().await.unwrap()["document_id"], "a");
    let second = line("b");
    let (first_half, second_half) = second.split_at(9);
    exchange.send(first_half).await;
    exchange.send(second_half).await;
    assert_eq!(exchange.next().await.unwrap()["document_id"], "b");
    exchange.send("\n").await;
    exchange.send(line("c").trim_end()).await;
    let LineExchange { sender, answer, arrived } = exchange;
    drop(sender);
    let mut rest = LineExchange { sender: mpsc::channel(1).0, answer, arrived };
    assert_eq!(rest.next().await.unwrap()["document_id"], "c");
    assert_eq!(rest.next().await, None);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_line_has_its_number_and_the_stream_goes_on() {
    let config = "[limits]\nbody_bytes_max = 1024\n";
    let server = HttpTestServer::start_with(config).await;
    server.make("c").await;
    let long = format!("{{\"id\": \"long\", \"text\": \"{}\"}}\n", "x".repeat(9 * 1024 * 1024));
    let lines = [
        line("a"),
        "{\"id\": \"b\", \"text\": }\n".to_owned(),
        "\n".to_owned(),
        "{\"id\": \"d\", \"txt\": \"D\"}\n".to_owned(),
        "{\"id\": \"../e\", \"text\": \"E\"}\n".to_owned(),
        long,
        line("g"),
    ];
    let request = server.request(Method::POST, "/v1/collections/c/documents");
    let request = request.header("content-type", "application/x-ndjson").body(lines.concat());
    let text = request.send().await.unwrap().text().await.unwrap();
    let results: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let told: Vec<(Option<u64>, &str)> = results
        .iter()
        .map(|one| (one["line"].as_u64(), one["error"]["code"].as_str().or(one["intake"].as_str()).unwrap()))
        .collect();
    let expected = [
        (None, "accepted"),
        (Some(2), "invalid_json"),
        (Some(4), "unknown_field"),
        (Some(5), "invalid_document_id"),
        (Some(6), "message_too_large"),
        (None, "accepted"),
    ];
    assert_eq!(told, expected);
    let detail = results[1]["error"]["detail"].as_str().unwrap();
    assert!(detail.contains("line 2, column 21"), "{detail}");
    assert_eq!((&results[4]["error"]["status"], &results[3]["document_id"]), (&json!(413), &json!("../e")));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_lines_have_results_in_order() {
    let server = HttpTestServer::with_collection().await;
    let lines: String = (0..500).map(|number| line(&format!("d/{number}"))).collect();
    let request = server.request(Method::POST, "/v1/collections/c/documents");
    let answer = request.header("content-type", "application/jsonl").body(lines).send().await.unwrap();
    let text = answer.text().await.unwrap();
    let ids: Vec<String> = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["document_id"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(ids, (0..500).map(|number| format!("d/{number}")).collect::<Vec<_>>());
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_ends_when_it_sends_nothing() {
    let server = HttpTestServer::start_with("[server]\nstream_idle_ms_max = 100\n").await;
    server.make("c").await;
    let mut exchange = LineExchange::begin(&server, &line("a")).await;
    assert_eq!(exchange.next().await.unwrap()["document_id"], "a");
    let last = exchange.next().await.unwrap();
    assert_eq!((&last["error"]["code"], &last["line"]), (&json!("stream_idle"), &Value::Null));
    assert_eq!(exchange.next().await, None);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_ends_when_the_server_stops() {
    let server = HttpTestServer::with_collection().await;
    let mut exchange = LineExchange::begin(&server, &line("a")).await;
    assert_eq!(exchange.next().await.unwrap()["document_id"], "a");
    let stopped = tokio::spawn(server.stop());
    let last = exchange.next().await.unwrap();
    assert_eq!((&last["error"]["code"], &last["error"]["status"]), (&json!("shutting_down"), &json!(503)));
    assert_eq!(exchange.next().await, None);
    drop(exchange);
    stopped.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_may_be_few_and_the_stream_may_be_empty() {
    let server = HttpTestServer::with_collection().await;
    let request = server.request(Method::POST, "/v1/collections/c/documents");
    let answer = request.header("content-type", "application/x-ndjson").body("\n\n").send().await.unwrap();
    assert_eq!(answer.text().await.unwrap(), "");
    let stream = futures::stream::iter([Ok::<_, Infallible>(Bytes::from(line("a")))]).boxed();
    let request = server.request(Method::POST, "/v1/collections/c/documents");
    let request = request.header("content-type", "application/x-ndjson").body(Body::wrap_stream(stream));
    assert_eq!(request.send().await.unwrap().text().await.unwrap().lines().count(), 1);
    server.stop().await;
}
