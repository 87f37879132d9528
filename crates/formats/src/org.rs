//! Org mode to Markdown: headlines, blocks, lists, tables, links, footnotes and marks.
//!
//! Headlines keep the word of their state; their tags follow as a line. Keywords at the start are properties, as
//! is a drawer before the first headline; other drawers, comments, table formulas and options are dropped.
//! Timestamps stay. Limits: inline marks of 1 KiB, drawers of 500 lines.
//!
//! Here are the lines, with headlines, lists and paragraphs; `blocks` takes what has a beginning and an end.

mod blocks;
mod inline;

use std::ops::Range;

use crate::front_matter::split_front_matter;
use crate::parsed_text::ParsedText;
use crate::property_collector::PropertyCollector;
use crate::source_map::MappedText;
use crate::unix_lines::{indent_columns, line_ranges, parse_unix_lines, trimmed_range};
use inline::render_org_inline;

/// Reads Org mode.
pub fn parse_org(source: &str) -> ParsedText {
    parse_unix_lines(source, |source| {
        let front = split_front_matter(source);
        let mut writer = OrgWriter {
            source,
            lines: line_ranges(source, front.body_start),
            out: MappedText::default(),
            properties: PropertyCollector::default(),
            at_start: true,
            in_list: false,
            open_blocks: Vec::new(),
        };
        let mut index = 0;
        while index < writer.lines.len() {
            index = writer.line(index);
        }
        front.finish_markdown(writer.out, writer.properties, source.len())
    })
}

struct OrgWriter<'a> {
    source: &'a str,
    lines: Vec<Range<usize>>,
    out: MappedText,
    properties: PropertyCollector,
    /// Before the first headline and text.
    at_start: bool,
    in_list: bool,
    /// Kinds of blocks that do not end any more.
    open_blocks: Vec<String>,
}

