//! Retries: how long to wait between attempts, and how many retries are allowed in all.
//!
//! Delays are exponential and bounded. Failed messages wait in the tiers of the retry queues; a lost
//! connection or consumer is reopened within seconds.
//!
//! [`RetryBudget`] is a token bucket with the constants of the AWS SDKs' standard retry mode
//! (`aws-smithy-runtime`, `client::retries::TokenBucket`): 500 tokens, 5 for a retry, one back for a
//! call that is served. One token also comes back every second: when only retries are left to do,
//! nothing else would refill the bucket.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Delay after the first failure, the second, and so on; the last one repeats. Each is a queue of its
/// own in the broker.
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

/// Longest delay before a lost connection or consumer is reopened.
const REOPEN_DELAY_MAX: Duration = Duration::from_secs(10);

/// The delay before reopening after the `failures`-th failure in a row, counted from 1: 100 ms, doubled
/// each time, at most ten seconds.
pub fn reopen_delay(failures: u32) -> Duration {
    // The bound keeps the power of two within `u32`; the delay reaches its maximum long before.
    let doublings = failures.saturating_sub(1).min(16);
    (Duration::from_millis(100) * 2_u32.pow(doublings)).min(REOPEN_DELAY_MAX)
}

/// Tokens of a full budget.
pub const RETRY_TOKENS_MAX: u32 = 500;
/// Tokens of one retry.
pub const RETRY_COST: u32 = 5;
/// Tokens that a served call brings.
const SERVED_REFUND: u32 = 1;
/// Tokens that come back every second.
const REFILL_PER_SECOND: u32 = 1;

/// A token bucket for retries.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetryBudget {
    // What was taken, not what is left: the default, all zero, is a full bucket.
    spent: u32,
    filled_ms: u64,
}

impl RetryBudget {
    /// Takes the cost of a retry, or returns the ms to wait until there is enough.
    pub fn take(&mut self, now_ms: u64) -> Result<(), u64> {
        self.fill(now_ms);
        if self.spent + RETRY_COST <= RETRY_TOKENS_MAX {
            self.spent += RETRY_COST;
            return Ok(());
        }
        let missing = self.spent + RETRY_COST - RETRY_TOKENS_MAX;
        Err(u64::from(missing.div_ceil(REFILL_PER_SECOND)) * 1000)
    }

    /// A call was served.
    pub fn served(&mut self) {
        self.spent = self.spent.saturating_sub(SERVED_REFUND);
    }

    /// Follows a clock that was set back: no refill happened later than `now_ms`.
    pub fn rewind(&mut self, now_ms: u64) {
        self.filled_ms = self.filled_ms.min(now_ms);
    }

    fn fill(&mut self, now_ms: u64) {
        let seconds = now_ms.saturating_sub(self.filled_ms) / 1000;
        if seconds > 0 {
            let back = u32::try_from(seconds).unwrap_or(u32::MAX).saturating_mul(REFILL_PER_SECOND);
            self.spent = self.spent.saturating_sub(back);
            // The fraction of a second is lost: the bucket refills a little slower, never faster.
            self.filled_ms = now_ms;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hundred_retries_then_one_in_five_seconds() {
        let mut budget = RetryBudget::default();
        for _ in 0..RETRY_TOKENS_MAX / RETRY_COST {
            assert_eq!(budget.take(1000), Ok(()));
        }
        assert_eq!(budget.take(1000), Err(5000));
        assert_eq!(budget.take(6000), Ok(()));
        assert_eq!(budget.take(6000), Err(5000));
    }

    #[test]
    fn what_is_served_brings_tokens_back() {
        let mut budget = RetryBudget::default();
        while budget.take(1000).is_ok() {}
        for _ in 0..RETRY_COST {
            budget.served();
        }
        assert_eq!(budget.take(1000), Ok(()));
        assert!(budget.take(1000).is_err());
    }
}
