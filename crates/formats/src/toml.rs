//! TOML 1.0, with the `toml_parser` crate, which `toml_edit` is made of.
//!
//! The text is the source's. Tables are sections titled by their keys, below the table whose keys they continue;
//! elements of arrays of tables are titled by a member that identifies them. `key = value` is an item, and what
//! begins a line of an array is a line. Comments belong to what is below them. Broken TOML is plain text.

use std::borrow::Cow;
use std::collections::HashMap;

use toml_parser::decoder::Encoding;
use toml_parser::parser::{EventReceiver, RecursionGuard, parse_document};
use toml_parser::{ErrorSink, ParseError, Raw, Source, Span};

use crate::json::line_and_column;
use crate::key_sections::{KeySections, MemberLabel, begins_line, title_line};
use crate::line_ends::with_normal_line_ends;
use crate::parsed_text::{ParsedText, StructureMark, TextStructure};
use crate::source_map::SourceMap;
use crate::yaml::comments_start;

/// Nested arrays and inline tables; the crate's own parser for documents allows as many.
const NESTING_MAX: u32 = 80;

/// Reads a TOML document.
pub fn parse_toml(source: &str) -> ParsedText {
    with_normal_line_ends(source, |text| {
        let (structure, notes) = match mark_tables(text) {
            Ok(marks) => (TextStructure::Marked(marks), Vec::new()),
            Err(at) => {
                let (line, column) = line_and_column(text, at);
                let note = format!("not valid TOML at line {line}, column {column}; read as plain text");
                (TextStructure::Plain, vec![note])
            }
        };
        ParsedText {
            text: text.to_owned(),
            map: SourceMap::identity(text.len()),
            structure,
            notes,
            ..ParsedText::default()
        }
    })
}

fn mark_tables(text: &str) -> Result<Vec<StructureMark>, usize> {
    let tokens = Source::new(text).lex().into_vec();
    let mut marks = TomlMarks::new(text);
    let mut error: Option<ParseError> = None;
    parse_document(&tokens, &mut RecursionGuard::new(&mut marks, NESTING_MAX), &mut error);
    match error {
        Some(error) => Err(error.unexpected().or(error.context()).map_or(0, |span| span.start())),
        None => Ok(marks.finish()),
    }
}

/// Which part of a document is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TomlPlace {
    Header,
    Key,
    Value,
}

struct TomlMarks<'a> {
    text: &'a str,
    sections: KeySections,
    /// Keys of the open tables, outermost first, with their number of elements.
    tables: Vec<Vec<String>>,
    /// Names of arrays of tables and how many elements they have so far.
    elements: HashMap<Vec<String>, usize>,
    place: TomlPlace,
    nesting: usize,
    keys: Vec<String>,
    at: usize,
    /// End of the last value or header.
    end: usize,
    key: String,
}

impl<'a> TomlMarks<'a> {
    fn new(text: &'a str) -> Self {
        let mut sections = KeySections::default();
        sections.open_root(0);
        Self {
            text,
            sections,
            tables: Vec::new(),
            elements: HashMap::new(),
            place: TomlPlace::Key,
            nesting: 0,
            keys: Vec::new(),
            at: 0,
            end: 0,
            key: String::new(),
        }
    }

    fn finish(mut self) -> Vec<StructureMark> {
        for _ in 0..self.tables.len() {
            self.sections.close(self.text.len());
        }
        self.sections.finish()
    }

    /// Returns the start of a line with the comments above it, if nothing but indentation stands before.
    fn line_at(&self, at: usize) -> Option<usize> {
        let before = &self.text[self.end..at];
        let line_start = before.rfind('\n').map_or(self.end, |found| self.end + found + 1);
        let is_start = line_start == 0 || self.text.as_bytes()[line_start - 1] == b'\n';
        (is_start && begins_line(&self.text[line_start..at]))
            .then(|| comments_start(self.text, line_start, self.end))
    }

    fn open_header(&mut self, span: Span) {
        self.place = TomlPlace::Header;
        self.keys.clear();
        self.at = self.line_at(span.start()).unwrap_or(span.start());
    }

