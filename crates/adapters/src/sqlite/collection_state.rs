//! The port of audits and repairs: the versions that may have data in a store.

use async_trait::async_trait;
use rusqlite::{Connection, params};

use super::rows::{self, find_collection_ref};
use super::{SqliteLedger, sql_fault};
use crate::ledger_rows;
use contexture_core::domain::ids::{CollectionKey, DocumentId, GenerationNumber, VersionKey};
use contexture_core::fault::Fault;
use contexture_core::ports::ledger::VersionRecord;
use contexture_core::ports::ledger::{ChangeLogExtent, CollectionStateLedger};

#[async_trait]
impl CollectionStateLedger for SqliteLedger {
    async fn versions_in_stores(
        &self,
        collection: &CollectionKey,
        generation: GenerationNumber,
        documents: &[DocumentId],
    ) -> Result<Vec<Vec<VersionRecord>>, Fault> {
        let (collection, documents) = (collection.clone(), documents.to_vec());
        self.database()
            .read("versions in stores", move |db| {
                read_documents_versions(db, &collection, generation, &documents)
            })
            .await
    }

    async fn log_extent(&self, collection: &CollectionKey) -> Result<ChangeLogExtent, Fault> {
        let collection = collection.clone();
        self.database().read("log extent", move |db| read_log_extent(db, &collection)).await
    }
}

fn read_documents_versions(
    connection: &Connection,
    collection: &CollectionKey,
    generation: GenerationNumber,
    documents: &[DocumentId],
) -> Result<Vec<Vec<VersionRecord>>, Fault> {
    let Some(number) = find_collection_ref(connection, collection)? else {
        return Ok(vec![Vec::new(); documents.len()]);
    };
    let of = |document_id| read_document_versions(connection, collection, number, generation, document_id);
    documents.iter().map(of).collect()
}

fn read_document_versions(
    connection: &Connection,
    collection: &CollectionKey,
    collection_ref: i64,
    generation: GenerationNumber,
    document_id: &DocumentId,
) -> Result<Vec<VersionRecord>, Fault> {
    let mut statement = connection
        .prepare_cached(
            "SELECT v.version, v.state, v.deletes, v.content_hash, v.body_bytes, s.chunk_count, v.accepted_ms, \
             v.updated_ms FROM documents d JOIN versions v ON v.document_ref = d.document_ref \
             LEFT JOIN spans s ON s.document_ref = v.document_ref AND s.version = v.version \
               AND s.generation = ?3 \
             WHERE d.collection_ref = ?1 AND d.document_id = ?2 AND (v.state <= 3 OR v.swept = 0) \
             ORDER BY v.version",
        )
        .map_err(sql_fault)?;
    let mut found =
        statement.query(params![collection_ref, document_id.as_str(), generation]).map_err(sql_fault)?;
    let mut records = Vec::new();
    while let Some(row) = found.next().map_err(sql_fault)? {
        let CollectionKey { tenant, collection } = collection.clone();
        let version = ledger_rows::read_version(row, 0)?;
        records.push(VersionRecord {
            key: VersionKey { tenant, collection, document_id: document_id.clone(), version },
            state: ledger_rows::read_state(row, 1)?,
            reason: None,
            deletes: rows::read_column(row, 2)?,
            content_hash: ledger_rows::read_content_hash(row, 3)?,
            body_bytes: rows::read_column(row, 4)?,
            chunk_count: rows::read_column(row, 5)?,
            accepted_ms: rows::read_column(row, 6)?,
            updated_ms: rows::read_column(row, 7)?,
        });
    }
    Ok(records)
}

fn read_log_extent(connection: &Connection, collection: &CollectionKey) -> Result<ChangeLogExtent, Fault> {
    let Some(number) = find_collection_ref(connection, collection)? else {
        return Ok(ChangeLogExtent::default());
    };
    connection
        .prepare_cached(
            "SELECT (SELECT COUNT(*) FROM documents d WHERE d.collection_ref = c.collection_ref \
               AND d.log_position IS NOT NULL), c.log_position FROM collections c WHERE c.collection_ref = ?1",
        )
        .and_then(|mut statement| {
            statement.query_row([number], |row| Ok(ChangeLogExtent { documents: row.get(0)?, end: row.get(1)? }))
        })
        .map_err(sql_fault)
}
