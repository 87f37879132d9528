//! The lock that gives a data directory to one writer, and the access to indexes that follows from it.
//!
//! The file holds the writer's process id, for the message to others. Processes that only read take no lock.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Write};
use std::path::Path;

use super::catalog::IndexAccessMode;
use super::roles::StartupPlan;
use crate::config::ContextureConfig;
use contexture_core::fault::{Refusal, RefusalKind};

/// Holds the directory until dropped. The operating system releases it when the process dies.
pub(super) struct DataDirectoryLock {
    _file: File,
}

impl DataDirectoryLock {
    /// Creates the directory if it does not exist, and locks it. Does not wait for another holder.
    pub(super) fn acquire(directory: &Path) -> Result<Self, Refusal> {
        let refuse = |code, error: &dyn std::fmt::Display| {
            let message = format!("the data directory {} {error}", directory.display());
            Refusal::new(RefusalKind::Unavailable, code, "data_dir", message)
        };
        std::fs::create_dir_all(directory)
            .map_err(|error| refuse("data_dir_unusable", &format!("cannot be made: {error}")))?;
        // Not truncated before it is locked: it names the holder.
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(directory.join("lock"))
            .map_err(|error| refuse("data_dir_unusable", &format!("cannot be written: {error}")))?;
        match file.try_lock() {
            Ok(()) => {
                // The number only helps people: whoever holds the lock has it, named or not.
                if let Err(error) = write_process_id(&mut file) {
                    tracing::debug!(%error, "the lock does not name this process");
                }
                Ok(Self { _file: file })
            }
            Err(TryLockError::WouldBlock) => {
                let holder = read_process_id(&mut file)
                    .map_or_else(|| "another process".to_owned(), |id| format!("process {id}"));
                Err(refuse(
                    "data_dir_in_use",
                    &format!(
                        "is in use by {holder}; use --server to ask it, or stop it, or name another directory \
                         with --data"
                    ),
                ))
            }
            Err(TryLockError::Error(error)) => {
                Err(refuse("data_dir_unusable", &format!("cannot be locked: {error}")))
            }
        }
    }
}

/// Longest process id that is read, in digits.
const PROCESS_ID_DIGITS_MAX: u64 = 20;

fn write_process_id(file: &mut File) -> std::io::Result<()> {
    file.set_len(0)?;
    writeln!(file, "{}", std::process::id())?;
    file.flush()
}

/// The process id in a lock; none where an older program made it.
fn read_process_id(file: &mut File) -> Option<u64> {
    let mut text = String::new();
    file.take(PROCESS_ID_DIGITS_MAX).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

/// Whether a process holds the lock of a data directory.
pub fn is_data_directory_locked(directory: &Path) -> bool {
    // Opened without making it: whoever only asks must not write.
    let file = File::open(directory.join("lock"));
    file.is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

/// Locks the data directory where this process writes to it, and tells how it opens indexes.
pub(super) fn lock_data_directory(
    config: &ContextureConfig,
    plan: &StartupPlan,
) -> Result<(Option<DataDirectoryLock>, IndexAccessMode), Refusal> {
    let mode = match (plan.index, plan.shared) {
        (false, _) => IndexAccessMode::Absent,
        (true, false) => IndexAccessMode::Written,
        (true, true) => IndexAccessMode::Followed,
    };
    if plan.reads_beside {
        let mode = if plan.index { IndexAccessMode::ReadOnly } else { IndexAccessMode::Absent };
        return Ok((None, mode));
    }
    // Nothing is written to the directory: the ledger is elsewhere.
    if !plan.index && plan.shared {
        return Ok((None, mode));
    }
    match DataDirectoryLock::acquire(&config.data_dir) {
        Ok(lock) => Ok((Some(lock), mode)),
        // Somebody on this machine writes the indexes already; a query reads along.
        Err(refusal) if plan.may_read_only && refusal.code == "data_dir_in_use" => {
            Ok((None, IndexAccessMode::ReadOnly))
        }
        Err(refusal) => Err(refusal),
    }
}
