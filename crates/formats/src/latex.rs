//! LaTeX to Markdown, without running it: sections, lists, code, tables, mathematics, links and text.
//!
//! `\title`, `\author` and `\date` are properties; the rest of the preamble, comments, labels and includes are
//! dropped. Mathematics stays as it is, in `$` or `$$`. Of unknown commands the arguments are kept, of unknown
//! environments the text. Nothing recurses. Limits: 1,024 open groups, deeper braces are only skipped; an argument
//! that is read as a whole, and mathematics in a line, have 4 KiB.
//!
//! Here is the walk over the text, with arguments, groups and paragraphs; `commands` and `environments` write what
//! begins with a backslash.

mod commands;
mod environments;
mod symbols;

use std::borrow::Cow;
use std::ops::Range;

use crate::front_matter::SplitFrontMatter;
use crate::parsed_text::{ParsedText, PropertyValue};
use crate::property_collector::PropertyCollector;
use crate::source_map::MappedText;
use crate::unix_lines::parse_unix_lines;

/// Longest argument that is read as a whole, and longest mathematics in a line.
const ARGUMENT_BYTES_MAX: usize = 4096;
/// Most open groups that write something at their end.
const OPEN_GROUPS_MAX: usize = 1024;
/// Deepest list that is indented.
const LIST_DEPTH_MAX: usize = 6;

/// Reads LaTeX.
pub fn parse_latex(source: &str) -> ParsedText {
    parse_unix_lines(source, |source| {
        let find = |text: &str| memchr::memmem::find(source.as_bytes(), text.as_bytes());
        let start = find("\\begin{document}").map_or(0, |at| at + 16);
        let end = find("\\end{document}").filter(|&end| end >= start).unwrap_or(source.len());
        let mut writer = LatexWriter {
            source,
            end,
            out: MappedText::default(),
            properties: PropertyCollector::default(),
            groups: Vec::new(),
            lists: Vec::new(),
            table: None,
        };
        writer.preamble(start);
        let mut at = start;
        while at < end {
            at = writer.step(at).clamp(at + 1, source.len());
            at = at.max(source.ceil_char_boundary(at));
        }
        SplitFrontMatter::default().finish_markdown(writer.out, writer.properties, end)
    })
}

struct OpenLatexTable {
    rows: usize,
    cells: usize,
    row_start: usize,
}

struct LatexWriter<'a> {
    source: &'a str,
    end: usize,
    out: MappedText,
    properties: PropertyCollector,
    /// What the ends of open groups write.
    groups: Vec<Cow<'static, str>>,
    /// Open lists: the number of the last item, if they are numbered.
    lists: Vec<Option<usize>>,
    table: Option<OpenLatexTable>,
}

