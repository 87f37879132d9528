//! The messages between a provider's callers and its `CredentialQuota`:
//! requests, decisions and reports.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::ports::embedder::EmbedderWaitStatus;

/// The limits of a provider, as configured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProviderLimits {
    /// Calls per minute; none if not configured.
    pub requests_per_minute: Option<u32>,
    /// Tokens per minute; none if not configured.
    pub tokens_per_minute: Option<u32>,
    /// Most open calls.
    pub calls_max: u32,
}

/// A request for a turn.
#[derive(Debug, Clone, Copy)]
pub struct TurnRequest<'a> {
    /// The process that asks.
    pub holder: &'a str,
    /// Calls of that process that wait, this one included.
    pub waiting: u32,
    /// Tokens of the call.
    pub tokens: u32,
    /// Longest time of the call.
    pub call_max_ms: u64,
}

/// Why a call has to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WaitReason {
    /// The limit per minute is used up for now.
    Rate,
    /// As many calls are open as the window allows.
    Concurrency,
    /// The provider throttles.
    Throttled,
    /// The provider does not answer; the circuit breaker is open.
    Broken,
    /// The credential or the model was refused.
    Parked,
    /// The retry budget is used up.
    RetryBudget,
}

impl WaitReason {
    /// All.
    pub const ALL: [Self; 6] =
        [Self::Rate, Self::Concurrency, Self::Throttled, Self::Broken, Self::Parked, Self::RetryBudget];

    /// The name in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rate => "rate",
            Self::Concurrency => "concurrency",
            Self::Throttled => "throttled",
            Self::Broken => "broken",
            Self::Parked => "parked",
            Self::RetryBudget => "retry_budget",
        }
    }

    /// The reason in words, followed by what the provider said.
    pub fn words(self, said: &str) -> String {
        let why = match self {
            Self::Rate => "its limit per minute is used up",
            Self::Concurrency => "as many calls are open as it bears",
            Self::Throttled => "it asks for patience",
            Self::Broken => "it does not answer",
            Self::Parked => "it refuses all calls",
            Self::RetryBudget => "too much would be tried again",
        };
        if said.is_empty() { why.to_owned() } else { format!("{why}: {said}") }
    }
}

/// A wait and its reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TurnWait {
    /// When to ask again, in ms since the Unix epoch.
    pub until_ms: u64,
    /// The reason.
    pub why: WaitReason,
    /// What the provider said; empty if nothing.
    pub words: String,
}

/// The answer to an [`TurnRequest`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TurnDecision {
    /// The call may go out; its end is reported under the lease.
    Go {
        /// The lease.
        lease: u64,
        /// When, in ms since the Unix epoch.
        at_ms: u64,
    },
    /// Not yet.
    Wait(TurnWait),
}

/// What the headers of an answer say of the provider's limits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AdvertisedLimits {
    /// Calls per minute.
    pub requests_per_minute: Option<u32>,
    /// Tokens per minute.
    pub tokens_per_minute: Option<u32>,
    /// Time until calls are left again, if none is.
    pub no_requests_ms: Option<u64>,
    /// Time until tokens are left again, if none is.
    pub no_tokens_ms: Option<u64>,
}

/// How a call ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallOutcome {
    /// With vectors; the tokens used, if the provider says so.
    Served(Option<u32>),
    /// Throttled; the wait in ms, if the provider says so.
    Throttled(Option<u64>),
    /// Without an answer, or with a nonsensical one.
    Failed {
        /// What went wrong.
        words: String,
        /// Whether it took too long.
        late: bool,
    },
    /// The texts were refused; the provider is well.
    Refused,
    /// The credential or the model was refused: nobody needs to try for a while.
    Parked(String),
    /// Unknown: the call was dropped.
    Lost,
}

/// The status of a quota, for people and metrics.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuotaStatus {
    /// Why calls wait; none while they go on. A parked quota says so until a call is served.
    pub why: Option<WaitReason>,
    /// For how long, in ms.
    pub wait_ms: u64,
    /// What the provider said, where calls wait for it.
    pub words: String,
    /// Calls that wait, of all processes.
    pub waiting: u32,
    /// Calls that are open.
    pub open: usize,
    /// Calls that may be open.
    pub window: usize,
    /// Calls so far.
    pub calls: u64,
    /// Those that were throttled.
    pub throttled: u64,
    /// Those that failed.
    pub failed: u64,
}

impl QuotaStatus {
    /// The wait of calls for `model`; none while they go on.
    pub fn waiting_for(&self, model: String) -> Option<EmbedderWaitStatus> {
        let why = self.why?;
        Some(EmbedderWaitStatus {
            model,
            why: why.words(&self.words),
            wait: Duration::from_millis(self.wait_ms),
            workers: self.waiting,
            stopped: !matches!(why, WaitReason::Rate | WaitReason::Concurrency) && self.wait_ms > 0,
        })
    }
}
