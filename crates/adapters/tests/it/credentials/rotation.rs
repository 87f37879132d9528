use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use contexture_adapters::credentials::{
    Credential, CredentialConfig, OAuthClient, SecretText, open_credential,
};
use contexture_core::fault::Fault;
use contexture_core::ports::shared_states::{SharedStateChange, SharedStateStore};
use futures::future::join;
use serde_json::json;

use super::{CANARY, CredentialFixture, PATIENCE, arrived, error, fault_of, form, many, oauth, text_of};
use crate::support::scripted_http::{RecordedRequest, ScriptedHttp, ScriptedReply};

const INITIAL: &str = "refresh-0";

/// A server that replaces the refresh token with each use and takes none twice.
struct RotatingTokenServer {
    server: ScriptedHttp,
    is_up: Arc<AtomicBool>,
}

impl RotatingTokenServer {
    /// Access tokens live for three seconds.
    async fn start() -> Self {
        Self::with_delay(Duration::ZERO).await
    }

    async fn with_delay(delay: Duration) -> Self {
        let (count, is_up) = (AtomicUsize::new(0), Arc::new(AtomicBool::new(true)));
        let (used, up) = (Mutex::<BTreeSet<String>>::default(), is_up.clone());
        let answer = move |request: &RecordedRequest| {
            let sent = form(request)["refresh_token"].clone();
            if !up.load(Ordering::SeqCst) {
                return ScriptedReply::new(500, "");
            }
            if !used.lock().unwrap().insert(sent.clone()) {
                let description = format!("{sent} was used before");
                return error(400, &json!({ "error": "invalid_grant", "error_description": description }));
            }
            let number = count.fetch_add(1, Ordering::SeqCst) + 1;
            ScriptedReply::json(&json!({ "access_token": format!("access-{number}"), "token_type": "bearer",
                                 "expires_in": 3, "refresh_token": format!("refresh-{number}") }))
            .after(delay)
        };
        Self { server: ScriptedHttp::start(answer).await, is_up }
    }

    /// The refresh tokens that were sent.
    fn sent(&self) -> Vec<String> {
        self.server.requests().iter().map(|request| form(request)["refresh_token"].clone()).collect()
    }

    fn config(&self, initial: &str) -> CredentialConfig {
        CredentialConfig::RefreshToken(oauth(&self.server), SecretText::new(initial))
    }
}

/// The store, which may be away.
struct FlakyStateStore {
    states: Arc<dyn SharedStateStore>,
    is_up: Arc<AtomicBool>,
}

#[async_trait]
impl SharedStateStore for FlakyStateStore {
    async fn change(&self, name: &str, change: SharedStateChange) -> Result<(), Fault> {
        if !self.is_up.load(Ordering::SeqCst) {
            return Err(Fault::transient("the store is away"));
        }
        self.states.change(name, change).await
    }

    async fn named(&self, prefix: &str) -> Result<Vec<(String, String)>, Fault> {
        self.states.named(prefix).await
    }

    async fn now_ms(&self) -> Result<u64, Fault> {
        self.states.now_ms().await
    }
}

async fn stored(world: &CredentialFixture) -> String {
    let states = world.states.named("credential/").await.unwrap();
    assert_eq!(states.len(), 1, "{states:?}");
    assert_eq!(states[0].0, "credential/provider");
    states[0].1.clone()
}

#[tokio::test]
async fn each_refresh_uses_the_token_that_the_last_one_brought() {
    let (world, issuer) = (CredentialFixture::new(), RotatingTokenServer::start().await);
    let credential = world.open(issuer.config(INITIAL));
    for round in 1..=4 {
        assert!(many(&credential).await.iter().all(|token| token.expose() == format!("access-{round}")));
        world.advance_ms(3000);
    }
    assert_eq!(issuer.sent(), ["refresh-0", "refresh-1", "refresh-2", "refresh-3"]);
    let expected = [("client_id", "client-7"), ("client_secret", CANARY), ("grant_type", "refresh_token")];
    let mut fields = super::fields(&expected);
    fields.insert("refresh_token".to_owned(), INITIAL.to_owned());
    assert_eq!(form(&issuer.server.requests()[0]), fields);
    assert!(!stored(&world).await.contains(INITIAL), "the initial one is kept as a hash only");
}

