//! XML 1.0: one element for each document, one for each passage.
//!
//! Everything that comes from a document is escaped, so no text can end its element.

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
    match label.numbered_place() {
        Some((unit, first, last)) if first == last => {
            let _ = write!(out, " {unit}=\"{first}\"");
        }
        Some((unit, first, last)) => {
            let _ = write!(out, " {unit}s=\"{first}-{last}\"");
        }
        None => {}
    }
    if !heading.is_empty() {
        out.push_str(" heading=\"");
        escape_attribute(out, heading);
        out.push('"');
    }
    out.push('>');
}

/// Escapes character data: `&`, `<`, and the `>` of `]]>`, which XML forbids in text.
pub(super) fn escape(out: &mut String, text: &str) {
    let mut copied = 0;
    // ASCII bytes never occur inside a multi-byte character, so slicing at them is safe.
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

/// Escapes an attribute value between double quotes.
fn escape_attribute(out: &mut String, text: &str) {
    let mut escaped = String::new();
    // Line feeds and tabs were escaped as hidden characters: a parser would normalise them in attributes.
    escape(&mut escaped, &visible_line(text));
    out.push_str(&escaped.replace('"', "&quot;"));
}
