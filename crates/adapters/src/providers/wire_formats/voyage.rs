//! Voyage's `POST /embeddings`; the answer is OpenAI's.
//!
//! Source: Voyage's API reference, "Text embedding models". `truncation` is true by default, so it
//! is sent. `input_type` makes Voyage prepend a prompt.

use serde::Serialize;

use super::{EmbedCall, to_json_body};
use contexture_core::fault::Fault;

const INPUT_TYPES: (&str, &str) = ("document", "query");

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

pub(super) fn build_request(call: &EmbedCall<'_>) -> Result<Vec<u8>, Fault> {
    let &EmbedCall { model, dims, texts, .. } = call;
    let input_type = call.input_type(INPUT_TYPES);
    to_json_body(&VoyageEmbedRequest {
        model,
        input: texts,
        input_type,
        truncation: false,
        output_dimension: dims,
    })
}
