//! A refresh token that each use may replace (RFC 6749, section 6), shared by processes.
//!
//! The current one is in the shared states under `credential/NAME`, with the last access token.
//! Who refreshes claims the state first, for as long as a call may take and [`CLAIM_MARGIN`]; others
//! wait, and take the access token that they find. What a refresh brought is stored before it is
//! used, with some patience; a process that cannot store it keeps it and stores it before it does
//! anything else. A claimer that died is followed by another after its claim. An initial refresh
//! token that differs from the one of before begins anew ([`shared_state`]).
//!
//! One gap is the protocol's: where an answer is lost on its way, the refresh token is sent again.

mod shared_state;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::{Instant, sleep, timeout};

use self::shared_state::{CompletedRefresh, RefreshTokenLineage, SharedAccessToken, SharedTokenState};
use super::oauth::{OAuthClient, TokenEndpoint, TokenGrant, token_response};
use super::refreshing::{IssuedToken, TokenSource};
use super::secret::{TOKEN_BYTES_MAX, check_sendable};
use super::{SecretText, reject_config};
use contexture_core::fault::Fault;
use contexture_core::ports::clock::WallClock;
use contexture_core::ports::shared_states::SharedStateStore;

/// A claim is longer than a call by this, for storing what it brought.
const CLAIM_MARGIN: Duration = Duration::from_secs(10);
/// Pause between looks at the state while somebody else has claimed it.
const POLL_INTERVAL: Duration = Duration::from_millis(100);
/// Tries to store what a refresh brought.
const STORE_TRIES: u32 = 4;
/// Pause after the first of them; doubled after each.
const STORE_PAUSE: Duration = Duration::from_millis(100);
/// Longest time of one change of the state.
const CHANGE_TIME_MAX: Duration = Duration::from_secs(2);

/// Tokens for a refresh token.
pub(super) struct RefreshTokenSource {
    state: String,
    initial: SecretText,
    endpoint: TokenEndpoint,
    states: Arc<dyn SharedStateStore>,
    clock: Arc<dyn WallClock>,
    /// What could not be stored.
    unsaved: Mutex<Option<CompletedRefresh>>,
}

/// What a look at the state came to.
enum RefreshTurn {
    /// Somebody has refreshed.
    Found(SharedAccessToken),
    /// Somebody does.
    Wait,
    /// It is up to us, with this refresh token.
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

