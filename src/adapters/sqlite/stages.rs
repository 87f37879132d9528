//! What the stages read and write between intake and the end.

use rusqlite::{Connection, OptionalExtension, params};

use super::rows::{self, Documents, corrupt, sql_version};
use super::sql_fault;
use crate::domain::chunk::ChunkSpan;
use crate::domain::ids::{ContentHash, Generation, Version, VersionKey};
use crate::domain::task::{Stage, Task};
use crate::fault::Fault;
use crate::ports::ledger::StoredBody;

/// Moves a version forward: never back, and never out of a terminal state.
const ADVANCE: &str = "UPDATE versions SET state = ?3, updated_ms = ?4 \
     WHERE document_ref = ?1 AND version = ?2 AND state < ?3 AND state < 3";

pub(super) fn mark_embedded(connection: &Connection, keys: &[VersionKey], now_ms: u64) -> Result<(), Fault> {
    let mut documents = Documents::new(connection);
    for key in keys {
        let Some(document_ref) = documents.of(key)? else { continue };
        advance(connection, document_ref, key.version, 2, now_ms).map_err(sql_fault)?;
    }
    Ok(())
}

fn advance(
    connection: &Connection,
    document_ref: i64,
    version: Version,
    state: i64,
    now_ms: u64,
) -> rusqlite::Result<()> {
    connection.prepare_cached(ADVANCE)?.execute(params![
        document_ref,
        sql_version(version),
        state,
        now_ms
    ])?;
    Ok(())
}

pub(super) fn mark_published(connection: &Connection, keys: &[VersionKey]) -> Result<(), Fault> {
    let mut documents = Documents::new(connection);
    for key in keys {
        let Some(document_ref) = documents.of(key)? else { continue };
        connection
            .prepare_cached("UPDATE versions SET published = 1 WHERE document_ref = ?1 AND version = ?2")
            .and_then(|mut statement| statement.execute(params![document_ref, sql_version(key.version)]))
            .map_err(sql_fault)?;
    }
    Ok(())
}

pub(super) fn unpublished(connection: &Connection, limit: usize) -> Result<Vec<Task>, Fault> {
    let sql = format!(
        "SELECT {} FROM {} WHERE v.published = 0 AND v.state = 0 ORDER BY v.accepted_ms, v.document_ref, v.version LIMIT ?1",
        rows::TASK_COLUMNS,
        rows::TASK_JOINS
    );
    let mut statement = connection.prepare_cached(&sql).map_err(sql_fault)?;
    let mut found = statement.query([limit]).map_err(sql_fault)?;
    let mut tasks = Vec::new();
    while let Some(row) = found.next().map_err(sql_fault)? {
        tasks.push(rows::task(row)?.0);
    }
    Ok(tasks)
}

pub(super) fn stuck(
    connection: &Connection,
    before_ms: u64,
    limit: usize,
) -> Result<Vec<(Stage, Task)>, Fault> {
    let sql = format!(
        "SELECT {} FROM {} WHERE v.state < 3 AND v.updated_ms < ?1 ORDER BY v.updated_ms, v.document_ref, v.version LIMIT ?2",
        rows::TASK_COLUMNS,
        rows::TASK_JOINS
    );
    let mut statement = connection.prepare_cached(&sql).map_err(sql_fault)?;
    let mut found = statement.query(params![before_ms, limit]).map_err(sql_fault)?;
    let mut stuck = Vec::new();
    while let Some(row) = found.next().map_err(sql_fault)? {
        let (task, state) = rows::task(row)?;
        stuck.push((rows::waiting_stage(state, task.deletes), task));
    }
    Ok(stuck)
}

pub(super) fn bodies(connection: &Connection, keys: &[VersionKey]) -> Result<Vec<Option<StoredBody>>, Fault> {
    let mut documents = Documents::new(connection);
    keys.iter().map(|key| body(connection, &mut documents, key)).collect()
}

fn body(
    connection: &Connection,
    documents: &mut Documents<'_>,
    key: &VersionKey,
) -> Result<Option<StoredBody>, Fault> {
    let Some(document_ref) = documents.of(key)? else {
        return Ok(None);
    };
    let mut statement = connection
        .prepare_cached(
            "SELECT b.body, v.description, v.content_hash, v.state, EXISTS (SELECT 1 FROM versions newer \
             WHERE newer.document_ref = v.document_ref AND newer.version > v.version AND newer.state = 3) \
             FROM versions v JOIN bodies b ON b.document_ref = v.document_ref AND b.version = v.version \
             WHERE v.document_ref = ?1 AND v.version = ?2",
        )
        .map_err(sql_fault)?;
    let mut found = statement.query(params![document_ref, sql_version(key.version)]).map_err(sql_fault)?;
    let Some(row) = found.next().map_err(sql_fault)? else {
        return Ok(None);
    };
    Ok(Some(StoredBody {
        body: rows::get(row, 0)?,
        description: rows::description(&rows::get::<String>(row, 1)?)?,
        content_hash: rows::fingerprint(
            &rows::get::<Vec<u8>>(row, 2)?,
            ContentHash::from_slice,
            "versions.content_hash",
        )?,
        state: rows::state(rows::get(row, 3)?)?,
        overtaken: rows::get(row, 4)?,
    }))
}

pub(super) fn store_spans(
    connection: &Connection,
    generation: Generation,
    all: &[(VersionKey, Vec<ChunkSpan>)],
    now_ms: u64,
) -> Result<(), Fault> {
    let mut documents = Documents::new(connection);
    for (key, spans) in all {
        let Some(document_ref) = documents.of(key)? else { continue };
        let json = serde_json::to_vec(spans).map_err(|error| corrupt("spans", &error.to_string()))?;
        connection
            .prepare_cached(
                "INSERT OR REPLACE INTO spans (document_ref, version, generation, chunk_count, spans) \
                 SELECT document_ref, version, ?3, ?4, ?5 FROM versions \
                 WHERE document_ref = ?1 AND version = ?2 AND state < 3",
            )
            .and_then(|mut statement| {
                let version = sql_version(key.version);
                statement.execute(params![document_ref, version, generation, spans.len(), json])
            })
            .map_err(sql_fault)?;
        advance(connection, document_ref, key.version, 1, now_ms).map_err(sql_fault)?;
    }
    Ok(())
}

pub(super) fn spans(
    connection: &Connection,
    generation: Generation,
    keys: &[VersionKey],
) -> Result<Vec<Option<Vec<ChunkSpan>>>, Fault> {
    let mut documents = Documents::new(connection);
    keys.iter()
        .map(|key| {
            let Some(document_ref) = documents.of(key)? else {
                return Ok(None);
            };
            let json: Option<Vec<u8>> = connection
                .prepare_cached(
                    "SELECT spans FROM spans WHERE document_ref = ?1 AND version = ?2 AND generation = ?3",
                )
                .and_then(|mut statement| {
                    let version = sql_version(key.version);
                    statement
                        .query_row(params![document_ref, version, generation], |row| row.get(0))
                        .optional()
                })
                .map_err(sql_fault)?;
            json.map(|json| {
                serde_json::from_slice(&json).map_err(|error| corrupt("spans", &error.to_string()))
            })
            .transpose()
        })
        .collect()
}
