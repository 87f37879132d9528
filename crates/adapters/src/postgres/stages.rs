//! What the stages read and write between intake and the outcome.

use std::collections::BTreeMap;

use sqlx::postgres::PgBindIterExt;
use sqlx::{PgConnection, query};

use super::PostgresError;
use super::rows::{
    self, VersionRef, batch_slot, bind_version_keys, bind_version_refs, known_keys, read_column,
    select_tasks, sql_bigint, sql_integer,
};
use crate::ledger_rows;
use crate::ledger_rules::waiting_stage;
use contexture_core::domain::chunk::ChunkSpan;
use contexture_core::domain::ids::{GenerationNumber, VersionKey};
use contexture_core::domain::task::{IngestStage, IngestTask};
use contexture_core::ports::ledger::StoredBody;

/// Locks the documents of these versions; returns the versions by numbers, without the unknown ones.
async fn lock_known_versions(
    connection: &mut PgConnection,
    keys: &[VersionKey],
) -> Result<Vec<VersionRef>, PostgresError> {
    Ok(rows::lock_documents(connection, keys.iter()).await?.into_iter().flatten().collect())
}

pub(super) async fn mark_published(
    connection: &mut PgConnection,
    keys: &[VersionKey],
) -> Result<(), PostgresError> {
    let numbers = lock_known_versions(connection, keys).await?;
    let sql = "UPDATE in_flight f SET published = true \
         FROM UNNEST($1::bigint[], $2::bigint[]) AS k (document_ref, version) \
         WHERE f.document_ref = k.document_ref AND f.version = k.version AND NOT f.published";
    bind_version_refs(sql, numbers.iter()).execute(connection).await?;
    Ok(())
}

pub(super) async fn read_unpublished_tasks(
    connection: &mut PgConnection,
    limit: usize,
) -> Result<Vec<IngestTask>, PostgresError> {
    // A version that moved on was published, so no row here has to be skipped and the limit can come
    // first.
    let sql = select_tasks!(
        "(SELECT document_ref, version FROM in_flight WHERE NOT published \
           ORDER BY accepted_ms, document_ref, version LIMIT $1) f \
         JOIN versions v ON v.document_ref = f.document_ref AND v.version = f.version",
        "ORDER BY v.accepted_ms, v.document_ref, v.version"
    );
    let found = query(sql).bind(sql_bigint(limit as u64)).fetch_all(connection).await?;
    found.iter().map(|row| Ok(ledger_rows::read_task(row)?.0)).collect()
}

pub(super) async fn read_stuck_tasks(
    connection: &mut PgConnection,
    before_ms: u64,
    limit: usize,
) -> Result<Vec<(IngestStage, IngestTask)>, PostgresError> {
    let sql = select_tasks!(
        "in_flight f JOIN versions v ON v.document_ref = f.document_ref AND v.version = f.version",
        "WHERE v.state < 3 AND v.updated_ms < $1 ORDER BY v.updated_ms, v.document_ref, v.version LIMIT $2"
    );
    let found =
        query(sql).bind(sql_bigint(before_ms)).bind(sql_bigint(limit as u64)).fetch_all(connection).await?;
    let stuck = |row| {
        let (task, state) = ledger_rows::read_task(row)?;
        Ok((waiting_stage(state, task.deletes), task))
    };
    found.iter().map(stuck).collect()
}

pub(super) async fn read_bodies(
    connection: &mut PgConnection,
    keys: &[VersionKey],
) -> Result<Vec<Option<StoredBody>>, PostgresError> {
    let sql = known_keys!(
        "SELECT k.place, b.body, b.description, v.content_hash, v.state, \
         COALESCE((SELECT n.version FROM versions n WHERE n.document_ref = v.document_ref AND n.state = 3 \
           ORDER BY n.version DESC LIMIT 1) > v.version, false), t.format, t.body \
         FROM keys k JOIN versions v ON v.document_ref = k.document_ref AND v.version = k.version \
         JOIN bodies b ON b.document_ref = v.document_ref AND b.version = v.version \
         LEFT JOIN conversions t ON t.document_ref = v.document_ref AND t.version = v.version"
    );
    let mut bodies = vec![None; keys.len()];
    for row in bind_version_keys(sql, keys.iter()).fetch_all(connection).await? {
        *batch_slot(&mut bodies, &row)? = Some(StoredBody {
            body: read_column(&row, 1)?,
            description: ledger_rows::parse_description(read_column(&row, 2)?)?,
            content_hash: ledger_rows::read_content_hash(&row, 3)?,
            state: ledger_rows::read_state(&row, 4)?,
            overtaken: read_column(&row, 5)?,
            converted: match read_column::<Option<&str>>(&row, 6)? {
                Some(format) => Some(ledger_rows::converted_text(format, read_column(&row, 7)?)?),
                None => None,
            },
        });
    }
    Ok(bodies)
}

