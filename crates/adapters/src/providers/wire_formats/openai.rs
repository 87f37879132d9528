//! OpenAI's `POST /embeddings`, which most servers speak; Azure's at another path.
//!
//! Source: OpenAI's API reference, `CreateEmbeddingRequest` and `CreateEmbeddingResponse`. Numbers
//! come as JSON, the format by default: not every server knows `encoding_format`. `input_type` is
//! not OpenAI's but NVIDIA's and others', so it is sent only where it is configured.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::vectors::{LenientVector, parse_json_object, parse_token_count, vectors_by_index};
use super::{EmbedCall, EmbedResponse, to_json_body};
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

/// Voyage's answers, too.
pub(super) fn read_response(body: &[u8], texts: usize) -> Result<EmbedResponse, String> {
    let OpenAiEmbedResponse { data, usage } = parse_json_object(body)?;
    let vectors =
        vectors_by_index(data.into_iter().map(|entry| (entry.index, entry.embedding)).collect(), texts)?;
    let tokens =
        parse_token_count(&usage["total_tokens"]).or_else(|| parse_token_count(&usage["prompt_tokens"]));
    Ok(EmbedResponse { vectors, tokens })
}
