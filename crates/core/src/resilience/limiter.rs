//! The limiter: what a caller of a provider holds.
//!
//! All callers of one credential, in all processes, share one [`CredentialQuota`]. Each turn and each
//! report is one atomic change of it.
//!
//! A pipeline call waits for its turn: up to [`TURN_WAIT_MAX`] while the provider is well, and
//! [`UNWELL_WAIT_MAX`] while it is not. After that its messages wait in their queue instead.
//!
//! A question never waits and never asks the store, which is not on the query path. It goes out
//! unless this process knows that it would be in vain, and is counted afterwards.
//!
//! What this process saw last is kept in memory ([`LocalQuotaView`]). A clock that is set back never
//! prolongs a wait: see [`CredentialQuota::expire`] and [`LocalQuotaView`].

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::quota::CredentialQuota;
use super::quota_protocol::{
    AdvertisedLimits, CallOutcome, ProviderLimits, QuotaStatus, TurnDecision, TurnRequest, TurnWait,
    WaitReason,
};
use crate::fault::Fault;
use crate::ports::clock::WallClock;
use crate::ports::embedder::TurnDeadline;
use crate::ports::shared_states::SharedStateStore;

/// Prefix of the names of quotas among the shared states.
pub const LIMITER_STATE_PREFIX: &str = "limiter/";
/// Longest wait of a call for a provider that is not well.
pub const UNWELL_WAIT_MAX: Duration = Duration::from_secs(10);
/// Longest wait of a call for its turn.
pub const TURN_WAIT_MAX: Duration = Duration::from_mins(5);
/// Longest time between two polls of a waiting call: another process may have freed the way.
const POLL_INTERVAL_MAX: Duration = Duration::from_secs(1);

/// The limiter of one credential in this process.
pub struct ProviderLimiter {
    states: Arc<dyn SharedStateStore>,
    clock: Arc<dyn WallClock>,
    name: String,
    holder: String,
    limits: ProviderLimits,
    call_max: Duration,
    waiting: AtomicU32,
    jitter: AtomicU64,
    place_free: Notify,
    view: Mutex<LocalQuotaView>,
}

/// The quota as this process saw it last.
#[derive(Default)]
struct LocalQuotaView {
    wait: Option<TurnWait>,
    status: Option<QuotaStatus>,
    /// When it was seen, by this process's clock.
    seen_ms: u64,
}

impl LocalQuotaView {
    /// The wait that still lasts; none if the clock was set back since it was seen.
    fn wait(&self, now_ms: u64) -> Option<&TurnWait> {
        self.wait.as_ref().filter(|wait| self.seen_ms <= now_ms && now_ms < wait.until_ms)
    }
}

/// A turn. Its holder reports how the call ended.
#[derive(Debug, PartialEq, Eq)]
pub struct CallLease(u64);

/// Counts a call as waiting for as long as it lives.
struct WaitingCallGuard<'a>(&'a AtomicU32);

