//! How producers' messages come.

use std::time::Duration;

use contexture_core::domain::origin::MessageOrigin;
use contexture_core::ports::producers::ProducerMessage;
use tokio::time::timeout;

use super::{ProducersFixture, bodies, receive, tags, take};

const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
/// Long enough to see that nothing comes.
const BRIEF: Duration = Duration::from_millis(200);

pub(super) async fn message_arrives_as_it_was_published(fixture: ProducersFixture) {
    let text = |text: &str| Some(text.to_owned());
    let origin = MessageOrigin::new(text("m-1"), text("c-1"), text("answers"), text(TRACE));
    let sent = ProducerMessage { origin, body: vec![0, 255, 7], ..fixture.message("") };
    fixture.outside.publish(sent.clone()).await;
    let got = receive(&mut fixture.consumer().await, 10).await.remove(0);
    assert_eq!(ProducerMessage { tag: 0, ..got }, sent);
}

pub(super) async fn messages_come_in_their_order(fixture: ProducersFixture) {
    let sent: Vec<String> = (0..50).map(|number| number.to_string()).collect();
    fixture.publish(&sent.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let got = take(&mut fixture.consumer().await, 50).await;
    assert_eq!(bodies(&got), sent);
}

pub(super) async fn receive_takes_no_more_than_asked_for(fixture: ProducersFixture) {
    fixture.publish(&["a", "b", "c"]).await;
    let mut consumer = fixture.consumer().await;
    let first = consumer.receive(2, Duration::from_secs(5)).await.unwrap();
    assert_eq!(bodies(&first), ["a", "b"]);
    assert_eq!(bodies(&receive(&mut consumer, 2).await), ["c"]);
}

pub(super) async fn receive_waits_for_a_message(fixture: ProducersFixture) {
    let mut consumer = fixture.consumer().await;
    let (got, ()) = tokio::join!(receive(&mut consumer, 5), fixture.publish(&["a"]));
    assert_eq!(bodies(&got), ["a"]);
}

pub(super) async fn abandoned_wait_loses_nothing(fixture: ProducersFixture) {
    let mut consumer = fixture.consumer().await;
    assert!(timeout(BRIEF, consumer.receive(5, Duration::ZERO)).await.is_err());
    fixture.publish(&["a"]).await;
    assert_eq!(bodies(&receive(&mut consumer, 5).await), ["a"]);
}

pub(super) async fn acknowledged_messages_are_gone(fixture: ProducersFixture) {
    fixture.publish(&["a", "b"]).await;
    let mut consumer = fixture.consumer().await;
    let got = take(&mut consumer, 2).await;
    consumer.ack(&tags(&got)[..1]).await.unwrap();
    drop(consumer);
    let mut next = fixture.consumer().await;
    let again = receive(&mut next, 5).await;
    assert_eq!(bodies(&again), ["b"]);
    next.ack(&tags(&again)).await.unwrap();
    drop(next);
    let mut last = fixture.consumer().await;
    assert!(timeout(BRIEF, last.receive(5, Duration::ZERO)).await.is_err());
}

pub(super) async fn dropped_consumer_hands_its_messages_back(fixture: ProducersFixture) {
    fixture.publish(&["a", "b"]).await;
    let mut consumer = fixture.consumer().await;
    let first = take(&mut consumer, 2).await;
    assert!(first.iter().all(|message| !message.redelivered));
    drop(consumer);
    let again = take(&mut fixture.consumer().await, 2).await;
    assert_eq!(bodies(&again), ["a", "b"]);
    assert!(again.iter().all(|message| message.redelivered));
}
