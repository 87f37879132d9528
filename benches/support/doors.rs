//! Doors that a question can go through, and documents in a stream beside the command line.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Instant;

use contexture::context::request::{AssemblyRequest, ContextQuery, RawContextQuery};
use contexture::domain::principal::Principal;
use contexture::operations::ContextApi;
use contexture::server::grpc::proto::AssembleRequest;
use contexture::server::grpc::proto::context_service_client::ContextServiceClient;
use futures::StreamExt;
use hyper::Request;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use reqwest::{Body, Client};
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tonic::transport::{Channel, Endpoint};

use crate::support::{COLLECTION, DocumentGenerator, median};

/// Tokens of each context.
pub(crate) const BUDGET: i64 = 2000;
/// Documents of one ingest, and their bytes.
const DOCUMENTS: usize = 6000;
const DOCUMENT_BYTES: usize = 2048;
const ROUNDS: usize = 3;

/// A way to ask questions. Each caller has a clone of its own.
pub(crate) trait AskingDoor: Clone + Send + Sync + 'static {
    /// Connects, where there is something to connect to.
    fn open(&mut self) -> impl Future<Output = ()> + Send;
    /// Asks a question and takes the whole answer.
    fn ask(&mut self, question: String) -> impl Future<Output = ()> + Send;
}

/// No door: the operation itself.
#[derive(Clone)]
pub(crate) struct InProcessDoor(pub Arc<dyn ContextApi>, pub Principal);

impl AskingDoor for InProcessDoor {
    async fn open(&mut self) {}

    async fn ask(&mut self, question: String) {
        let raw = RawContextQuery {
            collection: COLLECTION.to_owned(),
            question,
            budget: Some(BUDGET),
            ..RawContextQuery::default()
        };
        let query = ContextQuery::new(self.1.clone(), &raw).unwrap();
        let answer = self.0.assemble(query, AssemblyRequest::new(&raw).unwrap()).await.unwrap();
        std::hint::black_box(answer);
    }
}

/// gRPC; each caller has a connection.
#[derive(Clone)]
pub(crate) struct GrpcDoor(SocketAddr, Option<ContextServiceClient<Channel>>);

impl GrpcDoor {
    /// A door at an address.
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        let mut door = Self(address, None);
        door.open().await;
        door
    }
}

impl AskingDoor for GrpcDoor {
    async fn open(&mut self) {
        let channel = Endpoint::from_shared(format!("http://{}", self.0)).unwrap().connect().await.unwrap();
        self.1 = Some(ContextServiceClient::new(channel));
    }

    async fn ask(&mut self, question: String) {
        let request = AssembleRequest {
            collection: COLLECTION.to_owned(),
            question,
            budget: Some(BUDGET),
            ..AssembleRequest::default()
        };
        let answer = self.1.as_mut().unwrap().assemble(request).await.unwrap();
        std::hint::black_box(answer.into_inner());
    }
}

/// HTTP/1.1; each caller has a connection. Without a client library around it: the door is measured.
#[derive(Clone)]
pub(crate) struct HttpDoor(pub SocketAddr, pub Option<Arc<Mutex<SendRequest<axum::body::Body>>>>);

impl AskingDoor for HttpDoor {
    async fn open(&mut self) {
        let stream = TcpStream::connect(self.0).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        self.1 = Some(Arc::new(Mutex::new(sender)));
    }

    async fn ask(&mut self, question: String) {
        let body = serde_json::json!({"question": question, "budget": BUDGET});
        let request = Request::post(format!("/v1/collections/{COLLECTION}/context"))
            .header("host", self.0.to_string())
            .header("content-type", "application/json")
            .body(axum::body::Body::from(body.to_string()))
            .unwrap();
        let mut sender = self.1.as_ref().unwrap().lock().await;
        let answer = sender.send_request(request).await.unwrap();
        assert_eq!(answer.status(), 200);
        let body = axum::body::Body::new(answer.into_body());
        std::hint::black_box(axum::body::to_bytes(body, usize::MAX).await.unwrap());
    }
}

fn client() -> Client {
    // Fails if it is installed already, which is as well.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder().no_proxy().tcp_nodelay(true).build().unwrap()
}