impl<'a> WaitingCallGuard<'a> {
    fn new(count: &'a AtomicU32) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for WaitingCallGuard<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl ProviderLimiter {
    /// A limiter of the credential `name`; `holder` is a name that no other process has.
    pub fn new(
        states: Arc<dyn SharedStateStore>,
        clock: Arc<dyn WallClock>,
        name: &str,
        holder: &str,
        limits: ProviderLimits,
        call_max: Duration,
    ) -> Self {
        // Seeded by the name of the process, so that each has jitter of its own.
        let seed = blake3::hash(holder.as_bytes());
        let jitter = seed.as_bytes().iter().take(8).fold(0, |number, byte| (number << 8) | u64::from(*byte));
        Self {
            states,
            clock,
            name: name.to_owned(),
            holder: holder.to_owned(),
            limits,
            call_max,
            waiting: AtomicU32::new(0),
            jitter: AtomicU64::new(jitter),
            place_free: Notify::new(),
            view: Mutex::default(),
        }
    }

    /// The name of its credential.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Waits for a turn to make a call of `tokens`. Faults when that takes too long or `deadline`
    /// passes: throttled, or unauthorized where the credential is refused.
    pub async fn acquire(&self, tokens: u32, deadline: &TurnDeadline) -> Result<CallLease, Fault> {
        let _waiting = WaitingCallGuard::new(&self.waiting);
        let began = Instant::now();
        let mut unwell_since = None;
        loop {
            if deadline.has_passed() {
                return Err(deadline.fault());
            }
            // `notify_one` keeps a permit, so a place that is freed while this call asks still wakes it.
            let freed = self.place_free.notified();
            let wait = match self.request_turn(tokens).await? {
                (TurnDecision::Go { lease, at_ms }, now_ms) => {
                    // Turns are given a little early; see `TURN_AHEAD_MS`.
                    tokio::time::sleep(Duration::from_millis(at_ms.saturating_sub(now_ms))).await;
                    return Ok(CallLease(lease));
                }
                (TurnDecision::Wait(wait), now_ms) => (wait.until_ms.saturating_sub(now_ms), wait),
            };
            let (wait_ms, wait) = wait;
            let is_well = matches!(wait.why, WaitReason::Rate | WaitReason::Concurrency);
            // Patience is measured over one spell of ill health: it starts anew after each recovery.
            let since = if is_well { None } else { Some(unwell_since.unwrap_or_else(Instant::now)) };
            unwell_since = since;
            let waited = unwell_since.map_or(Duration::ZERO, |since: Instant| since.elapsed());
            // A known wait that is too long is not begun.
            if waited >= UNWELL_WAIT_MAX
                || (!is_well && wait_ms > duration_ms(UNWELL_WAIT_MAX))
                || began.elapsed() > TURN_WAIT_MAX
            {
                return Err(self.fault(&wait, wait_ms));
            }
            // Never 0, so that a time that just passed cannot make this a busy loop.
            let sleep = tokio::time::sleep(Duration::from_millis(wait_ms.max(1)).min(POLL_INTERVAL_MAX));
            tokio::select! {
                () = sleep => {}
                () = freed, if wait.why == WaitReason::Concurrency => {}
                () = deadline.passed() => {}
            }
        }
    }

    /// Reports how a call ended.
    pub async fn report(
        &self,
        lease: CallLease,
        outcome: CallOutcome,
        advertised: AdvertisedLimits,
    ) -> Result<(), Fault> {
        let (limits, jitter) = (self.limits, self.next_jitter());
        let (holder, waiting) = (self.holder.clone(), self.waiting.load(Ordering::Relaxed));
        let done = self
            .change(move |quota, now_ms| {
                quota.report(&limits, lease.0, &outcome, &advertised, jitter, now_ms);
                quota.note_waiting(&holder, waiting, now_ms);
            })
            .await
            .map(|((), _)| ());
        // Even when the report failed: the call is over, and a waiter of this process may go on.
        self.place_free.notify_one();
        done
    }

    /// Stops all calls for a while, because the credential or the model is refused.
    pub async fn park(&self, words: String) -> Result<(), Fault> {
        self.change(move |quota, now_ms| quota.park(&words, now_ms)).await.map(|_| ())
    }

    /// Takes from the retry budget.
    pub async fn begin_retry(&self) -> Result<(), Fault> {
        match self.change(CredentialQuota::begin_retry).await? {
            (Ok(()), _) => Ok(()),
            (Err(wait), now_ms) => Err(self.fault(&wait, wait.until_ms.saturating_sub(now_ms))),
        }
    }

    /// Whether a query may call the provider now.
    pub fn check_query(&self) -> Result<(), Fault> {
        let now_ms = self.clock.now_ms();
        // `wait` returns only waits that end after now, so the subtraction cannot underflow.
        match self.view().wait(now_ms) {
            Some(wait) => Err(self.fault(wait, wait.until_ms - now_ms)),
            None => Ok(()),
        }
    }

    /// Counts the call of a query afterwards, off the query path.
    pub fn record_query(self: &Arc<Self>, tokens: u32, outcome: CallOutcome, advertised: AdvertisedLimits) {
        // The next query must not repeat the mistake before the store has answered.
        if let CallOutcome::Throttled(hint_ms) = &outcome {
            let seen_ms = self.clock.now_ms();
            let until_ms = seen_ms + hint_ms.unwrap_or(super::quota::THROTTLE_WAIT_MS_MIN);
            let wait = TurnWait { until_ms, why: WaitReason::Throttled, words: String::new() };
            let mut view = self.view();
            (view.wait, view.seen_ms) = (Some(wait), seen_ms);
        }
        // Detached: a lost count costs little, and the query must not wait for the store.
        let limiter = self.clone();
        tokio::spawn(async move {
            let (limits, jitter) = (limiter.limits, limiter.next_jitter());
            let noted = limiter.change(move |quota, now_ms| {
                let lease = quota.record_unasked_call(&limits, tokens, now_ms);
                quota.report(&limits, lease, &outcome, &advertised, jitter, now_ms);
            });
            if let Err(fault) = noted.await {
                tracing::debug!(limiter = limiter.name, %fault, "a question was not counted");
            }
        });
    }

    /// What this process knows of waits, without asking the store.
    pub fn status(&self) -> Option<QuotaStatus> {
        let now_ms = self.clock.now_ms();
        let view = self.view();
        let status = view.status.clone()?;
        match view.wait(now_ms) {
            Some(wait) => {
                Some(QuotaStatus { wait_ms: wait.until_ms - now_ms, why: Some(wait.why), ..status })
            }
            // Still parked until a call is served, although calls may try again.
            _ if status.why == Some(WaitReason::Parked) => Some(QuotaStatus { wait_ms: 0, ..status }),
            // Calls go on, but slowly; as seen last.
            _ if matches!(status.why, Some(WaitReason::Rate | WaitReason::Concurrency)) => Some(status),
            _ => Some(QuotaStatus { why: None, wait_ms: 0, ..status }),
        }
    }

    /// Whether calls go out at all, as far as this process knows.
    pub fn is_open(&self) -> bool {
        let now_ms = self.clock.now_ms();
        self.view().wait(now_ms).is_none()
    }

    /// Waits until calls may go out again. The caller counts as waiting meanwhile.
    pub async fn until_open(&self) {
        let _waiting = WaitingCallGuard::new(&self.waiting);
        loop {
            let refreshed = self.refresh().await;
            let now_ms = self.clock.now_ms();
            let wait = self.view().wait(now_ms).cloned();
            match (refreshed, wait) {
                (Ok(()), None) => return,
                (_, wait) => {
                    let ms = wait.map_or(duration_ms(POLL_INTERVAL_MAX), |wait| wait.until_ms - now_ms);
                    tokio::time::sleep(Duration::from_millis(ms.max(1)).min(POLL_INTERVAL_MAX)).await;
                }
            }
        }
    }

    /// Reads the quota, and records in it how many calls of this process wait.
    pub async fn refresh(&self) -> Result<(), Fault> {
        let (holder, waiting) = (self.holder.clone(), self.waiting.load(Ordering::Relaxed));
        self.change(move |quota, now_ms| quota.note_waiting(&holder, waiting, now_ms)).await.map(|_| ())
    }

    /// The limits in force.
    pub async fn limits(&self) -> Result<ProviderLimits, Fault> {
        let limits = self.limits;
        Ok(self.change(move |quota, _| quota.limits(&limits)).await?.0)
    }

    async fn request_turn(&self, tokens: u32) -> Result<(TurnDecision, u64), Fault> {
        let (holder, waiting) = (self.holder.clone(), self.waiting.load(Ordering::Relaxed));
        let (limits, jitter, call_max_ms) = (self.limits, self.next_jitter(), duration_ms(self.call_max));
        self.change(move |quota, now_ms| {
            let request = TurnRequest { holder: &holder, waiting, tokens, call_max_ms };
            quota.request_turn(&limits, &request, jitter, now_ms)
        })
        .await
    }

    /// Changes the quota; returns the result of `change` and the store's time.
    async fn change<T: Send + 'static>(
        &self,
        mut change: impl FnMut(&mut CredentialQuota, u64) -> T + Send + 'static,
    ) -> Result<(T, u64), Fault> {
        let made = Arc::new(Mutex::new(None));
        let (out, limits) = (made.clone(), self.limits);
        let apply = move |state: Option<&str>, now_ms: u64| {
            // A state that cannot be read, from a program of another version, starts anew: a quota is
            // knowledge that can be learnt again.
            let mut quota: CredentialQuota =
                state.and_then(|state| serde_json::from_str(state).ok()).unwrap_or_default();
            // First, so that no decision is made by leases of dead processes or times of a wrong clock.
            quota.expire(now_ms);
            let result = change(&mut quota, now_ms);
            let seen = (result, quota.check_open(now_ms).err(), quota.status(&limits, now_ms), now_ms);
            // The store may run a change more than once; the last run is the one that was written.
            *out.lock().unwrap_or_else(PoisonError::into_inner) = Some(seen);
            serde_json::to_string(&quota).ok()
        };
        self.states.change(&format!("{LIMITER_STATE_PREFIX}{}", self.name), Box::new(apply)).await?;
        let made = made.lock().unwrap_or_else(PoisonError::into_inner).take();
        let (result, wait, status, now_ms) =
            made.ok_or_else(|| Fault::transient("limiter: a state was not changed"))?;
        let ahead = self.clock.now_ms();
        let mut view = self.view();
        // The store's clock and this process's may differ, so a wait is kept as a length.
        view.wait =
            wait.map(|wait| TurnWait { until_ms: ahead + wait.until_ms.saturating_sub(now_ms), ..wait });
        (view.status, view.seen_ms) = (Some(status), ahead);
        Ok((result, now_ms))
    }

