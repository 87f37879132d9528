//! The suite of the embedder port, and of the tokenizer it brings.

mod contract;

use std::sync::Arc;

use contexture::ports::embedder::Embedder;

use crate::support::hashed::HashedWords;

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

async fn open_hashed() -> Arc<dyn Embedder> {
    Arc::new(HashedWords::new())
}

embedder_suite!(hashed, open_hashed);
