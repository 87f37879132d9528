//! What `accept` decides.

use std::sync::Arc;

use bytes::Bytes;
use contexture_core::domain::document::{DocumentDescription, Submission};
use contexture_core::domain::ids::VERSION_MAX;
use contexture_core::fault::Fault;
use contexture_core::ports::ledger::{IntakeDecision, VersionCounts, VersionOutcome};

use super::{LedgerFixture, gave_up};
use crate::support::{BODY_BYTES_MAX, collection, deletion, document, epoch, principal, submission, version};

pub(super) async fn first_version_is_accepted_with_its_task(fixture: LedgerFixture) {
    let submitted = submission(&fixture.home, "doc", Some(7), "text");
    let receipt = fixture.ledger.accept(vec![submitted.clone()]).await.unwrap().remove(0);
    assert_eq!((receipt.intake, receipt.version.get()), (IntakeDecision::Accepted, 7));
    let task = receipt.task.unwrap();
    assert_eq!(task.key, fixture.key("doc", 7));
    assert_eq!((task.generation, task.epoch), (1, epoch("one")));
    assert_eq!(task.content_hash, submitted.content_hash());
    assert_eq!((task.attempt, task.deletes), (0, false));
    assert_eq!(task.accepted_ms, crate::support::clock::ManualClock::START_MS);
}

pub(super) async fn missing_version_is_assigned_from_one_upwards(fixture: LedgerFixture) {
    for number in 1..=3 {
        assert_eq!(
            fixture.submit("doc", None, &format!("text {number}")).await,
            (IntakeDecision::Accepted, number)
        );
    }
}

pub(super) async fn equal_content_without_version_is_a_duplicate(fixture: LedgerFixture) {
    fixture.accepted("doc", 4, "text").await;
    assert_eq!(fixture.submit("doc", None, "text").await, (IntakeDecision::Duplicate, 4));
    fixture.finish(&fixture.key("doc", 4), VersionOutcome::Visible(1)).await;
    assert_eq!(fixture.submit("doc", None, "text").await, (IntakeDecision::Duplicate, 4));
    assert_eq!(fixture.counts().await.accepted, 1);
}

pub(super) async fn old_content_without_version_is_a_new_version(fixture: LedgerFixture) {
    fixture.accepted("doc", 1, "old").await;
    fixture.accepted("doc", 2, "new").await;
    assert_eq!(fixture.submit("doc", None, "old").await, (IntakeDecision::Accepted, 3));
}

pub(super) async fn fence_against_the_latest_version(fixture: LedgerFixture) {
    fixture.accepted("doc", 5, "five").await;
    for (number, text, expected) in [
        (4, "four", (IntakeDecision::Superseded, 5)),
        (4, "five", (IntakeDecision::Superseded, 5)),
        (5, "five", (IntakeDecision::Duplicate, 5)),
        (5, "other", (IntakeDecision::Conflict, 5)),
        (6, "five", (IntakeDecision::Accepted, 6)),
    ] {
        assert_eq!(fixture.submit("doc", Some(number), text).await, expected, "version {number}, {text}");
    }
    assert_eq!(fixture.counts().await.accepted, 2);
}

pub(super) async fn fence_against_an_older_version(fixture: LedgerFixture) {
    fixture.accepted("doc", 2, "two").await;
    fixture.accepted("doc", 9, "nine").await;
    assert_eq!(fixture.submit("doc", Some(2), "two").await, (IntakeDecision::Duplicate, 2));
    assert_eq!(fixture.submit("doc", Some(2), "other").await, (IntakeDecision::Conflict, 2));
    assert_eq!(fixture.submit("doc", Some(3), "three").await, (IntakeDecision::Superseded, 9));
}

