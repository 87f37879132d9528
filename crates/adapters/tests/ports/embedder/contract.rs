//! Every sentence of the contract.

use std::sync::Arc;

use contexture_core::domain::chunk::TextSpan;
use contexture_core::fault::Fault;
use contexture_core::ports::embedder::{Embedder, EmbeddingPurpose};
use proptest::prelude::*;

use crate::support::strategies::runner;

type EmbedderUnderTest = Arc<dyn Embedder>;

/// Batches are padded and summed in another order than single texts; the same up to rounding.
const SAME_COSINE_MIN: f32 = 0.9999;
const CASES: u32 = 64;

async fn embed(embedder: &EmbedderUnderTest, texts: &[&str]) -> Vec<Vec<f32>> {
    let texts: Vec<String> = texts.iter().map(|&text| text.to_owned()).collect();
    embedder.embed(&texts, EmbeddingPurpose::Passage).await.unwrap()
}

fn dot(left: &[f32], right: &[f32]) -> f32 {
    left.iter().zip(right).map(|(one, other)| one * other).sum()
}

pub(super) async fn info_is_usable(embedder: EmbedderUnderTest) {
    let info = embedder.info();
    assert!(!info.model.is_empty());
    assert!(info.dims > 0 && info.batch_texts_max > 0);
    assert!(info.tokens_max > info.tokens_reserved, "no room for text");
}

pub(super) async fn one_unit_vector_per_text(embedder: EmbedderUnderTest) {
    let vectors = embed(&embedder, &["heron on the lake", "Otter.", "fn main() {}"]).await;
    assert_eq!(vectors.len(), 3);
    for vector in vectors {
        assert_eq!(vector.len(), embedder.info().dims);
        assert!(vector.iter().all(|number| number.is_finite()));
        assert!((dot(&vector, &vector) - 1.0).abs() < 1e-3, "length is {}", dot(&vector, &vector).sqrt());
    }
}

pub(super) async fn order_is_kept_and_batches_do_not_matter(embedder: EmbedderUnderTest) {
    let texts: Vec<String> = (0..embedder.info().batch_texts_max.min(16))
        .map(|number| format!("{} heron", "lake ".repeat(number)))
        .collect();
    let together = embedder.embed(&texts, EmbeddingPurpose::Passage).await.unwrap();
    for (text, batched) in texts.iter().zip(&together) {
        let alone = embed(&embedder, &[text]).await.remove(0);
        assert!(dot(&alone, batched) > SAME_COSINE_MIN, "{text:?} changed in company");
    }
}

pub(super) async fn equal_texts_have_equal_vectors(embedder: EmbedderUnderTest) {
    let first = embed(&embedder, &["heron on the lake"]).await;
    assert_eq!(embed(&embedder, &["heron on the lake"]).await, first, "to the bit: it is cached by text");
}

pub(super) async fn different_texts_differ(embedder: EmbedderUnderTest) {
    let vectors = embed(&embedder, &["heron on the lake", "quarterly tax return"]).await;
    assert!(dot(&vectors[0], &vectors[1]) < 0.99);
}

pub(super) async fn awkward_texts_are_embedded(embedder: EmbedderUnderTest) {
    let texts =
        ["", " ", "\u{0}", "\u{202e}abc", "日本語", "\u{1f468}\u{200d}\u{1f469}", "e\u{301}\u{301}\u{301}"];
    for text in texts {
        let vector = embed(&embedder, &[text]).await.remove(0);
        assert!(vector.iter().all(|number| number.is_finite()), "{text:?}");
        assert!((dot(&vector, &vector) - 1.0).abs() < 1e-3, "{text:?}");
    }
}

pub(super) async fn no_texts_no_vectors(embedder: EmbedderUnderTest) {
    assert!(embed(&embedder, &[]).await.is_empty());
}

pub(super) async fn longest_text_is_embedded_and_a_longer_one_refused(embedder: EmbedderUnderTest) {
    let info = embedder.info();
    let tokenizer = embedder.tokenizer();
    let room = info.tokens_max - info.tokens_reserved;
    let mut words = room;
    while tokenizer.count(&"lake ".repeat(words)) > room {
        words -= 1;
    }
    assert!(words > 0);
    embed(&embedder, &[&"lake ".repeat(words)]).await;
    while tokenizer.count(&"lake ".repeat(words)) <= room {
        words += 1;
    }
    let refused = embedder.embed(&["lake ".repeat(words)], EmbeddingPurpose::Passage).await.unwrap_err();
    assert!(matches!(refused, Fault::Permanent(_)), "cut or retried: {refused:?}");
}

pub(super) async fn tables_count_like_the_tokenizer(embedder: EmbedderUnderTest) {
    let tokenizer = embedder.tokenizer();
    let cases = ("(\\PC{0,12}|[ \\n]{1,3}|heron |lake\n\n){0,12}", any::<u16>(), any::<u16>());
    runner(CASES)
        .run(&cases, |(text, left, right)| {
            let border = |at: u16| text.floor_char_boundary(usize::from(at) % (text.len() + 1));
            let (start, end) = (border(left).min(border(right)), border(left).max(border(right)));
            let counted = tokenizer.table(&text).count(TextSpan { start, end });
            prop_assert_eq!(counted, tokenizer.count(&text[start..end]), "{:?}[{}..{}]", &text, start, end);
            Ok(())
        })
        .unwrap();
}
