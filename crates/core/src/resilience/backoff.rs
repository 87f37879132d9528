//! Delays between attempts: exponential, bounded. Messages wait in the tiers of the retry queues;
//! who lost a connection or a consumer comes back within seconds.

use std::time::Duration;

/// The tiers: after the first failure, the second, and so on; the last one repeats.
pub const RETRY_TIERS: [Duration; 5] = [
    Duration::from_secs(5),
    Duration::from_secs(30),
    Duration::from_mins(2),
    Duration::from_mins(10),
    Duration::from_hours(1),
];

/// The delay after the `failures`-th failure, counted from 1.
pub fn retry_delay(failures: u32) -> Duration {
    let tier = usize::try_from(failures.saturating_sub(1)).unwrap_or(usize::MAX).min(RETRY_TIERS.len() - 1);
    RETRY_TIERS[tier]
}

/// The longest wait before a lost connection or consumer is opened again.
const REOPEN_DELAY_MAX: Duration = Duration::from_secs(10);

/// The wait after the `failures`-th failure in a row to keep something open, counted from 1:
/// 100 ms, doubled each time, at most ten seconds.
pub fn reopen_delay(failures: u32) -> Duration {
    let doublings = failures.saturating_sub(1).min(16);
    (Duration::from_millis(100) * 2_u32.pow(doublings)).min(REOPEN_DELAY_MAX)
}
