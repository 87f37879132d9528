//! A circuit breaker: a provider that does not answer is left alone for a while.
//!
//! It is closed until [`FAILURES_IN_ROW_MAX`] calls fail in a row, or until at least half of no fewer
//! than [`COUNTED_CALLS_MIN`] calls fail within [`COUNTING_WINDOW_MS`]. Then it is open for
//! [`OPEN_MS_MIN`], doubled each time up to [`OPEN_MS_MAX`]. After that one call, the probe, is let
//! through and decides. Failures are calls without an answer or with a nonsensical one; a refusal is an
//! answer.

use serde::{Deserialize, Serialize};

/// Failures in a row that open it.
pub const FAILURES_IN_ROW_MAX: u32 = 5;
/// Calls of which half must fail to open it.
pub const COUNTED_CALLS_MIN: u32 = 10;
/// Period in which they are counted.
pub const COUNTING_WINDOW_MS: u64 = 30_000;
/// How long it stays open the first time.
pub const OPEN_MS_MIN: u64 = 5_000;
/// How long it stays open at most.
pub const OPEN_MS_MAX: u64 = 60_000;

/// What is known of a provider's health.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CircuitBreaker {
    row: u32,
    calls: u32,
    failures: u32,
    since_ms: u64,
    /// Open until then; 0 while closed.
    open_until_ms: u64,
    openings: u32,
    /// The lease of the probe, while it is under way.
    probe: Option<u64>,
}

/// Whether a call may be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BreakerDecision {
    /// Yes.
    Closed,
    /// Yes, as the probe.
    Probe,
    /// Not before then, in ms since the Unix epoch; 0 while the probe is under way.
    Open(u64),
}

impl CircuitBreaker {
    /// Whether a call may be made now.
    pub fn decision(&self, now_ms: u64) -> BreakerDecision {
        match (self.open_until_ms, self.probe) {
            (0, _) => BreakerDecision::Closed,
            (until_ms, _) if now_ms < until_ms => BreakerDecision::Open(until_ms),
            (_, Some(_)) => BreakerDecision::Open(0),
            (_, None) => BreakerDecision::Probe,
        }
    }

    /// Records which call is the probe.
    pub fn probing(&mut self, lease: u64) {
        self.probe = Some(lease);
    }

    /// Records an answered call.
    pub fn answered(&mut self, lease: u64, now_ms: u64) {
        if self.open_until_ms != 0 {
            // Only the probe decides: a call from before the opening says nothing about now.
            if self.probe == Some(lease) {
                *self = Self::default();
            }
            return;
        }
        self.count(now_ms);
        self.row = 0;
    }

    /// Records a failed call.
    pub fn failed(&mut self, lease: u64, now_ms: u64) {
        if self.open_until_ms != 0 {
            if self.probe == Some(lease) {
                self.open(now_ms);
            }
            return;
        }
        self.count(now_ms);
        self.row += 1;
        self.failures += 1;
        if self.row >= FAILURES_IN_ROW_MAX
            || (self.calls >= COUNTED_CALLS_MIN && self.failures * 2 >= self.calls)
        {
            self.open(now_ms);
        }
    }

    /// Records a call that ended without a result: its process died, or it was given up.
    pub fn lost(&mut self, lease: u64) {
        // The next call becomes the probe; the provider is as unknown as before.
        if self.probe == Some(lease) {
            self.probe = None;
        }
    }

    /// Follows a clock that was set back: counting began no later than `now_ms`, and the breaker stays
    /// open no longer than [`OPEN_MS_MAX`].
    pub fn rewind(&mut self, now_ms: u64) {
        self.since_ms = self.since_ms.min(now_ms);
        self.open_until_ms = self.open_until_ms.min(now_ms + OPEN_MS_MAX);
    }

    fn count(&mut self, now_ms: u64) {
        if now_ms >= self.since_ms + COUNTING_WINDOW_MS {
            (self.calls, self.failures, self.since_ms) = (0, 0, now_ms);
        }
        self.calls += 1;
    }

    fn open(&mut self, now_ms: u64) {
        // Eight doublings pass the maximum; the bound keeps the shift within 64 bits.
        let open_ms = (OPEN_MS_MIN << self.openings.min(8)).min(OPEN_MS_MAX);
        let openings = self.openings + 1;
        // Counters and the probe start anew; only the number of openings lasts, until an answer.
        *self = Self { open_until_ms: now_ms + open_ms, openings, ..Self::default() };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_of_failures_opens_it_and_one_call_decides() {
        let mut breaker = CircuitBreaker::default();
        for lease in 0..4 {
            breaker.failed(lease, 1000);
        }
        assert_eq!(breaker.decision(1000), BreakerDecision::Closed);
        breaker.failed(4, 1000);
        assert_eq!(breaker.decision(1000), BreakerDecision::Open(6000));
        assert_eq!(breaker.decision(6000), BreakerDecision::Probe);
        breaker.probing(9);
        assert_eq!(breaker.decision(6000), BreakerDecision::Open(0));
        breaker.answered(3, 6000);
        assert_eq!(breaker.decision(6000), BreakerDecision::Open(0), "a call from before says nothing");
        breaker.failed(9, 7000);
        assert_eq!(breaker.decision(7000), BreakerDecision::Open(17_000), "twice as long");
        breaker.probing(10);
        breaker.lost(10);
        assert_eq!(breaker.decision(17_000), BreakerDecision::Probe);
        breaker.probing(11);
        breaker.answered(11, 17_100);
        assert_eq!(breaker, CircuitBreaker::default());
    }

    #[test]
    fn it_is_open_for_a_minute_at_most() {
        let mut breaker = CircuitBreaker::default();
        let mut now_ms = 0;
        let mut calls = 0;
        // Ten minutes of failures: how many calls are made in all?
        while now_ms < 600_000 {
            match breaker.decision(now_ms) {
                BreakerDecision::Open(until_ms) => now_ms = until_ms,
                decision => {
                    if decision == BreakerDecision::Probe {
                        breaker.probing(calls);
                    }
                    breaker.failed(calls, now_ms);
                    calls += 1;
                }
            }
        }
        assert_eq!(calls, 17);
    }

    #[test]
    fn half_of_many_opens_it_and_few_do_not() {
        let mut breaker = CircuitBreaker::default();
        for lease in 0..4 {
            breaker.failed(lease, 0);
            breaker.answered(lease, 0);
        }
        assert_eq!(breaker.decision(0), BreakerDecision::Closed, "eight calls are too few to tell");
        breaker.answered(8, COUNTING_WINDOW_MS);
        for lease in 0..4 {
            breaker.answered(lease, COUNTING_WINDOW_MS);
            breaker.failed(lease, COUNTING_WINDOW_MS);
        }
        assert_eq!(breaker.decision(COUNTING_WINDOW_MS), BreakerDecision::Closed, "a new window counts anew");
        breaker.failed(9, COUNTING_WINDOW_MS);
        assert!(matches!(breaker.decision(COUNTING_WINDOW_MS), BreakerDecision::Open(_)));
    }
}