pub(super) async fn store_spans(
    connection: &mut PgConnection,
    generation: GenerationNumber,
    all: &[(VersionKey, Vec<ChunkSpan>)],
    now_ms: u64,
) -> Result<(), PostgresError> {
    let numbers = rows::lock_documents(connection, all.iter().map(|(key, _)| key)).await?;
    // A statement may write a row once: of repeated versions the last spans win.
    let mut latest: BTreeMap<VersionRef, (i32, Vec<u8>)> = BTreeMap::new();
    for ((_, spans), number) in all.iter().zip(numbers) {
        let Some(number) = number else { continue };
        let json = ledger_rows::spans_to_json(spans)?;
        latest.insert(number, (i32::try_from(spans.len()).unwrap_or(i32::MAX), json));
    }
    // Whoever chunks a version has received its message, so the outbox entry is done as well.
    let sql = "WITH keys AS MATERIALIZED (SELECT * \
           FROM UNNEST($1::bigint[], $2::bigint[], $3::integer[], $4::bytea[]) \
             AS k (document_ref, version, chunk_count, spans)), \
         stored AS (INSERT INTO spans (document_ref, version, generation, chunk_count, spans) \
           SELECT k.document_ref, k.version, $6, k.chunk_count, k.spans FROM keys k \
           JOIN versions v ON v.document_ref = k.document_ref AND v.version = k.version AND v.state < 3 \
           ON CONFLICT (document_ref, version, generation) \
           DO UPDATE SET chunk_count = excluded.chunk_count, spans = excluded.spans), \
         sent AS (UPDATE in_flight f SET published = true FROM keys k \
           WHERE f.document_ref = k.document_ref AND f.version = k.version AND NOT f.published) \
         UPDATE versions v SET state = 1, updated_ms = $5 FROM keys k \
         WHERE v.document_ref = k.document_ref AND v.version = k.version AND v.state < 1";
    bind_version_refs(sql, latest.keys())
        .bind(latest.values().map(|(chunk_count, _)| *chunk_count).bind_iter())
        .bind(latest.values().map(|(_, json)| json.as_slice()).bind_iter())
        .bind(sql_bigint(now_ms))
        .bind(sql_integer(generation))
        .execute(connection)
        .await?;
    Ok(())
}

pub(super) async fn read_spans(
    connection: &mut PgConnection,
    generation: GenerationNumber,
    keys: &[VersionKey],
) -> Result<Vec<Option<Vec<ChunkSpan>>>, PostgresError> {
    let sql = known_keys!(
        "SELECT k.place, s.spans FROM keys k JOIN spans s \
         ON s.document_ref = k.document_ref AND s.version = k.version AND s.generation = $5"
    );
    let mut all = vec![None; keys.len()];
    for row in bind_version_keys(sql, keys.iter()).bind(sql_integer(generation)).fetch_all(connection).await?
    {
        *batch_slot(&mut all, &row)? = Some(ledger_rows::spans_from_json(read_column(&row, 1)?)?);
    }
    Ok(all)
}

pub(super) async fn mark_embedded(
    connection: &mut PgConnection,
    keys: &[VersionKey],
    now_ms: u64,
) -> Result<(), PostgresError> {
    let numbers = lock_known_versions(connection, keys).await?;
    let sql = "WITH keys AS MATERIALIZED (SELECT * \
           FROM UNNEST($1::bigint[], $2::bigint[]) AS k (document_ref, version)), \
         sent AS (UPDATE in_flight f SET published = true FROM keys k \
           WHERE f.document_ref = k.document_ref AND f.version = k.version AND NOT f.published) \
         UPDATE versions v SET state = 2, updated_ms = $3 FROM keys k \
         WHERE v.document_ref = k.document_ref AND v.version = k.version AND v.state < 2";
    bind_version_refs(sql, numbers.iter()).bind(sql_bigint(now_ms)).execute(connection).await?;
    Ok(())
}
