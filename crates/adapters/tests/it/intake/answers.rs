//! Messages that can be accepted, and what is answered.

use contexture_core::domain::event::EventKind::{Accepted, Conflict, Duplicate, Superseded};
use contexture_core::domain::ids::VersionKey;
use contexture_core::domain::origin::MessageOrigin;
use contexture_core::domain::task::IngestStage;
use contexture_core::ports::broker::Broker;
use contexture_core::ports::ledger::{Ledger, VersionOutcome};
use serde_json::json;

use super::{IntakeFixture, data, json_of, kinds, published, text};
use crate::support::{TENANT, collection, document, version_key};

const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_version_is_answered_by_the_fence() {
    let desk = IntakeFixture::new().await;
    desk.send(&text("a", Some(2), "two"));
    desk.send(&text("a", Some(2), "two"));
    desk.send(&text("a", Some(2), "other"));
    desk.send(&text("a", Some(1), "one"));
    desk.send(&text("a", None, "three"));
    desk.send(&json!({ "document_id": "a", "delete": true, "version": 9 }));
    desk.send(&text("a", Some(8), "late"));
    desk.send(&json!({ "document_id": "unheard-of", "delete": true }));
    let (told, running) = desk.answers(8).await;
    assert_eq!(
        kinds(&told),
        [Accepted, Duplicate, Conflict, Superseded, Accepted, Accepted, Superseded, Duplicate]
    );
    let versions: Vec<_> = told.iter().map(|event| data(event)["version"].clone()).collect();
    assert_eq!(json!(versions), json!([2, 2, 2, 1, 3, 9, 8, null]));
    let latest: Vec<_> = told.iter().map(|event| data(event)["latest_version"].clone()).collect();
    assert_eq!(json!(latest), json!([null, 2, 2, 2, null, null, 9, null]));
    assert_eq!(data(&told[1])["latest_state"], "accepted");
    assert_eq!(data(&told[5])["deletes"], true);
    assert_eq!(running.broker.depth(IngestStage::Chunk).await.unwrap(), 2);
    assert_eq!(running.broker.depth(IngestStage::Index).await.unwrap(), 1, "a delete needs no chunks");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn duplicate_says_where_the_version_stands() {
    let desk = IntakeFixture::new().await;
    let submitted = crate::support::submission(&collection(TENANT, "home"), "a", Some(1), "one");
    let task = desk.ledger.accept(vec![submitted]).await.unwrap().remove(0).task.unwrap();
    desk.ledger.finish(vec![(task.key, VersionOutcome::Visible(1))]).await.unwrap();
    desk.send(&text("a", Some(1), "one"));
    let (told, _) = desk.answers(1).await;
    assert_eq!((kinds(&told), data(&told[0])["latest_state"].clone()), (vec![Duplicate], json!("visible")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hundred_equal_messages_are_one_version() {
    for version in [Some(1), None] {
        let desk = IntakeFixture::new().await;
        for _ in 0..100 {
            desk.send(&text("a", version, "the same"));
        }
        let (told, running) = desk.answers(100).await;
        assert_eq!(told.iter().filter(|event| event.kind() == Accepted).count(), 1);
        assert_eq!(told.iter().filter(|event| event.kind() == Duplicate).count(), 99);
        let history = running.ledger.history(&collection(TENANT, "home"), &document("a")).await.unwrap();
        assert_eq!(history.len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn versions_of_a_document_stay_in_order_between_collections() {
    let desk = IntakeFixture::new().await;
    for number in 1..=50 {
        desk.send_to("acme.home", &text("a", Some(number), &format!("home {number}")));
        desk.send_to("acme.other", &text("a", Some(number), &format!("other {number}")));
    }
    let (told, _) = desk.answers(100).await;
    assert!(told.iter().all(|event| event.kind() == Accepted), "{:?}", kinds(&told));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn message_is_known_to_its_answer_and_to_its_task() {
    let desk = IntakeFixture::new().await;
    let origin =
        MessageOrigin::new(Some("m-1".to_owned()), None, Some("answers".to_owned()), Some(TRACE.to_owned()));
    let body = serde_json::to_vec(&text("a", Some(1), "one")).unwrap();
    desk.producers.send(published("acme.home", &body, origin.clone()));
    let (told, running) = desk.answers(1).await;
    let event = json_of(&told[0]);
    assert_eq!((event["correlationid"].clone(), event["traceparent"].clone()), (json!("m-1"), json!(TRACE)));
    let mut chunks = running.broker.consume(IngestStage::Chunk).await.unwrap();
    let delivery = chunks.receive(1, std::time::Duration::ZERO).await.unwrap().remove(0);
    let (_, task) = delivery.envelope.unwrap().open();
    assert_eq!(task.origin, origin);
    let key: VersionKey = version_key(&collection(TENANT, "home"), "a", 1);
    assert_eq!(task.key, key);
}
