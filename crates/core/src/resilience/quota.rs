//! What is known of one credential at one provider, and who may call next.
//!
//! Pure: a value, a request or a report, and a time. [`CredentialQuota::request_turn`] gives a turn, or
//! says how long to wait and why. [`CredentialQuota::report`] learns from how the call ended.
//!
//! A turn is a lease. If its holder dies, it blocks its place until [`TurnRequest::call_max_ms`] and
//! [`LEASE_SLACK_MS`] have passed. Turns are given up to [`TURN_AHEAD_MS`] before their time, so that
//! callers sleep instead of asking again.
//!
//! Times are stored as the store's clock said them. If the clock is set back, no time holds longer than
//! it could have when it was noted ([`CredentialQuota::expire`]).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::circuit_breaker::{BreakerDecision, CircuitBreaker};
use super::concurrency_window::ConcurrencyWindow;
use super::quota_protocol::{
    AdvertisedLimits, CallOutcome, ProviderLimits, QuotaStatus, TurnDecision, TurnRequest, TurnWait,
    WaitReason,
};
use super::rate_limit::MinuteRateLimit;
use super::retry::RetryBudget;

/// How long before its time a turn may be given.
pub const TURN_AHEAD_MS: u64 = 500;
/// How long a lease outlasts its call.
pub const LEASE_SLACK_MS: u64 = 5_000;
/// First wait after a throttling answer that names none; it doubles.
pub const THROTTLE_WAIT_MS_MIN: u64 = 1_000;
/// Longest wait after a throttling answer that names none.
pub const THROTTLE_WAIT_MS_MAX: u64 = 60_000;
/// Longest wait that is believed of a provider.
pub const RETRY_AFTER_MS_MAX: u64 = 600_000;
/// Largest debt to a limit per minute, as a time; what is owed beyond is forgiven.
pub const RATE_DEBT_MS_MAX: u64 = RETRY_AFTER_MS_MAX;
/// How long nobody calls after the credential or the model was refused.
pub const PARKED_MS: u64 = 30_000;
/// How often a waiting call asks again for a place among the open calls.
const CONCURRENCY_POLL_MS: u64 = 200;
/// How long a process counts as waiting without asking again.
const WAITING_COUNT_TTL_MS: u64 = 5_000;
/// Longest error text that is kept, in characters.
const FAILURE_WORDS_CHARS_MAX: usize = 300;

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct OpenCallLease {
    number: u64,
    tokens: u32,
    until_ms: u64,
    /// Its length when it was taken; 0 in states of programs that did not store it.
    #[serde(default)]
    lasts_ms: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct WaitingCallCount {
    calls: u32,
    until_ms: u64,
}

/// The shared state of one credential at one provider. Its fields are a stored format.
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
    /// The text of the last failure, or of the last refusal of the credential.
    words: String,
    leases: Vec<OpenCallLease>,
    lease: u64,
    waiting: BTreeMap<String, WaitingCallCount>,
    calls: u64,
    throttled: u64,
    failed: u64,
}

impl CredentialQuota {
    /// Gives a turn for a call, or a wait.
    pub fn request_turn(
        &mut self,
        limits: &ProviderLimits,
        request: &TurnRequest,
        jitter: u64,
        now_ms: u64,
    ) -> TurnDecision {
        self.expire(now_ms);
        match self.take_turn(limits, request, jitter, now_ms) {
            Ok((lease, at_ms)) => {
                // The request counts itself among the waiting; it no longer is.
                self.note_waiting(request.holder, request.waiting.saturating_sub(1), now_ms);
                TurnDecision::Go { lease, at_ms }
            }
            Err(wait) => {
                self.note_waiting(request.holder, request.waiting, now_ms);
                TurnDecision::Wait(wait)
            }
        }
    }

