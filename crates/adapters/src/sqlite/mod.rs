//! Ledger and durable queue in one SQLite file.
//!
//! One thread owns the only writing connection. Calls that arrive together share a transaction and so
//! an fsync (group commit). The first that fails is taken back with the transaction; each behind it runs
//! in a savepoint, which copies every page it changes: so one that fails takes nothing of its
//! neighbours with it. None is answered before the commit. Reads go to connections of their own and see
//! committed state only (WAL). `synchronous = FULL`: what is answered survives a power cut as far as
//! the disk keeps its word.

mod broker;
mod change_log;
mod collection_state;
mod embedding_cache;
mod endings;
mod generation_build;
mod generations;
mod intake;
mod ledger;
mod rows;
mod shared_states;
mod stages;
mod version_queries;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;

use rusqlite::{Connection, OpenFlags};
use tokio::sync::{mpsc, oneshot};

pub use broker::SqliteBroker;
pub use ledger::SqliteLedger;
pub use shared_states::SqliteSharedStates;

use crate::memory::leases::LeaseTable;
use contexture_core::fault::Fault;

/// Calls waiting for a thread before callers have to wait for a place.
const CALLS_QUEUED_MAX: usize = 256;
/// Most calls that share one transaction.
const CALLS_PER_COMMIT_MAX: usize = 128;
/// Threads with a reading connection.
const READER_THREADS: usize = 2;
/// Prepared statements kept per connection.
const CACHED_STATEMENTS_MAX: usize = 64;

/// The migrations, in order; `user_version` says how many a file has seen.
const MIGRATIONS: [&str; 7] = [
    include_str!("migrations/0001_ledger.sql"),
    include_str!("migrations/0002_cache_bound.sql"),
    include_str!("migrations/0003_log.sql"),
    include_str!("migrations/0004_redeliveries.sql"),
    include_str!("migrations/0005_states.sql"),
    include_str!("migrations/0006_generations.sql"),
    include_str!("migrations/0007_queues.sql"),
];

type DatabaseCall = Box<dyn FnOnce(&Connection, TransactionPosition) -> ExecutedCall + Send>;
type CommitReply = Box<dyn FnOnce(Result<(), Fault>) + Send>;

/// Where a call stands in its transaction.
#[derive(Clone, Copy, PartialEq, Eq)]
enum TransactionPosition {
    First,
    Behind,
}

/// A call that was run.
struct ExecutedCall {
    /// Whether it worked; if not, the transaction holds what it did so far if it is the first.
    worked: bool,
    reply: CommitReply,
}

/// A handle to the file; clones share its threads.
#[derive(Clone)]
pub struct SqliteDatabase(Arc<SqliteThreadPool>);

/// Dropping them closes the connections and waits, so that the file can be opened again at once.
struct SqliteThreadPool {
    writer: SqliteWorkerThread,
    readers: Vec<SqliteWorkerThread>,
    next_reader: AtomicUsize,
    /// One process owns the file, so leases need not outlive it.
    leases: LeaseTable,
}

struct SqliteWorkerThread {
    calls: Option<mpsc::Sender<DatabaseCall>>,
    handle: Option<JoinHandle<()>>,
}

impl SqliteWorkerThread {
    async fn call(&self, work: DatabaseCall) -> Result<(), Fault> {
        let calls = self.calls.as_ref().ok_or_else(thread_ended_fault)?;
        calls.send(work).await.map_err(|_| thread_ended_fault())
    }
}

impl Drop for SqliteWorkerThread {
    fn drop(&mut self) {
        self.calls = None;
        if let Some(handle) = self.handle.take() {
            let _ = handle.join();
        }
    }
}

impl SqliteDatabase {
    /// Opens or creates the file, brings its schema up to date and starts the threads.
    pub fn open(path: &Path) -> Result<Self, Fault> {
        let mut connection = Connection::open(path).map_err(sql_fault)?;
        configure_connection(&connection).map_err(sql_fault)?;
        apply_migrations(&mut connection)?;
        let writer = spawn_worker_thread("ledger-writer", connection, run_writer_thread)?;
        let mut readers = Vec::with_capacity(READER_THREADS);
        for _ in 0..READER_THREADS {
            let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
            let connection = Connection::open_with_flags(path, flags).map_err(sql_fault)?;
            configure_connection(&connection).map_err(sql_fault)?;
            readers.push(spawn_worker_thread("ledger-reader", connection, run_reader_thread)?);
        }
        Ok(Self(Arc::new(SqliteThreadPool {
            writer,
            readers,
            next_reader: AtomicUsize::new(0),
            leases: LeaseTable::default(),
        })))
    }

    /// Runs `work` in a transaction; returns after the commit.
    async fn write<T, F>(&self, work: F) -> Result<T, Fault>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let job: DatabaseCall = Box::new(move |connection, place| {
            let result = match place {
                TransactionPosition::First => work(connection),
                TransactionPosition::Behind => in_savepoint(connection, work),
            };
            ExecutedCall {
                worked: result.is_ok(),
                reply: Box::new(move |committed| {
                    let _ = answer.send(committed.and(result));
                }),
            }
        });
        self.0.writer.call(job).await?;
        answered.await.map_err(|_| thread_ended_fault())?
    }

    /// Runs `work` on a reading connection; all it reads is of one moment.
    async fn read<T, F>(&self, work: F) -> Result<T, Fault>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let job: DatabaseCall = Box::new(move |connection, _| {
            let result = in_snapshot(connection, work);
            ExecutedCall {
                worked: result.is_ok(),
                reply: Box::new(move |_| {
                    let _ = answer.send(result);
                }),
            }
        });
        let turn = self.0.next_reader.fetch_add(1, Ordering::Relaxed);
        self.0.readers[turn % self.0.readers.len()].call(job).await?;
        answered.await.map_err(|_| thread_ended_fault())?
    }
}

