//! The intake of the broker over a ledger and queues in memory: what becomes of producers'
//! messages, and what producers are told.

mod answers;
mod endings;
mod references;
mod refusals;
mod waiting;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use contexture_adapters::memory::broker::MemoryBroker;
use contexture_adapters::memory::ledger::MemoryLedger;
use contexture_adapters::memory::producers::MemoryProducers;
use contexture_core::domain::event::{DocumentEvent, EventKind};
use contexture_core::domain::ids::TenantId;
use contexture_core::domain::origin::MessageOrigin;
use contexture_core::ingest::intake::{self, BrokerIntake, ProducerAccess};
use contexture_core::ingest::submit::DocumentSubmitter;
use contexture_core::ports::ledger::Ledger;
use contexture_core::ports::producers::{ProducerMessage, ProducerQueue};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::support::clock::ManualClock;
use crate::support::{BODY_BYTES_MAX, TENANT, collection, epoch};

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_mins(1);
/// Long enough to see that nothing comes.
const BRIEF: Duration = Duration::from_millis(200);
/// The broker's user of the tests' producer.
const CRAWLER: &str = "crawler";

/// Everything the intake touches.
struct IntakeFixture {
    ledger: Arc<MemoryLedger>,
    broker: Arc<MemoryBroker>,
    producers: Arc<MemoryProducers>,
    intake: BrokerIntake,
}

impl IntakeFixture {
    /// A ledger with the collections `home` and `other`, and a producer of the tenant.
    async fn new() -> Self {
        let clock = Arc::new(ManualClock::new());
        let ledger = Arc::new(MemoryLedger::new(clock.clone()));
        let broker = Arc::new(MemoryBroker::new(clock));
        let submitter =
            DocumentSubmitter::new(ledger.clone(), broker.clone(), BODY_BYTES_MAX, BODY_BYTES_MAX);
        Self::over(ledger.clone(), broker, submitter, ledger).await
    }

    async fn over(
        memory: Arc<MemoryLedger>,
        broker: Arc<MemoryBroker>,
        submitter: DocumentSubmitter,
        ledger: Arc<dyn Ledger>,
    ) -> Self {
        for name in ["home", "other"] {
            ledger.ensure_collection(&collection(TENANT, name), "", epoch("one")).await.unwrap();
        }
        let producers = Arc::new(MemoryProducers::default());
        let intake = BrokerIntake {
            submitter: Arc::new(submitter),
            ledger,
            producers: producers.clone(),
            events: producers.clone(),
            access: access(&[(CRAWLER, TENANT)]),
            references: None,
            create_collection: None,
        };
        Self { ledger: memory, broker, producers, intake }
    }

    fn send(&self, message: &Value) {
        self.send_to("acme.home", message);
    }

    fn send_to(&self, routing_key: &str, message: &Value) {
        self.send_bytes(routing_key, &serde_json::to_vec(message).unwrap());
    }

    fn send_bytes(&self, routing_key: &str, body: &[u8]) {
        self.producers.send(published(routing_key, body, None));
    }

    fn start(self) -> RunningIntake {
        let stop = watch::Sender::new(false);
        let working = tokio::spawn(intake::run_intake(Arc::new(self.intake), stop.subscribe()));
        RunningIntake { ledger: self.ledger, broker: self.broker, producers: self.producers, stop, working }
    }

    /// Takes in what was sent, until so much is told; nothing may be left.
    async fn answers(self, count: usize) -> (Vec<DocumentEvent>, RunningIntake) {
        let running = self.start();
        let told = running.told(count).await;
        let running = running.stop().await;
        assert_eq!(told.len(), count, "{:?}", kinds(&told));
        let mut rest = running.producers.submissions().await.unwrap();
        let left = timeout(BRIEF, rest.receive(1, Duration::ZERO)).await;
        assert!(left.is_err(), "a message was not acknowledged");
        (told, running)
    }
}

/// A desk at work, or one that has stopped.
struct RunningIntake {
    ledger: Arc<MemoryLedger>,
    broker: Arc<MemoryBroker>,
    producers: Arc<MemoryProducers>,
    stop: watch::Sender<bool>,
    working: JoinHandle<()>,
}

impl RunningIntake {
    /// Everything told, once it is so much.
    async fn told(&self, count: usize) -> Vec<DocumentEvent> {
        let mut told = self.producers.told();
        let enough = timeout(PATIENCE, told.wait_for(|told| told.len() >= count)).await;
        enough.unwrap_or_else(|_| panic!("{:?}", kinds(&self.producers.told().borrow()))).unwrap().clone()
    }

    async fn stop(mut self) -> Self {
        self.stop.send_replace(true);
        timeout(PATIENCE, &mut self.working).await.expect("it stops").unwrap();
        self
    }
}

fn access(users: &[(&str, &str)]) -> ProducerAccess {
    let mut by_user: BTreeMap<String, BTreeSet<TenantId>> = BTreeMap::new();
    for (user, tenant) in users {
        by_user.entry((*user).to_owned()).or_default().insert(TenantId::new(tenant).unwrap());
    }
    ProducerAccess::new(TenantId::new("local").unwrap(), by_user)
}

fn published(routing_key: &str, body: &[u8], origin: Option<MessageOrigin>) -> ProducerMessage {
    ProducerMessage {
        tag: 0,
        routing_key: routing_key.to_owned(),
        user_id: Some(CRAWLER.to_owned()),
        origin,
        body: body.to_vec(),
        redelivered: false,
    }
}

fn text(id: &str, version: Option<u64>, text: &str) -> Value {
    let mut message = json!({ "document_id": id, "text": text });
    if let Some(version) = version {
        message["version"] = version.into();
    }
    message
}

fn kinds(events: &[DocumentEvent]) -> Vec<EventKind> {
    events.iter().map(DocumentEvent::kind).collect()
}

fn json_of(event: &DocumentEvent) -> Value {
    serde_json::from_slice(&event.to_json(0)).unwrap()
}

fn data(event: &DocumentEvent) -> Value {
    json_of(event)["data"].clone()
}

fn codes(events: &[DocumentEvent]) -> Vec<String> {
    let refused = events.iter().filter(|event| event.kind() == EventKind::Rejected);
    refused.map(|event| data(event)["reason"]["code"].as_str().unwrap().to_owned()).collect()
}
