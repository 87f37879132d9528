//! The cells of a text, as csv-core reads them, with their places.

use std::borrow::Cow;

use csv_core::{ReadFieldResult, Reader, ReaderBuilder};

use super::DelimitedCell;

/// Bytes read anew for quotes that close nowhere or in the middle of another cell, as a multiple of the text.
/// Behind them no cell is quoted.
const READ_AGAIN_MAX: usize = 8;

/// The cells of a text, in order.
pub(super) struct DelimitedCells<'a> {
    text: &'a str,
    delimiter: u8,
    at: usize,
    reader: Reader,
    read_again: usize,
    /// Up to where quotes are characters, because one of them does not close.
    unquoted_until: usize,
    done: bool,
}

impl<'a> DelimitedCells<'a> {
    pub(super) fn new(text: &'a str, start: usize, delimiter: u8) -> Self {
        let reader = ReaderBuilder::new().delimiter(delimiter).build();
        Self { text, delimiter, at: start, reader, read_again: 0, unquoted_until: start, done: false }
    }

    /// Reads one cell with csv-core. Returns how many bytes it took, with the delimiter, and whether it ends the
    /// record; `None` at the end.
    fn read_cell(&mut self) -> Option<(usize, bool)> {
        let mut buffer = [0; 1024];
        let mut taken = 0;
        loop {
            let rest = &self.text.as_bytes()[self.at + taken..];
            let (result, read, _) = self.reader.read_field(rest, &mut buffer);
            taken += read;
            match result {
                // An empty slice, which is what is left now, tells the reader that the text has ended.
                ReadFieldResult::InputEmpty | ReadFieldResult::OutputFull => {}
                ReadFieldResult::Field { record_end } => return Some((taken, record_end)),
                ReadFieldResult::End => return None,
            }
        }
    }

    fn restart(&mut self, at: usize, quoting: bool) {
        self.at = at;
        self.reader = ReaderBuilder::new().delimiter(self.delimiter).quoting(quoting).build();
    }
}

impl Iterator for DelimitedCells<'_> {
    type Item = DelimitedCell;

    fn next(&mut self) -> Option<DelimitedCell> {
        if self.done {
            return None;
        }
        let bytes = self.text.as_bytes();
        let skipped_lines = |at: usize| bytes[at..].iter().take_while(|&&byte| byte == b'\n').count();
        loop {
            let begun = self.at;
            let Some((taken, ends_record)) = self.read_cell() else {
                self.done = true;
                return None;
            };
            let behind = begun + taken;
            let mut end = behind;
            // The reader skips empty lines before a record; a cell cannot begin with a line end otherwise.
            let start = if begun == 0 || bytes[begun - 1] == b'\n' {
                begun + skipped_lines(begun).min(taken)
            } else {
                begun
            };
            if end > start && (bytes[end - 1] == self.delimiter && !ends_record || bytes[end - 1] == b'\n') {
                end -= 1;
            }
            let raw = &self.text[start..end];
            let quoting = start >= self.unquoted_until && raw.starts_with('"');
            let quoted = quoting && is_enclosed(raw);
            if quoting && !quoted && !closes_in_line(raw) {
                // This quote closes nowhere, or in the middle of another cell. Its line is read again as if it
                // were a character.
                self.read_again += raw.len();
                let line_end =
                    memchr::memchr(b'\n', &bytes[start..]).map_or(bytes.len(), |at| start + at + 1);
                let last = self.read_again > READ_AGAIN_MAX * bytes.len();
                self.unquoted_until = if last { usize::MAX } else { line_end };
                self.restart(start, false);
                continue;
            }
            self.at = behind;
            if self.unquoted_until != usize::MAX
                && start < self.unquoted_until
                && behind >= self.unquoted_until
            {
                self.restart(behind, true);
            }
            return Some(DelimitedCell { range: start..end, quoted, ends_record });
        }
    }
}

/// Whether quotes enclose a cell to its end: `"5"" pipe"`, but not `"5" pipe`.
fn is_enclosed(raw: &str) -> bool {
    let Some(inner) = raw.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else { return false };
    let mut quotes = 0;
    for byte in inner.bytes() {
        if byte == b'"' {
            quotes += 1;
        } else if quotes % 2 == 1 {
            return false;
        } else {
            quotes = 0;
        }
    }
    quotes % 2 == 0
}

/// Whether a quote closes in the line that it opens in: `"5" pipe`.
fn closes_in_line(raw: &str) -> bool {
    let line = raw.lines().next().unwrap_or_default();
    line.len() == raw.len() && line.matches('"').count().is_multiple_of(2)
}

/// Returns the content of a cell without its quotes.
pub(super) fn cell_content<'a>(text: &'a str, cell: &DelimitedCell) -> Cow<'a, str> {
    let raw = &text[cell.range.clone()];
    if cell.quoted { Cow::Owned(raw[1..raw.len() - 1].replace("\"\"", "\"")) } else { Cow::Borrowed(raw) }
}
