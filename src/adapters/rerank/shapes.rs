//! What is sent to a `/rerank`, and how its answer is read.
//!
//! Sources: Cohere's API v2 and vLLM's `RerankRequest` for [`Shape::Results`]; the OpenAPI file
//! of text-embeddings-inference 1.x for [`Shape::Tei`]. Nothing of an answer is quoted.

use serde::{Deserialize, Serialize};

use super::Shape;
use crate::fault::Fault;

#[derive(Serialize)]
struct ResultsRequest<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    model: &'a str,
    query: &'a str,
    documents: &'a [String],
    top_n: usize,
}

#[derive(Serialize)]
struct TeiRequest<'a> {
    query: &'a str,
    texts: &'a [String],
    raw_scores: bool,
    truncate: bool,
}

/// Both forms of answer.
#[derive(Deserialize)]
#[serde(untagged)]
enum Answer {
    Results { results: Vec<Scored> },
    List(Vec<Scored>),
}

#[derive(Deserialize)]
struct Scored {
    index: usize,
    #[serde(alias = "score")]
    relevance_score: f32,
}

/// The body of a call.
pub(super) fn request(shape: Shape, model: &str, question: &str, texts: &[String]) -> Result<Vec<u8>, Fault> {
    let encoded = match shape {
        Shape::Results => serde_json::to_vec(&ResultsRequest {
            model,
            query: question,
            documents: texts,
            top_n: texts.len(),
        }),
        Shape::Tei => {
            serde_json::to_vec(&TeiRequest { query: question, texts, raw_scores: false, truncate: true })
        }
    };
    encoded.map_err(Fault::transient)
}

/// The scores of an answer by the order of the texts; else why it is not believed, in words that
/// continue "the answer".
pub(super) fn scores(answer: &[u8], texts: usize) -> Result<Vec<f32>, String> {
    let entries = match serde_json::from_slice(answer) {
        Ok(Answer::Results { results }) => results,
        Ok(Answer::List(list)) => list,
        Err(error) if error.is_syntax() || error.is_eof() => return Err("is not JSON".to_owned()),
        Err(_) => return Err("is no list of indexes and finite scores".to_owned()),
    };
    if entries.len() != texts {
        return Err(format!("scores {} texts of {texts}", entries.len()));
    }
    let mut scores = vec![None; texts];
    for Scored { index, relevance_score } in entries {
        let Some(place) = scores.get_mut(index) else {
            return Err(format!("scores text {index} of {texts}"));
        };
        if !relevance_score.is_finite() {
            return Err(format!("scores text {index} with no finite number"));
        }
        if place.replace(relevance_score).is_some() {
            return Err(format!("scores text {index} twice"));
        }
    }
    // As many as there are texts, in range and none twice: so none is missing.
    Ok(scores.into_iter().flatten().collect())
}
