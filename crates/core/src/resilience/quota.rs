//! What is known of one credential at one provider, and who may call next.
//!
//! Pure: a value, a question or a report, and a time. [`CredentialQuota::ask`] gives a turn, or says how
//! long to wait and why; [`CredentialQuota::report`] learns from how the call ended. A turn is a lease:
//! who dies with it blocks its place until [`TurnRequest::call_max_ms`] and [`LEASE_SLACK_MS`] have passed.
//! Turns are given up to [`TURN_AHEAD_MS`] before their time, so that callers sleep instead of asking.
//! Times are kept as the clock said them; none holds longer than it could have when it was noted, even
//! if the clock is set back ([`CredentialQuota::expire`]).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::circuit_breaker::{BreakerDecision, CircuitBreaker};
use super::concurrency_window::ConcurrencyWindow;
use super::quota_protocol::{
    AdvertisedLimits, CallOutcome, ProviderLimits, QuotaStatus, TurnDecision, TurnRequest, TurnWait,
    WaitReason,
};
use super::rate_limit::MinuteRateLimit;
use super::retry_budget::RetryBudget;

/// How long before its time a turn is given.
pub const TURN_AHEAD_MS: u64 = 500;
/// How long a lease lasts beyond its call.
pub const LEASE_SLACK_MS: u64 = 5_000;
/// Wait after a refusal that names none, before it doubles.
pub const THROTTLE_WAIT_MS_MIN: u64 = 1_000;
/// Longest wait after a refusal that names none.
pub const THROTTLE_WAIT_MS_MAX: u64 = 60_000;
/// Longest wait that a provider is believed.
pub const RETRY_AFTER_MS_MAX: u64 = 600_000;
/// How far what was taken of a limit per minute may reach ahead; what is owed beyond is forgiven.
pub const RATE_DEBT_MS_MAX: u64 = RETRY_AFTER_MS_MAX;
/// How long nobody calls after a credential or a model was refused.
pub const PARKED_MS: u64 = 30_000;
/// How often a place among the open calls is asked for anew.
const CONCURRENCY_POLL_MS: u64 = 200;
/// How long a waiting worker counts without asking again.
const WAITING_COUNT_TTL_MS: u64 = 5_000;
/// Longest words that are kept, in characters.
const FAILURE_WORDS_CHARS_MAX: usize = 300;

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct OpenCallLease {
    number: u64,
    tokens: u32,
    until_ms: u64,
    /// Its length when it was taken; 0 where a program wrote it that did not know.
    #[serde(default)]
    lasts_ms: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct WaitingCallCount {
    calls: u32,
    until_ms: u64,
}

/// What is known of one credential at one provider.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct CredentialQuota {
    requests: MinuteRateLimit,
    tokens: MinuteRateLimit,
    requests_per_minute: Option<u32>,
    tokens_per_minute: Option<u32>,
    window: ConcurrencyWindow,
    breaker: CircuitBreaker,
    budget: RetryBudget,
    patience_until_ms: u64,
    refusals: u32,
    parked_until_ms: u64,
    /// What the last failure, or refusal of the credential, said.
    words: String,
    leases: Vec<OpenCallLease>,
    lease: u64,
    waiting: BTreeMap<String, WaitingCallCount>,
    calls: u64,
    throttled: u64,
    failed: u64,
}

impl CredentialQuota {
    /// A turn for a call, or a wait.
    pub fn ask(
        &mut self,
        limits: &ProviderLimits,
        ask: &TurnRequest,
        jitter: u64,
        now_ms: u64,
    ) -> TurnDecision {
        self.expire(now_ms);
        match self.turn(limits, ask, jitter, now_ms) {
            Ok((lease, at_ms)) => {
                self.note_waiting(ask.holder, ask.waiting.saturating_sub(1), now_ms);
                TurnDecision::Go { lease, at_ms }
            }
            Err(wait) => {
                self.note_waiting(ask.holder, ask.waiting, now_ms);
                TurnDecision::Wait(wait)
            }
        }
    }

