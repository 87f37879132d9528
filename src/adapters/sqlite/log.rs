//! The log of visible versions.

use rusqlite::{Connection, params};

use super::{rows, sql_fault};
use crate::domain::ids::CollectionKey;
use crate::fault::Fault;
use crate::ports::ledger::Change;

/// Moves a document to the end of its collection's log.
pub(super) fn append(connection: &Connection, document_ref: i64) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "UPDATE collections SET log_position = log_position + 1 \
             WHERE collection_ref = (SELECT collection_ref FROM documents WHERE document_ref = ?1)",
        )?
        .execute([document_ref])?;
    connection
        .prepare_cached(
            "UPDATE documents SET log_position = (SELECT c.log_position FROM collections c \
             WHERE c.collection_ref = documents.collection_ref) WHERE document_ref = ?1",
        )?
        .execute([document_ref])?;
    Ok(())
}

pub(super) fn changes(
    connection: &Connection,
    collection: &CollectionKey,
    after: u64,
    limit: usize,
) -> Result<Vec<Change>, Fault> {
    let Some(number) = rows::collection_ref(connection, collection)? else {
        return Ok(Vec::new());
    };
    let sql = format!(
        "SELECT {}, d.log_position FROM {} WHERE d.collection_ref = ?1 AND d.log_position > ?2 AND v.state = 3 \
         ORDER BY d.log_position LIMIT ?3",
        rows::TASK_COLUMNS,
        rows::TASK_JOINS
    );
    let mut statement = connection.prepare_cached(&sql).map_err(sql_fault)?;
    let mut found = statement.query(params![number, after, limit]).map_err(sql_fault)?;
    let mut changes = Vec::new();
    while let Some(row) = found.next().map_err(sql_fault)? {
        changes.push(Change { position: rows::get(row, 11)?, task: rows::task(row)?.0 });
    }
    Ok(changes)
}
