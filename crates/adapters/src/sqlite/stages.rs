//! What the stages read and write between intake and the outcome.

use rusqlite::{Connection, OptionalExtension, params};

use super::rows::{self, DocumentRefLookup, sql_bigint, sql_version};
use super::sql_fault;
use crate::ledger_rows;
use crate::ledger_rules::waiting_stage;
use contexture_core::domain::chunk::ChunkSpan;
use contexture_core::domain::ids::{GenerationNumber, Version, VersionKey};
use contexture_core::domain::task::{IngestStage, IngestTask};
use contexture_core::fault::Fault;
use contexture_core::ports::ledger::StoredBody;

/// Moves a version forward; never back, and never out of a terminal state (3 and above).
const ADVANCE_STATE: &str = "UPDATE versions SET state = ?3, updated_ms = ?4 \
     WHERE document_ref = ?1 AND version = ?2 AND state < ?3 AND state < 3";

pub(super) fn mark_embedded(connection: &Connection, keys: &[VersionKey], now_ms: u64) -> Result<(), Fault> {
    let mut documents = DocumentRefLookup::new(connection);
    for key in keys {
        // An unknown key is skipped: a fault would roll back the rest of the batch.
        let Some(document_ref) = documents.document_ref(key)? else { continue };
        advance_state(connection, document_ref, key.version, 2, now_ms).map_err(sql_fault)?;
    }
    Ok(())
}

fn advance_state(
    connection: &Connection,
    document_ref: i64,
    version: Version,
    state: i64,
    now_ms: u64,
) -> rusqlite::Result<()> {
    connection.prepare_cached(ADVANCE_STATE)?.execute(params![
        document_ref,
        sql_version(version),
        state,
        now_ms
    ])?;
    Ok(())
}

pub(super) fn mark_published(connection: &Connection, keys: &[VersionKey]) -> Result<(), Fault> {
    let mut documents = DocumentRefLookup::new(connection);
    for key in keys {
        let Some(document_ref) = documents.document_ref(key)? else { continue };
        connection
            .prepare_cached("UPDATE versions SET published = 1 WHERE document_ref = ?1 AND version = ?2")
            .and_then(|mut statement| statement.execute(params![document_ref, sql_version(key.version)]))
            .map_err(sql_fault)?;
    }
    Ok(())
}

pub(super) fn read_unpublished_tasks(
    connection: &Connection,
    limit: usize,
) -> Result<Vec<IngestTask>, Fault> {
    let sql = format!(
        // Past state 0 a stage has the version already, so it needs no first message, confirmed or not.
        "SELECT {} FROM {} WHERE v.published = 0 AND v.state = 0 ORDER BY v.accepted_ms, v.document_ref, v.version LIMIT ?1",
        rows::TASK_COLUMNS,
        rows::TASK_JOINS
    );
    let mut statement = connection.prepare_cached(&sql).map_err(sql_fault)?;
    let mut found = statement.query([sql_bigint(limit as u64)]).map_err(sql_fault)?;
    let mut tasks = Vec::new();
    while let Some(row) = found.next().map_err(sql_fault)? {
        tasks.push(ledger_rows::read_task(row)?.0);
    }
    Ok(tasks)
}

pub(super) fn read_stuck_tasks(
    connection: &Connection,
    before_ms: u64,
    limit: usize,
) -> Result<Vec<(IngestStage, IngestTask)>, Fault> {
    let sql = format!(
        "SELECT {} FROM {} WHERE v.state < 3 AND v.updated_ms < ?1 ORDER BY v.updated_ms, v.document_ref, v.version LIMIT ?2",
        rows::TASK_COLUMNS,
        rows::TASK_JOINS
    );
    let mut statement = connection.prepare_cached(&sql).map_err(sql_fault)?;
    let page = [sql_bigint(before_ms), sql_bigint(limit as u64)];
    let mut found = statement.query(page).map_err(sql_fault)?;
    let mut stuck = Vec::new();
    while let Some(row) = found.next().map_err(sql_fault)? {
        let (task, state) = ledger_rows::read_task(row)?;
        stuck.push((waiting_stage(state, task.deletes), task));
    }
    Ok(stuck)
}

