//! Whose fault a refusal is: the text's, the provider's or the key's.

use std::time::Duration;

use contexture_adapters::http::{HeaderMap, HeaderName, HeaderValue};
use contexture_adapters::providers::CANARY_TEXT;
use contexture_core::fault::Fault;
use contexture_core::ports::embedder::{Embedder, EmbeddingPurpose};
use serde_json::json;

use super::answers::{embed, in_turn, rejected, texts, vectors};
use crate::support::providers::{KEY, ProviderSetup, answer_well, refusal, texts_of};
use crate::support::scripted_http::{RecordedRequest, ScriptedHttp, ScriptedReply};

const PROXY_HEADER: HeaderName = HeaderName::from_static("x-proxy");

#[tokio::test(start_paused = true)]
async fn refused_text_has_the_providers_words_without_quotes() {
    let text = texts(1)[0].clone();
    let server = ScriptedHttp::start(move |request| {
        if texts_of(request)[0] == CANARY_TEXT {
            return answer_well(request);
        }
        refusal(400, "I do not like: canary-text number 0")
    })
    .await;
    let embedder = ProviderSetup::new().embedder(&server);
    let made = embedder.embed(&[text], EmbeddingPurpose::Passage).await;
    let detail = rejected(&made);
    assert!(detail.contains("I do not like"), "{detail}");
    assert_eq!(server.requests().len(), 2, "one innocent text tells that it is about this one");
    assert!(embed(&embedder, 1).await.is_err());
    assert_eq!(server.requests().len(), 3, "once is enough");
}

#[tokio::test(start_paused = true)]
async fn refusal_of_every_text_parks_instead_of_killing() {
    let server =
        ScriptedHttp::start(|_: &RecordedRequest| refusal(400, "unknown parameter: dimensions")).await;
    let embedder = ProviderSetup::new().embedder(&server);
    let Fault::Unauthorized(words) = embed(&embedder, 1).await.unwrap_err() else { panic!() };
    assert!(words.as_str().contains("every text") && words.as_str().contains("unknown parameter"), "{words}");
    assert_eq!(server.requests().len(), 2);
    assert!(embedder.waiting().unwrap().stopped);
}

/// A server that answers as `reply` says to whatever `blames`, and well to everything else.
async fn blaming(
    blames: impl Fn(&[String]) -> bool + Send + Sync + 'static,
    reply: ScriptedReply,
) -> ScriptedHttp {
    ScriptedHttp::start(
        move |request| {
            if blames(&texts_of(request)) { reply.clone() } else { answer_well(request) }
        },
    )
    .await
}

/// The words of llama.cpp's own server (b6900 and before), which answers 500 to the whole call.
#[tokio::test(start_paused = true)]
async fn a_500_about_the_size_of_a_text_is_a_refusal_of_that_text() {
    let too_long = "input (702 tokens) is too large to process. increase the physical batch size (current batch size: 512)";
    let server =
        blaming(|texts| texts.iter().any(|text| text.contains("number 1")), refusal(500, too_long)).await;
    let embedder = ProviderSetup::new().embedder(&server);
    let detail = rejected(&embed(&embedder, 3).await);
    assert!(detail.contains("500") && detail.contains("too large to process"), "{detail}");
    assert!(embedder.waiting().is_none(), "it is no outage");
    embedder.embed(&[texts(1)[0].clone()], EmbeddingPurpose::Passage).await.unwrap();
}

/// Where every text is refused so, the model has no room for any: nobody dies of it.
#[tokio::test(start_paused = true)]
async fn a_500_about_size_for_every_text_kills_nobody() {
    let server = blaming(|_| true, refusal(500, "out of context size")).await;
    let embedder = ProviderSetup::new().embedder(&server);
    assert!(!matches!(embed(&embedder, 1).await, Err(Fault::Permanent(_))));
}

fn has_no_canary(texts: &[String]) -> bool {
    !texts.iter().any(|text| text == CANARY_TEXT)
}

