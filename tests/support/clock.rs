//! A clock that moves when told to, and one that follows tokio.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use contexture_core::ports::clock::WallClock;
use tokio::time::Instant;

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

/// The clock of tokio, which stands still where a test pauses it.
pub(crate) struct TokioClock(Instant);

impl TokioClock {
    pub(crate) const START_MS: u64 = 1_000_000;

    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self(Instant::now()))
    }
}

impl WallClock for TokioClock {
    fn now_ms(&self) -> u64 {
        Self::START_MS + u64::try_from(self.0.elapsed().as_millis()).unwrap()
    }
}
