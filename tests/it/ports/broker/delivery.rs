//! Publishing, receiving, acknowledging, waiting.

use std::collections::BTreeSet;
use std::time::Duration;

use contexture::domain::task::{Envelope, Stage};
use contexture::ports::broker::Outgoing;
use futures::FutureExt;

use super::{Fixture, message, name, names, receive};
use crate::support::{TENANT, collection, task, version_key};

/// Longer than any test takes.
const LONG: Duration = Duration::from_mins(10);
/// The smallest step of the clock.
const TICK: Duration = Duration::from_millis(1);
/// Long enough to be a delay, short enough to sit out.
const SHORT: Duration = Duration::from_millis(20);

pub(super) async fn message_arrives_as_it_was_published(fixture: Fixture) {
    fixture.publish(&["a", "b"]).await;
    let mut consumer = fixture.consumer().await;
    let received = receive(&mut consumer, 10).await;
    let envelopes: Vec<_> = received.iter().map(|delivery| delivery.envelope.clone().unwrap()).collect();
    assert_eq!(envelopes, [message("a"), message("b")]);
    assert!(received.iter().all(|delivery| !delivery.redelivered));
    assert_ne!(received[0].tag, received[1].tag);
}

pub(super) async fn each_stage_has_its_own_queue(fixture: Fixture) {
    let about = |id: &str| task(version_key(&collection(TENANT, "home"), id, 1));
    let mixed = [Stage::Index, Stage::Chunk, Stage::Embed]
        .map(|stage| Outgoing::now(Envelope::new(stage, about(stage.name()))));
    fixture.broker.publish(mixed.to_vec()).await.unwrap();
    for stage in Stage::ALL {
        let mut consumer = fixture.broker.consume(stage).await.unwrap();
        assert_eq!(names(&receive(&mut consumer, 10).await), [stage.name()]);
    }
}

pub(super) async fn publishing_nothing_is_fine(fixture: Fixture) {
    fixture.publish(&[]).await;
    assert_eq!(fixture.depth().await, 0);
}

pub(super) async fn receive_takes_no_more_than_asked_for(fixture: Fixture) {
    fixture.publish(&["a", "b", "c"]).await;
    let mut consumer = fixture.consumer().await;
    assert_eq!(names(&receive(&mut consumer, 2).await), ["a", "b"]);
    assert_eq!(names(&receive(&mut consumer, 2).await), ["c"]);
}

pub(super) async fn receive_waits_for_a_message(fixture: Fixture) {
    let mut consumer = fixture.consumer().await;
    let waiting = tokio::spawn(async move { names(&receive(&mut consumer, 1).await) });
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished());
    fixture.publish(&["a"]).await;
    assert_eq!(waiting.await.unwrap(), ["a"]);
}

pub(super) async fn lingering_gathers_more(fixture: Fixture) {
    fixture.publish(&["a"]).await;
    let mut consumer = fixture.consumer().await;
    let waiting = tokio::spawn(async move { consumer.receive(2, LONG).await.unwrap() });
    tokio::task::yield_now().await;
    fixture.publish(&["b"]).await;
    assert_eq!(names(&waiting.await.unwrap()), ["a", "b"]);
}

pub(super) async fn lingering_ends_when_enough_came(fixture: Fixture) {
    fixture.publish(&["a", "b", "c"]).await;
    let mut consumer = fixture.consumer().await;
    let received = consumer.receive(2, LONG).await.unwrap();
    assert_eq!(names(&received), ["a", "b"], "it has what it asked for and does not sit out the rest");
    let received = consumer.receive(2, SHORT).await.unwrap();
    assert_eq!(names(&received), ["c"], "patience ends with what came");
}

pub(super) async fn acknowledged_messages_are_gone(fixture: Fixture) {
    fixture.publish(&["a", "b"]).await;
    let mut consumer = fixture.consumer().await;
    let tags = receive(&mut consumer, 10).await.iter().map(|delivery| delivery.tag).collect();
    consumer.ack(tags).await.unwrap();
    assert_eq!(fixture.depth().await, 0);
    drop(consumer);
    fixture.publish(&["c"]).await;
    assert_eq!(names(&receive(&mut fixture.consumer().await, 10).await), ["c"]);
}

pub(super) async fn dropped_consumer_hands_its_messages_back(fixture: Fixture) {
    fixture.publish(&["a", "b"]).await;
    let mut consumer = fixture.consumer().await;
    assert_eq!(receive(&mut consumer, 10).await.len(), 2);
    drop(consumer);
    for _ in 0..2 {
        let received = receive(&mut fixture.consumer().await, 10).await;
        assert_eq!(names(&received), ["a", "b"]);
        assert!(received.iter().all(|delivery| delivery.redelivered));
    }
}

pub(super) async fn acknowledged_messages_do_not_come_back_with_the_rest(fixture: Fixture) {
    fixture.publish(&["a", "b", "c"]).await;
    let mut consumer = fixture.consumer().await;
    let middle = receive(&mut consumer, 10).await[1].tag;
    consumer.ack(vec![middle]).await.unwrap();
    drop(consumer);
    assert_eq!(names(&receive(&mut fixture.consumer().await, 10).await), ["a", "c"]);
}

