//! Where a text may be cut, how well it comes apart there, and which section each place is in.
//!
//! An [`TextOutline`] is what `markdown`, `code` and `prose` find: cuts at the starts of lines
//! with a [`BoundaryLevel`] each (the levels are those of the text-splitter crate), and the tree of
//! titled sections. Finer cuts, inside what is too large, are `refine`'s.
//!
//! Invariants of a finished outline: cuts ascend strictly, none is at either end of the text,
//! and some visible character stands between any two of them and before the first.

use super::decode::{NormalisedText, TextFormat};
use super::{code, markdown, prose};

/// Longest section title, in bytes; a longer one is cut at a character border.
pub(super) const SECTION_TITLE_BYTES_MAX: usize = 256;
/// The section of everything that stands under no heading.
pub(super) const ROOT_SECTION: usize = 0;

/// How well a text comes apart at a place; the best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum BoundaryLevel {
    /// Before a heading of this depth, 1 to 6.
    Heading(u8),
    /// Before a paragraph, list, table, code block or top-level item of code.
    Block,
    /// Before a list item, table row or member of a type.
    Item,
    /// Before a block inside of those.
    Inner,
    /// Before a line that is not merely wrapped.
    Line,
    Sentence,
    Word,
    Grapheme,
    /// Inside a grapheme cluster that alone exceeds the limit.
    Character,
}

/// A place to cut.
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
    /// Number of titles on the way from the root, this one included.
    pub(super) depth: usize,
}

/// The structure of one text.
#[derive(Debug)]
pub(super) struct TextOutline {
    pub(super) cuts: Vec<CutPosition>,
    pub(super) sections: Vec<TextSection>,
    /// From this byte on, this section is in force; ascending.
    pub(super) turns: Vec<(usize, usize)>,
}

/// Finds the structure of a text by its format.
pub(super) fn build_outline(document: &NormalisedText) -> TextOutline {
    let mut outline = TextOutline::new();
    let text = document.text.as_str();
    match document.format {
        TextFormat::Markdown | TextFormat::Html => markdown::scan_markdown(text, &mut outline),
        TextFormat::Code(language) => code::scan_code(text, language, &mut outline),
        TextFormat::Plain => prose::scan_plain_text(text, &mut outline),
    }
    outline.cuts = normalise_cuts(text, outline.cuts);
    outline
}

impl TextOutline {
    fn new() -> Self {
        let root = TextSection { title: String::new(), parent: ROOT_SECTION, depth: 0 };
        Self { cuts: Vec::new(), sections: vec![root], turns: vec![(0, ROOT_SECTION)] }
    }

    pub(super) fn cut(&mut self, at: usize, level: BoundaryLevel) {
        self.cuts.push(CutPosition { at, level });
    }

    /// Adds a section under `parent` and puts it in force from `at` on; returns its index.
    pub(super) fn enter(&mut self, at: usize, title: &str, parent: usize) -> usize {
        let title = title.split_whitespace().collect::<Vec<_>>().join(" ");
        let title = title[..title.floor_char_boundary(SECTION_TITLE_BYTES_MAX)].to_owned();
        let depth = self.sections[parent].depth + 1;
        self.sections.push(TextSection { title, parent, depth });
        self.turns.push((at, self.sections.len() - 1));
        self.sections.len() - 1
    }

    /// The titles from the outermost section to this one; untitled ones are left out.
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

    /// The innermost section that holds both.
    pub(super) fn common(&self, left: usize, right: usize) -> usize {
        let (mut left, mut right) = (left, right);
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

/// Sorts cuts and makes the invariants true; of neighbours with only white space between
/// them the better cut stays, and of equals the later.
fn normalise_cuts(text: &str, mut cuts: Vec<CutPosition>) -> Vec<CutPosition> {
    cuts.sort_unstable_by_key(|cut| (cut.at, cut.level));
    cuts.dedup_by_key(|cut| cut.at);
    let mut settled: Vec<CutPosition> = Vec::with_capacity(cuts.len());
    // Where the white space behind the last cut ends: found once, however many cuts are in it.
    let mut blank_end = first_visible_byte(text, 0);
    for cut in cuts {
        if cut.at >= text.len() {
            break;
        }
        if cut.at > blank_end {
            settled.push(cut);
            blank_end = first_visible_byte(text, cut.at);
        } else if let Some(last) = settled.last_mut().filter(|last| cut.level <= last.level) {
            *last = cut;
        }
    }
    if settled.last().is_some_and(|last| !has_visible_text(&text[last.at..])) {
        settled.pop();
    }
    settled
}

/// The first byte from `at` on that is not white space.
pub(super) fn first_visible_byte(text: &str, at: usize) -> usize {
    text.len() - text[at..].trim_start().len()
}

/// Whether anything but white space is in it.
pub(super) fn has_visible_text(text: &str) -> bool {
    text.contains(|character: char| !character.is_whitespace())
}

/// A number that depends only on the 24 bytes on either side of a place.
///
/// Content-defined chunking (Muthitacharoen, Chen and Mazières 2001) finds the same borders
/// again behind an edit because they depend on nothing farther away; so does this.
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
    // The low bits of a product know only low bits; the high ones know them all.
    state.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32
}
