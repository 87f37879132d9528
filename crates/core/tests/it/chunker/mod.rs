//! The chunker: decoding, structure, the laws of cutting, and the tables of token counts.

mod decoding;
mod laws;
mod recursive;
mod structure;
mod tables;

use contexture_core::domain::chunk::{ChunkSpan, TextSpan, embedded_text};
use contexture_core::ingest::chunk::windows::chunk_windows;
use contexture_core::ingest::chunk::{ChunkLimits, NormalisedText, decode_body, split_into_chunks};
use contexture_core::ports::tokenizer::{TokenCountTable, Tokenizer};
use contexture_tokenizers::bpe::BpeTokenizer;
use unicode_segmentation::UnicodeSegmentation;

fn limits(tokens_max: usize, tokens_target: usize) -> ChunkLimits {
    ChunkLimits { tokens_max, tokens_target, tokens_reserved: 2, chunks_max: 1 << 20 }
}

fn markdown(text: &str) -> NormalisedText {
    decode_body(text.as_bytes(), Some("text/markdown"), "it").unwrap()
}

fn plain(text: &str) -> NormalisedText {
    decode_body(text.as_bytes(), Some("text/plain"), "it").unwrap()
}

fn slice(document: &NormalisedText, span: TextSpan) -> &str {
    &document.text[span.start..span.end]
}

/// Cuts, and asserts every promise of the chunker.
fn cut_lawfully(
    document: &NormalisedText,
    title: Option<&str>,
    tokenizer: &dyn Tokenizer,
    limits: &ChunkLimits,
) -> Vec<ChunkSpan> {
    let chunks = split_into_chunks(document, title, tokenizer, limits).unwrap();
    assert_eq!(
        chunks,
        split_into_chunks(document, title, tokenizer, limits).unwrap(),
        "equal input, equal chunks"
    );
    assert_eq!(chunks.first().map(|chunk| chunk.span.start), Some(0));
    assert_eq!(chunks.last().map(|chunk| chunk.span.end), Some(document.text.len()));
    assert!(chunks.windows(2).all(|pair| pair[0].span.end == pair[1].span.start), "spans tile the text");
    let all_tokens = tokenizer.table(&document.text).tokens_before(document.text.len());
    let windows = chunk_windows(&document.text, all_tokens);
    let tokens_max =
        limits.tokens_max.saturating_sub(limits.tokens_reserved) * windows + limits.tokens_reserved;
    let clusters: Vec<usize> = document.text.grapheme_indices(true).map(|(at, _)| at).collect();
    for chunk in &chunks {
        let text = slice(document, chunk.span);
        assert!(!text.trim().is_empty(), "a chunk shows something");
        let tokens = tokenizer.count(&embedded_text(title, &chunk.heading, text)) + limits.tokens_reserved;
        assert_eq!(tokens, chunk.embed_tokens as usize, "embed_tokens is exact");
        assert!(tokens <= tokens_max, "{tokens} tokens in {windows} windows of {}", limits.tokens_max);
        if let Err(next) = clusters.binary_search(&chunk.span.start) {
            let end = clusters.get(next).copied().unwrap_or(document.text.len());
            let cluster = &document.text[clusters[next - 1]..end];
            let alone =
                || tokenizer.count(&embedded_text(title, &chunk.heading, cluster)) + limits.tokens_reserved;
            assert!(cluster.len() > 32 * tokens_max || alone() > tokens_max, "a cluster was cut");
        }
    }
    chunks
}

/// One token per word: a vocabulary without word pieces, and a table without extras.
struct WordTokenizer;

struct WordTokenTable<'a>(&'a str);

impl Tokenizer for WordTokenizer {
    fn name(&self) -> &'static str {
        "words"
    }

    fn count(&self, text: &str) -> usize {
        text.split_whitespace().count()
    }

    fn table<'a>(&'a self, text: &'a str) -> Box<dyn TokenCountTable + 'a> {
        Box::new(WordTokenTable(text))
    }
}

impl TokenCountTable for WordTokenTable<'_> {
    fn count(&self, span: TextSpan) -> usize {
        self.0[span.start..span.end].split_whitespace().count()
    }
}

/// Sentences of a fixed vocabulary, the same for the same seed.
struct SentenceGenerator(u64);

impl SentenceGenerator {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % limit
    }

    fn sentence(&mut self) -> String {
        const WORDS: [&str; 24] = [
            "queue",
            "index",
            "the",
            "of",
            "vector",
            "and",
            "latency",
            "a",
            "commits",
            "in",
            "snapshot",
            "with",
            "document",
            "is",
            "tokens",
            "not",
            "broker",
            "for",
            "replicated",
            "by",
            "budget",
            "which",
            "as",
            "on",
        ];
        let words: Vec<&str> = (0..5 + self.below(20)).map(|_| WORDS[self.below(24)]).collect();
        format!("The {} {}.", words.join(" "), self.below(1000))
    }

    fn paragraph(&mut self) -> String {
        let sentences: Vec<String> = (0..2 + self.below(7)).map(|_| self.sentence()).collect();
        sentences.join(" ")
    }
}

fn bpe() -> BpeTokenizer {
    BpeTokenizer::cl100k()
}
