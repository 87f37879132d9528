//! Producers of the whole service, its queues at a RabbitMQ and its ledger in a file: what is
//! published becomes visible, or its producer learns why not.

mod examples;
mod table;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use contexture::config::ContextureConfig;
use contexture::domain::ids::CollectionId;
use contexture::domain::origin::MessageOrigin;
use contexture::domain::pipeline::Pipeline;
use contexture::ports::producers::ProducerMessage;
use contexture::resilience::retry;
use contexture::wiring::{ProcessRole, ServiceStack};
use serde_json::Value;
use tempfile::TempDir;
use tokio::time::timeout;

use crate::support::rabbit::{PlainAmqpClient, RabbitPrefix};
use crate::support::schemas::{assert_valid, schema};

/// How long a test waits for the next event, on a machine that compiles beside.
const PATIENCE: Duration = Duration::from_secs(25);
/// The collection of these tests.
const HANDBOOK: &str = "handbook";
/// Largest body of these tests, in bytes.
const BODY_BYTES_MAX: usize = 4096;

/// An embedder that hashes words: enough to find shared words, and no model to load.
const HASH_PIPELINE: &str = "[embedder]\nkind = \"hash\"\ndims = 64\ntokens_max = 256\n";

/// A service, and a producer that hears everything.
struct ProducedService {
    rabbit: RabbitPrefix,
    folder: TempDir,
    stack: ServiceStack,
    beside: PlainAmqpClient,
    heard: String,
}

impl ProducedService {
    async fn start() -> Option<Self> {
        let mut rabbit = RabbitPrefix::find()?;
        // What the service declares is deleted with what the test declares.
        rabbit.config.retry_tiers = retry::RETRY_TIERS.to_vec();
        let folder = TempDir::new().unwrap();
        let text = format!(
            "data_dir = \"data\"\n[limits]\nbody_bytes_max = {BODY_BYTES_MAX}\n\
             [broker]\nurl = \"{}\"\nprefix = \"{}\"\n",
            rabbit.url(),
            rabbit.config.prefix
        );
        let file = folder.path().join("contexture.toml");
        std::fs::write(&file, text).unwrap();
        let config = ContextureConfig::load(Some(&file), []).unwrap();
        let stack = ServiceStack::open(&config, ProcessRole::Serve { workers: true }).await.unwrap();
        let pipeline = Pipeline::from_toml(HASH_PIPELINE).unwrap();
        stack.ensure_collection(&CollectionId::new(HANDBOOK).unwrap(), Some(&pipeline)).await.unwrap();
        let beside = rabbit.beside().await;
        let heard = beside.listen(&rabbit.named("events"), "local.#").await;
        Some(Self { rabbit, folder, stack, beside, heard })
    }

    fn config_file(&self) -> PathBuf {
        self.folder.path().join("contexture.toml")
    }

    fn exchange(&self) -> String {
        self.rabbit.named("submit")
    }

    /// Publishes bytes under a message id of their own.
    async fn publish(&self, message_id: &str, body: Vec<u8>) {
        let message = ProducerMessage {
            tag: 0,
            routing_key: format!("local.{HANDBOOK}"),
            user_id: Some(self.rabbit.user()),
            origin: MessageOrigin::new(Some(message_id.to_owned()), None, None, None),
            body,
            redelivered: false,
        };
        self.beside.submit(&self.exchange(), &message).await;
    }

    /// What is told about each message until `done` says that it is all; in order.
    async fn hear(
        &self,
        done: impl Fn(&BTreeMap<String, Vec<Value>>) -> bool,
    ) -> BTreeMap<String, Vec<Value>> {
        let schema = schema("event.v1.json");
        let mut heard: BTreeMap<String, Vec<Value>> = BTreeMap::new();
        while !done(&heard) {
            let Ok(message) = timeout(PATIENCE, self.beside.peek(&self.heard)).await else {
                panic!("only this is told: {heard:#?}");
            };
            let event: Value = serde_json::from_slice(&message.data).unwrap();
            assert_valid(&schema, &event);
            let about = event["correlationid"].as_str().unwrap_or_default().to_owned();
            heard.entry(about).or_default().push(event);
        }
        heard
    }

    async fn stop(self) -> (RabbitPrefix, TempDir) {
        self.stack.shutdown().await;
        (self.rabbit, self.folder)
    }
}

/// The last word of an event's type.
fn kind(event: &Value) -> &str {
    event["type"].as_str().unwrap().rsplit('.').next().unwrap()
}

/// Whether nothing more is to be told after it.
fn ends(event: &Value) -> bool {
    kind(event) != "accepted"
}