pub(super) async fn assigned_version_follows_a_given_one(fixture: LedgerFixture) {
    fixture.accepted("doc", 41, "given").await;
    assert_eq!(fixture.submit("doc", None, "assigned").await, (IntakeDecision::Accepted, 42));
    assert_eq!(fixture.submit("doc", Some(42), "assigned").await, (IntakeDecision::Duplicate, 42));
    assert_eq!(fixture.submit("doc", Some(42), "other").await, (IntakeDecision::Conflict, 42));
}

pub(super) async fn no_version_follows_the_highest(fixture: LedgerFixture) {
    fixture.accepted("doc", VERSION_MAX, "last").await;
    let batch = vec![
        submission(&fixture.home, "doc", None, "more"),
        submission(&fixture.home, "neighbour", None, "text"),
    ];
    let receipts = fixture.ledger.accept(batch).await.unwrap();
    assert_eq!((receipts[0].intake, receipts[0].version.get()), (IntakeDecision::Conflict, VERSION_MAX));
    assert_eq!(receipts[1].intake, IntakeDecision::Accepted);
}

pub(super) async fn dead_content_resubmitted_is_a_duplicate_until_its_letter_is_dropped(
    fixture: LedgerFixture,
) {
    let (_, letter) = fixture.dead("doc", 3, "text").await;
    assert_eq!(fixture.submit("doc", None, "text").await, (IntakeDecision::Duplicate, 3));
    assert_eq!(fixture.submit("doc", None, "other").await, (IntakeDecision::Accepted, 4));
    fixture.finish(&fixture.key("doc", 4), VersionOutcome::Visible(1)).await;
    assert_eq!(
        fixture.submit("doc", None, "text").await,
        (IntakeDecision::Accepted, 5),
        "no longer the latest"
    );
    let (_, dropped) = fixture.dead("other", 1, "text").await;
    fixture.ledger.drop_dead_letters(&[letter, dropped]).await.unwrap();
    assert_eq!(fixture.submit("other", None, "text").await, (IntakeDecision::Accepted, 2));
}

pub(super) async fn dead_deletion_resubmitted_gets_a_new_version(fixture: LedgerFixture) {
    fixture.visible("doc", 1, "text").await;
    assert_eq!(fixture.delete("doc", None).await, (IntakeDecision::Accepted, 2));
    fixture.finish(&fixture.key("doc", 2), gave_up()).await;
    assert_eq!(fixture.delete("doc", None).await, (IntakeDecision::Accepted, 3));
}

pub(super) async fn dead_version_resubmitted_by_number_is_a_duplicate(fixture: LedgerFixture) {
    fixture.dead("doc", 3, "text").await;
    assert_eq!(fixture.submit("doc", Some(3), "text").await, (IntakeDecision::Duplicate, 3));
    assert_eq!(fixture.submit("doc", Some(3), "other").await, (IntakeDecision::Conflict, 3));
}

pub(super) async fn description_is_part_of_the_content(fixture: LedgerFixture) {
    let titled = |title: &str| {
        let description =
            DocumentDescription { title: Some(title.to_owned()), ..DocumentDescription::default() };
        let caller = principal(fixture.home.tenant.as_str());
        let (home, body) = (fixture.home.collection.clone(), Bytes::from_static(b"text"));
        Submission::new(&caller, home, document("doc"), None, description, body, BODY_BYTES_MAX).unwrap()
    };
    let batch = vec![titled("one"), titled("one"), titled("two")];
    let receipts = fixture.ledger.accept(batch).await.unwrap();
    let intakes: Vec<_> = receipts.iter().map(|receipt| receipt.intake).collect();
    assert_eq!(intakes, [IntakeDecision::Accepted, IntakeDecision::Duplicate, IntakeDecision::Accepted]);
}

pub(super) async fn delete_without_version_follows_the_latest(fixture: LedgerFixture) {
    fixture.visible("doc", 7, "text").await;
    let receipt = fixture.ledger.accept(vec![deletion(&fixture.home, "doc", None)]).await.unwrap().remove(0);
    assert_eq!((receipt.intake, receipt.version.get()), (IntakeDecision::Accepted, 8));
    assert!(receipt.task.unwrap().deletes);
}

