//! What begins with two dots in reStructuredText: directives, targets, substitutions, footnotes, comments.

use std::ops::Range;

use super::inline::RestNames;
use super::items::field_name;
use super::{RestLine, RestWriter, tables};
use crate::unix_lines::{capitalised, one_line, trimmed_range};

/// Directives that show nothing.
const DROPPED: [&str; 24] = [
    "toctree",
    "contents",
    "include",
    "literalinclude",
    "raw",
    "index",
    "meta",
    "highlight",
    "default-role",
    "role",
    "sectnum",
    "tabularcolumns",
    "currentmodule",
    "module",
    "py:module",
    "py:currentmodule",
    "default-domain",
    "target-notes",
    "header",
    "footer",
    "bibliography",
    "graphviz",
    "uml",
    "automodule",
];
const CODE: [&str; 12] = [
    "code-block",
    "code",
    "sourcecode",
    "parsed-literal",
    "prompt",
    "doctest",
    "testcode",
    "testoutput",
    "console",
    "ipython",
    "literal",
    "productionlist",
];
const ADMONITIONS: [&str; 11] = [
    "note",
    "warning",
    "tip",
    "hint",
    "important",
    "caution",
    "danger",
    "error",
    "attention",
    "seealso",
    "todo",
];
/// Directives whose argument is a title of their body.
const TITLED: [&str; 10] = [
    "admonition",
    "topic",
    "sidebar",
    "rubric",
    "tab-item",
    "tab",
    "dropdown",
    "card",
    "grid-item-card",
    "collapse",
];
/// Directives whose body alone is shown.
const CONTAINERS: [&str; 16] = [
    "container",
    "class",
    "rst-class",
    "only",
    "compound",
    "tab-set",
    "tabs",
    "grid",
    "grid-item",
    "glossary",
    "epigraph",
    "highlights",
    "pull-quote",
    "hlist",
    "centered",
    "div",
];

/// Finds what names stand for, before the text that uses them.
pub(super) fn collect_names(source: &str, lines: &[RestLine]) -> RestNames {
    let mut names = RestNames::default();
    for (index, line) in lines.iter().enumerate() {
        let Some(rest) = source[line.range.clone()].strip_prefix(".. ") else { continue };
        if let Some((name, target)) = rest.strip_prefix('_').and_then(|rest| rest.split_once(": ")) {
            let target: String = target.split_whitespace().collect();
            if !target.ends_with('_') {
                names.targets.insert(name.trim_matches('`').to_lowercase(), target);
            }
        } else if let Some((name, definition)) = rest.strip_prefix('|').and_then(|rest| rest.split_once("| "))
        {
            let text = if let Some(text) = definition.strip_prefix("replace::") {
                let more = lines[index + 1..]
                    .iter()
                    .take(8)
                    .take_while(|next| next.columns > 0 && !next.range.is_empty());
                let more: Vec<&str> = more.map(|next| &source[next.range.clone()]).collect();
                one_line(&format!("{text} {}", more.join(" ")))
            } else if definition.starts_with("image::") {
                let alt = lines[index + 1..].iter().take(8).take_while(|next| next.columns > 0);
                let alt = { alt }.find_map(|next| source[next.range.clone()].strip_prefix(":alt:"));
                one_line(alt.unwrap_or(name))
            } else if let Some(text) = definition.strip_prefix("unicode::") {
                text.split_whitespace()
                    .map(|word| {
                        let code = word.strip_prefix("0x").or_else(|| word.strip_prefix("U+"));
                        let character =
                            code.and_then(|code| u32::from_str_radix(code, 16).ok()).and_then(char::from_u32);
                        character.filter(|c| !c.is_control()).map_or(word.to_owned(), String::from)
                    })
                    .collect()
            } else {
                continue;
            };
            names.substitutions.insert(name.to_lowercase(), text);
        }
    }
    names
}

