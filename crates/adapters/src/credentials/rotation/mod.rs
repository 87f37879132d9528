//! The source of tokens from a refresh token that each use may replace (RFC 6749, section 6).
//!
//! Processes share the current refresh token and the last access token in the shared states, under
//! `credential/NAME`. A process claims the state before it refreshes, for the longest time of a call
//! plus [`CLAIM_MARGIN`]. Others wait, and use the access token that they find afterwards. If the
//! claimer dies, another follows when the claim has expired.
//!
//! The result of a refresh is stored before it is used, with several attempts. A process that cannot
//! store it keeps it, and stores it before it does anything else. An initial refresh token that differs
//! from the previous one starts anew ([`shared_state`]).
//!
//! One gap is the protocol's: if a response is lost, the same refresh token is sent again.

mod shared_state;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::{Instant, sleep, timeout};

use self::shared_state::{CompletedRefresh, RefreshTokenLineage, SharedAccessToken, SharedTokenState};
use super::fault_messages::reject_config;
use super::oauth::{OAuthClient, TokenEndpoint, TokenGrant, token_response};
use super::refreshing::{IssuedToken, TokenSource};
use super::token::{SecretText, TOKEN_BYTES_MAX, check_sendable};
use contexture_core::fault::Fault;
use contexture_core::ports::clock::WallClock;
use contexture_core::ports::shared_states::SharedStateStore;

/// Added to a call's longest time for the length of a claim, to store the result within it.
const CLAIM_MARGIN: Duration = Duration::from_secs(10);
/// Pause between reads of the state while another process has claimed it.
const POLL_INTERVAL: Duration = Duration::from_millis(100);
/// Attempts to store the result of a refresh.
const STORE_TRIES: u32 = 4;
/// Pause after the first attempt; doubled after each.
const STORE_PAUSE: Duration = Duration::from_millis(100);
/// Longest time of one change of the shared state.
const CHANGE_TIME_MAX: Duration = Duration::from_secs(2);

/// Exchanges a refresh token for access tokens.
pub(super) struct RefreshTokenSource {
    state: String,
    initial: SecretText,
    endpoint: TokenEndpoint,
    states: Arc<dyn SharedStateStore>,
    clock: Arc<dyn WallClock>,
    /// A result that is not stored yet.
    unsaved: Mutex<Option<CompletedRefresh>>,
}

/// What the shared state asks of this process.
enum RefreshTurn {
    /// Use this token: another process has refreshed.
    Found(SharedAccessToken),
    /// Wait: another process is refreshing.
    Wait,
    /// Refresh with this token, under this claim.
    Ours { claim: u64, refresh_token: String },
}

impl RefreshTokenSource {
    pub(super) fn new(
        name: &str,
        oauth: OAuthClient,
        initial: SecretText,
        states: Arc<dyn SharedStateStore>,
        clock: Arc<dyn WallClock>,
    ) -> Result<Self, Fault> {
        let text = initial.expose();
        if text.is_empty() || text.len() > TOKEN_BYTES_MAX || text.chars().any(char::is_control) {
            return Err(reject_config(
                "the refresh token must have 1 to 16384 bytes without control characters",
            ));
        }
        let endpoint = TokenEndpoint::for_client(oauth, clock.clone())?;
        let state = format!("credential/{name}");
        Ok(Self { state, initial, endpoint, states, clock, unsaved: Mutex::default() })
    }

