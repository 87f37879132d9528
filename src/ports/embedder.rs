//! Text to vectors.
//!
//! Contract: one vector per text, in order, each of [`EmbedderInfo::dims`] finite numbers and
//! of unit length; a text is never cut silently: one longer than `tokens_max` is refused as
//! permanent. The same text gives the same vector. Throttling, expired credentials and
//! outages are told apart as [`Fault`]s.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::tokenizer::Tokenizer;
use crate::fault::Fault;

/// Whether a text is a stored passage or a question; some models embed the two differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// A passage to be found.
    Passage,
    /// A question to find passages for.
    Query,
}

/// Which embedder a pipeline uses, as its definition names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum EmbedderDefinition {
    /// The model inside the binary.
    Bundled {},
    /// A sentence-transformers folder with a BERT model.
    Local {
        /// The folder.
        path: PathBuf,
        /// Put before a question; the folder's own prompt when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        query_prefix: Option<String>,
        /// Put before a passage; the folder's own prompt when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        passage_prefix: Option<String>,
        /// Longest text in tokens; the folder's own limit when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tokens_max: Option<usize>,
    },
    /// Hashed words: no meaning, for benches and tests.
    Hash {
        /// Numbers per vector.
        dims: usize,
        /// Longest text in tokens.
        tokens_max: usize,
    },
}

/// What a model is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmbedderInfo {
    /// Names weights, preprocessing and prefixes; part of the epoch and of the cache's keys.
    pub model: String,
    /// Numbers per vector.
    pub dims: usize,
    /// Longest text in tokens, special tokens included.
    pub tokens_max: usize,
    /// Special tokens that are added to every text, passage prefix included.
    pub tokens_reserved: usize,
    /// Most texts of one call.
    pub batch_texts_max: usize,
}

/// A model that embeds.
#[async_trait]
pub trait Embedder: Send + Sync {
    /// What it is.
    fn info(&self) -> &EmbedderInfo;

    /// Its tokenizer, for sizing chunks.
    fn tokenizer(&self) -> Arc<dyn Tokenizer>;

    /// Embeds up to `batch_texts_max` texts.
    async fn embed(&self, texts: &[String], purpose: Purpose) -> Result<Vec<Vec<f32>>, Fault>;
}
