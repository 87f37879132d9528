//! Rerankers: models that read a question and a text together and score the text's relevance.
//!
//! Contract: one finite score per text, in the order of the texts; higher is more relevant. Scores of
//! one question are comparable, so any number of texts may be given: an adapter splits more than
//! [`RerankerInfo::texts_max`]. The scale is the model's own: probabilities, or numbers of any sign. The
//! model may cut a text beyond its window. No texts cost no call. Throttling, bad credentials and
//! outages are told apart as [`Fault`]s; their messages contain neither the question nor a text.
//! Dropping the call ends it.

use async_trait::async_trait;

use crate::fault::Fault;

/// The properties of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RerankerInfo {
    /// Its name, for logs; empty when only its server knows it.
    pub model: String,
    /// Most texts of one call; more are split.
    pub texts_max: usize,
}

/// A model that scores texts against a question.
#[async_trait]
pub trait Reranker: Send + Sync {
    /// The model's properties.
    fn info(&self) -> &RerankerInfo;

    /// The relevance of each text.
    async fn rerank(&self, question: &str, texts: &[String]) -> Result<Vec<f32>, Fault>;
}
