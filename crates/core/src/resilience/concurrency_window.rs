//! How many calls may be open at once: additive increase, multiplicative decrease (Chiu and Jain,
//! 1989), as TCP does it.
//!
//! A served call widens the window by one per window, if the window was in use. A call that was
//! throttled or timed out halves it, at most once per [`CUT_PAUSE_MS`]: the calls that were open at the
//! same time report the same overload again.

use serde::{Deserialize, Serialize};

/// Open calls before anything is known.
const INITIAL_CALLS: f64 = 4.0;
/// Shortest time between two halvings.
pub const CUT_PAUSE_MS: u64 = 1000;

/// The number of calls that may be open at once.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ConcurrencyWindow {
    size: f64,
    cut_ms: u64,
}

impl Default for ConcurrencyWindow {
    fn default() -> Self {
        Self { size: INITIAL_CALLS, cut_ms: 0 }
    }
}

impl ConcurrencyWindow {
    /// Its size in whole calls, at least one, at most `calls_max`.
    pub fn calls(&self, calls_max: u32) -> usize {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small and positive")]
        let calls = self.size.floor() as usize;
        calls.clamp(1, (calls_max as usize).max(1))
    }

    /// Records a served call; `open` counts the open calls, itself included.
    pub fn served(&mut self, open: usize, calls_max: u32) {
        // A window that is less than half used proves nothing about a wider one.
        let in_use = open * 2 >= self.calls(calls_max);
        if in_use {
            // One call more after a whole window of served calls.
            self.size = (self.size + 1.0 / self.size).min(f64::from(calls_max.max(1)));
        }
    }

    /// Records a call that was throttled or timed out.
    pub fn halve(&mut self, now_ms: u64) {
        if now_ms >= self.cut_ms + CUT_PAUSE_MS {
            self.size = (self.size / 2.0).max(1.0);
            self.cut_ms = now_ms;
        }
    }

    /// Follows a clock that was set back: no halving happened later than `now_ms`.
    pub fn rewind(&mut self, now_ms: u64) {
        self.cut_ms = self.cut_ms.min(now_ms);
    }

    /// Goes back to one call at a time, until calls are served again.
    pub fn reset_to_one(&mut self) {
        self.size = 1.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_grows_by_one_per_window_while_it_is_used() {
        let mut window = ConcurrencyWindow::default();
        for _ in 0..4 {
            window.served(4, 32);
        }
        assert_eq!(window.calls(32), 4, "a little less than one: each call sees what others added");
        window.served(4, 32);
        assert_eq!(window.calls(32), 5);
        for _ in 0..100 {
            window.served(1, 32);
        }
        assert_eq!(window.calls(32), 5, "who does not use it learns nothing");
        for _ in 0..10_000 {
            window.served(32, 32);
        }
        assert_eq!(window.calls(32), 32);
        assert_eq!(window.calls(8), 8);
    }

    #[test]
    fn a_burst_of_refusals_cuts_once() {
        let mut window = ConcurrencyWindow { size: 16.0, cut_ms: 0 };
        for _ in 0..16 {
            window.halve(5000);
        }
        assert_eq!(window.calls(32), 8);
        for second in 6..30 {
            window.halve(second * 1000);
        }
        assert_eq!(window.calls(32), 1);
    }
}
