//! Credentials against token endpoints over real sockets, files and programs; time is told.

mod canary;
mod client;
mod command;
mod expiry;
mod file;
mod google;
mod key;
mod rotation;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use contexture_adapters::credentials::{
    AccessToken, Credential, CredentialConfig, OAuthClient, SecretText, open_credential,
};
use contexture_adapters::memory::shared_states::MemorySharedStates;
use contexture_core::fault::Fault;
use contexture_core::ports::shared_states::SharedStateStore;
use futures::future::join_all;
use serde_json::{Value, json};

use crate::support::clock::ManualClock;
use crate::support::scripted_http::{RecordedRequest, ScriptedHttp, ScriptedReply};

/// Stands in whatever nobody may see.
const CANARY: &str = "canary-secret-5d1e70aa";
/// Far more than anything here takes, on a busy machine too.
const PATIENCE: Duration = Duration::from_secs(20);

/// The time and the states of one test.
struct CredentialFixture {
    clock: Arc<ManualClock>,
    states: Arc<dyn SharedStateStore>,
}

impl CredentialFixture {
    fn new() -> Self {
        let clock = Arc::new(ManualClock::new());
        Self { states: Arc::new(MemorySharedStates::new(clock.clone())), clock }
    }

    fn try_open(&self, config: CredentialConfig) -> Result<Arc<dyn Credential>, Fault> {
        open_credential("provider", config, self.states.clone(), self.clock.clone())
    }

    fn open(&self, config: CredentialConfig) -> Arc<dyn Credential> {
        self.try_open(config).unwrap()
    }

    fn refused(&self, config: CredentialConfig) -> Fault {
        let fault = self.try_open(config).err().unwrap();
        assert!(matches!(fault, Fault::Permanent(_)), "{fault:?}");
        quiet(fault)
    }

    fn advance_ms(&self, ms: u64) {
        self.clock.advance(Duration::from_millis(ms));
    }
}

/// The fault, which says whose it is and no secret.
fn quiet(fault: Fault) -> Fault {
    let told = format!("{fault} {fault:?}");
    assert!(!told.contains(CANARY), "{told}");
    assert!(told.contains("credential provider: "), "{told}");
    fault
}

async fn fault_of(credential: &Arc<dyn Credential>) -> Fault {
    quiet(credential.token().await.unwrap_err())
}

async fn text_of(credential: &Arc<dyn Credential>) -> String {
    credential.token().await.unwrap().expose().to_owned()
}

/// What so many callers at once are given.
async fn many(credential: &Arc<dyn Credential>) -> Vec<AccessToken> {
    join_all((0..50).map(|_| credential.token())).await.into_iter().map(Result::unwrap).collect()
}

async fn many_renewed(
    credential: &Arc<dyn Credential>,
    refused: &AccessToken,
) -> Vec<Result<AccessToken, Fault>> {
    join_all((0..50).map(|_| credential.renew(refused))).await
}

/// Waits until it holds.
async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let wait = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("never: {what}"));
}

/// Waits until so many requests have come.
async fn arrived(server: &ScriptedHttp, requests: usize) {
    let wait = tokio::time::timeout(PATIENCE, server.arrived(requests));
    wait.await.unwrap_or_else(|_| panic!("never: {requests} requests"));
}

fn oauth(server: &ScriptedHttp) -> OAuthClient {
    OAuthClient::new(&server.url("/oauth/token"), "client-7", Some(SecretText::new(CANARY)))
}

fn granted(token: &str, expires_in: u64) -> ScriptedReply {
    ScriptedReply::json(&json!({ "access_token": token, "token_type": "Bearer", "expires_in": expires_in }))
}

/// Answers `token-1`, `token-2` and so on, each for so many seconds.
async fn counting(expires_in: u64) -> ScriptedHttp {
    let count = AtomicUsize::new(0);
    ScriptedHttp::start(move |_| {
        granted(&format!("token-{}", count.fetch_add(1, Ordering::SeqCst) + 1), expires_in)
    })
    .await
}

fn error(status: u16, body: &Value) -> ScriptedReply {
    ScriptedReply::new(status, body.to_string()).header("content-type", "application/json")
}

/// A request's form.
fn form(request: &RecordedRequest) -> BTreeMap<String, String> {
    form_urlencoded::parse(&request.body).into_owned().collect()
}

fn fields(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect()
}
