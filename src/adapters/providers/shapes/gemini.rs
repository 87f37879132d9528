//! The Gemini API's `POST /models/{model}:batchEmbedContents`.
//!
//! Source: Google's reference of the Gemini API, "Embeddings"; what stands in `embedContentConfig`
//! stood beside it before, which is deprecated. Each text is a content of its own: newer models
//! make one vector of several parts. Vectors come in the order of the texts and carry no index;
//! those of fewer numbers than the model's own may not be of unit length.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::vectors::{Numbers, count, counted, parse};
use super::{Call, Embedded, json};
use crate::fault::Fault;

const INPUT_TYPES: (&str, &str) = ("RETRIEVAL_DOCUMENT", "RETRIEVAL_QUERY");
const MODELS: &str = "models/";

#[derive(Serialize)]
struct Requests<'a> {
    requests: Vec<Request<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Request<'a> {
    model: &'a str,
    content: Content<'a>,
    embed_content_config: Config<'a>,
}

#[derive(Serialize)]
struct Content<'a> {
    parts: [Part<'a>; 1],
}

#[derive(Serialize)]
struct Part<'a> {
    text: &'a str,
}

#[derive(Serialize, Clone, Copy)]
#[serde(rename_all = "camelCase")]
struct Config<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    task_type: Option<&'a str>,
    auto_truncate: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_dimensionality: Option<usize>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    embeddings: Vec<Entry>,
    #[serde(default)]
    usage_metadata: Value,
}

/// Google's JSON leaves out a list without entries.
#[derive(Deserialize)]
struct Entry {
    #[serde(default)]
    values: Numbers,
}

/// A model may be configured as the API lists it.
pub(super) fn model_id(model: &str) -> &str {
    model.strip_prefix(MODELS).unwrap_or(model)
}

pub(super) fn request(call: &Call<'_>) -> Result<Vec<u8>, Fault> {
    let model = format!("{MODELS}{}", model_id(call.model));
    let embed_content_config = Config {
        task_type: call.input_type(INPUT_TYPES),
        auto_truncate: false,
        output_dimensionality: call.dims,
    };
    let request =
        |text| Request { model: &model, content: Content { parts: [Part { text }] }, embed_content_config };
    json(&Requests { requests: call.texts.iter().map(|text| request(text)).collect() })
}

pub(super) fn answer(body: &[u8], texts: usize) -> Result<Embedded, String> {
    let Answer { embeddings, usage_metadata } = parse(body)?;
    let vectors = counted(embeddings.into_iter().map(|entry| entry.values).collect(), texts)?;
    Ok(Embedded { vectors, tokens: count(&usage_metadata["promptTokenCount"]) })
}