    /// Changes the line of our initial refresh token; `change` says whether it has.
    async fn change<T: Send + 'static>(
        &self,
        mut change: impl FnMut(&mut RefreshTokenLineage, u64) -> (bool, T) + Send + 'static,
    ) -> Result<T, Fault> {
        let made = Arc::new(Mutex::new(None));
        let (out, initial) = (made.clone(), self.initial.clone());
        let apply = move |state: Option<&str>, now_ms| {
            let kept = SharedTokenState::read(state);
            let mut line = kept.line(initial.expose());
            let (is_changed, made) = change(&mut line, now_ms);
            *out.lock().unwrap_or_else(PoisonError::into_inner) = Some(made);
            if is_changed { kept.write(line) } else { None }
        };
        let late = |_| Fault::Transient("the shared state did not change in time".to_owned());
        timeout(CHANGE_TIME_MAX, self.states.change(&self.state, Box::new(apply))).await.map_err(late)??;
        let made = made.lock().unwrap_or_else(PoisonError::into_inner).take();
        made.ok_or_else(|| Fault::Transient("the shared state was not looked at".to_owned()))
    }

    fn claim_length(&self) -> Duration {
        self.endpoint.call_max() + CLAIM_MARGIN
    }

    /// Finds another token than `known`, or claims the state; and the store's time.
    async fn turn(&self, known: Option<&str>) -> Result<(RefreshTurn, u64), Fault> {
        let known = known.map(str::to_owned);
        let length_ms = u64::try_from(self.claim_length().as_millis()).unwrap_or(u64::MAX);
        self.change(move |line, now_ms| {
            if let Some(access) = line.other_than(known.as_deref(), now_ms) {
                return (false, (RefreshTurn::Found(access.clone()), now_ms));
            }
            if now_ms < line.claimed_until_ms {
                return (false, (RefreshTurn::Wait, now_ms));
            }
            line.claim(now_ms, length_ms);
            let turn = RefreshTurn::Ours { claim: line.claim, refresh_token: line.refresh_token.clone() };
            (true, (turn, now_ms))
        })
        .await
    }

    /// Refreshes under a claim that began at `claimed_ms`, by the store's time; none where somebody
    /// else has got there first after all.
    async fn refresh(
        &self,
        claim: u64,
        sent: String,
        claimed_ms: u64,
    ) -> Result<Option<SharedAccessToken>, Fault> {
        let grant = TokenGrant { kind: "refresh_token", proof: Some(("refresh_token", &sent)) };
        let granted = match self.endpoint.ask(&grant).await {
            Ok(granted) => granted,
            Err(fault) => return self.give_up(claim, sent, fault).await,
        };
        let access = SharedAccessToken {
            token: granted.access.expose().to_owned(),
            begins_ms: claimed_ms,
            expires_ms: granted.life.map(|life| token_response::expiry_ms(claimed_ms, life)),
        };
        let refresh_token = granted.refresh.map_or_else(|| sent.clone(), |next| next.expose().to_owned());
        self.keep(Some(CompletedRefresh { claim, sent, refresh_token, access: access.clone() }));
        Ok(self.save().await?.then_some(access))
    }

    /// Ends a claim that brought nothing. Where the refresh token is another by now, that is no failure.
    async fn give_up(
        &self,
        claim: u64,
        sent: String,
        fault: Fault,
    ) -> Result<Option<SharedAccessToken>, Fault> {
        let release = move |line: &mut RefreshTokenLineage, _| {
            line.release(claim);
            (true, line.refresh_token != sent)
        };
        // A claim that is not given up ends by itself.
        let is_replaced = self.change(release).await.unwrap_or(false);
        if is_replaced { Ok(None) } else { Err(fault) }
    }

    fn keep(&self, refreshed: Option<CompletedRefresh>) {
        *self.unsaved.lock().unwrap_or_else(PoisonError::into_inner) = refreshed;
    }

    /// Stores what has not been stored yet; whether there was something that counts.
    async fn save(&self) -> Result<bool, Fault> {
        let unsaved = self.unsaved.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(refreshed) = unsaved else {
            return Ok(false);
        };
        let mut pause = STORE_PAUSE;
        for _ in 1..STORE_TRIES {
            if let Ok(is_taken) = self.store(&refreshed).await {
                return Ok(is_taken);
            }
            sleep(pause).await;
            pause *= 2;
        }
        self.store(&refreshed).await
    }

    async fn store(&self, refreshed: &CompletedRefresh) -> Result<bool, Fault> {
        let refreshed = refreshed.clone();
        let take = move |line: &mut RefreshTokenLineage, _| {
            let is_taken = line.take(&refreshed);
            (is_taken, is_taken)
        };
        let is_taken = self.change(take).await?;
        self.keep(None);
        Ok(is_taken)
    }

    /// An access token of the store, in the time of our clock: `began_ms` was before `now_ms` there.
    fn issued(access: &SharedAccessToken, began_ms: u64, now_ms: u64) -> Result<IssuedToken, Fault> {
        let useless = |why| Fault::Unauthorized(format!("the shared state is of no use: {why}"));
        // The store's clock may be ahead of ours, or behind.
        let here = |there_ms: u64| {
            if there_ms >= now_ms {
                began_ms.saturating_add(there_ms - now_ms)
            } else {
                began_ms.saturating_sub(now_ms - there_ms)
            }
        };
        Ok(IssuedToken {
            text: check_sendable(&access.token).map_err(useless)?,
            begins_ms: here(access.begins_ms),
            expires_ms: access.expires_ms.map(here),
        })
    }
}

#[async_trait]
impl TokenSource for RefreshTokenSource {
    async fn fetch(&self, known: Option<&str>) -> Result<IssuedToken, Fault> {
        let deadline = Instant::now() + self.claim_length() * 2;
        loop {
            self.save().await?;
            let began_ms = self.clock.now_ms();
            let (turn, now_ms) = self.turn(known).await?;
            match turn {
                RefreshTurn::Found(access) => return Self::issued(&access, began_ms, now_ms),
                RefreshTurn::Ours { claim, refresh_token } => {
                    if let Some(access) = self.refresh(claim, refresh_token, now_ms).await? {
                        return Self::issued(&access, began_ms, now_ms);
                    }
                }
                RefreshTurn::Wait => {}
            }
            sleep(POLL_INTERVAL).await;
            if Instant::now() >= deadline {
                return Err(Fault::Transient("another process refreshes the token".to_owned()));
            }
        }
    }
}
