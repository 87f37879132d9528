//! Unified diffs and patches.

use super::markup_support::{checked, mutations};
use contexture_formats::{StructureMarkKind, TextStructure, parse_diff};
use proptest::prelude::*;

const PATCH: &str = "From 1234 Mon Sep 17 00:00:00 2001\nFrom: Ada <ada@a.example>\nDate: Wed, 1 May 2024 10:00:00 +0200\n\
    Subject: [PATCH] Retry later\n\nBecause.\n---\n src/a.rs | 2 +-\n\ndiff --git a/src/a.rs b/src/a.rs\nindex 1..2 100644\n\
    --- a/src/a.rs\n+++ b/src/a.rs\n@@ -1,3 +1,3 @@ fn main() {\n a\n--- x\n+++ y\n b\n@@ -9 +9 @@\n-c\n+d\n\
    diff --git a/old.txt b/old.txt\ndeleted file mode 100644\n--- a/old.txt\n+++ /dev/null\n@@ -1 +0,0 @@\n-gone\n\\ No newline at end of file\n";

fn marks(source: &str) -> Vec<(String, StructureMarkKind)> {
    let parsed = checked(parse_diff, source);
    let TextStructure::Marked(marks) = parsed.structure else { return Vec::new() };
    let line = |at: usize| parsed.text[at..].lines().next().unwrap_or_default().to_owned();
    marks
        .into_iter()
        .filter(|mark| mark.kind != StructureMarkKind::Line)
        .map(|mark| (line(mark.at), mark.kind))
        .collect()
}

#[test]
fn files_are_sections_and_hunks_are_blocks() {
    let section = |title: &str| StructureMarkKind::Section { depth: 1, title: title.into() };
    assert_eq!(
        marks(PATCH),
        [
            ("diff --git a/src/a.rs b/src/a.rs".into(), section("src/a.rs")),
            ("@@ -1,3 +1,3 @@ fn main() {".into(), StructureMarkKind::Block),
            ("@@ -9 +9 @@".into(), StructureMarkKind::Block),
            ("diff --git a/old.txt b/old.txt".into(), section("old.txt")),
            ("@@ -1 +0,0 @@".into(), StructureMarkKind::Block),
        ]
    );
    let parsed = checked(parse_diff, PATCH);
    assert_eq!(parsed.text, PATCH);
    assert_eq!(parsed.properties.title.as_deref(), Some("Retry later"));
}

#[test]
fn plain_unified_diffs_have_sections() {
    let source = "--- lib/a.c\t2024-01-01\r\n+++ lib/b.c\t2024-01-02\r\n@@ -1 +1 @@\r\n-a\r\n+b\r\n--- c\n+++ d\n@@ -1 +1 @@\n-a\n+b\n";
    let titles: Vec<_> =
        marks(source).into_iter().filter(|(line, _)| line.starts_with("---")).map(|(_, kind)| kind).collect();
    assert_eq!(titles.len(), 2);
    assert_eq!(titles[0], StructureMarkKind::Section { depth: 1, title: "lib/b.c".into() });
    assert!(marks("Only text.\n").is_empty());
}

proptest! {
    #[test]
    fn any_diff_is_parsed(source in mutations(PATCH, &["@@ -1,99999999999999999999 +1 @@\n", "--- \n+++ \n", "diff \n", "Index: \n", "@@"])) {
        checked(parse_diff, &source);
    }
}
