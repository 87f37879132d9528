//! A second opinion on relevance: question and text read together.
//!
//! Contract: one finite score per text, in the order of the texts; higher is more relevant.
//! Scores of one question are comparable, so any number of texts may be given: an adapter splits
//! what is more than [`RerankerInfo::texts_max`]. What scores mean is the model's: probabilities,
//! or numbers of any sign. A text beyond the model's window may be cut by the model. No texts
//! cost no call. Throttling, bad credentials and outages are told apart as [`Fault`]s, whose
//! messages hold neither the question nor a text. Dropping the call ends it.

use async_trait::async_trait;

use crate::fault::Fault;

/// What a model is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RerankerInfo {
    /// Its name, for logs; empty when only its server knows it.
    pub model: String,
    /// Texts of one call to it; more are split.
    pub texts_max: usize,
}

/// A model that scores texts against a question.
#[async_trait]
pub trait Reranker: Send + Sync {
    /// What it is.
    fn info(&self) -> &RerankerInfo;

    /// The relevance of each text.
    async fn rerank(&self, question: &str, texts: &[String]) -> Result<Vec<f32>, Fault>;
}
