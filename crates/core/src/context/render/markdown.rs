//! Markdown: a bold line for each section, a heading for each document, a fenced block for each passage.
//!
//! The info string of the fence is the citation (`CommonMark` 0.31, section 4.5). A fence is one
//! backtick longer than the longest run in its text, so no text can close it.

use std::fmt::Write as _;

use super::hidden_characters::inert_line;
use super::{DocumentHeader, PassageLabel};

/// Shortest fence that opens a block, in backticks.
const FENCE_RUN_MIN: usize = 3;

/// Returns a fence that a run of backticks of this length cannot close.
pub(super) fn fence(longest_run: usize) -> String {
    "`".repeat((longest_run + 1).max(FENCE_RUN_MIN))
}

pub(super) fn open_document(out: &mut String, header: &DocumentHeader) {
    // A bold line, not a heading: documents stay the top level.
    if header.starts_section && !header.section.is_empty() {
        let _ = writeln!(out, "**{}**", inert_line(header.section));
    }
    let _ = writeln!(out, "# {} v{}", inert_line(header.id), header.version);
}

pub(super) fn open_passage(out: &mut String, label: &PassageLabel) {
    out.push_str(&fence(label.backticks));
    write_citation(out, label);
    out.push('\n');
}

pub(super) fn close_passage(out: &mut String, label: &PassageLabel) {
    out.push('\n');
    out.push_str(&fence(label.backticks));
    out.push('\n');
}

/// `[number] start-end heading`, shared with the plain format.
pub(super) fn write_citation(out: &mut String, label: &PassageLabel) {
    let PassageLabel { number, span, heading, .. } = label;
    let _ = write!(out, "[{number}] {}-{}", span.start, span.end);
    if let Some(place) = label.cited_place() {
        let _ = write!(out, " {place}");
    }
    if !heading.is_empty() {
        out.push(' ');
        // An info string ends at the line break and must hold no backtick; `inert_line` sees to both.
        out.push_str(&inert_line(heading));
    }
}
