//! The reranker that the configuration names.

use std::sync::Arc;

use crate::config::{ContextureConfig, RerankShape};
use contexture_adapters::http::HttpEndpointConfig;
use contexture_adapters::rerank::{ANSWER_BYTES_MAX, HttpReranker, HttpRerankerConfig, RerankApi};
use contexture_core::context::rerank::BoundedReranker;
use contexture_core::fault::{Fault, Refusal};
use contexture_core::ports::clock::WallClock;

/// A client of it; connects to nothing yet.
pub(super) fn open_reranker(
    config: &ContextureConfig,
    clock: Arc<dyn WallClock>,
) -> Result<Option<BoundedReranker>, Refusal> {
    let Some(rerank) = &config.rerank else { return Ok(None) };
    let client = HttpRerankerConfig {
        endpoint: HttpEndpointConfig {
            url: rerank.url.expose().to_owned(),
            api_key: rerank.api_key.as_ref().map(|key| key.expose().to_owned()),
            call_max: rerank.time_max,
            answer_bytes_max: ANSWER_BYTES_MAX,
        },
        shape: match rerank.shape {
            RerankShape::Results => RerankApi::Results,
            RerankShape::Tei => RerankApi::Tei,
        },
        model: rerank.model.clone(),
        texts_max: rerank.texts_max,
    };
    let refuse =
        |fault: Fault| Refusal::invalid("reranker_unusable", "rerank.url", format!("rerank: {fault}"));
    Ok(Some(BoundedReranker {
        reranker: Arc::new(HttpReranker::new(&client, clock).map_err(refuse)?),
        candidates_max: rerank.candidates_max,
        time_max: rerank.time_max,
    }))
}
