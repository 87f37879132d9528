//! What every parser's output must hold, and inputs that are nearly right.

use contexture_formats::{ParsedText, StructureMark, TextStructure};
use proptest::prelude::*;

/// Checks the invariants of a parser's output.
pub(crate) fn check(parsed: &ParsedText, source: &str) {
    assert!(parsed.map.is_map_of(&parsed.text, source), "no map of {source:?}: {parsed:?}");
    assert!(!parsed.text.contains(['\r', '\0']), "{parsed:?}");
    assert!(parsed.notes.len() <= 8, "{:?}", parsed.notes);
    let mut last = 0;
    for mark in marks(parsed) {
        assert!(mark.at >= last, "marks do not ascend: {parsed:?}");
        assert!(mark.at <= parsed.text.len() && parsed.text.is_char_boundary(mark.at), "{mark:?}");
        last = mark.at;
    }
}

/// Returns the marks of a text, if it has any.
pub(crate) fn marks(parsed: &ParsedText) -> &[StructureMark] {
    match &parsed.structure {
        TextStructure::Marked(marks) => marks,
        _ => &[],
    }
}

/// Returns the path of titles at a byte.
#[allow(dead_code, reason = "not every test binary asks for paths")]
pub(crate) fn path_at(parsed: &ParsedText, at: usize) -> Vec<String> {
    let mut path: Vec<(u8, String)> = Vec::new();
    for mark in marks(parsed).iter().filter(|mark| mark.at <= at) {
        if let contexture_formats::StructureMarkKind::Section { depth, title } = &mark.kind {
            path.retain(|(known, _)| known < depth);
            path.push((*depth, title.clone()));
        }
    }
    path.into_iter().map(|(_, title)| title).collect()
}

/// Damages a text: removes, doubles and inserts pieces at character boundaries.
pub(crate) fn mutations(
    samples: &'static [&'static str],
    pieces: &'static [&'static str],
) -> impl Strategy<Value = String> {
    let edit = (any::<prop::sample::Index>(), 0..8_usize, prop::sample::select(pieces));
    (prop::sample::select(samples), prop::collection::vec(edit, 0..6)).prop_map(|(sample, edits)| {
        let mut text = sample.to_owned();
        for (place, removed, piece) in edits {
            let at = text.floor_char_boundary(place.index(text.len() + 1));
            let end = text.floor_char_boundary((at + removed).min(text.len())).max(at);
            text.replace_range(at..end, piece);
        }
        text
    })
}