    fn turn(
        &mut self,
        limits: &ProviderLimits,
        ask: &TurnRequest,
        jitter: u64,
        now_ms: u64,
    ) -> Result<(u64, u64), TurnWait> {
        let verdict = self.closed(now_ms)?;
        let wait = |until_ms: u64, why: WaitReason| TurnWait { until_ms, why, words: String::new() };
        if self.leases.len() >= self.window.calls(limits.calls_max) {
            return Err(wait(
                now_ms + CONCURRENCY_POLL_MS / 2 + jitter % CONCURRENCY_POLL_MS,
                WaitReason::Concurrency,
            ));
        }
        let now = ms_to_float(now_ms);
        let mut at = now;
        let requests = limits.requests_per_minute.or(self.requests_per_minute);
        let tokens = limits.tokens_per_minute.or(self.tokens_per_minute);
        at = requests.map_or(at, |limit| self.requests.at_ms(limit, now).max(at));
        at = tokens.map_or(at, |limit| self.tokens.at_ms(limit, now).max(at));
        let at_ms = float_to_ms(at);
        if at_ms > now_ms + TURN_AHEAD_MS {
            return Err(wait(at_ms - TURN_AHEAD_MS / 2 - jitter % (TURN_AHEAD_MS / 2), WaitReason::Rate));
        }
        if let Some(limit) = requests {
            self.requests.take(1.0, limit, at);
        }
        if let Some(limit) = tokens {
            self.tokens.take(f64::from(ask.tokens), limit, at);
        }
        self.lease += 1;
        let until_ms = at_ms + ask.call_max_ms + LEASE_SLACK_MS;
        let lasts_ms = until_ms - now_ms;
        self.leases.push(OpenCallLease { number: self.lease, tokens: ask.tokens, until_ms, lasts_ms });
        if verdict == BreakerDecision::Probe {
            self.breaker.probing(self.lease);
        }
        self.calls += 1;
        Ok((self.lease, at_ms))
    }

    /// Whether calls go out at all; else what they wait for.
    pub fn closed(&self, now_ms: u64) -> Result<BreakerDecision, TurnWait> {
        let wait = |until_ms: u64, why: WaitReason| TurnWait { until_ms, why, words: self.words.clone() };
        if now_ms < self.parked_until_ms {
            return Err(wait(self.parked_until_ms, WaitReason::Parked));
        }
        if now_ms < self.patience_until_ms {
            return Err(TurnWait {
                words: String::new(),
                ..wait(self.patience_until_ms, WaitReason::Throttled)
            });
        }
        match self.breaker.verdict(now_ms) {
            BreakerDecision::Open(0) => Err(wait(now_ms + 2 * CONCURRENCY_POLL_MS, WaitReason::Broken)),
            BreakerDecision::Open(until_ms) => Err(wait(until_ms, WaitReason::Broken)),
            verdict => Ok(verdict),
        }
    }

    /// A call that asked nobody: it is counted and paid for, and what follows is paced.
    pub fn note(&mut self, limits: &ProviderLimits, tokens: u32, now_ms: u64) -> u64 {
        if let Some(limit) = limits.requests_per_minute.or(self.requests_per_minute) {
            self.requests.take(1.0, limit, ms_to_float(now_ms));
        }
        if let Some(limit) = limits.tokens_per_minute.or(self.tokens_per_minute) {
            self.tokens.take(f64::from(tokens), limit, ms_to_float(now_ms));
        }
        self.lease += 1;
        self.calls += 1;
        let lasts_ms = LEASE_SLACK_MS;
        self.leases.push(OpenCallLease { number: self.lease, tokens, until_ms: now_ms + lasts_ms, lasts_ms });
        if self.breaker.verdict(now_ms) == BreakerDecision::Probe {
            self.breaker.probing(self.lease);
        }
        self.lease
    }

