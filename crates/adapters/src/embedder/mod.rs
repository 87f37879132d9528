//! Embedders that run in this process, on its processors.
//!
//! All keep the port's contract: a text above `tokens_max` or [`TEXT_BYTES_MAX`] is refused
//! with both numbers, never cut. A text without a word has a vector, too: that of the empty
//! text. Inference runs off the async threads, texts spread over at most [`THREADS_MAX`]
//! threads and one core each: spreading one text's matrices over cores costs more than it
//! brings at these sizes.

use std::num::NonZero;
use std::sync::{Arc, Mutex, PoisonError};

use contexture_core::domain::pipeline::EmbedderDefinition;
use contexture_core::fault::{Fault, Refusal, reason};
use contexture_core::ports::embedder::{Embedder, EmbedderInfo};
use contexture_core::ports::tokenizer::Tokenizer;

mod bert;
pub mod bundled;
pub mod hash;
mod kernels;
pub mod local;
mod model_folder;
pub mod pooling;

/// Longest text, in bytes: tokens do not bound it, for a word of any length can be one token.
pub const TEXT_BYTES_MAX: usize = 65_536;
/// Most texts of one call.
pub const BATCH_TEXTS_MAX: usize = 64;
/// Most threads of one call.
pub const THREADS_MAX: usize = 8;

/// Opens the embedder that a definition names; one at a provider is refused.
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

/// Refuses a batch that is too large, and texts that are too long, before any work is done.
fn check_batch_fits(
    info: &EmbedderInfo,
    tokenizer: &dyn Tokenizer,
    texts: &[String],
    tokens_added: usize,
) -> Result<(), Fault> {
    let refuse = |what: String| Err(Fault::permanent(reason::EMBEDDER_REJECTED, what));
    if texts.len() > info.batch_texts_max {
        return refuse(format!("{} texts in one call, at most {}", texts.len(), info.batch_texts_max));
    }
    for text in texts {
        if text.len() > TEXT_BYTES_MAX {
            return refuse(format!("a text of {} bytes, at most {TEXT_BYTES_MAX}", text.len()));
        }
        let tokens = tokenizer.count(text) + tokens_added;
        if tokens > info.tokens_max {
            return refuse(format!(
                "a text of {tokens} tokens with special tokens, the model takes {}",
                info.tokens_max
            ));
        }
    }
    Ok(())
}

/// Runs `embed_one` on every text off the async threads; vectors come back in order.
async fn embed_each(
    texts: Vec<String>,
    embed_one: impl Fn(&str) -> Result<Vec<f32>, Fault> + Send + Sync + 'static,
) -> Result<Vec<Vec<f32>>, Fault> {
    let embedded = tokio::task::spawn_blocking(move || embed_on_threads(&texts, &embed_one)).await;
    embedded.map_err(Fault::transient)?
}

fn embed_on_threads(
    texts: &[String],
    embed_one: &(impl Fn(&str) -> Result<Vec<f32>, Fault> + Sync),
) -> Result<Vec<Vec<f32>>, Fault> {
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    let threads = cores.min(THREADS_MAX).min(texts.len());
    // Longest first, so that no thread is left with a long text at the end.
    let mut order: Vec<usize> = (0..texts.len()).collect();
    order.sort_by_key(|index| texts[*index].len());
    let waiting = Mutex::new(order);
    let next = || waiting.lock().unwrap_or_else(PoisonError::into_inner).pop();
    let work = || {
        let mut done = Vec::new();
        while let Some(index) = next() {
            done.push((index, embed_one(&texts[index])?));
        }
        Ok(done)
    };
    let parts: Vec<Result<Vec<_>, Fault>> = std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
        let mine = work();
        let others = others.into_iter().map(|thread| {
            thread.join().unwrap_or_else(|_| Err(Fault::transient("a thread of the embedder panicked")))
        });
        std::iter::once(mine).chain(others).collect()
    });
    let mut vectors = vec![Vec::new(); texts.len()];
    for part in parts {
        for (index, vector) in part? {
            vectors[index] = vector;
        }
    }
    Ok(vectors)
}

/// Scales a vector to unit length; a permanent fault when it has none.
pub(super) fn scale_to_unit_length(mut vector: Vec<f32>) -> Result<Vec<f32>, Fault> {
    let length = vector.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt();
    if !(length.is_finite() && length > 0.0) {
        return Err(Fault::permanent(reason::EMBEDDER_REJECTED, "the model's vector has no direction"));
    }
    for value in &mut vector {
        #[expect(clippy::cast_possible_truncation, reason = "vectors are stored as f32")]
        let scaled = (f64::from(*value) / length) as f32;
        *value = scaled;
    }
    Ok(vector)
}

/// Keeps matrix products on the thread that asks for them; texts are what runs in parallel.
/// Process-wide in the `gemm` crate, whose only users are these models.
fn keep_products_single_threaded() {
    gemm::set_threading_threshold(usize::MAX);
}
