//! One embedder, one call: what each kind of answer leads to, and how many calls it takes.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use contexture_adapters::providers::ProviderEmbedder;
use contexture_core::fault::{Fault, reason};
use contexture_core::ports::embedder::{Embedder, EmbeddingPurpose};
use serde_json::json;

use crate::support::providers::{DIMS, KEY, ProviderSetup, answer, answer_well, refusal, vector_of};
use crate::support::scripted_http::{ScriptedHttp, ScriptedReply};

pub(super) fn texts(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("canary-text number {number}")).collect()
}

pub(super) async fn embed(embedder: &ProviderEmbedder, count: usize) -> Result<Vec<Vec<f32>>, Fault> {
    embedder.embed(&texts(count), EmbeddingPurpose::Passage).await
}

/// A server that gives these answers in turn, the last one for ever.
pub(super) async fn in_turn(replies: Vec<ScriptedReply>) -> ScriptedHttp {
    let next = AtomicUsize::new(0);
    ScriptedHttp::start(move |request| {
        let reply = &replies[next.fetch_add(1, Ordering::SeqCst).min(replies.len() - 1)];
        if reply.is_well() { answer_well(request) } else { reply.clone() }
    })
    .await
}

/// What comes of two texts, and after how many calls.
pub(super) async fn outcome(replies: Vec<ScriptedReply>) -> (Result<Vec<Vec<f32>>, Fault>, usize) {
    let server = in_turn(replies).await;
    let made = embed(&ProviderSetup::new().embedder(&server), 2).await;
    if let Err(fault) = &made {
        let told = format!("{fault} {fault:?}");
        assert!(!told.contains(KEY) && !told.contains("canary-text number"), "{told}");
    }
    (made, server.requests().len())
}

pub(super) fn rejected(made: &Result<Vec<Vec<f32>>, Fault>) -> String {
    match made {
        Err(Fault::Permanent(why)) if why.code == reason::EMBEDDER_REJECTED => why.detail.clone(),
        other => panic!("{other:?}"),
    }
}

/// As the port wants vectors.
fn unit(vector: &[f32]) -> Vec<f32> {
    let length = vector.iter().map(|number| f64::from(*number).powi(2)).sum::<f64>().sqrt();
    #[expect(clippy::cast_possible_truncation, reason = "vectors are of f32")]
    vector.iter().map(|number| (f64::from(*number) / length) as f32).collect()
}

pub(super) fn vectors(count: usize) -> Vec<Vec<f32>> {
    texts(count).iter().map(|text| unit(&vector_of(text))).collect()
}

