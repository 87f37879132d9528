//! What the ledger knows of documents whose stores are being looked at.

use async_trait::async_trait;
use futures::FutureExt;
use sqlx::postgres::PgBindIterExt;
use sqlx::{PgConnection, query};

use super::rows::{self, get, unsigned};
use super::{PostgresLedger, Trouble};
use crate::domain::ids::{CollectionKey, DocumentId, Generation};
use crate::fault::Fault;
use crate::ports::ledger::VersionRecord;
use crate::ports::standing::{LogExtent, Standings};

#[async_trait]
impl Standings for PostgresLedger {
    async fn standings(
        &self,
        collection: &CollectionKey,
        generation: Generation,
        documents: &[DocumentId],
    ) -> Result<Vec<Vec<VersionRecord>>, Fault> {
        if documents.is_empty() {
            return Ok(Vec::new());
        }
        self.database()
            .run((collection, generation, documents), |(collection, generation, documents), db| {
                standings(db, collection, *generation, documents).boxed()
            })
            .await
    }

    async fn log_extent(&self, collection: &CollectionKey) -> Result<LogExtent, Fault> {
        self.database().run(collection, |collection, db| log_extent(db, collection).boxed()).await
    }
}

async fn standings(
    connection: &mut PgConnection,
    collection: &CollectionKey,
    generation: Generation,
    documents: &[DocumentId],
) -> Result<Vec<Vec<VersionRecord>>, Trouble> {
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
    let mut standings = vec![Vec::new(); documents.len()];
    for row in &found {
        let place = usize::try_from(unsigned(row, 11)?).unwrap_or(usize::MAX);
        let standing = place.checked_sub(1).and_then(|place| standings.get_mut(place));
        let standing = standing.ok_or_else(|| rows::corrupt("place", "not of this batch"))?;
        let chunk_count: Option<i32> = get(row, 8)?;
        standing.push(VersionRecord {
            key: rows::version_key(row)?,
            state: rows::state(row, 4)?,
            reason: None,
            deletes: get(row, 5)?,
            content_hash: rows::content_hash(row, 6)?,
            body_bytes: unsigned(row, 7)?,
            chunk_count: chunk_count.map(|_| rows::number(row, 8)).transpose()?,
            accepted_ms: unsigned(row, 9)?,
            updated_ms: unsigned(row, 10)?,
        });
    }
    Ok(standings)
}

async fn log_extent(connection: &mut PgConnection, collection: &CollectionKey) -> Result<LogExtent, Trouble> {
    let found = query(
        "SELECT (SELECT COUNT(*) FROM documents d WHERE d.collection_ref = c.collection_ref \
           AND d.log_position IS NOT NULL), c.log_position \
         FROM tenants t JOIN collections c ON c.tenant_ref = t.tenant_ref WHERE t.name = $1 AND c.name = $2",
    )
    .bind(collection.tenant.as_str())
    .bind(collection.collection.as_str())
    .fetch_optional(connection)
    .await?;
    let extent = |row| Ok(LogExtent { documents: unsigned(row, 0)?, end: unsigned(row, 1)? });
    found.as_ref().map_or(Ok(LogExtent::default()), extent)
}
