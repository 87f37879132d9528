//! Ledgers that another version of the program wrote.

use std::sync::Arc;

use contexture::adapters::sqlite::{Database, SqliteLedger};
use contexture::domain::ids::embedding_key;
use contexture::fault::Fault;
use contexture::ports::ledger::{Ledger, cache_cost};

use crate::support::clock::ManualClock;

const FIRST_SCHEMA: &str = include_str!("../../../../src/adapters/sqlite/migrations/0001_ledger.sql");

#[tokio::test]
async fn sqlite_cache_without_a_bound_gets_one() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ledger.db");
    let old = rusqlite::Connection::open(&path).unwrap();
    old.execute_batch(FIRST_SCHEMA).unwrap();
    old.pragma_update(None, "user_version", 1).unwrap();
    let (vector, bytes) = (vec![1.0_f32, 2.0], [1.0_f32.to_le_bytes(), 2.0_f32.to_le_bytes()].concat());
    let keys: Vec<_> = (0..8).map(|number| embedding_key("model", &number.to_string())).collect();
    for key in &keys {
        old.execute("INSERT INTO embedding_cache VALUES (?1, ?2)", (key.as_bytes().as_slice(), &bytes))
            .unwrap();
    }
    drop(old);

    let database = Database::open(&path).unwrap();
    let ledger = SqliteLedger::new(database, Arc::new(ManualClock::new()))
        .with_cache_bytes_max(8 * cache_cost(&vector));
    assert_eq!(ledger.cached_vectors(&keys).await.unwrap(), vec![Some(vector.clone()); 8]);
    let new = embedding_key("model", "new");
    ledger.cache_vectors(vec![(new, vector.clone())]).await.unwrap();
    let kept = ledger.cached_vectors(&keys).await.unwrap().into_iter().flatten().count();
    assert!((6..8).contains(&kept), "{kept}: what was there counts");
    assert_eq!(ledger.cached_vectors(&[new]).await.unwrap(), [Some(vector)]);
}

#[test]
fn sqlite_of_a_newer_program_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ledger.db");
    drop(Database::open(&path).unwrap());
    let newer = rusqlite::Connection::open(&path).unwrap();
    newer.pragma_update(None, "user_version", 1000).unwrap();
    let Err(Fault::Permanent(reason)) = Database::open(&path).map(drop) else { panic!("must be refused") };
    assert_eq!(reason.code, "ledger_too_new");
}
