//! How versions ended is told, whoever recorded it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use contexture_adapters::memory::broker::MemoryBroker;
use contexture_adapters::memory::producers::MemoryProducers;
use contexture_core::domain::event::{DocumentEvent, EventKind};
use contexture_core::domain::origin::MessageOrigin;
use contexture_core::domain::task::{IngestStage, IngestTask, TaskEnvelope};
use contexture_core::fault::{FailureReason, Fault};
use contexture_core::ingest::worker;
use contexture_core::ports::broker::{Broker, OutgoingMessage};
use contexture_core::ports::ledger::{Ledger, VersionOutcome};
use contexture_core::ports::producers::ProducerEventSink;
use tokio::sync::watch;
use tokio::time::timeout;

use super::{PATIENCE, data, json_of, kinds};
use crate::support::stages::StageFixture;
use crate::support::{TENANT, collection, submission};

/// Fails so many times before it tells.
struct FailingEventSink {
    inner: Arc<MemoryProducers>,
    failures: AtomicU32,
}

#[async_trait]
impl ProducerEventSink for FailingEventSink {
    async fn publish(&self, events: Vec<DocumentEvent>) -> Result<(), Fault> {
        let counted =
            self.failures.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        if counted.is_ok() {
            return Err(Fault::transient("away"));
        }
        self.inner.publish(events).await
    }
}

/// Accepts a text as if a message had brought it.
async fn accept(house: &StageFixture, version: u64, text: &str) -> IngestTask {
    let submitted = submission(&collection(TENANT, "home"), "a", Some(version), text);
    let task = house.ledger.accept(vec![submitted]).await.unwrap().remove(0).task.unwrap();
    IngestTask { origin: MessageOrigin::new(Some("m-1".to_owned()), None, None, None), ..task }
}

/// Runs the chunk stage over a task until so much is told and the queue is empty.
async fn told(house: &StageFixture, task: IngestTask, failures: u32, count: usize) -> Vec<DocumentEvent> {
    let broker = Arc::new(MemoryBroker::new(house.clock.clone()));
    let producers = Arc::new(MemoryProducers::default());
    let sink = Arc::new(FailingEventSink { inner: producers.clone(), failures: AtomicU32::new(failures) });
    broker
        .publish(vec![OutgoingMessage::immediate(TaskEnvelope::new(IngestStage::Chunk, task))])
        .await
        .unwrap();
    let stop = watch::Sender::new(false);
    let stages = house.stages_telling(broker.clone(), Some(sink));
    let working = tokio::spawn(worker::run_worker(stages, IngestStage::Chunk, stop.subscribe()));
    let mut told = producers.told();
    timeout(PATIENCE, told.wait_for(|told| told.len() >= count)).await.expect("it is told").unwrap();
    let settled = async {
        while broker.depth(IngestStage::Chunk).await.unwrap() > 0 {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, settled).await.expect("it is acknowledged");
    stop.send_replace(true);
    working.await.unwrap();
    told.borrow().clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn death_is_told_with_its_reason_to_who_sent_it() {
    let house = StageFixture::new().await;
    let task = accept(&house, 1, " \n ").await;
    let told = told(&house, task, 0, 1).await;
    assert_eq!(kinds(&told), [EventKind::Dead]);
    let reason = data(&told[0])["reason"].clone();
    assert_eq!((reason["code"].as_str(), reason["stage"].as_str()), (Some("empty_document"), Some("chunk")));
    assert_eq!(json_of(&told[0])["correlationid"], "m-1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ending_that_cannot_be_told_is_not_acknowledged_yet() {
    let house = StageFixture::new().await;
    let task = accept(&house, 1, " \n ").await;
    assert_eq!(kinds(&told(&house, task, 3, 1).await), [EventKind::Dead]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ending_recorded_by_who_did_not_live_to_tell_is_told() {
    let cases = [
        (VersionOutcome::Visible(1), EventKind::Visible),
        (VersionOutcome::Superseded, EventKind::Superseded),
        (
            VersionOutcome::Dead(IngestStage::Embed, FailureReason::new("embedder_rejected", "no")),
            EventKind::Dead,
        ),
    ];
    for (ending, kind) in cases {
        let house = StageFixture::new().await;
        let task = accept(&house, 1, "some text").await;
        house.ledger.finish(vec![(task.key.clone(), ending)]).await.unwrap();
        let told = told(&house, task, 0, 1).await;
        assert_eq!(kinds(&told), [kind]);
        if kind == EventKind::Dead {
            assert_eq!(data(&told[0])["reason"]["code"], "embedder_rejected");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn overtaken_version_is_told_as_superseded() {
    let house = StageFixture::new().await;
    let old = accept(&house, 1, "old text").await;
    let new = accept(&house, 2, "new text").await;
    house.ledger.finish(vec![(new.key, VersionOutcome::Visible(1))]).await.unwrap();
    assert_eq!(kinds(&told(&house, old, 0, 1).await), [EventKind::Superseded]);
}
