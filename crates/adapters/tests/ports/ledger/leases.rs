//! Leases: which of many handles does what only one has to do.

use std::sync::Arc;
use std::time::Duration;

use contexture_core::ports::ledger::{EMBEDDING_CACHE_BYTES_MAX, Ledger};

use super::LedgerFixture;

const TTL: Duration = Duration::from_secs(10);
const ROLE: &str = "housekeeping";

impl LedgerFixture {
    fn another(&self) -> Arc<dyn Ledger> {
        (self.peer)(EMBEDDING_CACHE_BYTES_MAX)
    }
}

async fn leads(ledger: &Arc<dyn Ledger>) -> bool {
    ledger.acquire_lease(ROLE, TTL).await.unwrap()
}

pub(super) async fn one_handle_leads_until_it_resigns(fixture: LedgerFixture) {
    let (one, two) = (fixture.another(), fixture.another());
    assert!(leads(&one).await);
    assert!(!leads(&two).await);
    assert!(leads(&one).await, "it has it already");
    one.release_lease(ROLE).await.unwrap();
    assert!(leads(&two).await);
    assert!(!leads(&one).await);
}

pub(super) async fn roles_do_not_meet(fixture: LedgerFixture) {
    let (one, two) = (fixture.another(), fixture.another());
    assert!(leads(&one).await);
    assert!(two.acquire_lease("another role", TTL).await.unwrap());
    two.release_lease("another role").await.unwrap();
    assert!(!leads(&two).await);
}

pub(super) async fn lease_ends_by_itself(fixture: LedgerFixture) {
    let (one, two) = (fixture.another(), fixture.another());
    assert!(leads(&one).await);
    (fixture.pass)(TTL / 2);
    assert!(!leads(&two).await);
    (fixture.pass)(TTL / 2);
    assert!(leads(&two).await);
    assert!(!leads(&one).await, "who comes back late finds it taken");
}

pub(super) async fn leading_again_renews(fixture: LedgerFixture) {
    let (one, two) = (fixture.another(), fixture.another());
    assert!(leads(&one).await);
    for _ in 0..3 {
        (fixture.pass)(TTL / 2);
        assert!(!leads(&two).await);
        (fixture.pass)(TTL / 4);
        assert!(leads(&one).await);
        assert!(!leads(&two).await);
    }
    (fixture.pass)(TTL);
    assert!(leads(&two).await);
}

pub(super) async fn resigning_what_another_has_does_nothing(fixture: LedgerFixture) {
    let (one, two) = (fixture.another(), fixture.another());
    two.release_lease(ROLE).await.unwrap();
    assert!(leads(&one).await);
    two.release_lease(ROLE).await.unwrap();
    assert!(!leads(&two).await);
}

pub(super) async fn of_many_at_once_one_leads(fixture: LedgerFixture) {
    let handles: Vec<_> = (0..8).map(|_| fixture.another()).collect();
    for round in 0..4 {
        let calls: Vec<_> = handles
            .iter()
            .cloned()
            .map(|handle| tokio::spawn(async move { handle.acquire_lease(ROLE, TTL).await.unwrap() }))
            .collect();
        let mut leading = 0;
        for call in calls {
            leading += usize::from(call.await.unwrap());
        }
        assert_eq!(leading, 1, "round {round}");
        (fixture.pass)(TTL);
    }
}
