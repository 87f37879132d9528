//! What tests of parsers of markup share: the invariants, and mutations of a document.

use contexture_formats::{ParsedText, StructureMark, TextStructure};
use proptest::prelude::*;

/// Parses and checks what is true of every result.
pub(crate) fn checked(parse: fn(&str) -> ParsedText, source: &str) -> ParsedText {
    let parsed = parse(source);
    assert!(parsed.map.is_map_of(&parsed.text, source), "not a map of {source:?}: {:?}", parsed.text);
    assert!(!parsed.text.contains(['\r', '\0']), "CR or NUL in {:?}", parsed.text);
    if let TextStructure::Marked(marks) = &parsed.structure {
        assert!(marks.is_sorted_by_key(|mark: &StructureMark| mark.at), "marks do not ascend: {marks:?}");
        assert!(
            marks.iter().all(|mark| parsed.text.is_char_boundary(mark.at)),
            "{marks:?} in {:?}",
            parsed.text
        );
    }
    parsed
}

/// Documents that were cut, repeated and filled with pieces at any place.
pub(crate) fn mutations(
    sample: &'static str,
    pieces: &'static [&'static str],
) -> impl Strategy<Value = String> {
    let common = [
        "\r\n", "\n\n", "\t", "    ", "\0", "é", "日本", "😀", "\u{feff}", "\"", "'", "<", ">", "{", "}",
        "[", "]", "`", "\\", "|", ":", "*",
    ];
    let piece = prop_oneof![
        proptest::sample::select(common.to_vec()).prop_map(str::to_owned),
        proptest::sample::select(pieces.to_vec()).prop_map(str::to_owned),
    ];
    let edit = (any::<proptest::sample::Index>(), any::<proptest::sample::Index>(), piece, 0..4_u8);
    proptest::collection::vec(edit, 0..12).prop_map(move |edits| {
        let mut text = sample.to_owned();
        for (first, second, piece, kind) in edits {
            let one = text.floor_char_boundary(first.index(text.len() + 1));
            let other = text.floor_char_boundary(second.index(text.len() + 1));
            let (from, to) =
                (one.min(other), one.max(other).min(text.floor_char_boundary(one.min(other) + 40)));
            match kind {
                0 => text.replace_range(from..to, ""),
                1 => {
                    let copy = text[from..to].to_owned();
                    text.insert_str(other, &copy);
                }
                _ => text.insert_str(one, &piece),
            }
        }
        text
    })
}
