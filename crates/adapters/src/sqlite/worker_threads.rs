//! The threads that own connections, and the calls that run on them.

use std::thread::JoinHandle;

use rusqlite::Connection;
use tokio::sync::mpsc;

use super::{sql_fault, thread_ended_fault};
use contexture_core::fault::Fault;

/// Calls that may queue for a thread; further callers wait.
const CALLS_QUEUED_MAX: usize = 256;
/// Most calls that share one transaction.
const CALLS_PER_COMMIT_MAX: usize = 128;

pub(super) type DatabaseCall = Box<dyn FnOnce(&Connection, TransactionPosition) -> ExecutedCall + Send>;
pub(super) type CommitReply = Box<dyn FnOnce(Result<(), Fault>) + Send>;

/// Position of a call in its transaction.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum TransactionPosition {
    First,
    Behind,
}

/// A call that ran and awaits the commit.
pub(super) struct ExecutedCall {
    /// Whether it succeeded. If not, and it was the first, the transaction still holds its partial
    /// writes.
    pub(super) worked: bool,
    pub(super) reply: CommitReply,
}

pub(super) struct SqliteWorkerThread {
    calls: Option<mpsc::Sender<DatabaseCall>>,
    handle: Option<JoinHandle<()>>,
}

impl SqliteWorkerThread {
    pub(super) async fn call(&self, work: DatabaseCall) -> Result<(), Fault> {
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

pub(super) fn spawn_worker_thread(
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

pub(super) fn run_reader_thread(connection: &Connection, mut calls: mpsc::Receiver<DatabaseCall>) {
    while let Some(call) = calls.blocking_recv() {
        (call(connection, TransactionPosition::First).reply)(Ok(()));
    }
}

pub(super) fn run_writer_thread(connection: &Connection, mut calls: mpsc::Receiver<DatabaseCall>) {
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

pub(super) fn in_savepoint<T>(
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
pub(super) fn in_snapshot<T>(
    connection: &Connection,
    work: impl FnOnce(&Connection) -> Result<T, Fault>,
) -> Result<T, Fault> {
    // Unchecked takes `&Connection`. Calls on a thread never nest, so there is no outer transaction.
    let snapshot = connection.unchecked_transaction().map_err(sql_fault)?;
    let result = work(connection)?;
    snapshot.commit().map_err(sql_fault)?;
    Ok(result)
}
