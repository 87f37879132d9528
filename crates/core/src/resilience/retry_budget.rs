//! A retry budget: how much may be tried again, of all that is tried.
//!
//! A token bucket with the constants of the AWS SDKs' standard retry mode (`aws-smithy-runtime`,
//! `client::retries::TokenBucket`): 500 tokens, 5 for a retry, one back for a call that is served.
//! Besides, one token comes back a second: where all that is left to do are retries, nothing else
//! would bring any back.

use serde::{Deserialize, Serialize};

/// Tokens of a full budget.
pub const RETRY_TOKENS_MAX: u32 = 500;
/// Tokens of one retry.
pub const RETRY_COST: u32 = 5;
/// Tokens that a served call brings.
const SERVED_REFUND: u32 = 1;
/// Tokens that come back by themselves.
const REFILL_PER_SECOND: u32 = 1;

/// What is left to try again with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetryBudget {
    spent: u32,
    filled_ms: u64,
}

impl RetryBudget {
    /// Takes a retry's cost; the ms to wait instead where there is too little.
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

    /// The clock says so little: what comes back by itself came no later.
    pub fn rewind(&mut self, now_ms: u64) {
        self.filled_ms = self.filled_ms.min(now_ms);
    }

    fn fill(&mut self, now_ms: u64) {
        let seconds = now_ms.saturating_sub(self.filled_ms) / 1000;
        if seconds > 0 {
            let back = u32::try_from(seconds).unwrap_or(u32::MAX).saturating_mul(REFILL_PER_SECOND);
            self.spent = self.spent.saturating_sub(back);
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
