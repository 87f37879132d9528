//! String literals of JSON in pieces, each with its place in the file.

use std::ops::Range;

pub(super) fn decoded(source: &str, literals: &[Range<usize>]) -> String {
    let mut text = String::new();
    for literal in literals {
        for piece in JsonStringPieces::new(source, literal) {
            match piece {
                JsonStringPiece::Copied(range) => text.push_str(&source[range]),
                JsonStringPiece::Escaped(character, _) => text.push(character),
            }
        }
    }
    text
}

/// A part of a JSON string: a range without escapes, or an escape.
pub(super) enum JsonStringPiece {
    Copied(Range<usize>),
    Escaped(char, Range<usize>),
}

/// The parts of a valid JSON string literal.
pub(super) struct JsonStringPieces<'a> {
    source: &'a str,
    at: usize,
    end: usize,
}

impl<'a> JsonStringPieces<'a> {
    pub(super) fn new(source: &'a str, literal: &Range<usize>) -> Self {
        Self { source, at: literal.start + 1, end: literal.end - 1 }
    }

    fn unit(&self, at: usize) -> Option<u32> {
        let digits = self.source[..self.end].get(at..at + 6)?.strip_prefix("\\u")?;
        u32::from_str_radix(digits, 16).ok()
    }
}

impl Iterator for JsonStringPieces<'_> {
    type Item = JsonStringPiece;

    fn next(&mut self) -> Option<JsonStringPiece> {
        if self.at >= self.end {
            return None;
        }
        let start = self.at;
        let rest = &self.source.as_bytes()[start..self.end];
        let plain = memchr::memchr(b'\\', rest).unwrap_or(rest.len());
        if plain > 0 {
            self.at += plain;
            return Some(JsonStringPiece::Copied(start..self.at));
        }
        let (character, bytes) = match rest.get(1)? {
            b'n' => ('\n', 2),
            b't' => ('\t', 2),
            b'r' => ('\r', 2),
            b'b' => ('\u{8}', 2),
            b'f' => ('\u{c}', 2),
            b'u' => {
                let first = self.unit(start).unwrap_or(0xfffd);
                let second = self.unit(start + 6).filter(|unit| (0xdc00..0xe000).contains(unit));
                match second.filter(|_| (0xd800..0xdc00).contains(&first)) {
                    Some(second) => {
                        let code = 0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00);
                        (char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER), 12)
                    }
                    None => (char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER), 6),
                }
            }
            &other => (char::from(other), 2),
        };
        self.at = (start + bytes).min(self.end);
        Some(JsonStringPiece::Escaped(character, start..self.at))
    }
}