    /// A parked credential needs a person: unauthorized. All else passes: throttled, for a second at
    /// least, so that messages do not come back at once.
    fn fault(&self, wait: &TurnWait, wait_ms: u64) -> Fault {
        let what = format!("{}: {}", self.name, wait.why.words(&wait.words));
        if wait.why == WaitReason::Parked {
            return Fault::unauthorized(what);
        }
        Fault::Throttled { retry_after: Duration::from_millis(wait_ms.max(1000)), what }
    }

    /// The next number of a `SplitMix64` sequence.
    fn next_jitter(&self) -> u64 {
        let state = self.jitter.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn view(&self) -> std::sync::MutexGuard<'_, LocalQuotaView> {
        self.view.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The status of those credentials that were ever used, by the time of `states`.
pub async fn read_quota_statuses(
    states: &dyn SharedStateStore,
    credentials: &[(&str, ProviderLimits)],
) -> Result<Vec<(String, QuotaStatus)>, Fault> {
    let known = states.named(LIMITER_STATE_PREFIX).await?;
    let now_ms = states.now_ms().await?;
    let quota_status = |(name, limits): &(&str, ProviderLimits)| {
        let (_, stored) =
            known.iter().find(|(known, _)| known.strip_prefix(LIMITER_STATE_PREFIX) == Some(name))?;
        let mut quota: CredentialQuota = serde_json::from_str(stored).ok()?;
        quota.expire(now_ms);
        Some(((*name).to_owned(), quota.status(limits, now_ms)))
    };
    Ok(credentials.iter().filter_map(quota_status).collect())
}

fn duration_ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