    fn take_turn(
        &mut self,
        limits: &ProviderLimits,
        request: &TurnRequest,
        jitter: u64,
        now_ms: u64,
    ) -> Result<(u64, u64), TurnWait> {
        let decision = self.check_open(now_ms)?;
        let wait = |until_ms: u64, why: WaitReason| TurnWait { until_ms, why, words: String::new() };
        if self.leases.len() >= self.window.calls(limits.calls_max) {
            return Err(wait(
                // Nobody knows when a call will end. Jitter keeps the waiters from asking in step.
                now_ms + CONCURRENCY_POLL_MS / 2 + jitter % CONCURRENCY_POLL_MS,
                WaitReason::Concurrency,
            ));
        }
        // Both limits must have room; the later time counts.
        let now = ms_to_float(now_ms);
        let mut at = now;
        let requests = limits.requests_per_minute.or(self.requests_per_minute);
        let tokens = limits.tokens_per_minute.or(self.tokens_per_minute);
        at = requests.map_or(at, |limit| self.requests.available_at_ms(limit, now).max(at));
        at = tokens.map_or(at, |limit| self.tokens.available_at_ms(limit, now).max(at));
        let at_ms = float_to_ms(at);
        // Nothing is taken yet: a caller that must wait longer asks again shortly before its time.
        if at_ms > now_ms + TURN_AHEAD_MS {
            return Err(wait(at_ms - TURN_AHEAD_MS / 2 - jitter % (TURN_AHEAD_MS / 2), WaitReason::Rate));
        }
        if let Some(limit) = requests {
            self.requests.take(1.0, limit, at);
        }
        if let Some(limit) = tokens {
            // An estimate; `report` corrects it.
            self.tokens.take(f64::from(request.tokens), limit, at);
        }
        self.lease += 1;
        // The lease covers the sleep before the call, the call, and the time to report it.
        let until_ms = at_ms + request.call_max_ms + LEASE_SLACK_MS;
        let lasts_ms = until_ms - now_ms;
        self.leases.push(OpenCallLease { number: self.lease, tokens: request.tokens, until_ms, lasts_ms });
        // Only now, when nothing can refuse the turn any more: there is one probe at a time.
        if decision == BreakerDecision::Probe {
            self.breaker.probing(self.lease);
        }
        self.calls += 1;
        Ok((self.lease, at_ms))
    }

    /// Whether calls go out at all, or what they wait for.
    pub fn check_open(&self, now_ms: u64) -> Result<BreakerDecision, TurnWait> {
        let wait = |until_ms: u64, why: WaitReason| TurnWait { until_ms, why, words: self.words.clone() };
        // A refused credential first: it outlasts the rest and needs a person.
        if now_ms < self.parked_until_ms {
            return Err(wait(self.parked_until_ms, WaitReason::Parked));
        }
        if now_ms < self.patience_until_ms {
            return Err(TurnWait {
                words: String::new(),
                ..wait(self.patience_until_ms, WaitReason::Throttled)
            });
        }
        match self.breaker.decision(now_ms) {
            // The probe is under way; its end is unknown.
            BreakerDecision::Open(0) => Err(wait(now_ms + 2 * CONCURRENCY_POLL_MS, WaitReason::Broken)),
            BreakerDecision::Open(until_ms) => Err(wait(until_ms, WaitReason::Broken)),
            decision => Ok(decision),
        }
    }

    /// Records a call that did not ask for a turn. It is paid for like any other, so later calls wait.
    pub fn record_unasked_call(&mut self, limits: &ProviderLimits, tokens: u32, now_ms: u64) -> u64 {
        if let Some(limit) = limits.requests_per_minute.or(self.requests_per_minute) {
            self.requests.take(1.0, limit, ms_to_float(now_ms));
        }
        if let Some(limit) = limits.tokens_per_minute.or(self.tokens_per_minute) {
            self.tokens.take(f64::from(tokens), limit, ms_to_float(now_ms));
        }
        self.lease += 1;
        self.calls += 1;
        // The call is over already; the lease only lasts until its report, in the same change.
        let lasts_ms = LEASE_SLACK_MS;
        self.leases.push(OpenCallLease { number: self.lease, tokens, until_ms: now_ms + lasts_ms, lasts_ms });
        if self.breaker.decision(now_ms) == BreakerDecision::Probe {
            self.breaker.probing(self.lease);
        }
        self.lease
    }

