//! The log of visible versions. A document has one entry, at the position of its latest change.

use sqlx::postgres::PgBindIterExt;
use sqlx::{PgConnection, query};

use super::PostgresError;
use super::rows::sql_bigint;
use crate::ledger_rows::{self, LedgerRow};
use contexture_core::domain::ids::CollectionKey;
use contexture_core::ports::ledger::ChangeLogEntry;

/// Moves documents to the ends of their collections' logs, in this order.
pub(super) async fn append_documents(
    connection: &mut PgConnection,
    documents: &[i64],
) -> Result<(), PostgresError> {
    if documents.is_empty() {
        return Ok(());
    }
    // Updating the collection locks its row until the commit. So concurrent calls commit their positions in
    // order, and a reader that has seen one never misses a lower one.
    query(
        "WITH appeared AS MATERIALIZED (SELECT a.document_ref, d.collection_ref, \
             row_number() OVER (PARTITION BY d.collection_ref ORDER BY a.place) AS nth, \
             count(*) OVER (PARTITION BY d.collection_ref) AS added \
           FROM UNNEST($1::bigint[]) WITH ORDINALITY AS a (document_ref, place) \
           JOIN documents d ON d.document_ref = a.document_ref), \
         moved AS (UPDATE collections c SET log_position = c.log_position + a.added \
           FROM (SELECT DISTINCT collection_ref, added FROM appeared) a \
           WHERE c.collection_ref = a.collection_ref \
           RETURNING c.collection_ref, c.log_position - a.added AS before) \
         UPDATE documents d SET log_position = m.before + a.nth \
         FROM appeared a JOIN moved m ON m.collection_ref = a.collection_ref \
         WHERE d.document_ref = a.document_ref",
    )
    .bind(documents.iter().copied().bind_iter())
    .execute(connection)
    .await?;
    Ok(())
}

pub(super) async fn read_changes(
    connection: &mut PgConnection,
    collection: &CollectionKey,
    after: u64,
    limit: usize,
) -> Result<Vec<ChangeLogEntry>, PostgresError> {
    // The limit applies to documents first: the page is cut by the index on (collection_ref, log_position)
    // before any version is read. A document has at most one visible version.
    let found = query(
        "SELECT t.name, c.name, d.document_id, v.version, v.content_hash, v.deletes, v.accepted_ms, \
         c.active_generation, g.epoch, v.state, v.body_bytes, d.log_position \
         FROM tenants t JOIN collections c ON c.tenant_ref = t.tenant_ref \
         JOIN generations g ON g.collection_ref = c.collection_ref AND g.generation = c.active_generation \
         CROSS JOIN LATERAL (SELECT document_ref, document_id, log_position FROM documents \
           WHERE collection_ref = c.collection_ref AND log_position > $3 \
           ORDER BY log_position LIMIT $4) d \
         CROSS JOIN LATERAL (SELECT * FROM versions \
           WHERE document_ref = d.document_ref AND state = 3 LIMIT 1) v \
         WHERE t.name = $1 AND c.name = $2 ORDER BY d.log_position",
    )
    .bind(collection.tenant.as_str())
    .bind(collection.collection.as_str())
    .bind(sql_bigint(after))
    .bind(sql_bigint(limit as u64))
    .fetch_all(connection)
    .await?;
    found
        .iter()
        .map(|row| Ok(ChangeLogEntry { position: row.number(11)?, task: ledger_rows::read_task(row)?.0 }))
        .collect()
}
