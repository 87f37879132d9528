//! The second pass: writes every element as lines.
//!
//! `sections` makes the marks and titles of elements, `text` writes what stands inside of them.

mod sections;
mod text;

use quick_xml::events::{BytesStart, Event};

use super::attributes::{XmlAttribute, attributes_of, local_name};
use super::{ElementContents, new_reader};
use crate::json::line_and_column;
use crate::parsed_text::{ParsedText, StructureMark, StructureMarkKind, TextProperties, TextStructure};
use crate::source_map::MappedText;

/// Deeper elements are no sections.
const SECTION_DEPTH_MAX: usize = 16;
/// Deeper elements are indented no further.
const INDENT_LEVELS_MAX: usize = 32;
/// Sections up to this many bytes stay whole.
const SMALL_BYTES: usize = 200;
/// Names of elements whose white space counts: `DocBook`, DITA, HTML.
const PRESERVING_NAMES: [&str; 9] = [
    "programlisting",
    "screen",
    "literallayout",
    "synopsis",
    "codeblock",
    "msgblock",
    "pre",
    "code",
    "script",
];
/// Names of paragraphs: `DocBook`, DITA, HTML, TEI. Their text is the document's and needs no name.
const PARAGRAPH_NAMES: [&str; 6] = ["para", "simpara", "p", "li", "entry", "td"];

/// What the last section inside of an element is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LastChild {
    None,
    /// A child with children.
    Section,
    /// Plain children behind one.
    Run,
}

/// An open element.
#[derive(Debug)]
struct OpenElement {
    name: String,
    contents: ElementContents,
    /// Whether its text is inside of an element that holds text and elements.
    inline: bool,
    preserves: bool,
    /// Start in the text.
    start: usize,
    /// Its section, and the rank of what titles it.
    section: Option<(usize, usize)>,
    first_mark: usize,
    last_child: LastChild,
    /// Whether its name stands before its text.
    named: bool,
}

pub(super) struct XmlWriter<'a> {
    text: &'a str,
    out: MappedText,
    contents: std::vec::IntoIter<ElementContents>,
    open: Vec<OpenElement>,
    marks: Vec<StructureMark>,
    properties: TextProperties,
    unknown_entities: usize,
    /// Innermost elements that are not inline: where their content begins in the text.
    content_starts: Vec<usize>,
    /// Whether white space was left out before the next text.
    space: bool,
}

impl<'a> XmlWriter<'a> {
    pub(super) fn new(text: &'a str, contents: Vec<ElementContents>) -> Self {
        Self {
            text,
            out: MappedText::default(),
            contents: contents.into_iter(),
            open: Vec::new(),
            marks: Vec::new(),
            properties: TextProperties::default(),
            unknown_entities: 0,
            content_starts: Vec::new(),
            space: false,
        }
    }

    pub(super) fn write(mut self) -> ParsedText {
        let mut reader = new_reader(self.text);
        let mut notes = Vec::new();
        loop {
            let at = offset(reader.buffer_position());
            match reader.read_event() {
                Ok(Event::Eof) => break,
                Ok(event) => {
                    let end = offset(reader.buffer_position());
                    self.add(&event, at, end);
                }
                Err(_) => {
                    let (line, column) = line_and_column(self.text, offset(reader.error_position()));
                    notes.push(format!(
                        "not valid XML at line {line}, column {column}; what follows is plain text"
                    ));
                    self.copy_rest(at);
                    break;
                }
            }
        }
        if !self.open.is_empty() && notes.is_empty() {
            notes.push(format!("{} XML elements are not closed", self.open.len()));
        }
        while !self.open.is_empty() {
            self.close();
        }
        if self.unknown_entities > 0 {
            notes.push(format!(
                "{} entities are declared elsewhere and stay as written",
                self.unknown_entities
            ));
        }
        self.out.trim_end();
        let (text, map) = self.out.finish();
        let mut marks = self.marks;
        marks.retain(|mark| mark.at < text.len());
        ParsedText { text, map, structure: TextStructure::Marked(marks), properties: self.properties, notes }
    }

    fn copy_rest(&mut self, at: usize) {
        self.new_line(0, at);
        self.marks.push(StructureMark { at: self.out.len(), kind: StructureMarkKind::Block });
        self.out.copy(self.text, at..self.text.len());
    }

