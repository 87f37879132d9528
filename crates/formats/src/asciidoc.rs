//! `AsciiDoc` to Markdown: titles, lists, blocks, tables, admonitions, links, images and marks.
//!
//! Attributes of the header are properties and are put where `{name}` stands; so are author and revision.
//! Includes, conditions, comments, anchors and options of blocks are dropped. Frames (`====`, `****`, `--`) are
//! dropped around their text. Tables have their first row as head. Limits: 256 attributes of 1 KiB for `{name}`;
//! inline marks of 1 KiB.
//!
//! Here are the lines, with titles, lists and paragraphs; `header` and `blocks` take what has lines of its own.

mod blocks;
mod header;
mod inline;
mod tables;

use std::collections::BTreeMap;
use std::ops::Range;

use crate::front_matter::split_front_matter;
use crate::parsed_text::ParsedText;
use crate::property_collector::PropertyCollector;
use crate::source_map::MappedText;
use crate::unix_lines::{capitalised, line_ranges, parse_unix_lines, trimmed_range};
use inline::render_ascii_doc_inline;

const ADMONITIONS: [&str; 5] = ["NOTE", "TIP", "IMPORTANT", "WARNING", "CAUTION"];

/// Reads `AsciiDoc`.
pub fn parse_ascii_doc(source: &str) -> ParsedText {
    parse_unix_lines(source, |source| {
        let front = split_front_matter(source);
        let mut writer = AsciiDocWriter {
            source,
            lines: line_ranges(source, front.body_start),
            out: MappedText::default(),
            properties: PropertyCollector::default(),
            attributes: BTreeMap::new(),
            pending: PendingBlock::default(),
            prefix: "",
            after_blank: true,
            open_ends: Vec::new(),
        };
        let mut index = writer.header();
        while index < writer.lines.len() {
            index = writer.line(index);
        }
        front.finish_markdown(writer.out, writer.properties, source.len())
    })
}

/// What lines above a block say about it.
#[derive(Default)]
struct PendingBlock<'a> {
    attributes: &'a str,
    title: Option<Range<usize>>,
}

struct AsciiDocWriter<'a> {
    source: &'a str,
    lines: Vec<Range<usize>>,
    out: MappedText,
    properties: PropertyCollector,
    attributes: BTreeMap<String, String>,
    pending: PendingBlock<'a>,
    /// Indentation of the lines of the current item.
    prefix: &'static str,
    after_blank: bool,
    /// Delimiters that do not come again.
    open_ends: Vec<&'a str>,
}

