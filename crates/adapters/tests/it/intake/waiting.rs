//! While something is away the intake waits, and nothing is acknowledged.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use contexture_adapters::memory::broker::MemoryBroker;
use contexture_adapters::memory::ledger::MemoryLedger;
use contexture_adapters::memory::producers::MemoryProducers;
use contexture_adapters::sqlite::{SqliteDatabase, SqliteLedger};
use contexture_core::domain::event::{DocumentEvent, EventKind};
use contexture_core::domain::task::IngestStage;
use contexture_core::fault::Fault;
use contexture_core::ingest::submit::DocumentSubmitter;
use contexture_core::ports::broker::{Broker, BrokerConsumer, OutgoingMessage};
use contexture_core::ports::producers::{
    ProducerEventSink, ProducerQueue, RejectedMessage, SubmissionConsumer,
};
use tokio::sync::{Notify, Semaphore};
use tokio::time::timeout;

use super::{IntakeFixture, PATIENCE, kinds, text};
use crate::support::clock::ManualClock;
use crate::support::{BODY_BYTES_MAX, TENANT, collection, submission};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_while_the_ledger_is_away() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.db");
    let clock = Arc::new(ManualClock::new());
    let ledger = Arc::new(SqliteLedger::new(SqliteDatabase::open(&path).unwrap(), clock.clone()));
    let memory = Arc::new(MemoryLedger::new(clock.clone()));
    let broker = Arc::new(MemoryBroker::new(clock));
    let submitter = || DocumentSubmitter::new(ledger.clone(), broker.clone(), BODY_BYTES_MAX, BODY_BYTES_MAX);
    let desk = IntakeFixture::over(memory.clone(), broker.clone(), submitter(), ledger.clone()).await;
    let away = rusqlite::Connection::open(&path).unwrap();
    away.execute_batch("BEGIN EXCLUSIVE").unwrap();
    desk.send(&text("a", Some(1), "one"));
    let producers = desk.producers.clone();
    let running = desk.start();
    // It stops when the ledger has refused once, with the message in its hands.
    let running = running.stop().await;
    assert_eq!(kinds(&running.producers.told().borrow()), []);
    let mut consumer = producers.submissions().await.unwrap();
    let back = timeout(PATIENCE, consumer.receive(1, Duration::ZERO)).await.unwrap().unwrap();
    assert_eq!(back.len(), 1, "it was not acknowledged");
    drop(consumer);
    away.execute_batch("ROLLBACK").unwrap();
    let mut again = IntakeFixture::over(memory, broker.clone(), submitter(), ledger.clone()).await;
    again.producers = producers.clone();
    again.intake.producers = producers.clone();
    again.intake.events = producers;
    let (told, _) = again.answers(1).await;
    assert_eq!(kinds(&told), [EventKind::Accepted]);
}

/// Publishes only while it has a permit.
struct GatedBroker {
    inner: MemoryBroker,
    gate: Semaphore,
    waiting: Notify,
}

#[async_trait]
impl Broker for GatedBroker {
    async fn publish(&self, messages: Vec<OutgoingMessage>) -> Result<(), Fault> {
        self.waiting.notify_one();
        let _open = self.gate.acquire().await.unwrap();
        self.inner.publish(messages).await
    }

    async fn consume(&self, stage: IngestStage) -> Result<Box<dyn BrokerConsumer>, Fault> {
        self.inner.consume(stage).await
    }

    async fn depth(&self, stage: IngestStage) -> Result<u64, Fault> {
        self.inner.depth(stage).await
    }

    fn unseen_max(&self) -> Duration {
        self.inner.unseen_max()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn full_intake_is_waited_for() {
    let clock = Arc::new(ManualClock::new());
    let memory = Arc::new(MemoryLedger::new(clock.clone()));
    let inner = MemoryBroker::new(clock.clone());
    let gated = Arc::new(GatedBroker { inner, gate: Semaphore::new(0), waiting: Notify::new() });
    let submitter = DocumentSubmitter::new(memory.clone(), gated.clone(), 4096, 4096);
    let broker = Arc::new(MemoryBroker::new(clock));
    let desk = IntakeFixture::over(memory.clone(), broker, submitter, memory).await;
    let full = submission(&collection(TENANT, "home"), "first", None, &"x".repeat(4096));
    let submitter = desk.intake.submitter.clone();
    let holding = tokio::spawn(async move { submitter.submit(vec![full]).await });
    timeout(PATIENCE, gated.waiting.notified()).await.expect("it holds the room");
    let probe = vec![submission(&collection(TENANT, "home"), "probe", None, &"y".repeat(2048))];
    assert_eq!(desk.intake.submitter.submit(probe).await.unwrap_err().code, "intake_full");
    desk.send(&text("second", None, &"z".repeat(2048)));
    let running = desk.start();
    assert_eq!(kinds(&running.producers.told().borrow()), []);
    gated.gate.add_permits(100);
    holding.await.unwrap().unwrap();
    assert_eq!(kinds(&running.told(1).await), [EventKind::Accepted]);
    running.stop().await;
}

/// Fails so many times before it works.
struct FailingLedgerBroker {
    inner: Arc<MemoryProducers>,
    failures: AtomicU32,
}

impl FailingLedgerBroker {
    fn fails(&self) -> Result<(), Fault> {
        let counted =
            self.failures.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        if counted.is_ok() { Err(Fault::transient("away")) } else { Ok(()) }
    }
}

#[async_trait]
impl ProducerQueue for FailingLedgerBroker {
    async fn submissions(&self) -> Result<Box<dyn SubmissionConsumer>, Fault> {
        self.fails()?;
        self.inner.submissions().await
    }

    async fn store_rejected(&self, rejected: Vec<RejectedMessage>) -> Result<(), Fault> {
        self.fails()?;
        self.inner.store_rejected(rejected).await
    }
}

#[async_trait]
impl ProducerEventSink for FailingLedgerBroker {
    async fn publish(&self, events: Vec<DocumentEvent>) -> Result<(), Fault> {
        self.fails()?;
        self.inner.publish(events).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn broker_that_fails_is_tried_again_and_nothing_is_taken_in_twice() {
    let mut desk = IntakeFixture::new().await;
    let failing =
        || Arc::new(FailingLedgerBroker { inner: desk.producers.clone(), failures: AtomicU32::new(2) });
    (desk.intake.producers, desk.intake.events) = (failing(), failing());
    desk.send(&text("a", Some(1), "one"));
    desk.send(&serde_json::json!([]));
    let (told, running) = desk.answers(2).await;
    assert_eq!(kinds(&told), [EventKind::Rejected, EventKind::Accepted], "not a duplicate of itself");
    assert_eq!(running.producers.buried().len(), 1);
}
