//! OpenAI's `POST /embeddings`, which most servers speak; Azure's at another path.
//!
//! Source: OpenAI's API reference, `CreateEmbeddingRequest` and `CreateEmbeddingResponse`. Numbers
//! come as JSON, the format by default: not every server knows `encoding_format`. `input_type` is
//! not OpenAI's but NVIDIA's and others', so it is sent only where it is configured.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::vectors::{Numbers, count, in_order, parse};
use super::{Call, Embedded, json};
use crate::fault::Fault;

#[derive(Serialize)]
struct Request<'a> {
    model: &'a str,
    input: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    dimensions: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    input_type: Option<&'a str>,
}

#[derive(Deserialize)]
struct Answer {
    data: Vec<Entry>,
    #[serde(default)]
    usage: Value,
}

#[derive(Deserialize)]
struct Entry {
    index: usize,
    embedding: Numbers,
}

pub(super) fn request(call: &Call<'_>) -> Result<Vec<u8>, Fault> {
    let &Call { model, dims, texts, .. } = call;
    json(&Request { model, input: texts, dimensions: dims, input_type: call.input_type(("", "")) })
}

/// Voyage's answers, too.
pub(super) fn answer(body: &[u8], texts: usize) -> Result<Embedded, String> {
    let Answer { data, usage } = parse(body)?;
    let vectors = in_order(data.into_iter().map(|entry| (entry.index, entry.embedding)).collect(), texts)?;
    let tokens = count(&usage["total_tokens"]).or_else(|| count(&usage["prompt_tokens"]));
    Ok(Embedded { vectors, tokens })
}
