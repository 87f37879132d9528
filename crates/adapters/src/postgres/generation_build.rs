//! The queries of a builder: what a generation lacks, what was prepared and what failed.

use std::collections::BTreeSet;

use sqlx::postgres::PgBindIterExt;
use sqlx::{PgConnection, query};

use super::PostgresError;
use super::rows::{self, VersionRef, bind_version_refs, read_column, sql_bigint, sql_integer, sql_text};
use crate::ledger_rows::{self, LedgerRow};
use contexture_core::domain::chunk::ChunkSpan;
use contexture_core::domain::ids::{CollectionKey, GenerationNumber, VersionKey};
use contexture_core::fault::FailureReason;
use contexture_core::ports::generations::{GenerationBuildFailure, UnpreparedVersions};
use contexture_core::ports::ledger::ChangeLogEntry;

pub(super) async fn read_unprepared(
    connection: &mut PgConnection,
    key: &CollectionKey,
    generation: GenerationNumber,
    after: u64,
    limit: usize,
) -> Result<UnpreparedVersions, PostgresError> {
    // Two statements, two snapshots: the end is read first. A change that is committed in between has a
    // higher position, so the next call finds it.
    let home = query(
        "SELECT c.collection_ref, c.log_position, g.epoch FROM tenants t \
         JOIN collections c ON c.tenant_ref = t.tenant_ref \
         JOIN generations g ON g.collection_ref = c.collection_ref AND g.generation = $3 \
         WHERE t.name = $1 AND c.name = $2",
    )
    .bind(key.tenant.as_str())
    .bind(key.collection.as_str())
    .bind(sql_integer(generation))
    .fetch_optional(&mut *connection)
    .await?;
    let Some(home) = home else { return Ok(UnpreparedVersions { changes: Vec::new(), end: after }) };
    let (number, end): (i64, u64) = (read_column(&home, 0)?, home.number(1)?);
    let epoch = ledger_rows::read_epoch(&home, 2)?;
    let found = query(
        "SELECT t.name, c.name, d.document_id, v.version, v.content_hash, v.deletes, v.accepted_ms, \
         g.generation, g.epoch, v.state, v.body_bytes, d.log_position \
         FROM documents d JOIN collections c ON c.collection_ref = d.collection_ref \
         JOIN tenants t ON t.tenant_ref = c.tenant_ref \
         JOIN generations g ON g.collection_ref = c.collection_ref AND g.generation = $3 \
         CROSS JOIN LATERAL (SELECT * FROM versions \
           WHERE document_ref = d.document_ref AND state = 3 LIMIT 1) v \
         WHERE d.collection_ref = $1 AND d.log_position > $2 AND NOT v.deletes \
           AND NOT EXISTS (SELECT 1 FROM spans s WHERE s.document_ref = v.document_ref \
             AND s.version = v.version AND s.generation = $3) \
           AND NOT EXISTS (SELECT 1 FROM build_failures f WHERE f.collection_ref = d.collection_ref \
             AND f.generation = $3 AND f.document_ref = v.document_ref AND f.version = v.version) \
         ORDER BY d.log_position LIMIT $4",
    )
    .bind(number)
    .bind(sql_bigint(after))
    .bind(sql_integer(generation))
    .bind(sql_bigint(limit as u64))
    .fetch_all(connection)
    .await?;
    let mut changes = Vec::with_capacity(found.len());
    for row in &found {
        let mut task = ledger_rows::read_task(row)?.0;
        // The row has the generation already; the epoch comes from the same statement as the end.
        task.epoch = epoch;
        changes.push(ChangeLogEntry { position: row.number(11)?, task });
    }
    Ok(UnpreparedVersions { changes, end })
}

