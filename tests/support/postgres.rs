//! Schemas of their own for tests, and a line to the server beside the ledger.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use contexture_adapters::postgres::{PostgresConfig, PostgresLedger, PostgresSharedStates};
use contexture_core::ports::ledger::{EMBEDDING_CACHE_BYTES_MAX, Ledger};
use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, Connection, PgConnection, Row};

use super::clock::ManualClock;

const URL_VARIABLE: &str = "CONTEXTURE_TEST_POSTGRES_URL";
const DEFAULT_URL: &str = "postgres://postgres@127.0.0.1:5432/postgres";
/// How long a test waits for what must happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

static SCHEMAS: AtomicU32 = AtomicU32::new(0);

pub(crate) fn url() -> String {
    std::env::var(URL_VARIABLE).unwrap_or_else(|_| DEFAULT_URL.to_owned())
}

/// A schema that is gone when the test is over, however it ends.
pub(crate) struct TemporarySchema {
    pub(crate) name: String,
}

impl TemporarySchema {
    /// A name that no other test has; a failure where there is no server.
    pub(crate) async fn new() -> Option<Arc<Self>> {
        if let Err(error) = PgConnection::connect(&url()).await {
            panic!(
                "no Postgres: {error}; `make test` starts one at {DEFAULT_URL}, {URL_VARIABLE} names another"
            );
        }
        let number = SCHEMAS.fetch_add(1, Ordering::Relaxed);
        let schema = Self { name: format!("contexture_test_{}_{number}", std::process::id()) };
        schema.drop_it().await;
        Some(Arc::new(schema))
    }

    pub(crate) fn config(&self) -> PostgresConfig {
        PostgresConfig {
            url: url(),
            schema: self.name.clone(),
            connections_max: 4,
            acquire_timeout: PATIENCE,
            statement_timeout: PATIENCE,
            cache_bytes_max: EMBEDDING_CACHE_BYTES_MAX,
        }
    }

    /// A handle as another process has it.
    pub(crate) async fn ledger(&self) -> Arc<dyn Ledger> {
        open(&self.config()).await
    }

    /// A connection of the test's own, in the schema.
    pub(crate) async fn connection(&self) -> PgConnection {
        let mut connection = PgConnection::connect(&url()).await.unwrap();
        sqlx::query("SELECT set_config('search_path', $1, false)")
            .bind(&self.name)
            .execute(&mut connection)
            .await
            .unwrap();
        connection
    }

    async fn drop_it(&self) {
        let sql = format!(
            "SET client_min_messages = 'error'; SET lock_timeout = '10s'; DROP SCHEMA IF EXISTS {} CASCADE",
            self.name
        );
        let mut connection = PgConnection::connect(&url()).await.unwrap();
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
    }
}

impl Drop for TemporarySchema {
    fn drop(&mut self) {
        let dropping = std::thread::scope(|scope| {
            let work = scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(self.drop_it());
            });
            work.join()
        });
        if dropping.is_err() {
            eprintln!("the schema {} was not dropped", self.name);
        }
    }
}

pub(crate) async fn open(config: &PostgresConfig) -> Arc<dyn Ledger> {
    Arc::new(PostgresLedger::connect(config, Arc::new(ManualClock::new())).await.unwrap())
}

/// Runs one statement beside the ledger.
pub(crate) async fn rows(connection: &mut PgConnection, sql: &'static str) -> Vec<PgRow> {
    sqlx::query(sql).fetch_all(connection).await.unwrap()
}

/// Asks for one number beside the ledger.
pub(crate) async fn number(connection: &mut PgConnection, sql: &'static str) -> i64 {
    sqlx::query(sql).fetch_one(connection).await.unwrap().get(0)
}

/// Waits until a query answers true.
pub(crate) async fn until(connection: &mut PgConnection, sql: &str) {
    let asking = async {
        loop {
            let row = sqlx::query(AssertSqlSafe(sql)).fetch_one(&mut *connection).await.unwrap();
            if row.get(0) {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, asking).await.unwrap();
}

/// A ledger in a new schema, stamped by `clock`, and its shared states; the schema lives as long as
/// the last value.
pub(crate) async fn postgres_ledger(
    clock: Arc<dyn contexture_core::ports::clock::WallClock>,
) -> (PostgresLedger, PostgresSharedStates, Arc<dyn std::any::Any + Send + Sync>) {
    let schema = TemporarySchema::new().await.unwrap();
    let ledger = PostgresLedger::connect(&schema.config(), clock).await.unwrap();
    let states = ledger.states();
    (ledger, states, schema)
}

/// The shared states of a new schema, as two processes have them; the schema lives as long as the
/// last value.
pub(crate) async fn postgres_states()
-> (PostgresSharedStates, PostgresSharedStates, Arc<dyn std::any::Any + Send + Sync>) {
    let schema = TemporarySchema::new().await.unwrap();
    let connect =
        async || PostgresLedger::connect(&schema.config(), Arc::new(ManualClock::new())).await.unwrap();
    let states = (connect().await.states(), connect().await.states());
    (states.0, states.1, schema)
}
