//! One process per data directory.

use std::fs::{File, TryLockError};
use std::path::Path;

use contexture_core::fault::{Refusal, RefusalKind};

/// Holds the directory until dropped; the system releases it when the process dies.
pub(super) struct DataDirectoryLock {
    _file: File,
}

impl DataDirectoryLock {
    /// Makes the directory if it is not there, and takes it.
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
