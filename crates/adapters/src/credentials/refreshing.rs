//! The life of a token: fetched on first use, replaced before it expires, replaced after a 401.
//!
//! A token is due [`REFRESH_AHEAD_MAX_MS`] before it expires, or at four fifths of its life if that is
//! later. The first caller after that starts a refresh in the background. All callers keep the old
//! token until it expires or is refused; only then do they wait, all for the same refresh.
//!
//! A refresh is a task of its own, so a caller that is cancelled does not cancel it. After a failure
//! there is no new attempt for 1 s, doubled with each consecutive failure up to 60 s, or for as long as
//! the other side asks for. Whoever needs a token during that pause gets the last fault at once.
//! Nothing runs while nobody asks.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures::FutureExt;
use futures::future::{BoxFuture, Shared};

use super::fault_messages::{permanent_to_unauthorized, prefix_credential_name};
use super::token::{AccessToken, Credential, SecretText};
use contexture_core::fault::Fault;
use contexture_core::ports::clock::WallClock;

/// Longest time between a refresh and the expiry that it is ahead of, in ms.
pub(super) const REFRESH_AHEAD_MAX_MS: u64 = 5 * 60 * 1000;
/// The pause after the first failure, in ms.
const RETRY_PAUSE_MS: u64 = 1000;
/// The longest pause that the other side did not ask for, in ms.
const RETRY_PAUSE_MAX_MS: u64 = 60 * 1000;

/// A token as it was issued. Times are those of this process's clock.
pub(super) struct IssuedToken {
    pub(super) text: SecretText,
    /// When its life began, or a little before.
    pub(super) begins_ms: u64,
    /// `None` if the source names no expiry.
    pub(super) expires_ms: Option<u64>,
}

/// Gets one token. Calls never overlap.
#[async_trait]
pub(super) trait TokenSource: Send + Sync {
    /// Returns a token; `known` is the one to be replaced.
    async fn fetch(&self, known: Option<&str>) -> Result<IssuedToken, Fault>;
}

/// A refresh that any number of callers can await.
type SharedRefresh = Shared<BoxFuture<'static, Result<AccessToken, Fault>>>;

/// A credential whose tokens expire and are replaced.
pub(super) struct RefreshingCredential(Arc<CredentialRefresher>);

struct CredentialRefresher {
    name: String,
    source: Box<dyn TokenSource>,
    clock: Arc<dyn WallClock>,
    state: Mutex<RefreshState>,
}

#[derive(Default)]
struct RefreshState {
    known: Option<KnownToken>,
    refresh: Option<SharedRefresh>,
    failure: Option<RefreshFailure>,
}

struct KnownToken {
    token: AccessToken,
    due_ms: u64,
    expires_ms: u64,
    refused: bool,
}

struct RefreshFailure {
    fault: Fault,
    failures_in_a_row: u32,
    at_ms: u64,
    pause_ms: u64,
}

impl KnownToken {
    fn new(token: AccessToken, issued: &IssuedToken) -> Self {
        let expires_ms = issued.expires_ms.unwrap_or(u64::MAX);
        let life_ms = expires_ms.saturating_sub(issued.begins_ms);
        // At least 1 ms ahead: a token that lives for less than 5 ms would otherwise not be due before it expires.
        let due_ms = expires_ms.saturating_sub((life_ms / 5).clamp(1, REFRESH_AHEAD_MAX_MS));
        let due_ms = if issued.expires_ms.is_none() { u64::MAX } else { due_ms };
        Self { token, due_ms, expires_ms, refused: false }
    }

    fn is_usable(&self, now_ms: u64) -> bool {
        !self.refused && now_ms < self.expires_ms
    }
}

impl RefreshState {
    fn usable(&self, now_ms: u64) -> Option<&KnownToken> {
        self.known.as_ref().filter(|known| known.is_usable(now_ms))
    }