pub(super) async fn delete_beats_a_late_lower_version(fixture: LedgerFixture) {
    fixture.accepted("doc", 1, "one").await;
    assert_eq!(fixture.delete("doc", Some(5)).await, (IntakeDecision::Accepted, 5));
    assert_eq!(fixture.submit("doc", Some(4), "late").await, (IntakeDecision::Superseded, 5));
    assert_eq!(fixture.submit("doc", Some(5), "same number").await, (IntakeDecision::Conflict, 5));
    assert_eq!(fixture.delete("doc", Some(3)).await, (IntakeDecision::Superseded, 5));
}

pub(super) async fn delete_with_version_may_come_before_its_document(fixture: LedgerFixture) {
    assert_eq!(fixture.delete("doc", Some(5)).await, (IntakeDecision::Accepted, 5));
    assert_eq!(fixture.submit("doc", Some(4), "late").await, (IntakeDecision::Superseded, 5));
}

pub(super) async fn deleted_document_is_recreated_by_a_higher_version(fixture: LedgerFixture) {
    fixture.visible("doc", 1, "text").await;
    assert_eq!(fixture.delete("doc", None).await, (IntakeDecision::Accepted, 2));
    assert_eq!(fixture.submit("doc", None, "text").await, (IntakeDecision::Accepted, 3));
    assert_eq!(fixture.delete("doc", Some(4)).await, (IntakeDecision::Accepted, 4));
    assert_eq!(fixture.submit("doc", Some(5), "text").await, (IntakeDecision::Accepted, 5));
}

pub(super) async fn deleting_nothing_is_a_duplicate(fixture: LedgerFixture) {
    assert_eq!(fixture.delete("never was", None).await, (IntakeDecision::Duplicate, 1));
    assert_eq!(fixture.counts().await, VersionCounts::default());
    fixture.visible("doc", 6, "text").await;
    assert_eq!(fixture.delete("doc", None).await, (IntakeDecision::Accepted, 7));
    assert_eq!(fixture.delete("doc", None).await, (IntakeDecision::Duplicate, 7));
    assert_eq!(fixture.delete("doc", Some(7)).await, (IntakeDecision::Duplicate, 7));
    assert_eq!(fixture.delete("doc", Some(8)).await, (IntakeDecision::Accepted, 8));
}

pub(super) async fn receipts_follow_the_order_of_one_batch(fixture: LedgerFixture) {
    let home = &fixture.home;
    let batch = vec![
        submission(home, "a", None, "one"),
        submission(home, "b", Some(3), "three"),
        submission(home, "a", None, "one"),
        submission(home, "a", None, "two"),
        submission(home, "b", Some(2), "two"),
        deletion(home, "a", None),
        deletion(home, "a", None),
        submission(home, "a", Some(1), "one"),
        submission(home, "b", Some(3), "other"),
    ];
    let receipts = fixture.ledger.accept(batch).await.unwrap();
    let decided: Vec<_> = receipts.iter().map(|receipt| (receipt.intake, receipt.version.get())).collect();
    let expected = [
        (IntakeDecision::Accepted, 1),
        (IntakeDecision::Accepted, 3),
        (IntakeDecision::Duplicate, 1),
        (IntakeDecision::Accepted, 2),
        (IntakeDecision::Superseded, 3),
        (IntakeDecision::Accepted, 3),
        (IntakeDecision::Duplicate, 3),
        (IntakeDecision::Duplicate, 1),
        (IntakeDecision::Conflict, 3),
    ];
    assert_eq!(decided, expected);
    let has_task: Vec<_> = receipts.iter().map(|receipt| receipt.task.is_some()).collect();
    assert_eq!(has_task, expected.map(|(intake, _)| intake == IntakeDecision::Accepted));
}

