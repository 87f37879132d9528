//! The embedding cache: bounded in bytes, least recently used entries are evicted first.
//!
//! A use is recorded at most once per period, so a read seldom writes. The total is kept in a row of
//! its own, so no call counts the table. One call evicts at most twice what it added plus
//! [`EVICTED_ENTRIES_BASE`] entries, so no transaction is long.

use rusqlite::{Connection, OptionalExtension, params};

use super::sql_fault;
use contexture_core::domain::ids::EmbeddingKey;
use contexture_core::fault::Fault;
use contexture_core::ports::ledger::{
    EMBEDDING_CACHE_ENTRY_BYTES, EMBEDDING_CACHE_USE_PERIOD_MS, embedding_cache_cost,
};

/// Past the bound, eviction frees this fraction of it in addition.
const EVICTION_SLACK_DIVISOR: u64 = 16;
/// Entries that a call may evict in addition to twice what it added.
const EVICTED_ENTRIES_BASE: usize = 1024;

/// The result of a look-up, and the keys whose use in this period is not recorded yet.
pub(super) struct SqliteCacheLookup {
    pub(super) vectors: Vec<Option<Vec<f32>>>,
    pub(super) stale: Vec<EmbeddingKey>,
}

pub(super) fn read_cached_vectors(
    connection: &Connection,
    keys: &[EmbeddingKey],
    now_ms: u64,
) -> Result<SqliteCacheLookup, Fault> {
    let mut statement = connection
        .prepare_cached("SELECT vector, used_period FROM embedding_cache WHERE embedding_key = ?1")
        .map_err(sql_fault)?;
    let mut found = SqliteCacheLookup { vectors: Vec::with_capacity(keys.len()), stale: Vec::new() };
    for key in keys {
        let row: Option<(Vec<u8>, u64)> = statement
            .query_row([key.as_bytes().as_slice()], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()
            .map_err(sql_fault)?;
        // The period is an hour, so a hot entry is written once an hour and not at each read.
        if row.as_ref().is_some_and(|(_, used)| *used < now_ms / EMBEDDING_CACHE_USE_PERIOD_MS) {
            found.stale.push(*key);
        }
        found.vectors.push(row.map(|(bytes, _)| {
            bytes.as_chunks::<4>().0.iter().map(|number| f32::from_le_bytes(*number)).collect()
        }));
    }
    Ok(found)
}

/// Records that these were used in this period.
pub(super) fn mark_entries_used(
    connection: &Connection,
    keys: &[EmbeddingKey],
    now_ms: u64,
) -> Result<(), Fault> {
    let mut statement = connection
        .prepare_cached("UPDATE embedding_cache SET used_period = ?2 WHERE embedding_key = ?1")
        .map_err(sql_fault)?;
    for key in keys {
        statement
            .execute(params![key.as_bytes().as_slice(), now_ms / EMBEDDING_CACHE_USE_PERIOD_MS])
            .map_err(sql_fault)?;
    }
    Ok(())
}

pub(super) fn cache_vectors(
    connection: &Connection,
    vectors: &[(EmbeddingKey, Vec<f32>)],
    bytes_max: u64,
    now_ms: u64,
) -> Result<(), Fault> {
    let (added, bytes) =
        insert_entries(connection, vectors, bytes_max, now_ms / EMBEDDING_CACHE_USE_PERIOD_MS)?;
    let total = change_total_bytes(connection, i64::try_from(bytes).unwrap_or(i64::MAX))?;
    if total > bytes_max {
        // Down to 15/16 of the bound, so that the next calls do not evict again at once.
        let excess = total - (bytes_max - bytes_max / EVICTION_SLACK_DIVISOR);
        let freed = evict_oldest_entries(connection, excess, 2 * added + EVICTED_ENTRIES_BASE)?;
        change_total_bytes(connection, -i64::try_from(freed).unwrap_or(i64::MAX))?;
    }
    Ok(())
}

/// Returns how many were new, and their bytes. Skips a vector that alone exceeds the bound.
fn insert_entries(
    connection: &Connection,
    vectors: &[(EmbeddingKey, Vec<f32>)],
    bytes_max: u64,
    period: u64,
) -> Result<(usize, u64), Fault> {
    let mut statement = connection
        .prepare_cached(
            "INSERT OR IGNORE INTO embedding_cache (embedding_key, vector, used_period) VALUES (?1, ?2, ?3)",
        )
        .map_err(sql_fault)?;
    // Only rows that were really inserted count: IGNORE skips keys that are cached already.
    let (mut added, mut added_bytes) = (0, 0);
    for (key, vector) in vectors.iter().filter(|(_, vector)| embedding_cache_cost(vector) <= bytes_max) {
        let mut bytes = vec![0; size_of_val(vector.as_slice())];
        for (place, number) in bytes.as_chunks_mut::<4>().0.iter_mut().zip(vector) {
            *place = number.to_le_bytes();
        }
        if statement.execute(params![key.as_bytes().as_slice(), bytes, period]).map_err(sql_fault)? > 0 {
            added += 1;
            added_bytes += embedding_cache_cost(vector);
        }
    }
    Ok((added, added_bytes))
}

fn change_total_bytes(connection: &Connection, by: i64) -> Result<u64, Fault> {
    connection
        .prepare_cached("UPDATE cache_usage SET bytes = bytes + ?1 RETURNING bytes")
        .and_then(|mut statement| statement.query_row([by], |row| row.get(0)))
        .map_err(sql_fault)
}

/// Removes the oldest entries until `excess` bytes are free or `entries_max` are gone; returns
/// the bytes freed.
fn evict_oldest_entries(connection: &Connection, excess: u64, entries_max: usize) -> Result<u64, Fault> {
    let mut doomed: Vec<Vec<u8>> = Vec::new();
    let mut freed = 0;
    let mut oldest = connection
        .prepare_cached(
            "SELECT embedding_key, LENGTH(vector) FROM embedding_cache ORDER BY used_period LIMIT ?1",
        )
        .map_err(sql_fault)?;
    let mut found = oldest.query([entries_max]).map_err(sql_fault)?;
    while freed < excess
        && let Some(row) = found.next().map_err(sql_fault)?
    {
        doomed.push(row.get(0).map_err(sql_fault)?);
        freed += EMBEDDING_CACHE_ENTRY_BYTES + row.get::<_, u64>(1).map_err(sql_fault)?;
    }
    // Collected first: deleting while the cursor walks the same index would disturb it.
    let mut delete = connection
        .prepare_cached("DELETE FROM embedding_cache WHERE embedding_key = ?1")
        .map_err(sql_fault)?;
    for key in doomed {
        delete.execute([key]).map_err(sql_fault)?;
    }
    Ok(freed)
}
