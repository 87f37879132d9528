//! The second step over Markdown: what stands outside of blocks of code.
//!
//! Here is the walk over the text, with lines and paragraphs; `elements` takes tags, `spans` the other marks.

mod elements;
mod spans;

use std::ops::Range;

use crate::source_map::MappedText;

/// Longest template tag, wiki link, link text and look ahead for the end of a link.
const SPAN_BYTES_MAX: usize = 1024;
/// Lengths of runs of backticks that can be code; longer ones are text.
const BACKTICKS_MAX: usize = 64;

/// Rewrites a text outside of its ranges of code.
pub(super) fn rewrite_inline(text: &str, code: &[Range<usize>]) -> MappedText {
    let mut scan = InlineScanner {
        text,
        out: MappedText::default(),
        line_start: 0,
        dropped: false,
        after_dropped: false,
        heading: false,
        table: None,
        links: Vec::new(),
        paragraph_end: 0,
        unmatched_backticks: [false; BACKTICKS_MAX],
        missing: Vec::new(),
    };
    let mut at = 0;
    for range in code {
        // What was dropped may reach into code.
        if range.start >= at {
            at = scan.prose(at, range.start);
        }
        if range.end > at {
            scan.close_blocks(at);
            scan.out.copy(text, at.max(range.start)..range.end);
            scan.begin_line();
            at = range.end;
        }
    }
    scan.prose(at, text.len());
    scan.close_blocks(text.len());
    scan.out
}

/// A table of HTML that is being written as a Markdown table.
#[derive(Default)]
struct OpenHtmlTable {
    rows: usize,
    cells: usize,
    in_cell: bool,
}

struct InlineScanner<'a> {
    text: &'a str,
    out: MappedText,
    /// Start of the current line in `out`.
    line_start: usize,
    /// Whether something of the current line was dropped.
    dropped: bool,
    after_dropped: bool,
    /// Inside of `<h1>` to `<h6>`, where lines are joined.
    heading: bool,
    table: Option<OpenHtmlTable>,
    /// Targets of open `<a>`.
    links: Vec<Range<usize>>,
    paragraph_end: usize,
    /// Lengths of runs of backticks that do not come again in this paragraph.
    unmatched_backticks: [bool; BACKTICKS_MAX],
    missing: Vec<&'static str>,
}

impl InlineScanner<'_> {
    /// Rewrites from a byte to another; returns where it ended, which is later if what is dropped is longer.
    fn prose(&mut self, from: usize, to: usize) -> usize {
        let bytes = self.text.as_bytes();
        let mut at = from;
        while at < to {
            let special = |byte: &u8| matches!(byte, b'\n' | b'`' | b'\\' | b'<' | b'{' | b'[');
            let next = bytes[at..to].iter().position(special).map_or(to, |found| at + found);
            self.out.copy(self.text, at..next);
            if next == to {
                return to;
            }
            at = match bytes[next] {
                b'\n' => self.line_end(next),
                b'`' => self.backticks(next, to),
                b'\\' => {
                    let escaped = bytes.get(next + 1).is_some_and(u8::is_ascii_punctuation) && next + 2 <= to;
                    self.copy(next, next + 1 + usize::from(escaped))
                }
                b'<' => self.angle(next),
                b'{' => self.brace(next),
                _ => self.bracket(next),
            };
        }
        at
    }

    fn copy(&mut self, from: usize, to: usize) -> usize {
        self.out.copy(self.text, from..to);
        to
    }

    fn drop_to(&mut self, to: usize) -> usize {
        self.dropped = true;
        to
    }

    fn current_line(&self) -> &str {
        &self.out.as_str()[self.line_start..]
    }

    fn begin_line(&mut self) {
        self.line_start = self.out.len();
        self.dropped = false;
    }

    fn line_end(&mut self, at: usize) -> usize {
        let next = at + 1;
        if self.text.as_bytes().get(next) == Some(&b'\n') {
            self.links.clear();
            if self.heading {
                self.heading = false;
                self.dropped = false;
            }
        }
        if self.heading || self.table.as_ref().is_some_and(|table| table.in_cell) {
            if !self.out.as_str().ends_with([' ', '\n']) {
                self.out.write(" ", at..next);
            }
            let indent = self.text[next..].len() - self.text[next..].trim_start_matches([' ', '\t']).len();
            return next + indent;
        }
        // Between the cells of a row a line end is nothing.
        let between =
            self.current_line().starts_with('|') || self.dropped && self.current_line().trim().is_empty();
        if self.table.is_some() && between {
            return next + self.text[next..].len() - self.text[next..].trim_start_matches([' ', '\t']).len();
        }
        let blank = self.current_line().trim().is_empty();
        if blank && (self.dropped || self.after_dropped && self.current_line().is_empty()) {
            let start = self.line_start;
            self.out.truncate(start);
            if !self.out.is_empty() && !self.out.as_str().ends_with("\n\n") {
                self.copy(at, next);
            }
            self.after_dropped = true;
        } else {
            self.copy(at, next);
            self.after_dropped = false;
        }
        self.begin_line();
        next
    }

    /// Ends the current line and makes the next begin a paragraph.
    fn break_paragraph(&mut self, place: Range<usize>) {
        let start = self.line_start;
        if self.current_line().trim().is_empty() {
            self.out.truncate(start);
        }
        if !self.out.is_empty() {
            let ends = self.out.as_str().bytes().rev().take(2).take_while(|&byte| byte == b'\n').count();
            self.out.write(&"\n\n"[ends..], place);
        }
        self.begin_line();
        self.after_dropped = true;
    }

    fn close_blocks(&mut self, at: usize) {
        if self.heading || self.table.is_some() {
            self.heading = false;
            self.table = None;
            self.break_paragraph(at..at);
        } else if self.dropped && self.current_line().trim().is_empty() {
            let start = self.line_start;
            self.out.truncate(start);
            self.begin_line();
        }
    }

    /// Where a closer that begins at or behind a byte ends. What is not found is not looked for again.
    fn find_end(&mut self, from: usize, closer: &'static str, bytes_max: usize) -> Option<usize> {
        if self.missing.contains(&closer) {
            return None;
        }
        let rest = &self.text.as_bytes()[from..];
        let limit = rest.len().min(bytes_max);
        let found = memchr::memmem::find(&rest[..limit], closer.as_bytes());
        if found.is_none() && limit == rest.len() {
            self.missing.push(closer);
        }
        found.map(|found| from + found + closer.len())
    }
}
