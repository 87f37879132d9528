//! The embedding cache: bounded in bytes, least recently used entries are evicted first.
//!
//! * A use is recorded at most once per period, so a read seldom writes.
//! * The total is kept in one row, which a call locks last. After that it waits for no other lock until
//!   its commit, so calls of all processes take turns there and cannot deadlock.
//! * One call evicts at most twice what it added plus [`EVICTED_ENTRIES_BASE`] entries, so no
//!   transaction is long.

use std::collections::HashMap;

use sqlx::postgres::PgBindIterExt;
use sqlx::{PgConnection, query, query_scalar};

use super::rows::{self, read_column, sql_bigint};
use super::{PostgresError, STATEMENT_BYTES_MAX};
use crate::ledger_rows;
use contexture_core::domain::ids::EmbeddingKey;
use contexture_core::ports::ledger::{
    EMBEDDING_CACHE_ENTRY_BYTES, EMBEDDING_CACHE_USE_PERIOD_MS, embedding_cache_cost,
};

/// Past the bound, eviction frees this fraction of it in addition.
const EVICTION_SLACK_DIVISOR: u64 = 16;
/// Entries that a call may evict in addition to twice what it added.
const EVICTED_ENTRIES_BASE: i64 = 1024;

/// The result of a look-up, and the keys whose use in this period is not recorded yet.
pub(super) struct PostgresCacheLookup {
    pub(super) vectors: Vec<Option<Vec<f32>>>,
    pub(super) stale: Vec<EmbeddingKey>,
}

pub(super) async fn read_cached_vectors(
    connection: &mut PgConnection,
    keys: &[EmbeddingKey],
    now_ms: u64,
) -> Result<PostgresCacheLookup, PostgresError> {
    let rows = query(
        "SELECT embedding_key, vector, used_period < $2 FROM embedding_cache WHERE embedding_key = ANY ($1)",
    )
    .bind(keys.iter().map(|key| key.as_bytes().as_slice()).bind_iter())
    .bind(cache_period(now_ms))
    .fetch_all(connection)
    .await?;
    let mut known: HashMap<EmbeddingKey, &[u8]> = HashMap::with_capacity(rows.len());
    let mut stale = Vec::new();
    for row in &rows {
        let key = EmbeddingKey::from_slice(read_column(row, 0)?);
        let key =
            key.ok_or_else(|| ledger_rows::corrupt_ledger("embedding_cache.embedding_key", "not 32 bytes"))?;
        known.insert(key, read_column(row, 1)?);
        if read_column(row, 2)? {
            stale.push(key);
        }
    }
    let vector =
        |bytes: &&[u8]| bytes.as_chunks::<4>().0.iter().map(|number| f32::from_le_bytes(*number)).collect();
    Ok(PostgresCacheLookup { vectors: keys.iter().map(|key| known.get(key).map(vector)).collect(), stale })
}

/// Records that these were used in this period. Rows that another call has locked are left to it.
pub(super) async fn mark_entries_used(
    connection: &mut PgConnection,
    keys: &[EmbeddingKey],
    now_ms: u64,
) -> Result<(), PostgresError> {
    query(
        "UPDATE embedding_cache c SET used_period = $2 \
         FROM (SELECT embedding_key FROM embedding_cache \
           WHERE embedding_key = ANY ($1) AND used_period < $2 FOR UPDATE SKIP LOCKED) stale \
         WHERE c.embedding_key = stale.embedding_key",
    )
    .bind(keys.iter().map(|key| key.as_bytes().as_slice()).bind_iter())
    .bind(cache_period(now_ms))
    .execute(connection)
    .await?;
    Ok(())
}

pub(super) async fn cache_vectors(
    connection: &mut PgConnection,
    vectors: &[(EmbeddingKey, Vec<f32>)],
    bytes_max: u64,
    now_ms: u64,
) -> Result<(), PostgresError> {
    let (added, bytes) = insert_entries(connection, vectors, bytes_max, cache_period(now_ms)).await?;
    let total = change_total_bytes(connection, bytes).await?;
    if total > sql_bigint(bytes_max) {
        // Down to 15/16 of the bound, so that the next calls do not evict again at once.
        let excess = total - sql_bigint(bytes_max - bytes_max / EVICTION_SLACK_DIVISOR);
        let freed = evict_oldest_entries(connection, excess, 2 * added + EVICTED_ENTRIES_BASE).await?;
        change_total_bytes(connection, -freed).await?;
    }
    Ok(())
}