    fn add(&mut self, event: &Event<'_>, at: usize, end: usize) {
        match event {
            Event::Start(start) => self.open(start, at, end),
            Event::Empty(start) => {
                self.open(start, at, end);
                self.close();
            }
            Event::End(_) => self.close(),
            Event::Text(_) if !self.open.is_empty() => self.add_text(at, end, false),
            // `<![CDATA[` and `]]>` are not of the text.
            Event::CData(_) if end >= at + 12 => self.add_text(at + 9, end - 3, true),
            Event::GeneralRef(_) => self.add_entity(at, end),
            _ => {}
        }
    }

    /// Starts a line at a level, unless one has just been started.
    fn new_line(&mut self, level: usize, source: usize) {
        self.out.trim_end();
        if !self.out.is_empty() {
            self.out.write("\n", source..source);
        }
        self.out.write(&"  ".repeat(level.min(INDENT_LEVELS_MAX)), source..source);
        self.space = false;
    }

    fn open(&mut self, start: &BytesStart<'_>, at: usize, end: usize) {
        let contents = self.contents.next().unwrap_or_default();
        let name = local_name(start.name().0).to_owned();
        let parent = self.open.last();
        let inline =
            parent.is_some_and(|parent| parent.inline || (parent.contents.text && parent.contents.elements));
        let attributes = attributes_of(self.text, at, end);
        let preserves = attributes.iter().any(|(key, value)| key == "xml:space" && value.2 == "preserve")
            || PRESERVING_NAMES.iter().any(|known| known.eq_ignore_ascii_case(&name))
            || parent.is_some_and(|parent| parent.preserves);
        let mut opened = OpenElement {
            name,
            contents,
            inline,
            preserves,
            start: self.out.len(),
            section: None,
            first_mark: self.marks.len(),
            last_child: LastChild::None,
            named: true,
        };
        if !inline {
            self.begin_line(&mut opened, at, end, &attributes);
        } else if contents.elements && !contents.text {
            // A list or table in the middle of a text: its parts would run together.
            self.space = true;
        }
        if !inline {
            self.content_starts.push(self.out.len());
        }
        self.open.push(opened);
    }

    /// Writes the line that an element begins with.
    fn begin_line(&mut self, opened: &mut OpenElement, at: usize, end: usize, attributes: &[XmlAttribute]) {
        let level = self.open.len();
        self.new_line(level, at);
        let line_at = self.out.as_str().rfind('\n').map_or(0, |found| found + 1);
        opened.start = line_at;
        let is_section = opened.contents.elements && !opened.contents.text && level < SECTION_DEPTH_MAX;
        self.mark(opened, line_at, level, is_section);
        let has_text = opened.contents.text;
        opened.named =
            !(has_text && PARAGRAPH_NAMES.iter().any(|known| known.eq_ignore_ascii_case(&opened.name)));
        opened.first_mark = self.marks.len();
        if !opened.named {
            return;
        }
        self.out.write(&opened.name, at..end);
        let shown = attributes.iter().filter(|(key, _)| !key.starts_with("xmlns") && key != "xml:space");
        let mut shown_some = false;
        for (key, (from, to, value)) in shown {
            let before = match (shown_some, has_text) {
                (true, _) => ", ",
                (false, true) => " (",
                (false, false) => ": ",
            };
            shown_some = true;
            self.out.write(before, at..end);
            self.out.write(local_name(key), at..end);
            self.out.write(": ", at..end);
            if self.text[*from..*to] == **value {
                self.out.copy(self.text, *from..*to);
            } else {
                self.out.write(value, *from..*to);
            }
            self.identify(&mut opened.section, local_name(key), value, &opened.name);
        }
        if shown_some && has_text {
            self.out.write(")", at..end);
        }
    }

    fn close(&mut self) {
        let Some(closed) = self.open.pop() else { return };
        if closed.inline {
            self.space |= closed.contents.elements && !closed.contents.text;
            return;
        }
        let content_start = self.content_starts.pop().unwrap_or_default();
        if closed.contents.text
            && let Some(mut parent) = self.open.pop()
        {
            let value = self.out.as_str().get(content_start..).unwrap_or_default().trim_start_matches(": ");
            let value = value[..value.floor_char_boundary(512)].to_owned();
            self.identify(&mut parent.section, &closed.name, &value, &parent.name);
            self.open.push(parent);
            self.note_property(&closed.name, &value);
        }
        // The root is never too small to be cut.
        if !self.open.is_empty() && self.out.len().saturating_sub(closed.start) <= SMALL_BYTES {
            for mark in &mut self.marks[closed.first_mark..] {
                mark.kind = StructureMarkKind::Line;
            }
        }
        self.space = false;
    }
}

fn offset(position: u64) -> usize {
    usize::try_from(position).unwrap_or(usize::MAX)
}
