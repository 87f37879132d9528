//! Shared states in the ledger's file. One process owns it; the states outlive the process.

use std::sync::Arc;

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, params};

use super::{SqliteDatabase, sql_fault};
use contexture_core::fault::Fault;
use contexture_core::ports::clock::WallClock;
use contexture_core::ports::shared_states::{SharedStateChange, SharedStateStore, check_state_size};

/// Shared states beside the ledger.
pub struct SqliteSharedStates {
    database: SqliteDatabase,
    clock: Arc<dyn WallClock>,
}

impl SqliteSharedStates {
    /// The states of an open file; `clock` provides their time.
    pub fn new(database: SqliteDatabase, clock: Arc<dyn WallClock>) -> Self {
        Self { database, clock }
    }
}

#[async_trait]
impl SharedStateStore for SqliteSharedStates {
    async fn change(&self, name: &str, mut change: SharedStateChange) -> Result<(), Fault> {
        // All of it runs in one write call: a file has one writer at a time, which makes the change atomic.
        let (name, clock) = (name.to_owned(), self.clock.clone());
        let write = move |db: &Connection| change_state(db, &name, &mut change, clock.now_ms());
        // A process that only reads the ledger still shares the quota of a provider, and its rotated tokens.
        if self.database.is_read_only() {
            self.database.write_apart("change", write).await
        } else {
            self.database.write("change", write).await
        }
    }

    async fn named(&self, prefix: &str) -> Result<Vec<(String, String)>, Fault> {
        let prefix = prefix.to_owned();
        self.database
            .read("named", move |db| {
                let mut known = db
                    // `substr` instead of LIKE: `%` and `_` in a prefix mean themselves.
                    .prepare_cached("SELECT name, state FROM shared_states WHERE substr(name, 1, length(?1)) = ?1 ORDER BY name")
                    .map_err(sql_fault)?;
                let rows = known.query_map([&prefix], |row| Ok((row.get(0)?, row.get(1)?))).map_err(sql_fault)?;
                rows.collect::<Result<_, _>>().map_err(sql_fault)
            })
            .await
    }

    async fn now_ms(&self) -> Result<u64, Fault> {
        Ok(self.clock.now_ms())
    }
}

fn change_state(
    connection: &Connection,
    name: &str,
    change: &mut SharedStateChange,
    now_ms: u64,
) -> Result<(), Fault> {
    let known: Option<String> = connection
        .prepare_cached("SELECT state FROM shared_states WHERE name = ?1")
        .and_then(|mut known| known.query_row([name], |row| row.get(0)).optional())
        .map_err(sql_fault)?;
    let Some(state) = change(known.as_deref(), now_ms) else { return Ok(()) };
    check_state_size(name, &state)?;
    connection
        .prepare_cached("INSERT OR REPLACE INTO shared_states (name, state) VALUES (?1, ?2)")
        .and_then(|mut put| put.execute(params![name, state]))
        .map_err(sql_fault)?;
    Ok(())
}
