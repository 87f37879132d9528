//! Limits of the server: running calls, and bytes of requests in memory.
//!
//! A call or frame beyond a limit is refused at once and never queued: the caller keeps the queue. A
//! [`RequestTicket`] is one admitted call. Dropping it gives its room back.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::config::ServerLimits;
use contexture_core::fault::Refusal;

/// Admits calls while there is room.
#[derive(Debug)]
pub struct InFlightLimiter {
    requests: Arc<Semaphore>,
    requests_max: usize,
    bytes: Arc<InFlightBytes>,
    retry_after: Duration,
}

/// Bytes of requests that are in memory.
#[derive(Debug)]
struct InFlightBytes {
    used: AtomicUsize,
    max: usize,
}

/// One admitted call.
#[derive(Debug)]
pub struct RequestTicket {
    bytes: Arc<InFlightBytes>,
    charged: AtomicUsize,
    retry_after: Duration,
    _permit: OwnedSemaphorePermit,
}

impl InFlightLimiter {
    /// Creates a limiter with the configured limits.
    pub fn new(limits: &ServerLimits) -> Self {
        Self {
            requests: Arc::new(Semaphore::new(limits.requests_in_flight_max)),
            requests_max: limits.requests_in_flight_max,
            bytes: Arc::new(InFlightBytes {
                used: AtomicUsize::new(0),
                max: limits.request_bytes_in_flight_max,
            }),
            retry_after: limits.retry_after,
        }
    }

    /// Admits a call or refuses it at once.
    pub fn admit(&self) -> Result<RequestTicket, Refusal> {
        // `try`: waiting here would be a hidden queue without a bound.
        let permit = Arc::clone(&self.requests).try_acquire_owned().map_err(|_| {
            Refusal::exhausted(
                "requests_in_flight",
                self.retry_after,
                format!("{} calls are in work already; nothing was accepted", self.requests_max),
            )
        })?;
        Ok(RequestTicket {
            bytes: Arc::clone(&self.bytes),
            charged: AtomicUsize::new(0),
            retry_after: self.retry_after,
            _permit: permit,
        })
    }

    /// Returns the number of running calls.
    pub fn requests_in_flight(&self) -> usize {
        self.requests_max - self.requests.available_permits()
    }

    /// Returns the bytes of requests in memory.
    pub fn bytes_in_flight(&self) -> usize {
        self.bytes.used.load(Ordering::Relaxed)
    }
}

impl RequestTicket {
    /// Charges bytes that have arrived or refuses them.
    pub fn charge(&self, bytes: usize) -> Result<(), Refusal> {
        let fits = |used: usize| used.checked_add(bytes).filter(|sum| *sum <= self.bytes.max);
        // Check and addition are one atomic step, so concurrent calls cannot exceed the maximum together.
        // `Relaxed` suffices: the number guards no other memory.
        if self.bytes.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).is_err() {
            return Err(Refusal::exhausted(
                "bytes_in_flight",
                self.retry_after,
                format!("requests in work hold {} bytes already; nothing was accepted", self.bytes.max),
            ));
        }
        self.charged.fetch_add(bytes, Ordering::Relaxed);
        Ok(())
    }

    /// Gives back everything charged so far, because it has been processed.
    pub fn release(&self) {
        self.release_all_but(0);
    }

    /// Gives back what is charged beyond these bytes, which are still in memory.
    pub fn release_all_but(&self, kept: usize) {
        let keep = |charged: usize| Some(charged.min(kept));
        // The update makes a second release, such as that of `Drop`, give back nothing twice.
        let charged = self.charged.fetch_update(Ordering::Relaxed, Ordering::Relaxed, keep).unwrap_or(0);
        let freed = charged.saturating_sub(kept);
        let used = self.bytes.used.fetch_sub(freed, Ordering::Relaxed);
        debug_assert!(used >= freed, "a ticket gives back only what it charged");
    }
}

impl Drop for RequestTicket {
    fn drop(&mut self) {
        self.release();
    }
}