pub(super) async fn unknown_collection_refuses_the_whole_batch(fixture: LedgerFixture) {
    let elsewhere = collection(fixture.home.tenant.as_str(), "elsewhere");
    let batch = vec![
        submission(&fixture.home, "known", None, "text"),
        submission(&elsewhere, "unknown", None, "text"),
    ];
    let refused = fixture.ledger.accept(batch).await.unwrap_err();
    assert!(matches!(refused, Fault::Permanent(_)), "{refused:?}");
    assert_eq!(fixture.counts().await, VersionCounts::default(), "one transaction: nothing was stored");
}

pub(super) async fn equal_submissions_at_once_store_one_version(fixture: LedgerFixture) {
    let intakes = submit_at_once(&fixture, |_| "text".to_owned()).await;
    let accepted = intakes.iter().filter(|(intake, _)| *intake == IntakeDecision::Accepted).count();
    let duplicates = intakes.iter().filter(|(intake, _)| *intake == IntakeDecision::Duplicate).count();
    assert_eq!((accepted, duplicates), (1, 99));
    assert!(intakes.iter().all(|(_, number)| *number == 1));
}

pub(super) async fn different_submissions_at_once_get_different_versions(fixture: LedgerFixture) {
    let mut intakes = submit_at_once(&fixture, |number| format!("text {number}")).await;
    intakes.sort_by_key(|(_, number)| *number);
    let expected: Vec<_> = (1..=100).map(|number| (IntakeDecision::Accepted, number)).collect();
    assert_eq!(intakes, expected);
}

async fn submit_at_once(
    fixture: &LedgerFixture,
    text: impl Fn(usize) -> String,
) -> Vec<(IntakeDecision, u64)> {
    let calls: Vec<_> = (0..100)
        .map(|number| {
            let ledger = Arc::clone(&fixture.ledger);
            let batch = vec![submission(&fixture.home, "doc", None, &text(number))];
            tokio::spawn(async move { ledger.accept(batch).await.unwrap().remove(0) })
        })
        .collect();
    let mut intakes = Vec::new();
    for call in calls {
        let receipt = call.await.unwrap();
        intakes.push((receipt.intake, receipt.version.get()));
    }
    intakes
}

pub(super) async fn collections_and_tenants_do_not_meet(fixture: LedgerFixture) {
    let other_tenant = collection("globex", fixture.home.collection.as_str());
    let other_collection = collection(fixture.home.tenant.as_str(), "other");
    for key in [&other_tenant, &other_collection] {
        fixture.ledger.ensure_collection(key, "", epoch("one")).await.unwrap();
    }
    fixture.visible("doc", 9, "text").await;
    for key in [&other_tenant, &other_collection] {
        assert_eq!(fixture.ledger.history(key, &document("doc")).await.unwrap(), []);
        let receipt = fixture.ledger.accept(vec![submission(key, "doc", None, "text")]).await.unwrap();
        assert_eq!((receipt[0].intake, receipt[0].version), (IntakeDecision::Accepted, version(1)));
        let counts = fixture.ledger.counts(key).await.unwrap();
        assert_eq!(counts, VersionCounts { accepted: 1, in_flight: 1, ..VersionCounts::default() });
    }
    assert_eq!(fixture.counts().await.accepted, 1);
}

pub(super) async fn collection_is_created_once(fixture: LedgerFixture) {
    let key = collection("globex", "notes");
    assert_eq!(fixture.ledger.collection(&key).await.unwrap(), None);
    let created = fixture.ledger.ensure_collection(&key, "first = 1", epoch("one")).await.unwrap();
    assert_eq!((created.generation, created.epoch), (1, epoch("one")));
    let found = fixture.ledger.ensure_collection(&key, "second = 2", epoch("two")).await.unwrap();
    assert_eq!(found, created, "what is stored wins");
    assert_eq!(fixture.ledger.collection(&key).await.unwrap(), Some(created.clone()));
    let all = fixture.ledger.collections().await.unwrap();
    assert_eq!(all.len(), 2);
    assert!(all.contains(&created));
}
