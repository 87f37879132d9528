//! The ledger in a schema of a Postgres database (13 or newer), shared by many processes.
//!
//! * A call is one transaction, or one statement, at READ COMMITTED; `synchronous_commit` is on,
//!   so what is answered is on disk.
//! * Who changes versions first locks the rows of their documents, in order of `document_ref`:
//!   of two calls on a document one is first, and batches cannot deadlock with each other.
//! * A call that the server chose as a deadlock's victim, or whose connection was lost before
//!   its commit, runs again, at most [`CALL_ATTEMPTS_MAX`] times. A commit without an answer is a
//!   transient fault: it may have happened.
//! * Deadlines: `acquire_timeout` for a connection, `statement_timeout` for a statement (kept by
//!   the server), their sum for a call (kept here; its connection is closed).
//! * Rows go in and out in arrays, never one statement per row; statements that carry bodies or
//!   vectors carry [`STATEMENT_BYTES_MAX`] or one row.
//! * It sets up its sessions, so a pooler in between has to keep them (`PgBouncer`: session mode).
//! * The address holds a password: it is in no error, no log and no `Debug`.

mod change_log;
mod claims;
mod collection_state;
mod config;
mod embedding_cache;
mod endings;
mod generation_build;
mod generations;
mod intake;
mod intake_decision;
mod leases;
mod ledger;
mod migrate;
mod rows;
mod shared_states;
mod stages;
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

use contexture_core::fault::Fault;

/// How often a call that may run again is run.
const CALL_ATTEMPTS_MAX: usize = 5;
/// Bytes of bodies or vectors that one statement carries; a single larger one goes alone.
const STATEMENT_BYTES_MAX: usize = 8 << 20;
/// A connection that was idle for longer is tried before it is used.
const UNTESTED_IDLE_MAX: Duration = Duration::from_secs(1);
/// A connection that nobody used for so long is closed.
const CONNECTION_IDLE_MAX: Duration = Duration::from_mins(10);
/// A connection is replaced at this age, so that a changed address or password is noticed.
const CONNECTION_LIFETIME_MAX: Duration = Duration::from_mins(30);

/// Sets up a session: the schema, the deadlines in ms, and what a call relies on. Rows are found
/// by their keys, so no table is to be read through, whatever the statistics say: on a new
/// schema they say nothing, and a plan is kept while the tables grow.
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

/// What stands around a call's work.
#[derive(Clone, Copy)]
enum TransactionMode {
    Bare,
    Transaction,
}