/// Pages of 8 KiB, in files that are new: five of the embedding cache's vectors of 384 numbers fill
/// one, where 4 KiB hold two and waste a fifth. A log of 8000 of them, 64 MiB, is taken over seldom.
fn configure_connection(connection: &Connection) -> rusqlite::Result<()> {
    connection.set_prepared_statement_cache_capacity(CACHED_STATEMENTS_MAX);
    connection.execute_batch(
        "PRAGMA page_size = 8192;
         PRAGMA busy_timeout = 5000;
         PRAGMA journal_mode = WAL;
         PRAGMA synchronous = FULL;
         PRAGMA foreign_keys = ON;
         PRAGMA cache_size = -32768;
         PRAGMA temp_store = MEMORY;
         PRAGMA wal_autocheckpoint = 8000;",
    )
}

fn apply_migrations(connection: &mut Connection) -> Result<(), Fault> {
    let seen: usize = connection
        .query_row("PRAGMA user_version", [], |row| row.get::<_, i64>(0))
        .map_err(sql_fault)?
        .try_into()
        .unwrap_or(usize::MAX);
    if seen > MIGRATIONS.len() {
        return Err(Fault::permanent(
            "ledger_too_new",
            format!(
                "the ledger has schema {seen}, this program knows {}; use a newer program",
                MIGRATIONS.len()
            ),
        ));
    }
    for (index, migration) in MIGRATIONS.iter().enumerate().skip(seen) {
        let transaction = connection.transaction().map_err(sql_fault)?;
        transaction.execute_batch(migration).map_err(sql_fault)?;
        transaction.pragma_update(None, "user_version", index + 1).map_err(sql_fault)?;
        transaction.commit().map_err(sql_fault)?;
    }
    Ok(())
}

fn spawn_worker_thread(
    name: &str,
    connection: Connection,
    run: fn(&Connection, mpsc::Receiver<DatabaseCall>),
) -> Result<SqliteWorkerThread, Fault> {
    let (calls, receiver) = mpsc::channel(CALLS_QUEUED_MAX);
    let handle = std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(move || run(&connection, receiver))
        .map_err(Fault::transient)?;
    Ok(SqliteWorkerThread { calls: Some(calls), handle: Some(handle) })
}

fn run_reader_thread(connection: &Connection, mut calls: mpsc::Receiver<DatabaseCall>) {
    while let Some(call) = calls.blocking_recv() {
        (call(connection, TransactionPosition::First).reply)(Ok(()));
    }
}

fn run_writer_thread(connection: &Connection, mut calls: mpsc::Receiver<DatabaseCall>) {
    while let Some(first) = calls.blocking_recv() {
        let mut replies = Vec::new();
        let committed = connection.execute_batch("BEGIN IMMEDIATE").map_err(sql_fault).and_then(|()| {
            let ExecutedCall { worked, reply } = first(connection, TransactionPosition::First);
            replies.push(reply);
            if !worked {
                return roll_back_transaction(connection).map_err(sql_fault);
            }
            while replies.len() < CALLS_PER_COMMIT_MAX {
                let Ok(call) = calls.try_recv() else { break };
                replies.push(call(connection, TransactionPosition::Behind).reply);
                // An error of the file takes everything back; what came after it would be outside.
                if connection.is_autocommit() {
                    break;
                }
            }
            connection.execute_batch("COMMIT").map_err(sql_fault)
        });
        if committed.is_err() {
            let _ = roll_back_transaction(connection);
        }
        for reply in replies {
            reply(committed.clone());
        }
    }
}

/// Takes back what the open transaction did, unless an error has done so already.
fn roll_back_transaction(connection: &Connection) -> rusqlite::Result<()> {
    if connection.is_autocommit() { Ok(()) } else { connection.execute_batch("ROLLBACK") }
}

fn in_savepoint<T>(
    connection: &Connection,
    work: impl FnOnce(&Connection) -> Result<T, Fault>,
) -> Result<T, Fault> {
    connection.execute_batch("SAVEPOINT call").map_err(sql_fault)?;
    let result = work(connection);
    let end = if result.is_ok() { "RELEASE call" } else { "ROLLBACK TO call; RELEASE call" };
    connection.execute_batch(end).map_err(sql_fault)?;
    result
}

/// One transaction, however many statements: each of its own would lock the file anew.
fn in_snapshot<T>(
    connection: &Connection,
    work: impl FnOnce(&Connection) -> Result<T, Fault>,
) -> Result<T, Fault> {
    let snapshot = connection.unchecked_transaction().map_err(sql_fault)?;
    let result = work(connection)?;
    snapshot.commit().map_err(sql_fault)?;
    Ok(result)
}

/// A lock, a full disk or an I/O error passes; anything else is a defect, but a retry bounds it.
#[expect(clippy::needless_pass_by_value, reason = "used as a function in map_err")]
fn sql_fault(error: rusqlite::Error) -> Fault {
    Fault::Transient(format!("ledger: {error}"))
}

fn thread_ended_fault() -> Fault {
    Fault::Transient("ledger: its thread has ended".to_owned())
}

#[cfg(test)]
mod tests;