impl RestWriter<'_> {
    /// Takes explicit markup with its body.
    pub(super) fn explicit(&mut self, index: usize, to: usize, depth: usize) -> usize {
        let columns = self.lines[index].columns;
        let range = self.lines[index].range.clone();
        let rest = trimmed_range(self.source, range.start + 2..range.end);
        let shown = &self.source[rest.clone()];
        let end = self.body_end(index + 1, to, columns);
        if let Some((label, _)) = shown.strip_prefix('[').and_then(|shown| shown.split_once("] ")) {
            return self.footnote(index, end, rest.start + 1..rest.start + 1 + label.len(), depth);
        }
        let is_name =
            |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b':' | b'.' | b'+');
        let name = match shown.find("::") {
            Some(at) if at > 0 && !shown.starts_with(['_', '|']) => {
                // Names of a domain have a colon inside: `py:function::`.
                let name = shown[..at].trim_end();
                name.bytes().all(is_name).then(|| (name.to_owned(), rest.start + at + 2))
            }
            _ => None,
        };
        let Some((name, argument_start)) = name else { return end };
        let argument = trimmed_range(self.source, argument_start..range.end);
        let lower = name.to_ascii_lowercase();
        let options_end = self.options_end(index + 1, end);
        self.directive(&lower, argument, index, (index + 1, options_end, end), depth);
        end
    }

    /// The index behind the options of a directive; an argument of several lines counts with them.
    fn options_end(&self, from: usize, to: usize) -> usize {
        let options = (from..to)
            .take_while(|&at| self.shown(at).starts_with(':') && field_name(self.shown(at)).is_some());
        from + options.count()
    }

    fn option(&self, options: Range<usize>, name: &str) -> Option<Range<usize>> {
        options.into_iter().find_map(|index| {
            let range = self.lines[index].range.clone();
            let value =
                self.source[range.clone()].strip_prefix(':')?.strip_prefix(name)?.strip_prefix(':')?;
            let value = trimmed_range(self.source, range.end - value.len()..range.end);
            (!value.is_empty()).then_some(value)
        })
    }

    fn directive(
        &mut self,
        name: &str,
        argument: Range<usize>,
        index: usize,
        (options, body, end): (usize, usize, usize),
        depth: usize,
    ) {
        let place = self.lines[index].range.start;
        let first = self.first_shown(body, end);
        let has_argument = !argument.is_empty();
        if DROPPED.contains(&name) {
            return;
        }
        if CODE.contains(&name) {
            let language =
                self.source[argument].split_whitespace().next().unwrap_or_default().replace('`', "");
            if first < end {
                let least = (first..end).filter(|&i| !self.is_blank(i)).map(|i| self.lines[i].columns).min();
                if let Some(caption) = self.option(options..body, "caption") {
                    self.bold(caption, place);
                }
                self.fence(&language, first, end, least.unwrap_or(0));
            }
        } else if ADMONITIONS.contains(&name)
            || matches!(name, "versionadded" | "versionchanged" | "deprecated")
        {
            let label = match name {
                "seealso" => "See also",
                "versionadded" => "New in version",
                "versionchanged" => "Changed in version",
                "deprecated" => "Deprecated since version",
                other => &capitalised(other),
            };
            self.begin_block(place);
            self.out.write(&format!("**{label}**"), place..argument.start);
            if has_argument {
                // The text of an admonition may begin on its line.
                let joined = (index + 1..end).take_while(|&line| !self.is_blank(line)).last();
                let is_text = ADMONITIONS.contains(&name) && body == options;
                let text_end =
                    joined.filter(|_| is_text).map_or(argument.end, |line| self.lines[line].range.end);
                self.out.write(if is_text { ": " } else { " " }, argument.start..argument.start);
                self.emit_inline(argument.start..text_end);
                let from = joined.filter(|_| is_text).map_or(first, |line| line + 1);
                self.blocks(from, end, depth + 1);
            } else {
                self.blocks(first, end, depth + 1);
            }
        } else if TITLED.contains(&name) {
            if has_argument {
                self.bold(argument, place);
            }
            self.blocks(first, end, depth + 1);
        } else if CONTAINERS.contains(&name) {
            self.blocks(first, end, depth + 1);
        } else if name == "image" || name == "figure" {
            let alt = self.option(options..body, "alt");
            self.begin_block(place);
            self.out.write("![", place..place);
            if let Some(alt) = alt {
                self.out.copy(self.source, alt);
            }
            self.out.write("](", argument.start..argument.start);
            let is_data = self.source[argument.clone()].starts_with("data:");
            if !is_data {
                self.out.copy(self.source, argument.clone());
            }
            self.out.write(")", argument.end..argument.end);
            self.blocks(first, end, depth + 1);
        } else if matches!(name, "table" | "csv-table" | "list-table") {
            if has_argument {
                self.bold(argument, place);
            }
            self.table_directive(name, options..body, first..end, depth);
        } else if name == "math" {
            self.begin_block(place);
            self.out.write("$$ ", place..place);
            let (from, to) = if first < end {
                (self.lines[first].range.start, self.lines[end - 1].range.end)
            } else {
                (argument.end, argument.end)
            };
            self.out.copy(self.source, argument.clone());
            if has_argument && from < to {
                self.out.write("\n", argument.end..argument.end);
            }
            self.out.copy(self.source, from..to);
            self.out.write(" $$", to..to);
        } else {
            if has_argument {
                self.begin_block(place);
                let marks = if self.source[argument.clone()].contains('`') { "``" } else { "`" };
                self.out.write(&format!("**{marks}"), place..argument.start);
                self.out.copy(self.source, argument.clone());
                self.out.write(&format!("{marks}**"), argument.end..argument.end);
            }
            self.blocks(first, end, depth + 1);
        }
    }

    fn bold(&mut self, title: Range<usize>, place: usize) {
        self.begin_block(place);
        self.out.write("**", place..title.start);
        self.emit_inline(title.clone());
        self.out.write("**", title.end..title.end);
    }

    fn table_directive(&mut self, name: &str, options: Range<usize>, body: Range<usize>, depth: usize) {
        if body.is_empty() {
            return;
        }
        if name == "table" {
            return self.blocks(body.start, body.end, depth + 1);
        }
        let place = self.lines[body.start].range.start..self.lines[body.end - 1].range.end;
        let mut rows = tables::RestTableRows::new();
        if name == "csv-table" {
            let delimiter =
                self.option(options.clone(), "delim").map_or(b',', |value| match &self.source[value] {
                    "tab" => b'\t',
                    "space" => b' ',
                    other => other.bytes().next().filter(u8::is_ascii).unwrap_or(b','),
                });
            if let Some(header) = self.option(options, "header") {
                rows.extend(tables::csv_rows(self.source, header, delimiter, &self.names));
            }
            rows.extend(tables::csv_rows(self.source, place.clone(), delimiter, &self.names));
        } else {
            let lines: Vec<Range<usize>> = self.lines[body].iter().map(|line| line.range.clone()).collect();
            rows = tables::list_rows(self.source, &lines, &self.names);
        }
        self.write_rows(&rows, place);
    }

    fn footnote(&mut self, index: usize, end: usize, label: Range<usize>, depth: usize) -> usize {
        let start = self.lines[index].range.start;
        self.begin_block(start);
        self.out.write("[^", start..label.start);
        self.out.copy(self.source, label.clone());
        self.out.write("]: ", label.end..label.end + 1);
        let line = &mut self.lines[index];
        line.range = trimmed_range(self.source, label.end + 1..line.range.end);
        line.columns += 3;
        self.nested(index, end, 4, depth);
        end
    }
}
