//! Publishing, receiving, acknowledging, waiting.

use std::collections::BTreeSet;
use std::time::Duration;

use contexture_core::domain::task::{IngestStage, TaskEnvelope};
use contexture_core::ports::broker::{OutgoingMessage, SUSPECT_REDELIVERIES};
use futures::FutureExt;
use tokio::time::{Instant, timeout};

use super::{BrokerFixture, DelayTime, PATIENCE, message, name, names, take};
use crate::support::{TENANT, collection, task, version_key};

/// Longer than any test takes.
const LONG: Duration = Duration::from_mins(10);
/// The smallest step of the clock.
const TICK: Duration = Duration::from_millis(1);
/// A patience that is short enough to sit out.
const SHORT: Duration = Duration::from_millis(20);

pub(super) async fn message_arrives_as_it_was_published(fixture: BrokerFixture) {
    fixture.publish(&["a", "b"]).await;
    let mut consumer = fixture.consumer().await;
    let received = take(&mut consumer, 2).await;
    let envelopes: Vec<_> = received.iter().map(|delivery| delivery.envelope.clone().unwrap()).collect();
    assert_eq!(envelopes, [message("a"), message("b")]);
    assert!(received.iter().all(|delivery| !delivery.redelivered));
    assert_ne!(received[0].tag, received[1].tag);
}

pub(super) async fn each_stage_has_its_own_queue(fixture: BrokerFixture) {
    let about = |id: &str| task(version_key(&collection(TENANT, "home"), id, 1));
    let mixed = [IngestStage::Index, IngestStage::Chunk, IngestStage::Embed]
        .map(|stage| OutgoingMessage::immediate(TaskEnvelope::new(stage, about(stage.name()))));
    fixture.broker.publish(mixed.to_vec()).await.unwrap();
    for stage in IngestStage::ALL {
        let mut consumer = fixture.broker.consume(stage).await.unwrap();
        assert_eq!(names(&take(&mut consumer, 1).await), [stage.name()]);
    }
}

pub(super) async fn publishing_nothing_is_fine(fixture: BrokerFixture) {
    fixture.publish(&[]).await;
    fixture.has_depth(0).await;
}

pub(super) async fn receive_takes_no_more_than_asked_for(fixture: BrokerFixture) {
    fixture.publish(&["a", "b", "c"]).await;
    let mut consumer = fixture.consumer().await;
    assert_eq!(names(&take(&mut consumer, 2).await), ["a", "b"], "and never more than asked for");
    assert_eq!(names(&take(&mut consumer, 1).await), ["c"]);
}

pub(super) async fn receive_waits_for_a_message(fixture: BrokerFixture) {
    let mut consumer = fixture.consumer().await;
    let waiting = tokio::spawn(async move { names(&take(&mut consumer, 1).await) });
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished());
    fixture.publish(&["a"]).await;
    assert_eq!(waiting.await.unwrap(), ["a"]);
}

pub(super) async fn lingering_gathers_more(fixture: BrokerFixture) {
    fixture.publish(&["a"]).await;
    let mut consumer = fixture.consumer().await;
    let waiting = tokio::spawn(async move { consumer.receive(2, LONG).await.unwrap() });
    tokio::task::yield_now().await;
    fixture.publish(&["b"]).await;
    assert_eq!(names(&waiting.await.unwrap()), ["a", "b"]);
}

pub(super) async fn lingering_ends_when_enough_came(fixture: BrokerFixture) {
    fixture.publish(&["a", "b", "c"]).await;
    let mut consumer = fixture.consumer().await;
    let received = consumer.receive(2, LONG).await.unwrap();
    assert_eq!(names(&received), ["a", "b"], "it has what it asked for and does not sit out the rest");
    let received = consumer.receive(2, SHORT).await.unwrap();
    assert_eq!(names(&received), ["c"], "patience ends with what came");
}

pub(super) async fn acknowledged_messages_are_gone(fixture: BrokerFixture) {
    fixture.publish(&["a", "b"]).await;
    let mut consumer = fixture.consumer().await;
    let tags = take(&mut consumer, 2).await.iter().map(|delivery| delivery.tag).collect();
    consumer.ack(tags).await.unwrap();
    fixture.has_depth(0).await;
    drop(consumer);
    fixture.publish(&["c"]).await;
    assert_eq!(names(&take(&mut fixture.consumer().await, 1).await), ["c"]);
}