#[tokio::test(start_paused = true)]
async fn vectors_come_in_the_order_of_the_texts() {
    let server = ScriptedHttp::start(answer_well).await;
    let embedder = ProviderSetup::new().embedder(&server);
    assert_eq!(embed(&embedder, 3).await.unwrap(), vectors(3));
    let request = &server.requests()[0];
    assert_eq!(request.header("authorization"), Some(format!("Bearer {KEY}").as_str()));
    assert_eq!(request.json()["model"], "words");
    let asked = embedder.embed(&["why".to_owned()], EmbeddingPurpose::Query).await.unwrap();
    assert_eq!(asked, [unit(&vector_of("query: why"))]);
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn reordered_vectors_are_put_in_order() {
    let mut body = answer(&vectors(2));
    body["data"].as_array_mut().unwrap().reverse();
    let (made, calls) = outcome(vec![ScriptedReply::json(&body)]).await;
    assert_eq!((made.unwrap(), calls), (vectors(2), 1));
}

#[tokio::test(start_paused = true)]
async fn nonsense_is_rechecked_once_and_rejected() {
    let nonsense = [
        ("embeds 1 texts of 2", answer(&vectors(1))),
        ("embeds 3 texts of 2", answer(&vectors(3))),
        ("7 numbers", answer(&[vec![0.5; DIMS - 1], vec![0.5; DIMS - 1]])),
        (
            "finite",
            json!({ "data": [{ "index": 0, "embedding": [null, 1, 1, 1, 1, 1, 1, 1] },
            { "index": 1, "embedding": [1, 1, 1, 1, 1, 1, 1, 1] }] }),
        ),
        ("zeros", answer(&[vec![0.0; DIMS], vec![0.5; DIMS]])),
        ("is an error: no capacity", json!({ "error": { "message": "no capacity" } })),
        ("", json!("what?")),
    ];
    for (words, body) in nonsense {
        let reply = ScriptedReply::json(&body);
        let (made, calls) = outcome(vec![reply.clone()]).await;
        let detail = rejected(&made);
        assert!(detail.contains(words), "{detail}");
        assert_eq!(calls, 2, "{words}");
        let (made, calls) = outcome(vec![reply, ScriptedReply::well()]).await;
        assert_eq!((made.unwrap(), calls), (vectors(2), 2), "{words}");
    }
}

#[tokio::test(start_paused = true)]
async fn patience_is_asked_for_and_had() {
    for (header, value, least_ms) in
        [("retry-after", "3", 3000), ("retry-after-ms", "1500", 1500), ("x-none", "", 500)]
    {
        let began = tokio::time::Instant::now();
        let throttled = refusal(429, "slow down").header(header, value);
        let (made, calls) = outcome(vec![throttled, ScriptedReply::well()]).await;
        assert_eq!((made.unwrap(), calls), (vectors(2), 2), "{header}");
        let waited_ms = began.elapsed().as_millis();
        assert!((least_ms..least_ms + 1600).contains(&waited_ms), "{header}: {waited_ms}");
    }
}

#[tokio::test(start_paused = true)]
async fn more_patience_than_a_call_has_is_the_queues() {
    let server = in_turn(vec![refusal(429, "slow down").header("retry-after", "120")]).await;
    let embedder = ProviderSetup::new().embedder(&server);
    let Fault::Throttled { retry_after, what } = embed(&embedder, 2).await.unwrap_err() else { panic!() };
    assert!(what.contains("scripted"), "{what}");
    assert!((Duration::from_secs(115)..=Duration::from_mins(2)).contains(&retry_after), "{retry_after:?}");
    for _ in 0..10 {
        assert!(matches!(embed(&embedder, 2).await.unwrap_err(), Fault::Throttled { .. }));
    }
    assert_eq!(server.requests().len(), 1, "nobody asks again before its time");
    let waiting = embedder.waiting().unwrap();
    assert!(waiting.stopped && waiting.model == "scripted/words", "{waiting:?}");
}

#[tokio::test(start_paused = true)]
async fn refused_token_is_renewed_once_then_everybody_is_parked() {
    let (made, calls) = outcome(vec![refusal(401, &format!("who is {KEY}?"))]).await;
    // A static key cannot be renewed: the first 401 parks.
    let Err(Fault::Unauthorized(words)) = made else { panic!("{made:?}") };
    assert_eq!(calls, 1, "{words}");
    let (made, calls) = outcome(vec![refusal(404, "no such model")]).await;
    let Err(Fault::Unauthorized(words)) = made else { panic!("{made:?}") };
    assert!(words.as_str().contains("404") && words.as_str().contains("no such model"), "{words}");
    assert_eq!(calls, 1);
}

#[tokio::test(start_paused = true)]
async fn parked_callers_do_not_call_and_go_on_by_themselves() {
    let server =
        in_turn(vec![refusal(403, "not yours"), refusal(403, "not yours"), ScriptedReply::well()]).await;
    let embedder = ProviderSetup::new().embedder(&server);
    assert!(matches!(embed(&embedder, 2).await.unwrap_err(), Fault::Unauthorized(_)));
    let calls = server.requests().len();
    assert!(matches!(embed(&embedder, 2).await.unwrap_err(), Fault::Unauthorized(_)));
    assert_eq!(server.requests().len(), calls, "nobody calls while it is parked");
    let why = embedder.waiting().unwrap().why;
    assert!(why.contains("refuses all calls"), "{why}");
    for _ in 0..4 {
        tokio::time::sleep(Duration::from_secs(31)).await;
        if embed(&embedder, 2).await.is_ok() {
            assert!(embedder.waiting().is_none());
            return;
        }
    }
    panic!("it does not go on");
}

#[tokio::test(start_paused = true)]
async fn failures_open_the_breaker_and_calls_stop() {
    let server = ScriptedHttp::always(refusal(500, "out of memory")).await;
    let embedder = ProviderSetup::new().embedder(&server);
    let mut attempts = 0;
    for _ in 0..20 {
        match embed(&embedder, 2).await.unwrap_err() {
            Fault::Transient(words) => {
                assert!(
                    words.as_str().contains("500") && words.as_str().contains("out of memory"),
                    "{words}"
                );
                attempts += 1;
            }
            Fault::Throttled { what, .. } => assert!(what.contains("does not answer"), "{what}"),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(attempts, 4, "the fifth opens the breaker, and costs nothing");
    // Ten minutes later: a call each time it was let through.
    let calls = server.requests().len();
    let until = tokio::time::Instant::now() + Duration::from_mins(10);
    while tokio::time::Instant::now() < until {
        let _ = embed(&embedder, 2).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let probes = server.requests().len() - calls;
    assert!((8..=16).contains(&probes), "{probes}");
}

/// Over real time: deadlines of calls are what is tested.
#[tokio::test]
async fn slow_endless_and_broken_answers_are_cut_off() {
    let well = answer(&vectors(2)).to_string();
    for (reply, words) in [
        (ScriptedReply::never(), "no answer within"),
        (ScriptedReply::new(200, well.clone()).in_drops(Duration::from_millis(50)), "no answer within"),
        (ScriptedReply::new(200, "[0,").endless(), "more than"),
        (ScriptedReply::new(200, well).cut_after(30), "broke off"),
    ] {
        let server = ScriptedHttp::always(reply).await;
        let setup = ProviderSetup {
            call_max: Duration::from_millis(400),
            answer_bytes_max: 1 << 16,
            ..ProviderSetup::new()
        };
        let Fault::Transient(told) = embed(&setup.embedder(&server), 2).await.unwrap_err() else { panic!() };
        assert!(told.as_str().contains(words), "{told}");
        assert_eq!(server.requests().len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn questions_wait_for_nothing() {
    let throttled = refusal(429, "slow down").header("retry-after", "60");
    let server = in_turn(vec![ScriptedReply::well(), throttled, ScriptedReply::well()]).await;
    let embedder = ProviderSetup::new().embedder(&server);
    let ask = async || embedder.embed(&["why".to_owned()], EmbeddingPurpose::Query).await;
    ask().await.unwrap();
    assert!(matches!(ask().await.unwrap_err(), Fault::Throttled { .. }));
    assert!(matches!(ask().await.unwrap_err(), Fault::Throttled { .. }));
    assert_eq!(server.requests().len(), 2, "what would be in vain is not asked");
    tokio::time::sleep(Duration::from_secs(61)).await;
    ask().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn too_long_a_text_is_refused_here() {
    let server = ScriptedHttp::start(answer_well).await;
    let embedder = ProviderSetup::new().embedder(&server);
    let long = vec!["word ".repeat(1000)];
    assert!(
        rejected(&embedder.embed(&long, EmbeddingPurpose::Passage).await).contains("the model takes 512")
    );
    assert!(rejected(&embed(&embedder, 65).await).contains("at most 64"));
    assert!(embedder.embed(&[], EmbeddingPurpose::Passage).await.unwrap().is_empty());
    assert!(server.requests().is_empty());
}

#[tokio::test(start_paused = true)]
async fn headers_teach_the_limit() {
    let server = ScriptedHttp::start(|request| {
        answer_well(request)
            .header("x-ratelimit-limit-requests", "600")
            .header("x-ratelimit-limit-tokens", "1000000")
    })
    .await;
    let embedder = ProviderSetup::new().embedder(&server);
    embed(&embedder, 1).await.unwrap();
    let pace = embedder.pace().await.unwrap();
    assert_eq!((pace.requests_per_minute, pace.tokens_per_minute), (Some(600), Some(1_000_000)));
    let began = tokio::time::Instant::now();
    for _ in 0..100 {
        embed(&embedder, 1).await.unwrap();
    }
    let took_ms = began.elapsed().as_millis();
    assert!((9_000..11_000).contains(&took_ms), "ten a second: {took_ms}");
}
