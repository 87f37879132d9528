//! Markdown-like text from words, gaps and markers, with the way back to the source.
//!
//! White space collapses as in a browser; a gap is written when the next text comes, the largest that was asked
//! for. A line of text that Markdown would read as structure gets a backslash. In a table's cell everything is
//! on one line and `|` gets a backslash. Lists indent at most [`INDENTED_LISTS_MAX`] levels. What a heading, an item,
//! a row or a mark asks for stands in `blocks`.

mod blocks;
mod plain_text;

use std::ops::Range;

use plain_text::plain_bytes;

use super::dom::HtmlTextPiece;
use crate::source_map::MappedText;

/// Most levels of indented lists; deeper ones look like the last level.
const INDENTED_LISTS_MAX: usize = 8;
/// Spaces per level: more than any list marker, and less than Markdown needs for a code block.
const INDENT_SPACES: usize = 4;

/// The gap that is due before the next text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) enum HtmlGap {
    #[default]
    None,
    Space,
    Line,
    Paragraph,
}

/// What is written around inline text: `~~` and `~~`, `[` and `](address)`.
#[derive(Debug)]
struct HtmlInlineMark {
    open: &'static str,
    close: String,
    tag: Range<usize>,
    opened: bool,
    /// Whether every block inside gets marks of its own; if not, only the first does.
    for_each_block: bool,
    done: bool,
}

/// Writes the text of a page.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts about the line that is written")]
pub(super) struct HtmlMarkdownWriter<'a> {
    source: &'a str,
    out: MappedText,
    gap: HtmlGap,
    /// Whether the gap is a single line break that a second one makes a paragraph.
    broken: bool,
    /// Marker to put before the next text: `## `, `- `; and the tag that it stands for.
    marker: String,
    marker_tag: Range<usize>,
    heading: bool,
    /// One entry per open list; a number counts the items of an ordered one.
    lists: Vec<Option<i64>>,
    /// How many of the open lists a heading or fence at the start of a line has ended for Markdown: what
    /// follows would be code if it was indented for them.
    lists_ended: usize,
    marks: Vec<HtmlInlineMark>,
    /// Of the open elements that ask for marks, which have got some: those inside of the same have not.
    marked: Vec<bool>,
    /// Marks that are open around the row of a table, which cannot be inside of them.
    marks_around: Vec<HtmlInlineMark>,
    /// Whether everything goes on the current line, as in a table's cell.
    in_cell: bool,
    /// Whether the next text is the first of its line, whatever the gap.
    line_open: bool,
}

