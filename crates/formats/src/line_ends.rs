//! One line end for all texts: LF.
//!
//! CRLF and a lone CR become LF, and NUL becomes U+FFFD. Nothing else changes: bidi controls, zero-width
//! characters and unusual white space stay. Parsers see only such text; [`with_normal_line_ends`] gives them
//! that and maps their output back to what they were called with.

use crate::parsed_text::ParsedText;
use crate::source_map::{MappedText, SourceMap};

/// Converts CRLF and CR to LF, and NUL to U+FFFD. A text that needs no change is returned as it is.
pub fn normalise_line_ends(text: String) -> (String, SourceMap) {
    if is_normal(&text) {
        let map = SourceMap::identity(text.len());
        return (text, map);
    }
    rewrite_line_ends(&text)
}

/// Calls a parser with text of normal line ends and makes its map one of `source`.
pub(crate) fn with_normal_line_ends(source: &str, parse: impl FnOnce(&str) -> ParsedText) -> ParsedText {
    if is_normal(source) {
        return parse(source);
    }
    let (normal, earlier) = rewrite_line_ends(source);
    let mut parsed = parse(&normal);
    parsed.map = parsed.map.after(&earlier);
    parsed
}

fn is_normal(text: &str) -> bool {
    memchr::memchr2(b'\r', 0, text.as_bytes()).is_none()
}

fn rewrite_line_ends(text: &str) -> (String, SourceMap) {
    let bytes = text.as_bytes();
    let mut out = MappedText::default();
    let mut done = 0;
    for at in memchr::memchr2_iter(b'\r', 0, bytes) {
        out.copy(text, done..at);
        done = at + 1;
        if bytes[at] == 0 {
            out.write("\u{FFFD}", at..done);
        } else {
            done += usize::from(bytes.get(done) == Some(&b'\n'));
            out.write("\n", at..done);
        }
    }
    out.copy(text, done..text.len());
    out.finish()
}

#[cfg(test)]
mod tests {
    use super::normalise_line_ends;

    #[test]
    fn line_ends_become_lf_and_nul_becomes_visible() {
        let source = "a\r\nb\rc\n\0d\r";
        let (text, map) = normalise_line_ends(source.to_owned());
        assert_eq!(text, "a\nb\nc\n\u{FFFD}d\n");
        assert!(map.is_map_of(&text, source));
        assert_eq!(map.source_span(2..3), 3..4);
    }
}
