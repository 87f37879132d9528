//! The log of visible versions, which replicas follow.

use contexture_core::ports::ledger::VersionOutcome;

use super::{LedgerFixture, gave_up};
use crate::support::{TENANT, collection, epoch, submission};

/// Document, version and position of every change after a position.
async fn changes(fixture: &LedgerFixture, after: u64, limit: usize) -> Vec<(String, u64, u64)> {
    let changes = fixture.ledger.changes(&fixture.home, after, limit).await.unwrap();
    let brief = |change: contexture_core::ports::ledger::ChangeLogEntry| {
        (change.task.key.document_id.to_string(), change.task.key.version.get(), change.position)
    };
    changes.into_iter().map(brief).collect()
}

fn row(id: &str, version: u64, position: u64) -> (String, u64, u64) {
    (id.to_owned(), version, position)
}

pub(super) async fn changes_come_in_the_order_they_became_visible(fixture: LedgerFixture) {
    assert_eq!(changes(&fixture, 0, 10).await, []);
    let first = fixture.accepted("accepted first", 1, "a").await;
    fixture.visible("visible first", 1, "b").await;
    fixture.finish(&first, VersionOutcome::Visible(1)).await;
    let expected = [row("visible first", 1, 1), row("accepted first", 1, 2)];
    assert_eq!(changes(&fixture, 0, 10).await, expected);
    fixture.finish(&first, VersionOutcome::Visible(1)).await;
    assert_eq!(changes(&fixture, 0, 10).await, expected, "the same ending again changes nothing");
}

pub(super) async fn changed_document_moves_to_the_end_of_the_log(fixture: LedgerFixture) {
    fixture.visible("changed", 1, "old").await;
    fixture.visible("stays", 1, "text").await;
    fixture.visible("changed", 2, "new").await;
    assert_eq!(changes(&fixture, 0, 10).await, [row("stays", 1, 2), row("changed", 2, 3)]);
    assert_eq!(changes(&fixture, 2, 10).await, [row("changed", 2, 3)]);
    assert_eq!(changes(&fixture, 3, 10).await, []);
}

pub(super) async fn log_holds_tombstones_and_nothing_that_never_served(fixture: LedgerFixture) {
    fixture.visible("gone", 1, "text").await;
    fixture.dead("dead", 1, "text").await;
    fixture.accepted("in flight", 1, "text").await;
    let late = fixture.accepted("overtaken", 1, "text").await;
    fixture.visible("overtaken", 2, "text two").await;
    fixture.finish(&late, VersionOutcome::Visible(1)).await;
    assert_eq!(fixture.delete("gone", Some(2)).await.1, 2);
    fixture.finish(&fixture.key("gone", 2), VersionOutcome::Visible(1)).await;
    let found = fixture.ledger.changes(&fixture.home, 0, 10).await.unwrap();
    let brief: Vec<_> =
        found.iter().map(|change| (change.task.key.document_id.as_str(), change.task.deletes)).collect();
    assert_eq!(brief, [("overtaken", false), ("gone", true)]);
    assert_eq!(found[0].task.key.version.get(), 2, "the newer one serves");
    fixture.finish(&fixture.key("in flight", 1), gave_up()).await;
    assert_eq!(fixture.ledger.changes(&fixture.home, 0, 10).await.unwrap(), found);
}

pub(super) async fn log_is_read_in_pages(fixture: LedgerFixture) {
    for number in 1..=5 {
        fixture.visible(&format!("doc {number}"), 1, "text").await;
    }
    let mut read = Vec::new();
    loop {
        let after = read.last().map_or(0, |(_, _, position)| *position);
        let page = changes(&fixture, after, 2).await;
        assert!(page.len() <= 2);
        if page.is_empty() {
            break;
        }
        read.extend(page);
    }
    assert_eq!(read, changes(&fixture, 0, 10).await);
    assert_eq!(read.len(), 5);
}

pub(super) async fn nothing_comes_after_the_highest_position(fixture: LedgerFixture) {
    fixture.visible("doc", 1, "text").await;
    for after in [u64::MAX >> 1, (u64::MAX >> 1) + 1, u64::MAX] {
        assert_eq!(changes(&fixture, after, 10).await, [], "{after}");
        let size = fixture.ledger.log_size(&fixture.home, after).await.unwrap();
        assert_eq!((size.entries, size.after), (1, 0), "{after}");
        let lacks = fixture.ledger.unprepared(&fixture.home, 1, after, 10).await.unwrap();
        assert_eq!((lacks.changes, lacks.end), (Vec::new(), 1), "{after}");
    }
    assert_eq!(changes(&fixture, 0, usize::MAX).await, [row("doc", 1, 1)]);
}

pub(super) async fn collections_have_logs_of_their_own(fixture: LedgerFixture) {
    let away = collection(TENANT, "away");
    fixture.ledger.ensure_collection(&away, "", epoch("one")).await.unwrap();
    fixture.visible("doc", 1, "text").await;
    let receipts = fixture.ledger.accept(vec![submission(&away, "other", Some(1), "text")]).await.unwrap();
    let key = receipts[0].task.clone().unwrap().key;
    fixture.ledger.finish(vec![(key.clone(), VersionOutcome::Visible(1))]).await.unwrap();
    assert_eq!(changes(&fixture, 0, 10).await, [row("doc", 1, 1)]);
    let elsewhere = fixture.ledger.changes(&away, 0, 10).await.unwrap();
    assert_eq!(elsewhere.iter().map(|change| &change.task.key).collect::<Vec<_>>(), [&key]);
    assert_eq!(elsewhere[0].position, 1);
    let nowhere = fixture.ledger.changes(&collection("stranger", "home"), 0, 10).await.unwrap();
    assert_eq!(nowhere, []);
}
