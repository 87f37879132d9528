//! What outlives the process. Adapters that keep nothing do not run these.

use contexture_core::domain::ids::derive_embedding_key;
use contexture_core::ports::ledger::{DeadLetterFilter, VersionOutcome};

use super::LedgerFixture;
use crate::support::{document, spans};

pub(super) async fn everything_answered_is_there_after_a_restart(mut fixture: LedgerFixture) {
    let moving = fixture.accepted("moving", 2, "text").await;
    fixture.ledger.store_spans(1, vec![(moving.clone(), spans(2))]).await.unwrap();
    fixture.accepted("waiting", 1, "text").await;
    fixture.visible("beaten", 1, "one").await;
    fixture.visible("beaten", 2, "two").await;
    fixture.dead("dead", 1, "text").await;
    fixture.delete("moving", None).await;
    fixture.finish(&fixture.key("moving", 3), VersionOutcome::Visible(1)).await;
    let key = derive_embedding_key("model", "text");
    fixture.ledger.cache_vectors(vec![(key, vec![0.5, 0.25])]).await.unwrap();

    let before = told(&fixture).await;
    let reopen = fixture.reopen.take().unwrap();
    fixture.ledger = reopen();
    assert_eq!(told(&fixture).await, before);
    assert_eq!(fixture.ledger.cached_vectors(&[key]).await.unwrap(), [Some(vec![0.5, 0.25])]);
    assert_eq!(fixture.ledger.spans(1, &[moving]).await.unwrap(), [Some(spans(2))]);
}

/// Everything the ledger says about the collection, as text.
async fn told(fixture: &LedgerFixture) -> Vec<String> {
    let ledger = &fixture.ledger;
    let mut told = vec![format!("{:?}", ledger.collections().await), format!("{:?}", fixture.counts().await)];
    for id in ["moving", "waiting", "beaten", "dead"] {
        let place = (fixture.home.clone(), document(id));
        told.push(format!("{:?}", ledger.history(&place.0, &place.1).await));
        told.push(format!("{:?}", ledger.unswept_versions(&[place]).await));
    }
    told.push(format!("{:?}", ledger.unpublished(10).await));
    told.push(format!("{:?}", ledger.stuck(u64::MAX >> 1, 10).await));
    told.push(format!("{:?}", ledger.dead(&DeadLetterFilter::default(), 10).await));
    told
}
