//! Where candidates are reranked, if anywhere.
//!
//! An empty URL means nowhere. Its query, and the API key, are secrets, as those of the engines.

use std::fmt;
use std::time::Duration;

use figment::value::magic::RelativePathBuf;
use serde::{Deserialize, Serialize};

use super::backends::{Secret, masked, secret, url};
use super::credential::{MASK, serialize_path};
use super::refuse;
use super::trusted::size;
use crate::fault::Refusal;

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

/// What a reranker is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RerankShape {
    /// As Cohere v2, Jina and vLLM have it.
    Results,
    /// As text-embeddings-inference has it.
    Tei,
}

/// A reranker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RerankConfig {
    /// The whole URL that is posted to.
    pub url: Secret,
    /// What is posted.
    pub shape: RerankShape,
    /// The model to ask for; may be empty.
    pub model: String,
    /// Sent with every call.
    pub api_key: Option<Secret>,
    /// Longest time of one call, and of reranking one query.
    pub time_max: Duration,
    /// Candidates that are reranked.
    pub candidates_max: usize,
    /// Texts of one call.
    pub texts_max: usize,
}

impl RawRerank {
    pub(super) fn mask(&mut self) {
        self.url = masked(&self.url);
        if !self.api_key.is_empty() {
            MASK.clone_into(&mut self.api_key);
        }
    }

    pub(super) fn trust(&self) -> Result<Option<RerankConfig>, Refusal> {
        let Some(url) = url("rerank", &self.url, None, &["http", "https"])? else {
            return Ok(None);
        };
        let authority = url.expose().split(['/', '?', '#']).nth(2).unwrap_or_default();
        if authority.contains('@') {
            return Err(refuse("rerank.url", "must not hold a user or a password; give rerank.api_key"));
        }
        let api_key = secret("rerank.api_key", &self.api_key, self.api_key_file.as_ref())?;
        if api_key.as_ref().is_some_and(|key| !key.bytes().all(|byte| byte.is_ascii_graphic())) {
            return Err(refuse("rerank.api_key", "must be visible ASCII without spaces"));
        }
        Ok(Some(RerankConfig {
            url,
            shape: self.shape,
            model: self.model.clone(),
            api_key: api_key.map(Secret::new),
            time_max: Duration::from_millis(self.timeout_ms),
            candidates_max: size(self.candidates_max),
            texts_max: size(self.texts_max),
        }))
    }
}