    /// The last failure, for as long as its pause lasts.
    fn pause_fault(&self, now_ms: u64) -> Option<Fault> {
        let failure = self.failure.as_ref()?;
        let end_ms = failure.at_ms.saturating_add(failure.pause_ms);
        // A clock that was set back must not make the pause longer.
        if !(failure.at_ms..end_ms).contains(&now_ms) {
            return None;
        }
        Some(match &failure.fault {
            Fault::Throttled { what, .. } => {
                Fault::Throttled { retry_after: Duration::from_millis(end_ms - now_ms), what: what.clone() }
            }
            fault => fault.clone(),
        })
    }

    fn record_failure(&mut self, fault: &Fault, now_ms: u64) {
        let failures_in_a_row =
            self.failure.as_ref().map_or(0, |failure| failure.failures_in_a_row).saturating_add(1);
        // The shift is bounded, so that it cannot overflow after many failures.
        let pause_ms = (RETRY_PAUSE_MS << (failures_in_a_row - 1).min(16)).min(RETRY_PAUSE_MAX_MS);
        let asked_ms = match fault {
            Fault::Throttled { retry_after, .. } => u64::try_from(retry_after.as_millis()).unwrap_or(0),
            _ => 0,
        };
        let pause_ms = pause_ms.max(asked_ms);
        self.failure =
            Some(RefreshFailure { fault: fault.clone(), failures_in_a_row, at_ms: now_ms, pause_ms });
    }
}

impl CredentialRefresher {
    fn lock(&self) -> MutexGuard<'_, RefreshState> {
        // Nothing that can fail half-way runs under the lock, so a poisoned state is still sound.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Joins the refresh that is running or starts one; during a pause returns its fault.
    fn start_or_join_refresh(
        self: &Arc<Self>,
        state: &mut RefreshState,
        now_ms: u64,
    ) -> Result<SharedRefresh, Fault> {
        if let Some(refresh) = &state.refresh {
            return Ok(refresh.clone());
        }
        if let Some(fault) = state.pause_fault(now_ms) {
            return Err(fault);
        }
        let (refresher, known) = (self.clone(), state.known.as_ref().map(|known| known.token.clone()));
        // Spawned, not polled by the callers: if the provider rotates tokens, an aborted refresh
        // could lose one.
        let task = tokio::spawn(async move {
            let fetch = refresher.source.fetch(known.as_ref().map(AccessToken::expose));
            // A panic must reach `finish_refresh`, too: otherwise `refresh` would stay set for ever.
            let fetched = AssertUnwindSafe(fetch).catch_unwind().await;
            let ended = |_| Err(Fault::transient("the refresh panicked"));
            refresher.finish_refresh(fetched.unwrap_or_else(ended))
        });
        let ended = |_| Err(Fault::transient("the refresh was stopped"));
        let refresh = task.map(move |joined| joined.unwrap_or_else(ended)).boxed().shared();
        state.refresh = Some(refresh.clone());
        Ok(refresh)
    }

    /// Records how a refresh ended. Returns its token, or its fault with the credential's name.
    fn finish_refresh(&self, fetched: Result<IssuedToken, Fault>) -> Result<AccessToken, Fault> {
        let mut state = self.lock();
        let now_ms = self.clock.now_ms();
        state.refresh = None;
        let accepted = fetched.map_err(permanent_to_unauthorized).and_then(|issued| state.accept(&issued));
        accepted
            .map_err(|fault| prefix_credential_name(&self.name, fault))
            .inspect(|token| {
                state.failure = None;
                tracing::debug!(credential = self.name, number = token.number(), "a token was issued");
            })
            .inspect_err(|fault| {
                state.record_failure(fault, now_ms);
                if state.usable(now_ms).is_some() {
                    tracing::warn!(%fault, "failed to refresh a token before it expires; will retry");
                }
            })
    }
}

