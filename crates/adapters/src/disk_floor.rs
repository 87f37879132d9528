//! The room on the disk of the data directory, and a floor below which nothing is taken in.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use contexture_core::ports::disk_space::DiskSpace;
use tokio::time::Instant;

/// How long an answer of the system is believed.
const BELIEVED: Duration = Duration::from_millis(500);
/// Bytes of a MiB.
const MIB: u64 = 1 << 20;

/// Keeps a floor of free bytes.
#[derive(Debug)]
pub struct DiskFloor {
    directory: PathBuf,
    free_bytes_min: u64,
    asked: Mutex<Option<(Instant, Option<u64>)>>,
}

impl DiskFloor {
    /// At least `free_bytes_min` bytes stay free on the disk of `directory`; 0 watches nothing.
    pub fn new(directory: PathBuf, free_bytes_min: u64) -> Self {
        Self { directory, free_bytes_min, asked: Mutex::new(None) }
    }

    /// Free bytes; none if the system does not say.
    fn free_bytes(&self) -> Option<u64> {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((when, free)) = *asked
            && when.elapsed() < BELIEVED
        {
            return free;
        }
        // Before the first document there is no directory; the disk is that of the folder above.
        let existing = self.directory.ancestors().find(|folder| folder.exists());
        let free = existing.and_then(|folder| fs4::available_space(folder).ok());
        *asked = Some((Instant::now(), free));
        free
    }
}

impl DiskSpace for DiskFloor {
    fn shortage(&self) -> Option<String> {
        if self.free_bytes_min == 0 {
            return None;
        }
        let free = self.free_bytes().filter(|free| *free < self.free_bytes_min)?;
        Some(format!(
            "the disk of {} has {} MiB free, and limits.disk_free_bytes_min is {} MiB; free some, or lower it",
            self.directory.display(),
            free / MIB,
            self.free_bytes_min / MIB
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::DiskFloor;
    use contexture_core::ports::disk_space::DiskSpace;

    #[test]
    fn a_floor_above_what_is_free_is_a_shortage() {
        let directory = std::env::temp_dir().join("is-not-there-yet");
        let short = DiskFloor::new(directory.clone(), 1 << 60).shortage();
        assert!(short.is_some_and(|words| words.contains("MiB free")));
        assert_eq!(DiskFloor::new(directory.clone(), 1).shortage(), None);
        assert_eq!(DiskFloor::new(directory, 0).shortage(), None);
    }
}
