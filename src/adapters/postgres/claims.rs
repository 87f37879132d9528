//! Claims on texts: one row each while some process embeds it. They end by the server's clock.

use std::time::Duration;

use sqlx::{PgConnection, Row, query};

use super::Trouble;
use super::rows::signed;
use crate::domain::ids::EmbeddingKey;

/// Claims those of `keys` that nobody has, or whose claim has ended; one answer each, in order.
pub(super) async fn claim(
    connection: &mut PgConnection,
    keys: &[EmbeddingKey],
    ttl: Duration,
) -> Result<Vec<bool>, Trouble> {
    // In order, so that two claims on the same texts cannot wait for each other.
    let mut sorted: Vec<&[u8]> = keys.iter().map(|key| key.as_bytes().as_slice()).collect();
    sorted.sort_unstable();
    sorted.dedup();
    let rows = query(
        "INSERT INTO embedding_claims AS c (embedding_key, ends_at) \
         SELECT wanted.key, clock_timestamp() + $2 * interval '1 millisecond' \
           FROM unnest($1::bytea[]) AS wanted (key) ORDER BY 1 \
         ON CONFLICT (embedding_key) DO UPDATE SET ends_at = excluded.ends_at \
           WHERE c.ends_at <= clock_timestamp() \
         RETURNING embedding_key",
    )
    .bind(sorted)
    .bind(signed(u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX)))
    .fetch_all(connection)
    .await?;
    let mut claimed: Vec<Vec<u8>> = Vec::with_capacity(rows.len());
    for row in rows {
        claimed.push(row.try_get(0)?);
    }
    claimed.sort_unstable();
    let is_claimed =
        |key: &EmbeddingKey| claimed.binary_search_by(|known| known.as_slice().cmp(key.as_bytes())).is_ok();
    Ok(keys.iter().map(is_claimed).collect())
}

/// Ends claims before their time.
pub(super) async fn release(connection: &mut PgConnection, keys: &[EmbeddingKey]) -> Result<(), Trouble> {
    let keys: Vec<&[u8]> = keys.iter().map(|key| key.as_bytes().as_slice()).collect();
    query("DELETE FROM embedding_claims WHERE embedding_key = ANY($1)")
        .bind(keys)
        .execute(connection)
        .await?;
    Ok(())
}
