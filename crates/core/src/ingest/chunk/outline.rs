//! Builds the outline of a text with the scanner of its format.

use contexture_formats::{StructureMark, StructureMarkKind};

use super::boundary::{
    BoundaryLevel, CutPosition, ROOT_SECTION, TextOutline, first_visible_byte, has_visible_text, scan_lines,
    scan_plain_text,
};
use super::code::scan_code;
use super::decode::{NormalisedText, TextFormat};
use super::markdown::scan_markdown;

/// Builds the outline of a text.
pub(super) fn build_outline(document: &NormalisedText) -> TextOutline {
    let mut outline = TextOutline::new();
    let text = document.text.as_str();
    match document.format {
        TextFormat::Markdown => scan_markdown(text, &mut outline),
        TextFormat::Code(language) => scan_code(text, language, &mut outline),
        TextFormat::Plain => scan_plain_text(text, &mut outline),
        TextFormat::Marked => scan_marks(text, &document.marks, &mut outline),
    }
    outline.cuts = normalise_cuts(text, outline.cuts);
    outline
}

/// Deepest level of a heading.
const HEADING_DEPTH_MAX: u8 = 6;

/// Adds the cuts and sections that a parser has marked, and a cut before every line.
fn scan_marks(text: &str, marks: &[StructureMark], outline: &mut TextOutline) {
    // Open sections from the outermost to the current one, with their depth.
    let mut open: Vec<(u8, usize)> = Vec::new();
    for mark in marks {
        match &mark.kind {
            StructureMarkKind::Section { depth, title } => {
                open.retain(|(other, _)| other < depth);
                let parent = open.last().map_or(ROOT_SECTION, |&(_, section)| section);
                outline.cut(mark.at, BoundaryLevel::Heading((*depth).clamp(1, HEADING_DEPTH_MAX)));
                open.push((*depth, outline.enter(mark.at, title, parent)));
            }
            StructureMarkKind::Block => outline.cut(mark.at, BoundaryLevel::Block),
            StructureMarkKind::Item => outline.cut(mark.at, BoundaryLevel::Item),
            StructureMarkKind::Line => outline.cut(mark.at, BoundaryLevel::Line),
        }
    }
    scan_lines(text, std::slice::from_ref(&(0..text.len())), outline);
}

/// Sorts cuts and establishes the invariants of an outline. Of neighbours with only white space between
/// them the better cut stays; of equals, the later.
fn normalise_cuts(text: &str, mut cuts: Vec<CutPosition>) -> Vec<CutPosition> {
    cuts.sort_unstable_by_key(|cut| (cut.at, cut.level));
    // Sorting put the best level first, so the best of several cuts at one place stays.
    cuts.dedup_by_key(|cut| cut.at);
    let mut normalised: Vec<CutPosition> = Vec::with_capacity(cuts.len());
    // End of the white space behind the last cut. It is computed once per kept cut, which keeps the loop
    // linear when many cuts stand in white space.
    let mut blank_end = first_visible_byte(text, 0);
    for cut in cuts {
        if cut.at >= text.len() {
            break;
        }
        if cut.at > blank_end {
            normalised.push(cut);
            blank_end = first_visible_byte(text, cut.at);
        } else if let Some(last) = normalised.last_mut().filter(|last| cut.level <= last.level) {
            *last = cut;
        }
    }
    // A cut before trailing white space would make a chunk without visible text.
    if normalised.last().is_some_and(|last| !has_visible_text(&text[last.at..])) {
        normalised.pop();
    }
    normalised
}
