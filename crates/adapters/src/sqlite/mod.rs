//! Ledger and durable queue in one SQLite file.
//!
//! * One thread owns the only writing connection. Calls that arrive together share a transaction and
//!   thus one fsync (group commit).
//! * If the first call of a transaction fails, the whole transaction is rolled back. Each later call
//!   runs in a savepoint, which copies every page it changes. So a failed call leaves the other calls
//!   intact.
//! * No call is answered before the commit.
//! * Reads use connections of their own and see committed state only (WAL). Processes that only read
//!   open the file beside the one that writes it ([`SqliteDatabase::open_read_only`]).
//! * `synchronous = FULL`: what is answered survives a power cut, as far as the disk honours fsync.

mod broker;
mod change_log;
mod collection_drops;
mod collection_state;
mod conversions;
mod document_ledger;
mod embedding_cache;
mod generation_build;
mod generations;
mod intake;
mod ledger;
mod queue_messages;
mod readers;
mod rows;
mod shared_states;
mod source_ledger;
mod stages;
mod version_outcomes;
mod version_queries;
mod worker_threads;

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use rusqlite::{Connection, OpenFlags, TransactionBehavior};
use tokio::sync::oneshot;

pub use broker::SqliteBroker;
pub use ledger::SqliteLedger;
use readers::SqliteReaders;
pub use shared_states::SqliteSharedStates;
use worker_threads::{
    DatabaseCall, ExecutedCall, SqliteWorkerThread, TransactionPosition, in_savepoint, run_writer_thread,
    spawn_worker_thread,
};

use crate::memory::LeaseTable;
use contexture_core::fault::Fault;

/// Most times that a read is repeated because a writer changed a file that is read without locks. A writer
/// makes its log when it opens the file, and the readers share that from then on.
const REREADS_MAX: usize = 8;
/// Prepared statements kept per connection.
const CACHED_STATEMENTS_MAX: usize = 64;

/// The migrations, in order. `user_version` counts those applied to a file.
const MIGRATIONS: [&str; 12] = [
    include_str!("migrations/0001_ledger.sql"),
    include_str!("migrations/0002_cache_bound.sql"),
    include_str!("migrations/0003_log.sql"),
    include_str!("migrations/0004_redeliveries.sql"),
    include_str!("migrations/0005_states.sql"),
    include_str!("migrations/0006_generations.sql"),
    include_str!("migrations/0007_queues.sql"),
    include_str!("migrations/0008_letters_by_version.sql"),
    include_str!("migrations/0009_dropped_collections.sql"),
    include_str!("migrations/0010_sources.sql"),
    include_str!("migrations/0011_settled_sources.sql"),
    include_str!("migrations/0012_conversions.sql"),
];

/// A handle to the file; clones share its threads.
#[derive(Clone)]
pub struct SqliteDatabase(Arc<SqliteThreadPool>);

/// Dropping it closes the connections and waits, so that the file can be opened again at once.
struct SqliteThreadPool {
    path: PathBuf,
    /// None in a process that only reads.
    writer: Option<SqliteWorkerThread>,
    readers: RwLock<Arc<SqliteReaders>>,
    /// One process writes the file, so leases need not outlive it.
    leases: LeaseTable,
}

impl SqliteDatabase {
    /// Opens or creates the file, brings its schema up to date and starts the threads.
    pub fn open(path: &Path) -> Result<Self, Fault> {
        let mut connection = Connection::open(path).map_err(sql_fault)?;
        configure_connection(&connection).map_err(sql_fault)?;
        apply_migrations(&mut connection)?;
        let writer = spawn_worker_thread("ledger-writer", connection, run_writer_thread)?;
        Ok(Self::with_threads(path, Some(writer), SqliteReaders::beside_writer(path)?))
    }

    /// Opens an existing file for reading, beside the process that writes it and any number of others.
    /// Creates nothing. Refuses another schema than this program's.
    pub fn open_read_only(path: &Path) -> Result<Self, Fault> {
        Ok(Self::with_threads(path, None, SqliteReaders::read_only(path)?))
    }

    fn with_threads(path: &Path, writer: Option<SqliteWorkerThread>, readers: SqliteReaders) -> Self {
        Self(Arc::new(SqliteThreadPool {
            path: path.to_owned(),
            writer,
            readers: RwLock::new(Arc::new(readers)),
            leases: LeaseTable::default(),
        }))
    }

