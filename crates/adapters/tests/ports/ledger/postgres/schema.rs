//! The schema: made once however many start, and not touched when it is too new.

use std::sync::Arc;

use contexture_adapters::postgres::{PostgresConfig, PostgresLedger};
use contexture_core::fault::Fault;
use contexture_core::ports::ledger::VersionOutcome;

use crate::support::clock::ManualClock;
use crate::support::postgres::{TemporarySchema, number, rows};
use crate::support::{TENANT, collection, epoch, submission, version_key};

async fn connect(config: &PostgresConfig) -> Result<(), Fault> {
    PostgresLedger::connect(config, Arc::new(ManualClock::new())).await.map(drop)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_may_start_at_once_on_an_empty_database() {
    let Some(schema) = TemporarySchema::new().await else { return };
    let starts: Vec<_> = (0..8)
        .map(|_| {
            let config = schema.config();
            tokio::spawn(async move { connect(&config).await })
        })
        .collect();
    for start in starts {
        start.await.unwrap().unwrap();
    }
    let mut beside = schema.connection().await;
    assert_eq!(number(&mut beside, "SELECT max(number) - count(*) FROM migrations").await, 0, "each once");
    assert_eq!(number(&mut beside, "SELECT count(*) FROM cache_usage").await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn schema_of_a_newer_program_is_refused() {
    let Some(schema) = TemporarySchema::new().await else { return };
    connect(&schema.config()).await.unwrap();
    let mut beside = schema.connection().await;
    rows(&mut beside, "INSERT INTO migrations (number) VALUES (1000)").await;
    let Err(Fault::Permanent(reason)) = connect(&schema.config()).await else { panic!("must be refused") };
    assert_eq!(reason.code, "ledger_too_new");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn migration_that_fails_leaves_nothing() {
    let Some(schema) = TemporarySchema::new().await else { return };
    let mut beside = schema.connection().await;
    sqlx::raw_sql(sqlx::AssertSqlSafe(format!("CREATE SCHEMA {0}; CREATE TABLE {0}.leases ()", schema.name)))
        .execute(&mut beside)
        .await
        .unwrap();
    let fault = connect(&schema.config()).await.unwrap_err();
    assert!(matches!(fault, Fault::Transient(_)), "{fault}");
    let tables = "SELECT count(*) FROM pg_tables WHERE schemaname = current_schema()";
    assert_eq!(number(&mut beside, tables).await, 1, "only what was there");
    rows(&mut beside, "DROP TABLE leases").await;
    connect(&schema.config()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_schemas_of_a_database_are_two_ledgers() {
    let (Some(one), Some(two)) = (TemporarySchema::new().await, TemporarySchema::new().await) else { return };
    let (one, two) = (one.ledger().await, two.ledger().await);
    let home = collection(TENANT, "home");
    one.ensure_collection(&home, "", epoch("one")).await.unwrap();
    assert_eq!(two.collections().await.unwrap(), []);
}

/// A reason may quote what a parser met; the server cannot hold a NUL.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nul_in_a_reason_is_replaced() {
    let Some(schema) = TemporarySchema::new().await else { return };
    let ledger = schema.ledger().await;
    let home = collection(TENANT, "home");
    ledger.ensure_collection(&home, "", epoch("one")).await.unwrap();
    ledger.accept(vec![submission(&home, "doc", Some(1), "text")]).await.unwrap();
    let reason = contexture_core::fault::FailureReason::new("embedder_rejected", "byte \0 at 3");
    let ending = VersionOutcome::Dead(contexture_core::domain::task::IngestStage::Embed, reason);
    ledger.finish(vec![(version_key(&home, "doc", 1), ending)]).await.unwrap();
    let filter = contexture_core::ports::ledger::DeadLetterFilter::default();
    let letters = ledger.dead(&filter, 10).await.unwrap();
    assert_eq!(letters[0].reason.detail, "byte \u{fffd} at 3");
}
