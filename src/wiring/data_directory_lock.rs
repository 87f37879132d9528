//! The lock that gives a data directory to one process, and the access to indexes that follows from it.

use std::fs::{File, TryLockError};
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
        let file = File::create(directory.join("lock"))
            .map_err(|error| refuse("data_dir_unusable", &format!("cannot be written: {error}")))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(refuse(
                "data_dir_in_use",
                &"is in use by another process; stop it, or name another directory with --data",
            )),
            Err(TryLockError::Error(error)) => {
                Err(refuse("data_dir_unusable", &format!("cannot be locked: {error}")))
            }
        }
    }
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
    // Nothing is written to the directory: the ledger is elsewhere, or it is read only.
    if !plan.index && (plan.shared || plan.inspects_only) {
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
