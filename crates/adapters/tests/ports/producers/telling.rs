//! What is told, to whom.

use contexture_core::domain::event::DocumentEvent;
use contexture_core::fault::FailureReason;

use super::{ProducersFixture, replying_to, task_of};

pub(super) async fn events_reach_whoever_listens(fixture: ProducersFixture) {
    let task = task_of("a", None);
    let dead = DocumentEvent::dead(&task, None, &FailureReason::new("empty_document", "nothing in it"));
    fixture.events.publish(vec![DocumentEvent::accepted(&task), dead]).await.unwrap();
    fixture.events.publish(vec![DocumentEvent::visible(&task_of("b", None))]).await.unwrap();
    let heard = fixture.outside.heard(3).await;
    let keys: Vec<&str> = heard.iter().map(|(key, _)| key.as_str()).collect();
    assert_eq!(keys, ["acme.handbook.accepted", "acme.handbook.dead", "acme.handbook.visible"]);
    assert_eq!(heard[0].1["subject"], "a");
    assert_eq!(heard[1].1["data"]["reason"]["code"], "empty_document");
    assert_eq!(heard[2].1["source"], "/contexture/acme/handbook");
}

pub(super) async fn event_told_again_keeps_its_id(fixture: ProducersFixture) {
    for _ in 0..2 {
        fixture.events.publish(vec![DocumentEvent::visible(&task_of("a", None))]).await.unwrap();
    }
    let heard = fixture.outside.heard(2).await;
    assert_eq!(heard[0].1["id"], heard[1].1["id"]);
}

pub(super) async fn reply_reaches_its_queue(fixture: ProducersFixture) {
    let answers = fixture.outside.answers();
    let (asking, silent) = (task_of("a", replying_to(&answers)), task_of("b", None));
    let events = vec![
        DocumentEvent::accepted(&silent),
        DocumentEvent::accepted(&asking),
        DocumentEvent::visible(&asking),
    ];
    fixture.events.publish(events).await.unwrap();
    let replies = fixture.outside.replies(&answers, 2).await;
    let types: Vec<_> = replies.iter().map(|(_, event)| event["type"].as_str().unwrap()).collect();
    assert_eq!(types, ["contexture.document.accepted", "contexture.document.visible"]);
    assert!(replies.iter().all(|(correlation, _)| correlation.as_deref() == Some("m-1")));
    assert_eq!(fixture.outside.heard(3).await.len(), 3, "who listens hears of all");
}

pub(super) async fn reply_to_a_queue_that_is_gone_is_no_failure(fixture: ProducersFixture) {
    for queue in ["no-such-queue", "amq.rabbitmq.reply-to", "amq.rabbitmq.reply-to.forged", "amq.gen-x"] {
        let event = DocumentEvent::visible(&task_of(queue, replying_to(queue)));
        fixture.events.publish(vec![event]).await.unwrap_or_else(|fault| panic!("{queue}: {fault}"));
    }
    assert_eq!(fixture.outside.heard(4).await.len(), 4);
}

pub(super) async fn telling_nothing_is_fine(fixture: ProducersFixture) {
    fixture.events.publish(Vec::new()).await.unwrap();
    fixture.producers.store_rejected(Vec::new()).await.unwrap();
}
