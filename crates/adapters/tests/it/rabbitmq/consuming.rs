//! Who gets what, how often, and what an acknowledgement covers.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use contexture_core::domain::task::IngestStage;
use contexture_core::ingest::worker::REDELIVERIES_MAX;
use contexture_core::ports::broker::{Broker, SUSPECT_REDELIVERIES};
use lapin::options::BasicRejectOptions;

use super::{chunks, drain, names, numbered, receive, tags, take};
use crate::ingest::crash_loop;
use crate::support::rabbit::RabbitPrefix;
use crate::support::stages::StageFixture;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn crash_looping_document_takes_nobody_with_it() {
    let Some(mut rabbit) = RabbitPrefix::find() else { return };
    rabbit.config.prefetch = 32;
    let broker = rabbit.connect().await;
    crash_loop(&StageFixture::new().await, Arc::new(broker.clone())).await;
    assert_eq!(rabbit.beside().await.ready(&broker.names().dead()).await, 0, "the ledger is the record");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn suspects_come_alone_and_take_turns_with_the_rest() {
    let Some(rabbit) = RabbitPrefix::find() else { return };
    let broker = rabbit.connect().await;
    broker.publish(chunks(&["s1", "s2", "s3"])).await.unwrap();
    for _ in 0..SUSPECT_REDELIVERIES {
        take(&mut broker.consume(IngestStage::Chunk).await.unwrap(), 3).await;
    }
    // They move to their lane when they come for the third time.
    let mut consumer = broker.consume(IngestStage::Chunk).await.unwrap();
    let first = receive(&mut consumer, 10).await;
    assert_eq!((first.len(), first[0].redeliveries), (1, SUSPECT_REDELIVERIES));
    consumer.ack(tags(&first)).await.unwrap();
    broker.publish(chunks(&["m1", "m2"])).await.unwrap();
    let mut batches = Vec::new();
    while batches.iter().map(Vec::len).sum::<usize>() < 4 {
        let batch = receive(&mut consumer, 10).await;
        consumer.ack(tags(&batch)).await.unwrap();
        batches.push(names(&batch));
    }
    let is_suspect = |name: &String| name.starts_with('s');
    for batch in &batches {
        assert!(batch.len() == 1 || !batch.iter().any(is_suspect), "{batches:?}");
    }
    let mut all: Vec<String> = batches.concat();
    all.extend(names(&first));
    assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), 5, "{batches:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn suspect_is_copied_without_its_history() {
    let Some(rabbit) = RabbitPrefix::find() else { return };
    let (broker, beside) = (rabbit.connect().await, rabbit.beside().await);
    broker.publish(chunks(&["a"])).await.unwrap();
    for _ in 0..=SUSPECT_REDELIVERIES {
        take(&mut broker.consume(IngestStage::Chunk).await.unwrap(), 1).await;
    }
    let suspect = beside.peek(&broker.names().suspect(IngestStage::Chunk)).await;
    let headers = suspect.properties.headers().clone().unwrap_or_default();
    let names: Vec<&str> = headers.inner().keys().map(lapin::types::ShortString::as_str).collect();
    assert!(names.iter().all(|name| name.ends_with("-count")), "only the broker's own counter: {names:?}");
    assert_eq!(*suspect.properties.delivery_mode(), Some(2));
    assert_eq!(suspect.properties.kind().as_ref().unwrap().as_str(), "ChunkV1");
}

/// Consumers that die before they can sort: the broker moves the message, and its count with it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn suspect_that_the_broker_moved_starts_afresh() {
    let Some(rabbit) = RabbitPrefix::find() else { return };
    let (broker, beside) = (rabbit.connect().await, rabbit.beside().await);
    broker.publish(chunks(&["a"])).await.unwrap();
    let (queue, lane) =
        (broker.names().stage(IngestStage::Chunk), broker.names().suspect(IngestStage::Chunk));
    while beside.ready(&lane).await == 0 {
        beside.peek(&queue).await.reject(BasicRejectOptions { requeue: true }).await.unwrap();
        beside.has_ready_in_all(&[&queue, &lane], 1).await;
    }
    for came_back in 0..3 {
        let mut consumer = broker.consume(IngestStage::Chunk).await.unwrap();
        let received = take(&mut consumer, 1).await;
        assert_eq!(received[0].redeliveries, SUSPECT_REDELIVERIES + came_back);
    }
}

