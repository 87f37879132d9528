//! The statements of sources.
//!
//! A report and a run lock the row of their source, so reports of one source are serial and no batch can
//! deadlock with another.

use sqlx::postgres::PgBindIterExt;
use sqlx::{PgConnection, query, query_scalar};

use super::PostgresError;
use super::rows::{batch_slot, read_column, sql_bigint, sql_version};
use super::version_queries::let_planner_scan;
use crate::ledger_rows::{read_source_document, read_source_record, require_valid};
use crate::ledger_rules::unknown_collection;
use contexture_core::domain::ids::{CollectionKey, DocumentId};
use contexture_core::domain::source::{SourceFingerprint, SourceName};
use contexture_core::ports::source_ledger::{SettledSource, SourceDocument, SourceRecord, SourceSighting};

/// What names a source.
type SourceKey<'a> = (&'a CollectionKey, &'a SourceName);

/// Finds a source and locks it until the transaction ends.
async fn lock_source(
    connection: &mut PgConnection,
    (collection, source): SourceKey<'_>,
) -> Result<Option<i64>, PostgresError> {
    Ok(query_scalar(
        "SELECT s.source_ref FROM tenants t JOIN collections c ON c.tenant_ref = t.tenant_ref \
         JOIN sources s ON s.collection_ref = c.collection_ref \
         WHERE t.name = $1 AND c.name = $2 AND s.name = $3 FOR UPDATE OF s",
    )
    .bind(collection.tenant.as_str())
    .bind(collection.collection.as_str())
    .bind(source.as_str())
    .fetch_optional(connection)
    .await?)
}

pub(super) async fn begin_run(
    connection: &mut PgConnection,
    (collection, source): SourceKey<'_>,
    now_ms: u64,
) -> Result<u64, PostgresError> {
    let run: Option<i64> = query_scalar(
        "INSERT INTO sources AS s (collection_ref, name, run, finished_run, begun_ms) \
         SELECT c.collection_ref, $3, 1, 0, $4 FROM tenants t \
         JOIN collections c ON c.tenant_ref = t.tenant_ref WHERE t.name = $1 AND c.name = $2 \
         ON CONFLICT (collection_ref, name) DO UPDATE SET run = s.run + 1, begun_ms = excluded.begun_ms \
         RETURNING run",
    )
    .bind(collection.tenant.as_str())
    .bind(collection.collection.as_str())
    .bind(source.as_str())
    .bind(sql_bigint(now_ms))
    .fetch_optional(connection)
    .await?;
    match run {
        Some(run) => Ok(u64::try_from(run).unwrap_or_default()),
        None => Err(unknown_collection(&collection.collection).into()),
    }
}

pub(super) async fn report_sightings(
    connection: &mut PgConnection,
    source: SourceKey<'_>,
    run: u64,
    sightings: &[SourceSighting],
) -> Result<(), PostgresError> {
    let Some(source_ref) = lock_source(connection, source).await? else { return Ok(()) };
    query(
        // One statement may touch a row once, so of a repeated document the last report counts.
        "INSERT INTO source_documents AS i (source_ref, document_id, run, fingerprint, version) \
         SELECT DISTINCT ON (k.document_id) $1, k.document_id, $2, k.fingerprint, k.version \
         FROM UNNEST($3::text[], $4::text[], $5::bigint[]) WITH ORDINALITY \
           AS k (document_id, fingerprint, version, place) ORDER BY k.document_id, k.place DESC \
         ON CONFLICT (source_ref, document_id) DO UPDATE SET run = GREATEST(i.run, excluded.run), \
           fingerprint = excluded.fingerprint, version = excluded.version",
    )
    .bind(source_ref)
    .bind(sql_bigint(run))
    .bind(sightings.iter().map(|sighting| sighting.document_id.as_str()).bind_iter())
    .bind(sightings.iter().map(|one| one.fingerprint.as_ref().map(SourceFingerprint::as_str)).bind_iter())
    .bind(sightings.iter().map(|sighting| sighting.version.map(sql_version)).bind_iter())
    .execute(connection)
    .await?;
    Ok(())
}

/// Runs a statement with the source, the run and the documents.
pub(super) async fn for_documents(
    connection: &mut PgConnection,
    sql: &'static str,
    source: SourceKey<'_>,
    run: u64,
    documents: &[DocumentId],
) -> Result<(), PostgresError> {
    let Some(source_ref) = lock_source(connection, source).await? else { return Ok(()) };
    query(sql)
        .bind(source_ref)
        .bind(sql_bigint(run))
        .bind(documents.iter().map(DocumentId::as_str).bind_iter())
        .execute(connection)
        .await?;
    Ok(())
}

pub(super) async fn finish_run(
    connection: &mut PgConnection,
    source: SourceKey<'_>,
    run: u64,
    settled: Option<&SettledSource>,
    now_ms: u64,
) -> Result<(), PostgresError> {
    let Some(source_ref) = lock_source(connection, source).await? else { return Ok(()) };
    query(
        "UPDATE sources SET finished_run = GREATEST(finished_run, $2), finished_ms = $3, \
         settled_fingerprint = $4, settled_accepted = $5 WHERE source_ref = $1",
    )
    .bind(source_ref)
    .bind(sql_bigint(run))
    .bind(sql_bigint(now_ms))
    .bind(settled.map(|settled| settled.fingerprint.as_str()))
    .bind(settled.map(|settled| sql_bigint(settled.accepted)))
    .execute(connection)
    .await?;
    Ok(())
}

