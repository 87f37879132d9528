//! What people and the command line ask the ledger.

use sqlx::{PgConnection, query};

use super::Trouble;
use super::rows::{self, get, unsigned};
use crate::domain::ids::{CollectionKey, DocumentId};
use crate::fault::Reason;
use crate::ports::ledger::{Counts, State, VersionRecord};

pub(super) async fn history(
    connection: &mut PgConnection,
    collection: &CollectionKey,
    document_id: &DocumentId,
) -> Result<Vec<VersionRecord>, Trouble> {
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
        let (code, detail): (Option<String>, Option<String>) = (get(row, 11)?, get(row, 12)?);
        let chunk_count: Option<i32> = get(row, 8)?;
        Ok(VersionRecord {
            key: rows::version_key(row)?,
            state: rows::state(row, 4)?,
            reason: code.zip(detail).map(|(code, detail)| Reason { code, detail }),
            deletes: get(row, 5)?,
            content_hash: rows::content_hash(row, 6)?,
            body_bytes: unsigned(row, 7)?,
            chunk_count: chunk_count.map(|_| rows::number(row, 8)).transpose()?,
            accepted_ms: unsigned(row, 9)?,
            updated_ms: unsigned(row, 10)?,
        })
    };
    found.iter().map(record).collect()
}

pub(super) async fn counts(
    connection: &mut PgConnection,
    collection: &CollectionKey,
) -> Result<Counts, Trouble> {
    // A whole collection is walked: the planner may choose how.
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
    let mut counts = Counts::default();
    for row in &found {
        let (deletes, count): (bool, u64) = (get(row, 1)?, unsigned(row, 2)?);
        counts.accepted += count;
        match rows::state(row, 0)? {
            State::Accepted | State::Chunked | State::Embedded => counts.in_flight += count,
            State::Visible => {
                counts.visible += count;
                counts.documents += if deletes { 0 } else { count };
            }
            State::Superseded => counts.superseded += count,
            State::Dead => counts.dead += count,
        }
    }
    Ok(counts)
}
