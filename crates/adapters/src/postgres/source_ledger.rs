//! Sources, and the items that their runs saw.
//!
//! A report and a run lock the row of their source, so reports of one source are serial and no batch can
//! deadlock with another.

use async_trait::async_trait;
use futures::FutureExt;
use sqlx::postgres::PgBindIterExt;
use sqlx::{PgConnection, query, query_scalar};

use super::rows::{batch_slot, read_column, sql_bigint, sql_version};
use super::{PostgresError, PostgresLedger};
use crate::ledger_rows::{read_source_document, read_source_record, require_valid};
use crate::ledger_rules::unknown_collection;
use contexture_core::domain::ids::{CollectionKey, DocumentId};
use contexture_core::domain::source::{SourceFingerprint, SourceName};
use contexture_core::fault::Fault;
use contexture_core::ports::source_ledger::{SourceDocument, SourceLedger, SourceRecord, SourceSighting};

/// What names a source.
type SourceKey<'a> = (&'a CollectionKey, &'a SourceName);

#[async_trait]
impl SourceLedger for PostgresLedger {
    async fn begin_source_run(&self, collection: &CollectionKey, source: &SourceName) -> Result<u64, Fault> {
        let now_ms = self.now_ms();
        self.database()
            .write("begin source run", (collection, source, now_ms), |(collection, source, now_ms), db| {
                begin_run(db, (collection, source), *now_ms).boxed()
            })
            .await
    }

    async fn report_sightings(
        &self,
        collection: &CollectionKey,
        source: &SourceName,
        run: u64,
        sightings: Vec<SourceSighting>,
    ) -> Result<(), Fault> {
        self.database()
            .write(
                "report sightings",
                (collection, source, run, sightings),
                |(collection, source, run, sightings), db| {
                    report_sightings(db, (collection, source), *run, sightings).boxed()
                },
            )
            .await
    }

    async fn report_unchanged(
        &self,
        collection: &CollectionKey,
        source: &SourceName,
        run: u64,
        documents: Vec<DocumentId>,
    ) -> Result<(), Fault> {
        self.database()
            .write(
                "report unchanged",
                (collection, source, run, documents),
                |(collection, source, run, documents), db| {
                    let sql = "UPDATE source_documents SET run = GREATEST(run, $2) \
                               WHERE source_ref = $1 AND document_id = ANY ($3)";
                    for_documents(db, sql, (collection, source), *run, documents).boxed()
                },
            )
            .await
    }

    async fn source_documents(
        &self,
        collection: &CollectionKey,
        source: &SourceName,
        after: Option<&DocumentId>,
        limit: usize,
    ) -> Result<Vec<SourceDocument>, Fault> {
        self.database()
            .run(
                "source documents",
                (collection, source, after, limit),
                |(collection, source, after, limit), db| {
                    read_documents(db, (collection, source), *after, *limit).boxed()
                },
            )
            .await
    }

    async fn forget_source_documents(
        &self,
        collection: &CollectionKey,
        source: &SourceName,
        run: u64,
        documents: Vec<DocumentId>,
    ) -> Result<(), Fault> {
        self.database()
            .write(
                "forget source documents",
                (collection, source, run, documents),
                |(collection, source, run, documents), db| {
                    let sql = "DELETE FROM source_documents \
                               WHERE source_ref = $1 AND run < $2 AND document_id = ANY ($3)";
                    for_documents(db, sql, (collection, source), *run, documents).boxed()
                },
            )
            .await
    }

    async fn finish_source_run(
        &self,
        collection: &CollectionKey,
        source: &SourceName,
        run: u64,
    ) -> Result<(), Fault> {
        let now_ms = self.now_ms();
        self.database()
            .write(
                "finish source run",
                (collection, source, run, now_ms),
                |(collection, source, run, now_ms), db| {
                    finish_run(db, (collection, source), *run, *now_ms).boxed()
                },
            )
            .await
    }

    async fn sources(&self, collection: &CollectionKey) -> Result<Vec<SourceRecord>, Fault> {
        self.database()
            .run("sources", collection, |collection, db| read_sources(db, collection).boxed())
            .await
    }

    async fn sources_of(
        &self,
        collection: &CollectionKey,
        documents: &[DocumentId],
    ) -> Result<Vec<Option<SourceName>>, Fault> {
        self.database()
            .run("sources of documents", (collection, documents), |(collection, documents), db| {
                read_sources_of(db, collection, documents).boxed()
            })
            .await
    }

    async fn forget_source(&self, collection: &CollectionKey, source: &SourceName) -> Result<bool, Fault> {
        self.database()
            .write("forget source", (collection, source), |(collection, source), db| {
                forget_source(db, (collection, source)).boxed()
            })
            .await
    }
}

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

async fn begin_run(
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

async fn report_sightings(
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
async fn for_documents(
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

async fn finish_run(
    connection: &mut PgConnection,
    source: SourceKey<'_>,
    run: u64,
    now_ms: u64,
) -> Result<(), PostgresError> {
    let Some(source_ref) = lock_source(connection, source).await? else { return Ok(()) };
    query(
        "UPDATE sources SET finished_run = GREATEST(finished_run, $2), finished_ms = $3 WHERE source_ref = $1",
    )
    .bind(source_ref)
    .bind(sql_bigint(run))
    .bind(sql_bigint(now_ms))
    .execute(connection)
    .await?;
    Ok(())
}

async fn read_documents(
    connection: &mut PgConnection,
    (collection, source): SourceKey<'_>,
    after: Option<&DocumentId>,
    limit: usize,
) -> Result<Vec<SourceDocument>, PostgresError> {
    let found = query(
        // The page is cut by the key of source_documents, before anything else is read.
        "SELECT i.run, i.fingerprint, i.document_id, i.version, v.version, v.state, v.deletes, l.code, l.detail \
         FROM tenants t JOIN collections c ON c.tenant_ref = t.tenant_ref \
         JOIN sources s ON s.collection_ref = c.collection_ref \
         CROSS JOIN LATERAL (SELECT * FROM source_documents WHERE source_ref = s.source_ref \
           AND document_id > $4 ORDER BY document_id LIMIT $5) i \
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
    .fetch_all(connection)
    .await?;
    found.iter().map(read_source_document).collect()
}

async fn read_sources(
    connection: &mut PgConnection,
    collection: &CollectionKey,
) -> Result<Vec<SourceRecord>, PostgresError> {
    let found = query(
        "SELECT s.name, s.run, s.finished_run, \
         (SELECT COUNT(*) FROM source_documents i WHERE i.source_ref = s.source_ref), s.begun_ms, s.finished_ms \
         FROM tenants t JOIN collections c ON c.tenant_ref = t.tenant_ref \
         JOIN sources s ON s.collection_ref = c.collection_ref WHERE t.name = $1 AND c.name = $2 ORDER BY s.name",
    )
    .bind(collection.tenant.as_str())
    .bind(collection.collection.as_str())
    .fetch_all(connection)
    .await?;
    found.iter().map(read_source_record).collect()
}

async fn read_sources_of(
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

async fn forget_source(connection: &mut PgConnection, source: SourceKey<'_>) -> Result<bool, PostgresError> {
    let Some(source_ref) = lock_source(connection, source).await? else { return Ok(false) };
    query("DELETE FROM source_documents WHERE source_ref = $1")
        .bind(source_ref)
        .execute(&mut *connection)
        .await?;
    query("DELETE FROM sources WHERE source_ref = $1").bind(source_ref).execute(connection).await?;
    Ok(true)
}
