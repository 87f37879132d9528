//! Logs.

use super::markup_support::{checked, mutations};
use contexture_formats::{StructureMarkKind, TextStructure, parse_log};
use proptest::prelude::*;

const LOG: &str = "2024-05-01T10:00:00Z \u{1b}[32mINFO\u{1b}[0m started\n2024-05-01 10:00:01,123 ERROR failed\n\
    java.lang.IllegalStateException: queue\n\tat com.example.Main.run(Main.java:5)\nCaused by: x\n\
    [WARN] slow\nMay  1 10:00:02 host sshd[1]: bye\n10.0.0.1 - - [01/May/2024:10:00:00 +0000] \"GET / HTTP/1.1\" 200\n\
    {\"level\":\"info\"}\nI0501 10:00:03.1 1 x.go:1] y\n";

fn records(source: &str) -> Vec<String> {
    let parsed = checked(parse_log, source);
    let TextStructure::Marked(marks) = &parsed.structure else { return Vec::new() };
    let items: Vec<usize> =
        marks.iter().filter(|mark| mark.kind == StructureMarkKind::Item).map(|mark| mark.at).collect();
    let ends = items.iter().skip(1).copied().chain([parsed.text.len()]);
    items.iter().zip(ends).map(|(&from, to)| parsed.text[from..to].to_owned()).collect()
}

#[test]
fn records_keep_their_stack_traces() {
    let records = records(LOG);
    assert_eq!(records.len(), 7, "{records:?}");
    assert_eq!(records[0], "2024-05-01T10:00:00Z INFO started\n");
    assert!(records[1].ends_with("Caused by: x\n"));
}

#[test]
fn prose_has_no_records() {
    assert_eq!(records("Hello.\nErrors are bad.\nMay I?\n1. One\n"), Vec::<String>::new());
}

#[test]
fn escapes_that_do_not_end_are_harmless() {
    for source in ["\u{1b}", "\u{1b}[", "\u{1b}]8;;x", "\u{1b}]0;t\u{7}a", "a\u{8}b\u{7f}\u{1b}é", "\u{1b}(B"]
    {
        checked(parse_log, source);
    }
    assert_eq!(checked(parse_log, "\u{1b}]8;;http://a\u{1b}\\b\u{1b}]8;;\u{1b}\\c").text, "bc");
}

proptest! {
    #[test]
    fn any_log_is_parsed(source in mutations(LOG, &["\u{1b}[", "\u{1b}]", "\u{1b}", "\u{7}", "ERROR ", "<13>", "2024-01-01"])) {
        checked(parse_log, &source);
    }
}
