//! Limits of chunks, and the size of a chunk as the embedder sees it.
//!
//! Limits are of one window. A text that takes far more tokens than its length lets one expect has chunks of several
//! ([`super::windows`]).
//!
//! Estimates are differences of prefix sums. `embed_tokens` is exact and costs tokenizing the edges of a span.
//! `plan` uses estimates and asks for exact sizes near the limit. `pack` returns only chunks whose exact size
//! fits.

use super::boundary::{ROOT_SECTION, TextOutline, first_visible_byte};
use crate::domain::chunk::{CONTEXT_LINE_BYTES_MAX, TextSpan, context_line, embedded_text};
use crate::ports::tokenizer::{TokenCountTable, Tokenizer};

/// Most bytes of visible text per token of the limit. A word-level tokenizer makes one unknown token of a
/// line of a megabyte, which is no useful chunk.
const BYTES_PER_TOKEN_MAX: usize = 32;
/// Bytes of a context line per estimated token; an exact count follows.
const LINE_BYTES_PER_TOKEN: usize = 3;

/// Largest error of an estimate, in tokens, except for overlong words.
pub(super) const ESTIMATE_SLACK: usize = 4;

/// Sizes in tokens of the embedder's tokenizer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkLimits {
    /// Most tokens of an embedded text, special tokens included: the embedder's window.
    pub tokens_max: usize,
    /// Target size of chunks, without context line and special tokens.
    pub tokens_target: usize,
    /// Special tokens that the embedder adds to every text.
    pub tokens_reserved: usize,
    /// Most chunks of one document.
    pub chunks_max: usize,
}

impl ChunkLimits {
    /// Returns the tokens that are left for context line and text.
    pub(super) fn window(&self) -> usize {
        self.tokens_max.saturating_sub(self.tokens_reserved)
    }
}

/// Measures spans of one document.
pub(super) struct ChunkSizer<'a> {
    pub(super) text: &'a str,
    pub(super) outline: &'a TextOutline,
    /// Most tokens of an embedded text, special tokens not included: those of all windows of a chunk.
    pub(super) tokens_max: usize,
    /// Windows of a chunk.
    pub(super) windows: usize,
    /// Most tokens of a context line, which stands in each window.
    line_tokens_max: usize,
    /// Most bytes between the first and the last visible character.
    pub(super) bytes_max: usize,
    title: Option<&'a str>,
    tokens_reserved: usize,
    tokenizer: &'a dyn Tokenizer,
    table: Box<dyn TokenCountTable + 'a>,
    /// Estimated tokens of the context line of each section.
    lines: Vec<usize>,
}

/// The context line that precedes the text of a chunk when it is embedded.
pub(super) struct ChunkContextLine {
    section: usize,
    pub(super) heading: Vec<String>,
    prefix: String,
}

impl<'a> ChunkSizer<'a> {
    /// `windows_of` gives the windows that a chunk has, of the text and its tokens.
    pub(super) fn new(
        text: &'a str,
        title: Option<&'a str>,
        outline: &'a TextOutline,
        tokenizer: &'a dyn Tokenizer,
        limits: &ChunkLimits,
        windows_of: fn(&str, usize) -> usize,
    ) -> Self {
        let table = tokenizer.table(text);
        let windows = windows_of(text, table.tokens_before(text.len()));
        let tokens_max = limits.window().saturating_mul(windows);
        let line_tokens_max = limits.window() / 2;
        let mut line_bytes = Vec::with_capacity(outline.sections.len());
        // A parent stands before its children, so its length is known here.
        for (index, section) in outline.sections.iter().enumerate() {
            let above =
                if index == ROOT_SECTION { title.map_or(0, str::len) } else { line_bytes[section.parent] };
            line_bytes.push(above + section.title.len());
        }
        let tokens = |bytes: usize| bytes.min(CONTEXT_LINE_BYTES_MAX).div_ceil(LINE_BYTES_PER_TOKEN);
        let depths = outline.sections.iter().map(|section| section.depth);
        let lines = line_bytes.into_iter().zip(depths).map(|(bytes, depth)| tokens(bytes) + depth);
        Self {
            text,
            outline,
            tokens_max,
            bytes_max: tokens_max.saturating_mul(BYTES_PER_TOKEN_MAX),
            title,
            tokens_reserved: limits.tokens_reserved,
            tokenizer,
            table,
            windows,
            line_tokens_max,
            // `frame` shortens a line to half of the window, so estimates stop there, too.
            lines: lines.map(|tokens| tokens.min(line_tokens_max)).collect(),
        }
    }