fn cache_period(now_ms: u64) -> i64 {
    sql_bigint(now_ms / EMBEDDING_CACHE_USE_PERIOD_MS)
}

/// Returns how many were new, and their bytes. Inserts in order of the keys, so that calls that add the
/// same keys wait for each other in the same order. Skips a vector that alone exceeds the bound.
async fn insert_entries(
    connection: &mut PgConnection,
    vectors: &[(EmbeddingKey, Vec<f32>)],
    bytes_max: u64,
    period: i64,
) -> Result<(i64, i64), PostgresError> {
    let fitting = vectors.iter().filter(|(_, vector)| embedding_cache_cost(vector) <= bytes_max);
    let mut fitting: Vec<&(EmbeddingKey, Vec<f32>)> = fitting.collect();
    fitting.sort_unstable_by_key(|(key, _)| *key);
    let bytes_of =
        |vector: &[f32]| vector.iter().flat_map(|number| number.to_le_bytes()).collect::<Vec<u8>>();
    let (mut added, mut bytes) = (0, 0);
    // Repeated keys and keys that are cached already count as nothing: RETURNING yields new rows only.
    for run in rows::split_by_bytes(&fitting, STATEMENT_BYTES_MAX, |(_, vector)| 4 * vector.len()) {
        let row = query(
            "WITH fresh AS (INSERT INTO embedding_cache (embedding_key, used_period, vector) \
               SELECT unnest($1::bytea[]), $2, unnest($3::bytea[]) ON CONFLICT DO NOTHING \
               RETURNING octet_length(vector) AS bytes) \
             SELECT COUNT(*), COALESCE(SUM(bytes + $4), 0)::bigint FROM fresh",
        )
        .bind(run.iter().map(|(key, _)| key.as_bytes().as_slice()).bind_iter())
        .bind(period)
        .bind(run.iter().map(|(_, vector)| bytes_of(vector)).bind_iter())
        .bind(sql_bigint(EMBEDDING_CACHE_ENTRY_BYTES))
        .fetch_one(&mut *connection)
        .await?;
        added += read_column::<i64>(&row, 0)?;
        bytes += read_column::<i64>(&row, 1)?;
    }
    Ok((added, bytes))
}

async fn change_total_bytes(connection: &mut PgConnection, by: i64) -> Result<i64, PostgresError> {
    let changed = query_scalar("UPDATE cache_usage SET bytes = bytes + $1 RETURNING bytes");
    Ok(changed.bind(by).fetch_one(connection).await?)
}

/// Removes the oldest entries until `excess` bytes are free or `entries_max` are gone; returns
/// the bytes freed.
async fn evict_oldest_entries(
    connection: &mut PgConnection,
    excess: i64,
    entries_max: i64,
) -> Result<i64, PostgresError> {
    // SKIP LOCKED: the row of the total is locked, so this must not wait. `before` is the running sum
    // without the row itself: the last row deleted is the one that reaches `excess`.
    let freed = query_scalar(
        "WITH oldest AS MATERIALIZED (SELECT embedding_key, used_period, octet_length(vector) + $1 AS bytes \
           FROM embedding_cache ORDER BY used_period LIMIT $3 FOR UPDATE SKIP LOCKED), \
         counted AS (SELECT embedding_key, bytes, \
             SUM(bytes) OVER (ORDER BY used_period, embedding_key) - bytes AS before FROM oldest), \
         gone AS (DELETE FROM embedding_cache c USING counted o \
           WHERE c.embedding_key = o.embedding_key AND o.before < $2 RETURNING o.bytes) \
         SELECT COALESCE(SUM(bytes), 0)::bigint FROM gone",
    )
    .bind(sql_bigint(EMBEDDING_CACHE_ENTRY_BYTES))
    .bind(excess)
    .bind(entries_max)
    .fetch_one(connection)
    .await?;
    Ok(freed)
}
