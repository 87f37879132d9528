//! Histories and counts, for people and the command line.

use sqlx::{PgConnection, query};

use super::PostgresError;
use crate::ledger_rows::{self, LedgerRow};
use crate::ledger_rules::count_versions;
use contexture_core::domain::ids::{CollectionKey, DocumentId};
use contexture_core::ports::ledger::{VersionCounts, VersionRecord};

pub(super) async fn read_history(
    connection: &mut PgConnection,
    collection: &CollectionKey,
    document_id: &DocumentId,
) -> Result<Vec<VersionRecord>, PostgresError> {
    let found = query(
        "SELECT t.name, c.name, d.document_id, v.version, v.state, v.deletes, v.content_hash, v.body_bytes, \
         s.chunk_count, v.accepted_ms, v.updated_ms, l.code, l.detail \
         FROM tenants t JOIN collections c ON c.tenant_ref = t.tenant_ref \
         JOIN documents d ON d.collection_ref = c.collection_ref \
         JOIN versions v ON v.document_ref = d.document_ref \
         LEFT JOIN spans s ON s.document_ref = v.document_ref AND s.version = v.version \
           AND s.generation = c.active_generation \
         LEFT JOIN dead_letters l ON l.document_ref = v.document_ref AND l.version = v.version \
         WHERE t.name = $1 AND c.name = $2 AND d.document_id = $3 ORDER BY v.version DESC",
    )
    .bind(collection.tenant.as_str())
    .bind(collection.collection.as_str())
    .bind(document_id.as_str())
    .fetch_all(connection)
    .await?;
    found.iter().map(ledger_rows::read_history_entry).collect()
}

/// For a statement that walks a whole collection: until the transaction ends, the planner may choose sequential scans
/// and merge joins.
pub(super) async fn let_planner_scan(connection: &mut PgConnection) -> Result<(), PostgresError> {
    query("SET LOCAL enable_seqscan = on").execute(&mut *connection).await?;
    query("SET LOCAL enable_mergejoin = on").execute(&mut *connection).await?;
    Ok(())
}

pub(super) async fn read_counts(
    connection: &mut PgConnection,
    collection: &CollectionKey,
) -> Result<VersionCounts, PostgresError> {
    let_planner_scan(connection).await?;
    let found = query(
        "SELECT v.state, v.deletes, COUNT(*) \
         FROM tenants t JOIN collections c ON c.tenant_ref = t.tenant_ref \
         JOIN documents d ON d.collection_ref = c.collection_ref \
         JOIN versions v ON v.document_ref = d.document_ref \
         WHERE t.name = $1 AND c.name = $2 GROUP BY v.state, v.deletes",
    )
    .bind(collection.tenant.as_str())
    .bind(collection.collection.as_str())
    .fetch_all(connection)
    .await?;
    let mut counts = VersionCounts::default();
    for row in &found {
        count_versions(&mut counts, ledger_rows::read_state(row, 0)?, row.flag(1)?, row.number(2)?);
    }
    Ok(counts)
}