/// The last resort when not even a verdict can be recorded.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn suspect_without_end_is_moved_to_the_dead() {
    let Some(rabbit) = RabbitPrefix::find() else { return };
    let (broker, beside) = (rabbit.connect().await, rabbit.beside().await);
    let (lane, dead) = (broker.names().suspect(IngestStage::Index), broker.names().dead());
    beside.publish(&lane, b"{}").await;
    let mut rejections = 0;
    while beside.ready(&dead).await == 0 {
        beside.peek(&lane).await.reject(BasicRejectOptions { requeue: true }).await.unwrap();
        beside.has_ready_in_all(&[&lane, &dead], 1).await;
        rejections += 1;
    }
    assert!(rejections > REDELIVERIES_MAX, "the worker's verdict comes first: {rejections}");
}

/// Acknowledgements are batched; never may one cover what is still in work.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn batched_acknowledgement_covers_exactly_what_was_acknowledged() {
    const MESSAGES: usize = 24;
    let Some(rabbit) = RabbitPrefix::find() else { return };
    let broker = rabbit.connect().await;
    // In rounds of these positions, in this order.
    let orders: [&[&[usize]]; 4] = [
        &[&[0, 1, 2, 3, 4, 5]],
        &[&[5, 4, 3], &[0]],
        &[&[23, 1], &[0, 2], &[2, 3], &[22]],
        &[&[1, 3, 5, 7, 9], &[0, 2, 4], &[10, 12], &[6, 8]],
    ];
    for order in orders {
        let ids = numbered(MESSAGES);
        broker.publish(chunks(&ids.iter().map(String::as_str).collect::<Vec<_>>())).await.unwrap();
        let mut consumer = broker.consume(IngestStage::Chunk).await.unwrap();
        let received = take(&mut consumer, MESSAGES).await;
        let mut kept: BTreeSet<String> = names(&received).into_iter().collect();
        assert_eq!(kept.len(), MESSAGES);
        for positions in order {
            for position in *positions {
                kept.remove(&names(&received)[*position]);
            }
            let acked = positions.iter().map(|position| received[*position].tag).collect();
            consumer.ack(acked).await.unwrap();
        }
        drop(consumer);
        assert_eq!(drain(&broker, IngestStage::Chunk, kept.len()).await, kept, "{order:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn consumer_holds_no_more_than_its_prefetch() {
    let Some(mut rabbit) = RabbitPrefix::find() else { return };
    rabbit.config.prefetch = 3;
    let (broker, beside) = (rabbit.connect().await, rabbit.beside().await);
    let ids = numbered(10);
    broker.publish(chunks(&ids.iter().map(String::as_str).collect::<Vec<_>>())).await.unwrap();
    let mut consumer = broker.consume(IngestStage::Chunk).await.unwrap();
    let received = consumer.receive(10, Duration::from_mins(10)).await.unwrap();
    assert_eq!(received.len(), 3, "more cannot come, so it does not wait for more");
    beside.has_ready(&broker.names().stage(IngestStage::Chunk), 7).await;
    consumer.ack(tags(&received)).await.unwrap();
    assert_eq!(take(&mut consumer, 3).await.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_without_consumers_is_told_from_one_with() {
    let Some(rabbit) = RabbitPrefix::find() else { return };
    let broker = rabbit.connect().await;
    broker.publish(chunks(&["a", "b"])).await.unwrap();
    assert_eq!(broker.consumers(IngestStage::Chunk).await.unwrap(), Some(0));
    let consumer = broker.consume(IngestStage::Chunk).await.unwrap();
    assert_eq!(broker.consumers(IngestStage::Chunk).await.unwrap(), Some(1));
    assert_eq!(broker.consumers(IngestStage::Index).await.unwrap(), Some(0));
    drop(consumer);
}
