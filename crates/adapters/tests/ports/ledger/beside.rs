//! The embedded ledger, read by processes beside the one that writes it.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use contexture_adapters::sqlite::{SqliteDatabase, SqliteLedger, SqliteSharedStates};
use contexture_core::domain::ids::CollectionKey;
use contexture_core::fault::Fault;
use contexture_core::ports::ledger::Ledger;
use contexture_core::ports::shared_states::SharedStateStore;

use crate::support::clock::ManualClock;
use crate::support::{TENANT, collection, epoch, submission};

fn home() -> CollectionKey {
    collection(TENANT, "home")
}

fn writer(path: &Path) -> SqliteLedger {
    SqliteLedger::new(SqliteDatabase::open(path).unwrap(), Arc::new(ManualClock::new()))
}

fn reader(path: &Path) -> SqliteLedger {
    SqliteLedger::new(SqliteDatabase::open_read_only(path).unwrap(), Arc::new(ManualClock::new()))
}

fn files(folder: &Path) -> BTreeSet<String> {
    let names = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
    names.map(|name| name.into_string().unwrap()).collect()
}

async fn accept(ledger: &SqliteLedger, id: &str) {
    ledger.ensure_collection(&home(), "", epoch("one")).await.unwrap();
    ledger.accept(vec![submission(&home(), id, Some(1), "text")]).await.unwrap();
}

async fn accepted(ledger: &SqliteLedger) -> u64 {
    ledger.counts(&home()).await.unwrap().accepted
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_of_a_closed_ledger_create_nothing() {
    let directory = tempfile::tempdir().unwrap();
    // A name that means something in a URI.
    let path = directory.path().join("ledger 100%41 #1?.db");
    let ledger = writer(&path);
    accept(&ledger, "one").await;
    drop(ledger);
    let (before, bytes) = (files(directory.path()), std::fs::read(&path).unwrap());
    assert_eq!(before.len(), 1, "a writer that closes leaves no log: {before:?}");
    let readers: Vec<_> = (0..8).map(|_| reader(&path)).collect();
    for one in &readers {
        assert_eq!(accepted(one).await, 1);
    }
    drop(readers);
    assert_eq!((files(directory.path()), std::fs::read(&path).unwrap()), (before, bytes));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reader_sees_what_a_writer_commits_that_comes_and_goes() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ledger.db");
    let ledger = writer(&path);
    accept(&ledger, "doc 0").await;
    let beside = reader(&path);
    assert_eq!(accepted(&beside).await, 1, "while it is open");
    drop((ledger, beside));
    let beside = reader(&path);
    for round in 1..5 {
        assert_eq!(accepted(&beside).await, round, "after it has closed");
        let ledger = writer(&path);
        accept(&ledger, &format!("doc {round}")).await;
        assert_eq!(accepted(&beside).await, round + 1, "while it is open again");
        drop(ledger);
    }
    assert_eq!(accepted(&beside).await, 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reader_does_not_write_the_ledger() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ledger.db");
    accept(&writer(&path), "one").await;
    let refused = reader(&path).accept(vec![submission(&home(), "two", Some(1), "text")]).await;
    assert!(matches!(refused, Err(Fault::Permanent(reason)) if reason.code == "ledger_read_only"));
    assert_eq!(accepted(&reader(&path)).await, 1);
}

/// The quota of a provider and its rotated tokens are shared with whoever writes the ledger.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reader_shares_the_states_of_providers() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ledger.db");
    let clock = Arc::new(ManualClock::new());
    let written = SqliteSharedStates::new(SqliteDatabase::open(&path).unwrap(), clock.clone());
    let read = SqliteSharedStates::new(SqliteDatabase::open_read_only(&path).unwrap(), clock);
    let add = |known: Option<&str>, _| Some(format!("{}+", known.unwrap_or_default()));
    for _ in 0..3 {
        tokio::try_join!(written.change("quota", Box::new(add)), read.change("quota", Box::new(add)))
            .unwrap();
    }
    let expected = vec![("quota".to_owned(), "++++++".to_owned())];
    assert_eq!(
        (written.named("").await.unwrap(), read.named("").await.unwrap()),
        (expected.clone(), expected)
    );
}

#[test]
fn reader_refuses_another_schema() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ledger.db");
    drop(SqliteDatabase::open(&path).unwrap());
    let changed = rusqlite::Connection::open(&path).unwrap();
    let current: i64 = changed.query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap();
    for (version, code) in [(current - 1, "ledger_too_old"), (1000, "ledger_too_new")] {
        changed.pragma_update(None, "user_version", version).unwrap();
        let Err(Fault::Permanent(reason)) = SqliteDatabase::open_read_only(&path).map(drop) else {
            panic!("must be refused")
        };
        assert_eq!(reason.code, code);
    }
    let missing = directory.path().join("nothing.db");
    assert!(SqliteDatabase::open_read_only(&missing).is_err() && !missing.exists());
}
