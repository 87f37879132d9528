//! Brings the schema up to date, in one transaction and by one process at a time.
//!
//! Many processes may start at once. The first holds an advisory lock named after the schema; the
//! others wait and find the work done. A schema that exists and is current needs no right to create
//! anything.

use std::time::Duration;

use sqlx::{AssertSqlSafe, Connection, PgConnection, query, query_scalar};

use super::PostgresError;
use contexture_core::domain::ids::FieldHasher;
use contexture_core::fault::Fault;

/// The migrations, in order. The table `migrations` lists those applied to a schema.
const MIGRATIONS: [&str; 9] = [
    include_str!("migrations/0001_ledger.sql"),
    include_str!("migrations/0002_log.sql"),
    include_str!("migrations/0003_states.sql"),
    include_str!("migrations/0004_generations.sql"),
    include_str!("migrations/0005_claim_holders.sql"),
    include_str!("migrations/0006_dropped_collections.sql"),
    include_str!("migrations/0007_sources.sql"),
    include_str!("migrations/0008_settled_sources.sql"),
    include_str!("migrations/0009_conversions.sql"),
];
/// Time to wait for another process, and time that one statement may take.
pub(super) const MIGRATION_TIMEOUT: Duration = Duration::from_mins(10);

/// Applies the migrations that are missing. `schema` is a checked name.
pub(super) async fn apply_migrations(
    connection: &mut PgConnection,
    schema: &str,
) -> Result<(), PostgresError> {
    let mut transaction = connection.begin().await?;
    // The third argument, true, limits it to this transaction.
    query("SELECT set_config('statement_timeout', $1, true)")
        .bind(MIGRATION_TIMEOUT.as_millis().to_string())
        .execute(&mut *transaction)
        .await?;
    // Released with the transaction, also when the connection is lost.
    query("SELECT pg_advisory_xact_lock($1)")
        .bind(advisory_lock_number(schema))
        .execute(&mut *transaction)
        .await?;
    let seen = ensure_schema_version(&mut transaction, schema).await?;
    if seen > MIGRATIONS.len() {
        return Err(schema_too_new(seen).into());
    }
    for (index, migration) in MIGRATIONS.iter().enumerate().skip(seen) {
        sqlx::raw_sql(*migration).execute(&mut *transaction).await?;
        query("INSERT INTO migrations (number) VALUES ($1)")
            .bind(i32::try_from(index + 1).unwrap_or(i32::MAX))
            .execute(&mut *transaction)
            .await?;
    }
    transaction.commit().await?;
    Ok(())
}

/// Returns how many migrations the schema has; creates schema and table if missing.
async fn ensure_schema_version(connection: &mut PgConnection, schema: &str) -> Result<usize, PostgresError> {
    // Asked first: IF NOT EXISTS would demand the right to create even where nothing is missing.
    let exists: bool =
        query_scalar("SELECT EXISTS (SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = $1)")
            .bind(schema)
            .fetch_one(&mut *connection)
            .await?;
    if !exists {
        query(AssertSqlSafe(format!("CREATE SCHEMA \"{schema}\""))).execute(&mut *connection).await?;
    }
    // Found by the search path, which `SESSION_SETUP` has set to the schema.
    let started: bool =
        query_scalar("SELECT to_regclass('migrations') IS NOT NULL").fetch_one(&mut *connection).await?;
    if !started {
        query(
            "CREATE TABLE migrations \
             (number integer PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())",
        )
        .execute(&mut *connection)
        .await?;
    }
    let highest: i32 =
        query_scalar("SELECT COALESCE(MAX(number), 0) FROM migrations").fetch_one(&mut *connection).await?;
    Ok(usize::try_from(highest).unwrap_or(usize::MAX))
}

fn schema_too_new(seen: usize) -> Fault {
    Fault::permanent(
        "ledger_too_new",
        format!("the ledger has schema {seen}, this program knows {}; use a newer program", MIGRATIONS.len()),
    )
}

/// Advisory locks are numbers. This one is the start of a hash, so that no other program uses it by
/// chance.
fn advisory_lock_number(schema: &str) -> i64 {
    let hash = FieldHasher::new("contexture postgres migration lock").field(schema.as_bytes()).finish();
    let mut number = [0_u8; 8];
    number.copy_from_slice(&hash[..8]);
    i64::from_le_bytes(number)
}