/// `contexture ingest` of a folder beside one NDJSON stream into `contexture serve`, until all is visible.
pub(crate) async fn compare_ingest() {
    let mut generator = DocumentGenerator::new(3);
    let texts: Vec<String> = (0..DOCUMENTS).map(|_| generator.document(DOCUMENT_BYTES)).collect();
    let folder = tempfile::tempdir().unwrap();
    for (number, text) in texts.iter().enumerate() {
        std::fs::write(folder.path().join(format!("document-{number}.md")), text).unwrap();
    }
    let pipeline = folder.path().join("null.toml.skip");
    std::fs::write(&pipeline, crate::support::NULL_PIPELINE).unwrap();
    let (mut command, mut stream) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        command.push(DOCUMENTS as f64 / ingest_by_command(folder.path(), &pipeline));
        stream.push(DOCUMENTS as f64 / ingest_by_stream(&texts).await);
    }
    let ratios: Vec<f64> = stream.iter().zip(&command).map(|(stream, command)| stream / command).collect();
    println!(
        "\n{DOCUMENTS} documents of {DOCUMENT_BYTES} bytes, null embedder, until visible: documents per second"
    );
    println!("contexture ingest        {:>10.0}", median(&mut command));
    println!("PUT in one NDJSON stream {:>10.0}", median(&mut stream));
    println!("stream / command, median of rounds: {:.3}", median(&mut ratios.clone()));
}

fn ingest_by_command(folder: &Path, pipeline: &Path) -> f64 {
    let data = tempfile::tempdir().unwrap();
    let began = Instant::now();
    let done = Command::new(env!("CARGO_BIN_EXE_contexture"))
        .args(["ingest", "--json", "--collection", COLLECTION, "--pipeline"])
        .arg(pipeline)
        .arg("--data")
        .arg(data.path())
        .arg(folder)
        .output()
        .unwrap();
    let seconds = began.elapsed().as_secs_f64();
    let report: serde_json::Value = serde_json::from_slice(&done.stdout).unwrap();
    assert!(report["visible"].as_u64().unwrap() >= DOCUMENTS as u64, "{report}");
    seconds
}

/// Ends the server when it is dropped.
struct RunningProcess(Child);

impl Drop for RunningProcess {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[expect(clippy::naive_bytecount, reason = "a few bytes a result")]
async fn ingest_by_stream(texts: &[String]) -> f64 {
    let data = tempfile::tempdir().unwrap();
    // The command opens its stores, too, so the server's start counts.
    let began = Instant::now();
    let mut server = RunningProcess(
        Command::new(env!("CARGO_BIN_EXE_contexture"))
            .args(["serve", "--json", "--data"])
            .arg(data.path())
            .env("CONTEXTURE__SERVER__LISTEN", "127.0.0.1:0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap(),
    );
    let mut ready = String::new();
    let mut output = std::io::BufReader::new(server.0.stdout.take().unwrap());
    std::io::BufRead::read_line(&mut output, &mut ready).unwrap();
    let ready: serde_json::Value = serde_json::from_str(&ready).unwrap();
    let root = format!("http://{}/v1/collections", ready["listening"].as_str().unwrap());
    let client = client();
    let collection = serde_json::json!({"name": COLLECTION, "pipeline": crate::support::NULL_PIPELINE});
    let made = client.post(&root).json(&collection).send().await.unwrap();
    assert_eq!(made.status(), 201, "{}", made.text().await.unwrap());
    let lines: Vec<String> = texts
        .iter()
        .enumerate()
        .map(|(number, text)| {
            let line = serde_json::json!({"id": format!("document-{number}.md"), "text": text});
            format!("{line}\n")
        })
        .collect();
    let body = Body::wrap_stream(futures::stream::iter(lines.into_iter().map(Ok::<_, std::io::Error>)));
    let answer = client
        .post(format!("{root}/{COLLECTION}/documents"))
        .header("content-type", "application/x-ndjson")
        .body(body)
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 200);
    let mut results = answer.bytes_stream();
    let mut answered = 0;
    while let Some(bytes) = results.next().await {
        let bytes = bytes.unwrap();
        answered += bytes.iter().filter(|byte| **byte == b'\n').count();
    }
    assert_eq!(answered, texts.len());
    loop {
        let counts = client.get(format!("{root}/{COLLECTION}")).send().await.unwrap();
        let counts: serde_json::Value = serde_json::from_slice(&counts.bytes().await.unwrap()).unwrap();
        if counts["counts"]["visible"].as_u64() == Some(texts.len() as u64) {
            return began.elapsed().as_secs_f64();
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}
