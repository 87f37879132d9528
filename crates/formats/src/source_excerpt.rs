//! The way from a part of a normalised text back to its source, in few bytes.
//!
//! A chunk carries one, so that any passage of it can name lines and bytes of the file without reading the file
//! again. Runs are those of a [`SourceMap`]. A text that differs from its source in nothing but its line ends needs
//! one run, whatever its length. Stored as base64 of variable-length numbers: 8 bytes for one run, about 8 for each
//! further one.

use std::ops::Range;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub use crate::source_lines::{SourceLines, SourcePlace, SourceUnit};
use crate::source_map::{MappedRun, SourceMap};

/// How the bytes of a run are those of the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ExcerptKind {
    /// The run stands for its range as a whole.
    Written,
    /// They are the same.
    Copied,
    /// They are the same, but for every LF that is a CRLF there.
    CopiedCrlf,
}

/// A run of a part of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
struct ExcerptRun {
    text_bytes: usize,
    kind: ExcerptKind,
    source: Range<usize>,
    /// First and last line.
    lines: (usize, usize),
}

/// The map of a part of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceExcerpt {
    runs: Vec<ExcerptRun>,
    /// Whether bytes of the source are bytes of the file.
    has_bytes: bool,
    unit: SourceUnit,
}

impl SourceMap {
    /// The map of `span`, a part of the text. `file_offset` is what precedes the source in its file, such as a byte
    /// order mark; none if bytes of the source are not those of the file.
    pub fn excerpt(
        &self,
        text: &str,
        span: Range<usize>,
        lines: &SourceLines,
        file_offset: Option<usize>,
    ) -> SourceExcerpt {
        let has_bytes = file_offset.is_some() && lines.unit().is_line();
        let mut excerpt = SourceExcerpt { runs: Vec::new(), has_bytes, unit: lines.unit() };
        let offset = file_offset.unwrap_or(0);
        for MappedRun { text: at, source, copied } in self.runs_in(span) {
            let last = source.end.saturating_sub(1).max(source.start);
            let run = ExcerptRun {
                text_bytes: at.len(),
                kind: if copied { ExcerptKind::Copied } else { ExcerptKind::Written },
                lines: (lines.line_of(source.start), lines.line_of(last)),
                source: source.start + offset..source.end + offset,
            };
            excerpt.push(run, &text[at]);
        }
        excerpt
    }
}

impl SourceExcerpt {
    /// The map of a text that stands for lines, pages, slides or rows as a whole. For tests.
    pub fn of_places(unit: SourceUnit, first: usize, last: usize, text_bytes: usize) -> Self {
        let run = ExcerptRun {
            text_bytes,
            kind: ExcerptKind::Written,
            source: 0..text_bytes,
            lines: (first, last),
        };
        Self { runs: vec![run], has_bytes: false, unit }
    }

    /// Adds a run, joined with the one before where both are lines with CRLF.
    fn push(&mut self, run: ExcerptRun, text: &str) {
        if let Some(last) = self.runs.last_mut().filter(|last| last.source.end == run.source.start) {
            let is_line_end = run.kind == ExcerptKind::Written && text == "\n" && run.source.len() == 2;
            let joined = match (last.kind, run.kind) {
                // So far there is no LF in it, so it is the same with CRLF.
                (ExcerptKind::Copied, _) if is_line_end => last.lines.0 == last.lines.1,
                (ExcerptKind::CopiedCrlf, ExcerptKind::Written) => is_line_end,
                // A copied LF would be one byte in the source as well.
                (ExcerptKind::CopiedCrlf, ExcerptKind::Copied) => !text.contains('\n'),
                _ => false,
            };
            if joined {
                last.kind = ExcerptKind::CopiedCrlf;
                last.text_bytes += run.text_bytes;
                last.source.end = run.source.end;
                last.lines.1 = run.lines.1;
                return;
            }
        }
        self.runs.push(run);
    }

    /// The place of `span`, a part of `text`, which is the text of this excerpt. None if it is of no place.
    pub fn place(&self, text: &str, span: Range<usize>) -> Option<SourcePlace> {
        let (mut copied, mut written) = (None, None);
        let mut at = 0;
        for run in &self.runs {
            let end = at + run.text_bytes;
            if at < span.end && span.start < end {
                let found =
                    self.place_in(run, text.get(at..end)?, span.start.max(at) - at..span.end.min(end) - at);
                // What is only written counts where nothing is copied: a fence, a table's border.
                let place = if run.kind == ExcerptKind::Written { &mut written } else { &mut copied };
                *place = Some(place.map_or(found, |place: SourcePlace| place.union(found)));
            }
            at = end;
        }
        copied.or(written)
    }

