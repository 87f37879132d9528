//! The suite of the embedder port, and of the tokenizer it brings.

mod contract;

use std::sync::Arc;

use contexture_adapters::embedder::bundled::{self, BundledEmbedder};
use contexture_adapters::embedder::hash::HashEmbedder;
use contexture_core::ports::embedder::Embedder;

macro_rules! embedder_suite {
    ($adapter:ident, $open:ident) => {
        laws!($adapter, $open, {
            contract: [
                info_is_usable,
                one_unit_vector_per_text,
                order_is_kept_and_batches_do_not_matter,
                equal_texts_have_equal_vectors,
                different_texts_differ,
                awkward_texts_are_embedded,
                no_texts_no_vectors,
                longest_text_is_embedded_and_a_longer_one_refused,
                tables_count_like_the_tokenizer,
            ],
        });
    };
}

async fn open_hash() -> Arc<dyn Embedder> {
    const DIMS: usize = 64;
    const TOKENS_MAX: usize = 32;
    let tokenizer = Arc::new(bundled::tokenizer().unwrap());
    Arc::new(HashEmbedder::new(tokenizer, DIMS, TOKENS_MAX).unwrap())
}

embedder_suite!(hash, open_hash);

async fn open_bundled() -> Arc<dyn Embedder> {
    Arc::new(BundledEmbedder::open().unwrap())
}

embedder_suite!(in_the_binary, open_bundled);