    /// Learns from the end of a call. `jitter` is any number.
    pub fn report(
        &mut self,
        limits: &ProviderLimits,
        lease: u64,
        ended: &CallOutcome,
        told: &AdvertisedLimits,
        jitter: u64,
        now_ms: u64,
    ) {
        let open = self.leases.len();
        let held = self.leases.iter().position(|held| held.number == lease);
        let tokens = held.map(|place| self.leases.swap_remove(place).tokens);
        // Calls that were open together are refused together, which counts once.
        let is_first = now_ms >= self.patience_until_ms;
        self.learn(limits, told, now_ms);
        match ended {
            CallOutcome::Served(used) => {
                self.refusals = 0;
                self.parked_until_ms = 0;
                self.window.served(open, limits.calls_max);
                self.budget.served();
                self.breaker.answered(lease, now_ms);
                let per_minute = limits.tokens_per_minute.or(self.tokens_per_minute);
                if let (Some(used), Some(asked), Some(per_minute)) = (used, tokens, per_minute) {
                    self.tokens.correct(f64::from(*used) - f64::from(asked), per_minute, ms_to_float(now_ms));
                }
            }
            CallOutcome::Throttled(hint_ms) => {
                self.throttled += 1;
                self.refusals = self.refusals.saturating_add(u32::from(is_first));
                self.window.cut(now_ms);
                self.breaker.answered(lease, now_ms);
                let wait_ms = match hint_ms {
                    Some(hint_ms) => (*hint_ms).min(RETRY_AFTER_MS_MAX),
                    None if is_first => self.backoff_ms(jitter),
                    None => 0,
                };
                self.patience_until_ms = self.patience_until_ms.max(now_ms + wait_ms);
                // Whoever waited comes back at the limit's pace, not all at once.
                self.requests.spent_until(ms_to_float(self.patience_until_ms));
            }
            CallOutcome::Failed { words, late } => {
                self.failed += 1;
                self.words = words.chars().take(FAILURE_WORDS_CHARS_MAX).collect();
                if *late {
                    self.window.cut(now_ms);
                }
                self.breaker.failed(lease, now_ms);
            }
            CallOutcome::Refused => self.breaker.answered(lease, now_ms),
            CallOutcome::Parked(words) => {
                self.park(words, now_ms);
                self.breaker.answered(lease, now_ms);
            }
            CallOutcome::Lost => self.breaker.lost(lease),
        }
    }

    /// Lets nobody call for [`PARKED_MS`], then one at a time until a call is served.
    pub fn park(&mut self, words: &str, now_ms: u64) {
        self.words = words.chars().take(FAILURE_WORDS_CHARS_MAX).collect();
        self.parked_until_ms = now_ms + PARKED_MS;
        self.window.shut();
    }

    /// Takes what a retry costs; else the wait.
    pub fn retry(&mut self, now_ms: u64) -> Result<(), TurnWait> {
        let words = self.words.clone();
        let wait = |wait_ms| TurnWait { until_ms: now_ms + wait_ms, why: WaitReason::RetryBudget, words };
        self.budget.take(now_ms).map_err(wait)
    }

    /// Notes that so many calls of a process wait.
    pub fn note_waiting(&mut self, holder: &str, calls: u32, now_ms: u64) {
        self.waiting.retain(|_, waiting| waiting.until_ms > now_ms);
        if calls == 0 {
            self.waiting.remove(holder);
        } else {
            self.waiting.insert(
                holder.to_owned(),
                WaitingCallCount { calls, until_ms: now_ms + WAITING_COUNT_TTL_MS },
            );
        }
    }

    /// What a person is told.
    pub fn standing(&self, limits: &ProviderLimits, now_ms: u64) -> QuotaStatus {
        let waiting: u32 =
            self.waiting.values().filter(|one| one.until_ms > now_ms).map(|one| one.calls).sum();
        let wait = match self.closed(now_ms) {
            Err(wait) => Some(wait),
            Ok(_) if self.parked_until_ms > 0 => {
                Some(TurnWait { until_ms: now_ms, why: WaitReason::Parked, words: self.words.clone() })
            }
            Ok(_) if waiting > 0 => Some(self.pace(limits, now_ms)),
            Ok(_) => None,
        };
        QuotaStatus {
            why: wait.as_ref().map(|wait| wait.why),
            wait_ms: wait.as_ref().map_or(0, |wait| wait.until_ms.saturating_sub(now_ms)),
            words: wait.map_or_else(String::new, |wait| wait.words),
            waiting,
            open: self.leases.iter().filter(|lease| lease.until_ms > now_ms).count(),
            window: self.window.calls(limits.calls_max),
            calls: self.calls,
            throttled: self.throttled,
            failed: self.failed,
        }
    }

