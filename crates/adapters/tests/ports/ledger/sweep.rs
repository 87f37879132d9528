//! What losing versions leave behind, and when it goes.

use contexture_core::domain::ids::{CollectionKey, DocumentId, VersionKey};
use contexture_core::ports::ledger::{UnsweptVersion, VersionOutcome};

use super::{LedgerFixture, gave_up};
use crate::support::{document, epoch, spans};

impl LedgerFixture {
    async fn unswept_versions(&self, id: &str) -> Vec<UnsweptVersion> {
        self.ledger.unswept_versions(&[(self.home.clone(), document(id))]).await.unwrap()
    }

    async fn has_body(&self, key: &VersionKey) -> bool {
        self.ledger.bodies(std::slice::from_ref(key)).await.unwrap()[0].is_some()
    }
}

pub(super) async fn superseded_versions_are_losers_until_swept(fixture: LedgerFixture) {
    let older = fixture.accepted("doc", 1, "one").await;
    fixture.ledger.store_spans(1, vec![(older.clone(), spans(3))]).await.unwrap();
    fixture.finish(&older, VersionOutcome::Visible(1)).await;
    assert_eq!(fixture.unswept_versions("doc").await, [], "what serves has not lost");
    let newer = fixture.visible("doc", 2, "two").await;

    let losers = fixture.unswept_versions("doc").await;
    assert_eq!(losers.len(), 1);
    assert_eq!((&losers[0].key, losers[0].chunk_count), (&older, 3));
    assert_eq!(losers[0].epoch, epoch("one"));
    assert_eq!(fixture.unswept_versions("other").await, []);

    fixture.ledger.mark_swept(std::slice::from_ref(&older)).await.unwrap();
    fixture.ledger.mark_swept(std::slice::from_ref(&older)).await.unwrap();
    assert_eq!(fixture.unswept_versions("doc").await, []);
    assert!(!fixture.has_body(&older).await, "the body of a superseded version goes");
    assert!(fixture.has_body(&newer).await);
}

pub(super) async fn never_chunked_losers_release_their_bodies(fixture: LedgerFixture) {
    let older = fixture.accepted("doc", 1, "one").await;
    fixture.visible("doc", 2, "two").await;
    fixture.finish(&older, VersionOutcome::Superseded).await;
    let losers = fixture.unswept_versions("doc").await;
    assert_eq!((&losers[0].key, losers[0].chunk_count), (&older, 0));
    fixture.ledger.mark_swept(std::slice::from_ref(&older)).await.unwrap();
    assert!(!fixture.has_body(&older).await);
    assert_eq!(fixture.unswept_versions("doc").await, []);
}

pub(super) async fn dead_losers_keep_their_bodies(fixture: LedgerFixture) {
    let key = fixture.accepted("doc", 1, "one").await;
    fixture.ledger.store_spans(1, vec![(key.clone(), spans(2))]).await.unwrap();
    fixture.finish(&key, gave_up()).await;
    let losers = fixture.unswept_versions("doc").await;
    assert_eq!((&losers[0].key, losers[0].chunk_count), (&key, 2));
    fixture.ledger.mark_swept(std::slice::from_ref(&key)).await.unwrap();
    assert_eq!(fixture.unswept_versions("doc").await, []);
    assert!(fixture.has_body(&key).await, "a replay needs it");
}

pub(super) async fn sweeping_spares_what_serves_or_moves(fixture: LedgerFixture) {
    let serving = fixture.visible("doc", 1, "one").await;
    let moving = fixture.accepted("doc", 2, "two").await;
    fixture.ledger.mark_swept(&[serving.clone(), moving.clone()]).await.unwrap();
    assert!(fixture.has_body(&serving).await && fixture.has_body(&moving).await);
    fixture.finish(&moving, VersionOutcome::Visible(1)).await;
    let lost: Vec<_> = fixture.unswept_versions("doc").await.into_iter().map(|loser| loser.key).collect();
    assert_eq!(lost, [serving], "a sweep before its end does not count");
}

pub(super) async fn unswept_lists_documents_with_losers(fixture: LedgerFixture) {
    fixture.visible("clean", 1, "text").await;
    fixture.dead("dead", 1, "text").await;
    let older = fixture.visible("beaten", 1, "one").await;
    fixture.visible("beaten", 2, "two").await;
    let unswept = async |limit: usize| -> Vec<(CollectionKey, DocumentId)> {
        let mut found = fixture.ledger.unswept_documents(limit).await.unwrap();
        found.sort();
        found
    };
    let at_home = |id: &str| (fixture.home.clone(), document(id));
    assert_eq!(unswept(10).await, [at_home("beaten"), at_home("dead")]);
    assert_eq!(unswept(1).await.len(), 1);
    fixture.ledger.mark_swept(&[older]).await.unwrap();
    assert_eq!(unswept(10).await, [at_home("dead")]);
}