pub(super) async fn delivery_that_is_dropped_is_not_acknowledged(fixture: Fixture) {
    fixture.publish(&["a"]).await;
    let mut consumer = fixture.consumer().await;
    drop(receive(&mut consumer, 1).await);
    assert_eq!(fixture.depth().await, 1);
    drop(consumer);
    assert_eq!(names(&receive(&mut fixture.consumer().await, 1).await), ["a"]);
}

pub(super) async fn consumers_never_share_a_message(fixture: Fixture) {
    const MESSAGES: usize = 200;
    let ids: Vec<String> = (0..MESSAGES).map(|number| format!("doc {number}")).collect();
    let (report, mut reported) = tokio::sync::mpsc::unbounded_channel();
    let mut workers = tokio::task::JoinSet::new();
    for _ in 0..3 {
        let mut consumer = fixture.consumer().await;
        let report = report.clone();
        workers.spawn(async move {
            loop {
                let received = receive(&mut consumer, 7).await;
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

pub(super) async fn waiting_consumer_gets_what_another_hands_back(fixture: Fixture) {
    fixture.publish(&["a"]).await;
    let mut holder = fixture.consumer().await;
    assert_eq!(receive(&mut holder, 1).await.len(), 1);
    let mut consumer = fixture.consumer().await;
    let waiting = tokio::spawn(async move { receive(&mut consumer, 1).await });
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished());
    drop(holder);
    let received = waiting.await.unwrap();
    assert_eq!((names(&received).as_slice(), received[0].redelivered), (&["a".to_owned()][..], true));
}

pub(super) async fn delayed_message_does_not_come_early(fixture: Fixture) {
    fixture.publish_later("late", LONG).await;
    fixture.publish(&["now"]).await;
    let mut consumer = fixture.consumer().await;
    assert_eq!(names(&receive(&mut consumer, 10).await), ["now"]);
    fixture.clock.advance(LONG.checked_sub(TICK).unwrap());
    fixture.publish(&["again"]).await;
    assert_eq!(names(&receive(&mut consumer, 10).await), ["again"]);
    fixture.clock.advance(TICK);
    let received = receive(&mut consumer, 10).await;
    assert_eq!(names(&received), ["late"]);
    assert!(!received[0].redelivered, "waiting is not a delivery");
}

pub(super) async fn waiting_consumer_gets_a_delayed_message_in_time(fixture: Fixture) {
    let mut consumer = fixture.consumer().await;
    let waiting = tokio::spawn(async move { names(&receive(&mut consumer, 1).await) });
    tokio::task::yield_now().await;
    fixture.publish_later("late", SHORT).await;
    fixture.clock.advance(SHORT);
    assert_eq!(waiting.await.unwrap(), ["late"]);
}

pub(super) async fn delayed_messages_come_in_the_order_they_are_due(fixture: Fixture) {
    fixture.publish_later("second", 2 * SHORT).await;
    fixture.publish_later("first", SHORT).await;
    let mut consumer = fixture.consumer().await;
    fixture.clock.advance(SHORT);
    assert_eq!(names(&receive(&mut consumer, 10).await), ["first"]);
    fixture.clock.advance(SHORT);
    assert_eq!(names(&receive(&mut consumer, 10).await), ["second"]);
}

pub(super) async fn depth_counts_ready_delayed_and_handed_out(fixture: Fixture) {
    fixture.publish(&["a", "b"]).await;
    fixture.publish_later("c", LONG).await;
    assert_eq!(fixture.depth().await, 3);
    let mut consumer = fixture.consumer().await;
    let tag = receive(&mut consumer, 1).await[0].tag;
    assert_eq!(fixture.depth().await, 3, "handed out is not gone");
    consumer.ack(vec![tag]).await.unwrap();
    assert_eq!(fixture.depth().await, 2);
    consumer.ack(vec![tag]).await.unwrap();
    assert_eq!(fixture.depth().await, 2, "acknowledged once");
    assert_eq!(fixture.broker.depth(Stage::Index).await.unwrap(), 0);
}

pub(super) async fn abandoned_wait_loses_nothing(fixture: Fixture) {
    let mut consumer = fixture.consumer().await;
    assert!(consumer.receive(1, LONG).now_or_never().is_none());
    fixture.publish(&["a"]).await;
    assert!(consumer.receive(2, LONG).now_or_never().is_none(), "lingers for a second one");
    drop(consumer);
    assert_eq!(names(&receive(&mut fixture.consumer().await, 2).await), ["a"]);
}

pub(super) async fn undecodable_bytes_do_not_block_the_queue(fixture: Fixture) {
    let Some(inject) = &fixture.inject else { return };
    inject(b"{\"type\":\"ChunkV9\"}".to_vec());
    inject(b"\xff\x00".to_vec());
    fixture.publish(&["behind"]).await;
    let mut consumer = fixture.consumer().await;
    let received = receive(&mut consumer, 10).await;
    assert_eq!(received.len(), 3);
    assert!(received[0].envelope.is_err() && received[1].envelope.is_err());
    assert_eq!(name(&received[2]), "behind");
    consumer.ack(vec![received[0].tag, received[1].tag]).await.unwrap();
    assert_eq!(fixture.depth().await, 1, "they can be acknowledged away");
}
