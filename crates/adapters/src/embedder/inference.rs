//! What all local embedders share: checks of a batch, threads, unit length.
//!
//! A batch is spread over at most [`THREADS_MAX`] threads, one text per thread at a time. At these sizes,
//! spreading the matrices of one text over cores costs more than it saves.

use std::num::NonZero;
use std::sync::{Mutex, PoisonError};

use contexture_core::fault::{Fault, reason};
use contexture_core::ports::embedder::EmbedderInfo;
use contexture_core::ports::tokenizer::Tokenizer;

/// Longest text, in bytes. Tokens do not bound it, because a word of any length can be one token.
pub const TEXT_BYTES_MAX: usize = 65_536;
/// Most texts of one call.
pub const BATCH_TEXTS_MAX: usize = 64;
/// Most threads of one call.
pub const THREADS_MAX: usize = 8;

/// Rejects a batch that is too large, or has a text that is too long, before any work is done.
pub(super) fn check_batch_fits(
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

/// Runs `embed_one` on every text, off the async threads. Vectors are in the order of the texts.
pub(super) async fn embed_each(
    texts: Vec<String>,
    embed_one: impl Fn(&str) -> Result<Vec<f32>, Fault> + Send + Sync + 'static,
) -> Result<Vec<Vec<f32>>, Fault> {
    let embedded = tokio::task::spawn_blocking(move || embed_on_threads(&texts, &embed_one)).await;
    embedded.map_err(|error| Fault::transient_error("embedding texts", error))?
}

fn embed_on_threads(
    texts: &[String],
    embed_one: &(impl Fn(&str) -> Result<Vec<f32>, Fault> + Sync),
) -> Result<Vec<Vec<f32>>, Fault> {
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    let threads = cores.min(THREADS_MAX).min(texts.len());
    // Sorted ascending and popped from the end: the longest first, so that no thread is left with a
    // long text at the end.
    let mut order: Vec<usize> = (0..texts.len()).collect();
    order.sort_by_key(|index| texts[*index].len());
    let remaining = Mutex::new(order);
    let next = || remaining.lock().unwrap_or_else(PoisonError::into_inner).pop();
    let work = || {
        let mut done = Vec::new();
        while let Some(index) = next() {
            done.push((index, embed_one(&texts[index])?));
        }
        Ok(done)
    };
    let parts: Vec<Result<Vec<_>, Fault>> = std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
        // This thread works, too, instead of remaining.
        let mine = work();
        let others = others.into_iter().map(|thread| {
            thread.join().unwrap_or_else(|_| Err(Fault::transient("a thread of the embedder panicked")))
        });
        std::iter::once(mine).chain(others).collect()
    });
    // Every index was popped once, so each place is filled unless a part failed.
    let mut vectors = vec![Vec::new(); texts.len()];
    for part in parts {
        for (index, vector) in part? {
            vectors[index] = vector;
        }
    }
    Ok(vectors)
}

/// Scales a vector to unit length. Permanent fault if its length is zero or not finite.
pub(crate) fn scale_to_unit_length(mut vector: Vec<f32>) -> Result<Vec<f32>, Fault> {
    // In f64: squares of f32 can overflow f32.
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

/// Keeps matrix products on the calling thread, because texts already run in parallel. The setting is
/// process-wide in the `gemm` crate; only these models use it.
pub(super) fn keep_products_single_threaded() {
    gemm::set_threading_threshold(usize::MAX);
}
