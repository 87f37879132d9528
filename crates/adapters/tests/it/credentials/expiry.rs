use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use contexture_adapters::credentials::{AccessToken, Credential, CredentialConfig};
use contexture_core::fault::Fault;
use futures::FutureExt;

use super::{
    CredentialFixture, arrived, counting, error, eventually, fault_of, granted, many, many_renewed, oauth,
    quiet, text_of,
};
use crate::support::scripted_http::{ScriptedHttp, ScriptedReply};

fn client(world: &CredentialFixture, server: &ScriptedHttp) -> Arc<dyn Credential> {
    world.open(CredentialConfig::ClientCredentials(oauth(server)))
}

/// A server that answers well while it is up, each token for so many seconds.
async fn fickle(expires_in: u64) -> (ScriptedHttp, Arc<AtomicBool>) {
    let is_up = Arc::new(AtomicBool::new(true));
    let (up, count) = (is_up.clone(), AtomicUsize::new(0));
    let server = ScriptedHttp::start(move |_| {
        if !up.load(Ordering::SeqCst) {
            return error(500, &serde_json::json!({}));
        }
        granted(&format!("token-{}", count.fetch_add(1, Ordering::SeqCst) + 1), expires_in)
    })
    .await;
    (server, is_up)
}

fn all_are(tokens: &[AccessToken], text: &str) -> bool {
    tokens.iter().all(|token| token.expose() == text)
}

/// A token without waiting.
fn at_once(credential: &Arc<dyn Credential>) -> AccessToken {
    credential.token().now_or_never().expect("it had to wait").unwrap()
}

#[tokio::test]
async fn an_expired_token_is_replaced_by_one_refresh_for_all() {
    let world = CredentialFixture::new();
    let server = counting(3).await;
    let credential = client(&world, &server);
    for round in 1..=5 {
        let tokens = many(&credential).await;
        assert!(all_are(&tokens, &format!("token-{round}")), "{round}");
        assert!(tokens.iter().all(|token| token.number() == round));
        assert_eq!(server.requests().len(), usize::try_from(round).unwrap());
        world.advance_ms(3000);
    }
}

#[tokio::test]
async fn a_token_is_replaced_ahead_of_its_end_while_nobody_waits() {
    let world = CredentialFixture::new();
    let count = AtomicUsize::new(0);
    let server = ScriptedHttp::start(move |_| {
        let number = count.fetch_add(1, Ordering::SeqCst) + 1;
        let delay = if number == 1 { Duration::ZERO } else { Duration::from_millis(200) };
        granted(&format!("token-{number}"), 3).after(delay)
    })
    .await;
    let credential = client(&world, &server);
    assert_eq!(text_of(&credential).await, "token-1");
    for number in 1..4 {
        world.advance_ms(2399);
        assert_eq!(at_once(&credential).expose(), format!("token-{number}"));
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert_eq!(server.requests().len(), number, "it is not due yet");
        world.advance_ms(1);
        for _ in 0..50 {
            assert_eq!(at_once(&credential).expose(), format!("token-{number}"));
        }
        arrived(&server, number + 1).await;
        assert_eq!(at_once(&credential).expose(), format!("token-{number}"));
        let next = format!("token-{}", number + 1);
        eventually("the next token is there", async || at_once(&credential).expose() == next).await;
        assert_eq!(server.requests().len(), number + 1, "one refresh");
    }
}

