//! The reranker of the configuration.
//!
//! An empty URL means that there is none. The query of the URL and the API key are secrets.

use std::fmt;
use std::time::Duration;

use figment::value::magic::RelativePathBuf;
use serde::{Deserialize, Serialize};

use super::api_keys::{SECRET_MASK, serialize_path};
use super::backends::{ConfigSecret, mask_url, resolve_secret, resolve_url};
use super::refuse_key;
use super::sections::limit_as_usize;
use contexture_core::fault::Refusal;

/// `[rerank]` as written.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawRerank {
    url: String,
    shape: RerankShape,
    model: String,
    api_key: String,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "serialize_path")]
    api_key_file: Option<RelativePathBuf>,
    pub(super) timeout_ms: u64,
    pub(super) candidates_max: u64,
    pub(super) texts_max: u64,
}

impl fmt::Debug for RawRerank {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("RawRerank").finish_non_exhaustive()
    }
}

/// The request format of a reranker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RerankShape {
    /// The format of Cohere v2, Jina and vLLM.
    Results,
    /// The format of text-embeddings-inference.
    Tei,
}

/// A reranker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RerankConfig {
    /// The full URL to which requests are posted.
    pub url: ConfigSecret,
    /// The format of requests.
    pub shape: RerankShape,
    /// The model to request; may be empty.
    pub model: String,
    /// API key, sent with every call.
    pub api_key: Option<ConfigSecret>,
    /// Longest time of one call, and of reranking one query.
    pub time_max: Duration,
    /// Most candidates that are reranked.
    pub candidates_max: usize,
    /// Most texts of one call.
    pub texts_max: usize,
}

impl RawRerank {
    pub(super) fn mask(&mut self) {
        self.url = mask_url(&self.url);
        if !self.api_key.is_empty() {
            SECRET_MASK.clone_into(&mut self.api_key);
        }
    }

    pub(super) fn validate(&self) -> Result<Option<RerankConfig>, Refusal> {
        let Some(url) = resolve_url("rerank", &self.url, None, &["http", "https"])? else {
            return Ok(None);
        };
        let authority = url.expose().split(['/', '?', '#']).nth(2).unwrap_or_default();
        if authority.contains('@') {
            return Err(refuse_key("rerank.url", "must not hold a user or a password; give rerank.api_key"));
        }
        let api_key = resolve_secret("rerank.api_key", &self.api_key, self.api_key_file.as_ref())?;
        // The key goes into an HTTP header, which takes nothing else.
        if api_key.as_ref().is_some_and(|key| !key.bytes().all(|byte| byte.is_ascii_graphic())) {
            return Err(refuse_key("rerank.api_key", "must be visible ASCII without spaces"));
        }
        Ok(Some(RerankConfig {
            url,
            shape: self.shape,
            model: self.model.clone(),
            api_key: api_key.map(ConfigSecret::new),
            time_max: Duration::from_millis(self.timeout_ms),
            candidates_max: limit_as_usize(self.candidates_max),
            texts_max: limit_as_usize(self.texts_max),
        }))
    }
}