#[tokio::test]
async fn a_process_that_starts_takes_what_the_others_know() {
    let (world, issuer) = (CredentialFixture::new(), RotatingTokenServer::start().await);
    assert_eq!(text_of(&world.open(issuer.config(INITIAL))).await, "access-1");
    world.advance_ms(1000);
    let other = world.open(issuer.config(INITIAL));
    assert_eq!(text_of(&other).await, "access-1");
    assert_eq!(issuer.sent().len(), 1);
    // Its end is known, too, and the refresh token after it.
    world.advance_ms(2000);
    assert_eq!(text_of(&other).await, "access-2");
    assert_eq!(issuer.sent(), ["refresh-0", "refresh-1"]);
}

#[tokio::test]
async fn two_processes_never_send_a_token_twice() {
    let world = CredentialFixture::new();
    let issuer = RotatingTokenServer::with_delay(Duration::from_millis(20)).await;
    let (one, two) = (world.open(issuer.config(INITIAL)), world.open(issuer.config(INITIAL)));
    for round in 1..=12 {
        let expected = format!("access-{round}");
        let (ones, twos) = join(many(&one), many(&two)).await;
        assert!(ones.iter().chain(&twos).all(|token| token.expose() == expected), "{ones:?} {twos:?}");
        assert_eq!(issuer.sent().len(), round, "one refresh for all processes");
        world.advance_ms(3000);
    }
    let sent = issuer.sent();
    assert_eq!(sent.iter().collect::<BTreeSet<_>>().len(), sent.len(), "{sent:?}");
}

#[tokio::test]
async fn a_token_that_one_process_renewed_is_the_others_newer_one() {
    let (world, issuer) = (CredentialFixture::new(), RotatingTokenServer::start().await);
    let (one, two) = (world.open(issuer.config(INITIAL)), world.open(issuer.config(INITIAL)));
    let (ones, twos) = (one.token().await.unwrap(), two.token().await.unwrap());
    let (renewed, other) = join(one.renew(&ones), two.renew(&twos)).await;
    assert_eq!(renewed.unwrap().expose(), "access-2");
    assert_eq!(other.unwrap().expose(), "access-2");
    assert_eq!(issuer.sent(), ["refresh-0", "refresh-1"]);
}

#[tokio::test]
async fn what_cannot_be_stored_is_not_used_and_not_lost() {
    let world = CredentialFixture::new();
    let is_up = Arc::new(AtomicBool::new(true));
    let down = is_up.clone();
    let server = ScriptedHttp::start(move |_| {
        down.store(false, Ordering::SeqCst);
        ScriptedReply::json(&json!({ "access_token": "access-1", "refresh_token": "refresh-1" }))
    })
    .await;
    let config = CredentialConfig::RefreshToken(oauth(&server), SecretText::new(INITIAL));
    let shaky = Arc::new(FlakyStateStore { states: world.states.clone(), is_up: is_up.clone() });
    let credential = open_credential("provider", config.clone(), shaky, world.clock.clone()).unwrap();
    let fault = fault_of(&credential).await;
    assert!(
        matches!(&fault, Fault::Transient(what) if what.as_str().contains("the store is away")),
        "{fault:?}"
    );
    assert!(!stored(&world).await.contains("access-1"));
    world.advance_ms(1000);
    assert!(matches!(fault_of(&credential).await, Fault::Transient(_)), "it is still away");
    assert_eq!(server.requests().len(), 1);
    is_up.store(true, Ordering::SeqCst);
    world.advance_ms(2000);
    assert_eq!(text_of(&credential).await, "access-1");
    assert_eq!(server.requests().len(), 1, "the old refresh token was not sent again");
    assert_eq!(text_of(&world.open(config)).await, "access-1");
    assert!(stored(&world).await.contains("refresh-1"));
}

#[tokio::test]
async fn without_a_store_nothing_is_sent() {
    let (world, issuer) = (CredentialFixture::new(), RotatingTokenServer::start().await);
    let shaky = FlakyStateStore { states: world.states.clone(), is_up: Arc::new(AtomicBool::new(false)) };
    let credential =
        open_credential("provider", issuer.config(INITIAL), Arc::new(shaky), world.clock.clone()).unwrap();
    assert!(matches!(fault_of(&credential).await, Fault::Transient(_)));
    assert!(issuer.sent().is_empty());
}

