//! JSON (RFC 8259): one compact object that holds documents with their passages.
//!
//! Every text is escaped, so none can end its string. Numbers and spans are integers.

use std::fmt::Write as _;

use super::hidden_characters::visible_line;
use super::{DocumentHeader, PassageLabel};

pub(super) const OPEN: &str = "{\"documents\":[";
pub(super) const CLOSE: &str = "]}";
pub(super) const CLOSE_DOCUMENT: &str = "]}";
pub(super) const CLOSE_PASSAGE: &str = "\"}";

pub(super) fn open_document(out: &mut String, header: &DocumentHeader) {
    // A comma before, not after: what follows a passage must not change what stands before its end.
    if !header.first {
        out.push(',');
    }
    out.push_str("{\"id\":\"");
    escape(out, &visible_line(header.id));
    let _ = write!(out, "\",\"version\":{},", header.version);
    if !header.section.is_empty() {
        out.push_str("\"section\":\"");
        escape(out, &visible_line(header.section));
        out.push_str("\",");
    }
    out.push_str("\"passages\":[");
}

pub(super) fn open_passage(out: &mut String, label: &PassageLabel) {
    let PassageLabel { number, span, heading, first, .. } = label;
    if !first {
        out.push(',');
    }
    let _ = write!(out, "{{\"n\":{number},\"span\":[{},{}],", span.start, span.end);
    if let Some((unit, first, last)) = label.numbered_place() {
        let _ = write!(out, "\"{unit}s\":[{first},{last}],");
    }
    if !heading.is_empty() {
        out.push_str("\"heading\":\"");
        escape(out, &visible_line(heading));
        out.push_str("\",");
    }
    out.push_str("\"text\":\"");
}

/// Escapes the inside of a string. Of the control characters only line feed and tab can occur: the others
/// were made visible before.
pub(super) fn escape(out: &mut String, text: &str) {
    // Runs without escapes are copied whole.
    let mut copied = 0;
    for (at, byte) in text.bytes().enumerate() {
        let replacement = match byte {
            b'"' => "\\\"",
            b'\\' => "\\\\",
            b'\n' => "\\n",
            b'\t' => "\\t",
            _ => continue,
        };
        out.push_str(&text[copied..at]);
        out.push_str(replacement);
        copied = at + 1;
    }
    out.push_str(&text[copied..]);
}
