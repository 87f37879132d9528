//! Ledger and durable queue in one SQLite file.
//!
//! * One thread owns the only writing connection. Calls that arrive together share a transaction and
//!   thus one fsync (group commit).
//! * If the first call of a transaction fails, the whole transaction is rolled back. Each later call
//!   runs in a savepoint, which copies every page it changes. So a failed call leaves the other calls
//!   intact.
//! * No call is answered before the commit.
//! * Reads use connections of their own and see committed state only (WAL).
//! * `synchronous = FULL`: what is answered survives a power cut, as far as the disk honours fsync.

mod broker;
mod change_log;
mod collection_state;
mod embedding_cache;
mod generation_build;
mod generations;
mod intake;
mod ledger;
mod queue_messages;
mod rows;
mod shared_states;
mod stages;
mod version_outcomes;
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

use crate::memory::LeaseTable;
use contexture_core::fault::Fault;

/// Calls that may queue for a thread; further callers wait.
const CALLS_QUEUED_MAX: usize = 256;
/// Most calls that share one transaction.
const CALLS_PER_COMMIT_MAX: usize = 128;
/// Threads with a reading connection.
const READER_THREADS: usize = 2;
/// Prepared statements kept per connection.
const CACHED_STATEMENTS_MAX: usize = 64;

/// The migrations, in order. `user_version` counts those applied to a file.
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

/// Position of a call in its transaction.
#[derive(Clone, Copy, PartialEq, Eq)]
enum TransactionPosition {
    First,
    Behind,
}

/// A call that ran and awaits the commit.
struct ExecutedCall {
    /// Whether it succeeded. If not, and it was the first, the transaction still holds its partial
    /// writes.
    worked: bool,
    reply: CommitReply,
}

/// A handle to the file; clones share its threads.
#[derive(Clone)]
pub struct SqliteDatabase(Arc<SqliteThreadPool>);

/// Dropping it closes the connections and waits, so that the file can be opened again at once.
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
        // First close the channel: that ends the thread's loop. Joining before would wait forever.
        self.calls = None;
        if let Some(handle) = self.handle.take() {
            // A panic of the thread was reported to its caller already, as a closed channel.
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
            // Read-write although it only reads: readers of a WAL database write to its shared index.
            // No mutex: each connection stays on its thread.
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
    async fn write<T, F>(&self, operation: &'static str, work: F) -> Result<T, Fault>
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
                    // The caller may have gone away. The commit stands all the same.
                    let _ = answer.send(committed.and(result));
                }),
            }
        });
        self.0.writer.call(job).await?;
        let done = answered.await.map_err(|_| thread_ended_fault())?;
        done.map_err(|fault| fault.during(operation))
    }

    /// Runs `work` on a reading connection, in one snapshot.
    async fn read<T, F>(&self, operation: &'static str, work: F) -> Result<T, Fault>
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
        // Round robin. Relaxed: the counter only spreads load.
        let turn = self.0.next_reader.fetch_add(1, Ordering::Relaxed);
        self.0.readers[turn % self.0.readers.len()].call(job).await?;
        let done = answered.await.map_err(|_| thread_ended_fault())?;
        done.map_err(|fault| fault.during(operation))
    }
}

/// New files get pages of 8 KiB: one holds five cached vectors of 384 numbers, where 4 KiB hold two and
/// waste a fifth. A WAL of 8000 pages, 64 MiB, keeps checkpoints rare.
fn configure_connection(connection: &Connection) -> rusqlite::Result<()> {
    connection.set_prepared_statement_cache_capacity(CACHED_STATEMENTS_MAX);
    // The page size comes first: it cannot change once the file is in WAL mode.
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
        // A negative number is not ours: it counts as too new and is refused.
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
        // In the same transaction, so a crash never leaves a migration applied but not counted.
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
        .map_err(|error| Fault::transient_error(format!("starting the thread {name}"), error))?;
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
        debug_assert!(connection.is_autocommit(), "no transaction is open between rounds");
        let committed = connection.execute_batch("BEGIN IMMEDIATE").map_err(sql_fault).and_then(|()| {
            // No savepoint for the first call: most transactions hold one call, and a savepoint copies
            // pages.
            let ExecutedCall { worked, reply } = first(connection, TransactionPosition::First);
            replies.push(reply);
            if !worked {
                return roll_back_transaction(connection).map_err(sql_fault);
            }
            while replies.len() < CALLS_PER_COMMIT_MAX {
                // Only what is queued already: the writer never waits for company.
                let Ok(call) = calls.try_recv() else { break };
                replies.push(call(connection, TransactionPosition::Behind).reply);
                // An I/O error makes SQLite roll back by itself. A later call would then run outside of
                // any transaction.
                if connection.is_autocommit() {
                    break;
                }
            }
            connection.execute_batch("COMMIT").map_err(sql_fault)
        });
        if committed.is_err() {
            // The calls get the error of the commit. A failed rollback adds nothing to it.
            let _ = roll_back_transaction(connection);
        }
        for reply in replies {
            reply(committed.clone());
        }
    }
}

