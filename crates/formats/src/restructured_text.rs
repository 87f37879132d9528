//! reStructuredText to Markdown, with the directives of docutils and Sphinx that show text.
//!
//! Titles get their level by the order in which their adornments appear. Literal blocks and code become fences,
//! tables of all kinds Markdown tables, admonitions a bold line with the body behind it, definitions and fields
//! items with a bold term, footnotes Markdown footnotes. Comments, targets, tables of contents, includes and raw
//! blocks are dropped. Fields at the start are properties. Limits: blocks nested 16 deep, deeper ones are text.
//!
//! Here are blocks, titles and paragraphs; `items`, `tables` and `directives` take those that have a form.

mod directives;
mod inline;
mod items;
mod tables;

use std::ops::Range;

use crate::front_matter::split_front_matter;
use crate::markdown::fence_around;
use crate::parsed_text::ParsedText;
use crate::property_collector::PropertyCollector;
use crate::source_map::MappedText;
use crate::unix_lines::{dedent_bytes, indent_columns, line_ranges, parse_unix_lines, trimmed_range};
use inline::{RestNames, render_rest_inline};
use items::{field_name, list_marker};

/// Deepest nesting of blocks.
const NESTED_BLOCKS_MAX: usize = 16;

/// Reads reStructuredText.
pub fn parse_restructured_text(source: &str) -> ParsedText {
    parse_unix_lines(source, |source| {
        let front = split_front_matter(source);
        let lines: Vec<RestLine> = line_ranges(source, front.body_start)
            .into_iter()
            .map(|range| {
                let columns = indent_columns(&source[range.clone()]);
                RestLine { range: trimmed_range(source, range), columns }
            })
            .collect();
        let names = directives::collect_names(source, &lines);
        let mut writer = RestWriter {
            source,
            names,
            out: MappedText::default(),
            lines,
            prefix: String::new(),
            joined: true,
            styles: Vec::new(),
            properties: PropertyCollector::default(),
            at_start: true,
        };
        writer.blocks(0, writer.lines.len(), 0);
        front.finish_markdown(writer.out, writer.properties, source.len())
    })
}

/// A line without indentation.
#[derive(Debug, Clone)]
struct RestLine {
    range: Range<usize>,
    columns: usize,
}

struct RestWriter<'a> {
    source: &'a str,
    names: RestNames,
    out: MappedText,
    lines: Vec<RestLine>,
    /// What begins every line of the current item.
    prefix: String,
    /// The next block begins where the text ends: at the start, or behind a marker.
    joined: bool,
    /// Adornments in order of appearance, with whether there is a line above.
    styles: Vec<(u8, bool)>,
    properties: PropertyCollector,
    at_start: bool,
}