impl<'a> AsciiDocWriter<'a> {
    fn shown(&self, index: usize) -> &'a str {
        self.lines.get(index).map_or("", |line| self.source[line.clone()].trim_end())
    }

    fn begin_block(&mut self, place: usize) {
        self.prefix = "";
        self.out.trim_end();
        if !self.out.is_empty() {
            self.out.write("\n\n", place..place);
        }
    }

    fn emit(&mut self, range: Range<usize>) {
        render_ascii_doc_inline(self.source, range, &self.attributes).emit(
            self.source,
            &mut self.out,
            self.prefix,
        );
    }

    /// Takes the line of an index, or the block that begins there; returns the index behind.
    fn line(&mut self, index: usize) -> usize {
        let range = self.lines[index].clone();
        let shown = self.shown(index);
        let after_blank = std::mem::replace(&mut self.after_blank, shown.is_empty());
        if shown.is_empty() {
            if !self.out.is_empty() && !self.out.as_str().ends_with("\n\n") {
                self.out.write("\n", range.end..range.end);
            }
            return index + 1;
        }
        let conditions =
            ["include::", "ifdef::", "ifndef::", "ifeval::", "endif::", "toc::", "video::", "audio::"];
        let is_comment = shown.starts_with("//") && !shown.starts_with("///");
        let dropped = is_comment
            || conditions.iter().any(|name| shown.starts_with(name))
            || matches!(shown, "<<<" | "+");
        if dropped || shown.starts_with(':') && self.attribute(shown, false) {
            self.after_blank = after_blank || shown == "+";
            if shown == "+" {
                self.begin_block(range.start);
            }
            return index + 1;
        }
        if shown.starts_with('[') && shown.ends_with(']') && !shown.starts_with("[[[") {
            if !shown.starts_with("[[") {
                self.pending.attributes = &shown[1..shown.len() - 1];
            }
            self.after_blank = true;
            return index + 1;
        }
        if shown.starts_with('.') && !shown[1..].starts_with(['.', ' ']) && shown.len() > 1 {
            self.pending.title = Some(range.start + 1..range.start + shown.len());
            self.after_blank = true;
            return index + 1;
        }
        let equals = shown.bytes().take_while(|&byte| byte == b'=').count();
        if (1..=6).contains(&equals) && shown[equals..].starts_with(' ') {
            self.begin_block(range.start);
            self.out.write(&format!("{} ", "#".repeat(equals)), range.start..range.start + equals + 1);
            self.emit(trimmed_range(self.source, range.start + equals..range.end));
            self.out.write("\n\n", range.end..range.end);
            self.pending = PendingBlock::default();
            return index + 1;
        }
        if let Some(next) = self.delimited(index, shown) {
            return next;
        }
        if shown.starts_with("'''") {
            self.begin_block(range.start);
            self.out.write("---\n\n", range);
            return index + 1;
        }
        self.write_title(range.start);
        if let Some(rest) = shown.strip_prefix("image::").filter(|rest| rest.ends_with(']'))
            && let Some((path, _)) = rest.split_once('[')
        {
            self.begin_block(range.start);
            let alt = range.start + 7 + path.len() + 1;
            let alt_end = range.start + shown.len() - 1;
            let alt_end =
                self.source[alt.min(alt_end)..alt_end].find(',').map_or(alt_end, |comma| alt + comma);
            self.out.write("![", range.start..alt);
            self.out.copy(self.source, alt.min(alt_end)..alt_end);
            self.out.write(&format!("]({})\n\n", if path.starts_with("data:") { "" } else { path }), range);
            return index + 1;
        }
        if shown.starts_with(' ') && after_blank && self.marker(index).is_none() && self.prefix.is_empty() {
            let end =
                (index..self.lines.len()).find(|&at| self.shown(at).is_empty()).unwrap_or(self.lines.len());
            self.fence("", index, end);
            return end;
        }
        self.text(index)
    }

    fn write_title(&mut self, place: usize) {
        if let Some(title) = self.pending.title.take() {
            self.begin_block(place);
            self.out.write("**", title.start..title.start);
            self.emit(title.clone());
            self.out.write("**\n\n", title.end..title.end);
        }
    }

    /// The width of a list marker, and what Markdown has for it.
    fn marker(&self, index: usize) -> Option<(usize, String, &'static str)> {
        let shown = self.shown(index);
        let indent = shown.len() - shown.trim_start().len();
        let text = &shown[indent..];
        let (marker, rest) = text.split_once(' ')?;
        let width = indent + marker.len() + 1 + (rest.len() - rest.trim_start().len());
        let depth = marker.len();
        let all = |byte: u8| depth <= 6 && marker.bytes().all(|other| other == byte);
        if all(b'*') || marker == "-" {
            return Some((width, format!("{}- ", "  ".repeat(depth - 1)), "  "));
        }
        if all(b'.') {
            return Some((width, format!("{}1. ", "   ".repeat(depth - 1)), "   "));
        }
        let number = marker.strip_suffix('.').or_else(|| marker.strip_prefix('<')?.strip_suffix('>'))?;
        if number == "." {
            return Some((width, "1. ".to_owned(), "   "));
        }
        let digits =
            !number.is_empty() && number.len() < 10 && number.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| (width, format!("{number}. "), "   "))
    }

    /// Whether a line goes on with the paragraph before it.
    fn is_more_text(&self, index: usize) -> bool {
        let shown = self.shown(index);
        let starts = ["|===", "include::", "ifdef::", "ifndef::", "endif::", "image::", "//"];
        let is_delimiter = shown.len() >= 4
            && shown.bytes().all(|byte| byte == shown.as_bytes()[0] && byte.is_ascii_punctuation());
        !(shown.is_empty()
            || matches!(shown, "+" | "--")
            || is_delimiter
            || starts.iter().any(|start| shown.starts_with(start))
            || shown.starts_with('[') && shown.ends_with(']')
            || self.marker(index).is_some()
            || label_end(shown).is_some())
    }

    /// Writes an item, a term or a paragraph.
    fn text(&mut self, index: usize) -> usize {
        let range = self.lines[index].clone();
        let mut end = index + 1;
        while end < self.lines.len() && self.is_more_text(end) {
            end += 1;
        }
        let text_end = self.source[..self.lines[end - 1].end].trim_end().len();
        let kind = std::mem::take(&mut self.pending.attributes)
            .split([',', '#', '.', '%'])
            .next()
            .unwrap_or_default();
        let shown = self.shown(index);
        if let Some((width, marker, prefix)) = self.marker(index) {
            if self.prefix.is_empty() {
                self.begin_block(range.start);
            }
            self.prefix = prefix;
            self.out.write(&marker, range.start..range.start + width);
            self.emit(range.start + width..text_end);
        } else if let Some((term, behind)) = label_end(shown) {
            if self.prefix.is_empty() {
                self.begin_block(range.start);
            }
            self.out.write("- **", range.start..range.start);
            self.emit(trimmed_range(self.source, range.start..range.start + term));
            let text = trimmed_range(self.source, range.start + behind..text_end.max(range.start + behind));
            self.prefix = "  ";
            self.out.write(
                if text.is_empty() { "**:" } else { "**: " },
                range.start + term..range.start + behind,
            );
            self.emit(text.clone());
            if text.is_empty() && !self.shown(end).is_empty() {
                return end;
            }
        } else {
            let admonition = shown.split_once(": ").filter(|(word, _)| ADMONITIONS.contains(word));
            let start = range.start + (shown.len() - shown.trim_start().len());
            if self.prefix.is_empty() || self.after_blank {
                self.prefix = "";
            }
            if let Some((word, _)) = admonition {
                let label = word.to_ascii_lowercase();
                self.out.write(
                    &format!("**{}:** ", capitalised(&label)),
                    range.start..range.start + word.len() + 2,
                );
                self.emit(range.start + word.len() + 2..text_end);
            } else {
                if ADMONITIONS.contains(&kind) {
                    let label = kind.to_ascii_lowercase();
                    self.out.write(&format!("**{}:** ", capitalised(&label)), start..start);
                } else if matches!(kind, "quote" | "verse") {
                    self.out.write("> ", start..start);
                }
                self.emit(start..text_end);
            }
        }
        self.out.write("\n", text_end..text_end);
        end
    }
}

/// Where the term of `term:: text` ends, and where its text begins.
fn label_end(shown: &str) -> Option<(usize, usize)> {
    let at = shown.find("::").or_else(|| shown.find(";;")).filter(|&at| at > 0)?;
    let marks = shown[at..].bytes().take_while(|byte| matches!(byte, b':' | b';')).count();
    let rest = &shown[at + marks..];
    let is_term = !shown[..at].contains("://") && !shown.starts_with(['|', '[', '<']);
    (marks <= 4 && is_term && (rest.is_empty() || rest.starts_with(' '))).then_some((at, at + marks))
}
