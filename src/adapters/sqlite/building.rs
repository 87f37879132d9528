//! What a builder reads and writes of a generation.

use rusqlite::{Connection, params};

use super::rows::{self, Documents, collection_ref, corrupt, sql_version};
use super::sql_fault;
use crate::domain::chunk::ChunkSpan;
use crate::domain::ids::{CollectionKey, Epoch, Generation, VersionKey};
use crate::fault::{Fault, Reason};
use crate::ports::generations::{BuildFailure, Unprepared};
use crate::ports::ledger::Change;

/// What a version of a generation must not be, to be prepared for it: prepared, or failed.
const NEITHER: &str = "NOT EXISTS (SELECT 1 FROM spans s WHERE s.document_ref = v.document_ref \
       AND s.version = v.version AND s.generation = ?3) \
     AND NOT EXISTS (SELECT 1 FROM build_failures f WHERE f.collection_ref = d.collection_ref \
       AND f.generation = ?3 AND f.document_ref = v.document_ref AND f.version = v.version)";

pub(super) fn unprepared(
    connection: &Connection,
    key: &CollectionKey,
    generation: Generation,
    after: u64,
    limit: usize,
) -> Result<Unprepared, Fault> {
    let none = Unprepared { changes: Vec::new(), end: after };
    let Some(number) = collection_ref(connection, key)? else { return Ok(none) };
    // First the end: what comes later stands behind it, in the log, too.
    let (end, epoch): (u64, Vec<u8>) = connection
        .prepare_cached(
            "SELECT c.log_position, g.epoch FROM collections c JOIN generations g \
             ON g.collection_ref = c.collection_ref AND g.generation = ?2 WHERE c.collection_ref = ?1",
        )
        .and_then(|mut end| end.query_row(params![number, generation], |row| Ok((row.get(0)?, row.get(1)?))))
        .map_err(sql_fault)?;
    let epoch = rows::fingerprint(&epoch, Epoch::from_slice, "generations.epoch")?;
    let sql = format!(
        "SELECT {}, d.log_position FROM {} WHERE d.collection_ref = ?1 AND d.log_position > ?2 \
         AND v.state = 3 AND v.deletes = 0 AND {NEITHER} ORDER BY d.log_position LIMIT ?4",
        rows::TASK_COLUMNS,
        rows::TASK_JOINS
    );
    let mut statement = connection.prepare_cached(&sql).map_err(sql_fault)?;
    let mut found = statement.query(params![number, after, generation, limit]).map_err(sql_fault)?;
    let mut changes = Vec::new();
    while let Some(row) = found.next().map_err(sql_fault)? {
        let mut task = rows::task(row)?.0;
        (task.generation, task.epoch) = (generation, epoch);
        changes.push(Change { position: rows::get(row, 11)?, task });
    }
    Ok(Unprepared { changes, end })
}

pub(super) fn prepared(
    connection: &Connection,
    generation: Generation,
    all: &[(VersionKey, Vec<ChunkSpan>)],
) -> Result<Vec<bool>, Fault> {
    let mut documents = Documents::new(connection);
    let mut stored = Vec::with_capacity(all.len());
    for (key, spans) in all {
        let Some(document_ref) = documents.of(key)? else {
            stored.push(false);
            continue;
        };
        let json = serde_json::to_vec(spans).map_err(|error| corrupt("spans", &error.to_string()))?;
        let written = connection
            .prepare_cached(
                "INSERT OR REPLACE INTO spans (document_ref, version, generation, chunk_count, spans) \
                 SELECT v.document_ref, v.version, g.generation, ?4, ?5 FROM versions v \
                 JOIN documents d ON d.document_ref = v.document_ref \
                 JOIN generations g ON g.collection_ref = d.collection_ref AND g.generation = ?3 \
                   AND g.state <> 'dropped' \
                 WHERE v.document_ref = ?1 AND v.version = ?2 AND v.state = 3",
            )
            .and_then(|mut insert| {
                insert.execute(params![document_ref, sql_version(key.version), generation, spans.len(), json])
            })
            .map_err(sql_fault)?;
        stored.push(written > 0);
    }
    Ok(stored)
}

pub(super) fn fail(
    connection: &Connection,
    generation: Generation,
    failures: &[BuildFailure],
) -> Result<(), Fault> {
    let mut documents = Documents::new(connection);
    for BuildFailure { key, reason } in failures {
        let (Some(document_ref), Some(collection)) = (documents.of(key)?, documents.collection_of(key)?)
        else {
            continue;
        };
        connection
            .prepare_cached(
                "INSERT OR REPLACE INTO build_failures (collection_ref, generation, document_ref, version, code, detail) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )
            .and_then(|mut insert| {
                let version = sql_version(key.version);
                insert.execute(params![collection, generation, document_ref, version, reason.code, reason.detail])
            })
            .map_err(sql_fault)?;
    }
    Ok(())
}

pub(super) fn failures(
    connection: &Connection,
    key: &CollectionKey,
    generation: Generation,
    limit: usize,
) -> Result<Vec<BuildFailure>, Fault> {
    let mut statement = connection
        .prepare_cached(
            "SELECT t.name, c.name, d.document_id, f.version, f.code, f.detail FROM build_failures f \
             JOIN versions v ON v.document_ref = f.document_ref AND v.version = f.version AND v.state = 3 \
             JOIN documents d ON d.document_ref = f.document_ref \
             JOIN collections c ON c.collection_ref = d.collection_ref \
             JOIN tenants t ON t.tenant_ref = c.tenant_ref \
             WHERE t.name = ?1 AND c.name = ?2 AND f.collection_ref = c.collection_ref AND f.generation = ?3 \
             ORDER BY d.document_id LIMIT ?4",
        )
        .map_err(sql_fault)?;
    let mut found = statement
        .query(params![key.tenant.as_str(), key.collection.as_str(), generation, limit])
        .map_err(sql_fault)?;
    let mut failures = Vec::new();
    while let Some(row) = found.next().map_err(sql_fault)? {
        let reason = Reason { code: rows::get(row, 4)?, detail: rows::get(row, 5)? };
        failures.push(BuildFailure { key: rows::version_key(row)?, reason });
    }
    Ok(failures)
}

pub(super) fn advance(
    connection: &Connection,
    key: &CollectionKey,
    generation: Generation,
    cursor: u64,
    prepared: u64,
) -> Result<(), Fault> {
    let Some(number) = collection_ref(connection, key)? else { return Ok(()) };
    connection
        .prepare_cached(
            "UPDATE generations SET cursor_position = MAX(cursor_position, ?3), prepared = prepared + ?4 \
             WHERE collection_ref = ?1 AND generation = ?2",
        )
        .and_then(|mut update| update.execute(params![number, generation, cursor, prepared]))
        .map_err(sql_fault)?;
    Ok(())
}
