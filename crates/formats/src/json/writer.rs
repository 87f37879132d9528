//! The second pass: writes values that have been checked, with marks at their members.

use std::borrow::Cow;
use std::ops::Range;

use super::scan::{JsonContainer, JsonToken, read_token};
use super::strings::{decode_string, readable_escape};
use crate::key_sections::{KeySections, MemberLabel, begins_line};
use crate::parsed_text::{ParsedText, TextStructure};
use crate::payloads::{group_thousands, payload_of_value};
use crate::source_map::MappedText;

/// Containers on one line that are longer are laid out.
const LINE_BYTES_MAX: usize = 500;
/// Scalars share a line of an array up to this many bytes.
const FILLED_LINE_BYTES: usize = 100;
/// Deeper containers are indented no further, or the text would grow with the square of the nesting.
const INDENT_LEVELS_MAX: usize = 32;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum JsonLayout {
    /// White space is copied.
    AsWritten,
    /// White space is copied, and nothing is marked.
    Whole,
    /// Each member on its own line.
    LaidOut,
}

#[derive(Debug)]
struct OpenJson {
    layout: JsonLayout,
    object: bool,
    /// Members before.
    members: usize,
    /// The key of the member at hand, decoded.
    key: Option<Range<usize>>,
    /// Where that member begins in the text, and whether that is the start of a line.
    member_at: (usize, bool),
    /// Whether the member before was a scalar.
    after_scalar: bool,
    /// Whether it was opened in the sections.
    sectioned: bool,
}

/// Writes values that have been checked.
pub(super) struct JsonWriter<'a> {
    text: &'a str,
    out: MappedText,
    sections: KeySections,
    open: Vec<OpenJson>,
    line_start: usize,
    /// Where a comment above the next member begins.
    comment_at: Option<usize>,
    payloads: usize,
}

