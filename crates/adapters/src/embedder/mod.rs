//! Embedders that run in this process, on its CPU cores.
//!
//! All keep the port's contract: a text above `tokens_max` or [`TEXT_BYTES_MAX`] is rejected with both
//! numbers, never truncated. A text without a word gets the vector of the empty text. Inference runs
//! off the async threads, on at most [`THREADS_MAX`] threads.

use std::sync::Arc;

use contexture_core::domain::pipeline::EmbedderDefinition;
use contexture_core::fault::Refusal;
use contexture_core::ports::embedder::Embedder;

mod bert;
pub mod bundled;
pub mod hash;
mod inference;
mod kernels;
pub mod local;
mod model_folder;
pub mod pooling;

pub(crate) use self::inference::scale_to_unit_length;
pub use self::inference::{BATCH_TEXTS_MAX, TEXT_BYTES_MAX, THREADS_MAX};

/// Opens the embedder of a definition. Rejects the definition of a provider's model.
pub fn open_embedder(definition: &EmbedderDefinition) -> Result<Arc<dyn Embedder>, Refusal> {
    Ok(match definition {
        EmbedderDefinition::Bundled {} => Arc::new(bundled::BundledEmbedder::open()?),
        EmbedderDefinition::Local { path, query_prefix, passage_prefix, tokens_max } => {
            let prefixes =
                local::PrefixOverrides { query: query_prefix.clone(), passage: passage_prefix.clone() };
            Arc::new(local::LocalEmbedder::open(path, &prefixes, *tokens_max)?)
        }
        EmbedderDefinition::Hash { dims, tokens_max } => {
            Arc::new(hash::HashEmbedder::new(Arc::new(bundled::tokenizer()?), *dims, *tokens_max)?)
        }
        EmbedderDefinition::Provider(model) => {
            let message =
                format!("the model {} is not in this process, but at {}", model.model, model.provider);
            return Err(Refusal::invalid("not_in_process", "embedder.provider", message));
        }
    })
}
