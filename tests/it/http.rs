//! The HTTP door: every route over a real server with the embedded stack behind it, and what it refuses.

mod administration;
mod collections;
mod conditions;
mod description;
mod documents;
mod events;
mod lines;
mod many;
mod questions;
mod refusals;
mod sources;
mod vector_stores;

use std::time::Duration;

use contexture::config::ContextureConfig;
use contexture::wiring::{ProcessRole, ServiceStack};
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// An embedder that hashes words.
const PIPELINE: &str = "[embedder]\nkind = \"hash\"\ndims = 64\ntokens_max = 256\n";
/// The same with other vectors.
const OTHER_PIPELINE: &str = "[embedder]\nkind = \"hash\"\ndims = 32\ntokens_max = 256\n";
/// How long a test waits for what must happen.
const PATIENCE: Duration = Duration::from_mins(1);

/// A server on loopback, and a client of it.
struct HttpTestServer {
    url: String,
    client: Client,
    stop: oneshot::Sender<()>,
    done: JoinHandle<()>,
    _home: TempDir,
}

impl HttpTestServer {
    /// Serves an empty data directory without credentials.
    async fn start() -> Self {
        Self::start_with("").await
    }

    /// Serves with a configuration.
    async fn start_with(config: &str) -> Self {
        Self::start_beside(config, &[]).await
    }

    /// The same with further files beside the configuration.
    async fn start_beside(config: &str, files: &[(&str, &str)]) -> Self {
        // Fails if it is installed already, which is as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let home = TempDir::new().unwrap();
        for (name, text) in files {
            std::fs::write(home.path().join(name), text).unwrap();
        }
        let file = home.path().join("contexture.toml");
        std::fs::write(&file, format!("data_dir = \"data\"\n{config}")).unwrap();
        let config = ContextureConfig::load(Some(&file), []).unwrap();
        let stack = ServiceStack::open(&config, ProcessRole::Serve { workers: true }).await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (stop, stopped) = oneshot::channel::<()>();
        let done = tokio::spawn(async move {
            stack.serve(&config, listener, async move { stopped.await.unwrap_or(()) }).await.unwrap();
            stack.shutdown().await;
        });
        let client = Client::builder().no_proxy().timeout(PATIENCE).build().unwrap();
        Self { url, client, stop, done, _home: home }
    }

    /// The same with a collection `c`.
    async fn with_collection() -> Self {
        let server = Self::start().await;
        server.make("c").await;
        server
    }

    async fn make(&self, name: &str) {
        let made = self.post("/v1/collections", &json!({"name": name, "pipeline": PIPELINE})).await;
        assert_eq!(made.0, StatusCode::CREATED, "{}", made.1);
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.url))
    }

    async fn get(&self, path: &str) -> (StatusCode, Value) {
        answer(self.request(Method::GET, path)).await
    }

    async fn delete(&self, path: &str) -> (StatusCode, Value) {
        answer(self.request(Method::DELETE, path)).await
    }

    async fn post(&self, path: &str, body: &Value) -> (StatusCode, Value) {
        answer(self.request(Method::POST, path).json(body)).await
    }

    async fn put(&self, path: &str, body: &Value) -> (StatusCode, Value) {
        answer(self.request(Method::PUT, path).json(body)).await
    }

    /// Puts a text and waits until queries see it.
    async fn put_text(&self, collection: &str, id: &str, text: &str) -> Value {
        let path = format!("/v1/collections/{collection}/documents/{id}?wait=visible");
        let (status, receipt) = self.put(&path, &json!({"text": text})).await;
        assert_eq!((status, &receipt["state"]), (StatusCode::OK, &json!("visible")), "{receipt}");
        receipt
    }

    async fn stop(self) {
        self.stop.send(()).unwrap();
        tokio::time::timeout(PATIENCE, self.done).await.unwrap().unwrap();
    }
}

/// Sends a request: the status, and the JSON of the answer, null where there is none.
async fn answer(request: RequestBuilder) -> (StatusCode, Value) {
    body_of(request.send().await.unwrap()).await
}

/// The status and the JSON of an answer. A refusal is a problem, and says its own status.
async fn body_of(response: Response) -> (StatusCode, Value) {
    let status = response.status();
    let content_type = response.headers().get("content-type").map(|value| value.to_str().unwrap().to_owned());
    let bytes = response.bytes().await.unwrap();
    if bytes.is_empty() {
        return (status, Value::Null);
    }
    let json: Value = serde_json::from_slice(&bytes)
        .unwrap_or_else(|_| panic!("{status}, not JSON: {}", String::from_utf8_lossy(&bytes)));
    if status.is_client_error() || status.is_server_error() {
        assert_eq!(content_type.as_deref(), Some("application/problem+json"), "{json}");
        assert_eq!(json["status"], status.as_u16(), "{json}");
        let code = json["code"].as_str().unwrap();
        assert_eq!(json["type"], format!("urn:contexture:error:{code}"), "{json}");
    }
    (status, json)
}

/// The status, the code and the field of a refusal.
fn refused((status, problem): &(StatusCode, Value)) -> (u16, &str, &str) {
    let text = |name: &str| problem[name].as_str().unwrap_or_default();
    (status.as_u16(), text("code"), text("field"))
}
