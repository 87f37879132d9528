//! The log of visible versions. A document has one entry, at the position of its latest change.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use rusqlite::{Connection, params};

use super::rows::{self, sql_bigint};
use super::sql_fault;
use crate::ledger_rows;
use contexture_core::domain::ids::CollectionKey;
use contexture_core::fault::Fault;
use contexture_core::ports::ledger::ChangeLogEntry;

/// Appends to the logs of collections within one transaction.
pub(super) struct ChangeLogAppender<'a> {
    connection: &'a Connection,
    /// Last position by collection, as of this transaction.
    positions: HashMap<i64, i64>,
}

impl<'a> ChangeLogAppender<'a> {
    pub(super) fn new(connection: &'a Connection) -> Self {
        Self { connection, positions: HashMap::new() }
    }

    /// Moves a document to the end of its collection's log.
    pub(super) fn append(&mut self, collection_ref: i64, document_ref: i64) -> rusqlite::Result<()> {
        let position = match self.positions.entry(collection_ref) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => new.insert(
                self.connection
                    .prepare_cached("SELECT log_position FROM collections WHERE collection_ref = ?1")?
                    .query_row([collection_ref], |row| row.get(0))?,
            ),
        };
        // Counted in memory: the collection row is read once and written once per transaction, not once
        // per document. The single writing connection makes that safe.
        *position += 1;
        self.connection
            .prepare_cached("UPDATE documents SET log_position = ?2 WHERE document_ref = ?1")?
            .execute([document_ref, *position])?;
        Ok(())
    }

    /// Stores the new ends of the logs.
    pub(super) fn store(self) -> rusqlite::Result<()> {
        for (collection_ref, position) in self.positions {
            self.connection
                .prepare_cached("UPDATE collections SET log_position = ?2 WHERE collection_ref = ?1")?
                .execute([collection_ref, position])?;
        }
        Ok(())
    }
}

pub(super) fn read_changes(
    connection: &Connection,
    collection: &CollectionKey,
    after: u64,
    limit: usize,
) -> Result<Vec<ChangeLogEntry>, Fault> {
    let Some(number) = rows::find_collection_ref(connection, collection)? else {
        return Ok(Vec::new());
    };
    let sql = format!(
        "SELECT {}, d.log_position FROM {} WHERE d.collection_ref = ?1 AND d.log_position > ?2 AND v.state = 3 \
         ORDER BY d.log_position LIMIT ?3",
        rows::TASK_COLUMNS,
        rows::TASK_JOINS
    );
    let mut statement = connection.prepare_cached(&sql).map_err(sql_fault)?;
    let page = params![number, sql_bigint(after), sql_bigint(limit as u64)];
    let mut found = statement.query(page).map_err(sql_fault)?;
    let mut changes = Vec::new();
    while let Some(row) = found.next().map_err(sql_fault)? {
        changes.push(ChangeLogEntry {
            position: rows::read_column(row, 11)?,
            task: ledger_rows::read_task(row)?.0,
        });
    }
    Ok(changes)
}
