//! XML 1.0: one element per document, one per passage, everything from a document escaped.

use std::fmt::Write as _;

use super::hidden_characters::visible_line;
use super::{DocumentHeader, PassageLabel};

pub(super) const OPEN: &str = "<context>\n";
pub(super) const CLOSE: &str = "</context>\n";
pub(super) const CLOSE_DOCUMENT: &str = "</document>\n";
pub(super) const CLOSE_PASSAGE: &str = "</passage>\n";

pub(super) fn open_document(out: &mut String, header: &DocumentHeader) {
    out.push_str("<document id=\"");
    escape_attribute(out, header.id);
    let _ = write!(out, "\" version=\"{}\"", header.version);
    if !header.section.is_empty() {
        out.push_str(" section=\"");
        escape_attribute(out, header.section);
        out.push('"');
    }
    out.push_str(">\n");
}

pub(super) fn open_passage(out: &mut String, label: &PassageLabel) {
    let PassageLabel { number, span, heading, .. } = label;
    let _ = write!(out, "<passage n=\"{number}\" span=\"{}-{}\"", span.start, span.end);
    if !heading.is_empty() {
        out.push_str(" heading=\"");
        escape_attribute(out, heading);
        out.push('"');
    }
    out.push('>');
}

/// Character data: `&`, `<`, and the `>` of `]]>`, which may not stand as it is.
pub(super) fn escape(out: &mut String, text: &str) {
    let mut copied = 0;
    for at in memchr::memchr3_iter(b'&', b'<', b'>', text.as_bytes()) {
        let replacement = match text.as_bytes()[at] {
            b'&' => "&amp;",
            b'<' => "&lt;",
            _ if text[..at].ends_with("]]") => "&gt;",
            _ => continue,
        };
        out.push_str(&text[copied..at]);
        out.push_str(replacement);
        copied = at + 1;
    }
    out.push_str(&text[copied..]);
}

fn escape_attribute(out: &mut String, text: &str) {
    let mut escaped = String::new();
    escape(&mut escaped, &visible_line(text));
    out.push_str(&escaped.replace('"', "&quot;"));
}
