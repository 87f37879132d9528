//! The Gemini API's `POST /models/{model}:batchEmbedContents`.
//!
//! Source: Google's reference of the Gemini API, "Embeddings". The fields of `embedContentConfig` were
//! beside it in earlier versions, which is deprecated. Each text is a content of its own, because newer
//! models make one vector of several parts. Vectors come in the order of the texts and have no index.
//! Shortened ones may not have unit length.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::embeddings::{
    EmbedCall, EmbedResponse, LenientVector, parse_json_object, parse_token_count, to_json_body,
    vectors_in_text_order,
};
use contexture_core::fault::Fault;

const INPUT_TYPES: (&str, &str) = ("RETRIEVAL_DOCUMENT", "RETRIEVAL_QUERY");
const MODELS_PREFIX: &str = "models/";

#[derive(Serialize)]
struct GeminiBatchEmbedRequest<'a> {
    requests: Vec<GeminiEmbedRequest<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct GeminiEmbedRequest<'a> {
    model: &'a str,
    content: GeminiContent<'a>,
    embed_content_config: GeminiEmbedConfig<'a>,
}

#[derive(Serialize)]
struct GeminiContent<'a> {
    parts: [GeminiContentPart<'a>; 1],
}

#[derive(Serialize)]
struct GeminiContentPart<'a> {
    text: &'a str,
}

#[derive(Serialize, Clone, Copy)]
#[serde(rename_all = "camelCase")]
struct GeminiEmbedConfig<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    task_type: Option<&'a str>,
    auto_truncate: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_dimensionality: Option<usize>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct GeminiBatchEmbedResponse {
    embeddings: Vec<GeminiEmbedding>,
    #[serde(default)]
    usage_metadata: Value,
}

/// `values` is missing if it is empty: Google's JSON omits empty lists.
#[derive(Deserialize)]
struct GeminiEmbedding {
    #[serde(default)]
    values: LenientVector,
}

/// The model's name without the prefix that the API lists it with.
pub(super) fn model_id(model: &str) -> &str {
    model.strip_prefix(MODELS_PREFIX).unwrap_or(model)
}

pub(super) fn build_request(call: &EmbedCall<'_>) -> Result<Vec<u8>, Fault> {
    let model = format!("{MODELS_PREFIX}{}", model_id(call.model));
    let embed_content_config = GeminiEmbedConfig {
        task_type: call.input_type(INPUT_TYPES),
        auto_truncate: false,
        output_dimensionality: call.dims,
    };
    let request = |text| GeminiEmbedRequest {
        model: &model,
        content: GeminiContent { parts: [GeminiContentPart { text }] },
        embed_content_config,
    };
    to_json_body(&GeminiBatchEmbedRequest { requests: call.texts.iter().map(|text| request(text)).collect() })
}

pub(super) fn read_response(body: &[u8], texts: usize) -> Result<EmbedResponse, String> {
    let GeminiBatchEmbedResponse { embeddings, usage_metadata } = parse_json_object(body)?;
    let vectors = vectors_in_text_order(embeddings.into_iter().map(|entry| entry.values).collect(), texts)?;
    Ok(EmbedResponse { vectors, tokens: parse_token_count(&usage_metadata["promptTokenCount"]) })
}