    /// Estimates the tokens before a byte.
    pub(super) fn tokens_before(&self, position: usize) -> usize {
        self.table.tokens_before(position)
    }

    /// Counts the tokens of a span exactly, white space at its ends included.
    pub(super) fn exact_tokens(&self, span: TextSpan) -> usize {
        self.table.count(span)
    }

    /// Counts the tokens of a text that need not be a part of this one.
    pub(super) fn count_text(&self, text: &str) -> usize {
        self.tokenizer.count(text)
    }

    /// Counts the tokens of a span's visible text exactly.
    pub(super) fn span_tokens(&self, span: TextSpan) -> usize {
        self.table.count(self.visible(span))
    }

    /// Estimates the tokens of the context line of a section.
    pub(super) fn line_tokens(&self, section: usize) -> usize {
        self.lines[section]
    }

    /// Builds the context line of a section from its heading path. When the line would take more than half
    /// of the window, the outermost titles are left out.
    pub(super) fn frame(&self, section: usize) -> ChunkContextLine {
        let mut heading = self.outline.path(section);
        loop {
            let mut prefix = context_line(self.title, &heading);
            // A token has at least one byte, so a short line needs no tokenizer.
            let small =
                prefix.len() <= self.line_tokens_max || self.tokenizer.count(&prefix) <= self.line_tokens_max;
            if small || heading.is_empty() {
                if !prefix.is_empty() {
                    prefix.push('\n');
                }
                return ChunkContextLine { section, heading, prefix };
            }
            heading.remove(0);
        }
    }

    /// Replaces `frame` by that of `section`, if it is another one.
    pub(super) fn reframe(&self, frame: &mut ChunkContextLine, section: usize) {
        if frame.section != section {
            *frame = self.frame(section);
        }
    }

    /// Counts the tokens of the embedded text of a span exactly, without special tokens.
    pub(super) fn embed_tokens(&self, frame: &ChunkContextLine, span: TextSpan) -> usize {
        let visible = self.visible(span);
        if frame.prefix.is_empty() {
            return self.table.count(visible);
        }
        // Some tokenizers cannot count behind a prefix; then the whole text is tokenized.
        self.table.count_after(&frame.prefix, visible).unwrap_or_else(|| {
            let text = &self.text[visible.start..visible.end];
            self.tokenizer.count(&embedded_text(self.title, &frame.heading, text))
        })
    }

    /// Returns the exact count with special tokens, or `None` when a span is too large for a chunk.
    pub(super) fn fits(&self, frame: &ChunkContextLine, span: TextSpan) -> Option<u32> {
        if self.visible(span).len() > self.bytes_max {
            return None;
        }
        let tokens = self.embed_tokens(frame, span);
        if tokens > self.tokens_max {
            return None;
        }
        u32::try_from(tokens + self.tokens_reserved).ok()
    }

    /// Returns the span without surrounding white space, as it is embedded.
    pub(super) fn visible(&self, span: TextSpan) -> TextSpan {
        let text = &self.text[span.start..span.end];
        let start = span.end - text.trim_start().len();
        TextSpan { start, end: start + text.trim().len() }
    }

    /// Returns the section at the first visible character from `position` on.
    pub(super) fn section_at(&self, position: usize) -> usize {
        let visible = first_visible_byte(self.text, position);
        let turn = self.outline.turns.partition_point(|&(at, _)| at <= visible);
        self.outline.turns[turn.saturating_sub(1)].1
    }
}
