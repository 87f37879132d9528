//! Counters of this process, for progress bars and summaries.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

/// Work done since the process opened its data.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct IngestProgress {
    /// Versions that ended.
    pub settled: u64,
    /// Chunks committed.
    pub chunks: u64,
    /// Distinct texts the model embedded.
    pub embedded: u64,
    /// Chunks whose vector was known already.
    pub cached: u64,
}

/// Counts work and notifies watchers.
pub struct IngestCounters {
    settled: AtomicU64,
    chunks: AtomicU64,
    embedded: AtomicU64,
    cached: AtomicU64,
    at_work: AtomicU64,
    began: Instant,
    /// Time at which a stage last finished a batch, in ms since `began`.
    worked_ms: AtomicU64,
    watchers: watch::Sender<IngestProgress>,
}

/// Marks a stage as busy with a batch until it is dropped.
pub struct BusyStageGuard<'a>(&'a IngestCounters);

impl Drop for BusyStageGuard<'_> {
    fn drop(&mut self) {
        self.0.worked_ms.store(self.0.now_ms(), Ordering::Relaxed);
        // `Release` pairs with the `Acquire` in `is_at_work`: who sees zero also sees `worked_ms`.
        self.0.at_work.fetch_sub(1, Ordering::Release);
    }
}

impl Default for IngestCounters {
    fn default() -> Self {
        Self {
            settled: AtomicU64::new(0),
            chunks: AtomicU64::new(0),
            embedded: AtomicU64::new(0),
            cached: AtomicU64::new(0),
            at_work: AtomicU64::new(0),
            began: Instant::now(),
            worked_ms: AtomicU64::new(0),
            watchers: watch::Sender::new(IngestProgress::default()),
        }
    }
}

impl IngestCounters {
    /// Returns a receiver that changes when texts are embedded or versions end.
    pub fn watch(&self) -> watch::Receiver<IngestProgress> {
        self.watchers.subscribe()
    }

    /// Marks a stage as busy with a batch.
    pub fn work(&self) -> BusyStageGuard<'_> {
        self.at_work.fetch_add(1, Ordering::Relaxed);
        BusyStageGuard(self)
    }

    /// Whether a stage of this process is busy, or was less than `lately` ago. In the second case its
    /// documents may be on the way to the next stage.
    pub fn is_at_work(&self, lately: Duration) -> bool {
        if self.at_work.load(Ordering::Acquire) > 0 {
            return true;
        }
        let worked_ms = self.worked_ms.load(Ordering::Relaxed);
        worked_ms > 0 && Duration::from_millis(self.now_ms().saturating_sub(worked_ms)) < lately
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Counts committed chunks.
    pub fn committed(&self, chunks: u64) {
        self.chunks.fetch_add(chunks, Ordering::Relaxed);
    }

    /// Counts embedded texts and chunks that needed no call, and notifies watchers.
    pub fn embedded(&self, embedded: u64, cached: u64) {
        self.embedded.fetch_add(embedded, Ordering::Relaxed);
        self.cached.fetch_add(cached, Ordering::Relaxed);
        self.notify();
    }

    /// Counts ended versions and notifies watchers.
    pub fn settled(&self, versions: u64) {
        self.settled.fetch_add(versions, Ordering::Relaxed);
        self.notify();
    }

    fn notify(&self) {
        self.watchers.send_replace(IngestProgress {
            settled: self.settled.load(Ordering::Relaxed),
            chunks: self.chunks.load(Ordering::Relaxed),
            embedded: self.embedded.load(Ordering::Relaxed),
            cached: self.cached.load(Ordering::Relaxed),
        });
    }
}
