//! Lists of documents, and what was said about them.

use async_trait::async_trait;
use futures::FutureExt;
use sqlx::{PgConnection, query};

use super::rows::{batch_slot, bind_version_keys, known_keys, read_column, sql_bigint, sql_text};
use super::{PostgresError, PostgresLedger};
use crate::ledger_rows::{parse_description, read_described_version};
use crate::ledger_rules::group_by_document;
use contexture_core::domain::document::DocumentDescription;
use contexture_core::domain::ids::{CollectionKey, VersionKey};
use contexture_core::fault::Fault;
use contexture_core::ports::document_ledger::{DocumentLedger, DocumentPage, DocumentRecord};

#[async_trait]
impl DocumentLedger for PostgresLedger {
    async fn documents(
        &self,
        collection: &CollectionKey,
        page: &DocumentPage,
    ) -> Result<Vec<DocumentRecord>, Fault> {
        self.database()
            .run("documents", (collection, page), |(collection, page), db| {
                read_documents(db, collection, page).boxed()
            })
            .await
    }

    async fn descriptions(&self, keys: &[VersionKey]) -> Result<Vec<Option<DocumentDescription>>, Fault> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        self.database().run("descriptions", keys, |keys, db| read_descriptions(db, keys).boxed()).await
    }
}

async fn read_documents(
    connection: &mut PgConnection,
    collection: &CollectionKey,
    page: &DocumentPage,
) -> Result<Vec<DocumentRecord>, PostgresError> {
    let (from, to) = page.id_bounds();
    // The page is cut by the index on (collection_ref, document_id), before any version is read.
    let found = query(
        "SELECT t.name, c.name, d.document_id, v.version, v.state, v.deletes, v.content_hash, v.body_bytes, \
         s.chunk_count, v.accepted_ms, v.updated_ms, l.code, l.detail, b.description \
         FROM tenants t JOIN collections c ON c.tenant_ref = t.tenant_ref \
         CROSS JOIN LATERAL (SELECT document_ref, document_id, latest_version FROM documents \
           WHERE collection_ref = c.collection_ref AND document_id >= $3 AND document_id < $4 \
           ORDER BY document_id LIMIT $5) d \
         CROSS JOIN LATERAL (SELECT * FROM versions WHERE document_ref = d.document_ref \
           AND (version = d.latest_version OR state = 3) ORDER BY version DESC LIMIT 2) v \
         LEFT JOIN LATERAL (SELECT chunk_count FROM spans WHERE document_ref = v.document_ref \
           AND version = v.version AND generation = c.active_generation LIMIT 1) s ON true \
         LEFT JOIN LATERAL (SELECT code, detail FROM dead_letters WHERE document_ref = v.document_ref \
           AND version = v.version LIMIT 1) l ON true \
         LEFT JOIN LATERAL (SELECT description FROM bodies WHERE document_ref = v.document_ref \
           AND version = v.version LIMIT 1) b ON true \
         WHERE t.name = $1 AND c.name = $2 ORDER BY d.document_id, v.version DESC",
    )
    .bind(collection.tenant.as_str())
    .bind(collection.collection.as_str())
    .bind(sql_text(&from))
    .bind(sql_text(&to))
    .bind(sql_bigint(page.limit as u64))
    .fetch_all(connection)
    .await?;
    let versions = found.iter().map(read_described_version).collect::<Result<Vec<_>, _>>()?;
    Ok(group_by_document(versions))
}

async fn read_descriptions(
    connection: &mut PgConnection,
    keys: &[VersionKey],
) -> Result<Vec<Option<DocumentDescription>>, PostgresError> {
    let sql = known_keys!(
        "SELECT k.place, b.description FROM keys k \
         JOIN bodies b ON b.document_ref = k.document_ref AND b.version = k.version"
    );
    let mut descriptions = vec![None; keys.len()];
    for row in bind_version_keys(sql, keys.iter()).fetch_all(connection).await? {
        *batch_slot(&mut descriptions, &row)? = Some(parse_description(read_column(&row, 1)?)?);
    }
    Ok(descriptions)
}