    fn place_in(&self, run: &ExcerptRun, text: &str, span: Range<usize>) -> SourcePlace {
        let bytes = |range: Range<usize>| self.has_bytes.then_some((range.start, range.end));
        let ExcerptRun { kind, source, lines, .. } = run;
        if *kind == ExcerptKind::Written {
            let (first_line, last_line) = *lines;
            return SourcePlace { unit: self.unit, first_line, last_line, bytes: bytes(source.clone()) };
        }
        let line_ends = |range: Range<usize>| memchr::memchr_iter(b'\n', &text.as_bytes()[range]).count();
        let before = line_ends(0..span.start);
        // A line end belongs to the line that it ends.
        let inside = line_ends(span.start..span.end.saturating_sub(1).max(span.start));
        let ended = line_ends(span.end.saturating_sub(1).max(span.start)..span.end);
        let wide = usize::from(*kind == ExcerptKind::CopiedCrlf);
        let start = source.start + span.start + before * wide;
        let end = source.start + span.end + (before + inside + ended) * wide;
        SourcePlace {
            unit: self.unit,
            first_line: lines.0 + before,
            last_line: lines.0 + before + inside,
            bytes: bytes(start..end),
        }
    }

    fn encode(&self) -> String {
        // The lowest bit, and the unit above it.
        let unit = SourceUnit::ALL.iter().position(|unit| *unit == self.unit).unwrap_or_default();
        let mut bytes = vec![u8::from(self.has_bytes) | u8::try_from(unit).unwrap_or_default() << 1];
        let (mut source, mut line) = (0, 0);
        for run in &self.runs {
            let kind = match run.kind {
                ExcerptKind::Written => 0,
                ExcerptKind::Copied => 1,
                ExcerptKind::CopiedCrlf => 2,
            };
            push_number(&mut bytes, run.text_bytes * 3 + kind);
            push_difference(&mut bytes, source, run.source.start);
            push_difference(&mut bytes, line, run.lines.0);
            push_number(&mut bytes, run.lines.1.saturating_sub(run.lines.0));
            push_number(&mut bytes, run.source.len());
            (source, line) = (run.source.end, run.lines.1);
        }
        STANDARD_NO_PAD.encode(bytes)
    }

    fn decode(text: &str) -> Option<Self> {
        let bytes = STANDARD_NO_PAD.decode(text).ok()?;
        let (first, mut rest) = bytes.split_first()?;
        let unit = *SourceUnit::ALL.get(usize::from(*first >> 1))?;
        let mut excerpt = Self { runs: Vec::new(), has_bytes: *first & 1 == 1, unit };
        let (mut source, mut line) = (0, 0);
        while !rest.is_empty() {
            let head = take_number(&mut rest)?;
            let kind = match head % 3 {
                0 => ExcerptKind::Written,
                1 => ExcerptKind::Copied,
                _ => ExcerptKind::CopiedCrlf,
            };
            let start = take_difference(&mut rest, source)?;
            let first_line = take_difference(&mut rest, line)?;
            let last_line = first_line.checked_add(take_number(&mut rest)?)?;
            let end = start.checked_add(take_number(&mut rest)?)?;
            (source, line) = (end, last_line);
            let lines = (first_line, last_line);
            excerpt.runs.push(ExcerptRun { text_bytes: head / 3, kind, source: start..end, lines });
        }
        Some(excerpt)
    }
}

impl Serialize for SourceExcerpt {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.encode())
    }
}

impl<'de> Deserialize<'de> for SourceExcerpt {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::decode(&text).ok_or_else(|| D::Error::custom("not the excerpt of a source map"))
    }
}

/// Appends a number, seven bits a byte, the lowest first (LEB128).
fn push_number(bytes: &mut Vec<u8>, mut number: usize) {
    loop {
        let low = u8::try_from(number & 0x7F).unwrap_or(0);
        number >>= 7;
        if number == 0 {
            bytes.push(low);
            return;
        }
        bytes.push(low | 0x80);
    }
}