impl RestWriter<'_> {
    fn shown(&self, index: usize) -> &str {
        &self.source[self.lines[index].range.clone()]
    }

    fn is_blank(&self, index: usize) -> bool {
        self.lines[index].range.is_empty()
    }

    /// The index behind the lines from an index on that are blank or indented by more than some columns; blank
    /// ones at the end are not among them.
    fn body_end(&self, from: usize, to: usize, columns: usize) -> usize {
        let mut end = from;
        for index in from..to {
            if self.is_blank(index) {
                continue;
            }
            if self.lines[index].columns <= columns {
                break;
            }
            end = index + 1;
        }
        end
    }

    fn first_shown(&self, from: usize, to: usize) -> usize {
        (from..to).find(|&index| !self.is_blank(index)).unwrap_or(to)
    }

    fn begin_block(&mut self, place: usize) {
        if !std::mem::take(&mut self.joined) {
            self.out.trim_end();
            self.out.write("\n\n", place..place);
            let prefix = self.prefix.clone();
            self.out.write(&prefix, place..place);
        }
    }

    fn emit_inline(&mut self, range: Range<usize>) {
        let fragment = render_rest_inline(self.source, range, &self.names);
        let prefix = self.prefix.clone();
        fragment.emit(self.source, &mut self.out, &prefix);
    }

    /// Writes the blocks of some lines.
    fn blocks(&mut self, from: usize, to: usize, depth: usize) {
        let mut index = from;
        while index < to {
            if self.is_blank(index) {
                index += 1;
                continue;
            }
            let next = self.block(index, to, depth);
            self.at_start = self.at_start && self.shown(index).starts_with([':', '.']);
            index = next.max(index + 1);
        }
    }

    fn block(&mut self, index: usize, to: usize, depth: usize) -> usize {
        let shown = self.shown(index).to_owned();
        if depth == 0
            && let Some(next) = self.title(index, to)
        {
            return next;
        }
        if depth >= NESTED_BLOCKS_MAX {
            self.begin_block(self.lines[index].range.start);
            self.emit_inline(self.lines[index].range.clone());
            return index + 1;
        }
        if shown == ".." || shown.starts_with(".. ") {
            return self.explicit(index, to, depth);
        }
        if shown.starts_with("__ ") {
            return index + 1;
        }
        if shown == "::" {
            return self.literal(index + 1, to, self.lines[index].columns);
        }
        if tables::is_grid_border(&shown) {
            return self.table(index, to, |line| line.starts_with(['|', '+']), tables::grid_rows);
        }
        if tables::is_simple_border(&shown) {
            let end = self.simple_table_end(index, to);
            return self.write_table(index, end, tables::simple_rows);
        }
        if shown.starts_with(">>> ") {
            let end = (index..to).find(|&line| self.is_blank(line)).unwrap_or(to);
            self.fence("python", index, end, self.lines[index].columns);
            return end;
        }
        if is_adornment(&shown) && shown.len() >= 4 {
            self.begin_block(self.lines[index].range.start);
            self.out.write("---", self.lines[index].range.clone());
            return index + 1;
        }
        if shown.starts_with("| ") || shown == "|" {
            return self.line_block(index, to);
        }
        if let Some((width, marker)) = list_marker(&shown) {
            return self.item(index, to, width, &marker, depth);
        }
        if let Some((name, width)) = field_name(&shown) {
            return self.field(index, to, name, width, depth);
        }
        let columns = self.lines[index].columns;
        let indented_next =
            index + 1 < to && !self.is_blank(index + 1) && self.lines[index + 1].columns > columns;
        if indented_next && !shown.ends_with("::") {
            let end = self.body_end(index + 1, to, columns);
            self.begin_block(self.lines[index].range.start);
            self.labelled(self.lines[index].range.clone(), index + 1, end, depth);
            return end;
        }
        self.paragraph(index, to)
    }

    /// Writes a section title of one to three lines.
    fn title(&mut self, index: usize, to: usize) -> Option<usize> {
        let line = |at: usize| (at < to).then(|| self.shown(at));
        let shown = line(index)?;
        let (title, style, next) = if is_adornment(shown) {
            let under = line(index + 2)?;
            let title = line(index + 1)?;
            if under != shown || title.is_empty() || is_adornment(title) || tables::is_simple_border(shown) {
                return None;
            }
            (index + 1, (shown.as_bytes()[0], true), index + 3)
        } else {
            let under = line(index + 1)?;
            let short = under.chars().count() < shown.chars().count() && under.len() < 4;
            if !is_adornment(under)
                || short
                || under == "::"
                || self.lines[index].columns > 0
                || self.lines[index + 1].columns > 0
            {
                return None;
            }
            (index, (under.as_bytes()[0], false), index + 2)
        };
        let level = self.styles.iter().position(|known| *known == style).unwrap_or_else(|| {
            self.styles.push(style);
            self.styles.len() - 1
        });
        let range = self.lines[title].range.clone();
        self.begin_block(range.start);
        self.out.write(&format!("{} ", "#".repeat((level + 1).min(6))), range.start..range.start);
        self.emit_inline(range);
        Some(next)
    }

    fn paragraph(&mut self, index: usize, to: usize) -> usize {
        let columns = self.lines[index].columns;
        let mut end = index + 1;
        while end < to
            && !self.is_blank(end)
            && self.lines[end].columns >= columns.min(self.lines[index].columns)
        {
            end += 1;
        }
        let mut range = self.lines[index].range.start..self.lines[end - 1].range.end;
        let literal = self.source[range.clone()].ends_with("::");
        if literal {
            let text = self.source[range.clone()].trim_end_matches("::");
            let keeps_colon = !text.ends_with([' ', '\n']);
            range.end = range.start + text.trim_end().len() + usize::from(keeps_colon);
        }
        self.begin_block(range.start);
        self.emit_inline(range);
        if literal { self.literal(end, to, columns) } else { end }
    }

    /// Writes the indented lines behind `::` as a fence.
    fn literal(&mut self, from: usize, to: usize, columns: usize) -> usize {
        let first = self.first_shown(from, to);
        let end = self.body_end(first, to, columns);
        if end > first {
            let least = (first..end).filter(|&i| !self.is_blank(i)).map(|i| self.lines[i].columns).min();
            self.fence("", first, end, least.unwrap_or(0));
        }
        end.max(from)
    }

    /// Writes lines as a fence, without some columns of indentation.
    fn fence(&mut self, language: &str, from: usize, to: usize, columns: usize) {
        let start = self.lines[from].range.start;
        let end = self.lines[to - 1].range.end;
        let fence = fence_around(&self.source[start..end]);
        self.begin_block(start);
        self.out.write(&format!("{fence}{language}\n"), start..start);
        for index in from..to {
            let line = self.lines[index].clone();
            if !line.range.is_empty() {
                let begin = self.source[..line.range.start].rfind('\n').map_or(0, |at| at + 1);
                let kept = begin + dedent_bytes(&self.source[begin..line.range.end], columns);
                let prefix = self.prefix.clone();
                self.out.write(&prefix, kept..kept);
                self.out.copy(self.source, kept.min(line.range.start)..line.range.end);
            }
            self.out.write("\n", line.range.end..line.range.end);
        }
        let last = format!("{}{fence}", self.prefix);
        self.out.write(&last, end..end);
    }

    fn line_block(&mut self, index: usize, to: usize) -> usize {
        let mut at = index;
        self.begin_block(self.lines[index].range.start);
        while at < to && (self.shown(at).starts_with("| ") || self.shown(at) == "|") {
            let range = self.lines[at].range.clone();
            if at > index {
                let next = format!("\\\n{}", self.prefix);
                self.out.write(&next, range.start..range.start);
            }
            self.emit_inline(trimmed_range(self.source, range.start + 1..range.end));
            at += 1;
        }
        at
    }
}

/// Whether a line consists of one punctuation character.
fn is_adornment(line: &str) -> bool {
    let Some(&first) = line.as_bytes().first() else { return false };
    line.len() >= 2 && first.is_ascii_punctuation() && line.bytes().all(|byte| byte == first)
}
