//! Cross-encoders behind `/rerank`, as Cohere, Jina, vLLM and text-embeddings-inference have it.
//!
//! Texts go in calls of at most [`HttpRerankerConfig::texts_max`] texts and [`CALL_TEXT_BYTES_MAX`]
//! bytes of them (a text that is larger goes alone), at most [`CALLS_IN_FLIGHT_MAX`] at once in
//! this process; the first fault ends them all. An answer is believed only if it scores every
//! text of its call exactly once, with a finite number. [`RerankApi`] decides what is sent; both
//! forms of answer are read. Everything else is [`super::http`]'s.

mod wire_format;

use std::sync::Arc;

use async_trait::async_trait;
use futures::future::try_join_all;
use tokio::sync::Semaphore;

use super::http::{HttpEndpoint, HttpEndpointConfig, RemoteService};
use contexture_core::fault::Fault;
use contexture_core::ports::clock::WallClock;
use contexture_core::ports::reranker::{Reranker, RerankerInfo};

/// Bytes of texts of one call: text-embeddings-inference takes bodies of 2 MB.
pub const CALL_TEXT_BYTES_MAX: usize = 1024 * 1024;
/// Calls at once, of all queries.
pub const CALLS_IN_FLIGHT_MAX: usize = 16;
/// Largest answer to one call, in bytes: some servers return the texts along with the scores.
pub const ANSWER_BYTES_MAX: usize = 8 * 1024 * 1024;
/// The reranker refused a call and would again, or its answer makes no sense.
pub const RERANKER_REJECTED: &str = "reranker_rejected";

/// What a call looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RerankApi {
    /// `model`, `query`, `documents`, `top_n`: Cohere v2, Jina, vLLM.
    Results,
    /// `query`, `texts`: text-embeddings-inference.
    Tei,
}

/// A reranker on a server.
#[derive(Debug, Clone)]
pub struct HttpRerankerConfig {
    /// Where it is, and its key.
    pub endpoint: HttpEndpointConfig,
    /// What it is sent.
    pub shape: RerankApi,
    /// The model to ask for; empty leaves it to the server.
    pub model: String,
    /// Texts of one call.
    pub texts_max: usize,
}

/// A cross-encoder on a server.
pub struct HttpReranker {
    endpoint: HttpEndpoint,
    shape: RerankApi,
    info: RerankerInfo,
    calls: Semaphore,
}

impl HttpReranker {
    /// A client; connects to nothing yet.
    pub fn new(config: &HttpRerankerConfig, clock: Arc<dyn WallClock>) -> Result<Self, Fault> {
        let service = RemoteService { name: "reranker", rejected: RERANKER_REJECTED };
        if config.texts_max == 0 {
            return Err(Fault::permanent(RERANKER_REJECTED, "reranker: a call must take at least one text"));
        }
        Ok(Self {
            endpoint: HttpEndpoint::new(service, &config.endpoint, clock)?,
            shape: config.shape,
            info: RerankerInfo { model: config.model.clone(), texts_max: config.texts_max },
            calls: Semaphore::new(CALLS_IN_FLIGHT_MAX),
        })
    }

    async fn call(&self, question: &str, texts: &[String]) -> Result<Vec<f32>, Fault> {
        let _permit = self.calls.acquire().await.map_err(Fault::transient)?;
        let request = wire_format::build_request(self.shape, &self.info.model, question, texts)?;
        let answer = self.endpoint.post(request).await?;
        wire_format::read_scores(&answer, texts.len()).map_err(|why| self.endpoint.malformed(&why))
    }
}

#[async_trait]
impl Reranker for HttpReranker {
    fn info(&self) -> &RerankerInfo {
        &self.info
    }

    async fn rerank(&self, question: &str, texts: &[String]) -> Result<Vec<f32>, Fault> {
        let calls =
            split_into_calls(texts, self.info.texts_max).into_iter().map(|part| self.call(question, part));
        Ok(try_join_all(calls).await?.concat())
    }
}

/// Texts by call, in order.
fn split_into_calls(texts: &[String], texts_max: usize) -> Vec<&[String]> {
    let mut parts = Vec::new();
    let mut rest = texts;
    while !rest.is_empty() {
        let mut bytes = 0;
        let fits = |text: &&String| {
            bytes += text.len();
            bytes <= CALL_TEXT_BYTES_MAX
        };
        let count = rest.iter().take(texts_max).take_while(fits).count().max(1);
        let (part, after) = rest.split_at(count);
        parts.push(part);
        rest = after;
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_bounded_in_texts_and_in_bytes() {
        let sizes = |texts: &[usize], texts_max: usize| -> Vec<usize> {
            let texts: Vec<String> = texts.iter().map(|bytes| "x".repeat(*bytes)).collect();
            split_into_calls(&texts, texts_max).iter().map(|part| part.len()).collect()
        };
        assert_eq!(sizes(&[], 3), [0; 0]);
        assert_eq!(sizes(&[1; 7], 3), [3, 3, 1]);
        assert_eq!(sizes(&[1; 3], 3), [3]);
        let half = CALL_TEXT_BYTES_MAX / 2;
        assert_eq!(sizes(&[half, half, 1], 9), [2, 1]);
        assert_eq!(sizes(&[half, half + 1, 1], 9), [1, 2]);
        assert_eq!(sizes(&[1, CALL_TEXT_BYTES_MAX + 1, 1], 9), [1, 1, 1], "a large one goes alone");
    }
}
