//! The ledger in a schema of a Postgres database (13 or newer), shared by many processes.
//!
//! * A call is one transaction or one statement at READ COMMITTED. `synchronous_commit` is on, so what
//!   is answered is on disk.
//! * A call that changes versions first locks the rows of their documents, in order of `document_ref`.
//!   Calls on one document are serial, and batches cannot deadlock with each other.
//! * A call runs again if the server aborted it as the victim of a deadlock, or if the connection was
//!   lost before its commit; at most [`CALL_ATTEMPTS_MAX`] times in all. A commit without an answer is
//!   a transient fault: it may have happened.
//! * Deadlines: `acquire_timeout` for a connection, `statement_timeout` for a statement (enforced by
//!   the server), their sum for a call (enforced here; its connection is closed).
//! * Rows travel in arrays, never one statement per row. Statements with bodies or vectors carry at
//!   most [`STATEMENT_BYTES_MAX`], or one row.
//! * It configures its sessions, so a pooler in between must preserve them (`PgBouncer`: session mode).
//! * The address holds a password. It appears in no error, no log and no `Debug`.

mod change_log;
mod collection_drops;
mod collection_state;
mod config;
mod conversions;
mod document_ledger;
mod embedding_cache;
mod generation_build;
mod generations;
mod intake;
mod intake_decision;
mod leases;
mod ledger;
mod migrate;
mod rows;
mod shared_states;
mod source_ledger;
mod source_queries;
mod stages;
mod version_outcomes;
mod version_queries;

use std::time::Duration;

use futures::future::BoxFuture;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgPool, PgPoolOptions};
use sqlx::{Connection, PgConnection, Postgres, query};
use tokio::time::{Instant, timeout_at};

pub use config::PostgresConfig;
pub use ledger::PostgresLedger;
pub use shared_states::PostgresSharedStates;

use contexture_core::fault::{Fault, FaultCause};

/// Most runs of a call that may run again.
const CALL_ATTEMPTS_MAX: usize = 5;
/// Bytes of bodies or vectors that one statement carries; a single larger one goes alone.
const STATEMENT_BYTES_MAX: usize = 8 << 20;
/// A connection that was idle for longer is pinged before use.
const UNTESTED_IDLE_MAX: Duration = Duration::from_secs(1);
/// A connection that is idle for this long is closed.
const CONNECTION_IDLE_MAX: Duration = Duration::from_mins(10);
/// A connection is replaced at this age, so that a changed address or password takes effect.
const CONNECTION_LIFETIME_MAX: Duration = Duration::from_mins(30);

/// Configures a session: the schema, the deadlines in ms, and what calls rely on. Rows are found by
/// their keys, so sequential scans are off whatever the statistics say: a new schema has none, and
/// plans are kept while the tables grow.
const SESSION_SETUP: &str = "SELECT set_config('search_path', quote_ident($1), false), \
     set_config('statement_timeout', $2, false), \
     set_config('idle_in_transaction_session_timeout', $3, false), \
     set_config('default_transaction_isolation', 'read committed', false), \
     set_config('default_transaction_read_only', 'off', false), \
     set_config('jit', 'off', false), \
     set_config('enable_seqscan', 'off', false), \
     set_config('enable_mergejoin', 'off', false), \
     set_config('synchronous_commit', CASE current_setting('synchronous_commit') \
         WHEN 'remote_apply' THEN 'remote_apply' ELSE 'on' END, false)";

/// The connections of one process.
#[derive(Clone)]
struct PostgresDatabase {
    pool: PgPool,
    call_timeout: Duration,
}

/// Whether a call runs in a transaction.
#[derive(Clone, Copy)]
enum TransactionMode {
    Bare,
    Transaction,
}

/// An error inside a call, or of a row.
pub(crate) enum PostgresError {
    Sql(sqlx::Error),
    /// The commit got no answer: it may have happened.
    Commit(sqlx::Error),
    Fault(Fault),
}

