//! Where the Qdrant adapter is tested: the engine behind the protocol, or a real server.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use contexture_adapters::qdrant::{CollectionOptions, QdrantConfig, QdrantVectors};
use contexture_core::fault::Fault;

use super::edge_behind_qdrant_grpc::EdgeBehindQdrantGrpc;

/// Names a real server, such as `http://127.0.0.1:6334`.
const URL: &str = "CONTEXTURE_TEST_QDRANT_URL";
/// The key of that server.
const API_KEY: &str = "CONTEXTURE_TEST_QDRANT_API_KEY";
/// The key of the server in process.
pub(crate) const KEY: &str = "canary-7c1f42d6e8";
/// Longest call of a test that does not wait for it.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Without the int8 copy, and with the server's own shards and copies.
pub(crate) const PLAIN: CollectionOptions = CollectionOptions { int8: false, shards: None, replicas: None };

/// A server and a collection's name that nobody else uses.
pub(crate) struct QdrantTestCollection {
    pub(crate) config: QdrantConfig,
    pub(crate) collection: String,
    /// None where the server is real.
    server: Option<EdgeBehindQdrantGrpc>,
}

impl QdrantTestCollection {
    /// The real server where one is named, else one in process.
    pub(crate) fn open() -> Self {
        let Ok(url) = std::env::var(URL) else { return Self::in_process() };
        let api_key = std::env::var(API_KEY).ok();
        Self { config: config(url, api_key), collection: random_name(), server: None }
    }

    /// Always one in process: for tests that tell it what to do wrong.
    pub(crate) fn in_process() -> Self {
        let server = EdgeBehindQdrantGrpc::start(Some(KEY));
        let config = config(server.url(), Some(KEY.to_owned()));
        Self { config, collection: random_name(), server: Some(server) }
    }

    pub(crate) fn server(&mut self) -> &mut EdgeBehindQdrantGrpc {
        self.server.as_mut().expect("a server in process")
    }

    pub(crate) async fn vectors(&self, dims: usize) -> Result<QdrantVectors, Fault> {
        self.vectors_with(dims, PLAIN).await
    }

    pub(crate) async fn vectors_with(
        &self,
        dims: usize,
        options: CollectionOptions,
    ) -> Result<QdrantVectors, Fault> {
        QdrantVectors::open(&self.config, &self.collection, dims, options).await
    }
}

/// A real server keeps nothing of a test. Its own runtime, for the test's may be ending.
impl Drop for QdrantTestCollection {
    fn drop(&mut self) {
        if self.server.is_some() {
            return;
        }
        let (config, collection) = (self.config.clone(), self.collection.clone());
        let remove = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let client = qdrant_client::Qdrant::from_url(&config.url)
                    .api_key(config.api_key)
                    .skip_compatibility_check()
                    .build()
                    .unwrap();
                client.delete_collection(collection).await.unwrap();
            });
        };
        std::thread::spawn(remove).join().unwrap();
    }
}

fn config(url: String, api_key: Option<String>) -> QdrantConfig {
    QdrantConfig { url, api_key, timeout: TIMEOUT, connect_timeout: TIMEOUT }
}

fn random_name() -> String {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let random = RandomState::new().hash_one(NUMBER.fetch_add(1, Ordering::Relaxed));
    format!("contexture_test_{random:016x}")
}
