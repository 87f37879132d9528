//! What only a ledger on a server has: many processes, a network in between, an address with a
//! password. The suite runs on it as on the others.
//!
//! The server is at `CONTEXTURE_TEST_POSTGRES_URL`, else at the default address, where
//! `make test` starts one.

mod claims;
mod crowds;
mod network;
mod schema;
mod secrets;

use std::sync::Arc;
use std::time::Duration;

use contexture_adapters::postgres::{PostgresConfig, PostgresLedger};
use contexture_core::ports::ledger::{EMBEDDING_CACHE_BYTES_MAX, Ledger};

use super::LedgerFixture;
use crate::support::clock::ManualClock;
use crate::support::postgres::TemporarySchema;

fn wait_for<T>(work: impl Future<Output = T>) -> T {
    tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(work))
}

pub(super) async fn open_postgres() -> Option<LedgerFixture> {
    let schema = TemporarySchema::new().await?;
    let clock = Arc::new(ManualClock::new());
    let connect = {
        let (schema, clock) = (schema.clone(), clock.clone());
        move |cache_bytes_max| -> Arc<dyn Ledger> {
            let config = PostgresConfig { cache_bytes_max, ..schema.config() };
            Arc::new(wait_for(PostgresLedger::connect(&config, clock.clone())).unwrap())
        }
    };
    // Leases go by the server's clock: to let time pass is to move their ends.
    let pass = move |by: Duration| {
        wait_for(async {
            sqlx::query("UPDATE leases SET ends_at = ends_at - $1 * interval '1 millisecond'")
                .bind(i64::try_from(by.as_millis()).unwrap())
                .execute(&mut schema.connection().await)
                .await
                .unwrap();
        });
    };
    let connect = Arc::new(connect);
    let again = connect.clone();
    let fixture = LedgerFixture::new(connect, clock).await;
    let reopen = Arc::new(move || again(EMBEDDING_CACHE_BYTES_MAX));
    Some(LedgerFixture { pass: Arc::new(pass), reopen: Some(reopen), ..fixture })
}