impl PostgresDatabase {
    /// Connects and brings the schema up to date.
    async fn connect(config: &PostgresConfig) -> Result<Self, Fault> {
        let options = config.connect_options()?;
        let (schema, statement_timeout) = (config.schema.clone(), config.statement_timeout);
        let idle_timeout = config.acquire_timeout + config.statement_timeout;
        let pool = PgPoolOptions::new()
            .max_connections(config.connections_max)
            .min_connections(0)
            .acquire_timeout(config.acquire_timeout)
            .idle_timeout(CONNECTION_IDLE_MAX)
            .max_lifetime(CONNECTION_LIFETIME_MAX)
            // The hook below pings only after an idle second, which saves a round trip for busy
            // connections.
            .test_before_acquire(false)
            .before_acquire(|connection, idle| {
                Box::pin(async move {
                    if idle.idle_for > UNTESTED_IDLE_MAX {
                        connection.ping().await?;
                    }
                    Ok(true)
                })
            })
            .after_connect(move |connection, _| {
                let schema = schema.clone();
                Box::pin(async move {
                    query(SESSION_SETUP)
                        .bind(schema)
                        .bind(statement_timeout.as_millis().to_string())
                        .bind(idle_timeout.as_millis().to_string())
                        .execute(connection)
                        .await
                        .map(drop)
                })
            })
            .connect_lazy_with(options);
        let database = Self { pool, call_timeout: idle_timeout };
        // The pool connects lazily, so this is the first connection: wrong addresses fail here.
        let mut pooled = database.acquire(false).await.map_err(PostgresError::into_fault)?;
        let deadline = Instant::now() + migrate::MIGRATION_TIMEOUT;
        let connection = pooled.connection().map_err(PostgresError::into_fault)?;
        timeout_at(deadline, migrate::apply_migrations(connection, &config.schema))
            .await
            .map_err(|_| call_timeout_fault(migrate::MIGRATION_TIMEOUT))?
            .map_err(PostgresError::into_fault)?;
        pooled.release();
        Ok(database)
    }

    /// Runs reading statements, or a single repeatable one, outside of a transaction.
    async fn run<A: Sync, T>(
        &self,
        operation: &'static str,
        arguments: A,
        work: impl for<'c> Fn(&'c A, &'c mut PgConnection) -> BoxFuture<'c, Result<T, PostgresError>> + Sync,
    ) -> Result<T, Fault> {
        let done = self.run_with_retries(TransactionMode::Bare, &arguments, work).await;
        done.map_err(|fault| fault.during(operation))
    }

    /// Runs `work` in a transaction; returns after the commit.
    async fn write<A: Sync, T>(
        &self,
        operation: &'static str,
        arguments: A,
        work: impl for<'c> Fn(&'c A, &'c mut PgConnection) -> BoxFuture<'c, Result<T, PostgresError>> + Sync,
    ) -> Result<T, Fault> {
        let done = self.run_with_retries(TransactionMode::Transaction, &arguments, work).await;
        done.map_err(|fault| fault.during(operation))
    }

    /// Runs `work` until it succeeds, or fails in a way that another run would not change.
    async fn run_with_retries<A: Sync, T>(
        &self,
        mode: TransactionMode,
        arguments: &A,
        work: impl for<'c> Fn(&'c A, &'c mut PgConnection) -> BoxFuture<'c, Result<T, PostgresError>> + Sync,
    ) -> Result<T, Fault> {
        let deadline = Instant::now() + self.call_timeout;
        let mut lost = false;
        for left in (0..CALL_ATTEMPTS_MAX).rev() {
            let once = async {
                let mut pooled = self.acquire(lost).await?;
                let connection = pooled.connection()?;
                let done = match mode {
                    TransactionMode::Bare => work(arguments, connection).await,
                    TransactionMode::Transaction => {
                        let mut transaction = Connection::begin(connection).await?;
                        match work(arguments, &mut transaction).await {
                            Ok(value) => {
                                transaction.commit().await.map(|()| value).map_err(PostgresError::from_commit)
                            }
                            Err(error) => {
                                // Queues the rollback, which runs before the connection is used again.
                                drop(transaction);
                                Err(error)
                            }
                        }
                    }
                };
                pooled.release_unless_lost(&done);
                done
            };
            // On timeout the future is dropped, and with it the connection, which closes it.
            let Ok(done) = timeout_at(deadline, once).await else { break };
            match done {
                Ok(value) => return Ok(value),
                Err(PostgresError::Sql(error))
                    if left > 0 && (is_connection_lost(&error) || is_aborted_by_conflict(&error)) =>
                {
                    // A server restart kills the idle connections, too, so the next one is pinged
                    // first.
                    lost |= is_connection_lost(&error);
                    let fault = postgres_fault(error);
                    tracing::warn!(%fault, "the database ended a ledger call; it runs again");
                }
                Err(error) => return Err(error.into_fault()),
            }
        }
        Err(call_timeout_fault(self.call_timeout))
    }