    /// Learns from the end of a call. `jitter` is a random number.
    pub fn report(
        &mut self,
        limits: &ProviderLimits,
        lease: u64,
        outcome: &CallOutcome,
        advertised: &AdvertisedLimits,
        jitter: u64,
        now_ms: u64,
    ) {
        // Counted before this lease is removed: the window asks how many calls were open with it.
        let open = self.leases.len();
        // An expired lease is gone already. Its call still says how the provider is.
        let held = self.leases.iter().position(|held| held.number == lease);
        let tokens = held.map(|place| self.leases.swap_remove(place).tokens);
        // Calls that were open together are throttled together; that counts once.
        let is_first = now_ms >= self.patience_until_ms;
        self.adopt_limits(limits, advertised, now_ms);
        match outcome {
            CallOutcome::Served(used) => {
                self.refusals = 0;
                self.parked_until_ms = 0;
                self.window.served(open, limits.calls_max);
                self.budget.served();
                self.breaker.answered(lease, now_ms);
                let per_minute = limits.tokens_per_minute.or(self.tokens_per_minute);
                // The turn was paid for by an estimate; the provider says what was used.
                if let (Some(used), Some(asked), Some(per_minute)) = (used, tokens, per_minute) {
                    self.tokens.correct(f64::from(*used) - f64::from(asked), per_minute, ms_to_float(now_ms));
                }
            }
            CallOutcome::Throttled(hint_ms) => {
                self.refusals = self.refusals.saturating_add(u32::from(is_first));
                let wait_ms = match hint_ms {
                    Some(hint_ms) => (*hint_ms).min(RETRY_AFTER_MS_MAX),
                    None if is_first => self.backoff_ms(jitter),
                    None => 0,
                };
                self.record_throttling(lease, wait_ms, now_ms);
            }
            CallOutcome::Failed { words, late } => {
                self.failed += 1;
                self.words = words.chars().take(FAILURE_WORDS_CHARS_MAX).collect();
                // A timeout is a sign of overload, other failures are not.
                if *late {
                    self.window.halve(now_ms);
                }
                self.breaker.failed(lease, now_ms);
            }
            // Nothing but the breaker learns from a refusal of a text.
            CallOutcome::Refused => self.breaker.answered(lease, now_ms),
            CallOutcome::Parked(words) => {
                self.park(words, now_ms);
                self.breaker.answered(lease, now_ms);
            }
            CallOutcome::Lost => self.breaker.lost(lease),
        }
    }

    fn record_throttling(&mut self, lease: u64, wait_ms: u64, now_ms: u64) {
        self.throttled += 1;
        self.window.halve(now_ms);
        self.breaker.answered(lease, now_ms);
        self.patience_until_ms = self.patience_until_ms.max(now_ms + wait_ms);
        // The waiters come back at the pace of the limit, not all at once.
        self.requests.exhaust_until(ms_to_float(self.patience_until_ms));
    }

    /// Stops all calls for [`PARKED_MS`]; then one at a time goes out until a call is served.
    pub fn park(&mut self, words: &str, now_ms: u64) {
        self.words = words.chars().take(FAILURE_WORDS_CHARS_MAX).collect();
        self.parked_until_ms = now_ms + PARKED_MS;
        // After the pause one call tries the credential, not all that waited.
        self.window.reset_to_one();
    }

    /// Takes the cost of a retry from the budget, or returns the wait.
    pub fn begin_retry(&mut self, now_ms: u64) -> Result<(), TurnWait> {
        let words = self.words.clone();
        let wait = |wait_ms| TurnWait { until_ms: now_ms + wait_ms, why: WaitReason::RetryBudget, words };
        self.budget.take(now_ms).map_err(wait)
    }

    /// Records how many calls of a process wait.
    pub fn note_waiting(&mut self, holder: &str, calls: u32, now_ms: u64) {
        self.waiting.retain(|_, waiting| waiting.until_ms > now_ms);
        if calls == 0 {
            self.waiting.remove(holder);
        } else {
            let waiting = WaitingCallCount { calls, until_ms: now_ms + WAITING_COUNT_TTL_MS };
            self.waiting.insert(holder.to_owned(), waiting);
        }
    }