/// Items that have no fingerprint, or whose document has another newest version, a deletion, or one that is not
/// visible.
pub(super) async fn count_unsettled(
    connection: &mut PgConnection,
    (collection, source): SourceKey<'_>,
) -> Result<u64, PostgresError> {
    let_planner_scan(connection).await?;
    let counted: i64 = query_scalar(
        "SELECT COUNT(*) FROM tenants t JOIN collections c ON c.tenant_ref = t.tenant_ref \
         JOIN sources s ON s.collection_ref = c.collection_ref \
         JOIN source_documents i ON i.source_ref = s.source_ref \
         LEFT JOIN documents d ON d.collection_ref = c.collection_ref AND d.document_id = i.document_id \
         LEFT JOIN versions v ON v.document_ref = d.document_ref AND v.version = d.latest_version \
         WHERE t.name = $1 AND c.name = $2 AND s.name = $3 AND NOT COALESCE(i.fingerprint IS NOT NULL \
           AND v.version = i.version AND NOT v.deletes AND v.state = 3, false)",
    )
    .bind(collection.tenant.as_str())
    .bind(collection.collection.as_str())
    .bind(source.as_str())
    .fetch_one(connection)
    .await?;
    Ok(u64::try_from(counted).unwrap_or_default())
}

pub(super) async fn read_documents(
    connection: &mut PgConnection,
    (collection, source): SourceKey<'_>,
    before_run: u64,
    after: Option<&DocumentId>,
    limit: usize,
) -> Result<Vec<SourceDocument>, PostgresError> {
    let found = query(
        // The page is cut by the key of source_documents, before anything else is read.
        "SELECT i.run, i.fingerprint, i.document_id, i.version, v.version, v.state, v.deletes, l.code, l.detail \
         FROM tenants t JOIN collections c ON c.tenant_ref = t.tenant_ref \
         JOIN sources s ON s.collection_ref = c.collection_ref \
         CROSS JOIN LATERAL (SELECT * FROM source_documents WHERE source_ref = s.source_ref \
           AND document_id > $4 AND run < $6 ORDER BY document_id LIMIT $5) i \
         LEFT JOIN LATERAL (SELECT document_ref, latest_version FROM documents \
           WHERE collection_ref = c.collection_ref AND document_id = i.document_id LIMIT 1) d ON true \
         LEFT JOIN LATERAL (SELECT document_ref, version, state, deletes FROM versions \
           WHERE document_ref = d.document_ref AND version = d.latest_version LIMIT 1) v ON true \
         LEFT JOIN LATERAL (SELECT code, detail FROM dead_letters WHERE document_ref = v.document_ref \
           AND version = v.version LIMIT 1) l ON true \
         WHERE t.name = $1 AND c.name = $2 AND s.name = $3 ORDER BY i.document_id",
    )
    .bind(collection.tenant.as_str())
    .bind(collection.collection.as_str())
    .bind(source.as_str())
    .bind(after.map_or("", DocumentId::as_str))
    .bind(sql_bigint(limit as u64))
    .bind(sql_bigint(before_run))
    .fetch_all(connection)
    .await?;
    found.iter().map(read_source_document).collect()
}

pub(super) async fn read_sources(
    connection: &mut PgConnection,
    collection: &CollectionKey,
) -> Result<Vec<SourceRecord>, PostgresError> {
    let found = query(
        "SELECT s.name, s.run, s.finished_run, \
         (SELECT COUNT(*) FROM source_documents i WHERE i.source_ref = s.source_ref), s.begun_ms, s.finished_ms, \
         s.settled_fingerprint, s.settled_accepted FROM tenants t JOIN collections c ON c.tenant_ref = t.tenant_ref \
         JOIN sources s ON s.collection_ref = c.collection_ref WHERE t.name = $1 AND c.name = $2 ORDER BY s.name",
    )
    .bind(collection.tenant.as_str())
    .bind(collection.collection.as_str())
    .fetch_all(connection)
    .await?;
    found.iter().map(read_source_record).collect()
}

pub(super) async fn read_sources_of(
    connection: &mut PgConnection,
    collection: &CollectionKey,
    documents: &[DocumentId],
) -> Result<Vec<Option<SourceName>>, PostgresError> {
    let found = query(
        "SELECT k.place, MIN(s.name) FROM tenants t JOIN collections c ON c.tenant_ref = t.tenant_ref \
         JOIN sources s ON s.collection_ref = c.collection_ref \
         CROSS JOIN UNNEST($3::text[]) WITH ORDINALITY AS k (document_id, place) \
         CROSS JOIN LATERAL (SELECT 1 FROM source_documents WHERE source_ref = s.source_ref \
           AND document_id = k.document_id LIMIT 1) i \
         WHERE t.name = $1 AND c.name = $2 GROUP BY k.place",
    )
    .bind(collection.tenant.as_str())
    .bind(collection.collection.as_str())
    .bind(documents.iter().map(DocumentId::as_str).bind_iter())
    .fetch_all(connection)
    .await?;
    let mut names = vec![None; documents.len()];
    for row in &found {
        *batch_slot(&mut names, row)? = Some(require_valid(SourceName::new(read_column(row, 1)?))?);
    }
    Ok(names)
}

pub(super) async fn forget_source(
    connection: &mut PgConnection,
    source: SourceKey<'_>,
) -> Result<bool, PostgresError> {
    let Some(source_ref) = lock_source(connection, source).await? else { return Ok(false) };
    query("DELETE FROM source_documents WHERE source_ref = $1")
        .bind(source_ref)
        .execute(&mut *connection)
        .await?;
    query("DELETE FROM sources WHERE source_ref = $1").bind(source_ref).execute(connection).await?;
    Ok(true)
}