    fn close_header(&mut self, span: Span, is_array: bool) {
        let keys = std::mem::take(&mut self.keys);
        while let Some(last) = self.tables.last() {
            if last.len() < keys.len() && keys.starts_with(last) {
                break;
            }
            self.sections.close(self.at);
            self.tables.pop();
        }
        let above = self.tables.last().map_or(0, Vec::len);
        let title = keys[above..].join(".");
        if is_array {
            let count = self.elements.entry(keys.clone()).or_insert(0);
            let index = *count;
            *count += 1;
            // The name stands for all elements; what identifies one is added when it is read.
            let mark = self.sections.open_section(self.at, MemberLabel::Index(index));
            if let Some(mark) = mark {
                self.sections.set_title(mark, format!("{} [{index}]", title_line(&title)));
                self.sections.prefix_title(&title_line(&title));
            }
        } else {
            self.sections.open_section(self.at, MemberLabel::Key(&title));
        }
        self.tables.push(keys);
        self.place = TomlPlace::Key;
        self.end = span.end();
    }

    fn raw(&self, span: Span, kind: Option<Encoding>) -> Raw<'a> {
        Raw::new_unchecked(&self.text[span.start()..span.end()], kind, span)
    }

    /// A value inside of an array begins.
    fn begin_element(&mut self, span: Span) {
        if self.nesting > 0
            && let Some(at) = self.line_at(span.start())
        {
            self.sections.line(at);
        }
    }
}

impl EventReceiver for TomlMarks<'_> {
    fn std_table_open(&mut self, span: Span, _error: &mut dyn ErrorSink) {
        self.open_header(span);
    }

    fn std_table_close(&mut self, span: Span, _error: &mut dyn ErrorSink) {
        self.close_header(span, false);
    }

    fn array_table_open(&mut self, span: Span, _error: &mut dyn ErrorSink) {
        self.open_header(span);
    }

    fn array_table_close(&mut self, span: Span, _error: &mut dyn ErrorSink) {
        self.close_header(span, true);
    }

    fn inline_table_open(&mut self, span: Span, _error: &mut dyn ErrorSink) -> bool {
        self.begin_element(span);
        self.nesting += 1;
        self.end = span.end();
        true
    }

    fn inline_table_close(&mut self, span: Span, _error: &mut dyn ErrorSink) {
        self.nesting = self.nesting.saturating_sub(1);
        self.end = span.end();
    }

    fn array_open(&mut self, span: Span, _error: &mut dyn ErrorSink) -> bool {
        self.begin_element(span);
        self.nesting += 1;
        self.end = span.end();
        true
    }

    fn array_close(&mut self, span: Span, _error: &mut dyn ErrorSink) {
        self.nesting = self.nesting.saturating_sub(1);
        self.end = span.end();
    }

    fn simple_key(&mut self, span: Span, kind: Option<Encoding>, error: &mut dyn ErrorSink) {
        let mut key = Cow::Borrowed("");
        self.raw(span, kind).decode_key(&mut key, error);
        if self.nesting > 0 {
            return;
        }
        let key = key.into_owned();
        match self.place {
            TomlPlace::Header => self.keys.push(key),
            TomlPlace::Key | TomlPlace::Value => {
                if self.keys.is_empty() {
                    self.at = self.line_at(span.start()).unwrap_or(span.start());
                }
                self.keys.push(key);
            }
        }
    }

    fn key_val_sep(&mut self, span: Span, _error: &mut dyn ErrorSink) {
        if self.nesting > 0 {
            return;
        }
        self.key = std::mem::take(&mut self.keys).join(".");
        self.sections.plain_member(self.at, MemberLabel::Key(&self.key));
        self.place = TomlPlace::Value;
        self.end = span.end();
    }

    fn scalar(&mut self, span: Span, kind: Option<Encoding>, error: &mut dyn ErrorSink) {
        // The parser leaves it to this step to find values that are missing or malformed.
        let mut value = Cow::Borrowed("");
        let _kind = self.raw(span, kind).decode_scalar(&mut value, error);
        if self.nesting == 0 {
            self.sections.identify(&self.key, &value);
        } else {
            self.begin_element(span);
        }
        self.end = span.end();
    }
}
