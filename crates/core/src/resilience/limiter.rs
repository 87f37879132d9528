//! What a caller of a provider holds: its turns, and what it knows of waits.
//!
//! All callers of one credential, in all processes, share one [`CredentialQuota`]; each turn and each report
//! is one atomic change of it. A call of the pipeline waits for its turn: as long as it takes
//! while the provider is well, [`UNWELL_WAIT_MAX`] while it is not; beyond, its messages had better
//! wait in their queue. A question waits for nothing and asks nobody, for the store is not on the
//! query path: it goes out unless this process knows that it would be in vain, and is counted
//! afterwards. What this process saw last stands in a mirror that costs nothing to look at. Nothing
//! is held up for as long as a clock was set back: see [`CredentialQuota::expire`] and [`LocalQuotaView`].

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

/// Where quotas stand among the shared states.
pub const LIMITER_STATE_PREFIX: &str = "limiter/";
/// How long a call waits for a provider that is not well.
pub const UNWELL_WAIT_MAX: Duration = Duration::from_secs(10);
/// How long a call waits for its turn.
pub const TURN_WAIT_MAX: Duration = Duration::from_mins(5);
/// Longest time between two looks of one that waits.
const POLL_INTERVAL_MAX: Duration = Duration::from_secs(1);

/// Callers of one credential in this process.
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
    mirror: Mutex<LocalQuotaView>,
}

/// What this process saw last.
#[derive(Default)]
struct LocalQuotaView {
    wait: Option<TurnWait>,
    standing: Option<QuotaStatus>,
    /// When it was seen, by this process's clock.
    seen_ms: u64,
}

impl LocalQuotaView {
    /// The wait that still lasts; none if the clock was set back since it was seen.
    fn wait(&self, now_ms: u64) -> Option<&TurnWait> {
        self.wait.as_ref().filter(|wait| self.seen_ms <= now_ms && now_ms < wait.until_ms)
    }
}

/// A turn; to be reported.
#[derive(Debug, PartialEq, Eq)]
pub struct CallLease(u64);

