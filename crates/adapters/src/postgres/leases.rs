//! Leases on roles and claims on texts: one row each. Both end by the server's clock, so processes need
//! not agree on the time.
//!
//! Calls on claims lock rows in the order of their keys, so no two wait for each other.

use std::time::Duration;

use sqlx::{PgConnection, Row, query, query_scalar};

use super::PostgresError;
use super::rows::sql_bigint;
use contexture_core::domain::ids::EmbeddingKey;

/// Claims that one call deletes at most.
const DELETED_CLAIMS_MAX: i64 = 10_000;

/// Creates a name for a handle that no other has.
pub(super) async fn create_holder_id(connection: &mut PgConnection) -> Result<String, PostgresError> {
    Ok(query_scalar("SELECT gen_random_uuid()::text").fetch_one(connection).await?)
}

/// Takes or renews a lease; false while another holder has it.
pub(super) async fn acquire_lease(
    connection: &mut PgConnection,
    role: &str,
    holder: &str,
    ttl: Duration,
) -> Result<bool, PostgresError> {
    // One statement, so no lock is needed: of two that take an ended lease, the second waits for the
    // row and finds it renewed.
    let taken = query(
        "INSERT INTO leases AS l (role, holder, ends_at) \
         VALUES ($1, $2, clock_timestamp() + $3 * interval '1 millisecond') \
         ON CONFLICT (role) DO UPDATE SET holder = excluded.holder, ends_at = excluded.ends_at \
         WHERE l.holder = excluded.holder OR l.ends_at <= clock_timestamp()",
    )
    .bind(role)
    .bind(holder)
    .bind(sql_millis(ttl))
    .execute(connection)
    .await?;
    Ok(taken.rows_affected() > 0)
}

/// Releases a lease that this holder has.
pub(super) async fn release_lease(
    connection: &mut PgConnection,
    role: &str,
    holder: &str,
) -> Result<(), PostgresError> {
    query("DELETE FROM leases WHERE role = $1 AND holder = $2")
        .bind(role)
        .bind(holder)
        .execute(connection)
        .await?;
    Ok(())
}

/// Claims or renews keys that no other holder has, or whose claim has ended. One answer each, in order.
pub(super) async fn claim_texts(
    connection: &mut PgConnection,
    keys: &[EmbeddingKey],
    holder: &str,
    ttl: Duration,
) -> Result<Vec<bool>, PostgresError> {
    let mut sorted: Vec<&[u8]> = keys.iter().map(|key| key.as_bytes().as_slice()).collect();
    sorted.sort_unstable();
    // ON CONFLICT DO UPDATE may touch a row once per statement.
    sorted.dedup();
    let rows = query(
        "INSERT INTO embedding_claims AS c (embedding_key, holder, ends_at) \
         SELECT wanted.key, $2, clock_timestamp() + $3 * interval '1 millisecond' \
           FROM unnest($1::bytea[]) AS wanted (key) ORDER BY 1 \
         ON CONFLICT (embedding_key) DO UPDATE SET holder = excluded.holder, ends_at = excluded.ends_at \
           WHERE c.holder = excluded.holder OR c.ends_at <= clock_timestamp() \
         RETURNING embedding_key",
    )
    .bind(sorted)
    .bind(holder)
    .bind(sql_millis(ttl))
    .fetch_all(connection)
    .await?;
    let mut claimed: Vec<Vec<u8>> = Vec::with_capacity(rows.len());
    for row in rows {
        claimed.push(row.try_get(0)?);
    }
    // RETURNING promises no order.
    claimed.sort_unstable();
    let is_claimed =
        |key: &EmbeddingKey| claimed.binary_search_by(|known| known.as_slice().cmp(key.as_bytes())).is_ok();
    Ok(keys.iter().map(is_claimed).collect())
}

/// Releases those claims that this holder has.
pub(super) async fn release_claims(
    connection: &mut PgConnection,
    keys: &[EmbeddingKey],
    holder: &str,
) -> Result<(), PostgresError> {
    let keys: Vec<&[u8]> = keys.iter().map(|key| key.as_bytes().as_slice()).collect();
    query(
        "WITH mine AS MATERIALIZED (SELECT embedding_key FROM embedding_claims \
            WHERE embedding_key = ANY($1) AND holder = $2 ORDER BY embedding_key FOR UPDATE) \
         DELETE FROM embedding_claims c USING mine WHERE c.embedding_key = mine.embedding_key",
    )
    .bind(keys)
    .bind(holder)
    .execute(connection)
    .await?;
    Ok(())
}

/// Deletes claims that ended at least this long ago; returns how many.
pub(super) async fn delete_ended_claims(
    connection: &mut PgConnection,
    ended: Duration,
) -> Result<u64, PostgresError> {
    // SKIP LOCKED: a claim that is being renewed just now is not old, and must not be waited for.
    let gone = query(
        "WITH old AS MATERIALIZED (SELECT embedding_key FROM embedding_claims \
            WHERE ends_at <= clock_timestamp() - $1 * interval '1 millisecond' \
            ORDER BY embedding_key LIMIT $2 FOR UPDATE SKIP LOCKED) \
         DELETE FROM embedding_claims c USING old WHERE c.embedding_key = old.embedding_key",
    )
    .bind(sql_millis(ended))
    .bind(DELETED_CLAIMS_MAX)
    .execute(connection)
    .await?;
    Ok(gone.rows_affected())
}

fn sql_millis(duration: Duration) -> i64 {
    sql_bigint(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}
