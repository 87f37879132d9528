//! Admonitions, tabs and containers: their first lines as bold labels.

use std::ops::Range;

use super::BlockScanner;
use crate::unix_lines::{capitalised, indent_columns, trimmed_range};

/// Deepest nesting of indented admonitions and tabs; deeper ones stay text.
const INDENTED_BODIES_MAX: usize = 32;

/// Kinds of `:::` containers that are shown; the others are only a layout.
const SHOWN_CONTAINERS: [&str; 20] = [
    "note",
    "tip",
    "info",
    "warning",
    "danger",
    "caution",
    "important",
    "success",
    "question",
    "details",
    "secondary",
    "hint",
    "attention",
    "error",
    "example",
    "quote",
    "abstract",
    "seealso",
    "failure",
    "bug",
];

impl BlockScanner<'_> {
    /// Takes the first line of an admonition, a tab or a container, and the last line of a container.
    pub(super) fn admonition(
        &mut self,
        index: usize,
        start: usize,
        mark: usize,
        columns: usize,
    ) -> Option<usize> {
        let range = self.lines[index].clone();
        let shown = &self.source[mark..range.end];
        let label = if shown.starts_with("!!!") || shown.starts_with("???") || shown.starts_with("===") {
            let label = mkdocs_label(self.source, mark..range.end)?;
            let body = self.lines[index + 1..].iter().map(|line| &self.source[line.clone()]);
            let body = body.into_iter().find(|line| !line.trim().is_empty());
            let has_body = body.is_some_and(|line| indent_columns(line) >= columns + 4);
            if self.bodies.len() >= INDENTED_BODIES_MAX || !(has_body || label.title.is_some()) {
                return None;
            }
            if has_body {
                self.bodies.push(columns + 4);
            }
            label
        } else if shown.starts_with(":::") {
            let Some(label) = container_label(self.source, mark..range.end) else {
                self.drop_lines(range);
                return Some(index + 1);
            };
            label
        } else if let Some(label) = quote_label(self.source, mark..range.end) {
            // It stays a quote; a further paragraph of it needs no line between.
            self.out.copy(self.source, start..label.at);
            self.write_label(&label, mark..range.end);
            self.copy_line(range.end, range.end);
            return Some(index + 1);
        } else {
            return None;
        };
        self.list = self.list.filter(|&content| content <= columns.saturating_sub(4 * self.bodies.len()));
        self.out.copy(self.source, start..mark);
        self.write_label(&label, mark..range.end);
        self.copy_line(range.end, range.end);
        self.out.write("\n", range.end..range.end);
        self.after_blank = true;
        self.after_dropped = true;
        Some(index + 1)
    }

    fn write_label(&mut self, label: &AdmonitionLabel, whole: Range<usize>) {
        self.out.write("**", whole.start..whole.start);
        self.out.write(&label.kind, whole.clone());
        if let Some(title) = &label.title {
            if !label.kind.is_empty() {
                self.out.write(": ", whole.clone());
            }
            self.out.copy(self.source, title.clone());
        }
        self.out.write("**", whole.end..whole.end);
    }
}

struct AdmonitionLabel {
    kind: String,
    title: Option<Range<usize>>,
    /// Where the label begins.
    at: usize,
}

/// Reads `!!! kind "Title"`, `???+ kind` and `=== "Tab"`.
fn mkdocs_label(source: &str, range: Range<usize>) -> Option<AdmonitionLabel> {
    let line = &source[range.clone()];
    let is_tab = line.starts_with("===");
    let rest = line[3..].trim_start_matches(['+', '!']);
    if !rest.starts_with(' ') {
        return None;
    }
    let trimmed = rest.trim_end();
    let quote = rest.find('"');
    let words = rest[..quote.unwrap_or(rest.len())].trim();
    let title = match quote {
        Some(open) => {
            let inner = trimmed.strip_suffix('"').filter(|inner| inner.len() > open)?;
            let start = range.end - rest.len() + open + 1;
            Some(start..start + inner.len() - open - 1)
        }
        None => None,
    };
    let plain = words.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b' ' | b'-' | b'_'));
    if !plain || is_tab != words.is_empty() || is_tab && title.is_none() {
        return None;
    }
    let kind = capitalised(words.split(' ').next().unwrap_or_default()).into_owned();
    Some(AdmonitionLabel { kind, title: title.filter(|title| !title.is_empty()), at: range.start })
}

/// Reads `:::kind Title`, `:::kind[Title]`, `::: {.callout-kind title="Title"}`; nothing for a container that
/// is not shown, and for the end of one.
fn container_label(source: &str, range: Range<usize>) -> Option<AdmonitionLabel> {
    let line = &source[range.clone()];
    let rest = line.trim_start_matches(':').trim_start();
    let rest_start = range.end - rest.len();
    let from_name = rest.trim_start_matches(['{', '.', ' ']).trim_start_matches("callout-");
    let name = &from_name
        [..from_name.bytes().take_while(|byte| byte.is_ascii_alphabetic() || *byte == b'-').count()];
    let lower = name.to_ascii_lowercase();
    let kind = SHOWN_CONTAINERS.contains(&lower.as_str()).then(|| capitalised(&lower).into_owned());
    let name_end = range.end - from_name.len() + name.len();
    let behind = &source[name_end..range.end];
    let quoted = behind.find("title=\"").map(|at| name_end + at + 7);
    let title = if let Some(start) = quoted {
        start..start + source[start..range.end].find('"')?
    } else if let Some(inner) = behind.strip_prefix('[') {
        name_end + 1..name_end + 1 + inner.find(']').unwrap_or(inner.len())
    } else if rest.starts_with('{') || behind.trim_start().starts_with('{') {
        range.end..range.end
    } else {
        trimmed_range(source, name_end..range.end)
    };
    let title = (!title.is_empty()).then_some(title);
    if kind.is_none() && (title.is_none() || name.is_empty()) {
        return None;
    }
    Some(AdmonitionLabel { kind: kind.unwrap_or_default(), title, at: rest_start })
}

/// Reads `> [!NOTE] Title`.
fn quote_label(source: &str, range: Range<usize>) -> Option<AdmonitionLabel> {
    let line = &source[range.clone()];
    if !line.starts_with('>') {
        return None;
    }
    let rest = line.trim_start_matches(['>', ' ']);
    let (kind, behind) = rest.strip_prefix("[!")?.split_once(']')?;
    let known = !kind.is_empty() && kind.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'-');
    let behind = behind.trim_start_matches(['+', '-']);
    let title = trimmed_range(source, range.end - behind.len()..range.end);
    let kind = capitalised(&kind.to_ascii_lowercase()).into_owned();
    known.then(|| AdmonitionLabel {
        kind,
        title: (!title.is_empty()).then_some(title),
        at: range.end - rest.len(),
    })
}
