//! A limit per minute, spread evenly: the generic cell rate algorithm (ITU-T I.371, annex A).
//!
//! The state is one number: the time at which everything taken so far is paid for. Units are given out
//! up to [`RATE_BURST`] early. So a caller that was late catches up, and any minute sees at most that
//! much above the limit.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Largest burst after a pause: the units that accrue in this time.
pub const RATE_BURST: Duration = Duration::from_millis(250);
const MINUTE_MS: f64 = 60_000.0;

/// Usage of one limit per minute.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct MinuteRateLimit {
    /// When everything taken is paid for, in ms since the Unix epoch.
    paid_ms: f64,
}

impl MinuteRateLimit {
    /// The earliest time, in ms, at which units may be taken: now, or later.
    pub fn available_at_ms(&self, per_minute: u32, now_ms: f64) -> f64 {
        // A unit may always go while nothing is owed, however low the limit. So the size of a request
        // is not asked for: a large one goes, and what follows waits until it is paid for.
        (self.paid_ms - burst_ms(per_minute)).max(now_ms)
    }

    /// Takes `units` at a time that [`MinuteRateLimit::available_at_ms`] allowed.
    pub fn take(&mut self, units: f64, per_minute: u32, at_ms: f64) {
        self.paid_ms = self.paid_ms.max(at_ms) + units * MINUTE_MS / f64::from(per_minute.max(1));
    }

    /// Corrects what was taken by `units`: more, or less where the number is negative.
    pub fn correct(&mut self, units: f64, per_minute: u32, now_ms: f64) {
        let paid_ms = self.paid_ms + units * MINUTE_MS / f64::from(per_minute.max(1));
        // Less: what is paid for may lie in the past. More: the surplus is owed from now on.
        self.paid_ms = if units < 0.0 { paid_ms } else { paid_ms.max(now_ms) };
    }

    /// Forgives debt that would be paid for only after `until_ms`.
    pub fn cap_debt(&mut self, until_ms: f64) {
        self.paid_ms = self.paid_ms.min(until_ms);
    }

    /// Leaves nothing until `until_ms`.
    pub fn exhaust_until(&mut self, until_ms: f64) {
        self.paid_ms = self.paid_ms.max(until_ms);
    }
}

fn burst_ms(per_minute: u32) -> f64 {
    let unit_ms = MINUTE_MS / f64::from(per_minute.max(1));
    (RATE_BURST.as_secs_f64() * 1000.0 - unit_ms).max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Calls that get through when a caller takes whatever it can, until `end_ms`.
    fn taken(rate: &mut MinuteRateLimit, per_minute: u32, end_ms: f64) -> Vec<f64> {
        let mut times = Vec::new();
        let mut now_ms = 0.0;
        loop {
            now_ms = rate.available_at_ms(per_minute, now_ms);
            if now_ms >= end_ms {
                return times;
            }
            rate.take(1.0, per_minute, now_ms);
            times.push(now_ms);
        }
    }

    #[test]
    fn a_minute_has_what_it_may_have_and_a_short_burst() {
        for per_minute in [1, 7, 60, 600, 6000] {
            let times = taken(&mut MinuteRateLimit::default(), per_minute, 180_000.0);
            let allowed = 3 * per_minute as usize;
            assert!(times.len() >= allowed, "{per_minute}: {}", times.len());
            for start in [0.0, 30_000.0, 61_234.0, 120_000.0] {
                let within = times.iter().filter(|at| (start..start + 60_000.0).contains(*at)).count();
                assert!(
                    within <= per_minute as usize + 1 + per_minute as usize / 240,
                    "{per_minute}: {within}"
                );
            }
        }
    }

    #[test]
    fn what_turned_out_cheaper_is_given_back() {
        let mut rate = MinuteRateLimit::default();
        rate.take(600.0, 600, 0.0);
        assert!(rate.available_at_ms(600, 0.0) > 59_000.0);
        rate.correct(-590.0, 600, 0.0);
        assert!(rate.available_at_ms(600, 0.0) <= 1000.0);
        rate.exhaust_until(5000.0);
        assert!(rate.available_at_ms(600, 0.0) >= 4750.0);
    }
}
