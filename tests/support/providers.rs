//! A provider over real sockets that speaks like `OpenAI`, and an embedder of it.

use std::sync::Arc;
use std::time::Duration;

use contexture_adapters::credentials::{self, Credential, CredentialConfig, SecretText};
use contexture_adapters::http::{HeaderMap, HttpEndpoint, HttpEndpointConfig, RemoteService};
use contexture_adapters::memory::shared_states::MemorySharedStates;
use contexture_adapters::providers::{
    ProviderApi, ProviderAuthorization, ProviderEmbedder, ProviderEmbedderParts,
};
use contexture_core::fault::reason;
use contexture_core::ports::clock::WallClock;
use contexture_core::ports::embedder::EmbedderInfo;
use contexture_core::ports::shared_states::SharedStateStore;
use contexture_core::resilience::limiter::ProviderLimiter;
use contexture_core::resilience::quota_protocol::ProviderLimits;
use serde_json::{Value, json};

use super::clock::TokioClock;
use super::scripted_http::{RecordedRequest, ScriptedHttp, ScriptedReply};
use super::tokenizers::RunTokenizer;

pub(crate) const DIMS: usize = 8;
pub(crate) const KEY: &str = "canary-key-4410";

/// A vector that tells texts apart.
pub(crate) fn vector_of(text: &str) -> Vec<f32> {
    let hash = blake3::hash(text.as_bytes());
    hash.as_bytes().iter().take(DIMS).map(|byte| f32::from(*byte) / 255.0 + 0.01).collect()
}

/// The texts that a request asks to embed.
pub(crate) fn texts_of(request: &RecordedRequest) -> Vec<String> {
    let body = request.json();
    body["input"].as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
}

/// An answer with these vectors, in the order of the texts.
pub(crate) fn answer(vectors: &[Vec<f32>]) -> Value {
    let data: Vec<Value> = vectors
        .iter()
        .enumerate()
        .map(|(index, vector)| json!({ "object": "embedding", "index": index, "embedding": vector }))
        .collect();
    json!({ "object": "list", "data": data, "model": "words", "usage": { "prompt_tokens": 1, "total_tokens": 1 } })
}

/// What a provider that is well answers.
pub(crate) fn answer_well(request: &RecordedRequest) -> ScriptedReply {
    let vectors: Vec<Vec<f32>> = texts_of(request).iter().map(|text| vector_of(text)).collect();
    ScriptedReply::json(&answer(&vectors))
}

/// A refusal in `OpenAI`'s shape.
pub(crate) fn refusal(status: u16, words: &str) -> ScriptedReply {
    let body = json!({ "error": { "message": words, "type": "invalid_request_error" } });
    ScriptedReply::new(status, body.to_string()).header("content-type", "application/json")
}

/// How a client of a provider is set up.
pub(crate) struct ProviderSetup {
    pub(crate) states: Arc<dyn SharedStateStore>,
    pub(crate) clock: Arc<dyn WallClock>,
    pub(crate) limits: ProviderLimits,
    pub(crate) call_max: Duration,
    pub(crate) credential: Option<Arc<dyn Credential>>,
    pub(crate) holder: String,
    pub(crate) answer_bytes_max: usize,
    pub(crate) headers: HeaderMap,
    pub(crate) texts_max: usize,
}

impl ProviderSetup {
    pub(crate) fn new() -> Self {
        let clock = TokioClock::new();
        let states = Arc::new(MemorySharedStates::new(clock.clone()));
        Self {
            states,
            clock,
            limits: ProviderLimits { requests_per_minute: None, tokens_per_minute: None, calls_max: 16 },
            call_max: Duration::from_secs(30),
            credential: None,
            holder: "one".to_owned(),
            answer_bytes_max: 1 << 20,
            headers: HeaderMap::new(),
            texts_max: 64,
        }
    }

    pub(crate) fn limiter(&self) -> Arc<ProviderLimiter> {
        let (states, clock) = (self.states.clone(), self.clock.clone());
        Arc::new(ProviderLimiter::new(states, clock, "scripted", &self.holder, self.limits, self.call_max))
    }

    /// The static key that tests look for where it must not be.
    pub(crate) fn key(&self) -> Arc<dyn Credential> {
        let config = CredentialConfig::Key(SecretText::new(KEY));
        credentials::open_credential("scripted", config, self.states.clone(), self.clock.clone()).unwrap()
    }

    pub(crate) fn embedder(&self, server: &ScriptedHttp) -> Arc<ProviderEmbedder> {
        let service = RemoteService { name: "embedder", rejected: reason::EMBEDDER_REJECTED };
        let endpoint = HttpEndpointConfig {
            url: server.url("/v1/embeddings"),
            api_key: None,
            call_max: self.call_max,
            answer_bytes_max: self.answer_bytes_max,
        };
        let (header, prefix) = ProviderApi::OpenAi.key_header();
        let credential = self.credential.clone().unwrap_or_else(|| self.key());
        Arc::new(ProviderEmbedder::new(ProviderEmbedderParts {
            label: "scripted/words".to_owned(),
            info: EmbedderInfo {
                model: "scripted/words".to_owned(),
                dims: DIMS,
                tokens_max: 512,
                tokens_reserved: 0,
                batch_texts_max: self.texts_max,
                batch_tokens_max: 100_000,
                calls_max: 16,
                is_metered: true,
            },
            shape: ProviderApi::OpenAi,
            model: "words".to_owned(),
            dims_asked: None,
            input_types: None,
            passage_prefix: String::new(),
            query_prefix: "query: ".to_owned(),
            tokenizer: Arc::new(RunTokenizer),
            endpoint: HttpEndpoint::new(service, &endpoint, self.clock.clone()).unwrap(),
            call_max: self.call_max,
            headers: self.headers.clone(),
            authorization: Some(ProviderAuthorization { header, prefix, credential }),
            limiter: self.limiter(),
            clock: self.clock.clone(),
        }))
    }
}