    /// Changes the lineage of our initial refresh token. `change` returns whether it did, and a result.
    async fn change<T: Send + 'static>(
        &self,
        mut change: impl FnMut(&mut RefreshTokenLineage, u64) -> (bool, T) + Send + 'static,
    ) -> Result<T, Fault> {
        // The store takes a `'static` closure without a result, so the result comes back in a slot.
        let result = Arc::new(Mutex::new(None));
        let (result_slot, initial) = (result.clone(), self.initial.clone());
        // The store may call this more than once, after a conflict: the last result counts.
        let apply = move |state: Option<&str>, now_ms| {
            let shared = SharedTokenState::read(state);
            let mut lineage = shared.lineage(initial.expose());
            let (is_changed, result) = change(&mut lineage, now_ms);
            *result_slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
            if is_changed { shared.write(lineage) } else { None }
        };
        let late = |_| Fault::transient("the shared state did not change in time");
        timeout(CHANGE_TIME_MAX, self.states.change(&self.state, Box::new(apply))).await.map_err(late)??;
        let result = result.lock().unwrap_or_else(PoisonError::into_inner).take();
        result.ok_or_else(|| Fault::transient("the shared state was not looked at"))
    }

    fn claim_length(&self) -> Duration {
        self.endpoint.call_max() + CLAIM_MARGIN
    }

    /// Finds a token other than `known`, or claims the state. Also returns the store's time.
    async fn find_or_claim(&self, known: Option<&str>) -> Result<(RefreshTurn, u64), Fault> {
        let known = known.map(str::to_owned);
        let length_ms = u64::try_from(self.claim_length().as_millis()).unwrap_or(u64::MAX);
        self.change(move |lineage, now_ms| {
            if let Some(access) = lineage.other_than(known.as_deref(), now_ms) {
                return (false, (RefreshTurn::Found(access.clone()), now_ms));
            }
            if now_ms < lineage.claimed_until_ms {
                return (false, (RefreshTurn::Wait, now_ms));
            }
            lineage.claim(now_ms, length_ms);
            let turn =
                RefreshTurn::Ours { claim: lineage.claim, refresh_token: lineage.refresh_token.clone() };
            (true, (turn, now_ms))
        })
        .await
    }

    /// Refreshes under a claim that began at `claimed_ms`, by the store's time. `None` if another
    /// process replaced the refresh token first.
    async fn refresh(
        &self,
        claim: u64,
        sent: String,
        claimed_ms: u64,
    ) -> Result<Option<SharedAccessToken>, Fault> {
        let grant = TokenGrant { kind: "refresh_token", proof: Some(("refresh_token", &sent)) };
        let granted = match self.endpoint.ask(&grant).await {
            Ok(granted) => granted,
            Err(fault) => return self.abandon(claim, sent, fault).await,
        };
        let access = SharedAccessToken {
            token: granted.access.expose().to_owned(),
            // The claim came before the call, so the token is never taken to live longer than it does.
            begins_ms: claimed_ms,
            expires_ms: granted.life.map(|life| token_response::expiry_ms(claimed_ms, life)),
        };
        // A response without a refresh token leaves the old one valid (RFC 6749, section 6).
        let refresh_token = granted.refresh.map_or_else(|| sent.clone(), |next| next.expose().to_owned());
        // Before it is stored: if we are cancelled meanwhile, the next call still has it.
        self.set_unsaved(Some(CompletedRefresh { claim, sent, refresh_token, access: access.clone() }));
        Ok(self.store_unsaved().await?.then_some(access))
    }

    /// Ends a claim whose call failed. Not a failure if the refresh token has been replaced since.
    async fn abandon(
        &self,
        claim: u64,
        sent: String,
        fault: Fault,
    ) -> Result<Option<SharedAccessToken>, Fault> {
        let release = move |lineage: &mut RefreshTokenLineage, _| {
            lineage.release(claim);
            (true, lineage.refresh_token != sent)
        };
        // The result is ignored: a claim that cannot be released expires by itself.
        let is_replaced = self.change(release).await.unwrap_or(false);
        if is_replaced { Ok(None) } else { Err(fault) }
    }

    fn set_unsaved(&self, refreshed: Option<CompletedRefresh>) {
        *self.unsaved.lock().unwrap_or_else(PoisonError::into_inner) = refreshed;
    }

    /// Stores the unstored result, if any. Returns whether it was the latest.
    async fn store_unsaved(&self) -> Result<bool, Fault> {
        let unsaved = self.unsaved.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(refreshed) = unsaved else {
            return Ok(false);
        };
        let mut pause = STORE_PAUSE;
        // The last attempt is after the loop: its fault is returned.
        for _ in 1..STORE_TRIES {
            if let Ok(is_latest) = self.store(&refreshed).await {
                return Ok(is_latest);
            }
            sleep(pause).await;
            pause *= 2;
        }
        self.store(&refreshed).await
    }

    async fn store(&self, refreshed: &CompletedRefresh) -> Result<bool, Fault> {
        let refreshed = refreshed.clone();
        let complete = move |lineage: &mut RefreshTokenLineage, _| {
            let is_latest = lineage.complete(&refreshed);
            (is_latest, is_latest)
        };
        let is_latest = self.change(complete).await?;
        self.set_unsaved(None);
        Ok(is_latest)
    }

    /// Converts a shared token to our clock: ours read `began_ms` just before the store's read `now_ms`.
    fn to_local_clock(access: &SharedAccessToken, began_ms: u64, now_ms: u64) -> Result<IssuedToken, Fault> {
        let unusable = |why| Fault::unauthorized(format!("the shared state is of no use: {why}"));
        // The store's clock may be ahead of ours, or behind.
        let to_ours = |store_ms: u64| {
            if store_ms >= now_ms {
                began_ms.saturating_add(store_ms - now_ms)
            } else {
                began_ms.saturating_sub(now_ms - store_ms)
            }
        };
        Ok(IssuedToken {
            text: check_sendable(&access.token).map_err(unusable)?,
            begins_ms: to_ours(access.begins_ms),
            expires_ms: access.expires_ms.map(to_ours),
        })
    }
}

#[async_trait]
impl TokenSource for RefreshTokenSource {
    async fn fetch(&self, known: Option<&str>) -> Result<IssuedToken, Fault> {
        // Two claims: the one that is held now may fail, and then ours still has its whole length.
        let deadline = Instant::now() + self.claim_length() * 2;
        loop {
            self.store_unsaved().await?;
            let began_ms = self.clock.now_ms();
            let (turn, now_ms) = self.find_or_claim(known).await?;
            match turn {
                RefreshTurn::Found(access) => return Self::to_local_clock(&access, began_ms, now_ms),
                RefreshTurn::Ours { claim, refresh_token } => {
                    if let Some(access) = self.refresh(claim, refresh_token, now_ms).await? {
                        return Self::to_local_clock(&access, began_ms, now_ms);
                    }
                }
                RefreshTurn::Wait => {}
            }
            // Also after a refresh that was overtaken: the next read finds the other's token.
            sleep(POLL_INTERVAL).await;
            if Instant::now() >= deadline {
                return Err(Fault::transient("another process refreshes the token"));
            }
        }
    }
}
