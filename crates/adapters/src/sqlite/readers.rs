//! Connections that read, each on a thread of its own.
//!
//! Beside its own writer a process reads committed state (WAL). A process that only reads opens the file
//! of another one, and creates nothing beside it. Where a writer has the file open, or has crashed, the
//! log is there, and readers share it. After a writer has closed the file there is no log, and opening one
//! would create it. Then the file is read as it is, without locks. A writer that comes later may change it
//! at any moment, so after each read it is checked that the file is still the same; if not, it is opened
//! anew and read again.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::SystemTime;

use rusqlite::{Connection, OpenFlags};
use tokio::sync::oneshot;

use super::worker_threads::{
    DatabaseCall, ExecutedCall, SqliteWorkerThread, in_snapshot, run_reader_thread, spawn_worker_thread,
};
use super::{
    CACHED_STATEMENTS_MAX, MIGRATIONS, configure_connection, schema_too_new, schema_version, sql_fault,
    thread_ended_fault,
};
use contexture_core::fault::Fault;

/// Threads with a reading connection.
const READER_THREADS: usize = 2;

/// The reading connections of a process.
pub(super) struct SqliteReaders {
    threads: Vec<SqliteWorkerThread>,
    next: AtomicUsize,
    /// Set where the file is read without locks.
    unlocked: Option<Arc<UnlockedFile>>,
}

/// A file that is read without locks, as it was when it was opened.
struct UnlockedFile {
    path: PathBuf,
    stamp: (u64, Option<SystemTime>),
}

impl UnlockedFile {
    fn new(path: &Path) -> Result<Self, Fault> {
        Ok(Self { path: path.to_owned(), stamp: file_stamp(path)? })
    }

    /// Whether nobody has opened it for writing since.
    fn is_unchanged(&self) -> bool {
        // The log first: a writer makes it before anything else, and removes it last.
        !log_of(&self.path).exists() && file_stamp(&self.path).is_ok_and(|stamp| stamp == self.stamp)
    }
}

fn file_stamp(path: &Path) -> Result<(u64, Option<SystemTime>), Fault> {
    let metadata = std::fs::metadata(path)
        .map_err(|error| Fault::transient_error("ledger: looking at its file", error))?;
    Ok((metadata.len(), metadata.modified().ok()))
}

/// The write-ahead log of a file.
fn log_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push("-wal");
    PathBuf::from(name)
}

impl SqliteReaders {
    /// Opens the connections of a process that writes the file as well.
    pub(super) fn beside_writer(path: &Path) -> Result<Self, Fault> {
        Self::start(None, || {
            // Read-write although it only reads: readers of a WAL database write to its shared index.
            // No mutex: each connection stays on its thread.
            let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
            let connection = Connection::open_with_flags(path, flags).map_err(sql_fault)?;
            configure_connection(&connection).map_err(sql_fault)?;
            Ok(connection)
        })
    }

    /// Opens the connections of a process that only reads. Refuses a schema that is not its own, because it
    /// cannot bring it up to date.
    pub(super) fn read_only(path: &Path) -> Result<Self, Fault> {
        let unlocked = if log_of(path).exists() { None } else { Some(UnlockedFile::new(path)?) };
        let is_unlocked = unlocked.is_some();
        Self::start(unlocked, || {
            let connection = open_read_only(path, is_unlocked).map_err(sql_fault)?;
            check_schema(&connection)?;
            Ok(connection)
        })
    }

    fn start(
        unlocked: Option<UnlockedFile>,
        open: impl Fn() -> Result<Connection, Fault>,
    ) -> Result<Self, Fault> {
        let mut threads = Vec::with_capacity(READER_THREADS);
        for _ in 0..READER_THREADS {
            threads.push(spawn_worker_thread("ledger-reader", open()?, run_reader_thread)?);
        }
        Ok(Self { threads, next: AtomicUsize::new(0), unlocked: unlocked.map(Arc::new) })
    }

    /// Runs `work` in one snapshot; none if a writer has changed the file meanwhile.
    pub(super) async fn run<T, F>(&self, work: Arc<F>) -> Result<Option<T>, Fault>
    where
        T: Send + 'static,
        F: Fn(&Connection) -> Result<T, Fault> + Send + Sync + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let unlocked = self.unlocked.clone();
        let job: DatabaseCall = Box::new(move |connection, _| {
            let result = in_snapshot(connection, &*work);
            let is_valid = unlocked.is_none_or(|file| file.is_unchanged());
            ExecutedCall {
                worked: result.is_ok(),
                reply: Box::new(move |_| {
                    // An error may come from a change as well, so it does not count either.
                    let _ = answer.send(is_valid.then_some(result));
                }),
            }
        });
        // Round robin. Relaxed: the counter only spreads load.
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        self.threads[turn % self.threads.len()].call(job).await?;
        answered.await.map_err(|_| thread_ended_fault())?.transpose()
    }
}

fn open_read_only(path: &Path, is_unlocked: bool) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = if is_unlocked {
        let uri = format!("file:{}?immutable=1", escape_uri(path));
        Connection::open_with_flags(uri, flags | OpenFlags::SQLITE_OPEN_URI)?
    } else {
        Connection::open_with_flags(path, flags)?
    };
    connection.set_prepared_statement_cache_capacity(CACHED_STATEMENTS_MAX);
    connection.execute_batch(
        "PRAGMA query_only = ON; PRAGMA busy_timeout = 5000; PRAGMA cache_size = -32768; PRAGMA temp_store = MEMORY;",
    )?;
    Ok(connection)
}

/// The path in a URI of SQLite.
fn escape_uri(path: &Path) -> String {
    let path = path.to_string_lossy();
    path.replace('%', "%25").replace('?', "%3f").replace('#', "%23")
}

fn check_schema(connection: &Connection) -> Result<(), Fault> {
    let seen = schema_version(connection)?;
    if seen > MIGRATIONS.len() {
        return Err(schema_too_new(seen));
    }
    if seen < MIGRATIONS.len() {
        return Err(Fault::permanent(
            "ledger_too_old",
            format!(
                "the ledger has schema {seen}, this program needs {}; a command that writes, such as 'contexture \
                 ingest' or 'contexture serve', brings it up to date",
                MIGRATIONS.len()
            ),
        ));
    }
    Ok(())
}
