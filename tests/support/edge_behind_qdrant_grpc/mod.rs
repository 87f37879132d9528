//! Qdrant's engine behind Qdrant's protocol: what a Qdrant server is to its client, in process.
//!
//! Not Qdrant: the embedded engine (`qdrant-edge`) answers the calls that the adapter makes, and
//! every other call is UNIMPLEMENTED. Messages, gRPC, the API key and status codes are real; a
//! cluster, strict mode, write-ahead recovery and the server's own limits are not here. Where
//! `CONTEXTURE_TEST_QDRANT_URL` is set, the suite of the port runs against a real server instead.

mod faults;
mod services;
mod store;
mod wire;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use qdrant_client::qdrant::collections_server::CollectionsServer;
use qdrant_client::qdrant::points_server::PointsServer;
use qdrant_client::qdrant::qdrant_server::QdrantServer;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::Server;

use faults::FaultPlan;
pub(crate) use faults::InjectedFault;
use services::QdrantGrpcService;
use store::EdgeCollectionStore;

/// Longest wait for the end of a server that is stopped.
const STOP_MAX: Duration = Duration::from_secs(30);

/// A server on a port of its own; it ends when dropped.
pub(crate) struct EdgeBehindQdrantGrpc {
    address: SocketAddr,
    store: Arc<EdgeCollectionStore>,
    plan: Arc<FaultPlan>,
    /// Its own, so that stopping it ends its connections, too.
    serving: Option<Runtime>,
}

impl EdgeBehindQdrantGrpc {
    /// Serves on a free port of the loopback interface.
    pub(crate) fn start(api_key: Option<&str>) -> Self {
        let store = Arc::new(EdgeCollectionStore::new());
        let plan = Arc::new(FaultPlan::new(api_key));
        let mut server = Self { address: ([127, 0, 0, 1], 0).into(), store, plan, serving: None };
        server.serve();
        server
    }

    /// Serves again after [`Self::stop`], on the same port, with what it held.
    pub(crate) fn serve(&mut self) {
        let listener = std::net::TcpListener::bind(self.address).unwrap();
        listener.set_nonblocking(true).unwrap();
        self.address = listener.local_addr().unwrap();
        let service = QdrantGrpcService::new(self.store.clone(), self.plan.clone());
        let router = Server::builder()
            .add_service(PointsServer::new(service.clone()))
            .add_service(CollectionsServer::new(service.clone()))
            .add_service(QdrantServer::new(service));
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        runtime.spawn(async move {
            let incoming = TcpListenerStream::new(TcpListener::from_std(listener).unwrap());
            router.serve_with_incoming(incoming).await.unwrap();
        });
        self.serving = Some(runtime);
    }

    /// Ends it and its connections, as a crash would for the client.
    pub(crate) async fn stop(&mut self) {
        if let Some(serving) = self.serving.take() {
            tokio::task::spawn_blocking(move || serving.shutdown_timeout(STOP_MAX)).await.unwrap();
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Lets the next calls fail; a call takes the first fault that is left.
    pub(crate) fn inject(&self, faults: impl IntoIterator<Item = InjectedFault>) {
        self.plan.inject(faults);
    }

    /// Faults that no call has met yet.
    pub(crate) fn faults_left(&self) -> usize {
        self.plan.left()
    }

    /// Calls of a method so far, such as `Points/upsert`.
    pub(crate) fn calls(&self, method: &str) -> usize {
        self.plan.calls(method)
    }

    /// What the health check says from now on.
    pub(crate) fn set_version(&self, version: &str) {
        self.plan.set_version(version);
    }

    /// Loses every `nth` point of a collection, as a server without replicas might.
    pub(crate) fn lose_every(&self, nth: usize, collection: &str) {
        self.store.lose_every(nth, collection);
    }

    /// Builds the index and the quantised copy, which a real server does by itself.
    pub(crate) fn optimize(&self, collection: &str) {
        self.store.optimize(collection);
    }
}

impl Drop for EdgeBehindQdrantGrpc {
    fn drop(&mut self) {
        if let Some(serving) = self.serving.take() {
            serving.shutdown_background();
        }
    }
}