    /// Takes a connection from the pool. With `tried` set it is pinged first.
    async fn acquire(&self, tried: bool) -> Result<PooledConnection, PostgresError> {
        loop {
            // One that fails the ping is dropped, which closes it. The pool runs out of dead ones and
            // opens a new one, or fails.
            let mut pooled = PooledConnection(Some(self.pool.acquire().await?));
            if !tried || pooled.connection()?.ping().await.is_ok() {
                return Ok(pooled);
            }
        }
    }
}

/// A connection of the pool. Unless it is released it is closed: when a call is cut short, by its
/// deadline or because its future was dropped, the state of the connection is unknown.
struct PooledConnection(Option<PoolConnection<Postgres>>);

impl PooledConnection {
    fn connection(&mut self) -> Result<&mut PgConnection, PostgresError> {
        let connection = self.0.as_deref_mut();
        connection
            .ok_or_else(|| PostgresError::Fault(Fault::transient("ledger: the connection was given back")))
    }

    fn release(mut self) {
        drop(self.0.take());
    }

    fn release_unless_lost<T>(self, done: &Result<T, PostgresError>) {
        match done {
            // Not released, so closed: nobody knows what the connection still does.
            Err(PostgresError::Commit(_)) => {}
            Err(PostgresError::Sql(error)) if is_connection_lost(error) => {}
            _ => self.release(),
        }
    }
}

impl Drop for PooledConnection {
    fn drop(&mut self) {
        if let Some(connection) = self.0.take() {
            // Detached, so that it closes and does not return to the pool.
            drop(connection.detach());
        }
    }
}

impl From<sqlx::Error> for PostgresError {
    fn from(error: sqlx::Error) -> Self {
        Self::Sql(error)
    }
}

impl From<Fault> for PostgresError {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl PostgresError {
    fn from_commit(error: sqlx::Error) -> Self {
        // A kind of its own, so that it is never repeated: the commit may have happened.
        if is_connection_lost(&error) { Self::Commit(error) } else { Self::Sql(error) }
    }

    fn into_fault(self) -> Fault {
        match self {
            Self::Sql(error) | Self::Commit(error) => postgres_fault(error),
            Self::Fault(fault) => fault,
        }
    }
}

/// Locks, timeouts and lost connections pass. A refused credential waits for a new one. Anything else
/// is a defect, but retries are bounded. What the server says names no values.
fn postgres_fault(error: sqlx::Error) -> Fault {
    let code =
        error.as_database_error().and_then(sqlx::error::DatabaseError::code).unwrap_or_default().into_owned();
    let operation = match &error {
        sqlx::Error::PoolTimedOut => "ledger: no connection to the database in time".to_owned(),
        _ if code.is_empty() => "ledger".to_owned(),
        _ => format!("ledger ({code})"),
    };
    let cause = FaultCause::from_error(operation, error);
    // Class 28 is an invalid authorization.
    if code.starts_with("28") { Fault::Unauthorized(cause) } else { Fault::Transient(cause) }
}

/// The connection is gone, and with it the transaction.
fn is_connection_lost(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) => true,
        // Shutdown, crash, starting up, idle too long in a transaction; class 08 is the connection.
        sqlx::Error::Database(error) => error.code().is_some_and(|code| {
            ["57P01", "57P02", "57P03", "25P03"].contains(&code.as_ref()) || code.starts_with("08")
        }),
        _ => false,
    }
}

/// The server rolled it back in favour of another call: a deadlock, or a serialization failure.
fn is_aborted_by_conflict(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    code.is_some_and(|code| ["40P01", "40001"].contains(&code.as_ref()))
}

fn call_timeout_fault(within: Duration) -> Fault {
    Fault::transient(format!("ledger: no answer from the database within {} ms", within.as_millis()))
}
