//! Front matter of texts.

use super::markup_support::{checked, mutations};
use contexture_formats::{PropertyValue, parse_front_matter, split_front_matter};
use proptest::prelude::*;

fn texts(all: &[&str]) -> PropertyValue {
    PropertyValue::Texts(all.iter().map(|&text| text.to_owned()).collect())
}

fn text(one: &str) -> PropertyValue {
    PropertyValue::Text(one.to_owned())
}

const YAML: &str = "---\ntitle: Rotating  signing keys\ntags: [security, keys]\nlang: en\nyear: 2024\ndate: 2024-05-01\n\
    draft: false\nauthors:\n  - name: Ada\n  - name: Grace\nseo:\n  robots: {index: true, max: 3}\n---\n\n# Body\n";

#[test]
fn yaml_becomes_properties_under_its_own_and_the_standard_names() {
    let parsed = checked(parse_front_matter, YAML);
    assert_eq!(parsed.text, "\n# Body\n");
    assert_eq!(parsed.properties.title.as_deref(), Some("Rotating signing keys"));
    let other = &parsed.properties.other;
    assert_eq!(other["tags"], texts(&["security", "keys"]));
    assert_eq!(other["lang"], text("en"));
    assert_eq!(other["language"], text("en"));
    assert_eq!(other["year"], PropertyValue::Number(2024.0));
    assert_eq!(other["date"], text("2024-05-01"));
    assert_eq!(other["draft"], PropertyValue::Bool(false));
    assert_eq!(other["author"], texts(&["Ada", "Grace"]));
    assert_eq!(other["seo.robots.index"], PropertyValue::Bool(true));
    assert!(parsed.notes.is_empty());
}

#[test]
fn toml_becomes_properties() {
    let source = "+++\r\ntitle = \"Hours\"\r\ndate = 2024-05-01T10:00:00Z\r\nweight = 3\r\n[taxonomies]\r\ntags = [\"a\"]\r\n+++\r\nBody\r\n";
    let parsed = checked(parse_front_matter, source);
    assert_eq!(parsed.text, "Body\n");
    assert_eq!(parsed.properties.title.as_deref(), Some("Hours"));
    assert_eq!(parsed.properties.other["date"], text("2024-05-01T10:00:00Z"));
    assert_eq!(parsed.properties.other["tags"], texts(&["a"]));
}

#[test]
fn comma_separated_tags_and_the_other_end_are_known() {
    let split = split_front_matter("---\ntitle: 7\nkeywords: a, b\n...\nBody");
    assert_eq!(split.properties.title.as_deref(), Some("7"));
    assert_eq!(split.properties.other["keywords"], texts(&["a", "b"]));
}

#[test]
fn rules_and_prose_stay() {
    for source in [
        "---\n\nSome text.\n\n---\n\nMore.\n",
        "---\n\nNote: this is text.\n\n---\n",
        "---\nDear all of you here: read this\n---\n",
        "---\ntitle: never closed\n",
        "--- \n",
        "----\ntitle: x\n----\n",
    ] {
        let parsed = checked(parse_front_matter, source);
        assert_eq!(parsed.text, source);
        assert!(parsed.notes.is_empty(), "{:?}", parsed.notes);
    }
    assert_eq!(checked(parse_front_matter, "---\n---\nBody").text, "Body");
}

#[test]
fn broken_front_matter_stays_text_with_a_note() {
    for source in ["---\ntitle: a: b: c\n---\nBody\n", "+++\ntitle = \n+++\nBody\n", "---\ntitle: [x\n---\n"]
    {
        let parsed = checked(parse_front_matter, source);
        assert_eq!(parsed.text, source);
        assert_eq!(parsed.notes.len(), 1);
    }
}

#[test]
fn limits_hold() {
    let mut source = String::from("---\n");
    for index in 0..200 {
        source.extend(["key", &index.to_string(), ": ", &"x".repeat(3000 / (index + 1)), "\n"]);
    }
    source.push_str("deep: {a: {b: {c: {d: {e: 1}}}}}\n---\n");
    let split = split_front_matter(&source);
    assert!(split.properties.other.len() <= 64 + 8);
    assert_eq!(split.properties.other["key0"], text(&"x".repeat(1024)));
    assert_eq!(split.notes.len(), 1);
    let nested = format!("---\na: {}\n---\nBody\n", "[".repeat(20_000));
    checked(parse_front_matter, &nested);
}

proptest! {
    #[test]
    fn any_document_is_parsed(source in mutations(YAML, &["---\n", "+++\n", "...\n", "a: &x [*x]\n", "? ", "- ", "!!tag "])) {
        checked(parse_front_matter, &source);
    }
}
