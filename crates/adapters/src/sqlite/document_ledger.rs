//! Lists of documents, and what was said about them.

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, params};

use super::rows::{DocumentRefLookup, find_collection_ref, sql_bigint, sql_version};
use super::{SqliteLedger, sql_fault};
use crate::ledger_rows::{parse_description, read_described_version};
use crate::ledger_rules::group_by_document;
use contexture_core::domain::document::DocumentDescription;
use contexture_core::domain::ids::{CollectionKey, VersionKey};
use contexture_core::fault::Fault;
use contexture_core::ports::document_ledger::{DocumentLedger, DocumentPage, DocumentRecord};

#[async_trait]
impl DocumentLedger for SqliteLedger {
    async fn documents(
        &self,
        collection: &CollectionKey,
        page: &DocumentPage,
    ) -> Result<Vec<DocumentRecord>, Fault> {
        let (collection, page) = (collection.clone(), page.clone());
        self.database().read("documents", move |db| read_documents(db, &collection, &page)).await
    }

    async fn descriptions(&self, keys: &[VersionKey]) -> Result<Vec<Option<DocumentDescription>>, Fault> {
        let keys = keys.to_vec();
        self.database().read("descriptions", move |db| read_descriptions(db, &keys)).await
    }
}

fn read_documents(
    connection: &Connection,
    collection: &CollectionKey,
    page: &DocumentPage,
) -> Result<Vec<DocumentRecord>, Fault> {
    let Some(number) = find_collection_ref(connection, collection)? else { return Ok(Vec::new()) };
    let mut statement = connection
        .prepare_cached(
            // The page is cut by the index on (collection_ref, document_id), before any version is read.
            // CROSS JOIN keeps SQLite from beginning with another table.
            "SELECT t.name, c.name, d.document_id, v.version, v.state, v.deletes, v.content_hash, v.body_bytes, \
             s.chunk_count, v.accepted_ms, v.updated_ms, l.code, l.detail, \
             CASE WHEN EXISTS (SELECT 1 FROM bodies b WHERE b.document_ref = v.document_ref \
               AND b.version = v.version) THEN v.description END \
             FROM (SELECT document_ref, collection_ref, document_id, latest_version FROM documents \
               WHERE collection_ref = ?1 AND document_id >= ?2 AND document_id < ?3 \
               ORDER BY document_id LIMIT ?4) d \
             CROSS JOIN versions v ON v.document_ref = d.document_ref \
               AND (v.version = d.latest_version OR v.state = 3) \
             JOIN collections c ON c.collection_ref = d.collection_ref JOIN tenants t ON t.tenant_ref = c.tenant_ref \
             LEFT JOIN spans s ON s.document_ref = v.document_ref AND s.version = v.version \
               AND s.generation = c.active_generation \
             LEFT JOIN dead_letters l ON l.document_ref = v.document_ref AND l.version = v.version \
             ORDER BY d.document_id, v.version DESC",
        )
        .map_err(sql_fault)?;
    let (from, to) = page.id_bounds();
    let bounds = params![number, from, to, sql_bigint(page.limit as u64)];
    let mut found = statement.query(bounds).map_err(sql_fault)?;
    let mut versions = Vec::new();
    while let Some(row) = found.next().map_err(sql_fault)? {
        versions.push(read_described_version(row)?);
    }
    Ok(group_by_document(versions))
}

fn read_descriptions(
    connection: &Connection,
    keys: &[VersionKey],
) -> Result<Vec<Option<DocumentDescription>>, Fault> {
    let mut documents = DocumentRefLookup::new(connection);
    let read = |key: &VersionKey| {
        let Some(document_ref) = documents.document_ref(key)? else { return Ok(None) };
        let json: Option<String> = connection
            .prepare_cached(
                "SELECT description FROM versions v WHERE document_ref = ?1 AND version = ?2 AND EXISTS \
                 (SELECT 1 FROM bodies b WHERE b.document_ref = v.document_ref AND b.version = v.version)",
            )
            .and_then(|mut found| {
                found.query_row(params![document_ref, sql_version(key.version)], |row| row.get(0)).optional()
            })
            .map_err(sql_fault)?;
        json.map(|json| parse_description(&json)).transpose()
    };
    keys.iter().map(read).collect()
}
