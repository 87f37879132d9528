//! What the ledger knows of documents whose stores are being looked at.

use async_trait::async_trait;
use rusqlite::{Connection, params};

use super::rows::{self, collection_ref};
use super::{SqliteLedger, sql_fault};
use crate::domain::ids::{CollectionKey, ContentHash, DocumentId, Generation, Version, VersionKey};
use crate::fault::Fault;
use crate::ports::ledger::VersionRecord;
use crate::ports::standing::{LogExtent, Standings};

#[async_trait]
impl Standings for SqliteLedger {
    async fn standings(
        &self,
        collection: &CollectionKey,
        generation: Generation,
        documents: &[DocumentId],
    ) -> Result<Vec<Vec<VersionRecord>>, Fault> {
        let (collection, documents) = (collection.clone(), documents.to_vec());
        self.database().read(move |db| standings(db, &collection, generation, &documents)).await
    }

    async fn log_extent(&self, collection: &CollectionKey) -> Result<LogExtent, Fault> {
        let collection = collection.clone();
        self.database().read(move |db| log_extent(db, &collection)).await
    }
}

fn standings(
    connection: &Connection,
    collection: &CollectionKey,
    generation: Generation,
    documents: &[DocumentId],
) -> Result<Vec<Vec<VersionRecord>>, Fault> {
    let Some(number) = collection_ref(connection, collection)? else {
        return Ok(vec![Vec::new(); documents.len()]);
    };
    let of = |document_id| standing(connection, collection, number, generation, document_id);
    documents.iter().map(of).collect()
}

fn standing(
    connection: &Connection,
    collection: &CollectionKey,
    collection_ref: i64,
    generation: Generation,
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
        let hash = rows::get::<Vec<u8>>(row, 3)?;
        let CollectionKey { tenant, collection } = collection.clone();
        let version = rows::trusted(Version::new(rows::get(row, 0)?))?;
        records.push(VersionRecord {
            key: VersionKey { tenant, collection, document_id: document_id.clone(), version },
            state: rows::state(rows::get(row, 1)?)?,
            reason: None,
            deletes: rows::get(row, 2)?,
            content_hash: rows::fingerprint(&hash, ContentHash::from_slice, "versions.content_hash")?,
            body_bytes: rows::get(row, 4)?,
            chunk_count: rows::get(row, 5)?,
            accepted_ms: rows::get(row, 6)?,
            updated_ms: rows::get(row, 7)?,
        });
    }
    Ok(records)
}

fn log_extent(connection: &Connection, collection: &CollectionKey) -> Result<LogExtent, Fault> {
    let Some(number) = collection_ref(connection, collection)? else {
        return Ok(LogExtent::default());
    };
    connection
        .prepare_cached(
            "SELECT (SELECT COUNT(*) FROM documents d WHERE d.collection_ref = c.collection_ref \
               AND d.log_position IS NOT NULL), c.log_position FROM collections c WHERE c.collection_ref = ?1",
        )
        .and_then(|mut statement| {
            statement.query_row([number], |row| Ok(LogExtent { documents: row.get(0)?, end: row.get(1)? }))
        })
        .map_err(sql_fault)
}
