//! What the stages read and write between intake and the end.

use std::collections::BTreeMap;

use sqlx::postgres::PgBindIterExt;
use sqlx::{PgConnection, query};

use super::Trouble;
use super::generations::sql_generation;
use super::rows::{
    self, Number, bind_keys, bind_numbers, corrupt, get, known_keys, place, select_tasks, signed,
};
use crate::domain::chunk::ChunkSpan;
use crate::domain::ids::{Generation, VersionKey};
use crate::domain::task::{Stage, Task};
use crate::ports::ledger::StoredBody;

/// Locks the documents of these versions; the versions by numbers, without the unknown ones.
async fn lock(connection: &mut PgConnection, keys: &[VersionKey]) -> Result<Vec<Number>, Trouble> {
    Ok(rows::lock_documents(connection, keys.iter()).await?.into_iter().flatten().collect())
}

pub(super) async fn mark_published(
    connection: &mut PgConnection,
    keys: &[VersionKey],
) -> Result<(), Trouble> {
    let numbers = lock(connection, keys).await?;
    let sql = "UPDATE in_flight f SET published = true \
         FROM UNNEST($1::bigint[], $2::bigint[]) AS k (document_ref, version) \
         WHERE f.document_ref = k.document_ref AND f.version = k.version AND NOT f.published";
    bind_numbers(sql, numbers.iter()).execute(connection).await?;
    Ok(())
}

pub(super) async fn unpublished(connection: &mut PgConnection, limit: usize) -> Result<Vec<Task>, Trouble> {
    // What moved on was published, so nothing here has to be passed over, and the limit is first.
    let sql = select_tasks!(
        "(SELECT document_ref, version FROM in_flight WHERE NOT published \
           ORDER BY accepted_ms, document_ref, version LIMIT $1) f \
         JOIN versions v ON v.document_ref = f.document_ref AND v.version = f.version",
        "ORDER BY v.accepted_ms, v.document_ref, v.version"
    );
    let found = query(sql).bind(signed(limit as u64)).fetch_all(connection).await?;
    found.iter().map(|row| Ok(rows::task(row)?.0)).collect()
}

pub(super) async fn stuck(
    connection: &mut PgConnection,
    before_ms: u64,
    limit: usize,
) -> Result<Vec<(Stage, Task)>, Trouble> {
    let sql = select_tasks!(
        "in_flight f JOIN versions v ON v.document_ref = f.document_ref AND v.version = f.version",
        "WHERE v.state < 3 AND v.updated_ms < $1 ORDER BY v.updated_ms, v.document_ref, v.version LIMIT $2"
    );
    let found = query(sql).bind(signed(before_ms)).bind(signed(limit as u64)).fetch_all(connection).await?;
    let stuck = |row| {
        let (task, state) = rows::task(row)?;
        Ok((rows::waiting_stage(state, task.deletes), task))
    };
    found.iter().map(stuck).collect()
}

pub(super) async fn bodies(
    connection: &mut PgConnection,
    keys: &[VersionKey],
) -> Result<Vec<Option<StoredBody>>, Trouble> {
    let sql = known_keys!(
        "SELECT k.place, b.body, b.description, v.content_hash, v.state, \
         COALESCE((SELECT n.version FROM versions n WHERE n.document_ref = v.document_ref AND n.state = 3 \
           ORDER BY n.version DESC LIMIT 1) > v.version, false) \
         FROM keys k JOIN versions v ON v.document_ref = k.document_ref AND v.version = k.version \
         JOIN bodies b ON b.document_ref = v.document_ref AND b.version = v.version"
    );
    let mut bodies = vec![None; keys.len()];
    for row in bind_keys(sql, keys.iter()).fetch_all(connection).await? {
        *place(&mut bodies, &row)? = Some(StoredBody {
            body: get(&row, 1)?,
            description: rows::description(get(&row, 2)?)?,
            content_hash: rows::content_hash(&row, 3)?,
            state: rows::state(&row, 4)?,
            overtaken: get(&row, 5)?,
        });
    }
    Ok(bodies)
}

pub(super) async fn store_spans(
    connection: &mut PgConnection,
    generation: Generation,
    all: &[(VersionKey, Vec<ChunkSpan>)],
    now_ms: u64,
) -> Result<(), Trouble> {
    let numbers = rows::lock_documents(connection, all.iter().map(|(key, _)| key)).await?;
    // A row can be written once per statement: of one version's spans the last stay.
    let mut latest: BTreeMap<Number, (i32, Vec<u8>)> = BTreeMap::new();
    for ((_, spans), number) in all.iter().zip(numbers) {
        let Some(number) = number else { continue };
        let json = serde_json::to_vec(spans).map_err(|error| corrupt("spans", &error.to_string()))?;
        latest.insert(number, (i32::try_from(spans.len()).unwrap_or(i32::MAX), json));
    }
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
    bind_numbers(sql, latest.keys())
        .bind(latest.values().map(|(chunk_count, _)| *chunk_count).bind_iter())
        .bind(latest.values().map(|(_, json)| json.as_slice()).bind_iter())
        .bind(signed(now_ms))
        .bind(sql_generation(generation))
        .execute(connection)
        .await?;
    Ok(())
}

pub(super) async fn spans(
    connection: &mut PgConnection,
    generation: Generation,
    keys: &[VersionKey],
) -> Result<Vec<Option<Vec<ChunkSpan>>>, Trouble> {
    let sql = known_keys!(
        "SELECT k.place, s.spans FROM keys k JOIN spans s \
         ON s.document_ref = k.document_ref AND s.version = k.version AND s.generation = $5"
    );
    let mut all = vec![None; keys.len()];
    for row in bind_keys(sql, keys.iter()).bind(sql_generation(generation)).fetch_all(connection).await? {
        let spans = serde_json::from_slice(get(&row, 1)?);
        *place(&mut all, &row)? = Some(spans.map_err(|error| corrupt("spans", &error.to_string()))?);
    }
    Ok(all)
}

pub(super) async fn mark_embedded(
    connection: &mut PgConnection,
    keys: &[VersionKey],
    now_ms: u64,
) -> Result<(), Trouble> {
    let numbers = lock(connection, keys).await?;
    let sql = "WITH keys AS MATERIALIZED (SELECT * \
           FROM UNNEST($1::bigint[], $2::bigint[]) AS k (document_ref, version)), \
         sent AS (UPDATE in_flight f SET published = true FROM keys k \
           WHERE f.document_ref = k.document_ref AND f.version = k.version AND NOT f.published) \
         UPDATE versions v SET state = 2, updated_ms = $3 FROM keys k \
         WHERE v.document_ref = k.document_ref AND v.version = k.version AND v.state < 2";
    bind_numbers(sql, numbers.iter()).bind(signed(now_ms)).execute(connection).await?;
    Ok(())
}
