//! The queries of a builder: what a generation lacks, what was prepared and what failed.

use rusqlite::{Connection, params};

use super::rows::{self, DocumentRefLookup, find_collection_ref, sql_bigint, sql_version};
use super::sql_fault;
use crate::ledger_rows;
use contexture_core::domain::chunk::ChunkSpan;
use contexture_core::domain::ids::{CollectionKey, GenerationNumber, VersionKey};
use contexture_core::fault::Fault;
use contexture_core::ports::generations::{GenerationBuildFailure, UnpreparedVersions};
use contexture_core::ports::ledger::ChangeLogEntry;

/// Excludes versions that are prepared for the generation, and those that failed.
const NEITHER_PREPARED_NOR_FAILED: &str = "NOT EXISTS (SELECT 1 FROM spans s WHERE s.document_ref = v.document_ref \
       AND s.version = v.version AND s.generation = ?3) \
     AND NOT EXISTS (SELECT 1 FROM build_failures f WHERE f.collection_ref = d.collection_ref \
       AND f.generation = ?3 AND f.document_ref = v.document_ref AND f.version = v.version)";

pub(super) fn read_unprepared(
    connection: &Connection,
    key: &CollectionKey,
    generation: GenerationNumber,
    after: u64,
    limit: usize,
) -> Result<UnpreparedVersions, Fault> {
    let none = UnpreparedVersions { changes: Vec::new(), end: after };
    let Some(number) = find_collection_ref(connection, key)? else { return Ok(none) };
    // The end comes from the same snapshot as the rows: a change that is not among them has a higher
    // position.
    let (end, epoch): (u64, Vec<u8>) = connection
        .prepare_cached(
            "SELECT c.log_position, g.epoch FROM collections c JOIN generations g \
             ON g.collection_ref = c.collection_ref AND g.generation = ?2 WHERE c.collection_ref = ?1",
        )
        .and_then(|mut end| end.query_row(params![number, generation], |row| Ok((row.get(0)?, row.get(1)?))))
        .map_err(sql_fault)?;
    let epoch = ledger_rows::parse_epoch(&epoch)?;
    let sql = format!(
        "SELECT {}, d.log_position FROM {} WHERE d.collection_ref = ?1 AND d.log_position > ?2 \
         AND v.state = 3 AND v.deletes = 0 AND {NEITHER_PREPARED_NOR_FAILED} ORDER BY d.log_position LIMIT ?4",
        rows::TASK_COLUMNS,
        rows::TASK_JOINS
    );
    let mut statement = connection.prepare_cached(&sql).map_err(sql_fault)?;
    let page = params![number, sql_bigint(after), generation, sql_bigint(limit as u64)];
    let mut found = statement.query(page).map_err(sql_fault)?;
    let mut changes = Vec::new();
    while let Some(row) = found.next().map_err(sql_fault)? {
        let mut task = ledger_rows::read_task(row)?.0;
        // The columns give the active generation. This task is for the one that is being built.
        (task.generation, task.epoch) = (generation, epoch);
        changes.push(ChangeLogEntry { position: rows::read_column(row, 11)?, task });
    }
    Ok(UnpreparedVersions { changes, end })
}

pub(super) fn store_prepared(
    connection: &Connection,
    generation: GenerationNumber,
    all: &[(VersionKey, Vec<ChunkSpan>)],
) -> Result<Vec<bool>, Fault> {
    let mut documents = DocumentRefLookup::new(connection);
    let mut stored = Vec::with_capacity(all.len());
    for (key, spans) in all {
        let Some(document_ref) = documents.document_ref(key)? else {
            stored.push(false);
            continue;
        };
        let json = ledger_rows::spans_to_json(spans)?;
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
        // No row is written when the version is no longer visible, or the generation is unknown or
        // dropped.
        stored.push(written > 0);
    }
    Ok(stored)
}

pub(super) fn store_failures(
    connection: &Connection,
    generation: GenerationNumber,
    failures: &[GenerationBuildFailure],
) -> Result<(), Fault> {
    let mut documents = DocumentRefLookup::new(connection);
    for GenerationBuildFailure { key, reason } in failures {
        let (Some(document_ref), Some(collection)) =
            (documents.document_ref(key)?, documents.collection_ref(key)?)
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

pub(super) fn read_failures(
    connection: &Connection,
    key: &CollectionKey,
    generation: GenerationNumber,
    limit: usize,
) -> Result<Vec<GenerationBuildFailure>, Fault> {
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
        .query(params![key.tenant.as_str(), key.collection.as_str(), generation, sql_bigint(limit as u64)])
        .map_err(sql_fault)?;
    let mut failures = Vec::new();
    while let Some(row) = found.next().map_err(sql_fault)? {
        failures.push(ledger_rows::read_build_failure(row)?);
    }
    Ok(failures)
}

pub(super) fn advance_cursor(
    connection: &Connection,
    key: &CollectionKey,
    generation: GenerationNumber,
    cursor: u64,
    prepared: u64,
) -> Result<(), Fault> {
    let Some(number) = find_collection_ref(connection, key)? else { return Ok(()) };
    connection
        .prepare_cached(
            // MAX: two builders may report out of order; the cursor never moves back.
            "UPDATE generations SET cursor_position = MAX(cursor_position, ?3), prepared = prepared + ?4 \
             WHERE collection_ref = ?1 AND generation = ?2",
        )
        .and_then(|mut update| {
            update.execute(params![number, generation, sql_bigint(cursor), sql_bigint(prepared)])
        })
        .map_err(sql_fault)?;
    Ok(())
}
