//! Cohere's `POST /v2/embed`.
//!
//! Source: Cohere's API reference, "Embed API (v2)". `truncate` is `END` by default, so it is sent;
//! vectors come in the order of the texts and carry no index.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::vectors::{Numbers, count, counted, parse};
use super::{Call, Embedded, json};
use crate::fault::Fault;

const INPUT_TYPES: (&str, &str) = ("search_document", "search_query");

#[derive(Serialize)]
struct Request<'a> {
    model: &'a str,
    texts: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    input_type: Option<&'a str>,
    embedding_types: [&'static str; 1],
    truncate: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_dimension: Option<usize>,
}

#[derive(Deserialize)]
struct Answer {
    embeddings: ByType,
    #[serde(default)]
    meta: Value,
}

#[derive(Deserialize)]
struct ByType {
    float: Vec<Numbers>,
}

pub(super) fn request(call: &Call<'_>) -> Result<Vec<u8>, Fault> {
    let &Call { model, dims, texts, .. } = call;
    json(&Request {
        model,
        texts,
        input_type: call.input_type(INPUT_TYPES),
        embedding_types: ["float"],
        truncate: "NONE",
        output_dimension: dims,
    })
}

pub(super) fn answer(body: &[u8], texts: usize) -> Result<Embedded, String> {
    let Answer { embeddings, meta } = parse(body)?;
    let vectors = counted(embeddings.float, texts)?;
    Ok(Embedded { vectors, tokens: count(&meta["billed_units"]["input_tokens"]) })
}
