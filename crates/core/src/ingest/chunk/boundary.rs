//! The outline of a text: where it may be cut, how well it separates there, and its sections.
//!
//! `markdown`, `code` and the scanner of plain text below fill a [`TextOutline`]: cuts at the starts of lines
//! with a [`BoundaryLevel`] each (the levels are those of the text-splitter crate), and the tree of titled
//! sections. Finer cuts, inside parts that are too large, are made by `refine`.
//!
//! Invariants of a finished outline: cuts ascend strictly; none is at either end of the text; some visible
//! character stands between any two of them and before the first.

use std::ops::Range;

use crate::domain::chunk::table_header;
use crate::domain::sentences::is_wrapped_line;

/// Longest section title, in bytes; a longer one is truncated at a character boundary.
pub(super) const SECTION_TITLE_BYTES_MAX: usize = 256;
/// Index of the section of all text without a heading.
pub(super) const ROOT_SECTION: usize = 0;

/// How well a text separates at a position; the best level first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum BoundaryLevel {
    /// Before a heading of this depth, 1 to 6.
    Heading(u8),
    /// Before a paragraph, list, table, code block or top-level item of code.
    Block,
    /// Before a list item, table row or member of a type.
    Item,
    /// Before a block inside an item.
    Inner,
    /// Before a line that is not merely wrapped.
    Line,
    Sentence,
    Word,
    Grapheme,
    /// Inside a grapheme cluster that exceeds the limit by itself.
    Character,
}

/// A position where a text may be cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct CutPosition {
    pub(super) at: usize,
    pub(super) level: BoundaryLevel,
}

/// A titled part of a text.
#[derive(Debug, Clone)]
pub(super) struct TextSection {
    pub(super) title: String,
    pub(super) parent: usize,
    /// Number of titles on the path from the root, this one included.
    pub(super) depth: usize,
    /// Whether it is the rows of a table; then its title is the header line.
    pub(super) is_table: bool,
}

/// A fenced block of code.
#[derive(Debug, Clone)]
pub(super) struct FencedCode {
    /// From the opening fence to the end of the closing one.
    pub(super) range: Range<usize>,
    /// The opening fence without what is said behind it.
    pub(super) fence: String,
}

/// The structure of one text.
#[derive(Debug)]
pub(super) struct TextOutline {
    pub(super) cuts: Vec<CutPosition>,
    pub(super) sections: Vec<TextSection>,
    /// Pairs of a byte and the section that starts there; ascending.
    pub(super) turns: Vec<(usize, usize)>,
    /// Fenced blocks of code, in order.
    pub(super) fences: Vec<FencedCode>,
}

impl TextOutline {
    pub(super) fn new() -> Self {
        let root = TextSection { title: String::new(), parent: ROOT_SECTION, depth: 0, is_table: false };
        Self { cuts: Vec::new(), sections: vec![root], turns: vec![(0, ROOT_SECTION)], fences: Vec::new() }
    }

    pub(super) fn cut(&mut self, at: usize, level: BoundaryLevel) {
        self.cuts.push(CutPosition { at, level });
    }

    /// Adds a section under `parent` that starts at `at`; returns its index.
    pub(super) fn enter(&mut self, at: usize, title: &str, parent: usize) -> usize {
        let title = title.split_whitespace().collect::<Vec<_>>().join(" ");
        let title = title[..title.floor_char_boundary(SECTION_TITLE_BYTES_MAX)].to_owned();
        self.add_section(at, title, parent, false)
    }

    /// Adds the rows of a table, which start at `at`; returns the section's index.
    pub(super) fn enter_table(&mut self, at: usize, header: &str, parent: usize) -> usize {
        self.add_section(at, table_header(header), parent, true)
    }

    fn add_section(&mut self, at: usize, title: String, parent: usize, is_table: bool) -> usize {
        let depth = self.sections[parent].depth + 1;
        self.sections.push(TextSection { title, parent, depth, is_table });
        self.turns.push((at, self.sections.len() - 1));
        self.sections.len() - 1
    }

