//! The embedded stack under test: one process, its data, and calls to it.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use contexture::server::grpc::proto::admin_service_client::AdminServiceClient;
use contexture::server::grpc::proto::ingest_service_client::IngestServiceClient;
use contexture::server::grpc::proto::{CollectionRequest, Generation, SubmitRequest};
use futures::{StreamExt, stream};
use tokio::time::Instant;
use tonic::Code;
use tonic::transport::{Channel, Endpoint};

use super::LOOK;
use super::producer::ProducedMessage;
use super::reindexing::DONE_MAX;
use super::world::{COLLECTION, WorkerProcess};

/// Submissions that wait for their receipts at once.
const SUBMISSIONS_OPEN: usize = 16;

/// The embedded stack: one process, its data, and calls to it.
pub(super) struct EmbeddedStackProcess {
    pub(super) place: tempfile::TempDir,
    pub(super) address: SocketAddr,
}

impl EmbeddedStackProcess {
    pub(super) fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_contexture"));
        command.arg("--data").arg(self.place.path().join("data")).stdin(Stdio::null());
        command.env("CONTEXTURE__LOG__LEVEL", "error");
        command
    }

    pub(super) fn serve(&self) -> WorkerProcess {
        let log = self.place.path().join("server.log");
        let log = std::fs::OpenOptions::new().create(true).append(true).open(log).unwrap();
        let mut command = self.command();
        command.args(["serve", "--listen", &self.address.to_string()]);
        WorkerProcess::spawn(command.stdout(Stdio::null()).stderr(log))
    }

    pub(super) fn channel(&self) -> Channel {
        Endpoint::from_shared(format!("http://{}", self.address)).unwrap().connect_lazy()
    }

    pub(super) async fn submit(&self, messages: &[ProducedMessage]) {
        let client = IngestServiceClient::new(self.channel());
        let submit = |message| Self::submit_one(client.clone(), message);
        stream::iter(messages).for_each_concurrent(SUBMISSIONS_OPEN, submit).await;
    }

    async fn submit_one(mut client: IngestServiceClient<Channel>, message: &ProducedMessage) {
        let ProducedMessage { id, version, text } = message;
        let request = SubmitRequest {
            collection: COLLECTION.to_owned(),
            document_id: id.clone(),
            version: Some(*version),
            body: text.clone().unwrap_or_default().into(),
            ..SubmitRequest::default()
        };
        let deadline = Instant::now() + Duration::from_mins(1);
        while let Err(status) = client.submit(request.clone()).await {
            let again = matches!(
                status.code(),
                Code::Unavailable | Code::Unknown | Code::Cancelled | Code::ResourceExhausted
            );
            assert!(again && Instant::now() < deadline, "{status:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    pub(super) async fn generations(&self) -> Vec<Generation> {
        let mut client = AdminServiceClient::new(self.channel());
        let deadline = Instant::now() + Duration::from_mins(1);
        loop {
            let request = CollectionRequest { collection: COLLECTION.to_owned() };
            match client.list_generations(request).await {
                Ok(listed) => return listed.into_inner().generations,
                Err(status) => assert!(Instant::now() < deadline, "{status:?}"),
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    pub(super) fn status(&self) -> serde_json::Value {
        let mut command = self.command();
        command.args(["--json", "status", "--collection", COLLECTION]);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    pub(super) async fn quiet(&self, documents: usize) {
        let deadline = Instant::now() + DONE_MAX;
        loop {
            let status = self.status();
            if status["in_flight"] == 0 && status["documents"].as_u64() == Some(documents as u64) {
                return;
            }
            assert!(Instant::now() < deadline, "{status}");
            tokio::time::sleep(LOOK).await;
        }
    }

    pub(super) fn index(&self, generation: u32) -> std::path::PathBuf {
        let collections = Path::new("data/collections/local").join(COLLECTION);
        self.place.path().join(collections).join(generation.to_string()).join("lexical")
    }
}
