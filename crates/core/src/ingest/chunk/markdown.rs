//! Scans Markdown: headings, blocks, items and rows from the event offsets of pulldown-cmark, and lines.
//!
//! Only headings outside of quotes and lists open sections. An unclosed fence extends to the end of the text,
//! as `CommonMark` says, and is then cut by lines like other code.

use std::ops::Range;

use pulldown_cmark::{CodeBlockKind, Event, HeadingLevel, Options, Parser, Tag, TagEnd};

use super::boundary::{BoundaryLevel, FencedCode, ROOT_SECTION, TextOutline, scan_lines};

/// Adds the cuts and sections of a Markdown text.
pub(super) fn scan_markdown(text: &str, outline: &mut TextOutline) {
    let options = Options::ENABLE_TABLES | Options::ENABLE_YAML_STYLE_METADATA_BLOCKS;
    let mut scan = MarkdownScanner {
        text,
        outline,
        open: Vec::new(),
        containers: 0,
        heading: None,
        header: None,
        code: Vec::new(),
        line: (0, 0),
    };
    for (event, range) in Parser::new_ext(text, options).into_offset_iter() {
        match event {
            Event::Start(tag) => scan.start(&tag, range),
            Event::End(tag) => scan.end(tag, range),
            Event::Text(piece) | Event::Code(piece) => scan.title(&piece),
            Event::SoftBreak => scan.title(" "),
            Event::Rule => scan.block(range.start),
            _ => {}
        }
    }
    let code = std::mem::take(&mut scan.code);
    scan_lines(text, &code, outline);
}

struct MarkdownScanner<'a> {
    text: &'a str,
    outline: &'a mut TextOutline,
    /// Open sections from the outermost to the current one, with the level of their heading.
    open: Vec<(HeadingLevel, usize)>,
    /// Number of quotes, items and notes around the current position.
    containers: usize,
    heading: Option<OpenHeading>,
    /// The header line of a table whose rows have not begun.
    header: Option<Range<usize>>,
    /// Ranges of code, where every line is a unit.
    code: Vec<Range<usize>>,
    /// Start of the line of the last cut, and the byte up to which no further line starts.
    line: (usize, usize),
}

struct OpenHeading {
    level: HeadingLevel,
    at: usize,
    title: String,
}

impl MarkdownScanner<'_> {
    fn start(&mut self, tag: &Tag<'_>, range: Range<usize>) {
        match tag {
            Tag::Heading { level, .. } if self.containers == 0 => {
                let at = self.cut(range.start, BoundaryLevel::Heading(*level as u8));
                self.heading = Some(OpenHeading { level: *level, at, title: String::new() });
            }
            Tag::CodeBlock(_) | Tag::HtmlBlock | Tag::MetadataBlock(_) => {
                self.block(range.start);
                if matches!(tag, Tag::CodeBlock(CodeBlockKind::Fenced(_))) {
                    let fence = opening_fence(&self.text[range.clone()]);
                    self.outline.fences.push(FencedCode { range: range.clone(), fence });
                }
                self.code.push(range);
            }
            Tag::Heading { .. } | Tag::Paragraph | Tag::Table(_) | Tag::List(_) => self.block(range.start),
            Tag::TableHead => {
                self.cut(range.start, BoundaryLevel::Item);
                self.header = Some(range);
            }
            Tag::TableRow => {
                let at = self.cut(range.start, BoundaryLevel::Item);
                if let Some(header) = self.header.take() {
                    let section = self.current_section();
                    self.outline.enter_table(at, &self.text[header], section);
                }
            }
            Tag::Item => {
                // Only outermost items are items; nested ones are inner blocks.
                self.cut(
                    range.start,
                    if self.containers == 0 { BoundaryLevel::Item } else { BoundaryLevel::Inner },
                );
                self.containers += 1;
            }
            Tag::BlockQuote(_) | Tag::FootnoteDefinition(_) => {
                self.block(range.start);
                self.containers += 1;
            }
            _ => {}
        }
    }

    fn end(&mut self, tag: TagEnd, range: Range<usize>) {
        match tag {
            // Without rows there is no section to leave.
            TagEnd::Table if self.header.take().is_none() => {
                self.outline.turns.push((range.end, self.current_section()));
            }
            TagEnd::Heading(_) => self.end_heading(),
            TagEnd::Item | TagEnd::BlockQuote(_) | TagEnd::FootnoteDefinition => self.containers -= 1,
            _ => {}
        }
    }

    fn end_heading(&mut self) {
        let Some(heading) = self.heading.take() else { return };
        while self.open.last().is_some_and(|(level, _)| *level >= heading.level) {
            self.open.pop();
        }
        let parent = self.current_section();
        let section = self.outline.enter(heading.at, &heading.title, parent);
        self.open.push((heading.level, section));
    }

    fn current_section(&self) -> usize {
        self.open.last().map_or(ROOT_SECTION, |&(_, section)| section)
    }

    fn title(&mut self, piece: &str) {
        if let Some(heading) = &mut self.heading {
            heading.title.push_str(piece);
        }
    }

    fn block(&mut self, start: usize) {
        self.cut(start, if self.containers == 0 { BoundaryLevel::Block } else { BoundaryLevel::Inner });
    }

    /// Cuts before the line of `start`. Starts never decrease, so no byte is searched twice.
    fn cut(&mut self, start: usize, level: BoundaryLevel) -> usize {
        let (line_start, known) = self.line;
        let unknown = &self.text.as_bytes()[known.min(start)..start];
        let at = memchr::memrchr(b'\n', unknown).map_or(line_start, |line_end| known + line_end + 1);
        self.line = (at, known.max(start));
        self.outline.cut(at, level);
        at
    }
}

/// The backticks or tildes that a block begins with.
fn opening_fence(block: &str) -> String {
    let block = block.trim_start();
    let sign = block.chars().next().filter(|sign| matches!(sign, '`' | '~')).unwrap_or('`');
    let count = block.chars().take_while(|found| *found == sign).count();
    std::iter::repeat_n(sign, count.max(3)).collect()
}