impl LatexWriter<'_> {
    /// Finds what the preamble says about the document.
    fn preamble(&mut self, end: usize) {
        for name in ["title", "author", "date"] {
            let command = format!("\\{name}");
            let found = memchr::memmem::find(&self.source.as_bytes()[..end], command.as_bytes());
            if let Some(at) = found {
                self.property(name, at + command.len());
            }
        }
    }

    /// Takes the argument of `\title` and the like; returns its end.
    fn property(&mut self, name: &str, at: usize) -> usize {
        let at = self.option(at).map_or(at, |option| option.end + 1);
        let Some(argument) = self.argument(at) else { return at };
        let text = &self.source[argument.clone()];
        if name == "author" {
            let authors = text.split("\\and").map(symbols::plain_text).collect();
            self.properties.add("author", PropertyValue::Texts(authors));
        } else {
            self.properties.add_text(name, &symbols::plain_text(text));
        }
        argument.end + 1
    }

    /// The inside of the brackets at a byte.
    fn option(&self, at: usize) -> Option<Range<usize>> {
        let rest =
            &self.source[at..self.source.floor_char_boundary(self.end.min(at + ARGUMENT_BYTES_MAX)).max(at)];
        let close = rest.strip_prefix('[')?.find(']')?;
        Some(at + 1..at + 1 + close)
    }

    /// The inside of the braces at a byte, if they are closed soon.
    fn argument(&self, at: usize) -> Option<Range<usize>> {
        let bytes = self.source.as_bytes();
        if bytes.get(at) != Some(&b'{') {
            return None;
        }
        let (mut depth, mut next) = (0_usize, at);
        while next < self.end.min(at + ARGUMENT_BYTES_MAX) {
            match bytes[next] {
                b'\\' => next += 1,
                b'{' => depth += 1,
                b'}' if depth == 1 => return Some(at + 1..next),
                b'}' => depth -= 1,
                _ => {}
            }
            next += 1;
        }
        None
    }

    /// The end of all options and arguments from a byte on.
    fn arguments_end(&self, mut at: usize) -> usize {
        loop {
            let star = usize::from(self.source[at..].starts_with('*'));
            match self.option(at + star).or_else(|| self.argument(at + star)) {
                Some(argument) => at = argument.end + 1,
                None => return at,
            }
        }
    }

    fn begin_block(&mut self, place: usize) {
        if self.table.is_some() {
            return;
        }
        self.out.trim_end();
        if !self.out.is_empty() {
            self.out.write("\n\n", place..place);
        }
    }

    /// Opens a group whose end writes a text; the brace is at the byte.
    fn open(
        &mut self,
        brace: usize,
        before: &str,
        behind: impl Into<Cow<'static, str>>,
        from: usize,
    ) -> usize {
        if !self.source[brace..].starts_with('{') || self.groups.len() >= OPEN_GROUPS_MAX {
            return brace;
        }
        self.out.write(before, from..brace + 1);
        self.groups.push(behind.into());
        brace + 1
    }

    /// Takes what stands at a byte; returns the byte behind.
    fn step(&mut self, at: usize) -> usize {
        let source = self.source;
        let special = |byte: &u8| {
            matches!(
                byte,
                b'\\' | b'%' | b'{' | b'}' | b'$' | b'~' | b'-' | b'`' | b'\'' | b'&' | b'\n' | b'|'
            )
        };
        let found = source.as_bytes()[at..self.end].iter().position(special);
        let next = found.map_or(self.end, |found| at + found);
        self.out.copy(source, at..next);
        if next == self.end {
            return next;
        }
        let rest = &source[next..self.end];
        match rest.as_bytes()[0] {
            b'\\' => self.command(next),
            b'%' => self.comment(next),
            b'{' => {
                if self.groups.len() < OPEN_GROUPS_MAX {
                    self.groups.push(Cow::Borrowed(""));
                }
                next + 1
            }
            b'}' => {
                if let Some(behind) = self.groups.pop() {
                    if behind == "\n\n" {
                        self.trim_end_spaces();
                    }
                    self.out.write(&behind, next..next + 1);
                }
                next + 1
            }
            b'$' => self.mathematics(next, if rest.starts_with("$$") { "$$" } else { "$" }),
            b'\n' => self.line_end(next),
            b'&' if self.table.is_some() => {
                self.trim_end_spaces();
                self.out.write(" | ", next..next + 1);
                if let Some(table) = &mut self.table {
                    table.cells += 1;
                }
                next + 1 + self.blank_bytes(next + 1)
            }
            b'|' if self.table.is_some() => {
                self.out.write("\\|", next..next + 1);
                next + 1
            }
            _ => {
                let ligatures = [("---", "—"), ("--", "–"), ("``", "“"), ("''", "”"), ("~", " ")];
                if let Some((written, shown)) =
                    ligatures.iter().find(|(written, _)| rest.starts_with(written))
                {
                    self.out.write(shown, next..next + written.len());
                    next + written.len()
                } else {
                    self.out.copy(source, next..next + 1);
                    next + 1
                }
            }
        }
    }

    fn trim_end_spaces(&mut self) {
        let kept = self.out.as_str().trim_end_matches(' ').len();
        self.out.truncate(kept);
    }

    /// A comment goes with its line end and the indentation of the next line.
    fn comment(&mut self, at: usize) -> usize {
        let end =
            memchr::memchr(b'\n', &self.source.as_bytes()[at..self.end]).map_or(self.end, |end| at + end + 1);
        end + self.blank_bytes(end)
    }

    fn blank_bytes(&self, at: usize) -> usize {
        let rest = &self.source[at..self.end.max(at)];
        rest.len() - rest.trim_start_matches([' ', '\t']).len()
    }

    /// Indentation says nothing; a blank line ends a paragraph.
    fn line_end(&mut self, at: usize) -> usize {
        let next = at + 1 + self.blank_bytes(at + 1);
        if self.table.is_some() {
            if !self.out.as_str().ends_with(' ') {
                self.out.write(" ", at..next);
            }
        } else if !self.out.as_str().ends_with("\n\n") && !self.out.is_empty() {
            let ended = self.out.as_str().ends_with('\n');
            self.out.copy(self.source, at..at + 1);
            let more =
                !ended && self.source[next..self.end].chars().next().is_some_and(|c| c != '\n' && c != '\\');
            if more && !self.lists.is_empty() {
                self.out.write(&self.list_indent(self.lists.len()), next..next);
            }
        }
        next
    }

    fn list_indent(&self, depth: usize) -> String {
        let lists = self.lists.iter().take(depth.min(LIST_DEPTH_MAX));
        " ".repeat(lists.map(|number| if number.is_some() { 3 } else { 2 }).sum())
    }
}
