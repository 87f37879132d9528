//! The recursive chunker: the cuts of the text-splitter crate, and the promises of ours.

use contexture_core::domain::chunk::{TextSpan, embedded_text};
use contexture_core::ingest::chunk::{NormalisedText, decode_body, split_recursively};
use contexture_core::ports::tokenizer::Tokenizer;
use proptest::prelude::*;
use text_splitter::{ChunkConfig, MarkdownSplitter, TextSplitter};

use super::tables::difficult_text;
use super::{SentenceGenerator, bpe, limits, markdown, plain, slice};

/// Cuts; every promise but the one on grapheme clusters, which the crate keeps for its own target only.
fn cut(document: &NormalisedText, title: Option<&str>, tokens_max: usize, target: usize) -> Vec<TextSpan> {
    let limits = limits(tokens_max, target);
    let chunks = split_recursively(document, title, &bpe(), &limits).unwrap();
    assert_eq!(chunks, split_recursively(document, title, &bpe(), &limits).unwrap(), "the same each time");
    assert_eq!(chunks.first().map(|chunk| chunk.span.start), Some(0));
    assert_eq!(chunks.last().map(|chunk| chunk.span.end), Some(document.text.len()));
    assert!(chunks.windows(2).all(|pair| pair[0].span.end == pair[1].span.start), "spans tile the text");
    for chunk in &chunks {
        let text = slice(document, chunk.span);
        assert!(!text.trim().is_empty(), "a chunk shows something");
        let tokens = bpe().count(&embedded_text(title, &chunk.heading, text)) + limits.tokens_reserved;
        assert_eq!(tokens, chunk.embed_tokens as usize, "embed_tokens is exact");
        assert!(tokens <= tokens_max, "{tokens} tokens in a window of {tokens_max}");
    }
    chunks.into_iter().map(|chunk| chunk.span).collect()
}

fn texts<'a>(document: &'a NormalisedText, spans: &[TextSpan]) -> Vec<&'a str> {
    spans.iter().map(|span| slice(document, *span).trim()).collect()
}

#[test]
fn markdown_is_cut_where_the_crate_cuts_it_with_tiktoken() {
    let mut author = SentenceGenerator(5);
    let sections: Vec<String> = (0..120)
        .map(|index| match index % 6 {
            0 => format!("# Part {index}\n\n{}", author.paragraph()),
            2 => format!("## Place {index}\n\n- {}\n- {}\n", author.sentence(), author.sentence()),
            4 => format!("```\nlet a = {index};\n```\n\n| a | b |\n|---|---|\n| 1 | {} |", author.sentence()),
            _ => author.paragraph(),
        })
        .collect();
    let document = markdown(&sections.join("\n\n"));
    for target in [40, 128, 200] {
        let config = ChunkConfig::new(target).with_sizer(tiktoken_rs::cl100k_base_singleton());
        let theirs: Vec<&str> = MarkdownSplitter::new(config).chunks(&document.text).map(str::trim).collect();
        // The window leaves room for the context line, so nothing has to be divided.
        assert_eq!(texts(&document, &cut(&document, None, 1000, target)), theirs, "{target}");
    }
}

#[test]
fn plain_text_is_cut_where_the_crate_cuts_it_with_tiktoken() {
    let mut author = SentenceGenerator(6);
    let paragraphs: Vec<String> = (0..80).map(|_| author.paragraph()).collect();
    let document = plain(&paragraphs.join("\n\n"));
    for target in [16, 100, 256] {
        let config = ChunkConfig::new(target).with_sizer(tiktoken_rs::cl100k_base_singleton());
        let theirs: Vec<&str> = TextSplitter::new(config).chunks(&document.text).map(str::trim).collect();
        assert_eq!(texts(&document, &cut(&document, None, 1000, target)), theirs, "{target}");
    }
}

#[test]
fn a_chunk_that_does_not_fit_beside_its_context_line_is_divided() {
    let heading = "A heading of a good many words that leaves little room for what it stands above";
    let document = markdown(&format!("# {heading}\n\n{}", SentenceGenerator(8).paragraph().repeat(4)));
    let spans = cut(&document, Some("The title, which stands in front of every chunk"), 64, 62);
    assert!(spans.len() > 4, "{spans:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn every_text_is_cut_within_the_window(
        parts in prop::collection::vec(difficult_text(), 1..6),
        media_type in prop::sample::select(vec!["text/plain", "text/markdown", "text/html", "text/x-rust"]),
        title in prop::option::of("[a-zA-Zé漢 ]{1,40}"),
        tokens_max in 64_usize..300,
        share in 20_usize..=100,
    ) {
        if let Ok(document) = decode_body(parts.concat().as_bytes(), Some(media_type), "it") {
            cut(&document, title.as_deref(), tokens_max, tokens_max * share / 100);
        }
    }
}
