//! The structure of running text: paragraphs and lines.

use std::ops::Range;

use super::boundary::{BoundaryLevel, TextOutline};
use crate::domain::sentences::is_wrapped_line;

/// Adds the cuts of a plain text: before paragraphs and before lines.
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
    if after_blank {
        outline.cut(line_start, BoundaryLevel::Block);
    }
    scan_lines(text, &[], outline);
}

/// Adds a cut before every line; outside of `code`, not before lines that are merely wrapped.
pub(super) fn scan_lines(text: &str, code: &[Range<usize>], outline: &mut TextOutline) {
    let mut code = code.iter().peekable();
    for line_end in memchr::memchr_iter(b'\n', text.as_bytes()) {
        let at = line_end + 1;
        while code.next_if(|range| range.end < at).is_some() {}
        let in_code = code.peek().is_some_and(|range| range.start <= line_end);
        if in_code || !is_wrapped_line(text.as_bytes(), line_end) {
            outline.cut(at, BoundaryLevel::Line);
        }
    }
}
