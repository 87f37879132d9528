//! The words between a provider's callers and its [`Quota`](super::quota::Quota): what is asked,
//! what is answered, what is reported.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::ports::embedder::EmbedderWaitStatus;

/// What may be asked of the provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProviderLimits {
    /// Calls per minute; none where nobody said.
    pub requests_per_minute: Option<u32>,
    /// Tokens per minute; none where nobody said.
    pub tokens_per_minute: Option<u32>,
    /// Calls at once, at most.
    pub calls_max: u32,
}

/// Who asks, for what.
#[derive(Debug, Clone, Copy)]
pub struct TurnRequest<'a> {
    /// The process.
    pub holder: &'a str,
    /// Calls of it that wait, this one included.
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
    /// Its limit per minute is used up for now.
    Rate,
    /// As many calls are open as it bears.
    Concurrency,
    /// It asked for patience.
    Throttled,
    /// It does not answer.
    Broken,
    /// The credential, or what is asked for, was refused.
    Parked,
    /// Too much would be tried again.
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

    /// In words, with what the provider said.
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
    /// Ask again then, in ms since the Unix epoch.
    pub until_ms: u64,
    /// What for.
    pub why: WaitReason,
    /// What the provider said, where it said something.
    pub words: String,
}

/// The answer to an [`TurnRequest`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TurnDecision {
    /// Call then, and report under this number.
    Go {
        /// The lease.
        lease: u64,
        /// When, in ms since the Unix epoch.
        at_ms: u64,
    },
    /// Not yet.
    Wait(TurnWait),
}

/// What a provider's answer says of its limits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AdvertisedLimits {
    /// Calls per minute.
    pub requests_per_minute: Option<u32>,
    /// Tokens per minute.
    pub tokens_per_minute: Option<u32>,
    /// No call is left for so long.
    pub no_requests_ms: Option<u64>,
    /// No token is left for so long.
    pub no_tokens_ms: Option<u64>,
}

/// How a call ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallOutcome {
    /// With vectors; of so many tokens, if it says so.
    Served(Option<u32>),
    /// With a request for patience, for so long if it says so.
    Throttled(Option<u64>),
    /// Without an answer, or with one that makes no sense.
    Failed {
        /// What went wrong.
        words: String,
        /// Whether it took too long.
        late: bool,
    },
    /// With a refusal of what was asked: the provider is well.
    Refused,
    /// With a refusal of whoever asks, or of anything like it: nobody needs to try for a while.
    Parked(String),
    /// Nobody knows.
    Lost,
}

/// What a person is told of a quota.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct QuotaStatus {
    /// Why calls wait; none where they go on. What was parked stays so until a call is served.
    pub why: Option<WaitReason>,
    /// How long, in ms.
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
    /// Those of them that were told to wait.
    pub throttled: u64,
    /// Those of them that failed.
    pub failed: u64,
}

impl QuotaStatus {
    /// The wait for `model`; none where calls go on.
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