    /// The status for people and metrics.
    pub fn status(&self, limits: &ProviderLimits, now_ms: u64) -> QuotaStatus {
        let waiting: u32 =
            self.waiting.values().filter(|one| one.until_ms > now_ms).map(|one| one.calls).sum();
        let wait = match self.check_open(now_ms) {
            Err(wait) => Some(wait),
            // The pause is over but no call was served since: the refusal still stands.
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

    /// What calls wait for while the provider is well: the rate, or a place.
    fn pace(&self, limits: &ProviderLimits, now_ms: u64) -> TurnWait {
        let now = ms_to_float(now_ms);
        let requests = limits.requests_per_minute.or(self.requests_per_minute);
        let tokens = limits.tokens_per_minute.or(self.tokens_per_minute);
        let at = requests.map_or(now, |limit| self.requests.available_at_ms(limit, now));
        let at = tokens.map_or(at, |limit| self.tokens.available_at_ms(limit, now).max(at));
        let why = if float_to_ms(at) > now_ms { WaitReason::Rate } else { WaitReason::Concurrency };
        TurnWait { until_ms: float_to_ms(at), why, words: String::new() }
    }

    /// The limits in force: those given, or else those the provider advertised.
    pub fn limits(&self, given: &ProviderLimits) -> ProviderLimits {
        ProviderLimits {
            requests_per_minute: given.requests_per_minute.or(self.requests_per_minute),
            tokens_per_minute: given.tokens_per_minute.or(self.tokens_per_minute),
            calls_max: given.calls_max,
        }
    }

    fn adopt_limits(&mut self, limits: &ProviderLimits, advertised: &AdvertisedLimits, now_ms: u64) {
        self.requests_per_minute = advertised.requests_per_minute.or(self.requests_per_minute);
        self.tokens_per_minute = advertised.tokens_per_minute.or(self.tokens_per_minute);
        let known = self.limits(limits);
        if let Some(wait_ms) = advertised.no_requests_ms {
            let until_ms = now_ms + wait_ms.min(RETRY_AFTER_MS_MAX);
            match known.requests_per_minute {
                Some(_) => self.requests.exhaust_until(ms_to_float(until_ms)),
                // No rate is known that could pace the calls.
                None => self.patience_until_ms = self.patience_until_ms.max(until_ms),
            }
        }
        if let (Some(wait_ms), Some(_)) = (advertised.no_tokens_ms, known.tokens_per_minute) {
            self.tokens.exhaust_until(ms_to_float(now_ms + wait_ms.min(RETRY_AFTER_MS_MAX)));
        }
    }

    /// Exponential backoff, with jitter over the upper half.
    fn backoff_ms(&self, jitter: u64) -> u64 {
        // The bound keeps the shift within 64 bits; the maximum is reached long before.
        let doublings = self.refusals.saturating_sub(1).min(16);
        let most_ms = (THROTTLE_WAIT_MS_MIN << doublings).min(THROTTLE_WAIT_MS_MAX);
        most_ms / 2 + jitter % (most_ms / 2)
    }

    /// Advances to `now_ms`: drops the leases of callers that are gone. Shortens every time that
    /// reaches further than it ever could, because the clock was set back.
    pub fn expire(&mut self, now_ms: u64) {
        self.patience_until_ms = self.patience_until_ms.min(now_ms + RETRY_AFTER_MS_MAX);
        self.parked_until_ms = self.parked_until_ms.min(now_ms + PARKED_MS);
        for rate in [&mut self.requests, &mut self.tokens] {
            rate.cap_debt(ms_to_float(now_ms + RATE_DEBT_MS_MAX));
        }
        self.window.rewind(now_ms);
        self.breaker.rewind(now_ms);
        self.budget.rewind(now_ms);
        for waiting in self.waiting.values_mut() {
            waiting.until_ms = waiting.until_ms.min(now_ms + WAITING_COUNT_TTL_MS);
        }
        let breaker = &mut self.breaker;
        self.leases.retain_mut(|lease| {
            // States of older programs do not say how long; those leases end by their time alone.
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