    /// What calls wait for while the provider is well.
    fn pace(&self, limits: &ProviderLimits, now_ms: u64) -> TurnWait {
        let now = ms_to_float(now_ms);
        let requests = limits.requests_per_minute.or(self.requests_per_minute);
        let tokens = limits.tokens_per_minute.or(self.tokens_per_minute);
        let at = requests.map_or(now, |limit| self.requests.at_ms(limit, now));
        let at = tokens.map_or(at, |limit| self.tokens.at_ms(limit, now).max(at));
        let why = if float_to_ms(at) > now_ms { WaitReason::Rate } else { WaitReason::Concurrency };
        TurnWait { until_ms: float_to_ms(at), why, words: String::new() }
    }

    /// The limits in force: those given, else those the provider told.
    pub fn limits(&self, given: &ProviderLimits) -> ProviderLimits {
        ProviderLimits {
            requests_per_minute: given.requests_per_minute.or(self.requests_per_minute),
            tokens_per_minute: given.tokens_per_minute.or(self.tokens_per_minute),
            calls_max: given.calls_max,
        }
    }

    fn learn(&mut self, limits: &ProviderLimits, told: &AdvertisedLimits, now_ms: u64) {
        self.requests_per_minute = told.requests_per_minute.or(self.requests_per_minute);
        self.tokens_per_minute = told.tokens_per_minute.or(self.tokens_per_minute);
        let known = self.limits(limits);
        if let Some(wait_ms) = told.no_requests_ms {
            let until_ms = now_ms + wait_ms.min(RETRY_AFTER_MS_MAX);
            match known.requests_per_minute {
                Some(_) => self.requests.spent_until(ms_to_float(until_ms)),
                // Nothing paces calls, and none is left.
                None => self.patience_until_ms = self.patience_until_ms.max(until_ms),
            }
        }
        if let (Some(wait_ms), Some(_)) = (told.no_tokens_ms, known.tokens_per_minute) {
            self.tokens.spent_until(ms_to_float(now_ms + wait_ms.min(RETRY_AFTER_MS_MAX)));
        }
    }

    /// Full jitter over the upper half: waiting less than half says little.
    fn backoff_ms(&self, jitter: u64) -> u64 {
        let doublings = self.refusals.saturating_sub(1).min(16);
        let most_ms = (THROTTLE_WAIT_MS_MIN << doublings).min(THROTTLE_WAIT_MS_MAX);
        most_ms / 2 + jitter % (most_ms / 2)
    }

    /// Brings it to a time: lets go of turns whose callers are gone, and shortens what lasts longer
    /// than it ever does, because the clock was set back.
    pub fn expire(&mut self, now_ms: u64) {
        self.patience_until_ms = self.patience_until_ms.min(now_ms + RETRY_AFTER_MS_MAX);
        self.parked_until_ms = self.parked_until_ms.min(now_ms + PARKED_MS);
        for rate in [&mut self.requests, &mut self.tokens] {
            rate.owed_until(ms_to_float(now_ms + RATE_DEBT_MS_MAX));
        }
        self.window.rewind(now_ms);
        self.breaker.rewind(now_ms);
        self.budget.rewind(now_ms);
        for waiting in self.waiting.values_mut() {
            waiting.until_ms = waiting.until_ms.min(now_ms + WAITING_COUNT_TTL_MS);
        }
        let breaker = &mut self.breaker;
        self.leases.retain_mut(|lease| {
            if lease.lasts_ms > 0 {
                lease.until_ms = lease.until_ms.min(now_ms + lease.lasts_ms);
            }
            let lasts = lease.until_ms > now_ms;
            if !lasts {
                breaker.lost(lease.number);
            }
            lasts
        });
    }
}

#[expect(clippy::cast_precision_loss, reason = "ms since the Unix epoch need 41 bits")]
fn ms_to_float(ms: u64) -> f64 {
    ms as f64
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "ms since the Unix epoch")]
fn float_to_ms(ms: f64) -> u64 {
    ms.ceil() as u64
}