pub(super) async fn dropped_consumer_hands_its_messages_back(fixture: BrokerFixture) {
    fixture.publish(&["a", "b"]).await;
    let mut consumer = fixture.consumer().await;
    assert_eq!(take(&mut consumer, 2).await.len(), 2);
    drop(consumer);
    for _ in 0..2 {
        let received = take(&mut fixture.consumer().await, 2).await;
        assert_eq!(names(&received), ["a", "b"]);
        assert!(received.iter().all(|delivery| delivery.redelivered));
    }
}

pub(super) async fn acknowledged_messages_do_not_come_back_with_the_rest(fixture: BrokerFixture) {
    fixture.publish(&["a", "b", "c"]).await;
    let mut consumer = fixture.consumer().await;
    let middle = take(&mut consumer, 3).await[1].tag;
    consumer.ack(vec![middle]).await.unwrap();
    drop(consumer);
    assert_eq!(names(&take(&mut fixture.consumer().await, 2).await), ["a", "c"]);
}

pub(super) async fn delivery_that_is_dropped_is_not_acknowledged(fixture: BrokerFixture) {
    fixture.publish(&["a"]).await;
    let mut consumer = fixture.consumer().await;
    drop(take(&mut consumer, 1).await);
    fixture.has_depth(1).await;
    drop(consumer);
    assert_eq!(names(&take(&mut fixture.consumer().await, 1).await), ["a"]);
}

pub(super) async fn redeliveries_are_counted(fixture: BrokerFixture) {
    fixture.publish(&["a"]).await;
    for came_back in 0..8 {
        let delivery = take(&mut fixture.consumer().await, 1).await.remove(0);
        assert_eq!((delivery.redelivered, delivery.redeliveries), (came_back > 0, came_back));
    }
}

pub(super) async fn what_came_back_often_comes_alone(fixture: BrokerFixture) {
    let ids = ["a", "b", "c"];
    fixture.publish(&ids).await;
    for _ in 0..SUSPECT_REDELIVERIES {
        take(&mut fixture.consumer().await, ids.len()).await;
    }
    let mut consumer = fixture.consumer().await;
    let mut seen = BTreeSet::new();
    while seen.len() < ids.len() {
        let received = timeout(PATIENCE, consumer.receive(10, Duration::ZERO)).await.unwrap().unwrap();
        assert_eq!(received.len(), 1, "{received:?}");
        seen.extend(names(&received));
        consumer.ack(vec![received[0].tag]).await.unwrap();
    }
    fixture.publish(&["d"]).await;
    assert_eq!(names(&take(&mut consumer, 1).await), ["d"]);
    fixture.has_depth(1).await;
}

pub(super) async fn consumers_never_share_a_message(fixture: BrokerFixture) {
    const MESSAGES: usize = 200;
    let ids: Vec<String> = (0..MESSAGES).map(|number| format!("doc {number}")).collect();
    let (report, mut reported) = tokio::sync::mpsc::unbounded_channel();
    let mut workers = tokio::task::JoinSet::new();
    for _ in 0..3 {
        let mut consumer = fixture.consumer().await;
        let report = report.clone();
        workers.spawn(async move {
            loop {
                let received = consumer.receive(7, Duration::ZERO).await.unwrap();
                for id in names(&received) {
                    report.send(id).unwrap();
                }
                consumer.ack(received.iter().map(|delivery| delivery.tag).collect()).await.unwrap();
            }
        });
    }
    for batch in ids.chunks(10) {
        fixture.publish(&batch.iter().map(String::as_str).collect::<Vec<_>>()).await;
    }
    let mut seen = Vec::new();
    while seen.len() < MESSAGES {
        seen.push(reported.recv().await.unwrap());
    }
    let distinct: BTreeSet<_> = seen.into_iter().collect();
    assert_eq!(distinct, ids.into_iter().collect(), "each message went to one consumer");
}

