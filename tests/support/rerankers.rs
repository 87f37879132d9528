//! Rerankers that count shared words: in this process, and behind both shapes of `/rerank`.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use contexture_adapters::http::HttpEndpointConfig;
use contexture_adapters::rerank::{HttpReranker, HttpRerankerConfig, RerankApi};
use contexture_core::fault::Fault;
use contexture_core::ports::reranker::{Reranker, RerankerInfo};
use serde_json::{Value, json};

use super::clock::ManualClock;
use super::scripted_http::{RecordedRequest, ScriptedReply};

/// The share of the question's words that a text has.
pub(crate) fn shared_words(question: &str, text: &str) -> f32 {
    let words = |text: &str| -> BTreeSet<String> { text.split_whitespace().map(str::to_lowercase).collect() };
    let (asked, found) = (words(question), words(text));
    let count = |number: usize| f32::from(u16::try_from(number).unwrap());
    count(asked.intersection(&found).count()) / count(asked.len().max(1))
}

type ScoreFunction = dyn Fn(&str, &str) -> f32 + Send + Sync;

/// A reranker in this process; counts its calls.
pub(crate) struct InProcessReranker {
    info: RerankerInfo,
    score: Box<ScoreFunction>,
    pub(crate) calls: AtomicUsize,
}

impl InProcessReranker {
    pub(crate) fn new(score: impl Fn(&str, &str) -> f32 + Send + Sync + 'static) -> Self {
        let info = RerankerInfo { model: "words".to_owned(), texts_max: usize::MAX };
        Self { info, score: Box::new(score), calls: AtomicUsize::new(0) }
    }
}

#[async_trait]
impl Reranker for InProcessReranker {
    fn info(&self) -> &RerankerInfo {
        &self.info
    }

    async fn rerank(&self, question: &str, texts: &[String]) -> Result<Vec<f32>, Fault> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        Ok(texts.iter().map(|text| (self.score)(question, text)).collect())
    }
}

/// A client of `url`.
pub(crate) fn config(url: String, shape: RerankApi, texts_max: usize) -> HttpRerankerConfig {
    HttpRerankerConfig {
        endpoint: HttpEndpointConfig {
            url,
            api_key: None,
            call_max: Duration::from_secs(30),
            answer_bytes_max: 64 * 1024,
        },
        shape,
        model: "words".to_owned(),
        texts_max,
    }
}

pub(crate) fn client(config: &HttpRerankerConfig) -> HttpReranker {
    HttpReranker::new(config, Arc::new(ManualClock::new())).unwrap()
}

/// Scores every text of a call, best first, in the shape of the call.
pub(crate) fn answer_well(request: &RecordedRequest) -> ScriptedReply {
    let body = request.json();
    let question = body["query"].as_str().unwrap();
    let is_tei = body.get("texts").is_some();
    let texts = body[if is_tei { "texts" } else { "documents" }].as_array().unwrap();
    let mut scored: Vec<(usize, f32)> =
        texts.iter().map(|text| shared_words(question, text.as_str().unwrap())).enumerate().collect();
    scored.sort_by(|left, right| right.1.total_cmp(&left.1));
    let name = if is_tei { "score" } else { "relevance_score" };
    let entries: Vec<Value> =
        scored.iter().map(|(index, score)| json!({ "index": index, (name): score })).collect();
    if is_tei {
        ScriptedReply::json(&json!(entries))
    } else {
        ScriptedReply::json(&json!({ "id": "x", "results": entries }))
    }
}