impl RefreshState {
    /// Takes over an issued token. If it is the one that was refused, those who wait for another get
    /// a fault; later callers get the token, because the cause of the refusal may be gone by then.
    fn accept(&mut self, issued: &IssuedToken) -> Result<AccessToken, Fault> {
        let known = self.known.as_ref();
        let same_token = known.filter(|known| known.token.expose() == issued.text.expose());
        let was_refused = same_token.is_some_and(|known| known.refused);
        // Its number is higher, which tells a late 401 for the old token from one for this.
        let new_token =
            || AccessToken::new(issued.text.clone(), known.map_or(1, |known| known.token.number() + 1));
        let token = same_token.map_or_else(new_token, |known| known.token.clone());
        self.known = Some(KnownToken::new(token.clone(), issued));
        if was_refused {
            return Err(Fault::unauthorized("the token that was refused was issued again"));
        }
        Ok(token)
    }
}

impl RefreshingCredential {
    pub(super) fn new(name: &str, source: Box<dyn TokenSource>, clock: Arc<dyn WallClock>) -> Self {
        Self(Arc::new(CredentialRefresher { name: name.to_owned(), source, clock, state: Mutex::default() }))
    }
}

#[async_trait]
impl Credential for RefreshingCredential {
    async fn token(&self) -> Result<AccessToken, Fault> {
        // The block ends before the await, so the lock is not held across it.
        let refresh = {
            let mut state = self.0.lock();
            let now_ms = self.0.clock.now_ms();
            if let Some(known) = state.usable(now_ms) {
                let (token, is_due) = (known.token.clone(), now_ms >= known.due_ms);
                if is_due {
                    // The task runs without us. A fault here only means a pause, and the token at
                    // hand is still good.
                    let _ = self.0.start_or_join_refresh(&mut state, now_ms);
                }
                return Ok(token);
            }
            self.0.start_or_join_refresh(&mut state, now_ms)?
        };
        refresh.await
    }

    async fn renew(&self, refused: &AccessToken) -> Result<AccessToken, Fault> {
        let refresh = {
            let mut state = self.0.lock();
            let now_ms = self.0.clock.now_ms();
            // A caller that was late with its 401 must not condemn the token that replaced its own.
            if let Some(known) = state.known.as_mut().filter(|known| known.token.number() <= refused.number())
            {
                known.refused = true;
            }
            if let Some(known) = state.usable(now_ms) {
                return Ok(known.token.clone());
            }
            self.0.start_or_join_refresh(&mut state, now_ms)?
        };
        refresh.await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn due_ms(life_ms: u64) -> u64 {
        let issued =
            IssuedToken { text: SecretText::new("t"), begins_ms: 1000, expires_ms: Some(1000 + life_ms) };
        KnownToken::new(AccessToken::new(issued.text.clone(), 1), &issued).due_ms - 1000
    }

    #[test]
    fn a_token_is_due_at_four_fifths_of_its_life_or_five_minutes_before_its_end() {
        assert_eq!(due_ms(1), 0);
        assert_eq!(due_ms(4), 3);
        assert_eq!(due_ms(3000), 2400);
        assert_eq!(due_ms(1_500_000), 1_200_000);
        assert_eq!(due_ms(3_600_000), 3_300_000);
    }

    #[test]
    fn pauses_double_to_a_minute_and_are_as_long_as_was_asked() {
        let mut state = RefreshState::default();
        let fault = Fault::transient("away");
        let pauses: Vec<u64> = (0..9)
            .map(|_| {
                state.record_failure(&fault, 0);
                let pause_ms = state.failure.as_ref().map_or(0, |failure| failure.pause_ms);
                assert_eq!(state.pause_fault(pause_ms - 1), Some(fault.clone()));
                assert_eq!(state.pause_fault(pause_ms), None);
                pause_ms / 1000
            })
            .collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
        let throttled =
            |seconds| Fault::Throttled { retry_after: Duration::from_secs(seconds), what: "busy".to_owned() };
        state.record_failure(&throttled(300), 1000);
        assert_eq!(state.pause_fault(101_000), Some(throttled(200)));
        assert_eq!(state.pause_fault(999), None, "the clock was set back");
    }
}
