//! Messages that cannot be accepted: buried, told, and in nobody's way.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use contexture_core::domain::event::EventKind;
use contexture_core::fault::{Refusal, RefusalKind};
use contexture_core::ports::ledger::Ledger;
use serde_json::json;

use super::{CRAWLER, IntakeFixture, access, codes, data, kinds, published, text};
use crate::support::{BODY_BYTES_MAX, collection, epoch};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_neighbours_do_not_hinder_good_ones() {
    let desk = IntakeFixture::new().await;
    desk.send(&text("good-1", None, "one"));
    desk.send_bytes("acme.home", b"{\"document_id\":\n}");
    desk.send_to("acme.nowhere", &text("a", None, "one"));
    desk.send_to("acme.nowhere", &text("b", None, "two"));
    desk.send_to("other.home", &text("a", None, "one"));
    desk.send_to("acme", &text("a", None, "one"));
    desk.send(&text("good-2", None, "two"));
    desk.send(&json!({ "document_id": "a" }));
    desk.send_to("acme.other", &text("good-3", None, "three"));
    desk.send(&text("a", None, &"x".repeat(BODY_BYTES_MAX + 1)));
    desk.send(&text("good-4", None, &"x".repeat(BODY_BYTES_MAX)));
    let (told, running) = desk.answers(11).await;
    assert_eq!(told.iter().filter(|event| event.kind() == EventKind::Accepted).count(), 4);
    let mut refused = codes(&told);
    refused.sort();
    assert_eq!(
        refused,
        [
            "body_too_large",
            "invalid_json",
            "invalid_routing_key",
            "missing_body",
            "tenant_forbidden",
            "unknown_collection",
            "unknown_collection",
        ]
    );
    let buried = running.producers.buried();
    assert_eq!(buried.len(), 7);
    assert!(buried.iter().any(|burial| burial.message.body == b"{\"document_id\":\n}"), "as it came");
    let broken = buried.iter().find(|burial| burial.rejection.code == "invalid_json").unwrap();
    assert_eq!(broken.rejection.position.map(|at| (at.line, at.column)), Some((2, 1)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tenant_is_written_only_by_its_producers() {
    for (users, user, tenant, admitted) in [
        (vec![], Some(CRAWLER), "local", true),
        (vec![], None, "local", true),
        (vec![], Some(CRAWLER), "acme", false),
        (vec![(CRAWLER, "acme")], Some(CRAWLER), "acme", true),
        (vec![(CRAWLER, "acme"), (CRAWLER, "beta")], Some(CRAWLER), "beta", true),
        (vec![(CRAWLER, "acme")], Some(CRAWLER), "local", false),
        (vec![(CRAWLER, "acme")], Some("intruder"), "acme", false),
        (vec![(CRAWLER, "acme")], None, "acme", false),
        (vec![(CRAWLER, "acme")], Some(CRAWLER), "no-such-tenant", false),
    ] {
        let mut desk = IntakeFixture::new().await;
        desk.ledger.ensure_collection(&collection(tenant, "home"), "", epoch("one")).await.unwrap();
        desk.intake.access = access(&users);
        let body = serde_json::to_vec(&text("a", None, "one")).unwrap();
        let mut message = published(&format!("{tenant}.home"), &body, None);
        message.user_id = user.map(str::to_owned);
        desk.producers.send(message);
        let (told, _) = desk.answers(1).await;
        let expected = if admitted { EventKind::Accepted } else { EventKind::Rejected };
        assert_eq!(kinds(&told), [expected], "{users:?} {user:?} {tenant}");
        if !admitted {
            assert_eq!(codes(&told), ["tenant_forbidden"]);
            assert_eq!(told[0].routing_key(), "_._.rejected", "told to nobody's listeners");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn missing_collection_is_created_where_that_is_wanted() {
    let mut desk = IntakeFixture::new().await;
    let (ledger, asked) = (desk.ledger.clone(), Arc::new(AtomicUsize::new(0)));
    let counted = asked.clone();
    desk.intake.create_collection = Some(Box::new(move |key| {
        let (ledger, first) = (ledger.clone(), counted.fetch_add(1, Ordering::SeqCst) == 0);
        Box::pin(async move {
            if first {
                return Err(Refusal::new(RefusalKind::Unavailable, "away", "", "not now"));
            }
            if key.collection.as_str() == "refused" {
                return Err(Refusal::invalid("invalid_pipeline", "pipeline", "no such model"));
            }
            ledger.ensure_collection(&key, "", epoch("one")).await?;
            Ok(())
        })
    }));
    desk.send_to("acme.new", &text("a", None, "one"));
    desk.send_to("acme.new", &text("b", None, "two"));
    desk.send_to("acme.refused", &text("c", None, "three"));
    let (told, running) = desk.answers(3).await;
    assert_eq!(kinds(&told), [EventKind::Accepted, EventKind::Accepted, EventKind::Rejected]);
    assert_eq!(codes(&told), ["invalid_pipeline"]);
    assert_eq!(asked.load(Ordering::SeqCst), 3, "once more for what was away, once per collection");
    assert!(running.ledger.collection(&collection("acme", "new")).await.unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refusal_names_the_field_and_the_collection() {
    let desk = IntakeFixture::new().await;
    desk.send(&json!({ "document_id": "a", "metadata": { "k": null }, "text": "x" }));
    let (told, _) = desk.answers(1).await;
    let data = data(&told[0]);
    assert_eq!((&data["tenant"], &data["collection"]), (&json!("acme"), &json!("home")));
    assert_eq!(data["reason"]["field"], "metadata.k");
    assert_eq!(told[0].routing_key(), "acme.home.rejected");
}
