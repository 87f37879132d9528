//! Cohere's `POST /v2/embed`.
//!
//! Source: Cohere's API reference, "Embed API (v2)". `truncate` defaults to `END`, so it is sent.
//! Vectors come in the order of the texts and have no index.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::embeddings::{
    EmbedCall, EmbedResponse, LenientVector, parse_json_object, parse_token_count, to_json_body,
    vectors_in_text_order,
};
use contexture_core::fault::Fault;

const INPUT_TYPES: (&str, &str) = ("search_document", "search_query");

#[derive(Serialize)]
struct CohereEmbedRequest<'a> {
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
struct CohereEmbedResponse {
    embeddings: CohereEmbeddingsByType,
    #[serde(default)]
    meta: Value,
}

#[derive(Deserialize)]
struct CohereEmbeddingsByType {
    float: Vec<LenientVector>,
}

pub(super) fn build_request(call: &EmbedCall<'_>) -> Result<Vec<u8>, Fault> {
    let &EmbedCall { model, dims, texts, .. } = call;
    to_json_body(&CohereEmbedRequest {
        model,
        texts,
        input_type: call.input_type(INPUT_TYPES),
        embedding_types: ["float"],
        truncate: "NONE",
        output_dimension: dims,
    })
}

pub(super) fn read_response(body: &[u8], texts: usize) -> Result<EmbedResponse, String> {
    let CohereEmbedResponse { embeddings, meta } = parse_json_object(body)?;
    let vectors = vectors_in_text_order(embeddings.float, texts)?;
    Ok(EmbedResponse { vectors, tokens: parse_token_count(&meta["billed_units"]["input_tokens"]) })
}
