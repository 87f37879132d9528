//! Unified diffs and patches: the text as it is, a section per file and a block per hunk.
//!
//! The lines of a hunk are counted as its header says, so a removed line `-- x` is no header of a file. The
//! message of a patch by mail gives title, author and date.

use crate::parsed_text::{ParsedText, StructureMark, StructureMarkKind, TextStructure};
use crate::property_collector::PropertyCollector;
use crate::source_map::MappedText;
use crate::unix_lines::{line_ranges, parse_unix_lines};

/// Reads a diff; a text without files or hunks is plain.
pub fn parse_diff(source: &str) -> ParsedText {
    parse_unix_lines(source, parse)
}

fn parse(source: &str) -> ParsedText {
    let lines = line_ranges(source, 0);
    let shown: Vec<&str> = lines.iter().map(|line| &source[line.clone()]).collect();
    let mut marks: Vec<StructureMark> = Vec::new();
    let mut properties = PropertyCollector::default();
    let mut in_file_header = false;
    let (mut removed_left, mut added_left) = (0_usize, 0_usize);
    let mut after_hunks = false;
    let mut in_message = true;
    for (index, line) in shown.iter().enumerate() {
        let at = lines[index].start;
        if removed_left > 0 || added_left > 0 {
            match line.as_bytes().first() {
                Some(b'-') => removed_left = removed_left.saturating_sub(1),
                Some(b'+') => added_left = added_left.saturating_sub(1),
                Some(b' ') | None => {
                    removed_left = removed_left.saturating_sub(1);
                    added_left = added_left.saturating_sub(1);
                }
                Some(b'\\') => {}
                // The header lied; what comes is read as if the hunk were over.
                Some(_) => (removed_left, added_left) = (0, 0),
            }
            if removed_left > 0 || added_left > 0 || line.starts_with(['-', '+', ' ']) || line.is_empty() {
                marks.push(StructureMark { at, kind: StructureMarkKind::Line });
                continue;
            }
        }
        let next = shown.get(index + 1).copied().unwrap_or_default();
        let begins_pair = line.starts_with("--- ") && next.starts_with("+++ ");
        let git = line.starts_with("diff ") || line.starts_with("Index: ");
        if git || begins_pair && !in_file_header {
            let title = file_title(&shown[index..]);
            marks.push(StructureMark { at, kind: StructureMarkKind::Section { depth: 1, title } });
            (in_file_header, in_message) = (git, false);
        } else if line.starts_with("@@") {
            marks.push(StructureMark { at, kind: StructureMarkKind::Block });
            (removed_left, added_left) = hunk_counts(line).unwrap_or_default();
            (in_file_header, after_hunks) = (false, true);
        } else {
            if in_message {
                for (name, property) in
                    [("Subject: ", "title"), ("From: ", "author"), ("Date: ", "date"), ("Author: ", "author")]
                {
                    if let Some(value) = line.strip_prefix(name) {
                        properties.add_text(property, value.trim_start_matches("[PATCH] "));
                    }
                }
            }
            // The message of the next patch in a file of several.
            let message = after_hunks && line.starts_with("From ") && next.starts_with("From: ");
            let kind = if message {
                StructureMarkKind::Section { depth: 1, title: String::new() }
            } else {
                StructureMarkKind::Line
            };
            marks.push(StructureMark { at, kind });
        }
    }
    let found = marks.iter().any(|mark| mark.kind != StructureMarkKind::Line);
    let structure = if found { TextStructure::Marked(marks) } else { TextStructure::Plain };
    let mut out = MappedText::default();
    out.copy(source, 0..source.len());
    let (text, map) = out.finish();
    let (properties, note) = properties.finish();
    ParsedText { text, map, structure, properties, notes: note.into_iter().collect() }
}

/// The path of the file whose header begins with the first line.
fn file_title(lines: &[&str]) -> String {
    let header = lines.iter().take(16).enumerate();
    let header: Vec<&str> = header
        .take_while(|(index, line)| *index == 0 || !line.starts_with("@@") && !line.starts_with("diff "))
        .map(|(_, line)| *line)
        .collect();
    let value = |name: &str| header.iter().find_map(|line| line.strip_prefix(name));
    let path = |value: &str| {
        let path = value.split('\t').next().unwrap_or_default().trim().trim_matches('"');
        let bare = path.strip_prefix("a/").or_else(|| path.strip_prefix("b/")).unwrap_or(path);
        (path != "/dev/null" && !bare.is_empty()).then(|| bare.to_owned())
    };
    let names = ["+++ ", "--- ", "rename to ", "Index: "];
    names
        .iter()
        .find_map(|name| path(value(name)?))
        .or_else(|| path(header[0].rsplit(' ').next()?))
        .unwrap_or_default()
}

/// The numbers of old and new lines of a hunk.
fn hunk_counts(line: &str) -> Option<(usize, usize)> {
    let inner = line.strip_prefix("@@ -")?.split(" @@").next()?;
    let (old, new) = inner.split_once(" +")?;
    let count = |range: &str| match range.split_once(',') {
        Some((_, count)) => count.parse().ok(),
        None => Some(1),
    };
    Some((count(old)?, count(new)?))
}
