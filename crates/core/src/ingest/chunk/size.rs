//! How large a chunk is, as the embedder will see it.
//!
//! `estimate`s are differences of prefix sums; `embed_tokens` is exact and costs the border
//! pieces of a span. The planner works with the first, asks for the second near the limit,
//! and `pack` lets nothing out that the second has not confirmed.

use super::boundary::{ROOT_SECTION, TextOutline, first_visible_byte};
use super::pack::ChunkLimits;
use crate::domain::chunk::{CONTEXT_LINE_BYTES_MAX, TextSpan, context_line, embedded_text};
use crate::ports::tokenizer::{TokenCountTable, Tokenizer};

/// Most bytes of visible text per token of the limit: a word-level tokenizer makes one unknown
/// token of a line of a megabyte, and that is no chunk.
const BYTES_PER_TOKEN_MAX: usize = 32;
/// Bytes of a context line that cost a token in an estimate; an exact count follows.
const LINE_BYTES_PER_TOKEN: usize = 3;

/// Tokens by which an estimate of a span may be wrong, outside of overlong words.
pub(super) const ESTIMATE_SLACK: usize = 4;

/// Counts spans of one document.
pub(super) struct ChunkSizer<'a> {
    pub(super) text: &'a str,
    pub(super) outline: &'a TextOutline,
    /// Most tokens of an embedded text, special tokens not included.
    pub(super) tokens_max: usize,
    /// Most bytes between the first and the last visible character.
    pub(super) bytes_max: usize,
    title: Option<&'a str>,
    tokens_reserved: usize,
    tokenizer: &'a dyn Tokenizer,
    table: Box<dyn TokenCountTable + 'a>,
    /// Estimated tokens of the context line by section.
    lines: Vec<usize>,
}

/// What stands before the text of a chunk when it is embedded.
pub(super) struct ChunkContextLine {
    section: usize,
    pub(super) heading: Vec<String>,
    prefix: String,
}

impl<'a> ChunkSizer<'a> {
    pub(super) fn new(
        text: &'a str,
        title: Option<&'a str>,
        outline: &'a TextOutline,
        tokenizer: &'a dyn Tokenizer,
        limits: &ChunkLimits,
    ) -> Self {
        let tokens_max = limits.window();
        let mut line_bytes = Vec::with_capacity(outline.sections.len());
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
            table: tokenizer.table(text),
            lines: lines.map(|tokens| tokens.min(tokens_max / 2)).collect(),
        }
    }

    /// Estimated tokens up to a byte.
    pub(super) fn tokens_before(&self, position: usize) -> usize {
        self.table.tokens_before(position)
    }

    /// Tokens of a span's visible text, exactly.
    pub(super) fn span_tokens(&self, span: TextSpan) -> usize {
        self.table.count(self.visible(span))
    }

    /// Estimated tokens of the context line of a section.
    pub(super) fn line_tokens(&self, section: usize) -> usize {
        self.lines[section]
    }

    /// The heading path of a section and the line that it makes. When the line would take more
    /// than half of the window, the outermost titles are left out.
    pub(super) fn frame(&self, section: usize) -> ChunkContextLine {
        let mut heading = self.outline.path(section);
        loop {
            let mut prefix = context_line(self.title, &heading);
            let small =
                prefix.len() <= self.tokens_max / 2 || self.tokenizer.count(&prefix) <= self.tokens_max / 2;
            if small || heading.is_empty() {
                if !prefix.is_empty() {
                    prefix.push('\n');
                }
                return ChunkContextLine { section, heading, prefix };
            }
            heading.remove(0);
        }
    }

    /// Makes `frame` that of `section`, if it is not.
    pub(super) fn reframe(&self, frame: &mut ChunkContextLine, section: usize) {
        if frame.section != section {
            *frame = self.frame(section);
        }
    }

    /// Tokens of the embedded text of a span, exactly, without special tokens.
    pub(super) fn embed_tokens(&self, frame: &ChunkContextLine, span: TextSpan) -> usize {
        let visible = self.visible(span);
        if frame.prefix.is_empty() {
            return self.table.count(visible);
        }
        self.table.count_after(&frame.prefix, visible).unwrap_or_else(|| {
            let text = &self.text[visible.start..visible.end];
            self.tokenizer.count(&embedded_text(self.title, &frame.heading, text))
        })
    }

    /// The exact count with special tokens, or `None` when a span is too large for a chunk.
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

    /// The span without the white space around it, as it is embedded.
    pub(super) fn visible(&self, span: TextSpan) -> TextSpan {
        let text = &self.text[span.start..span.end];
        let start = span.end - text.trim_start().len();
        TextSpan { start, end: start + text.trim().len() }
    }

    /// The section in force where a span's visible text starts.
    pub(super) fn section_at(&self, position: usize) -> usize {
        let visible = first_visible_byte(self.text, position);
        let turn = self.outline.turns.partition_point(|&(at, _)| at <= visible);
        self.outline.turns[turn.saturating_sub(1)].1
    }
}