    /// Whether this process only reads the file.
    fn is_read_only(&self) -> bool {
        self.0.writer.is_none()
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
        let refuse = || Fault::permanent("ledger_read_only", "this process only reads the ledger");
        self.0.writer.as_ref().ok_or_else(refuse)?.call(job).await?;
        let done = answered.await.map_err(|_| thread_ended_fault())?;
        done.map_err(|fault| fault.during(operation))
    }

    /// Writes the log into the file and cuts it to nothing: its old pages hold what was deleted since. Where readers are
    /// at it the log stays for now; the next call, or the end of the process, cuts it.
    async fn truncate_log(&self) -> Result<(), Fault> {
        let path = self.0.path.clone();
        let truncate = move || -> rusqlite::Result<()> {
            let connection = Connection::open(path)?;
            connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
        };
        let truncated = tokio::task::spawn_blocking(truncate).await;
        truncated.map_err(|error| Fault::transient_error("cutting the log", error))?.map_err(sql_fault)
    }

    /// Runs `work` on a reading connection, in one snapshot.
    async fn read<T, F>(&self, operation: &'static str, work: F) -> Result<T, Fault>
    where
        T: Send + 'static,
        F: Fn(&Connection) -> Result<T, Fault> + Send + Sync + 'static,
    {
        let work = Arc::new(work);
        for _ in 0..REREADS_MAX {
            let readers = self.0.readers.read().unwrap_or_else(PoisonError::into_inner).clone();
            if let Some(found) = readers.run(work.clone()).await.map_err(|fault| fault.during(operation))? {
                return Ok(found);
            }
            self.reopen_readers().await.map_err(|fault| fault.during(operation))?;
        }
        Err(Fault::transient("ledger: its file changes all the time").during(operation))
    }

    async fn reopen_readers(&self) -> Result<(), Fault> {
        let path = self.0.path.clone();
        let opened = tokio::task::spawn_blocking(move || SqliteReaders::read_only(&path))
            .await
            .map_err(|error| Fault::transient_error("ledger: opening its file again", error))??;
        *self.0.readers.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(opened);
        Ok(())
    }

    /// Runs `work` in a transaction on a connection of its own, which closes at once. For the little that a
    /// process writes that otherwise only reads: the writer of the file waits for it, and it for the writer.
    async fn write_apart<T, F>(&self, operation: &'static str, work: F) -> Result<T, Fault>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    {
        let path = self.0.path.clone();
        let write = move || {
            let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
            let mut connection = Connection::open_with_flags(path, flags).map_err(sql_fault)?;
            configure_connection(&connection).map_err(sql_fault)?;
            // Immediate: a transaction that begins with a read cannot wait when it comes to write.
            let immediate = TransactionBehavior::Immediate;
            let transaction = connection.transaction_with_behavior(immediate).map_err(sql_fault)?;
            let result = work(&transaction)?;
            transaction.commit().map_err(sql_fault)?;
            Ok(result)
        };
        let done = tokio::task::spawn_blocking(write)
            .await
            .map_err(|error| Fault::transient_error("ledger: writing apart", error))?;
        done.map_err(|fault: Fault| fault.during(operation))
    }
}

/// New files get pages of 8 KiB: one holds five cached vectors of 384 numbers, where 4 KiB hold two and
/// waste a fifth. A WAL of 8000 pages, 64 MiB, keeps checkpoints rare. What is deleted is overwritten with zeros.
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
         PRAGMA secure_delete = ON;
         PRAGMA wal_autocheckpoint = 8000;",
    )
}

fn apply_migrations(connection: &mut Connection) -> Result<(), Fault> {
    let seen = schema_version(connection)?;
    if seen > MIGRATIONS.len() {
        return Err(schema_too_new(seen));
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

/// How many migrations a file has.
fn schema_version(connection: &Connection) -> Result<usize, Fault> {
    let seen: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(sql_fault)?;
    // A negative number is not ours: it counts as too new and is refused.
    Ok(seen.try_into().unwrap_or(usize::MAX))
}

fn schema_too_new(seen: usize) -> Fault {
    let known = MIGRATIONS.len();
    Fault::permanent(
        "ledger_too_new",
        format!("the ledger has schema {seen}, this program knows {known}; use a newer program"),
    )
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
