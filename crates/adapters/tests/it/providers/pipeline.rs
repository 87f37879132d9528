//! Documents on their way through all stages, while their provider has good and bad days.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use contexture_adapters::credentials::{self, CredentialConfig, OAuthClient, SecretText};
use contexture_core::domain::ids::derive_embedding_key;
use contexture_core::domain::task::IngestStage;
use contexture_core::fault::{Fault, reason};
use contexture_core::ingest::{TaskOutcome, embed, usage};
use contexture_core::ports::embedder::Embedder;
use serde_json::json;
use tokio::time::Instant;

use crate::support::plant::{ProcessStages, documents};
use crate::support::providers::{ProviderSetup, answer, answer_well, refusal, texts_of, vector_of};
use crate::support::scripted_http::{RecordedRequest, ScriptedHttp, ScriptedReply};
use crate::support::{TENANT, collection};

const LONG: Duration = Duration::from_hours(30);

async fn plant(setup: &ProviderSetup, server: &ScriptedHttp, embedders: usize) -> ProcessStages {
    ProcessStages::new(setup.embedder(server), setup.states.clone(), setup.clock.clone(), embedders).await
}

#[tokio::test(start_paused = true)]
async fn an_hour_of_429_costs_no_attempt_and_kills_nobody() {
    for hint in [None, Some("20"), Some("1800")] {
        let open = Arc::new(AtomicBool::new(false));
        let is_open = open.clone();
        let server = ScriptedHttp::start(move |request| match (is_open.load(Ordering::SeqCst), hint) {
            (true, _) => answer_well(request),
            (false, Some(seconds)) => refusal(429, "slow down").header("retry-after", seconds),
            (false, None) => refusal(429, "slow down"),
        })
        .await;
        let setup = ProviderSetup::new();
        let plant = plant(&setup, &server, 3).await;
        plant.put(&documents(200), 1).await;
        tokio::time::sleep(Duration::from_hours(1)).await;
        let calls = server.requests().len();
        assert!((2..=250).contains(&calls), "{calls} calls in an hour with {hint:?}");
        assert_eq!(plant.counts().await.in_flight, 200);
        open.store(true, Ordering::SeqCst);
        let counts = plant.drained(Duration::from_hours(2)).await;
        assert_eq!((counts.visible, counts.dead), (200, 0));
        plant.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn ten_minutes_of_500_cost_few_calls_and_no_document() {
    let open = Arc::new(AtomicBool::new(false));
    let is_open = open.clone();
    let server = ScriptedHttp::start(move |request| {
        if is_open.load(Ordering::SeqCst) { answer_well(request) } else { refusal(500, "on fire") }
    })
    .await;
    let setup = ProviderSetup::new();
    let plant = plant(&setup, &server, 2).await;
    plant.put(&documents(200), 1).await;
    tokio::time::sleep(Duration::from_mins(10)).await;
    let calls = server.requests().len();
    assert!(calls <= 30, "{calls}");
    open.store(true, Ordering::SeqCst);
    let counts = plant.drained(Duration::from_hours(2)).await;
    assert_eq!((counts.visible, counts.dead), (200, 0));
    plant.stop().await;
}

#[tokio::test(start_paused = true)]
async fn one_poison_text_among_64_dies_alone() {
    let server = ScriptedHttp::start(|request| {
        let poisoned = texts_of(request).iter().any(|text| text.contains("number 37."));
        if poisoned { refusal(400, "input 3 cannot be embedded") } else { answer_well(request) }
    })
    .await;
    let setup = ProviderSetup::new();
    let plant = plant(&setup, &server, 1).await;
    plant.put(&documents(64), 1).await;
    let counts = plant.drained(LONG).await;
    assert_eq!((counts.visible, counts.dead), (63, 1));
    let letters = plant.dead().await;
    assert_eq!(letters[0].key.document_id.as_str(), "doc 37");
    assert_eq!(letters[0].reason.code, reason::EMBEDDER_REJECTED);
    assert!(letters[0].reason.detail.contains("cannot be embedded"), "{}", letters[0].reason.detail);
    let requests = server.requests();
    let refused =
        requests.iter().filter(|request| texts_of(request).iter().any(|text| text.contains("number 37.")));
    assert!(refused.count() <= 7, "64 halved six times");
    plant.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_text_that_breaks_the_provider_takes_nobody_with_it() {
    let server = ScriptedHttp::start(|request| {
        let poisoned = texts_of(request).iter().any(|text| text.contains("number 5."));
        if poisoned { refusal(500, "worker died") } else { answer_well(request) }
    })
    .await;
    let setup = ProviderSetup::new();
    let plant = plant(&setup, &server, 1).await;
    plant.put(&documents(32), 1).await;
    let counts = plant.drained(LONG).await;
    assert_eq!((counts.visible, counts.dead), (31, 1));
    let letters = plant.dead().await;
    assert_eq!(letters[0].reason.code, reason::ATTEMPTS_EXHAUSTED);
    assert!(letters[0].reason.detail.contains("worker died"), "{}", letters[0].reason.detail);
    plant.stop().await;
}

#[tokio::test(start_paused = true)]
async fn nonsense_for_ever_kills_nobody() {
    let open = Arc::new(AtomicBool::new(false));
    let is_open = open.clone();
    let server = ScriptedHttp::start(move |request| {
        if is_open.load(Ordering::SeqCst) {
            answer_well(request)
        } else {
            ScriptedReply::json(&json!({ "data": [] }))
        }
    })
    .await;
    let setup = ProviderSetup::new();
    let plant = plant(&setup, &server, 1).await;
    plant.put(&documents(200), 1).await;
    tokio::time::sleep(Duration::from_mins(10)).await;
    let counts = plant.counts().await;
    assert_eq!((counts.visible, counts.dead), (0, 0), "nothing of it is stored, and nobody's fault");
    assert!(server.requests().len() <= 300, "{}", server.requests().len());
    open.store(true, Ordering::SeqCst);
    let counts = plant.drained(LONG).await;
    assert_eq!((counts.visible, counts.dead), (200, 0));
    plant.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_403_about_one_text_among_64_kills_it_alone() {
    let server = ScriptedHttp::start(|request| {
        let poisoned = texts_of(request).iter().any(|text| text.contains("number 37."));
        if poisoned { refusal(403, "blocked by the content filter") } else { answer_well(request) }
    })
    .await;
    let setup = ProviderSetup::new();
    let plant = plant(&setup, &server, 1).await;
    plant.put(&documents(64), 1).await;
    let counts = plant.drained(Duration::from_mins(1)).await;
    assert_eq!((counts.visible, counts.dead), (63, 1));
    let letters = plant.dead().await;
    assert_eq!(letters[0].key.document_id.as_str(), "doc 37");
    assert!(letters[0].reason.detail.contains("content filter"), "{}", letters[0].reason.detail);
    plant.stop().await;
}

#[tokio::test(start_paused = true)]
async fn calls_fit_into_the_tokens_of_a_minute() {
    // A text has five runs; more than twelve texts are more than a minute has, whenever they come.
    let server = ScriptedHttp::start(|request| {
        if texts_of(request).len() > 12 { refusal(429, "too large") } else { answer_well(request) }
    })
    .await;
    let mut setup = ProviderSetup::new();
    setup.limits.tokens_per_minute = Some(60);
    let plant = plant(&setup, &server, 1).await;
    plant.put(&documents(64), 1).await;
    let counts = plant.drained(Duration::from_mins(30)).await;
    assert_eq!((counts.visible, counts.dead), (64, 0));
    let most = server.requests().iter().map(|request| texts_of(request).len()).max().unwrap();
    assert!((2..=6).contains(&most), "half a minute's tokens: {most}");
    plant.stop().await;
}

/// A plant whose calls carry one text and begin every ten seconds.
async fn slow_plant(server: &ScriptedHttp, embedders: usize) -> ProcessStages {
    let mut setup = ProviderSetup { texts_max: 1, ..ProviderSetup::new() };
    setup.limits.requests_per_minute = Some(6);
    plant(&setup, server, embedders).await
}

#[tokio::test(start_paused = true)]
async fn a_batch_ends_in_time_however_long_its_calls_wait() {
    let server = ScriptedHttp::start(answer_well).await;
    let plant = slow_plant(&server, 0).await;
    plant.put(&documents(64), 1).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let cut = plant.stages.ledger.stuck(u64::MAX, 100).await.unwrap();
    let tasks: Vec<_> = cut.into_iter().map(|(_, task)| task).collect();
    assert_eq!(tasks.len(), 64);
    let began = Instant::now();
    let outcomes = embed::embed_batch(&plant.stages, &tasks, &plant.stop.subscribe()).await;
    let took = began.elapsed();
    assert!((Duration::from_secs(299)..Duration::from_secs(302)).contains(&took), "{took:?}");
    let embedded =
        outcomes.iter().filter(|outcome| **outcome == TaskOutcome::HandOn(IngestStage::Index)).count();
    let put_off = |outcome: &&TaskOutcome| matches!(outcome, TaskOutcome::Failed(Fault::Throttled { .. }));
    assert_eq!(outcomes.iter().filter(put_off).count(), 64 - embedded);
    assert!((29..=32).contains(&embedded), "{embedded}");
    assert_eq!(server.requests().len(), embedded);
    plant.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_stop_ends_waits_for_turns_and_costs_no_attempt() {
    let server = ScriptedHttp::start(answer_well).await;
    let plant = slow_plant(&server, 2).await;
    plant.put(&documents(20), 1).await;
    tokio::time::sleep(Duration::from_secs(35)).await;
    let began = Instant::now();
    let stages = plant.stages.clone();
    plant.stop().await;
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    assert!((3..=6).contains(&server.requests().len()), "{}", server.requests().len());
    // What was not embedded is in the queue again, as it came.
    let mut left = stages.broker.consume(IngestStage::Embed).await.unwrap();
    let put_off = left.receive(100, Duration::from_secs(1)).await.unwrap();
    assert_eq!(put_off.len() + server.requests().len(), 20);
    for delivery in put_off {
        assert_eq!(delivery.envelope.unwrap().open().1.attempt, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_vector_without_numbers_is_its_texts_fault() {
    let server = ScriptedHttp::start(|request| {
        let vectors: Vec<Vec<f32>> = texts_of(request)
            .iter()
            .map(|text| if text.contains("number 3.") { vec![0.0; 8] } else { vector_of(text) })
            .collect();
        ScriptedReply::json(&answer(&vectors))
    })
    .await;
    let setup = ProviderSetup::new();
    let plant = plant(&setup, &server, 1).await;
    plant.put(&documents(16), 1).await;
    let counts = plant.drained(LONG).await;
    assert_eq!((counts.visible, counts.dead), (15, 1));
    assert!(plant.dead().await[0].reason.detail.contains("zeros"));
    plant.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_refused_credential_parks_and_goes_on_when_it_is_accepted() {
    let open = Arc::new(AtomicBool::new(false));
    let is_open = open.clone();
    let server = ScriptedHttp::start(move |request| {
        if is_open.load(Ordering::SeqCst) { answer_well(request) } else { refusal(401, "expired") }
    })
    .await;
    let setup = ProviderSetup::new();
    let embedder = setup.embedder(&server);
    let plant = ProcessStages::new(embedder.clone(), setup.states.clone(), setup.clock.clone(), 3).await;
    plant.put(&documents(100), 1).await;
    tokio::time::sleep(Duration::from_mins(20)).await;
    let calls = server.requests().len();
    assert!(calls <= 50, "one try in 30 s: {calls}");
    let waiting = embedder.waiting().unwrap();
    assert!(waiting.why.contains("refuses all calls") && waiting.why.contains("expired"), "{waiting:?}");
    assert!(waiting.workers >= 1, "{waiting:?}");
    open.store(true, Ordering::SeqCst);
    let counts = plant.drained(Duration::from_mins(30)).await;
    assert_eq!((counts.visible, counts.dead), (100, 0));
    plant.stop().await;
}

/// A provider and its token server: tokens that live for three seconds.
struct ShortTokenIssuer {
    issued: AtomicU64,
    refused: AtomicUsize,
    ends: Mutex<Option<(String, Instant)>>,
}

impl ShortTokenIssuer {
    const LIFE: Duration = Duration::from_secs(3);

    fn answer(&self, request: &RecordedRequest) -> ScriptedReply {
        if request.path == "/token" {
            let number = self.issued.fetch_add(1, Ordering::SeqCst);
            let token = format!("token-{number}");
            *self.ends.lock().unwrap() = Some((token.clone(), Instant::now() + Self::LIFE));
            return ScriptedReply::json(
                &json!({ "access_token": token, "token_type": "Bearer", "expires_in": 3 }),
            );
        }
        let sent = request.header("authorization").unwrap().to_owned();
        let known = self.ends.lock().unwrap().clone();
        match known {
            Some((token, ends)) if sent == format!("Bearer {token}") && Instant::now() < ends => {
                answer_well(request).after(Duration::from_millis(40))
            }
            _ => {
                self.refused.fetch_add(1, Ordering::SeqCst);
                refusal(401, "expired")
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn tokens_that_live_three_seconds_are_refreshed_once_each() {
    let issuer = Arc::new(ShortTokenIssuer { issued: 0.into(), refused: 0.into(), ends: Mutex::default() });
    let answering = issuer.clone();
    let server = ScriptedHttp::start(move |request| answering.answer(request)).await;
    let mut setup = ProviderSetup::new();
    setup.limits.requests_per_minute = Some(600);
    let oauth = OAuthClient::new(&server.url("/token"), "tests", Some(SecretText::new("secret")));
    let config = CredentialConfig::ClientCredentials(oauth);
    setup.credential = Some(
        credentials::open_credential("scripted", config, setup.states.clone(), setup.clock.clone()).unwrap(),
    );
    setup.texts_max = 4;
    let plant =
        ProcessStages::new(setup.embedder(&server), setup.states.clone(), setup.clock.clone(), 3).await;
    let began = Instant::now();
    plant.put(&documents(2000), 1).await;
    let counts = plant.drained(LONG).await;
    let took = began.elapsed();
    assert_eq!((counts.visible, counts.dead), (2000, 0));
    assert_eq!(issuer.refused.load(Ordering::SeqCst), 0, "no call goes out with a token that has ended");
    // Refreshed at 80 % of its life: one every 2.4 s, and the first.
    let tokens = issuer.issued.load(Ordering::SeqCst);
    let most = took.as_millis() / 2400 + 1;
    assert!(took > Duration::from_secs(30) && u128::from(tokens) <= most, "{tokens} in {took:?}");
    assert!(u128::from(tokens) >= took.as_millis() / 3000, "{tokens} in {took:?}");
    plant.stop().await;
}

#[tokio::test(start_paused = true)]
async fn every_message_three_times_embeds_each_text_once() {
    let server = ScriptedHttp::start(|request| answer_well(request).after(Duration::from_millis(100))).await;
    let setup = ProviderSetup::new();
    let plant = plant(&setup, &server, 4).await;
    plant.put(&documents(300), 3).await;
    let counts = plant.drained(LONG).await;
    assert_eq!((counts.visible, counts.dead), (300, 0));
    let sent: Vec<String> = server.requests().iter().flat_map(texts_of).collect();
    let unique: BTreeSet<&String> = sent.iter().collect();
    assert_eq!(unique.len(), 300);
    assert!(sent.len() * 100 <= unique.len() * 105, "{} texts for {}", sent.len(), unique.len());
    plant.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_was_embedded_before_a_failure_is_not_paid_for_again() {
    let calls = AtomicUsize::new(0);
    let server = ScriptedHttp::start(move |request| {
        // The third call fails once.
        if calls.fetch_add(1, Ordering::SeqCst) == 2 { refusal(500, "hiccup") } else { answer_well(request) }
    })
    .await;
    let setup = ProviderSetup::new();
    let plant = plant(&setup, &server, 1).await;
    plant.put(&documents(300), 1).await;
    let counts = plant.drained(LONG).await;
    assert_eq!((counts.visible, counts.dead), (300, 0));
    let sent: usize = server.requests().iter().map(|request| texts_of(request).len()).sum();
    assert!(sent <= 300 + 64, "only the texts of the failed call are sent again: {sent}");
    plant.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_process_that_dies_loses_the_calls_that_are_open() {
    let server = ScriptedHttp::start(answer_well).await;
    let mut setup = ProviderSetup::new();
    setup.limits.requests_per_minute = Some(60);
    setup.texts_max = 4;
    let plant =
        ProcessStages::new(setup.embedder(&server), setup.states.clone(), setup.clock.clone(), 1).await;
    plant.put(&documents(64), 1).await;
    tokio::time::sleep(Duration::from_millis(8500)).await;
    let texts: Vec<String> = server.requests().iter().flat_map(texts_of).collect();
    let asked = texts.len();
    let ledger = plant.kill().await;
    let keys: Vec<_> = texts.iter().map(|text| derive_embedding_key("scripted/words", text)).collect();
    let kept = ledger.cached_vectors(&keys).await.unwrap().iter().flatten().count();
    assert!(asked >= 28 && kept + 4 >= asked, "{kept} of {asked}");
}

#[tokio::test(start_paused = true)]
async fn usage_is_counted_by_tenant_and_model() {
    let server = ScriptedHttp::start(answer_well).await;
    let setup = ProviderSetup::new();
    let plant = plant(&setup, &server, 2).await;
    plant.put(&documents(100), 1).await;
    plant.drained(LONG).await;
    let tenant = collection(TENANT, "home").tenant;
    let used = usage::usage_since(&*setup.states, &tenant, 1, setup.clock.now_ms()).await.unwrap();
    assert_eq!(used.len(), 1);
    let (model, usage) = &used[0];
    assert_eq!(model, "scripted/words");
    assert_eq!(usage.texts, 100);
    assert_eq!(usage.requests, server.requests().len() as u64);
    assert!(usage.tokens >= 500, "{usage:?}");
    plant.stop().await;
}