impl<'a> HtmlMarkdownWriter<'a> {
    pub(super) fn new(source: &'a str) -> Self {
        Self {
            source,
            out: MappedText::default(),
            gap: HtmlGap::None,
            broken: false,
            marker: String::new(),
            marker_tag: 0..0,
            heading: false,
            lists: Vec::new(),
            lists_ended: 0,
            marks: Vec::new(),
            marked: Vec::new(),
            marks_around: Vec::new(),
            in_cell: false,
            line_open: true,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.out.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.out.len()
    }

    pub(super) fn in_cell(&self) -> bool {
        self.in_cell
    }

    pub(super) fn in_heading(&self) -> bool {
        self.heading
    }

    /// The last character that was written, if no gap is due behind it.
    pub(super) fn last_character(&self) -> Option<char> {
        if self.gap == HtmlGap::None { self.out.as_str().chars().next_back() } else { None }
    }

    /// The end of the line that is being written, at most 64 bytes.
    pub(super) fn line_so_far(&self) -> &str {
        let text = self.out.as_str();
        let end = &text[text.ceil_char_boundary(text.len().saturating_sub(64))..];
        &end[end.rfind('\n').map_or(0, |at| at + 1)..]
    }

    /// Writes text that stood as text; `following` is what stands behind it.
    pub(super) fn text(&mut self, piece: &HtmlTextPiece, following: &str) {
        let source = self.source;
        let text = piece.text(source);
        let bytes = text.as_bytes();
        let is_space = |at: usize| bytes.get(at).is_none_or(u8::is_ascii_whitespace);
        let mut start = None;
        let mut at = 0;
        while at < bytes.len() {
            if start.is_some() {
                at += plain_bytes(&bytes[at..], self.in_cell);
                if at == bytes.len() {
                    break;
                }
            }
            let (width, ends, space) = match bytes[at] {
                // One space between words is copied with them.
                b' ' if start.is_some()
                    && !is_space(at + 1)
                    && !matches!(bytes[at + 1], 0xC2 | 0xE2 | 0xEF) =>
                {
                    (1, false, false)
                }
                b' ' | b'\t' | b'\n' | b'\r' | b'\x0C' => (1, true, true),
                // No-break spaces, wide and narrow; soft hyphen; byte order mark.
                0xC2 if bytes.get(at + 1) == Some(&0xA0) => (2, true, true),
                0xE2 if bytes[at..].starts_with("\u{202F}".as_bytes()) => (3, true, true),
                0xC2 if bytes.get(at + 1) == Some(&0xAD) => (2, true, false),
                0xEF if bytes[at..].starts_with("\u{FEFF}".as_bytes()) => (3, true, false),
                b'|' if self.in_cell => (0, true, false),
                _ => {
                    start.get_or_insert(at);
                    (1, false, false)
                }
            };
            if ends {
                if let Some(from) = start.take() {
                    self.run(piece, text, from..at, "");
                }
                if space {
                    self.gap = self.gap.max(HtmlGap::Space);
                }
            }
            if width == 0 {
                self.bridge(&piece.source);
                let place = piece.source.start + if piece.decoded.is_some() { 0 } else { at };
                self.out.write("\\", place..place);
                start = Some(at);
                at += 1;
            }
            at += width;
        }
        if let Some(from) = start {
            self.run(piece, text, from..bytes.len(), following);
        }
    }

    /// Writes words with single spaces between them.
    fn run(&mut self, piece: &HtmlTextPiece, text: &str, range: Range<usize>, following: &str) {
        let words = &text[range.clone()];
        let source = match &piece.decoded {
            Some(_) => piece.source.clone(),
            None => piece.source.start + range.start..piece.source.start + range.end,
        };
        let marked = !self.marker.is_empty();
        let starts_line = self.bridge(&source);
        // Behind a marker the word is inside an item or a heading and cannot open a structure of its own.
        if starts_line && !marked && !self.in_cell && reads_as_structure(words, following) {
            self.out.write("\\", source.start..source.start);
        }
        if piece.decoded.is_some() {
            self.out.write(words, source);
        } else {
            self.out.copy(self.source, source);
        }
    }

    /// Writes text that is not in the source, behind what is due.
    pub(super) fn write(&mut self, text: &str, tag: Range<usize>) {
        self.bridge(&tag);
        self.out.write(text, tag);
    }

    /// Writes text right behind the last.
    pub(super) fn write_on(&mut self, text: &str, tag: Range<usize>) {
        self.out.write(text, tag);
        self.line_open = false;
    }

    /// Copies a part of the source right behind the last text.
    pub(super) fn copy_on(&mut self, range: Range<usize>) {
        self.out.copy(self.source, range);
        self.line_open = false;
    }

    /// Writes the due gap, marker and inline marks; returns whether a line starts here.
    fn bridge(&mut self, next: &Range<usize>) -> bool {
        let place = next.start..next.start;
        if !self.out.is_empty() {
            match self.gap {
                HtmlGap::None => {}
                HtmlGap::Space if self.line_open => {}
                HtmlGap::Space => self.out.write(" ", place.clone()),
                HtmlGap::Line => self.out.write("\n", place.clone()),
                HtmlGap::Paragraph => self.out.write("\n\n", place.clone()),
            }
        }
        let starts_line = (self.gap >= HtmlGap::Line || self.line_open) && !self.in_cell;
        if starts_line {
            if self.heading {
                self.lists_ended = self.lists.len();
            }
            let marked_list = usize::from(!self.marker.is_empty());
            let levels = self.lists.len().saturating_sub(self.lists_ended).min(INDENTED_LISTS_MAX);
            let levels = levels.saturating_sub(marked_list);
            self.out.write(&" ".repeat(levels * INDENT_SPACES), place);
        }
        self.gap = HtmlGap::None;
        self.broken = false;
        self.line_open = false;
        if !self.marker.is_empty() {
            self.out.write(&self.marker, self.marker_tag.clone());
            self.marker.clear();
        }
        for mark in self.marks.iter_mut().filter(|mark| !mark.opened && !mark.done) {
            self.out.write(mark.open, mark.tag.clone());
            mark.opened = true;
        }
        starts_line
    }

    /// Asks for a gap and ends nothing.
    pub(super) fn gap(&mut self, gap: HtmlGap) {
        let gap = if self.in_cell { gap.min(HtmlGap::Space) } else { gap };
        self.gap = self.gap.max(gap);
    }

    pub(super) fn finish(mut self) -> MappedText {
        if !self.out.is_empty() {
            let place = self.source.len()..self.source.len();
            self.out.write("\n", place);
        }
        self.out
    }
}

/// Whether a line that starts with this text would open a heading, a fence, a table or raw HTML.
fn reads_as_structure(text: &str, following: &str) -> bool {
    let first = text.split(' ').next().unwrap_or_default();
    let word: std::borrow::Cow<'_, str> = if first.len() == text.len() && !following.is_empty() {
        let next = following.split(|next: char| next.is_whitespace()).next().unwrap_or_default();
        format!("{first}{}", &next[..next.floor_char_boundary(16)]).into()
    } else {
        first.into()
    };
    let markup =
        |rest: &str| rest.starts_with(|next: char| next.is_ascii_alphabetic() || "!?/".contains(next));
    word.starts_with(['#', '=', '|'])
        || word.starts_with("```")
        || word.starts_with("~~~")
        || word.bytes().all(|byte| byte == b'-')
        || word.strip_prefix('<').is_some_and(markup)
}