pub(super) async fn waiting_consumer_gets_what_another_hands_back(fixture: BrokerFixture) {
    fixture.publish(&["a"]).await;
    let mut holder = fixture.consumer().await;
    assert_eq!(take(&mut holder, 1).await.len(), 1);
    let mut consumer = fixture.consumer().await;
    let waiting = tokio::spawn(async move { take(&mut consumer, 1).await });
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished());
    drop(holder);
    let received = waiting.await.unwrap();
    assert_eq!((names(&received).as_slice(), received[0].redelivered), (&["a".to_owned()][..], true));
}

pub(super) async fn delayed_message_does_not_come_early(fixture: BrokerFixture) {
    let [.., long] = fixture.delays();
    let began = Instant::now();
    fixture.publish_later("late", long).await;
    fixture.publish(&["now"]).await;
    let mut consumer = fixture.consumer().await;
    assert_eq!(names(&take(&mut consumer, 1).await), ["now"]);
    fixture.advance(long.checked_sub(TICK).unwrap());
    fixture.publish(&["again"]).await;
    assert_eq!(names(&take(&mut consumer, 1).await), ["again"]);
    fixture.advance(TICK);
    let received = take(&mut consumer, 1).await;
    assert_eq!(names(&received), ["late"]);
    assert!(!received[0].redelivered, "waiting is not a delivery");
    if let DelayTime::Real = fixture.time {
        assert!(began.elapsed() >= long, "{:?}", began.elapsed());
    }
}

pub(super) async fn waiting_consumer_gets_a_delayed_message_in_time(fixture: BrokerFixture) {
    let [short, ..] = fixture.delays();
    let mut consumer = fixture.consumer().await;
    let waiting = tokio::spawn(async move { names(&take(&mut consumer, 1).await) });
    tokio::task::yield_now().await;
    fixture.publish_later("late", short).await;
    fixture.advance(short);
    assert_eq!(waiting.await.unwrap(), ["late"]);
}

pub(super) async fn delayed_messages_come_in_the_order_they_are_due(fixture: BrokerFixture) {
    let [short, longer, _] = fixture.delays();
    fixture.publish_later("second", longer).await;
    fixture.publish_later("first", short).await;
    let mut consumer = fixture.consumer().await;
    fixture.advance(short);
    assert_eq!(names(&take(&mut consumer, 1).await), ["first"]);
    fixture.advance(longer.checked_sub(short).unwrap());
    assert_eq!(names(&take(&mut consumer, 1).await), ["second"]);
}

pub(super) async fn depth_counts_ready_delayed_and_handed_out(fixture: BrokerFixture) {
    let [.., long] = fixture.delays();
    fixture.publish(&["a", "b"]).await;
    fixture.has_depth(2).await;
    assert_eq!(fixture.broker.depth(IngestStage::Index).await.unwrap(), 0, "each stage by itself");
    fixture.publish_later("c", long).await;
    fixture.has_depth(3).await;
    let mut consumer = fixture.consumer().await;
    let tag = take(&mut consumer, 1).await[0].tag;
    fixture.has_depth(3).await;
    consumer.ack(vec![tag]).await.unwrap();
    fixture.has_depth(2).await;
    consumer.ack(vec![tag]).await.unwrap();
    assert_eq!(names(&take(&mut consumer, 1).await), ["b"], "acknowledging twice does no harm");
    fixture.has_depth(2).await;
}

pub(super) async fn abandoned_wait_loses_nothing(fixture: BrokerFixture) {
    let mut consumer = fixture.consumer().await;
    assert!(consumer.receive(1, LONG).now_or_never().is_none());
    fixture.publish(&["a"]).await;
    assert!(consumer.receive(2, LONG).now_or_never().is_none(), "lingers for a second one");
    drop(consumer);
    assert_eq!(names(&take(&mut fixture.consumer().await, 1).await), ["a"]);
}

pub(super) async fn undecodable_bytes_do_not_block_the_queue(fixture: BrokerFixture) {
    let Some(inject) = &fixture.inject else { return };
    inject(b"{\"type\":\"ChunkV9\"}".to_vec());
    inject(b"\xff\x00".to_vec());
    fixture.publish(&["behind"]).await;
    let mut consumer = fixture.consumer().await;
    let received = take(&mut consumer, 3).await;
    assert!(received[0].envelope.is_err() && received[1].envelope.is_err());
    assert_eq!(name(&received[2]), "behind");
    consumer.ack(vec![received[0].tag, received[1].tag]).await.unwrap();
    fixture.has_depth(1).await;
}