pub(super) fn read_bodies(
    connection: &Connection,
    keys: &[VersionKey],
) -> Result<Vec<Option<StoredBody>>, Fault> {
    let mut documents = DocumentRefLookup::new(connection);
    keys.iter().map(|key| read_body(connection, &mut documents, key)).collect()
}

fn read_body(
    connection: &Connection,
    documents: &mut DocumentRefLookup<'_>,
    key: &VersionKey,
) -> Result<Option<StoredBody>, Fault> {
    let Some(document_ref) = documents.document_ref(key)? else {
        return Ok(None);
    };
    let mut statement = connection
        .prepare_cached(
            // `newer` is asked here, so that the stage can end a version that lost before it chunks the body.
            "SELECT b.body, v.description, v.content_hash, v.state, EXISTS (SELECT 1 FROM versions newer \
             WHERE newer.document_ref = v.document_ref AND newer.version > v.version AND newer.state = 3), t.format, t.body \
             FROM versions v JOIN bodies b ON b.document_ref = v.document_ref AND b.version = v.version \
             LEFT JOIN conversions t ON t.document_ref = v.document_ref AND t.version = v.version \
             WHERE v.document_ref = ?1 AND v.version = ?2",
        )
        .map_err(sql_fault)?;
    let mut found = statement.query(params![document_ref, sql_version(key.version)]).map_err(sql_fault)?;
    let Some(row) = found.next().map_err(sql_fault)? else {
        return Ok(None);
    };
    Ok(Some(StoredBody {
        body: rows::read_column(row, 0)?,
        description: ledger_rows::parse_description(&rows::read_column::<String>(row, 1)?)?,
        content_hash: ledger_rows::read_content_hash(row, 2)?,
        state: ledger_rows::read_state(row, 3)?,
        overtaken: rows::read_column(row, 4)?,
        converted: match rows::read_column::<Option<String>>(row, 5)? {
            Some(format) => Some(ledger_rows::converted_text(&format, rows::read_column(row, 6)?)?),
            None => None,
        },
    }))
}

pub(super) fn store_spans(
    connection: &Connection,
    generation: GenerationNumber,
    all: &[(VersionKey, Vec<ChunkSpan>)],
    now_ms: u64,
) -> Result<(), Fault> {
    let mut documents = DocumentRefLookup::new(connection);
    for (key, spans) in all {
        let Some(document_ref) = documents.document_ref(key)? else { continue };
        let json = ledger_rows::spans_to_json(spans)?;
        connection
            .prepare_cached(
                // REPLACE: a redelivered task stores its spans again.
                // From `versions`: a version that ended may be swept already, and new spans of it would stay.
                "INSERT OR REPLACE INTO spans (document_ref, version, generation, chunk_count, spans) \
                 SELECT document_ref, version, ?3, ?4, ?5 FROM versions \
                 WHERE document_ref = ?1 AND version = ?2 AND state < 3",
            )
            .and_then(|mut statement| {
                let version = sql_version(key.version);
                statement.execute(params![document_ref, version, generation, spans.len(), json])
            })
            .map_err(sql_fault)?;
        advance_state(connection, document_ref, key.version, 1, now_ms).map_err(sql_fault)?;
    }
    Ok(())
}

pub(super) fn read_spans(
    connection: &Connection,
    generation: GenerationNumber,
    keys: &[VersionKey],
) -> Result<Vec<Option<Vec<ChunkSpan>>>, Fault> {
    let mut documents = DocumentRefLookup::new(connection);
    keys.iter()
        .map(|key| {
            let Some(document_ref) = documents.document_ref(key)? else {
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
            json.map(|json| ledger_rows::spans_from_json(&json)).transpose()
        })
        .collect()
}
