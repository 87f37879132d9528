//! What is sent to an embedding provider, and how its answer is read.
//!
//! Pure functions: bytes in, bytes out. One file per body; [`mod@words`] reads errors of all of them.
//! No text is cut by a provider that can be told not to: Cohere, Voyage and Gemini are told.
//! OpenAI, Azure and vLLM refuse a text that is too long. text-embeddings-inference cuts unless it
//! was started with `--auto-truncate false`, older versions only if told to, and Ollama cuts, too:
//! their OpenAI routes have no field for it, so `tokens_max` of the configuration must be true.

mod cohere;
mod error_text;
mod gemini;
mod openai;
mod vectors;
mod voyage;

use std::fmt::Write;

use reqwest::header::{AUTHORIZATION, HeaderName};
use serde::Serialize;

pub(super) use self::error_text::{SentSecrets, blames_the_key, provider_error_message, redact_quoted_texts};
use contexture_core::fault::Fault;
use contexture_core::ports::embedder::EmbeddingPurpose;

/// Azure's version when none is configured: the latest that is generally available, besides `v1`.
const AZURE_API_VERSION: &str = "2024-10-21";
/// Before an OAuth token, and before most keys.
const BEARER_PREFIX: &str = "Bearer ";

/// A provider's API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProviderApi {
    /// OpenAI, and whatever speaks like it: vLLM, Ollama, LM Studio, text-embeddings-inference.
    OpenAi,
    /// OpenAI's bodies at a path that names a deployment.
    Azure,
    /// Cohere's `embed`, version 2.
    Cohere,
    /// Voyage AI.
    Voyage,
    /// Google's `batchEmbedContents` of the Gemini API.
    Gemini,
}

/// One call.
#[derive(Debug, Clone, Copy)]
pub(super) struct EmbedCall<'a> {
    /// As the provider names it; Azure's name of the deployment.
    pub model: &'a str,
    /// Numbers per vector to ask for; none asks for what the model gives by itself.
    pub dims: Option<usize>,
    /// At least one, none of them empty.
    pub texts: &'a [String],
    /// What the texts are.
    pub purpose: EmbeddingPurpose,
    /// The words for a passage and for a query instead of the provider's own; an empty one is not
    /// sent.
    pub input_types: Option<(&'a str, &'a str)>,
}

/// What an answer holds.
#[derive(Debug, PartialEq)]
pub(super) struct EmbedResponse {
    /// One per text, in the order of the texts; empty where a number is missing or not finite.
    pub vectors: Vec<Vec<f32>>,
    /// Tokens that were paid for; a provider that does not count says nothing or 0.
    pub tokens: Option<u64>,
}

impl ProviderApi {
    /// Where the provider is; none where there is no one place.
    pub fn base_url_default(self) -> Option<&'static str> {
        match self {
            Self::OpenAi => Some("https://api.openai.com/v1"),
            Self::Azure => None,
            Self::Cohere => Some("https://api.cohere.com/v2"),
            Self::Voyage => Some("https://api.voyageai.com/v1"),
            Self::Gemini => Some("https://generativelanguage.googleapis.com/v1beta"),
        }
    }

    /// Where calls go. `base` has neither query nor fragment; `api_version` is Azure's.
    pub fn url(self, base: &str, model: &str, api_version: Option<&str>) -> String {
        let base = base.trim_end_matches('/');
        match self {
            Self::OpenAi | Self::Voyage => format!("{base}/embeddings"),
            Self::Cohere => format!("{base}/embed"),
            Self::Azure => {
                let version = percent_encode(api_version.unwrap_or(AZURE_API_VERSION));
                format!(
                    "{base}/openai/deployments/{}/embeddings?api-version={version}",
                    percent_encode(model)
                )
            }
            Self::Gemini => {
                format!("{base}/models/{}:batchEmbedContents", percent_encode(gemini::model_id(model)))
            }
        }
    }

    /// The header of an API key, and what stands before the key.
    pub fn key_header(self) -> (HeaderName, &'static str) {
        match self {
            Self::OpenAi | Self::Cohere | Self::Voyage => (AUTHORIZATION, BEARER_PREFIX),
            Self::Azure => (HeaderName::from_static("api-key"), ""),
            Self::Gemini => (HeaderName::from_static("x-goog-api-key"), ""),
        }
    }

    /// The header of an OAuth token, and what stands before the token: the same for all.
    pub fn token_header() -> (HeaderName, &'static str) {
        (AUTHORIZATION, BEARER_PREFIX)
    }

    /// Most texts of one call, as documented by the providers: OpenAI's reference of `input`,
    /// Cohere's of `texts`, Voyage's of `input`; 100 is what Gemini's refusals say. Servers of
    /// one's own have their own limits: text-embeddings-inference takes 32 by default.
    pub fn texts_max(self) -> usize {
        match self {
            Self::OpenAi | Self::Azure => 2048,
            Self::Cohere => 96,
            Self::Voyage => 1000,
            Self::Gemini => 100,
        }
    }

    /// Most tokens of one call, all texts together, as documented by the providers. Voyage's
    /// depends on the model, from 120,000 to a million; this is the least.
    pub fn tokens_max_per_call(self) -> Option<usize> {
        match self {
            Self::OpenAi | Self::Azure => Some(300_000),
            Self::Voyage => Some(120_000),
            Self::Cohere | Self::Gemini => None,
        }
    }

    /// The body of a call.
    pub(super) fn request(self, call: &EmbedCall<'_>) -> Result<Vec<u8>, Fault> {
        match self {
            Self::OpenAi | Self::Azure => openai::build_request(call),
            Self::Cohere => cohere::build_request(call),
            Self::Voyage => voyage::build_request(call),
            Self::Gemini => gemini::build_request(call),
        }
    }

    /// What an answer of success holds for `texts` texts; else why it is not believed, in words
    /// that continue "the answer". These may hold words of the provider: see [`redact_quoted_texts`].
    pub(super) fn read(
        self,
        body: &[u8],
        texts: usize,
        secrets: &SentSecrets,
    ) -> Result<EmbedResponse, String> {
        let error = |why: String| match provider_error_message(body, secrets) {
            Some(words) => format!("is an error: {words}"),
            None => secrets.masked(&why),
        };
        self.answer(body, texts).map_err(error)
    }

    /// The same, without the provider's words.
    fn answer(self, body: &[u8], texts: usize) -> Result<EmbedResponse, String> {
        match self {
            Self::OpenAi | Self::Azure | Self::Voyage => openai::read_response(body, texts),
            Self::Cohere => cohere::read_response(body, texts),
            Self::Gemini => gemini::read_response(body, texts),
        }
    }
}

impl<'a> EmbedCall<'a> {
    /// The word for the purpose: the configured one, else the provider's; none is sent for an
    /// empty one.
    fn input_type(&self, own: (&'a str, &'a str)) -> Option<&'a str> {
        let (passage, query) = self.input_types.unwrap_or(own);
        let word = match self.purpose {
            EmbeddingPurpose::Passage => passage,
            EmbeddingPurpose::Query => query,
        };
        (!word.is_empty()).then_some(word)
    }
}

fn to_json_body(body: &impl Serialize) -> Result<Vec<u8>, Fault> {
    serde_json::to_vec(body).map_err(Fault::transient)
}

/// Percent-encoded but for the unreserved characters of RFC 3986, section 2.3.
fn percent_encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                encoded.push(char::from(byte));
            }
            // Writing to a string does not fail.
            _ => {
                let _ = write!(encoded, "%{byte:02X}");
            }
        }
    }
    encoded
}

#[cfg(test)]
mod tests;
