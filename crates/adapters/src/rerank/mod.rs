//! Cross-encoders behind `/rerank`, in the APIs of Cohere, Jina, vLLM and text-embeddings-inference.
//!
//! Texts are split into calls of at most [`HttpRerankerConfig::texts_max`] texts and
//! [`CALL_TEXT_BYTES_MAX`] bytes; a larger text goes alone. At most [`CALLS_IN_FLIGHT_MAX`] calls run at
//! once in this process. The first fault cancels the others. A response must score every text of its
//! call exactly once, with a finite number. [`RerankApi`] selects the request; both forms of response
//! are accepted. [`super::http`] does everything else.

mod wire_format;

pub use self::wire_format::RerankApi;

use std::sync::Arc;

use async_trait::async_trait;
use futures::future::try_join_all;
use tokio::sync::Semaphore;

use super::http::{HttpEndpoint, HttpEndpointConfig, RemoteService};
use contexture_core::fault::Fault;
use contexture_core::ports::clock::WallClock;
use contexture_core::ports::reranker::{Reranker, RerankerInfo};

/// Most bytes of texts in one call: text-embeddings-inference accepts bodies of 2 MB.
pub const CALL_TEXT_BYTES_MAX: usize = 1024 * 1024;
/// Most calls at once, over all queries.
pub const CALLS_IN_FLIGHT_MAX: usize = 16;
/// Largest response to one call, in bytes: some servers return the texts along with the scores.
pub const ANSWER_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Code of a call that the reranker refuses for good, and of a malformed response.
pub const RERANKER_REJECTED: &str = "reranker_rejected";

/// The configuration of a reranker on a server.
#[derive(Debug, Clone)]
pub struct HttpRerankerConfig {
    /// Where the server is, and its key.
    pub endpoint: HttpEndpointConfig,
    /// The API that it has.
    pub shape: RerankApi,
    /// The model to request; if empty, the server chooses.
    pub model: String,
    /// Most texts of one call.
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
    /// Creates a client without connecting.
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
        // Held until the response is read: the limit is on calls in flight.
        let _permit = self
            .calls
            .acquire()
            .await
            .map_err(|error| Fault::transient_error("reranker: waiting for a call", error))?;
        let request = wire_format::build_request(self.shape, &self.info.model, question, texts)?;
        let response = self.endpoint.post(request).await?;
        wire_format::read_scores(&response, texts.len()).map_err(|why| self.endpoint.malformed(&why))
    }
}

#[async_trait]
impl Reranker for HttpReranker {
    fn info(&self) -> &RerankerInfo {
        &self.info
    }

    async fn rerank(&self, question: &str, texts: &[String]) -> Result<Vec<f32>, Fault> {
        // Scores are concatenated in the order of the calls, which is that of the texts.
        let calls =
            split_into_calls(texts, self.info.texts_max).into_iter().map(|part| self.call(question, part));
        Ok(try_join_all(calls).await?.concat())
    }
}

/// Splits texts into calls, in order.
fn split_into_calls(texts: &[String], texts_max: usize) -> Vec<&[String]> {
    let mut parts = Vec::new();
    let mut rest = texts;
    while !rest.is_empty() {
        let mut bytes = 0;
        let fits = |text: &&String| {
            bytes += text.len();
            bytes <= CALL_TEXT_BYTES_MAX
        };
        // At least one, or a text above the limit would stay for ever.
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
