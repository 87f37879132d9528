//! The cuts of the text-splitter crate, for those who come from other frameworks (`chunker.kind = "recursive"`).
//!
//! Its recursive splitter fills each chunk with the largest parts of the text that fit: sections, paragraphs,
//! sentences, words (`MarkdownSplitter` for Markdown and HTML, `TextSplitter` for plain text and code). It asks
//! for the size of many overlapping parts. Here each answer comes from one table of token counts instead of a
//! new pass of the tokenizer, so the cuts are the crate's, at a fraction of the time.
//!
//! The promises of [`super::pack`] hold, with three differences. A chunk has one window in every script. A chunk's text alone has at most `tokens_target`
//! tokens, as the crate counts; one that exceeds the window together with its context line is divided. And an
//! edit can move all cuts behind it, up to the next heading. White space between two chunks belongs to the first.

use text_splitter::{ChunkConfig, ChunkSizer as SplitterSizer, MarkdownSplitter, TextSplitter};

use super::boundary::has_visible_text;
use super::decode::{NormalisedText, TextFormat};
use super::outline::build_outline;
use super::pack::{ChunkPacker, check_chunk_count};
use super::size::{ChunkLimits, ChunkSizer};
use crate::domain::chunk::{ChunkSpan, TextSpan};
use crate::fault::FailureReason;
use crate::ports::tokenizer::Tokenizer;

/// Cuts a text where the text-splitter crate does. `title` is the one that will be embedded with it.
pub fn split_recursively(
    document: &NormalisedText,
    title: Option<&str>,
    tokenizer: &dyn Tokenizer,
    limits: &ChunkLimits,
) -> Result<Vec<ChunkSpan>, FailureReason> {
    let outline = build_outline(document);
    let sizer = ChunkSizer::new(&document.text, title, &outline, tokenizer, limits, |_, _| 1);
    check_chunk_count(&sizer, limits)?;
    let mut packer = ChunkPacker::new(&sizer, limits);
    for span in tile(&document.text, &splitter_starts(document, &sizer, limits)) {
        packer.pack_span(span, sizer.section_at(span.start), &[])?;
    }
    Ok(packer.into_chunks())
}

/// Where the crate's chunks begin, in order.
fn splitter_starts(document: &NormalisedText, sizer: &ChunkSizer<'_>, limits: &ChunkLimits) -> Vec<usize> {
    let tokens_max = limits.tokens_target.clamp(1, limits.window().max(1));
    let config = ChunkConfig::new(tokens_max).with_sizer(TableSizer(sizer));
    let text = document.text.as_str();
    match document.format {
        TextFormat::Markdown => {
            MarkdownSplitter::new(config).chunk_indices(text).map(|(start, _)| start).collect()
        }
        TextFormat::Plain | TextFormat::Code(_) | TextFormat::Marked => {
            TextSplitter::new(config).chunk_indices(text).map(|(start, _)| start).collect()
        }
    }
}

/// Spans that tile the text, each with something visible in it. The crate leaves out the white space around
/// its chunks.
fn tile(text: &str, starts: &[usize]) -> Vec<TextSpan> {
    let mut spans: Vec<TextSpan> = Vec::with_capacity(starts.len());
    let mut start = 0;
    for end in starts.iter().skip(1).copied().chain([text.len()]) {
        if has_visible_text(&text[start..end]) {
            spans.push(TextSpan { start, end });
            start = end;
        }
    }
    // A rest of invisible characters goes to the last chunk that has visible ones.
    if let Some(last) = spans.last_mut() {
        last.end = text.len();
    }
    debug_assert!(spans.first().is_some_and(|first| first.start == 0), "a document has visible text");
    spans
}

/// Answers the crate's questions from the table of the whole text.
struct TableSizer<'a>(&'a ChunkSizer<'a>);

impl SplitterSizer for TableSizer<'_> {
    fn size(&self, part: &str) -> usize {
        // The crate asks only for slices of the text it was given, so the address tells which part it is. The
        // fallback keeps the answer right if that ever changes.
        let offset = part.as_ptr().addr().wrapping_sub(self.0.text.as_ptr().addr());
        match self.0.text.get(offset..offset.saturating_add(part.len())) {
            Some(same) if std::ptr::eq(same, part) => {
                self.0.exact_tokens(TextSpan { start: offset, end: offset + part.len() })
            }
            _ => self.0.count_text(part),
        }
    }
}