/// Rolls back the open transaction, unless an error has done so already.
fn roll_back_transaction(connection: &Connection) -> rusqlite::Result<()> {
    if connection.is_autocommit() { Ok(()) } else { connection.execute_batch("ROLLBACK") }
}

fn in_savepoint<T>(
    connection: &Connection,
    work: impl FnOnce(&Connection) -> Result<T, Fault>,
) -> Result<T, Fault> {
    connection.execute_batch("SAVEPOINT call").map_err(sql_fault)?;
    let result = work(connection);
    // ROLLBACK TO undoes the changes but keeps the savepoint open; RELEASE closes it.
    let end = if result.is_ok() { "RELEASE call" } else { "ROLLBACK TO call; RELEASE call" };
    connection.execute_batch(end).map_err(sql_fault)?;
    result
}

/// Runs `work` in one transaction: without it every statement would take its own snapshot and lock.
fn in_snapshot<T>(
    connection: &Connection,
    work: impl FnOnce(&Connection) -> Result<T, Fault>,
) -> Result<T, Fault> {
    // Unchecked takes `&Connection`. Calls on a thread never nest, so there is no outer transaction.
    let snapshot = connection.unchecked_transaction().map_err(sql_fault)?;
    let result = work(connection)?;
    snapshot.commit().map_err(sql_fault)?;
    Ok(result)
}

/// Locks, a full disk and I/O errors pass. Anything else is a defect, but retries are bounded.
fn sql_fault(error: rusqlite::Error) -> Fault {
    Fault::transient_error("ledger", error)
}

fn thread_ended_fault() -> Fault {
    Fault::transient("ledger: its thread has ended")
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails where one does")]
mod tests {
    //! Calls that share a transaction.

    use super::{SqliteDatabase, sql_fault};
    use contexture_core::fault::Fault;

    /// Adds a row, then fails if told to.
    async fn insert_number(database: &SqliteDatabase, number: i64, fails: bool) -> Result<(), Fault> {
        database
            .write("insert number", move |db| {
                db.execute("INSERT INTO numbers VALUES (?1)", [number]).map_err(sql_fault)?;
                if fails { Err(Fault::transient("told to")) } else { Ok(()) }
            })
            .await
    }

    /// A failed call leaves nothing behind, whether it is the first of its transaction or a later one,
    /// and all others are stored.
    #[tokio::test]
    async fn a_failed_call_leaves_the_other_calls_of_its_transaction_intact() {
        let directory = tempfile::tempdir().unwrap();
        let database = SqliteDatabase::open(&directory.path().join("ledger.db")).unwrap();
        database
            .write("a failed call leaves the other calls of its transaction intact", |db| {
                db.execute_batch("CREATE TABLE numbers (number INTEGER NOT NULL)").map_err(sql_fault)
            })
            .await
            .unwrap();
        let mut kept = Vec::new();
        for round in 0..20_i64 {
            // While the thread is busy with the first, the others queue up behind it.
            let fails = |place: i64| (round + place) % 3 == 0;
            let calls = (0..8).map(|place| insert_number(&database, 8 * round + place, fails(place)));
            let results = futures::future::join_all(calls).await;
            for (place, result) in (0..).zip(results) {
                assert_eq!(result.is_err(), fails(place));
                if result.is_ok() {
                    kept.push(8 * round + place);
                }
            }
        }
        let stored: Vec<i64> = database
            .read("a failed call leaves the other calls of its transaction intact", |db| {
                let mut select =
                    db.prepare("SELECT number FROM numbers ORDER BY number").map_err(sql_fault)?;
                let rows = select.query_map([], |row| row.get(0)).map_err(sql_fault)?;
                rows.collect::<Result<_, _>>().map_err(sql_fault)
            })
            .await
            .unwrap();
        assert_eq!(stored, kept);
    }
}
