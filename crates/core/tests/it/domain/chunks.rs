//! What is embedded for a chunk.

use contexture_core::domain::chunk::{
    CONTEXT_LINE_BYTES_MAX, TABLE_CONTEXT_LINE_BYTES_MAX, TextSpan, context_line, embedded_text,
    is_table_header,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

fn headings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|&text| text.to_owned()).collect()
}

#[test]
fn context_line_names_title_and_headings() {
    for (title, heading, line) in [
        (None, headings(&[]), ""),
        (Some("Guide"), headings(&[]), "Guide"),
        (None, headings(&["Part", "Section"]), "Part > Section"),
        (Some("Guide"), headings(&["Guide", "Part"]), "Guide > Part"),
        (Some("Guide"), headings(&["Part", "Guide"]), "Guide > Part > Guide"),
    ] {
        assert_eq!(context_line(title, &heading), line);
    }
}

#[test]
fn long_context_lines_keep_the_innermost_heading() {
    let heading = headings(&[&"outer ".repeat(20), &"middle ".repeat(20), "innermost"]);
    let line = context_line(Some("Title"), &heading);
    assert!(line.ends_with("innermost") && line.len() <= CONTEXT_LINE_BYTES_MAX, "{line}");
    assert!(line.starts_with("Title"), "{line}");
    let line = context_line(Some(&"t".repeat(1_024)), &headings(&["innermost"]));
    assert_eq!(line, "innermost");
}

#[test]
fn context_lines_are_cut_at_a_character() {
    let wide = "\u{1f426}".repeat(CONTEXT_LINE_BYTES_MAX);
    for offset in 0..4 {
        let line = context_line(Some(&format!("{}{wide}", "x".repeat(offset))), &[]);
        assert!(
            (CONTEXT_LINE_BYTES_MAX - 3..=CONTEXT_LINE_BYTES_MAX).contains(&line.len()),
            "{}",
            line.len()
        );
    }
}

#[test]
fn embedded_text_is_line_and_span() {
    assert_eq!(embedded_text(None, &[], "  text\n"), "text");
    assert_eq!(embedded_text(Some("Guide"), &headings(&["Part"]), "\ntext "), "Guide > Part\ntext");
}

#[test]
fn spans_have_a_length() {
    assert_eq!((TextSpan { start: 3, end: 7 }.len(), TextSpan { start: 3, end: 3 }.is_empty()), (4, true));
}

proptest! {
    #[test]
    fn context_lines_are_bounded(title in option::of("\\PC{0,120}"), heading in vec("\\PC{0,120}", 0..6)) {
        let line = context_line(title.as_deref(), &heading);
        let of_table = heading.last().is_some_and(|last| is_table_header(last));
        let bytes_max = if of_table { TABLE_CONTEXT_LINE_BYTES_MAX } else { CONTEXT_LINE_BYTES_MAX };
        prop_assert!(line.len() <= bytes_max);
        prop_assert!(embedded_text(title.as_deref(), &heading, "text").ends_with("text"));
    }
}
