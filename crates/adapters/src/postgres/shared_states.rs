//! Shared states: one row each, locked during a change. Their time is the server's clock.

use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use futures::FutureExt;
use sqlx::{PgConnection, query, query_scalar};

use super::rows::read_column;
use super::{PostgresDatabase, PostgresError};
use contexture_core::fault::Fault;
use contexture_core::ports::shared_states::{SharedStateChange, SharedStateStore, check_state_size};

/// Shared states beside the ledger, for all of its processes.
pub struct PostgresSharedStates(pub(super) PostgresDatabase);

#[async_trait]
impl SharedStateStore for PostgresSharedStates {
    async fn change(&self, name: &str, change: SharedStateChange) -> Result<(), Fault> {
        // A mutex, because `write` may run the work again and so takes it by shared reference.
        self.0
            .write("change", (name, Mutex::new(change)), |(name, change), db| {
                change_state_row(db, name, change).boxed()
            })
            .await
    }

    async fn named(&self, prefix: &str) -> Result<Vec<(String, String)>, Fault> {
        self.0.run("named", prefix, |prefix, db| list_states(db, prefix).boxed()).await
    }

    async fn now_ms(&self) -> Result<u64, Fault> {
        self.0.run("now ms", (), |(), db| read_server_time_ms(db).boxed()).await
    }
}

async fn change_state_row(
    connection: &mut PgConnection,
    name: &str,
    change: &Mutex<SharedStateChange>,
) -> Result<(), PostgresError> {
    const LOCK: &str = "SELECT state, (EXTRACT(EPOCH FROM clock_timestamp()) * 1000)::bigint \
        FROM shared_states WHERE name = $1 FOR UPDATE";
    let mut row = query(LOCK).bind(name).fetch_optional(&mut *connection).await?;
    // A missing row cannot be locked. It is inserted without a state; a concurrent insert of the same
    // name waits here, and both then lock the one row.
    if row.is_none() {
        query("INSERT INTO shared_states (name) VALUES ($1) ON CONFLICT DO NOTHING")
            .bind(name)
            .execute(&mut *connection)
            .await?;
        row = query(LOCK).bind(name).fetch_optional(&mut *connection).await?;
    }
    let row = row.ok_or_else(|| Fault::transient("ledger: a shared state is gone"))?;
    let (known, now_ms): (Option<String>, i64) = (read_column(&row, 0)?, read_column(&row, 1)?);
    let state = {
        let mut change = change.lock().unwrap_or_else(PoisonError::into_inner);
        change(known.as_deref(), u64::try_from(now_ms).unwrap_or(0))
    };
    let Some(state) = state else { return Ok(()) };
    check_state_size(name, &state)?;
    query("UPDATE shared_states SET state = $2 WHERE name = $1")
        .bind(name)
        .bind(state)
        .execute(connection)
        .await?;
    Ok(())
}

async fn read_server_time_ms(connection: &mut PgConnection) -> Result<u64, PostgresError> {
    let now_ms: i64 = query_scalar("SELECT (EXTRACT(EPOCH FROM clock_timestamp()) * 1000)::bigint")
        .fetch_one(connection)
        .await?;
    Ok(u64::try_from(now_ms).unwrap_or(0))
}

async fn list_states(
    connection: &mut PgConnection,
    prefix: &str,
) -> Result<Vec<(String, String)>, PostgresError> {
    // COLLATE "C": the order of bytes, as in the other stores.
    let rows = query(
        "SELECT name, state FROM shared_states WHERE starts_with(name, $1) AND state IS NOT NULL \
         ORDER BY name COLLATE \"C\"",
    )
    .bind(prefix)
    .fetch_all(connection)
    .await?;
    rows.iter().map(|row| Ok((read_column(row, 0)?, read_column(row, 1)?))).collect()
}
