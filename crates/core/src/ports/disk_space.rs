//! The room on the disk that this process writes to.
//!
//! Engines map files into memory, and a write to a map beyond the disk's end kills the process. So room is watched
//! before it is needed: below a floor nothing new is taken in and no stage goes on, while everything can be read and
//! documents can be deleted.

use std::fmt;

/// Watches the room.
pub trait DiskSpace: Send + Sync + fmt::Debug {
    /// What is short, and what to do, in words; none while there is enough. Cheap enough to ask for every batch.
    fn shortage(&self) -> Option<String>;
}

/// Never short: for processes that write to no disk of their own.
#[derive(Debug, Clone, Copy, Default)]
pub struct UnwatchedDiskSpace;

impl DiskSpace for UnwatchedDiskSpace {
    fn shortage(&self) -> Option<String> {
        None
    }
}
