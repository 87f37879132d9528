//! Requests to embedding providers, and parsing of their responses.
//!
//! Pure functions, bytes in and bytes out. One file per API; [`error_text`] reads the errors of all.
//! Providers that can be told not to truncate texts are told: Cohere, Voyage and Gemini. OpenAI, Azure
//! and vLLM reject a text that is too long. text-embeddings-inference truncates unless it was started
//! with `--auto-truncate false`, older versions only on request; Ollama truncates, too. Their OpenAI
//! routes have no field for it, so the configured `tokens_max` must be right.

mod cohere;
mod embeddings;
mod error_text;
mod gemini;
mod openai;

use std::fmt::Write;

use reqwest::header::{AUTHORIZATION, HeaderName};

pub(super) use self::embeddings::{EmbedCall, EmbedResponse};
pub(super) use self::error_text::{
    SentSecrets, blames_the_key, blames_the_size, provider_error_message, redact_quoted_texts,
};
use contexture_core::fault::Fault;

/// Azure's API version if none is configured: the latest generally available one besides `v1`.
const AZURE_API_VERSION: &str = "2024-10-21";
/// Prefix of OAuth tokens and of most keys.
const BEARER_PREFIX: &str = "Bearer ";

/// The API of a provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProviderApi {
    /// OpenAI and compatible servers: vLLM, Ollama, LM Studio, text-embeddings-inference.
    OpenAi,
    /// OpenAI's bodies, at a path that names a deployment.
    Azure,
    /// Cohere's `embed`, version 2.
    Cohere,
    /// Voyage AI.
    Voyage,
    /// Google's `batchEmbedContents` of the Gemini API.
    Gemini,
}

impl ProviderApi {
    /// The provider's base URL; `None` for Azure, where each resource has its own.
    pub fn base_url_default(self) -> Option<&'static str> {
        match self {
            Self::OpenAi => Some("https://api.openai.com/v1"),
            Self::Azure => None,
            Self::Cohere => Some("https://api.cohere.com/v2"),
            Self::Voyage => Some("https://api.voyageai.com/v1"),
            Self::Gemini => Some("https://generativelanguage.googleapis.com/v1beta"),
        }
    }

    /// The URL of calls. `base` has neither query nor fragment; `api_version` is for Azure only.
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

    /// The header of an API key, and the prefix of the key.
    pub fn key_header(self) -> (HeaderName, &'static str) {
        match self {
            Self::OpenAi | Self::Cohere | Self::Voyage => (AUTHORIZATION, BEARER_PREFIX),
            Self::Azure => (HeaderName::from_static("api-key"), ""),
            Self::Gemini => (HeaderName::from_static("x-goog-api-key"), ""),
        }
    }

    /// The header of an OAuth token, and the prefix of the token. The same for all providers.
    pub fn token_header() -> (HeaderName, &'static str) {
        (AUTHORIZATION, BEARER_PREFIX)
    }

    /// Most texts of one call, as the providers document it: OpenAI's reference of `input`, Cohere's of
    /// `texts`, Voyage's of `input`. 100 is what Gemini's refusals name. Self-hosted servers have
    /// limits of their own: 32 by default in text-embeddings-inference.
    pub fn texts_max(self) -> usize {
        match self {
            Self::OpenAi | Self::Azure => 2048,
            Self::Cohere => 96,
            Self::Voyage => 1000,
            Self::Gemini => 100,
        }
    }

    /// Most tokens of one call over all texts, as the providers document it. Voyage's depends on the
    /// model, from 120,000 to a million; this is the lowest.
    pub fn tokens_max_per_call(self) -> Option<usize> {
        match self {
            Self::OpenAi | Self::Azure => Some(300_000),
            Self::Voyage => Some(120_000),
            Self::Cohere | Self::Gemini => None,
        }
    }

    /// Builds the body of a call.
    pub(super) fn request(self, call: &EmbedCall<'_>) -> Result<Vec<u8>, Fault> {
        match self {
            Self::OpenAi | Self::Azure => openai::build_request(call),
            Self::Cohere => cohere::build_request(call),
            Self::Voyage => openai::build_voyage_request(call),
            Self::Gemini => gemini::build_request(call),
        }
    }

    /// Parses a response with success to `texts` texts. An error continues "the answer", and may
    /// contain the provider's message: see [`redact_quoted_texts`].
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

    /// The same; errors are without the provider's message.
    fn answer(self, body: &[u8], texts: usize) -> Result<EmbedResponse, String> {
        match self {
            Self::OpenAi | Self::Azure | Self::Voyage => openai::read_response(body, texts),
            Self::Cohere => cohere::read_response(body, texts),
            Self::Gemini => gemini::read_response(body, texts),
        }
    }
}

/// Percent-encodes all but the unreserved characters of RFC 3986, section 2.3.
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
