//! One port for gRPC and HTTP: which request gets which answer, and what ends a connection.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use contexture::config::ServerLimits;
use contexture::domain::principal::AccessScope;
use contexture::server::grpc::proto;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tonic::{Code, Request};

use super::support::*;

/// An answer over HTTP/1.1: its status, its head in lower case, and its body.
pub(super) struct PlainAnswer {
    pub(super) status: u16,
    pub(super) head: String,
    pub(super) body: String,
}

impl PlainAnswer {
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
}

/// Sends one request over HTTP/1.1 and reads until the end of the connection.
pub(super) async fn ask(address: SocketAddr, line: &str, headers: &[(&str, &str)]) -> PlainAnswer {
    let mut request = format!("{line} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n");
    for (name, value) in headers {
        request += &format!("{name}: {value}\r\n");
    }
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(format!("{request}\r\n").as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no head: {answer}"));
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    PlainAnswer { status, head: head.to_lowercase(), body: body.to_owned() }
}

async fn open_server() -> RunningServer {
    RunningServer::start(&Arc::new(ScriptedServices::default()), limits(), Vec::new()).await
}

#[tokio::test]
async fn http_and_grpc_answer_on_one_port() {
    let server = open_server().await;
    let health = ask(server.address, "GET /healthz", &[]).await;
    assert_eq!((health.status, health.body.as_str()), (200, "{\"status\":\"ok\"}"));
    let local = ask(server.address, "GET /v1/whoami", &[]).await;
    assert_eq!(local.json()["tenant"], "local");
    assert_eq!(local.json()["scopes"], serde_json::json!(["read", "write", "admin", "metrics"]));
    assert!(server.ingest().await.submit(submission("a", 1)).await.is_ok());

    // HTTP/2 by prior knowledge, for HTTP as well.
    let client = http_client().http2_prior_knowledge().tls_certs_only([]);
    let url = format!("http://{}/healthz", server.address);
    let answer = client.build().unwrap().get(url).send().await.unwrap();
    assert_eq!((answer.version(), answer.status().as_u16()), (reqwest::Version::HTTP_2, 200));
}

#[tokio::test]
async fn what_is_unknown_is_answered_in_the_way_of_its_protocol() {
    let server = open_server().await;
    let unknown = ask(server.address, "GET /v2/nothing", &[]).await;
    assert!(unknown.head.contains("content-type: application/problem+json"), "{}", unknown.head);
    let problem = unknown.json();
    assert_eq!((unknown.status, problem["status"].as_u64()), (404, Some(404)));
    assert_eq!(problem["type"], "urn:contexture:error:unknown_route");
    assert_eq!(
        (problem["code"].as_str(), problem["title"].as_str()),
        (Some("unknown_route"), Some("Not Found"))
    );
    assert!(problem.get("field").is_none() && problem.get("retry_after_ms").is_none(), "{problem}");
    let method = ask(server.address, "DELETE /healthz", &[("content-length", "0")]).await;
    assert_eq!((method.status, method.json()["code"].as_str()), (405, Some("method_not_allowed")));
    // A path of gRPC without gRPC is only a path.
    let path =
        ask(server.address, "POST /contexture.v1.IngestService/Submit", &[("content-length", "0")]).await;
    assert_eq!((path.status, path.json()["code"].as_str()), (404, Some("unknown_route")));

    for path in ["/contexture.v1.IngestService/Nothing", "/nobody.v1.Nothing/Call", "/v1/whoami"] {
        let mut client = tonic::client::Grpc::new(server.channel().await);
        client.ready().await.unwrap();
        let codec = tonic_prost::ProstCodec::<proto::MinVersion, proto::Receipt>::default();
        let asked = Request::new(proto::MinVersion::default());
        let status = client.unary(asked, path.parse().unwrap(), codec).await.unwrap_err();
        assert_eq!(status.code(), Code::Unimplemented, "{path}");
    }
}

#[tokio::test]
async fn credentials_and_deadlines_are_those_of_grpc() {
    const KEY: &str = "a-key-of-some-reader";
    let keys = vec![key("reader", KEY, &[AccessScope::Read])];
    let server = RunningServer::start(&Arc::new(ScriptedServices::default()), limits(), keys).await;
    let bearer = format!("Bearer {KEY}");
    for headers in [("authorization", bearer.as_str()), ("x-api-key", KEY)] {
        let known = ask(server.address, "GET /v1/whoami", &[headers]).await;
        assert_eq!((known.status, known.json()["tenant"].as_str()), (200, Some("acme")));
        assert_eq!(known.json()["groups"], serde_json::json!(["engineering"]));
    }
    let refused = ask(server.address, "GET /v1/whoami", &[("x-api-key", "another-key-entirely")]).await;
    assert_eq!((refused.status, refused.json()["code"].as_str()), (401, Some("unauthenticated")));
    assert!(refused.head.contains("www-authenticate: bearer"), "{}", refused.head);
    assert_eq!(ask(server.address, "GET /healthz", &[]).await.status, 200);

    let over = ask(server.address, "GET /v1/whoami", &[("x-api-key", KEY), ("x-timeout-ms", "0")]).await;
    assert_eq!((over.status, over.json()["code"].as_str()), (408, Some("deadline_passed")));
    let unreadable =
        ask(server.address, "GET /v1/whoami", &[("x-api-key", KEY), ("x-timeout-ms", "1s")]).await;
    assert_eq!((unreadable.status, unreadable.json()["field"].as_str()), (400, Some("x-timeout-ms")));
}

#[tokio::test]
async fn headers_have_a_maximum_over_http_too() {
    let server = open_server().await;
    let asked = |bytes: usize| {
        let padding = "p".repeat(bytes);
        async move { ask(server.address, "GET /healthz", &[("x-padding", &padding)]).await }
    };
    assert_eq!(asked(10_000).await.status, 200);
    let beyond = asked(17 * 1024).await;
    assert_eq!((beyond.status, beyond.json()["code"].as_str()), (431, Some("metadata_too_large")));
    // Beyond the buffer of a connection there are no words.
    let far_beyond = asked(100 * 1024).await;
    assert_eq!(far_beyond.status, 431);
}

#[tokio::test(start_paused = true)]
async fn silent_and_slow_connections_end() {
    let server = open_server().await;
    for begun in ["", "PRI * HTTP/2.0", "GET /healthz HTTP/1.1\r\nhost: he"] {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(begun.as_bytes()).await.unwrap();
        let began = Instant::now();
        let mut answer = Vec::new();
        // Whether it ends with a reset is the system's affair.
        let _ = stream.read_to_end(&mut answer).await;
        let waited = began.elapsed();
        assert!((9..20).contains(&waited.as_secs()), "{begun:?} ended after {waited:?}");
    }
    // And one that says nothing after its first answer.
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test]
async fn idle_connections_do_not_hold_the_end_up() {
    let scripted = Arc::new(ScriptedServices::default());
    let limits = ServerLimits { drain_max: Duration::from_mins(1), ..limits() };
    let server = RunningServer::start(&scripted, limits, Vec::new()).await;
    let mut idle = TcpStream::connect(server.address).await.unwrap();
    idle.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    let mut first = [0; 12];
    idle.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"HTTP/1.1 200");
    let _silent = TcpStream::connect(server.address).await.unwrap();
    let began = Instant::now();
    server.shutdown.send(()).unwrap();
    server.done.await.unwrap().unwrap();
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
}
