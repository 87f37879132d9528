//! Builds the outline of a text with the scanner of its format.

use super::boundary::{CutPosition, TextOutline, first_visible_byte, has_visible_text, scan_plain_text};
use super::code::scan_code;
use super::decode::{NormalisedText, TextFormat};
use super::markdown::scan_markdown;

/// Builds the outline of a text.
pub(super) fn build_outline(document: &NormalisedText) -> TextOutline {
    let mut outline = TextOutline::new();
    let text = document.text.as_str();
    match document.format {
        TextFormat::Markdown | TextFormat::Html => scan_markdown(text, &mut outline),
        TextFormat::Code(language) => scan_code(text, language, &mut outline),
        TextFormat::Plain => scan_plain_text(text, &mut outline),
    }
    outline.cuts = normalise_cuts(text, outline.cuts);
    outline
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
