//! Servers that misbehave: what comes of it is a fault that says what to do, and no secret.

use std::time::Duration;

use contexture_adapters::http::HttpEndpointConfig;
use contexture_adapters::rerank::{HttpReranker, HttpRerankerConfig, RERANKER_REJECTED, RerankApi};
use contexture_core::fault::Fault;
use contexture_core::ports::reranker::Reranker;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::time::Instant;

use crate::support::rerankers::{answer_well, client, config};
use crate::support::scripted_http::{ScriptedHttp, ScriptedReply};

const KEY: &str = "canary-key-77a1c3f0";
const SECRET_TEXT: &str = "canary-text-2b9e";
/// Long enough for an answer on a busy machine, when one is to come.
const SHORT: Duration = Duration::from_millis(300);

fn with_key(url: String) -> HttpRerankerConfig {
    let config = config(url, RerankApi::Results, 100);
    HttpRerankerConfig {
        endpoint: HttpEndpointConfig { api_key: Some(KEY.to_owned()), ..config.endpoint },
        ..config
    }
}

fn in_short(url: String) -> HttpRerankerConfig {
    let config = with_key(url);
    HttpRerankerConfig { endpoint: HttpEndpointConfig { call_max: SHORT, ..config.endpoint }, ..config }
}

fn texts(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("{SECRET_TEXT} {number}")).collect()
}

async fn fault_of(config: &HttpRerankerConfig) -> Fault {
    let fault = client(config).rerank(SECRET_TEXT, &texts(2)).await.unwrap_err();
    let told = format!("{fault} {fault:?} {config:?}");
    assert!(!told.contains(KEY) && !told.contains(SECRET_TEXT), "{told}");
    assert!(fault.to_string().contains("reranker: "), "{fault}");
    fault
}

async fn fault_after(reply: ScriptedReply) -> Fault {
    let server = ScriptedHttp::always(reply).await;
    let fault = fault_of(&with_key(server.url("/rerank"))).await;
    assert_eq!(server.requests().len(), 1, "nothing is tried twice");
    fault
}

fn is_rejected(fault: &Fault) -> bool {
    matches!(fault, Fault::Permanent(reason) if reason.code == RERANKER_REJECTED)
}

#[tokio::test]
async fn each_shape_is_sent_as_its_servers_want_it() {
    let server = ScriptedHttp::start(answer_well).await;
    let ask = async |shape, model: &str| {
        let config =
            HttpRerankerConfig { model: model.to_owned(), ..config(server.url("/v2/rerank"), shape, 9) };
        client(&config).rerank("why", &["a".to_owned(), "b".to_owned()]).await.unwrap();
        server.requests().pop().unwrap()
    };
    let sent = ask(RerankApi::Results, "m").await;
    assert_eq!((sent.method.as_str(), sent.path.as_str()), ("POST", "/v2/rerank"));
    assert_eq!(sent.json(), json!({ "model": "m", "query": "why", "documents": ["a", "b"], "top_n": 2 }));
    assert_eq!(sent.header("content-type"), Some("application/json"));
    assert_eq!(sent.header("authorization"), None);
    let unnamed = ask(RerankApi::Results, "").await;
    assert_eq!(unnamed.json(), json!({ "query": "why", "documents": ["a", "b"], "top_n": 2 }));
    let tei = ask(RerankApi::Tei, "m").await;
    assert_eq!(
        tei.json(),
        json!({ "query": "why", "texts": ["a", "b"], "raw_scores": false, "truncate": true })
    );
}

#[tokio::test]
async fn both_answers_are_read_whatever_was_sent() {
    let results = json!({ "results": [{ "index": 1, "relevance_score": 0.9, "document": { "text": "b" } },
                                      { "index": 0, "relevance_score": -3 }], "meta": {} });
    let list = json!([{ "index": 1, "score": 0.9 }, { "index": 0, "score": -3.0, "text": "a" }]);
    for answer in [results, list] {
        for shape in [RerankApi::Results, RerankApi::Tei] {
            let server = ScriptedHttp::always(ScriptedReply::json(&answer)).await;
            let scores = client(&config(server.url("/"), shape, 9)).rerank("?", &texts(2)).await;
            assert_eq!(scores, Ok(vec![-3.0, 0.9]), "{shape:?} {answer}");
        }
    }
}

#[tokio::test]
async fn the_key_is_sent_and_never_shown() {
    let server = ScriptedHttp::start(answer_well).await;
    let config = with_key(server.url("/rerank"));
    client(&config).rerank("?", &texts(1)).await.unwrap();
    assert_eq!(server.requests()[0].header("authorization"), Some(format!("Bearer {KEY}").as_str()));
    assert!(!format!("{config:?}").contains(KEY));
}

