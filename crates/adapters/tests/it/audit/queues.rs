//! Messages that are lost: what is in flight is sent again, and what only waits is not.

use std::sync::Arc;
use std::time::Duration;

use contexture_adapters::memory::broker::MemoryBroker;
use contexture_core::domain::task::IngestStage;
use contexture_core::ingest::housekeeping;
use contexture_core::ports::clock::SystemClock;

use crate::support::clock::ManualClock;
use crate::support::site::{SingleProcessSite, SiteEngines, text};

/// After everything.
const ALL_MS: u64 = u64::MAX >> 1;
const MINUTE: Duration = Duration::from_secs(61);

async fn queued(site: &SingleProcessSite) -> u64 {
    let mut queued = 0;
    for stage in IngestStage::ALL {
        queued += site.engines.broker.depth(stage).await.unwrap();
    }
    queued
}

/// Takes every message of a queue for good, as a queue that is deleted does.
async fn wipe(site: &SingleProcessSite, stage: IngestStage) {
    while site.engines.broker.depth(stage).await.unwrap() > 0 {
        let mut consumer = site.engines.broker.consume(stage).await.unwrap();
        let taken = consumer.receive(1000, Duration::ZERO).await.unwrap();
        consumer.ack(taken.iter().map(|delivery| delivery.tag).collect()).await.unwrap();
    }
}

async fn wiped_queues_are_filled_again(engines: SiteEngines) {
    let mut site = SingleProcessSite::open(engines, false).await;
    for number in 0..30 {
        let id = format!("doc {number}");
        site.put(&id, &text(&id, 1)).await;
    }
    let tasks: Vec<_> =
        site.engines.ledger.stuck(ALL_MS, 10).await.unwrap().into_iter().map(|(_, task)| task).collect();
    contexture_core::ingest::chunk::stage::chunk_batch(&site.stages, &tasks).await;
    assert_eq!(
        housekeeping::requeue_stuck_versions(&site.stages, ALL_MS, 1000).await.unwrap(),
        0,
        "all are there"
    );
    wipe(&site, IngestStage::Chunk).await;
    assert_eq!(queued(&site).await, 0);
    assert_eq!(housekeeping::requeue_stuck_versions(&site.stages, ALL_MS, 1000).await.unwrap(), 30);
    assert_eq!(site.engines.broker.depth(IngestStage::Embed).await.unwrap(), 10, "each where it waits");
    site.work();
    let counts = site.settled().await;
    assert_eq!((counts.visible, counts.dead), (30, 0));
    site.rest().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wiped_queues_are_filled_again_in_memory() {
    wiped_queues_are_filled_again(SiteEngines::memory(Arc::new(SystemClock))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wiped_queues_are_filled_again_in_the_embedded_engines() {
    wiped_queues_are_filled_again(SiteEngines::embedded().await).await;
}

/// Messages are lost while others come and go: the lost ones are sent again, once.
#[tokio::test]
async fn lost_messages_are_sent_again_in_busy_queues() {
    let clock = Arc::new(ManualClock::new());
    let engines = SiteEngines::memory(clock.clone());
    let before = SingleProcessSite::open(engines.clone(), false).await;
    for number in 0..5 {
        before.put(&format!("lost {number}"), "A text.").await;
    }
    let broker = Arc::new(MemoryBroker::new(clock.clone()));
    let site = SingleProcessSite::open(SiteEngines { broker, ..engines }, false).await;
    site.put("waits", "A text.").await;
    clock.advance(MINUTE);
    site.put("new", "A text.").await;
    assert_eq!(queued(&site).await, 2);
    assert!(housekeeping::run_housekeeping_round(&site.stages, false).await.unwrap());
    assert_eq!(queued(&site).await, 2, "some queue has messages: the quick look does nothing");
    // Nobody can tell the one that waits from those that are lost; the newest has moved just now.
    assert_eq!(housekeeping::requeue_missing_messages(&site.stages).await.unwrap(), 6);
    assert_eq!(queued(&site).await, 8);
    clock.advance(MINUTE);
    assert_eq!(
        housekeeping::requeue_missing_messages(&site.stages).await.unwrap(),
        0,
        "each has a message now"
    );
}

/// A backlog of hours is no loss.
#[tokio::test]
async fn waiting_messages_are_not_sent_again() {
    let clock = Arc::new(ManualClock::new());
    let site = SingleProcessSite::open(SiteEngines::memory(clock.clone()), false).await;
    for number in 0..50 {
        site.put(&format!("doc {number}"), "A text.").await;
    }
    clock.advance(Duration::from_hours(5));
    assert_eq!(housekeeping::requeue_missing_messages(&site.stages).await.unwrap(), 0);
    assert_eq!(queued(&site).await, 50);
}
