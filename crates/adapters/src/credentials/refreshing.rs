//! A token's life: got when first asked for, replaced ahead of its end, replaced after a 401.
//!
//! From [`REFRESH_AHEAD_MAX_MS`] before its end on, or the last fifth of its life where that is less, the
//! next caller starts a refresh in the background; all go on with the old token until it has
//! ended or was refused, and only then wait, all for the same refresh. A refresh is a task of its
//! own: no caller that goes away takes it along. After a failure there is no other try for 1 s,
//! doubled with each failure in a row to 60 s, or as long as the other side asks for; who needs a
//! token meanwhile gets the same fault at once. Nothing happens while nobody asks.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures::FutureExt;
use futures::future::{BoxFuture, Shared};

use super::{AccessToken, Credential, SecretText, fault_messages};
use contexture_core::fault::Fault;
use contexture_core::ports::clock::WallClock;

/// A refresh begins no sooner before a token's end, in ms.
pub(super) const REFRESH_AHEAD_MAX_MS: u64 = 5 * 60 * 1000;
/// The pause after the first failure, in ms.
const RETRY_PAUSE_MS: u64 = 1000;
/// The longest pause that nobody asked for, in ms.
const RETRY_PAUSE_MAX_MS: u64 = 60 * 1000;

/// A token as it was issued, in the time of the process's clock.
pub(super) struct IssuedToken {
    pub(super) text: SecretText,
    /// Not after the moment at which its life began.
    pub(super) begins_ms: u64,
    /// None where nobody said.
    pub(super) expires_ms: Option<u64>,
}

/// Gets one token; called by nobody else meanwhile.
#[async_trait]
pub(super) trait TokenSource: Send + Sync {
    /// A token; `known` is the one to be replaced.
    async fn fetch(&self, known: Option<&str>) -> Result<IssuedToken, Fault>;
}

type SharedRefresh = Shared<BoxFuture<'static, Result<AccessToken, Fault>>>;

/// A credential whose tokens come and go.
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
    flight: Option<SharedRefresh>,
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
    in_a_row: u32,
    at_ms: u64,
    pause_ms: u64,
}