    /// The fence of the block of code that a position is inside of.
    pub(super) fn open_fence(&self, at: usize) -> Option<String> {
        let next = self.fences.partition_point(|code| code.range.start < at);
        let code = self.fences.get(next.checked_sub(1)?)?;
        (at < code.range.end).then(|| code.fence.clone())
    }

    /// Returns the titles from the outermost section to this one, without empty ones.
    pub(super) fn path(&self, section: usize) -> Vec<String> {
        let mut titles = Vec::with_capacity(self.sections[section].depth);
        let mut current = section;
        while current != ROOT_SECTION {
            titles.push(self.sections[current].title.clone());
            current = self.sections[current].parent;
        }
        titles.retain(|title| !title.is_empty());
        titles.reverse();
        titles
    }

    /// Returns the innermost section that contains both.
    pub(super) fn common(&self, left: usize, right: usize) -> usize {
        let (mut left, mut right) = (left, right);
        // The deeper one moves up, so both meet at the root at the latest.
        while left != right {
            if self.sections[left].depth >= self.sections[right].depth {
                left = self.sections[left].parent;
            } else {
                right = self.sections[right].parent;
            }
        }
        left
    }
}

/// Returns the first byte from `at` on that is not white space.
pub(super) fn first_visible_byte(text: &str, at: usize) -> usize {
    text.len() - text[at..].trim_start().len()
}

/// Whether a text contains anything but white space.
pub(super) fn has_visible_text(text: &str) -> bool {
    text.contains(|character: char| !character.is_whitespace())
}

/// Hashes the 24 bytes on either side of a position.
///
/// Content-defined chunking (Muthitacharoen, Chen and Mazières 2001) finds the same boundaries behind an
/// edit, because they depend on nothing farther away. This hash has the same property.
pub(super) fn position_fingerprint(text: &str, at: usize) -> u64 {
    const WINDOW_BYTES: usize = 24;
    let bytes = text.as_bytes();
    let window = &bytes[at.saturating_sub(WINDOW_BYTES)..bytes.len().min(at + WINDOW_BYTES)];
    let (words, rest) = window.as_chunks::<8>();
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    for &word in words {
        state = (state.rotate_left(5) ^ u64::from_le_bytes(word)).wrapping_mul(0x517C_C1B7_2722_0A95);
    }
    for &byte in rest {
        state = (state.rotate_left(5) ^ u64::from(byte)).wrapping_mul(0x517C_C1B7_2722_0A95);
    }
    // Low bits of a product depend only on low bits of its factors; high bits depend on all of them.
    state.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32
}

/// Adds the cuts of plain text: before paragraphs and before lines.
pub(super) fn scan_plain_text(text: &str, outline: &mut TextOutline) {
    let mut line_start = 0;
    let mut after_blank = false;
    for line_end in memchr::memchr_iter(b'\n', text.as_bytes()) {
        let blank = text[line_start..line_end].trim_ascii().is_empty();
        if after_blank && !blank {
            outline.cut(line_start, BoundaryLevel::Block);
        }
        after_blank = blank;
        line_start = line_end + 1;
    }
    // The last line has no line end, so the loop has not seen it.
    if after_blank {
        outline.cut(line_start, BoundaryLevel::Block);
    }
    scan_lines(text, &[], outline);
}

/// Adds a cut before every line. Outside of `code` it omits lines that are merely wrapped.
pub(super) fn scan_lines(text: &str, code: &[Range<usize>], outline: &mut TextOutline) {
    let mut code = code.iter().peekable();
    for line_end in memchr::memchr_iter(b'\n', text.as_bytes()) {
        let at = line_end + 1;
        // Ranges and lines both ascend, so each range is passed once.
        while code.next_if(|range| range.end < at).is_some() {}
        let in_code = code.peek().is_some_and(|range| range.start <= line_end);
        if in_code || !is_wrapped_line(text.as_bytes(), line_end) {
            outline.cut(at, BoundaryLevel::Line);
        }
    }
}
