//! Every door at once: the same service over HTTP, gRPC and MCP.

mod bad_input;
mod callers;
mod documented;
mod tenants;

use std::net::SocketAddr;
use std::path::Path;

use contexture::config::ContextureConfig;
use contexture::wiring::{ProcessRole, ServiceStack};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// An embedder that hashes words.
const PIPELINE: &str = "[embedder]\nkind = \"hash\"\ndims = 64\ntokens_max = 256\n";

/// The embedded stack, served on loopback by this process.
struct ServedStack {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    done: JoinHandle<()>,
    _home: TempDir,
}

impl ServedStack {
    /// Serves a fresh data directory, with these keys: name, tenant, key, scopes.
    async fn start(keys: &[(&str, &str, &str, &[&str])]) -> Self {
        let home = TempDir::new().unwrap();
        let mut file = String::new();
        for (name, tenant, key, scopes) in keys {
            let hash = blake3::hash(key.as_bytes());
            file += &format!(
                "[[auth.keys]]\nname = {name:?}\ntenant = {tenant:?}\nscopes = {scopes:?}\nhash = \"{hash}\"\n"
            );
        }
        let path = home.path().join("contexture.toml");
        std::fs::write(&path, file).unwrap();
        let config = loaded(&path, home.path());
        let stack = ServiceStack::open(&config, ProcessRole::Serve { workers: true }).await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let done = tokio::spawn(async move {
            stack.serve(&config, listener, async move { stopped.await.unwrap_or(()) }).await.unwrap();
            stack.shutdown().await;
        });
        Self { address, stop, done, _home: home }
    }

    async fn stop(self) {
        self.stop.send(()).unwrap();
        self.done.await.unwrap();
    }
}

fn loaded(file: &Path, home: &Path) -> ContextureConfig {
    let data = home.join("data").display().to_string();
    ContextureConfig::load(Some(file), [("CONTEXTURE_DATA_DIR".to_owned(), data)]).unwrap()
}
