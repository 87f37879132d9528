//! Histories and counts, for people and the command line.

use sqlx::{PgConnection, query};

use super::PostgresError;
use super::rows::{self, read_column, read_u64};
use contexture_core::domain::ids::{CollectionKey, DocumentId};
use contexture_core::fault::FailureReason;
use contexture_core::ports::ledger::{VersionCounts, VersionRecord, VersionState};

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
    let record = |row| {
        let (code, detail): (Option<String>, Option<String>) = (read_column(row, 11)?, read_column(row, 12)?);
        let chunk_count: Option<i32> = read_column(row, 8)?;
        Ok(VersionRecord {
            key: rows::read_version_key(row)?,
            state: rows::read_state(row, 4)?,
            reason: code.zip(detail).map(|(code, detail)| FailureReason::new(code, detail)),
            deletes: read_column(row, 5)?,
            content_hash: rows::read_content_hash(row, 6)?,
            body_bytes: read_u64(row, 7)?,
            chunk_count: chunk_count.map(|_| rows::read_u32(row, 8)).transpose()?,
            accepted_ms: read_u64(row, 9)?,
            updated_ms: read_u64(row, 10)?,
        })
    };
    found.iter().map(record).collect()
}

pub(super) async fn read_counts(
    connection: &mut PgConnection,
    collection: &CollectionKey,
) -> Result<VersionCounts, PostgresError> {
    // This walks a whole collection, so the planner may choose sequential scans and merge joins.
    query("SET LOCAL enable_seqscan = on").execute(&mut *connection).await?;
    query("SET LOCAL enable_mergejoin = on").execute(&mut *connection).await?;
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
        let (deletes, count): (bool, u64) = (read_column(row, 1)?, read_u64(row, 2)?);
        counts.accepted += count;
        match rows::read_state(row, 0)? {
            VersionState::Accepted | VersionState::Chunked | VersionState::Embedded => {
                counts.in_flight += count;
            }
            VersionState::Visible => {
                counts.visible += count;
                // A visible tombstone is a version but not a document.
                counts.documents += if deletes { 0 } else { count };
            }
            VersionState::Superseded => counts.superseded += count,
            VersionState::Dead => counts.dead += count,
        }
    }
    Ok(counts)
}
