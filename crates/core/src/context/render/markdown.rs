//! Markdown: a bold line per section, a heading per document, a fenced block per passage, the citation as its info
//! string (`CommonMark` 0.31, section 4.5).

use std::fmt::Write as _;

use super::hidden_characters::inert_line;
use super::{DocumentHeader, PassageLabel};

/// Shortest fence that opens a block.
const FENCE_RUN_MIN: usize = 3;

/// A fence that no run of backticks of this length can close.
pub(super) fn fence(longest_run: usize) -> String {
    "`".repeat((longest_run + 1).max(FENCE_RUN_MIN))
}

pub(super) fn open_document(out: &mut String, header: &DocumentHeader) {
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
    if !heading.is_empty() {
        out.push(' ');
        out.push_str(&inert_line(heading));
    }
}
