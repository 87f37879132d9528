//! Leases: one row per role. They end by the server's clock, so that processes need not agree
//! on the time.

use std::time::Duration;

use sqlx::{PgConnection, query, query_scalar};

use super::PostgresError;
use super::rows::sql_bigint;

/// A name for a handle that no other has.
pub(super) async fn create_holder_id(connection: &mut PgConnection) -> Result<String, PostgresError> {
    Ok(query_scalar("SELECT gen_random_uuid()::text").fetch_one(connection).await?)
}

/// Takes or renews; false while another holder has it.
pub(super) async fn acquire_lease(
    connection: &mut PgConnection,
    role: &str,
    holder: &str,
    ttl: Duration,
) -> Result<bool, PostgresError> {
    let taken = query(
        "INSERT INTO leases AS l (role, holder, ends_at) \
         VALUES ($1, $2, clock_timestamp() + $3 * interval '1 millisecond') \
         ON CONFLICT (role) DO UPDATE SET holder = excluded.holder, ends_at = excluded.ends_at \
         WHERE l.holder = excluded.holder OR l.ends_at <= clock_timestamp()",
    )
    .bind(role)
    .bind(holder)
    .bind(sql_bigint(u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX)))
    .execute(connection)
    .await?;
    Ok(taken.rows_affected() > 0)
}

/// Gives up what this holder has.
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