#[tokio::test]
async fn texts_go_in_calls_of_the_size_that_the_server_takes() {
    let server = ScriptedHttp::start(answer_well).await;
    let reranker = client(&config(server.url("/rerank"), RerankApi::Tei, 4));
    let texts: Vec<String> = (0..10).map(|number| format!("word{number}")).collect();
    let scores = reranker.rerank("word7", &texts).await.unwrap();
    let best: Vec<usize> = (0..10).filter(|index| scores[*index] > 0.0).collect();
    assert_eq!(best, [7], "{scores:?}");
    let mut sizes: Vec<usize> =
        server.requests().iter().map(|sent| sent.json()["texts"].as_array().unwrap().len()).collect();
    sizes.sort_unstable();
    assert_eq!(sizes, [2, 4, 4]);
    reranker.rerank("word7", &[]).await.unwrap();
    assert_eq!(server.requests().len(), 3, "no texts cost no call");
}

#[tokio::test]
async fn answers_that_make_no_sense_are_refused() {
    let scored = |entries: &[(i64, f64)]| -> Vec<u8> {
        let entries: Vec<_> = entries
            .iter()
            .map(|(index, score)| json!({ "index": index, "relevance_score": score }))
            .collect();
        json!({ "results": entries }).to_string().into_bytes()
    };
    let nonsense: [(&str, Vec<u8>); 16] = [
        ("too few", scored(&[(0, 0.5)])),
        ("too many", scored(&[(0, 0.5), (1, 0.5), (2, 0.5)])),
        ("none", scored(&[])),
        ("one twice", scored(&[(1, 0.5), (1, 0.5)])),
        ("out of range", scored(&[(0, 0.5), (2, 0.5)])),
        ("negative", scored(&[(0, 0.5), (-1, 0.5)])),
        ("infinite as f32", br#"[{"index":0,"score":1e300},{"index":1,"score":0}]"#.to_vec()),
        ("infinite", br#"[{"index":0,"score":1e999},{"index":1,"score":0}]"#.to_vec()),
        ("NaN", br#"[{"index":0,"score":NaN},{"index":1,"score":0}]"#.to_vec()),
        ("null", br#"[{"index":0,"score":null},{"index":1,"score":0}]"#.to_vec()),
        ("text", br#"[{"index":0,"score":"0.5"},{"index":1,"score":0}]"#.to_vec()),
        ("no score", br#"[{"index":0},{"index":1}]"#.to_vec()),
        ("an error", format!(r#"{{"error":"{SECRET_TEXT} {KEY}"}}"#).into_bytes()),
        ("cut JSON", br#"{"results":[{"index":0,"#.to_vec()),
        ("garbage", format!("\u{0}<html>{SECRET_TEXT}").into_bytes()),
        ("empty", Vec::new()),
    ];
    for (name, answer) in nonsense {
        let fault = fault_after(ScriptedReply::new(200, answer)).await;
        assert!(is_rejected(&fault), "{name}: {fault:?}");
    }
}

#[tokio::test]
async fn an_answer_without_end_is_cut_at_its_bound() {
    let fault = fault_after(ScriptedReply::new(200, vec![b' '; 4096]).endless()).await;
    assert!(is_rejected(&fault) && fault.to_string().contains("65536 bytes"), "{fault:?}");
    let fault = fault_after(ScriptedReply::new(200, vec![b' '; 65_537])).await;
    assert!(is_rejected(&fault), "{fault:?}");
}

#[tokio::test]
async fn a_broken_off_answer_is_worth_another_attempt() {
    let answer = json!([{ "index": 0, "score": 0.1 }, { "index": 1, "score": 0.2 }]);
    for bytes in [0, 10] {
        let fault = fault_after(ScriptedReply::json(&answer).cut_after(bytes)).await;
        assert!(matches!(fault, Fault::Transient(_)), "{bytes}: {fault:?}");
    }
}

#[tokio::test]
async fn the_deadline_cuts_what_is_late_slow_or_silent() {
    let answer = json!([{ "index": 0, "score": 0.1 }, { "index": 1, "score": 0.2 }]);
    let late = ScriptedReply::json(&answer).after(SHORT * 100);
    let slow = ScriptedReply::json(&answer).in_drops(SHORT / 3);
    for reply in [late, slow, ScriptedReply::never()] {
        let server = ScriptedHttp::always(reply.clone()).await;
        let asked = Instant::now();
        let fault = fault_of(&in_short(server.url("/rerank"))).await;
        assert!(matches!(fault, Fault::Transient(_)), "{reply:?}: {fault:?}");
        assert!(asked.elapsed() >= SHORT, "{reply:?} after {:?}", asked.elapsed());
        assert!(asked.elapsed() < SHORT * 50, "{reply:?} after {:?}", asked.elapsed());
    }
}

#[tokio::test]
async fn nobody_there_is_worth_another_attempt() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let fault = fault_of(&with_key(format!("http://{address}/rerank"))).await;
    assert!(
        matches!(&fault, Fault::Transient(what) if what.as_str().contains("cannot connect")),
        "{fault:?}"
    );
}

#[tokio::test]
async fn patience_is_kept_for_as_long_as_was_asked() {
    let ask = async |status: u16, wait: &str| match fault_after(
        ScriptedReply::new(status, SECRET_TEXT).header("Retry-After", wait),
    )
    .await
    {
        Fault::Throttled { retry_after, .. } => retry_after,
        other => panic!("{other:?}"),
    };
    assert_eq!(ask(429, "7").await, Duration::from_secs(7));
    assert_eq!(ask(503, "1000000").await, Duration::from_mins(10));
    assert_eq!(ask(429, "in a while").await, Duration::from_secs(1));
}

#[tokio::test]
async fn statuses_say_whose_fault_it_is() {
    for status in [401, 403] {
        let fault = fault_after(ScriptedReply::new(status, KEY)).await;
        assert!(matches!(fault, Fault::Unauthorized(_)), "{status}: {fault:?}");
    }
    for status in [500, 502, 504] {
        let fault = fault_after(ScriptedReply::new(status, SECRET_TEXT)).await;
        assert!(matches!(fault, Fault::Transient(_)), "{status}: {fault:?}");
    }
    for status in [400, 404, 413, 422] {
        assert!(is_rejected(&fault_after(ScriptedReply::new(status, SECRET_TEXT)).await), "{status}");
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = ScriptedHttp::start(answer_well).await;
    for status in [301, 302, 303, 307, 308] {
        let fault =
            fault_after(ScriptedReply::new(status, "").header("location", &elsewhere.url("/rerank"))).await;
        assert!(is_rejected(&fault), "{status}: {fault:?}");
    }
    assert!(elsewhere.requests().is_empty(), "the key went elsewhere");
}

#[tokio::test]
async fn the_first_fault_ends_all_calls() {
    let server = ScriptedHttp::start(|request| {
        if request.json()["documents"][0] == "bad" {
            ScriptedReply::new(401, "")
        } else {
            ScriptedReply::never()
        }
    })
    .await;
    let reranker = client(&config(server.url("/rerank"), RerankApi::Results, 1));
    let texts: Vec<String> = ["good", "bad", "good"].map(str::to_owned).to_vec();
    let fault = reranker.rerank("?", &texts).await.unwrap_err();
    assert!(matches!(fault, Fault::Unauthorized(_)), "{fault:?}");
}

#[tokio::test]
async fn what_cannot_be_sent_is_refused_at_once() {
    let refuse = |url: &str, key: Option<&str>, texts_max: usize| {
        let config = config(url.to_owned(), RerankApi::Results, texts_max);
        let endpoint = HttpEndpointConfig { api_key: key.map(str::to_owned), ..config.endpoint };
        let config = HttpRerankerConfig { endpoint, ..config };
        let clock = std::sync::Arc::new(contexture_core::ports::clock::SystemClock);
        HttpReranker::new(&config, clock).err().unwrap_or_else(|| panic!("accepted {url} {key:?}"))
    };
    for url in ["", "rerank", "ftp://host/", "http://", "http://user@host/", "http://user:word@host/"] {
        assert!(is_rejected(&refuse(url, None, 1)), "{url}");
    }
    for key in ["", "two words", "line\nbreak", "clé"] {
        let fault = refuse("http://127.0.0.1:1/", Some(key), 1);
        assert!(is_rejected(&fault), "{key}");
    }
    assert!(is_rejected(&refuse("http://127.0.0.1:1/", None, 0)));
}

#[tokio::test]
async fn tls_is_there_for_https() {
    // Nobody speaks TLS here: that it is tried is all that can be seen without a certificate.
    let server = ScriptedHttp::start(answer_well).await;
    let url = server.url("/rerank").replacen("http://", "https://", 1);
    let fault = fault_of(&in_short(url)).await;
    assert!(matches!(fault, Fault::Transient(_)), "{fault:?}");
    assert!(server.requests().is_empty());
}
