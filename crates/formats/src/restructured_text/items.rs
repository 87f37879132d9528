//! Items of lists, fields and definitions of reStructuredText, with the blocks inside of them.

use std::ops::Range;

use super::RestWriter;
use crate::unix_lines::{one_line, trimmed_range};

/// Longest name of a field.
const FIELD_NAME_BYTES_MAX: usize = 128;

impl RestWriter<'_> {
    /// Writes a list item whose text begins some columns behind its marker.
    pub(super) fn item(
        &mut self,
        index: usize,
        to: usize,
        width: usize,
        marker: &str,
        depth: usize,
    ) -> usize {
        let columns = self.lines[index].columns;
        let end = self.body_end(index + 1, to, columns);
        let start = self.lines[index].range.start;
        // Items of one list stand without a blank line between.
        let tight = self.out.as_str().lines().next_back().is_some_and(|line| {
            index > 0
                && !self.is_blank(index - 1)
                && line.trim_start().starts_with(['-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9'])
        });
        if tight && !self.joined {
            let next = format!("\n{}", self.prefix);
            self.out.trim_end();
            self.out.write(&next, start..start);
            self.joined = true;
        }
        self.begin_block(start);
        self.out.write(marker, start..start + width);
        self.lines[index].range.start += width;
        self.lines[index].range = trimmed_range(self.source, self.lines[index].range.clone());
        self.lines[index].columns += width;
        self.nested(index, end, marker.len(), depth);
        end
    }

    /// Writes the blocks of an item, behind its marker.
    pub(super) fn nested(&mut self, from: usize, to: usize, indent: usize, depth: usize) {
        let outer = self.prefix.len();
        self.prefix.push_str(&" ".repeat(indent));
        self.joined = true;
        self.blocks(from, to, depth + 1);
        self.joined = false;
        self.prefix.truncate(outer);
    }

    pub(super) fn field(
        &mut self,
        index: usize,
        to: usize,
        name: Range<usize>,
        width: usize,
        depth: usize,
    ) -> usize {
        let end = self.body_end(index + 1, to, self.lines[index].columns);
        let line = self.lines[index].range.clone();
        let name = line.start + name.start..line.start + name.end;
        let value = trimmed_range(self.source, line.start + width..line.end);
        // Fields before the text, or right behind its title, say something about the document.
        if depth == 0 && (self.at_start || self.properties_follow()) {
            let last = if end > index + 1 { self.lines[end - 1].range.end } else { line.end };
            let text = self.source[value.start.min(last)..last].to_owned();
            self.properties.add_text(&self.source[name].to_lowercase(), &one_line(&text));
            return end;
        }
        self.begin_block(line.start);
        self.lines[index].range = value;
        self.lines[index].columns += width;
        self.labelled(name, index, end, depth);
        end
    }

    /// Whether nothing but one title has been written.
    fn properties_follow(&self) -> bool {
        let text = self.out.as_str();
        text.starts_with("# ") && !text.trim_end().contains('\n')
    }

    /// Writes an item with a bold term and the blocks of its lines.
    pub(super) fn labelled(&mut self, term: Range<usize>, from: usize, to: usize, depth: usize) {
        self.out.write("- **", term.start..term.start);
        self.emit_inline(term.clone());
        self.out.write("**", term.end..term.end);
        if self.first_shown(from, to) < to {
            self.out.write(": ", term.end..term.end);
            self.nested(from, to, 2, depth);
        }
    }
}

/// The width of a list marker with its white space, and the marker of Markdown.
pub(super) fn list_marker(line: &str) -> Option<(usize, String)> {
    let (marker, rest) = line.split_once(' ').unwrap_or((line, ""));
    let width = marker.len() + (line.len() - marker.len() - rest.trim_start().len());
    if matches!(marker, "-" | "*" | "+" | "•") {
        return Some((width, "- ".to_owned()));
    }
    let number = marker.strip_prefix('(').unwrap_or(marker).strip_suffix(['.', ')'])?;
    if rest.is_empty() {
        return None;
    }
    let digits = !number.is_empty() && number.len() < 10 && number.bytes().all(|byte| byte.is_ascii_digit());
    if digits {
        return Some((width, format!("{number}. ")));
    }
    let letter = number.len() == 1 && number.bytes().all(|byte| byte.is_ascii_alphabetic());
    let roman =
        number.len() < 6 && !number.is_empty() && number.bytes().all(|byte| b"ivxIVX".contains(&byte));
    if number == "#" {
        return Some((width, "1. ".to_owned()));
    }
    // `A. Miller` begins a sentence; only markers in lower case, or in brackets, are sure.
    ((letter || roman) && (marker.starts_with('(') || number.bytes().all(|byte| byte.is_ascii_lowercase())))
        .then(|| (width, format!("- {marker} ")))
}

/// The range of a field's name in its line, and the width of the marker.
pub(super) fn field_name(line: &str) -> Option<(Range<usize>, usize)> {
    let inner = line.strip_prefix(':').filter(|inner| !inner.starts_with([' ', ':', '`']))?;
    let end = inner.find(": ").or_else(|| inner.strip_suffix(':').map(str::len))?;
    let name = &inner[..end];
    (end > 0 && end <= FIELD_NAME_BYTES_MAX && !name.contains('`')).then_some((1..1 + end, end + 2))
}
