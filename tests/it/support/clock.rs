//! A clock that moves when told to.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use contexture::ports::clock::WallClock;

/// Starts at a round number, so that stamps are easy to read in a failure.
pub(crate) struct ManualClock(AtomicU64);

impl ManualClock {
    pub(crate) const START_MS: u64 = 1_000_000;

    pub(crate) fn new() -> Self {
        Self(AtomicU64::new(Self::START_MS))
    }

    pub(crate) fn advance(&self, by: Duration) {
        self.0.fetch_add(u64::try_from(by.as_millis()).unwrap(), Ordering::SeqCst);
    }
}

impl WallClock for ManualClock {
    fn now_ms(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}