#[tokio::test]
async fn who_finds_the_token_expired_waits_for_the_refresh_under_way() {
    let world = CredentialFixture::new();
    let count = AtomicUsize::new(0);
    let server = ScriptedHttp::start(move |_| {
        let number = count.fetch_add(1, Ordering::SeqCst) + 1;
        granted(&format!("token-{number}"), 3).after(Duration::from_millis(150 * (number as u64 - 1)))
    })
    .await;
    let credential = client(&world, &server);
    assert_eq!(text_of(&credential).await, "token-1");
    world.advance_ms(2500);
    assert_eq!(at_once(&credential).expose(), "token-1");
    arrived(&server, 2).await;
    world.advance_ms(500);
    assert!(credential.token().now_or_never().is_none(), "an expired token was given away");
    assert!(all_are(&many(&credential).await, "token-2"));
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn a_life_begins_before_the_request() {
    let world = CredentialFixture::new();
    let clock = world.clock.clone();
    let count = AtomicUsize::new(0);
    let server = ScriptedHttp::start(move |_| {
        clock.advance(Duration::from_secs(2));
        granted(&format!("token-{}", count.fetch_add(1, Ordering::SeqCst) + 1), 3)
    })
    .await;
    let credential = client(&world, &server);
    assert_eq!(text_of(&credential).await, "token-1");
    world.advance_ms(1000);
    assert_eq!(text_of(&credential).await, "token-2", "three seconds after it was asked for it had ended");
}

#[tokio::test]
async fn a_token_without_end_is_kept_and_absurd_ends_are_not_believed() {
    let world = CredentialFixture::new();
    let server = ScriptedHttp::always(ScriptedReply::json(&serde_json::json!({ "access_token": "t" }))).await;
    let credential = client(&world, &server);
    assert_eq!(text_of(&credential).await, "t");
    world.advance_ms(u64::from(u32::MAX) * 1000);
    assert_eq!(text_of(&credential).await, "t");
    assert_eq!(server.requests().len(), 1);

    let server = counting(u64::MAX).await;
    let credential = client(&world, &server);
    assert_eq!(text_of(&credential).await, "token-1");
    world.advance_ms(30 * 24 * 3_600_000);
    assert_eq!(text_of(&credential).await, "token-2");

    let server = counting(0).await;
    let credential = client(&world, &server);
    assert_eq!(text_of(&credential).await, "token-1");
    assert_eq!(at_once(&credential).expose(), "token-1", "a second is the least");
}

#[tokio::test]
async fn a_failed_refresh_ahead_of_time_harms_nobody_and_is_tried_again_with_pauses() {
    let world = CredentialFixture::new();
    let (server, is_up) = fickle(3600).await;
    let credential = client(&world, &server);
    assert_eq!(text_of(&credential).await, "token-1");
    is_up.store(false, Ordering::SeqCst);
    world.advance_ms(3_300_000);
    let mut failures = 0;
    for pause_ms in [1000_u64, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000] {
        failures += 1;
        assert!(all_are(&many(&credential).await, "token-1"));
        arrived(&server, 1 + failures).await;
        // The failure is known once a pause later, and not before, there is another try.
        tokio::time::sleep(Duration::from_millis(100)).await;
        world.advance_ms(pause_ms - 1);
        assert_eq!(at_once(&credential).expose(), "token-1");
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_eq!(server.requests().len(), 1 + failures, "no try before {pause_ms} ms");
        world.advance_ms(1);
    }
    is_up.store(true, Ordering::SeqCst);
    eventually("the next token is there", async || at_once(&credential).expose() == "token-2").await;
    assert_eq!(server.requests().len(), 2 + failures);
}

#[tokio::test]
async fn without_a_token_the_same_fault_is_told_until_the_pause_is_over() {
    let world = CredentialFixture::new();
    let (server, is_up) = fickle(3600).await;
    is_up.store(false, Ordering::SeqCst);
    let credential = client(&world, &server);
    let fault = fault_of(&credential).await;
    assert!(matches!(fault, Fault::Transient(_)), "{fault:?}");
    is_up.store(true, Ordering::SeqCst);
    world.advance_ms(999);
    assert_eq!(fault_of(&credential).await, fault);
    assert_eq!(server.requests().len(), 1);
    world.advance_ms(1);
    assert!(all_are(&many(&credential).await, "token-1"));
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn a_busy_endpoint_is_left_alone_for_as_long_as_it_asks() {
    let world = CredentialFixture::new();
    let server = ScriptedHttp::always(ScriptedReply::new(429, "").header("retry-after", "90")).await;
    let credential = client(&world, &server);
    let wait = async || match fault_of(&credential).await {
        Fault::Throttled { retry_after, .. } => retry_after.as_secs(),
        other => panic!("{other:?}"),
    };
    assert_eq!(wait().await, 90);
    world.advance_ms(70_000);
    assert_eq!(wait().await, 20);
    assert_eq!(server.requests().len(), 1);
    world.advance_ms(20_000);
    assert_eq!(wait().await, 90);
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn a_refused_token_is_renewed_by_one_refresh_for_all() {
    let world = CredentialFixture::new();
    let server = counting(3600).await;
    let credential = client(&world, &server);
    let first = credential.token().await.unwrap();
    for renewed in many_renewed(&credential, &first).await {
        let renewed = renewed.unwrap();
        assert_eq!((renewed.expose(), renewed.number()), ("token-2", 2));
    }
    assert_eq!(server.requests().len(), 2);
    let late = credential.renew(&first).now_or_never().expect("a newer one is known").unwrap();
    assert_eq!(late.expose(), "token-2");
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn a_refused_token_is_given_to_nobody_else() {
    let world = CredentialFixture::new();
    let (server, is_up) = fickle(3600).await;
    let credential = client(&world, &server);
    let first = credential.token().await.unwrap();
    is_up.store(false, Ordering::SeqCst);
    let fault = quiet(credential.renew(&first).await.unwrap_err());
    assert!(matches!(fault, Fault::Transient(_)), "{fault:?}");
    assert_eq!(fault_of(&credential).await, fault);
    is_up.store(true, Ordering::SeqCst);
    world.advance_ms(1000);
    assert_eq!(text_of(&credential).await, "token-2");
}

#[tokio::test]
async fn a_refused_token_that_is_issued_again_is_not_a_newer_one() {
    let world = CredentialFixture::new();
    let server = ScriptedHttp::always(granted("same", 3600)).await;
    let credential = client(&world, &server);
    let first = credential.token().await.unwrap();
    for renewed in many_renewed(&credential, &first).await {
        assert!(matches!(quiet(renewed.unwrap_err()), Fault::Unauthorized(_)));
    }
    assert_eq!(server.requests().len(), 2);
    assert_eq!(credential.token().await, Ok(first.clone()), "the refusal may be healed elsewhere");
    assert!(credential.renew(&first).await.is_err());
    assert_eq!(server.requests().len(), 2, "no storm");
}

#[tokio::test]
async fn a_caller_that_goes_away_takes_no_refresh_along() {
    let world = CredentialFixture::new();
    let server = ScriptedHttp::always(granted("token-1", 60).after(Duration::from_millis(200))).await;
    let credential = client(&world, &server);
    assert!(credential.token().now_or_never().is_none());
    arrived(&server, 1).await;
    assert_eq!(text_of(&credential).await, "token-1");
    assert_eq!(server.requests().len(), 1);
}