impl<'a> JsonWriter<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self {
            text,
            out: MappedText::default(),
            sections: KeySections::default(),
            open: Vec::new(),
            line_start: 0,
            comment_at: None,
            payloads: 0,
        }
    }

    /// Opens the array that records are the elements of, though no bracket does.
    pub(super) fn open_records(&mut self) {
        self.sections.open_root(0);
        self.push_open(JsonLayout::AsWritten, false, true);
    }

    fn push_open(&mut self, layout: JsonLayout, object: bool, sectioned: bool) {
        let (key, member_at) = (None, (0, false));
        self.open.push(OpenJson {
            layout,
            object,
            members: 0,
            key,
            member_at,
            after_scalar: false,
            sectioned,
        });
    }

    pub(super) fn finish(self, mut notes: Vec<String>) -> ParsedText {
        if self.payloads > 0 {
            notes.push(format!("{} base64 or data: values were shortened", self.payloads));
        }
        let structure = TextStructure::Marked(self.sections.finish());
        let (text, map) = self.out.finish();
        ParsedText { text, map, structure, notes, ..ParsedText::default() }
    }

    /// Copies a line that is no JSON.
    pub(super) fn copy_line(&mut self, range: Range<usize>) {
        if let Some(records) = self.open.first_mut() {
            records.members += 1;
            let index = records.members - 1;
            self.sections.plain_member(self.out.len(), MemberLabel::Index(index));
        }
        self.out.copy(self.text, range);
        self.line_start = self.out.len();
    }

    pub(super) fn write_values(&mut self, range: Range<usize>, containers: Vec<JsonContainer>) {
        let mut containers = containers.into_iter().peekable();
        let mut at = range.start;
        while at < range.end {
            // Checked before; a wrong token would end the text early and not loop.
            let Ok((token, end)) = read_token(self.text, at, range.end) else { return };
            match token {
                JsonToken::Space => self.write_space(at..end),
                JsonToken::Comment => self.write_comment(at..end),
                JsonToken::Open { object } => {
                    let container = containers.next_if(|container| container.range.start == at);
                    self.write_open(at..end, object, container.as_ref());
                }
                JsonToken::Close { .. } => self.write_close(at..end),
                JsonToken::Comma => {
                    self.out.copy(self.text, at..end);
                    self.comment_at = None;
                }
                JsonToken::Colon => {
                    self.out.copy(self.text, at..end);
                    if self.layout() == JsonLayout::LaidOut {
                        self.out.write(" ", end..end);
                    }
                }
                JsonToken::Text if self.open.last().is_some_and(|open| open.object && open.key.is_none()) => {
                    self.begin_member(at, false);
                    self.write_string(at..end, true);
                    if let Some(open) = self.open.last_mut() {
                        open.key = Some(at..end);
                    }
                }
                JsonToken::Text | JsonToken::Scalar => self.write_scalar(at..end, token == JsonToken::Text),
            }
            at = end;
        }
    }

    fn layout(&self) -> JsonLayout {
        self.open.last().map_or(JsonLayout::AsWritten, |open| open.layout)
    }

    fn write_space(&mut self, range: Range<usize>) {
        if self.layout() == JsonLayout::LaidOut {
            return;
        }
        let before = self.out.len();
        let line_end = memchr::memrchr(b'\n', &self.text.as_bytes()[range.clone()]);
        self.out.copy(self.text, range);
        if let Some(line_end) = line_end {
            self.line_start = before + line_end + 1;
        }
    }

    fn write_comment(&mut self, range: Range<usize>) {
        if self.comment_at.is_none() && begins_line(&self.out.as_str()[self.line_start..]) {
            self.comment_at = Some(self.line_start);
        }
        let before = self.out.len();
        let line_end = memchr::memrchr(b'\n', &self.text.as_bytes()[range.clone()]);
        self.out.copy(self.text, range);
        if let Some(line_end) = line_end {
            self.line_start = before + line_end + 1;
        }
    }

    /// Starts a member: on a new line, if it is laid out.
    fn begin_member(&mut self, source: usize, scalar_element: bool) {
        let Some(open) = self.open.last() else { return };
        if open.layout == JsonLayout::LaidOut {
            let fills = scalar_element
                && open.after_scalar
                && open.members > 0
                && self.out.len() - self.line_start < FILLED_LINE_BYTES;
            if fills {
                self.out.write(" ", source..source);
            } else {
                self.write_line_end(self.open.len(), source);
            }
        }
        let begins = begins_line(&self.out.as_str()[self.line_start..]);
        let at = match self.comment_at.take() {
            Some(comment) => comment,
            None if begins => self.line_start,
            None => self.out.len(),
        };
        if let Some(open) = self.open.last_mut() {
            open.member_at = (at, begins);
        }
    }

    fn write_line_end(&mut self, levels: usize, source: usize) {
        self.out.write("\n", source..source);
        self.line_start = self.out.len();
        self.out.write(&"  ".repeat(levels.min(INDENT_LEVELS_MAX)), source..source);
    }

    fn write_open(&mut self, range: Range<usize>, object: bool, container: Option<&JsonContainer>) {
        if self.open.last().is_some_and(|open| !open.object) {
            self.begin_member(range.start, false);
        }
        let layout = match (self.layout(), container) {
            (JsonLayout::Whole, _) | (_, None) => JsonLayout::Whole,
            (JsonLayout::LaidOut, _) => JsonLayout::LaidOut,
            (_, Some(container)) if container.has_lines => JsonLayout::AsWritten,
            (_, Some(container)) if container.range.len() > LINE_BYTES_MAX => JsonLayout::LaidOut,
            _ => JsonLayout::Whole,
        };
        let on_lines = layout != JsonLayout::Whole;
        let start = self.out.len();
        let mut sectioned = on_lines;
        match self.open.last() {
            None if on_lines => self.sections.open_root(self.comment_at.take().unwrap_or(start)),
            None => {}
            Some(parent) => {
                let key = parent.key.clone().map(|key| decode_string(&self.text[key]));
                let label = key.as_deref().map_or(MemberLabel::Index(parent.members), MemberLabel::Key);
                let (at, begins) = parent.member_at;
                sectioned &= parent.sectioned;
                if sectioned {
                    self.sections.open_section(at, label);
                } else if parent.sectioned && begins {
                    self.sections.plain_member(at, label);
                }
            }
        }
        self.out.copy(self.text, range);
        self.push_open(layout, object, sectioned);
    }

    fn write_close(&mut self, range: Range<usize>) {
        let Some(closed) = self.open.pop() else { return };
        if closed.layout == JsonLayout::LaidOut && closed.members > 0 {
            self.write_line_end(self.open.len(), range.start);
        }
        self.out.copy(self.text, range);
        if closed.sectioned {
            self.sections.close(self.out.len());
        }
        self.comment_at = None;
        self.end_member(false);
    }

    fn write_scalar(&mut self, range: Range<usize>, is_string: bool) {
        if self.open.last().is_some_and(|open| !open.object) {
            self.begin_member(range.start, true);
        }
        if let Some(parent) = self.open.last().filter(|parent| parent.sectioned) {
            let key = parent.key.clone().map(|key| decode_string(&self.text[key]));
            let label = key.as_deref().map_or(MemberLabel::Index(parent.members), MemberLabel::Key);
            if parent.member_at.1 {
                self.sections.plain_member(parent.member_at.0, label);
            }
            if let Some(key) = &key {
                let value = &self.text[range.clone()];
                self.sections
                    .identify(key, &if is_string { decode_string(value) } else { Cow::Borrowed(value) });
            }
        }
        if is_string {
            self.write_string(range, false);
        } else {
            self.out.copy(self.text, range);
        }
        self.end_member(true);
    }

    fn end_member(&mut self, scalar: bool) {
        if let Some(open) = self.open.last_mut() {
            open.members += 1;
            open.key = None;
            open.after_scalar = scalar;
        }
    }

    fn write_string(&mut self, range: Range<usize>, is_key: bool) {
        let inner = range.start + 1..range.end - 1;
        if !is_key && let Some(payload) = payload_of_value(&self.text[inner.clone()]) {
            self.payloads += 1;
            let shown = format!("\"<{}, {} bytes>\"", payload.kind, group_thousands(payload.bytes));
            self.out.write(&shown, range);
            return;
        }
        let bytes = self.text.as_bytes();
        let mut done = range.start;
        let mut at = inner.start;
        while let Some(found) = memchr::memchr(b'\\', &bytes[at..inner.end]) {
            at += found;
            if let Some((character, end)) = readable_escape(&self.text[..inner.end], at) {
                self.out.copy(self.text, done..at);
                self.out.write(character.encode_utf8(&mut [0; 4]), at..end);
                done = end;
                at = end;
            } else {
                at += 2;
            }
        }
        self.out.copy(self.text, done..range.end);
    }
}
