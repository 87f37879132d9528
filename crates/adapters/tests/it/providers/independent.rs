//! A server that others wrote: llama.cpp's, from a Python package, with a tiny model made for it.
//! The script beside the fixtures says how.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use contexture_adapters::http::{HeaderMap, HttpEndpoint, HttpEndpointConfig, RemoteService};
use contexture_adapters::providers::{ProviderApi, ProviderEmbedder, ProviderEmbedderParts};
use contexture_core::fault::{Fault, reason};
use contexture_core::ports::embedder::{Embedder, EmbedderInfo, EmbeddingPurpose};

use crate::support::providers::ProviderSetup;
use crate::support::tokenizers::RunTokenizer;

const DIMS: usize = 64;

/// The server's process; it ends when its standard input closes.
struct IndependentServer {
    url: String,
    child: Child,
}

impl IndependentServer {
    fn start(more: &[&str]) -> Self {
        let script = crate::support::workspace::workspace_file("tests/fixtures/embedding_server.py");
        let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("embedding-server");
        let mut child = Command::new("python3")
            .arg(script)
            .arg(cache)
            .args(more)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("python3 is needed to run an independent server: install it, with its module venv");
        let mut said = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut said).unwrap();
        let url = said.trim().strip_prefix("listening on ").expect("it says where it listens").to_owned();
        Self { url, child }
    }

    fn embedder(&self, setup: &ProviderSetup, dims: usize) -> ProviderEmbedder {
        let service = RemoteService { name: "embedder", rejected: reason::EMBEDDER_REJECTED };
        let endpoint = HttpEndpointConfig {
            url: ProviderApi::OpenAi.url(&format!("{}/v1", self.url), "tiny-bert", None),
            api_key: None,
            call_max: setup.call_max,
            answer_bytes_max: 1 << 22,
        };
        ProviderEmbedder::new(ProviderEmbedderParts {
            label: "llama/tiny-bert".to_owned(),
            info: EmbedderInfo {
                model: "llama/tiny-bert".to_owned(),
                dims,
                tokens_max: 100_000,
                tokens_reserved: 0,
                batch_texts_max: 64,
                batch_tokens_max: 100_000,
                calls_max: 4,
                is_metered: true,
            },
            shape: ProviderApi::OpenAi,
            model: "tiny-bert".to_owned(),
            dims_asked: None,
            input_types: None,
            passage_prefix: String::new(),
            query_prefix: String::new(),
            tokenizer: Arc::new(RunTokenizer),
            endpoint: HttpEndpoint::new(service, &endpoint, setup.clock.clone()).unwrap(),
            call_max: setup.call_max,
            headers: HeaderMap::new(),
            authorization: None,
            limiter: setup.limiter(),
            clock: setup.clock.clone(),
        })
    }
}

impl Drop for IndependentServer {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn llama_cpp_embeds_and_refuses_as_it_should() {
    let server = tokio::task::spawn_blocking(|| IndependentServer::start(&[])).await.unwrap();
    let setup = ProviderSetup { call_max: Duration::from_mins(1), ..ProviderSetup::new() };
    let embedder = server.embedder(&setup, DIMS);
    let texts: Vec<String> = (0..40).map(|number| format!("a text about number {number}")).collect();
    let vectors = embedder.embed(&texts, EmbeddingPurpose::Passage).await.unwrap();
    assert_eq!(vectors.len(), 40);
    for vector in &vectors {
        let length = vector.iter().map(|number| number * number).sum::<f32>().sqrt();
        assert!(vector.len() == DIMS && (length - 1.0).abs() < 1e-5);
    }
    assert_ne!(vectors[0], vectors[1]);
    let alone = embedder.embed(&texts[7..8], EmbeddingPurpose::Query).await.unwrap();
    assert_eq!(alone[0], vectors[7], "a text has its vector, whatever stands beside it");

    // Wrong dimensions are seen, though the server answers 200.
    let fault = server
        .embedder(&ProviderSetup::new(), 32)
        .embed(&texts[..2], EmbeddingPurpose::Passage)
        .await
        .unwrap_err();
    let Fault::Permanent(why) = &fault else { panic!("{fault}") };
    assert!(why.detail.contains("64 numbers") && why.detail.contains("32"), "{why}");
    // A text beyond the window: its words come back, and nothing of the text.
    let long = vec!["word ".repeat(2000)];
    let fault = server
        .embedder(&ProviderSetup::new(), DIMS)
        .embed(&long, EmbeddingPurpose::Passage)
        .await
        .unwrap_err();
    assert!(fault.to_string().contains("too large"), "{fault}");
    drop(embedder);
    tokio::task::spawn_blocking(move || drop(server)).await.unwrap();
}
