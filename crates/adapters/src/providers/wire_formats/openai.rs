//! OpenAI's `POST /embeddings`, which most servers offer, and Azure's, at another path. Voyage's, too,
//! whose request differs and whose response is the same.
//!
//! Source: OpenAI's API reference, `CreateEmbeddingRequest` and `CreateEmbeddingResponse`. Numbers come
//! as JSON, the default format, because not every server knows `encoding_format`. `input_type` is not
//! OpenAI's but NVIDIA's and others', so it is sent only if it is configured.
//!
//! Source for Voyage: its API reference, "Text embedding models". `truncation` defaults to true, so it
//! is sent. `input_type` makes Voyage prepend a prompt.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::embeddings::{
    EmbedCall, EmbedResponse, LenientVector, parse_json_object, parse_token_count, to_json_body,
    vectors_by_index,
};
use contexture_core::fault::Fault;

#[derive(Serialize)]
struct OpenAiEmbedRequest<'a> {
    model: &'a str,
    input: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    dimensions: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    input_type: Option<&'a str>,
}

#[derive(Deserialize)]
struct OpenAiEmbedResponse {
    data: Vec<OpenAiEmbedding>,
    #[serde(default)]
    usage: Value,
}

#[derive(Deserialize)]
struct OpenAiEmbedding {
    index: usize,
    embedding: LenientVector,
}

pub(super) fn build_request(call: &EmbedCall<'_>) -> Result<Vec<u8>, Fault> {
    let &EmbedCall { model, dims, texts, .. } = call;
    to_json_body(&OpenAiEmbedRequest {
        model,
        input: texts,
        dimensions: dims,
        input_type: call.input_type(("", "")),
    })
}

/// Parses a response of OpenAI or Voyage.
pub(super) fn read_response(body: &[u8], texts: usize) -> Result<EmbedResponse, String> {
    let OpenAiEmbedResponse { data, usage } = parse_json_object(body)?;
    let vectors =
        vectors_by_index(data.into_iter().map(|entry| (entry.index, entry.embedding)).collect(), texts)?;
    let tokens =
        parse_token_count(&usage["total_tokens"]).or_else(|| parse_token_count(&usage["prompt_tokens"]));
    Ok(EmbedResponse { vectors, tokens })
}

const VOYAGE_INPUT_TYPES: (&str, &str) = ("document", "query");

#[derive(Serialize)]
struct VoyageEmbedRequest<'a> {
    model: &'a str,
    input: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    input_type: Option<&'a str>,
    truncation: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_dimension: Option<usize>,
}

/// The body of a call of Voyage.
pub(super) fn build_voyage_request(call: &EmbedCall<'_>) -> Result<Vec<u8>, Fault> {
    let &EmbedCall { model, dims, texts, .. } = call;
    let input_type = call.input_type(VOYAGE_INPUT_TYPES);
    to_json_body(&VoyageEmbedRequest {
        model,
        input: texts,
        input_type,
        truncation: false,
        output_dimension: dims,
    })
}