/// What went wrong inside a call.
enum PostgresError {
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
        let mut loan = database.loan(false).await.map_err(PostgresError::into_fault)?;
        let deadline = Instant::now() + migrate::MIGRATION_TIMEOUT;
        let connection = loan.connection().map_err(PostgresError::into_fault)?;
        timeout_at(deadline, migrate::apply_migrations(connection, &config.schema))
            .await
            .map_err(|_| call_timeout_fault(migrate::MIGRATION_TIMEOUT))?
            .map_err(PostgresError::into_fault)?;
        loan.give_back();
        Ok(database)
    }

    /// Runs reading statements, or a single one that may be repeated, outside of a transaction.
    async fn run<A: Sync, T>(
        &self,
        arguments: A,
        work: impl for<'c> Fn(&'c A, &'c mut PgConnection) -> BoxFuture<'c, Result<T, PostgresError>> + Sync,
    ) -> Result<T, Fault> {
        self.again(TransactionMode::Bare, &arguments, work).await
    }

    /// Runs `work` in a transaction; returns after the commit.
    async fn write<A: Sync, T>(
        &self,
        arguments: A,
        work: impl for<'c> Fn(&'c A, &'c mut PgConnection) -> BoxFuture<'c, Result<T, PostgresError>> + Sync,
    ) -> Result<T, Fault> {
        self.again(TransactionMode::Transaction, &arguments, work).await
    }

    /// Runs it until it ends in a way that another run would not change.
    async fn again<A: Sync, T>(
        &self,
        frame: TransactionMode,
        arguments: &A,
        work: impl for<'c> Fn(&'c A, &'c mut PgConnection) -> BoxFuture<'c, Result<T, PostgresError>> + Sync,
    ) -> Result<T, Fault> {
        let deadline = Instant::now() + self.call_timeout;
        let mut lost = false;
        for left in (0..CALL_ATTEMPTS_MAX).rev() {
            let once = async {
                let mut loan = self.loan(lost).await?;
                let connection = loan.connection()?;
                let done = match frame {
                    TransactionMode::Bare => work(arguments, connection).await,
                    TransactionMode::Transaction => {
                        let mut transaction = Connection::begin(connection).await?;
                        match work(arguments, &mut transaction).await {
                            Ok(value) => {
                                transaction.commit().await.map(|()| value).map_err(PostgresError::from_commit)
                            }
                            Err(trouble) => {
                                drop(transaction);
                                Err(trouble)
                            }
                        }
                    }
                };
                loan.give_back_unless_lost(&done);
                done
            };
            let Ok(done) = timeout_at(deadline, once).await else { break };
            match done {
                Ok(value) => return Ok(value),
                Err(PostgresError::Sql(error))
                    if left > 0 && (is_connection_lost(&error) || is_aborted_by_conflict(&error)) =>
                {
                    tracing::warn!(fault = %postgres_fault(&error), "the database ended a ledger call; it runs again");
                    lost |= is_connection_lost(&error);
                }
                Err(trouble) => return Err(trouble.into_fault()),
            }
        }
        Err(call_timeout_fault(self.call_timeout))
    }

    /// A connection; one that answers now, if `tried`.
    async fn loan(&self, tried: bool) -> Result<PooledConnection, PostgresError> {
        loop {
            let mut loan = PooledConnection(Some(self.pool.acquire().await?));
            if !tried || loan.connection()?.ping().await.is_ok() {
                return Ok(loan);
            }
        }
    }
}

/// A connection on loan. Unless it is given back it is closed: when a call is cut short, by its
/// deadline or because nobody waits for it any more, what is under way on it is unknown.
struct PooledConnection(Option<PoolConnection<Postgres>>);

impl PooledConnection {
    fn connection(&mut self) -> Result<&mut PgConnection, PostgresError> {
        let connection = self.0.as_deref_mut();
        connection
            .ok_or_else(|| PostgresError::Fault(Fault::transient("ledger: the connection was given back")))
    }

    fn give_back(mut self) {
        drop(self.0.take());
    }

    fn give_back_unless_lost<T>(self, done: &Result<T, PostgresError>) {
        match done {
            Err(PostgresError::Commit(_)) => {}
            Err(PostgresError::Sql(error)) if is_connection_lost(error) => {}
            _ => self.give_back(),
        }
    }
}

impl Drop for PooledConnection {
    fn drop(&mut self) {
        if let Some(connection) = self.0.take() {
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
        if is_connection_lost(&error) { Self::Commit(error) } else { Self::Sql(error) }
    }

    fn into_fault(self) -> Fault {
        match self {
            Self::Sql(error) | Self::Commit(error) => postgres_fault(&error),
            Self::Fault(fault) => fault,
        }
    }
}

/// A lock, a timeout or a lost connection passes; a refused credential waits for a new one;
/// anything else is a defect, but a retry bounds it. What the server says names no values.
fn postgres_fault(error: &sqlx::Error) -> Fault {
    match error {
        sqlx::Error::Database(error) => {
            let code = error.code().unwrap_or_default();
            let what = format!("ledger: {} ({code})", error.message());
            if code.starts_with("28") { Fault::Unauthorized(what) } else { Fault::Transient(what) }
        }
        sqlx::Error::PoolTimedOut => Fault::transient("ledger: no connection to the database in time"),
        other => Fault::Transient(format!("ledger: {other}")),
    }
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

/// The server rolled it back in favour of another: a deadlock, or a failed serialisation.
fn is_aborted_by_conflict(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    code.is_some_and(|code| ["40P01", "40001"].contains(&code.as_ref()))
}

fn call_timeout_fault(within: Duration) -> Fault {
    Fault::Transient(format!("ledger: no answer from the database within {} ms", within.as_millis()))
}