/// One of the calls that wait, for as long as it lives.
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
            mirror: Mutex::default(),
        }
    }

    /// The name of its credential.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Waits for a turn to make a call of so many tokens; throttled, or unauthorized where the
    /// credential is refused, when that would take too long, or when `deadline` passes.
    pub async fn turn(&self, tokens: u32, deadline: &TurnDeadline) -> Result<CallLease, Fault> {
        let _waiting = WaitingCallGuard::new(&self.waiting);
        let began = Instant::now();
        let mut unwell_since = None;
        loop {
            if deadline.has_passed() {
                return Err(deadline.fault());
            }
            let freed = self.place_free.notified();
            let wait = match self.ask(tokens).await? {
                (TurnDecision::Go { lease, at_ms }, now_ms) => {
                    tokio::time::sleep(Duration::from_millis(at_ms.saturating_sub(now_ms))).await;
                    return Ok(CallLease(lease));
                }
                (TurnDecision::Wait(wait), now_ms) => (wait.until_ms.saturating_sub(now_ms), wait),
            };
            let (wait_ms, wait) = wait;
            let is_well = matches!(wait.why, WaitReason::Rate | WaitReason::Concurrency);
            let since = if is_well { None } else { Some(unwell_since.unwrap_or_else(Instant::now)) };
            unwell_since = since;
            let waited = unwell_since.map_or(Duration::ZERO, |since: Instant| since.elapsed());
            if waited >= UNWELL_WAIT_MAX
                || (!is_well && wait_ms > duration_ms(UNWELL_WAIT_MAX))
                || began.elapsed() > TURN_WAIT_MAX
            {
                return Err(self.fault(&wait, wait_ms));
            }
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
        ended: CallOutcome,
        told: AdvertisedLimits,
    ) -> Result<(), Fault> {
        let (limits, jitter) = (self.limits, self.next_jitter());
        let (holder, waiting) = (self.holder.clone(), self.waiting.load(Ordering::Relaxed));
        let done = self
            .change(move |quota, now_ms| {
                quota.report(&limits, lease.0, &ended, &told, jitter, now_ms);
                quota.note_waiting(&holder, waiting, now_ms);
            })
            .await
            .map(|((), _)| ());
        self.place_free.notify_one();
        done
    }

    /// Lets nobody call for a while, because the credential, or what is asked for, is refused.
    pub async fn park(&self, words: String) -> Result<(), Fault> {
        self.change(move |quota, now_ms| quota.park(&words, now_ms)).await.map(|_| ())
    }

    /// Takes from the retry budget.
    pub async fn retry(&self) -> Result<(), Fault> {
        match self.change(CredentialQuota::retry).await? {
            (Ok(()), _) => Ok(()),
            (Err(wait), now_ms) => Err(self.fault(&wait, wait.until_ms.saturating_sub(now_ms))),
        }
    }

    /// Whether a question may be asked now.
    pub fn question(&self) -> Result<(), Fault> {
        let now_ms = self.clock.now_ms();
        match self.mirror().wait(now_ms) {
            Some(wait) => Err(self.fault(wait, wait.until_ms - now_ms)),
            None => Ok(()),
        }
    }

    /// Counts a question that was asked, after the fact and off its path.
    pub fn asked(self: &Arc<Self>, tokens: u32, ended: CallOutcome, told: AdvertisedLimits) {
        if let CallOutcome::Throttled(hint_ms) = &ended {
            let seen_ms = self.clock.now_ms();
            let until_ms = seen_ms + hint_ms.unwrap_or(super::quota::THROTTLE_WAIT_MS_MIN);
            let wait = TurnWait { until_ms, why: WaitReason::Throttled, words: String::new() };
            let mut mirror = self.mirror();
            (mirror.wait, mirror.seen_ms) = (Some(wait), seen_ms);
        }
        let limiter = self.clone();
        tokio::spawn(async move {
            let (limits, jitter) = (limiter.limits, limiter.next_jitter());
            let noted = limiter.change(move |quota, now_ms| {
                let lease = quota.note(&limits, tokens, now_ms);
                quota.report(&limits, lease, &ended, &told, jitter, now_ms);
            });
            if let Err(fault) = noted.await {
                tracing::debug!(limiter = limiter.name, %fault, "a question was not counted");
            }
        });
    }

    /// What this process knows of waits, without asking.
    pub fn standing(&self) -> Option<QuotaStatus> {
        let now_ms = self.clock.now_ms();
        let mirror = self.mirror();
        let standing = mirror.standing.clone()?;
        match mirror.wait(now_ms) {
            Some(wait) => {
                Some(QuotaStatus { wait_ms: wait.until_ms - now_ms, why: Some(wait.why), ..standing })
            }
            _ if standing.why == Some(WaitReason::Parked) => Some(QuotaStatus { wait_ms: 0, ..standing }),
            // Calls go on, but slowly: as it was when it was last seen.
            _ if matches!(standing.why, Some(WaitReason::Rate | WaitReason::Concurrency)) => Some(standing),
            _ => Some(QuotaStatus { why: None, wait_ms: 0, ..standing }),
        }
    }

    /// Whether calls go out at all, as far as this process knows.
    pub fn is_open(&self) -> bool {
        let now_ms = self.clock.now_ms();
        self.mirror().wait(now_ms).is_none()
    }

    /// Waits until calls may go out again; is counted as waiting meanwhile.
    pub async fn until_open(&self) {
        let _waiting = WaitingCallGuard::new(&self.waiting);
        loop {
            let looked = self.look().await;
            let now_ms = self.clock.now_ms();
            let wait = self.mirror().wait(now_ms).cloned();
            match (looked, wait) {
                (Ok(()), None) => return,
                (_, wait) => {
                    let ms = wait.map_or(duration_ms(POLL_INTERVAL_MAX), |wait| wait.until_ms - now_ms);
                    tokio::time::sleep(Duration::from_millis(ms.max(1)).min(POLL_INTERVAL_MAX)).await;
                }
            }
        }
    }

    /// Looks at the quota, and shows in it how many calls of this process wait.
    pub async fn look(&self) -> Result<(), Fault> {
        let (holder, waiting) = (self.holder.clone(), self.waiting.load(Ordering::Relaxed));
        self.change(move |quota, now_ms| quota.note_waiting(&holder, waiting, now_ms)).await.map(|_| ())
    }

    /// The limits in force.
    pub async fn limits(&self) -> Result<ProviderLimits, Fault> {
        let limits = self.limits;
        Ok(self.change(move |quota, _| quota.limits(&limits)).await?.0)
    }

    async fn ask(&self, tokens: u32) -> Result<(TurnDecision, u64), Fault> {
        let (holder, waiting) = (self.holder.clone(), self.waiting.load(Ordering::Relaxed));
        let (limits, jitter, call_max_ms) = (self.limits, self.next_jitter(), duration_ms(self.call_max));
        self.change(move |quota, now_ms| {
            let ask = TurnRequest { holder: &holder, waiting, tokens, call_max_ms };
            quota.ask(&limits, &ask, jitter, now_ms)
        })
        .await
    }

    /// Changes the quota; returns what `change` made of it and the store's time.
    async fn change<T: Send + 'static>(
        &self,
        mut change: impl FnMut(&mut CredentialQuota, u64) -> T + Send + 'static,
    ) -> Result<(T, u64), Fault> {
        let made = Arc::new(Mutex::new(None));
        let (out, limits) = (made.clone(), self.limits);
        let apply = move |state: Option<&str>, now_ms: u64| {
            // What a program of another version wrote is begun anew.
            let mut quota: CredentialQuota =
                state.and_then(|state| serde_json::from_str(state).ok()).unwrap_or_default();
            quota.expire(now_ms);
            let result = change(&mut quota, now_ms);
            let seen = (result, quota.closed(now_ms).err(), quota.standing(&limits, now_ms), now_ms);
            *out.lock().unwrap_or_else(PoisonError::into_inner) = Some(seen);
            serde_json::to_string(&quota).ok()
        };
        self.states.change(&format!("{LIMITER_STATE_PREFIX}{}", self.name), Box::new(apply)).await?;
        let made = made.lock().unwrap_or_else(PoisonError::into_inner).take();
        let (result, wait, standing, now_ms) =
            made.ok_or_else(|| Fault::Transient("limiter: a state was not changed".to_owned()))?;
        let ahead = self.clock.now_ms();
        let mut mirror = self.mirror();
        // The store's time and this process's may differ; a wait is kept as a length.
        mirror.wait =
            wait.map(|wait| TurnWait { until_ms: ahead + wait.until_ms.saturating_sub(now_ms), ..wait });
        (mirror.standing, mirror.seen_ms) = (Some(standing), ahead);
        Ok((result, now_ms))
    }

    fn fault(&self, wait: &TurnWait, wait_ms: u64) -> Fault {
        let what = format!("{}: {}", self.name, wait.why.words(&wait.words));
        if wait.why == WaitReason::Parked {
            return Fault::Unauthorized(what);
        }
        Fault::Throttled { retry_after: Duration::from_millis(wait_ms.max(1000)), what }
    }

    /// Any number, another each time (`SplitMix64`).
    fn next_jitter(&self) -> u64 {
        let state = self.jitter.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn mirror(&self) -> std::sync::MutexGuard<'_, LocalQuotaView> {
        self.mirror.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How the credentials with these names and limits stand that were ever used, by the time of `states`.
pub async fn read_quota_statuses(
    states: &dyn SharedStateStore,
    credentials: &[(&str, ProviderLimits)],
) -> Result<Vec<(String, QuotaStatus)>, Fault> {
    let known = states.named(LIMITER_STATE_PREFIX).await?;
    let now_ms = states.now_ms().await?;
    let standing = |(name, limits): &(&str, ProviderLimits)| {
        let (_, state) =
            known.iter().find(|(known, _)| known.strip_prefix(LIMITER_STATE_PREFIX) == Some(name))?;
        let mut quota: CredentialQuota = serde_json::from_str(state).ok()?;
        quota.expire(now_ms);
        Some(((*name).to_owned(), quota.standing(limits, now_ms)))
    };
    Ok(credentials.iter().filter_map(standing).collect())
}

fn duration_ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