pub(super) async fn store_prepared(
    connection: &mut PgConnection,
    generation: GenerationNumber,
    all: &[(VersionKey, Vec<ChunkSpan>)],
) -> Result<Vec<bool>, PostgresError> {
    // Under the locks of the documents: what is visible stays visible until this is committed.
    let numbers = rows::lock_documents(connection, all.iter().map(|(key, _)| key)).await?;
    let mut wanted: Vec<(VersionRef, i32, Vec<u8>)> = Vec::with_capacity(all.len());
    for ((_, spans), number) in all.iter().zip(&numbers) {
        let Some(number) = number else { continue };
        let json = ledger_rows::spans_to_json(spans)?;
        wanted.push((*number, i32::try_from(spans.len()).unwrap_or(i32::MAX), json));
    }
    // ON CONFLICT DO UPDATE may touch a row once per statement, so each version appears once.
    wanted.sort_unstable_by_key(|(number, ..)| *number);
    wanted.dedup_by_key(|(number, ..)| *number);
    let sql = "WITH keys AS MATERIALIZED (SELECT * \
           FROM UNNEST($1::bigint[], $2::bigint[], $3::integer[], $4::bytea[]) \
             AS k (document_ref, version, chunk_count, spans)) \
         INSERT INTO spans (document_ref, version, generation, chunk_count, spans) \
         SELECT k.document_ref, k.version, $5, k.chunk_count, k.spans FROM keys k \
         JOIN versions v ON v.document_ref = k.document_ref AND v.version = k.version AND v.state = 3 \
         JOIN documents d ON d.document_ref = k.document_ref \
         JOIN generations g ON g.collection_ref = d.collection_ref AND g.generation = $5 \
           AND g.state <> 'dropped' \
         ON CONFLICT (document_ref, version, generation) \
         DO UPDATE SET chunk_count = excluded.chunk_count, spans = excluded.spans \
         RETURNING document_ref, version";
    let found = bind_version_refs(sql, wanted.iter().map(|(number, ..)| number))
        .bind(wanted.iter().map(|(_, chunk_count, _)| *chunk_count).bind_iter())
        .bind(wanted.iter().map(|(.., json)| json.as_slice()).bind_iter())
        .bind(sql_integer(generation))
        .fetch_all(connection)
        .await?;
    let mut stored = BTreeSet::new();
    for row in &found {
        stored.insert((read_column::<i64>(row, 0)?, read_column::<i64>(row, 1)?));
    }
    Ok(numbers.iter().map(|number| number.is_some_and(|number| stored.contains(&number))).collect())
}

pub(super) async fn store_failures(
    connection: &mut PgConnection,
    generation: GenerationNumber,
    failures: &[GenerationBuildFailure],
) -> Result<(), PostgresError> {
    let numbers = rows::lock_documents(connection, failures.iter().map(|failure| &failure.key)).await?;
    let known = failures.iter().zip(numbers);
    let mut known: Vec<(VersionRef, &FailureReason)> =
        known.filter_map(|(failure, number)| Some((number?, &failure.reason))).collect();
    // ON CONFLICT DO UPDATE may touch a row once per statement, so each version appears once.
    known.sort_unstable_by_key(|(number, _)| *number);
    known.dedup_by_key(|(number, _)| *number);
    let sql = "INSERT INTO build_failures (collection_ref, generation, document_ref, version, code, detail) \
         SELECT d.collection_ref, $5, k.document_ref, k.version, k.code, k.detail \
         FROM UNNEST($1::bigint[], $2::bigint[], $3::text[], $4::text[]) \
           AS k (document_ref, version, code, detail) \
         JOIN documents d ON d.document_ref = k.document_ref \
         ON CONFLICT (collection_ref, generation, document_ref, version) \
         DO UPDATE SET code = excluded.code, detail = excluded.detail";
    bind_version_refs(sql, known.iter().map(|(number, _)| number))
        .bind(known.iter().map(|(_, reason)| sql_text(&reason.code)).bind_iter())
        .bind(known.iter().map(|(_, reason)| sql_text(&reason.detail)).bind_iter())
        .bind(sql_integer(generation))
        .execute(connection)
        .await?;
    Ok(())
}

pub(super) async fn read_failures(
    connection: &mut PgConnection,
    key: &CollectionKey,
    generation: GenerationNumber,
    limit: usize,
) -> Result<Vec<GenerationBuildFailure>, PostgresError> {
    let found = query(
        "SELECT t.name, c.name, d.document_id, f.version, f.code, f.detail \
         FROM tenants t JOIN collections c ON c.tenant_ref = t.tenant_ref \
         JOIN build_failures f ON f.collection_ref = c.collection_ref AND f.generation = $3 \
         JOIN versions v ON v.document_ref = f.document_ref AND v.version = f.version AND v.state = 3 \
         JOIN documents d ON d.document_ref = f.document_ref \
         WHERE t.name = $1 AND c.name = $2 ORDER BY d.document_id LIMIT $4",
    )
    .bind(key.tenant.as_str())
    .bind(key.collection.as_str())
    .bind(sql_integer(generation))
    .bind(sql_bigint(limit as u64))
    .fetch_all(connection)
    .await?;
    found.iter().map(ledger_rows::read_build_failure).collect()
}

pub(super) async fn advance_cursor(
    connection: &mut PgConnection,
    key: &CollectionKey,
    generation: GenerationNumber,
    cursor: u64,
    prepared: u64,
) -> Result<(), PostgresError> {
    query(
        "UPDATE generations g SET cursor_position = GREATEST(g.cursor_position, $4), \
         prepared = g.prepared + $5 FROM collections c JOIN tenants t ON t.tenant_ref = c.tenant_ref \
         WHERE t.name = $1 AND c.name = $2 AND g.collection_ref = c.collection_ref AND g.generation = $3",
    )
    .bind(key.tenant.as_str())
    .bind(key.collection.as_str())
    .bind(sql_integer(generation))
    .bind(sql_bigint(cursor))
    .bind(sql_bigint(prepared))
    .execute(connection)
    .await?;
    Ok(())
}
