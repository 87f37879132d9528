//! Comments, and tags of HTML and of components: headings, lists, tables, links and pictures as Markdown.

use std::ops::Range;

use super::{InlineScanner, OpenHtmlTable, SPAN_BYTES_MAX};
use crate::markdown::blocks::list_marker_width;
use crate::markdown::tags::{MarkupTag, scan_tag};
use crate::source_map::MappedText;

/// Elements that begin and end a paragraph.
const BLOCK_ELEMENTS: [&str; 24] = [
    "p",
    "div",
    "section",
    "article",
    "header",
    "footer",
    "main",
    "aside",
    "nav",
    "ul",
    "ol",
    "dl",
    "dt",
    "dd",
    "blockquote",
    "center",
    "details",
    "figure",
    "figcaption",
    "form",
    "fieldset",
    "table",
    "hr",
    "summary",
];

impl InlineScanner<'_> {
    pub(super) fn angle(&mut self, at: usize) -> usize {
        let rest = &self.text[at..];
        if rest.starts_with("<!--") {
            return match self.find_end(at + 4, "-->", usize::MAX) {
                Some(end) => self.drop_to(end),
                None => self.copy(at, at + 1),
            };
        }
        let alone = |part: &str| rest[part.len()..].trim_start_matches(' ').starts_with('\n');
        for fragment in ["<>", "</>"] {
            if rest.starts_with(fragment) && self.current_line().trim().is_empty() && alone(fragment) {
                return self.drop_to(at + fragment.len());
            }
        }
        let text = self.text;
        let Some(tag) = scan_tag(text, at).filter(MarkupTag::is_known) else {
            return self.copy(at, at + 1);
        };
        // `Vec<String>` in prose is no component.
        let glued = self.out.as_str().ends_with(|before: char| before.is_alphanumeric() || before == '_');
        if glued && tag.is_component() {
            return self.copy(at, at + 1);
        }
        self.tag(at, &tag)
    }

    fn tag(&mut self, at: usize, tag: &MarkupTag<'_>) -> usize {
        let place = at..tag.end;
        let name = tag.name.to_ascii_lowercase();
        let blank_line = self.current_line().trim().is_empty();
        match name.as_str() {
            "script" | "style" | "svg" | "iframe" | "object" if !tag.closing => {
                let closer = match name.as_str() {
                    "script" => "</script>",
                    "style" => "</style>",
                    "svg" => "</svg>",
                    "iframe" => "</iframe>",
                    _ => "</object>",
                };
                let end = self.find_end(tag.end, closer, usize::MAX).unwrap_or(tag.end);
                return self.drop_to(end);
            }
            "br" => self.line_break(place),
            "img" => self.picture(tag),
            "a" => self.anchor(tag, place),
            "h1" | "h2" | "h3" | "h4" | "h5" | "h6" => {
                self.break_paragraph(place.clone());
                self.heading = !tag.closing;
                if self.heading {
                    let level = usize::from(name.as_bytes()[1] - b'0');
                    self.out.write(&"######"[..level], place.clone());
                    self.out.write(" ", place);
                    let rest = &self.text[tag.end..];
                    return tag.end + rest.len() - rest.trim_start().len();
                }
            }
            "sup" if !tag.closing && self.out.as_str().ends_with(char::is_alphanumeric) => {
                self.out.write("^", place);
            }
            "del" | "s" | "strike" => self.out.write("~~", place),
            "tr" | "td" | "th" | "table" => self.table_tag(&name, tag.closing, place),
            "li" if !tag.closing => {
                if !blank_line {
                    self.out.write("\n", place.clone());
                }
                let start = self.line_start;
                if blank_line {
                    self.out.truncate(start);
                }
                self.begin_line();
                self.out.write("- ", place);
                let rest = &self.text[tag.end..];
                return tag.end + rest.len() - rest.trim_start().len();
            }
            "summary" => {
                if !tag.closing {
                    self.break_paragraph(place.clone());
                }
                self.out.write("**", place.clone());
                if tag.closing {
                    self.break_paragraph(place);
                } else {
                    let rest = &self.text[tag.end..];
                    return tag.end + rest.len() - rest.trim_start().len();
                }
            }
            _ if self.table.as_ref().is_some_and(|table| table.in_cell) => {}
            block if BLOCK_ELEMENTS.contains(&block) => {
                if blank_line {
                    let start = self.line_start;
                    self.out.truncate(start);
                } else if !is_list_or_quote(self.current_line()) {
                    self.break_paragraph(place);
                }
            }
            _ => {}
        }
        self.drop_to(tag.end)
    }

    fn line_break(&mut self, place: Range<usize>) {
        let line = self.current_line().trim_start();
        let in_cell = self.table.as_ref().is_some_and(|table| table.in_cell);
        if in_cell || self.heading || line.starts_with(['|', '#', '>']) || line.contains(" | ") {
            self.out.write(" ", place);
        } else if !line.is_empty() && !self.text[place.end..].trim_start_matches(' ').starts_with('\n') {
            self.out.write("\n", place);
            self.begin_line();
        }
    }

    fn picture(&mut self, tag: &MarkupTag<'_>) {
        let Some(alt) = tag.attribute(self.text, "alt").filter(|alt| !alt.is_empty()) else { return };
        let source = tag.attribute(self.text, "src");
        let shown = source.filter(|source| !self.text[source.clone()].trim_start().starts_with("data:"));
        match shown {
            Some(source) => {
                self.out.write("![", alt.start..alt.start);
                self.out.copy(self.text, alt);
                self.out.write("](", source.start..source.start);
                self.out.copy(self.text, source.clone());
                self.out.write(")", source.end..source.end);
            }
            None => self.out.copy(self.text, alt),
        }
    }

    fn anchor(&mut self, tag: &MarkupTag<'_>, place: Range<usize>) {
        if tag.closing {
            let Some(target) = self.links.pop() else { return };
            self.out.write("](", place.start..place.start);
            self.out.copy(self.text, target);
            self.out.write(")", place);
            return;
        }
        let Some(target) = tag.attribute(self.text, "href") else { return };
        let shown = self.text[target.clone()].trim();
        if shown.is_empty() || shown.starts_with("data:") || shown.starts_with("javascript:") {
            return;
        }
        // Only a link that ends in its paragraph and has text is one.
        let limit = self.text.floor_char_boundary(place.end + SPAN_BYTES_MAX);
        let ahead = &self.text[place.end..limit];
        let ahead = ahead.split("\n\n").next().unwrap_or_default();
        if ahead.find("</a").is_some_and(|end| !ahead[..end].trim().is_empty()) {
            self.links.push(target);
            self.out.write("[", place);
        }
    }

    fn table_tag(&mut self, name: &str, closing: bool, place: Range<usize>) {
        if name == "table" || self.table.is_none() {
            // Without an end the rest of the document would be a cell.
            if !closing && self.find_end(place.end, "</table", usize::MAX).is_none() {
                return;
            }
            self.end_row(place.clone());
            self.break_paragraph(place.clone());
            self.table = (!closing).then(OpenHtmlTable::default);
        }
        let in_line = self.current_line().starts_with('|');
        let Some(table) = &mut self.table else { return };
        if name == "table" {
            return;
        }
        if name == "tr" {
            self.end_row(place);
        } else if closing {
            table.in_cell = false;
        } else {
            table.in_cell = true;
            table.cells += 1;
            let start = self.line_start;
            if !in_line {
                self.out.truncate(start);
            }
            self.out.trim_end_spaces();
            self.out.write(if in_line { " | " } else { "| " }, place);
        }
    }

    fn end_row(&mut self, place: Range<usize>) {
        let Some(table) = &mut self.table else { return };
        table.in_cell = false;
        let cells = std::mem::take(&mut table.cells);
        if cells == 0 {
            return;
        }
        table.rows += 1;
        let first = table.rows == 1;
        self.out.trim_end_spaces();
        self.out.write(" |\n", place.clone());
        if first {
            self.out.write(&"|---".repeat(cells), place.clone());
            self.out.write("|\n", place);
        }
        self.begin_line();
        self.after_dropped = true;
        self.dropped = true;
    }
}

trait TrimEndSpaces {
    fn trim_end_spaces(&mut self);
}

impl TrimEndSpaces for MappedText {
    /// Removes spaces, but no line ends.
    fn trim_end_spaces(&mut self) {
        let kept = self.as_str().trim_end_matches([' ', '\t']).len();
        self.truncate(kept);
    }
}

fn is_list_or_quote(line: &str) -> bool {
    let shown = line.trim_start();
    shown.starts_with(['>', '|']) || list_marker_width(shown).is_some_and(|w| w >= shown.len())
}
