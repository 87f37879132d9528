//! Requests to `/rerank`, and parsing of its responses.
//!
//! Sources: Cohere's API v2 and vLLM's `RerankRequest` for [`RerankApi::Results`]; the OpenAPI file
//! of text-embeddings-inference 1.x for [`RerankApi::Tei`]. Errors never quote a response.

use serde::{Deserialize, Serialize};

use contexture_core::fault::Fault;

/// The API of a reranking server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RerankApi {
    /// `model`, `query`, `documents`, `top_n`: Cohere v2, Jina, vLLM.
    Results,
    /// `query`, `texts`: text-embeddings-inference.
    Tei,
}

#[derive(Serialize)]
struct ResultsRerankRequest<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    model: &'a str,
    query: &'a str,
    documents: &'a [String],
    top_n: usize,
}

#[derive(Serialize)]
struct TeiRerankRequest<'a> {
    query: &'a str,
    texts: &'a [String],
    raw_scores: bool,
    truncate: bool,
}

/// Both forms of response.
#[derive(Deserialize)]
#[serde(untagged)]
enum RerankResponse {
    Results { results: Vec<RerankScoreEntry> },
    List(Vec<RerankScoreEntry>),
}

#[derive(Deserialize)]
struct RerankScoreEntry {
    index: usize,
    #[serde(alias = "score")]
    relevance_score: f32,
}

/// Builds the body of a call.
pub(super) fn build_request(
    shape: RerankApi,
    model: &str,
    question: &str,
    texts: &[String],
) -> Result<Vec<u8>, Fault> {
    let encoded = match shape {
        RerankApi::Results => serde_json::to_vec(&ResultsRerankRequest {
            model,
            query: question,
            documents: texts,
            top_n: texts.len(),
        }),
        RerankApi::Tei => serde_json::to_vec(&TeiRerankRequest {
            query: question,
            texts,
            raw_scores: false,
            truncate: true,
        }),
    };
    encoded.map_err(|error| Fault::transient_error("encoding the request", error))
}

/// The scores of a response, in the order of the texts, or why it is malformed, in words that
/// continue "the answer".
pub(super) fn read_scores(answer: &[u8], texts: usize) -> Result<Vec<f32>, String> {
    let entries = match serde_json::from_slice(answer) {
        Ok(RerankResponse::Results { results }) => results,
        Ok(RerankResponse::List(list)) => list,
        Err(error) if error.is_syntax() || error.is_eof() => return Err("is not JSON".to_owned()),
        Err(_) => return Err("is no list of indexes and finite scores".to_owned()),
    };
    if entries.len() != texts {
        return Err(format!("scores {} texts of {texts}", entries.len()));
    }
    let mut scores = vec![None; texts];
    for RerankScoreEntry { index, relevance_score } in entries {
        let Some(slot) = scores.get_mut(index) else {
            return Err(format!("scores text {index} of {texts}"));
        };
        if !relevance_score.is_finite() {
            return Err(format!("scores text {index} with no finite number"));
        }
        if slot.replace(relevance_score).is_some() {
            return Err(format!("scores text {index} twice"));
        }
    }
    // As many as there are texts, in range and none twice: so none is missing.
    Ok(scores.into_iter().flatten().collect())
}