#[tokio::test(start_paused = true)]
async fn a_403_about_texts_parks_nobody() {
    let server = blaming(has_no_canary, refusal(403, "blocked by policy 7")).await;
    let embedder = ProviderSetup::new().embedder(&server);
    for count in [2, 1] {
        let detail = rejected(&embed(&embedder, count).await);
        assert!(detail.contains("403") && detail.contains("blocked by policy 7"), "{detail}");
    }
    assert_eq!(
        server.requests().len(),
        4,
        "an innocent text each time: credentials are refused that way, too"
    );
    assert!(embedder.waiting().is_none());
    embedder.embed(&[CANARY_TEXT.to_owned()], EmbeddingPurpose::Passage).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_403_for_every_text_parks() {
    let server = blaming(|_| true, refusal(403, "not yours")).await;
    let embedder = ProviderSetup::new().embedder(&server);
    let Fault::Unauthorized(words) = embed(&embedder, 2).await.unwrap_err() else { panic!() };
    assert!(words.as_str().contains("not yours"), "{words}");
    assert_eq!(server.requests().len(), 2);
    assert!(embedder.waiting().unwrap().stopped);
}

#[tokio::test(start_paused = true)]
async fn a_403_for_a_question_parks_nobody_and_a_401_may() {
    let server = blaming(|texts| texts[0].starts_with("query: "), refusal(403, "blocked")).await;
    let embedder = ProviderSetup::new().embedder(&server);
    let asked = embedder.embed(&["why".to_owned()], EmbeddingPurpose::Query).await;
    assert!(matches!(asked, Err(Fault::Unauthorized(_))), "{asked:?}");
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(embedder.waiting().is_none());
    embed(&embedder, 2).await.unwrap();
}

/// Gemini's 400 for a key that is not valid, and its words alone.
#[tokio::test(start_paused = true)]
async fn a_bad_key_by_400_parks_and_kills_nobody() {
    let details =
        json!([{ "@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID" }]);
    for error in [
        json!({ "code": 400, "message": "Renew it.", "status": "INVALID_ARGUMENT", "details": details }),
        json!({ "code": 400, "message": "API key not valid. Please pass a valid API key." }),
    ] {
        let reply = ScriptedReply::new(400, json!({ "error": error }).to_string());
        for count in [1, 2] {
            let server = ScriptedHttp::always(reply.clone()).await;
            let embedder = ProviderSetup::new().embedder(&server);
            let made = embed(&embedder, count).await;
            assert!(matches!(made, Err(Fault::Unauthorized(_))), "{made:?}");
            assert!(embedder.waiting().unwrap().stopped);
            assert_eq!(server.requests().len(), 2);
        }
        // A provider that quotes a text which says so.
        let server = blaming(has_no_canary, reply).await;
        let embedder = ProviderSetup::new().embedder(&server);
        rejected(&embed(&embedder, 1).await);
        assert!(embedder.waiting().is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn nonsense_for_every_text_is_the_providers_failure() {
    let server = ScriptedHttp::always(ScriptedReply::json(&json!({ "data": [] }))).await;
    let embedder = ProviderSetup::new().embedder(&server);
    for attempt in 1..=4 {
        let made = embed(&embedder, 1).await;
        assert!(matches!(made, Err(Fault::Transient(_))), "{made:?}");
        assert_eq!(server.requests().len(), 3 * attempt, "once more, and an innocent text");
    }
    let made = embed(&embedder, 1).await;
    assert!(matches!(made, Err(Fault::Throttled { .. })), "the fifth opens the breaker: {made:?}");
}

#[tokio::test(start_paused = true)]
async fn nonsense_for_one_text_is_the_texts() {
    let server = blaming(has_no_canary, ScriptedReply::json(&json!({ "data": [] }))).await;
    let embedder = ProviderSetup::new().embedder(&server);
    for _ in 0..10 {
        assert!(rejected(&embed(&embedder, 1).await).contains("embeds 0 texts of 1"));
    }
    assert!(embedder.waiting().is_none());
}

/// What the innocent text meets is what the call met.
#[tokio::test(start_paused = true)]
async fn the_canarys_trouble_is_everybodys() {
    let after_a_refusal = async |reply: ScriptedReply| {
        let server = in_turn(vec![refusal(400, "no"), reply, ScriptedReply::well()]).await;
        let embedder = ProviderSetup::new().embedder(&server);
        (embed(&embedder, 1).await, server.requests().len(), embedder.waiting())
    };
    let (made, calls, _) = after_a_refusal(refusal(429, "slow down").header("retry-after", "2")).await;
    assert_eq!((made.unwrap(), calls), (vectors(1), 3), "it waits, and asks for its text again");
    let (made, ..) = after_a_refusal(refusal(429, "slow down").header("retry-after", "120")).await;
    assert!(matches!(made, Err(Fault::Throttled { .. })), "{made:?}");
    let (made, _, waiting) = after_a_refusal(refusal(401, "expired")).await;
    assert!(matches!(made, Err(Fault::Unauthorized(_))), "{made:?}");
    assert!(waiting.unwrap().why.contains("expired"), "a static key has no other");
    let (made, ..) = after_a_refusal(refusal(500, "on fire")).await;
    assert!(matches!(made, Err(Fault::Transient(_))), "{made:?}");
    let (made, ..) = after_a_refusal(ScriptedReply::json(&json!("what?"))).await;
    assert!(matches!(made, Err(Fault::Transient(_))), "{made:?}");
}

#[tokio::test(start_paused = true)]
async fn neither_token_nor_header_is_repeated() {
    const PROXY: &str = "proxy-secret-0123456789";
    let mut header: HeaderValue = format!("Basic {PROXY}").parse().unwrap();
    header.set_sensitive(true);
    let setup = || ProviderSetup {
        headers: HeaderMap::from_iter([(PROXY_HEADER, header.clone())]),
        ..ProviderSetup::new()
    };
    // At the end of what is passed on, too: half a secret is one.
    for padding in (0..300).step_by(7) {
        let said = format!("{} {KEY} Basic {PROXY} {PROXY}", "x".repeat(padding));
        for reply in [
            refusal(404, &said),
            refusal(500, &said),
            ScriptedReply::json(&json!({ "error": { "message": said, "code": KEY } })),
            ScriptedReply::new(
                404,
                json!({ "error": { "code": format!("{}{KEY}", "x".repeat(50)) } }).to_string(),
            ),
        ] {
            let server = ScriptedHttp::always(reply).await;
            let told = format!("{:?}", embed(&setup().embedder(&server), 2).await.unwrap_err());
            assert!(!told.contains(&KEY[..5]) && !told.contains(&PROXY[..6]), "{told}");
            let sent = server.requests();
            assert_eq!(sent[0].header(PROXY_HEADER.as_str()), Some(format!("Basic {PROXY}").as_str()));
        }
    }
}