#[tokio::test]
async fn a_claimer_that_dies_is_followed_after_its_claim() {
    let world = CredentialFixture::new();
    let count = AtomicUsize::new(0);
    let server = ScriptedHttp::start(move |_| {
        if count.fetch_add(1, Ordering::SeqCst) == 0 {
            return ScriptedReply::never();
        }
        ScriptedReply::json(&json!({ "access_token": "access-2", "refresh_token": "refresh-2" }))
    })
    .await;
    let oauth = OAuthClient { call_max: Duration::from_secs(5), ..oauth(&server) };
    let config = CredentialConfig::RefreshToken(oauth, SecretText::new(INITIAL));

    let process = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let dying = world.open(config.clone());
    process.spawn(async move { dying.token().await });
    arrived(&server, 1).await;
    process.shutdown_background();

    let other = world.open(config);
    let waiting = tokio::spawn(async move { other.token().await });
    tokio::time::sleep(Duration::from_millis(300)).await;
    world.advance_ms(14_999);
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!waiting.is_finished());
    assert_eq!(server.requests().len(), 1, "the claim has not ended");
    world.advance_ms(1);
    let token = tokio::time::timeout(PATIENCE, waiting).await.unwrap().unwrap().unwrap();
    assert_eq!(token.expose(), "access-2");
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn a_refresh_that_failed_holds_nobody_up() {
    let (world, issuer) = (CredentialFixture::new(), RotatingTokenServer::start().await);
    issuer.is_up.store(false, Ordering::SeqCst);
    let fault = fault_of(&world.open(issuer.config(INITIAL))).await;
    assert!(matches!(fault, Fault::Transient(_)), "{fault:?}");
    issuer.is_up.store(true, Ordering::SeqCst);
    assert_eq!(text_of(&world.open(issuer.config(INITIAL))).await, "access-1");
    assert_eq!(issuer.sent(), [INITIAL, INITIAL]);
}

#[tokio::test]
async fn a_refresh_token_that_was_revoked_is_nobodys_credential() {
    let (world, issuer) = (CredentialFixture::new(), RotatingTokenServer::start().await);
    assert_eq!(text_of(&world.open(issuer.config(CANARY))).await, "access-1");
    // Elsewhere, without what is shared.
    let fault = fault_of(&CredentialFixture::new().open(issuer.config(CANARY))).await;
    let Fault::Unauthorized(what) = &fault else { panic!("{fault:?}") };
    assert!(what.as_str().ends_with("invalid_grant *** was used before"), "{what}");
}

#[tokio::test]
async fn another_initial_token_begins_anew_and_does_not_spoil_the_old_one() {
    let (world, issuer) = (CredentialFixture::new(), RotatingTokenServer::start().await);
    assert_eq!(text_of(&world.open(issuer.config(INITIAL))).await, "access-1");
    let new = world.open(issuer.config("renamed-0"));
    assert_eq!(text_of(&new).await, "access-2");
    world.advance_ms(3000);
    // A process that has not heard of the change yet.
    assert_eq!(text_of(&world.open(issuer.config(INITIAL))).await, "access-3");
    assert_eq!(text_of(&new).await, "access-4");
    assert_eq!(issuer.sent(), [INITIAL, "renamed-0", "refresh-1", "refresh-2"]);
    // The third one displaces the one that was not used for longest.
    assert_eq!(text_of(&world.open(issuer.config("third-0"))).await, "access-5");
    let stored = stored(&world).await;
    assert!(stored.contains("refresh-5") && stored.contains("refresh-4"), "{stored}");
    assert!(!stored.contains("refresh-3"), "{stored}");
}

#[tokio::test]
async fn a_refresh_token_that_is_not_replaced_stays() {
    let world = CredentialFixture::new();
    let count = AtomicUsize::new(0);
    let server = ScriptedHttp::start(move |_| {
        super::granted(&format!("access-{}", count.fetch_add(1, Ordering::SeqCst) + 1), 3)
    })
    .await;
    let config = CredentialConfig::RefreshToken(oauth(&server), SecretText::new(INITIAL));
    let credential: Arc<dyn Credential> = world.open(config);
    for round in 1..=3 {
        assert_eq!(text_of(&credential).await, format!("access-{round}"));
        world.advance_ms(3000);
    }
    assert!(server.requests().iter().all(|request| form(request)["refresh_token"] == INITIAL));
}

#[tokio::test]
async fn a_state_that_makes_no_sense_is_begun_anew() {
    let (world, issuer) = (CredentialFixture::new(), RotatingTokenServer::start().await);
    let nonsense: SharedStateChange = Box::new(|_, _| Some("{\"lines\":5}".to_owned()));
    world.states.change("credential/provider", nonsense).await.unwrap();
    assert_eq!(text_of(&world.open(issuer.config(INITIAL))).await, "access-1");
}