fn take_number(bytes: &mut &[u8]) -> Option<usize> {
    let mut number = 0_usize;
    for shift in (0..usize::BITS).step_by(7) {
        let (first, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= usize::from(first & 0x7F).checked_shl(shift)?;
        if first & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

/// Appends how far `to` is from `from`: even numbers forward, odd ones back.
fn push_difference(bytes: &mut Vec<u8>, from: usize, to: usize) {
    push_number(bytes, if to >= from { (to - from) * 2 } else { (from - to) * 2 - 1 });
}

fn take_difference(bytes: &mut &[u8], from: usize) -> Option<usize> {
    let number = take_number(bytes)?;
    if number % 2 == 0 { from.checked_add(number / 2) } else { from.checked_sub(number / 2 + 1) }
}

#[cfg(test)]
mod tests {
    use super::{SourceExcerpt, SourceLines, SourcePlace, SourceUnit};
    use crate::source_map::{MappedText, SourceMap};

    fn stored(excerpt: &SourceExcerpt) -> SourceExcerpt {
        SourceExcerpt::decode(&excerpt.encode()).expect("an excerpt")
    }

    #[test]
    fn lines_end_in_three_ways() {
        let lines = SourceLines::new("a\nb\r\nc\rd");
        assert_eq!([0, 1, 2, 3, 4, 5, 6, 7].map(|at| lines.line_of(at)), [1, 1, 2, 2, 2, 3, 3, 4]);
    }

    #[test]
    fn text_that_is_its_source_needs_one_run() {
        let source = "one\ntwo\nthree\n".repeat(100);
        let excerpt =
            SourceMap::identity(source.len()).excerpt(&source, 4..800, &SourceLines::new(&source), Some(3));
        assert_eq!(excerpt.runs.len(), 1);
        assert!(excerpt.encode().len() <= 16, "{}", excerpt.encode().len());
        let place = stored(&excerpt).place(&source[4..800], 4..9).expect("a place");
        assert_eq!((place.first_line, place.last_line, place.bytes), (3, 3, Some((11, 16))));
    }

    #[test]
    fn lines_with_crlf_need_one_run() {
        let source = "one\r\ntwo\r\nthree\r\n".repeat(50);
        let mut out = MappedText::default();
        let mut at = 0;
        for line in source.split_inclusive("\r\n") {
            out.copy(&source, at..at + line.len() - 2);
            out.write("\n", at + line.len() - 2..at + line.len());
            at += line.len();
        }
        let (text, map) = out.finish();
        let lines = SourceLines::new(&source);
        let excerpt = stored(&map.excerpt(&text, 0..text.len(), &lines, Some(0)));
        assert_eq!(excerpt.runs.len(), 1);
        for (start, word) in text.match_indices("three") {
            let place = excerpt.place(&text, start..start + word.len()).expect("a place");
            let (first, end) = place.bytes.expect("bytes");
            assert_eq!((&source[first..end], place.first_line), (word, lines.line_of(first)));
        }
        let two_lines = excerpt.place(&text, 0..7).expect("a place");
        assert_eq!((two_lines.first_line, two_lines.last_line, two_lines.bytes), (1, 2, Some((0, 8))));
    }

    #[test]
    fn pages_are_counted_where_there_are_no_lines() {
        let pages = ["One page.\n\n", "Two pages.\n\n", "Five pages.\n"];
        let mut map = SourceMap::default();
        for (index, page) in pages.iter().enumerate() {
            map.push_written(page.len(), index..index + 1);
        }
        let text = pages.concat();
        let lines = SourceLines::of_places(SourceUnit::Page, vec![1, 2, 5]);
        let excerpt = stored(&map.excerpt(&text, 0..text.len(), &lines, Some(0)));
        let place = |words: &str| {
            let start = text.find(words).expect("words");
            excerpt.place(&text, start..start + words.len()).expect("a place")
        };
        let page = |first_line, last_line| SourcePlace {
            unit: SourceUnit::Page,
            first_line,
            last_line,
            bytes: None,
        };
        assert_eq!(place("One"), page(1, 1));
        assert_eq!(place("Five"), page(5, 5));
        assert_eq!(place("page.\n\nTwo"), page(1, 2));
        assert_eq!(place("Two").union(place("Five")), page(2, 5));
    }

    #[test]
    fn written_runs_count_where_nothing_is_copied() {
        let source = "<h2>A &amp; B</h2>\n<p>text</p>";
        let mut out = MappedText::default();
        out.write("## ", 0..4);
        out.copy(source, 4..6);
        out.write("&", 6..11);
        out.copy(source, 11..13);
        out.write("\n\n", 13..22);
        out.copy(source, 22..26);
        let (text, map) = out.finish();
        let excerpt = stored(&map.excerpt(&text, 0..text.len(), &SourceLines::new(source), None));
        let place = |start, end| excerpt.place(&text, start..end).expect("a place");
        assert_eq!((place(0, 8).first_line, place(0, 8).last_line, place(0, 8).bytes), (1, 1, None));
        assert_eq!((place(0, text.len()).first_line, place(0, text.len()).last_line), (1, 2));
        assert_eq!((place(8, 10).first_line, place(8, 10).last_line), (1, 2));
        assert_eq!(excerpt.place(&text, 3..3), None);
    }
}