impl KnownToken {
    fn new(token: AccessToken, issued: &IssuedToken) -> Self {
        let expires_ms = issued.expires_ms.unwrap_or(u64::MAX);
        let life_ms = expires_ms.saturating_sub(issued.begins_ms);
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

    /// The last failure, while there is to be no other try.
    fn pause(&self, now_ms: u64) -> Option<Fault> {
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

    fn fail(&mut self, fault: &Fault, now_ms: u64) {
        let in_a_row = self.failure.as_ref().map_or(0, |failure| failure.in_a_row).saturating_add(1);
        let pause_ms = (RETRY_PAUSE_MS << (in_a_row - 1).min(16)).min(RETRY_PAUSE_MAX_MS);
        let asked_ms = match fault {
            Fault::Throttled { retry_after, .. } => u64::try_from(retry_after.as_millis()).unwrap_or(0),
            _ => 0,
        };
        let pause_ms = pause_ms.max(asked_ms);
        self.failure = Some(RefreshFailure { fault: fault.clone(), in_a_row, at_ms: now_ms, pause_ms });
    }
}

impl CredentialRefresher {
    fn lock(&self) -> MutexGuard<'_, RefreshState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The refresh that is under way, or a new one, unless there is to be a pause.
    fn flight(self: &Arc<Self>, state: &mut RefreshState, now_ms: u64) -> Result<SharedRefresh, Fault> {
        if let Some(flight) = &state.flight {
            return Ok(flight.clone());
        }
        if let Some(fault) = state.pause(now_ms) {
            return Err(fault);
        }
        let (inner, known) = (self.clone(), state.known.as_ref().map(|known| known.token.clone()));
        let task = tokio::spawn(async move {
            let fetch = inner.source.fetch(known.as_ref().map(AccessToken::expose));
            let fetched = AssertUnwindSafe(fetch).catch_unwind().await;
            let ended = |_| Err(Fault::Transient("the refresh panicked".to_owned()));
            inner.land(fetched.unwrap_or_else(ended))
        });
        let ended = |_| Err(Fault::Transient("the refresh was stopped".to_owned()));
        let flight = task.map(move |joined| joined.unwrap_or_else(ended)).boxed().shared();
        state.flight = Some(flight.clone());
        Ok(flight)
    }

    /// What a refresh came to.
    fn land(&self, fetched: Result<IssuedToken, Fault>) -> Result<AccessToken, Fault> {
        let mut state = self.lock();
        let now_ms = self.clock.now_ms();
        state.flight = None;
        let settled = fetched
            .map_err(fault_messages::permanent_to_unauthorized)
            .and_then(|issued| state.accept(&issued));
        settled
            .map_err(|fault| fault_messages::prefix_credential_name(&self.name, fault))
            .inspect(|token| {
                state.failure = None;
                tracing::debug!(credential = self.name, number = token.number(), "a token was issued");
            })
            .inspect_err(|fault| {
                state.fail(fault, now_ms);
                if state.usable(now_ms).is_some() {
                    tracing::warn!(%fault, "cannot refresh ahead of the token's end; it tries again");
                }
            })
    }
}

impl RefreshState {
    /// A refused token that is issued again is not handed to those who wait for another; to later
    /// callers it is, for the refusal may be healed elsewhere.
    fn accept(&mut self, issued: &IssuedToken) -> Result<AccessToken, Fault> {
        let known = self.known.as_ref();
        let again = known.filter(|known| known.token.expose() == issued.text.expose());
        let was_refused = again.is_some_and(|known| known.refused);
        let newer =
            || AccessToken::new(issued.text.clone(), known.map_or(1, |known| known.token.number() + 1));
        let token = again.map_or_else(newer, |known| known.token.clone());
        self.known = Some(KnownToken::new(token.clone(), issued));
        if was_refused {
            return Err(Fault::Unauthorized("the token that was refused was issued again".to_owned()));
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
        let flight = {
            let mut state = self.0.lock();
            let now_ms = self.0.clock.now_ms();
            if let Some(known) = state.usable(now_ms) {
                let (token, is_due) = (known.token.clone(), now_ms >= known.due_ms);
                if is_due {
                    // It goes on by itself; a pause is no harm while this token is good.
                    let _ = self.0.flight(&mut state, now_ms);
                }
                return Ok(token);
            }
            self.0.flight(&mut state, now_ms)?
        };
        flight.await
    }

    async fn renew(&self, refused: &AccessToken) -> Result<AccessToken, Fault> {
        let flight = {
            let mut state = self.0.lock();
            let now_ms = self.0.clock.now_ms();
            if let Some(known) = state.known.as_mut().filter(|known| known.token.number() <= refused.number())
            {
                known.refused = true;
            }
            if let Some(known) = state.usable(now_ms) {
                return Ok(known.token.clone());
            }
            self.0.flight(&mut state, now_ms)?
        };
        flight.await
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
        let fault = Fault::Transient("away".to_owned());
        let pauses: Vec<u64> = (0..9)
            .map(|_| {
                state.fail(&fault, 0);
                let pause_ms = state.failure.as_ref().map_or(0, |failure| failure.pause_ms);
                assert_eq!(state.pause(pause_ms - 1), Some(fault.clone()));
                assert_eq!(state.pause(pause_ms), None);
                pause_ms / 1000
            })
            .collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
        let throttled =
            |seconds| Fault::Throttled { retry_after: Duration::from_secs(seconds), what: "busy".to_owned() };
        state.fail(&throttled(300), 1000);
        assert_eq!(state.pause(101_000), Some(throttled(200)));
        assert_eq!(state.pause(999), None, "the clock was set back");
    }
}
