//! What the ledger says of documents whose stores are compared with it.

use contexture_core::domain::ids::DocumentId;
use contexture_core::ports::ledger::ChangeLogExtent;
use contexture_core::ports::ledger::{VersionOutcome, VersionState};

use super::LedgerFixture;
use crate::support::{TENANT, collection, document, spans};

impl LedgerFixture {
    async fn standing(&self, id: &str) -> Vec<(u64, VersionState, Option<u32>)> {
        let mut standings = self.ledger.versions_in_stores(&self.home, 1, &[document(id)]).await.unwrap();
        assert_eq!(standings.len(), 1);
        let records = standings.remove(0).into_iter();
        records.map(|record| (record.key.version.get(), record.state, record.chunk_count)).collect()
    }
}

pub(super) async fn standing_is_what_may_have_something_in_a_store(fixture: LedgerFixture) {
    let first = fixture.accepted("doc", 1, "one").await;
    fixture.ledger.store_spans(1, vec![(first.clone(), spans(3))]).await.unwrap();
    assert_eq!(fixture.standing("doc").await, [(1, VersionState::Chunked, Some(3))]);
    fixture.finish(&first, VersionOutcome::Visible(1)).await;
    let second = fixture.accepted("doc", 2, "two").await;
    fixture.ledger.store_spans(1, vec![(second.clone(), spans(2))]).await.unwrap();
    fixture.ledger.mark_embedded(std::slice::from_ref(&second)).await.unwrap();
    let in_flight = [(1, VersionState::Visible, Some(3)), (2, VersionState::Embedded, Some(2))];
    assert_eq!(fixture.standing("doc").await, in_flight);
    fixture.finish(&second, VersionOutcome::Visible(1)).await;
    let won = (2, VersionState::Visible, Some(2));
    assert_eq!(fixture.standing("doc").await, [(1, VersionState::Superseded, Some(3)), won]);
    fixture.ledger.mark_swept(std::slice::from_ref(&first)).await.unwrap();
    assert_eq!(fixture.standing("doc").await, [won], "what was swept left nothing");

    let (dead, _) = fixture.dead("doc", 3, "three").await;
    assert_eq!(fixture.standing("doc").await, [won, (3, VersionState::Dead, None)]);
    fixture.ledger.mark_swept(std::slice::from_ref(&dead)).await.unwrap();
    assert_eq!(fixture.standing("doc").await, [won]);
    let history = fixture.ledger.history(&fixture.home, &document("doc")).await.unwrap();
    let visible = history.into_iter().find(|record| record.state == VersionState::Visible).unwrap();
    let standings = fixture.ledger.versions_in_stores(&fixture.home, 1, &[document("doc")]).await.unwrap();
    assert_eq!(standings, [[visible]], "the same record as in its history");
}

pub(super) async fn standings_follow_the_documents_asked_for(fixture: LedgerFixture) {
    for id in ["a", "b", "c"] {
        fixture.visible(id, 7, id).await;
    }
    let asked: Vec<DocumentId> = ["c", "never was", "a"].iter().map(|id| document(id)).collect();
    let standings = fixture.ledger.versions_in_stores(&fixture.home, 1, &asked).await.unwrap();
    let ids = |standing: &Vec<contexture_core::ports::ledger::VersionRecord>| {
        standing.iter().map(|record| record.key.document_id.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(standings.iter().map(ids).collect::<Vec<_>>(), [vec!["c"], vec![], vec!["a"]]);
    assert_eq!(fixture.ledger.versions_in_stores(&fixture.home, 1, &[]).await.unwrap(), Vec::<Vec<_>>::new());
    let elsewhere = collection(TENANT, "nowhere");
    assert_eq!(fixture.ledger.versions_in_stores(&elsewhere, 1, &asked).await.unwrap(), vec![Vec::new(); 3]);
}

pub(super) async fn log_extent_follows_the_log(fixture: LedgerFixture) {
    let extent = async || fixture.ledger.log_extent(&fixture.home).await.unwrap();
    assert_eq!(extent().await, ChangeLogExtent::default());
    fixture.accepted("in flight", 1, "text").await;
    fixture.visible("a", 1, "one").await;
    fixture.visible("b", 1, "one").await;
    assert_eq!(extent().await, ChangeLogExtent { documents: 2, end: 2 });
    fixture.visible("a", 2, "two").await;
    assert_eq!(extent().await, ChangeLogExtent { documents: 2, end: 3 });
    fixture.delete("b", None).await;
    fixture.finish(&fixture.key("b", 2), VersionOutcome::Visible(1)).await;
    assert_eq!(
        extent().await,
        ChangeLogExtent { documents: 2, end: 4 },
        "a tombstone is a document of the log"
    );
    let changes = fixture.ledger.changes(&fixture.home, 0, 10).await.unwrap();
    assert_eq!(changes.last().map(|change| change.position), Some(4));
    let nowhere = collection(TENANT, "nowhere");
    assert_eq!(fixture.ledger.log_extent(&nowhere).await.unwrap(), ChangeLogExtent::default());
}
