//! The reranker that the configuration names.

use std::sync::Arc;

use crate::adapters::http::EndpointConfig;
use crate::adapters::rerank::{ANSWER_BYTES_MAX, HttpReranker, RerankConfig, Shape};
use crate::config::{Config, RerankShape};
use crate::context::rerank::Reranking;
use crate::fault::{Fault, Refusal};
use crate::ports::clock::Clock;

/// A client of it; connects to nothing yet.
pub(super) fn open(config: &Config, clock: Arc<dyn Clock>) -> Result<Option<Reranking>, Refusal> {
    let Some(rerank) = &config.rerank else { return Ok(None) };
    let client = RerankConfig {
        endpoint: EndpointConfig {
            url: rerank.url.expose().to_owned(),
            api_key: rerank.api_key.as_ref().map(|key| key.expose().to_owned()),
            call_max: rerank.time_max,
            answer_bytes_max: ANSWER_BYTES_MAX,
        },
        shape: match rerank.shape {
            RerankShape::Results => Shape::Results,
            RerankShape::Tei => Shape::Tei,
        },
        model: rerank.model.clone(),
        texts_max: rerank.texts_max,
    };
    let refuse =
        |fault: Fault| Refusal::invalid("reranker_unusable", "rerank.url", format!("rerank: {fault}"));
    Ok(Some(Reranking {
        reranker: Arc::new(HttpReranker::new(&client, clock).map_err(refuse)?),
        candidates_max: rerank.candidates_max,
        time_max: rerank.time_max,
    }))
}
