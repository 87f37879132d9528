//! Delays between attempts: exponential, bounded, the same tiers as the retry queues.

use std::time::Duration;

/// The tiers: after the first failure, the second, and so on; the last one repeats.
pub const TIERS: [Duration; 5] = [
    Duration::from_secs(5),
    Duration::from_secs(30),
    Duration::from_mins(2),
    Duration::from_mins(10),
    Duration::from_hours(1),
];

/// The delay after the `failures`-th failure, counted from 1.
pub fn delay(failures: u32) -> Duration {
    let tier = usize::try_from(failures.saturating_sub(1)).unwrap_or(usize::MAX).min(TIERS.len() - 1);
    TIERS[tier]
}