impl<'a> OrgWriter<'a> {
    fn trimmed(&self, index: usize) -> &'a str {
        self.source[self.lines[index].clone()].trim()
    }

    /// Makes the next block begin behind a blank line.
    fn begin_block(&mut self, place: usize) {
        self.out.trim_end();
        if !self.out.is_empty() {
            self.out.write("\n\n", place..place);
        }
    }

    fn end_line(&mut self, index: usize) {
        let end = self.lines[index].end;
        self.out.write("\n", end..end);
    }

    /// Takes the line of an index, or the block that begins there; returns the index behind.
    fn line(&mut self, index: usize) -> usize {
        let range = self.lines[index].clone();
        let line = &self.source[range.clone()];
        let shown = line.trim();
        if shown.is_empty() {
            if !self.out.is_empty() && !self.out.as_str().ends_with("\n\n") {
                self.end_line(index);
            }
            return index + 1;
        }
        let stars = line.bytes().take_while(|&byte| byte == b'*').count();
        if stars > 0 && line[stars..].starts_with(' ') {
            self.headline(index, stars);
            return index + 1;
        }
        if let Some(keyword) = shown.strip_prefix("#+") {
            return self.keyword(index, keyword);
        }
        if shown == "#" || shown.starts_with("# ") {
            return index + 1;
        }
        if shown.len() > 2
            && shown.starts_with(':')
            && shown.ends_with(':')
            && !shown.contains(' ')
            && let Some(next) = self.drawer(index)
        {
            return next;
        }
        self.at_start = false;
        if shown.starts_with('|') {
            return self.table(index);
        }
        if shown == ":" || shown.starts_with(": ") {
            let end = self.run_end(index, |shown| shown == ":" || shown.starts_with(": "));
            let lines = (index..end).map(|at| {
                let line = trimmed_range(self.source, self.lines[at].clone());
                (line.start + 2).min(line.end)..line.end
            });
            let lines = lines.collect::<Vec<_>>();
            self.fence("", &lines, 0);
            return end;
        }
        if shown.len() >= 5 && shown.bytes().all(|byte| byte == b'-') {
            self.begin_block(range.start);
            self.out.write("---\n\n", range);
            return index + 1;
        }
        if let Some((label, behind)) = shown.strip_prefix("[fn:").and_then(|rest| rest.split_once(']'))
            && line.starts_with('[')
            && !label.contains(':')
        {
            self.begin_block(range.start);
            self.out.write(&format!("[^{label}]:"), range.start..range.end - behind.len());
            self.emit(range.end - behind.len()..range.end);
            self.end_line(index);
            return index + 1;
        }
        self.text(index)
    }

    fn run_end(&self, from: usize, belongs: fn(&str) -> bool) -> usize {
        (from..self.lines.len()).find(|&at| !belongs(self.trimmed(at))).unwrap_or(self.lines.len())
    }

    fn headline(&mut self, index: usize, stars: usize) {
        let range = self.lines[index].clone();
        (self.at_start, self.in_list) = (false, false);
        let mut title = trimmed_range(self.source, range.start + stars..range.end);
        let shown = &self.source[title.clone()];
        let tags = shown.rfind([' ', '\t']).map_or(0, |at| at + 1);
        let word = &shown[tags..];
        let is_tags = word.len() > 2 && word.starts_with(':') && word.ends_with(':');
        let tags = is_tags.then(|| title.start + tags..title.end);
        if let Some(tags) = &tags {
            title = trimmed_range(self.source, title.start..tags.start);
        }
        self.begin_block(range.start);
        self.out.write(&format!("{} ", "#".repeat(stars.min(6))), range.start..title.start);
        let shown = &self.source[title.clone()];
        // A priority says nothing without its neighbours.
        match shown.find("[#").filter(|&at| shown[at..].find(']').is_some_and(|end| end <= 4)) {
            Some(at) => {
                let behind = title.start + at + shown[at..].find(']').map_or(0, |end| end + 1);
                self.emit(title.start..title.start + at);
                self.emit(trimmed_range(self.source, behind..title.end));
            }
            None => self.emit(title),
        }
        self.out.write("\n\n", range.end..range.end);
        if let Some(tags) = tags {
            let names: Vec<&str> =
                self.source[tags.clone()].split(':').filter(|name| !name.is_empty()).collect();
            self.out.write(&format!("Tags: {}\n\n", names.join(", ")), tags);
        }
    }

    /// Writes a list item or the lines of a paragraph.
    fn text(&mut self, index: usize) -> usize {
        let range = self.lines[index].clone();
        let line = &self.source[range.clone()];
        let columns = indent_columns(line);
        let mark = trimmed_range(self.source, range.clone()).start;
        let mut end = index + 1;
        while end < self.lines.len() && self.is_more_text(end) {
            end += 1;
        }
        let text_end = self.source[..self.lines[end - 1].end].trim_end().len().max(mark);
        if let Some(width) = org_marker(&self.source[mark..range.end]) {
            if !self.in_list && !self.out.is_empty() {
                self.begin_block(range.start);
            }
            self.in_list = true;
            self.out.copy(self.source, range.start..mark);
            let bullet = &self.source[mark..mark + width];
            if bullet.starts_with('*') {
                self.out.write("- ", mark..mark + width);
            } else {
                self.out.copy(self.source, mark..mark + width);
            }
            let text = mark + width..text_end.max(mark + width);
            match self.source[text.clone()]
                .find(" :: ")
                .filter(|_| !bullet.starts_with(|c: char| c.is_ascii_digit()))
            {
                Some(at) => {
                    self.out.write("**", text.start..text.start);
                    self.emit(text.start..text.start + at);
                    self.out.write("**: ", text.start + at..text.start + at + 4);
                    self.emit(text.start + at + 4..text.end);
                }
                None => self.emit(text),
            }
        } else {
            self.in_list &= columns > 0;
            // Indentation below a headline is no code.
            if self.in_list {
                self.out.copy(self.source, range.start..mark);
            }
            self.emit(mark..text_end);
        }
        self.end_line(end - 1);
        end
    }

    /// Whether a line goes on with the paragraph before it.
    fn is_more_text(&self, index: usize) -> bool {
        let line = &self.source[self.lines[index].clone()];
        let shown = line.trim();
        !(shown.is_empty()
            || line.starts_with('*')
            || shown.starts_with(['|', '#', ':'])
            || shown.starts_with("[fn:")
            || shown.starts_with("-----")
            || org_marker(shown).is_some())
    }

    fn emit(&mut self, range: Range<usize>) {
        let prefix = if self.in_list { "  " } else { "" };
        render_org_inline(self.source, range).emit(self.source, &mut self.out, prefix);
    }
}

/// The width of a list marker with its white space.
fn org_marker(shown: &str) -> Option<usize> {
    let digits = shown.bytes().take_while(u8::is_ascii_digit).count();
    let rest = &shown[digits..];
    let is_marker =
        if digits == 0 { rest.starts_with(['-', '+', '*']) } else { rest.starts_with(['.', ')']) };
    let spaces = rest.get(1..)?.bytes().take_while(|&byte| byte == b' ').count();
    (is_marker && digits < 10 && spaces > 0).then_some(digits + 1 + spaces)
}
