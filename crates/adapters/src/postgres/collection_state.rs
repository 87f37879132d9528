//! The port of audits and repairs: the versions that may have data in a store.

use async_trait::async_trait;
use futures::FutureExt;
use sqlx::postgres::{PgBindIterExt, PgRow};
use sqlx::{PgConnection, query};

use super::{PostgresError, PostgresLedger};
use crate::ledger_rows::{self, LedgerRow};
use contexture_core::domain::ids::{CollectionKey, DocumentId, GenerationNumber};
use contexture_core::fault::Fault;
use contexture_core::ports::ledger::VersionRecord;
use contexture_core::ports::ledger::{ChangeLogExtent, CollectionStateLedger};

#[async_trait]
impl CollectionStateLedger for PostgresLedger {
    async fn versions_in_stores(
        &self,
        collection: &CollectionKey,
        generation: GenerationNumber,
        documents: &[DocumentId],
    ) -> Result<Vec<Vec<VersionRecord>>, Fault> {
        if documents.is_empty() {
            return Ok(Vec::new());
        }
        self.database()
            .run(
                "versions in stores",
                (collection, generation, documents),
                |(collection, generation, documents), db| {
                    read_documents_versions(db, collection, *generation, documents).boxed()
                },
            )
            .await
    }

    async fn log_extent(&self, collection: &CollectionKey) -> Result<ChangeLogExtent, Fault> {
        self.database()
            .run("log extent", collection, |collection, db| read_log_extent(db, collection).boxed())
            .await
    }
}

async fn read_documents_versions(
    connection: &mut PgConnection,
    collection: &CollectionKey,
    generation: GenerationNumber,
    documents: &[DocumentId],
) -> Result<Vec<Vec<VersionRecord>>, PostgresError> {
    let sql = "WITH wanted AS MATERIALIZED (SELECT k.place, d.document_ref, d.document_id \
           FROM UNNEST($4::text[]) WITH ORDINALITY AS k (document_id, place) \
           CROSS JOIN LATERAL (SELECT c.collection_ref FROM tenants t \
             JOIN collections c ON c.tenant_ref = t.tenant_ref \
             WHERE t.name = $1 AND c.name = $2 LIMIT 1) c \
           CROSS JOIN LATERAL (SELECT document_ref, document_id FROM documents \
             WHERE collection_ref = c.collection_ref AND document_id = k.document_id LIMIT 1) d) \
         SELECT $1, $2, w.document_id, v.version, v.state, v.deletes, v.content_hash, v.body_bytes, \
         s.chunk_count, v.accepted_ms, v.updated_ms, w.place \
         FROM wanted w JOIN versions v ON v.document_ref = w.document_ref \
         LEFT JOIN LATERAL (SELECT chunk_count FROM spans WHERE document_ref = v.document_ref \
           AND version = v.version AND generation = $3 LIMIT 1) s ON true \
         WHERE v.state <= 3 OR EXISTS (SELECT 1 FROM unswept u \
           WHERE u.document_ref = v.document_ref AND u.version = v.version) \
         ORDER BY w.place, v.version";
    let found = query(sql)
        .bind(collection.tenant.as_str())
        .bind(collection.collection.as_str())
        .bind(i32::try_from(generation).unwrap_or(i32::MAX))
        .bind(documents.iter().map(DocumentId::as_str).bind_iter())
        .fetch_all(connection)
        .await?;
    let mut versions = vec![Vec::new(); documents.len()];
    for row in &found {
        // ORDINALITY counts from 1, in the order that was asked for.
        let place = usize::try_from(row.number(11)?).unwrap_or(usize::MAX);
        let slot = place.checked_sub(1).and_then(|place| versions.get_mut(place));
        let slot = slot.ok_or_else(|| ledger_rows::corrupt_ledger("place", "not of this batch"))?;
        slot.push(ledger_rows::read_version_record(row, None)?);
    }
    Ok(versions)
}

async fn read_log_extent(
    connection: &mut PgConnection,
    collection: &CollectionKey,
) -> Result<ChangeLogExtent, PostgresError> {
    let found = query(
        "SELECT (SELECT COUNT(*) FROM documents d WHERE d.collection_ref = c.collection_ref \
           AND d.log_position IS NOT NULL), c.log_position \
         FROM tenants t JOIN collections c ON c.tenant_ref = t.tenant_ref WHERE t.name = $1 AND c.name = $2",
    )
    .bind(collection.tenant.as_str())
    .bind(collection.collection.as_str())
    .fetch_optional(connection)
    .await?;
    let extent = |row: &PgRow| Ok(ChangeLogExtent { documents: row.number(0)?, end: row.number(1)? });
    found.as_ref().map_or(Ok(ChangeLogExtent::default()), extent)
}
