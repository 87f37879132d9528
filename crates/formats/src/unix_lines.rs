//! What all parsers of text need: line ends made LF before anything is read, and the lines of a text.

use std::borrow::Cow;
use std::ops::Range;

use crate::parsed_text::ParsedText;
use crate::source_map::MappedText;

/// Runs a parser on the source with CRLF and CR as LF and without NUL, and maps its result to the source.
pub(crate) fn parse_unix_lines(source: &str, parse: impl FnOnce(&str) -> ParsedText) -> ParsedText {
    if memchr::memchr2(b'\r', 0, source.as_bytes()).is_none() {
        return parse(source);
    }
    let mut clean = MappedText::default();
    let mut copied = 0;
    for at in memchr::memchr2_iter(b'\r', 0, source.as_bytes()) {
        clean.copy(source, copied..at);
        if source.as_bytes()[at] == 0 {
            clean.write("\u{fffd}", at..at + 1);
        } else if source.as_bytes().get(at + 1) != Some(&b'\n') {
            clean.write("\n", at..at + 1);
        }
        copied = at + 1;
    }
    clean.copy(source, copied..source.len());
    let (text, earlier) = clean.finish();
    let mut parsed = parse(&text);
    parsed.map = parsed.map.after(&earlier);
    parsed
}

/// The ranges of the lines from a byte on, without their line ends. A line end at the very end begins no line.
pub(crate) fn line_ranges(text: &str, from: usize) -> Vec<Range<usize>> {
    let mut lines = Vec::new();
    let mut start = from;
    for end in memchr::memchr_iter(b'\n', &text.as_bytes()[from..]) {
        lines.push(start..from + end);
        start = from + end + 1;
    }
    if start < text.len() {
        lines.push(start..text.len());
    }
    lines
}

/// Columns of white space at the start of a line; a tab goes to the next multiple of four.
pub(crate) fn indent_columns(line: &str) -> usize {
    let mut columns = 0;
    for byte in line.bytes() {
        match byte {
            b' ' => columns += 1,
            b'\t' => columns += 4 - columns % 4,
            _ => break,
        }
    }
    columns
}

/// The byte of a line behind at most `columns` columns of white space.
pub(crate) fn dedent_bytes(line: &str, columns: usize) -> usize {
    let mut seen = 0;
    for (at, byte) in line.bytes().enumerate() {
        if seen >= columns {
            return at;
        }
        match byte {
            b' ' => seen += 1,
            b'\t' => seen += 4 - seen % 4,
            _ => return at,
        }
    }
    line.len()
}

/// The range of a range's text without white space at both ends.
pub(crate) fn trimmed_range(text: &str, range: Range<usize>) -> Range<usize> {
    let shown = &text[range.clone()];
    let start = range.start + (shown.len() - shown.trim_start().len());
    start..(start + shown.trim().len())
}

/// A text on one line: white space becomes single spaces.
pub(crate) fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The first character of a word in upper case, if it is ASCII.
pub(crate) fn capitalised(word: &str) -> Cow<'_, str> {
    match word.as_bytes().first() {
        Some(first) if first.is_ascii_lowercase() => {
            Cow::Owned(format!("{}{}", first.to_ascii_uppercase() as char, &word[1..]))
        }
        _ => Cow::Borrowed(word),
    }
}
