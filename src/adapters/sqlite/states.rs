//! Shared states in the ledger's file: one process owns it, and they outlive the process.

use std::sync::Arc;

use async_trait::async_trait;
use rusqlite::{OptionalExtension, params};

use super::{Database, sql_fault};
use crate::fault::Fault;
use crate::ports::clock::Clock;
use crate::ports::states::{Change, SharedStates, check};

/// States beside the ledger.
pub struct SqliteStates {
    database: Database,
    clock: Arc<dyn Clock>,
}

impl SqliteStates {
    /// The states of an open file; `clock` is their time.
    pub fn new(database: Database, clock: Arc<dyn Clock>) -> Self {
        Self { database, clock }
    }
}

#[async_trait]
impl SharedStates for SqliteStates {
    async fn change(&self, name: &str, mut change: Change) -> Result<(), Fault> {
        let (name, clock) = (name.to_owned(), self.clock.clone());
        self.database
            .write(move |db| {
                let known: Option<String> = db
                    .prepare_cached("SELECT state FROM shared_states WHERE name = ?1")
                    .and_then(|mut known| known.query_row([&name], |row| row.get(0)).optional())
                    .map_err(sql_fault)?;
                let Some(state) = change(known.as_deref(), clock.now_ms()) else { return Ok(()) };
                check(&name, &state)?;
                db.prepare_cached("INSERT OR REPLACE INTO shared_states (name, state) VALUES (?1, ?2)")
                    .and_then(|mut put| put.execute(params![name, state]))
                    .map_err(sql_fault)?;
                Ok(())
            })
            .await
    }

    async fn named(&self, prefix: &str) -> Result<Vec<(String, String)>, Fault> {
        let prefix = prefix.to_owned();
        self.database
            .read(move |db| {
                let mut known = db
                    .prepare_cached("SELECT name, state FROM shared_states WHERE substr(name, 1, length(?1)) = ?1 ORDER BY name")
                    .map_err(sql_fault)?;
                let rows = known.query_map([prefix], |row| Ok((row.get(0)?, row.get(1)?))).map_err(sql_fault)?;
                rows.collect::<Result<_, _>>().map_err(sql_fault)
            })
            .await
    }

    async fn now_ms(&self) -> Result<u64, Fault> {
        Ok(self.clock.now_ms())
    }
}
