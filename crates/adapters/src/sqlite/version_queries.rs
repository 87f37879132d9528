//! Histories and counts, for people and the command line.

use rusqlite::{Connection, params};

use super::rows::{self, find_collection_ref, find_document_ref};
use super::sql_fault;
use crate::ledger_rows::{read_history_entry, read_state};
use crate::ledger_rules::count_versions;
use contexture_core::domain::ids::{CollectionKey, DocumentId};
use contexture_core::fault::Fault;
use contexture_core::ports::ledger::{VersionCounts, VersionRecord};

pub(super) fn read_history(
    connection: &Connection,
    collection: &CollectionKey,
    document_id: &DocumentId,
) -> Result<Vec<VersionRecord>, Fault> {
    let Some(number) = find_document_ref(connection, collection, document_id)? else {
        return Ok(Vec::new());
    };
    let mut statement = connection
        .prepare_cached(
            "SELECT t.name, c.name, d.document_id, v.version, v.state, v.deletes, v.content_hash, v.body_bytes, \
             s.chunk_count, v.accepted_ms, v.updated_ms, \
             (SELECT l.code FROM dead_letters l WHERE l.document_ref = v.document_ref AND l.version = v.version), \
             (SELECT l.detail FROM dead_letters l WHERE l.document_ref = v.document_ref AND l.version = v.version) \
             FROM versions v JOIN documents d ON d.document_ref = v.document_ref \
             JOIN collections c ON c.collection_ref = d.collection_ref JOIN tenants t ON t.tenant_ref = c.tenant_ref \
             LEFT JOIN spans s ON s.document_ref = v.document_ref AND s.version = v.version \
               AND s.generation = c.active_generation \
             WHERE v.document_ref = ?1 ORDER BY v.version DESC",
        )
        .map_err(sql_fault)?;
    let mut found = statement.query([number]).map_err(sql_fault)?;
    let mut records = Vec::new();
    while let Some(row) = found.next().map_err(sql_fault)? {
        records.push(read_history_entry(row)?);
    }
    Ok(records)
}

pub(super) fn read_counts(
    connection: &Connection,
    collection: &CollectionKey,
) -> Result<VersionCounts, Fault> {
    let mut counts = VersionCounts::default();
    let Some(number) = find_collection_ref(connection, collection)? else {
        return Ok(counts);
    };
    let mut statement = connection
        .prepare_cached(
            "SELECT v.state, v.deletes, COUNT(*) FROM documents d \
             JOIN versions v ON v.document_ref = d.document_ref WHERE d.collection_ref = ?1 GROUP BY v.state, v.deletes",
        )
        .map_err(sql_fault)?;
    let mut found = statement.query(params![number]).map_err(sql_fault)?;
    while let Some(row) = found.next().map_err(sql_fault)? {
        let deletes: bool = rows::read_column(row, 1)?;
        let count: u64 = rows::read_column(row, 2)?;
        count_versions(&mut counts, read_state(row, 0)?, deletes, count);
    }
    Ok(counts)
}
