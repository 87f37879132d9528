//! YAML 1.2, with the saphyr-parser crate.
//!
//! The text is the source's. Keys with block mappings and sequences are sections (see `key_sections`); comments
//! belong to the key below them; nothing is marked inside of scalars, so a block scalar stands with its key, nor
//! inside of flow collections. Several documents are sections of their own, titled by their kind and name as
//! those of Kubernetes are. JSON in a YAML file is read as JSON, which lays out long lines.
//!
//! Anchors are not expanded, so nothing multiplies. What is no YAML, as a template with `{{ }}` may be, is plain
//! text with a note.

use saphyr_parser::{Event, Parser};

use crate::json::parse_json;
use crate::key_sections::{KeySections, MemberLabel, begins_line, title_line};
use crate::line_ends::with_normal_line_ends;
use crate::parsed_text::{ParsedText, StructureMark, TextStructure};
use crate::source_map::SourceMap;

/// Reads a YAML stream.
pub fn parse_yaml(source: &str) -> ParsedText {
    with_normal_line_ends(source, |text| {
        if text.trim_start().starts_with(['{', '[']) {
            let parsed = parse_json(text);
            if matches!(parsed.structure, TextStructure::Marked(_)) {
                return parsed;
            }
        }
        let (structure, notes) = match mark_keys(text) {
            Ok(marks) => (TextStructure::Marked(marks), Vec::new()),
            Err(note) => (TextStructure::Plain, vec![note]),
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

fn mark_keys(text: &str) -> Result<Vec<StructureMark>, String> {
    let mut writer = YamlMarks::new(text);
    for event in Parser::new_from_str(text) {
        match event {
            Ok((event, span)) => writer.add(&event, span.start.index(), span.end.index()),
            Err(error) => {
                let (line, column) = (error.marker().line(), error.marker().col() + 1);
                return Err(format!("not valid YAML at line {line}, column {column}; read as plain text"));
            }
        }
    }
    Ok(writer.finish())
}

/// Turns numbers of characters into bytes; they go up nearly always.
struct CharacterCursor<'a> {
    text: &'a str,
    characters: usize,
    at: usize,
}

impl CharacterCursor<'_> {
    fn byte_of(&mut self, characters: usize) -> usize {
        if characters >= self.characters {
            let rest = &self.text[self.at..];
            match rest.char_indices().nth(characters - self.characters) {
                Some((ahead, _)) => (self.at, self.characters) = (self.at + ahead, characters),
                None => {
                    (self.at, self.characters) = (self.text.len(), self.characters + rest.chars().count());
                }
            }
        } else {
            for character in self.text[..self.at].chars().rev().take(self.characters - characters) {
                self.at -= character.len_utf8();
            }
            self.characters = characters;
        }
        self.at
    }
}

/// The line at hand, found while going up through a text.
#[derive(Default)]
struct LineCursor {
    line_start: usize,
    searched: usize,
    /// Where the line, or the comments above it, begin.
    with_comments: usize,
}

impl LineCursor {
    /// Goes to the line of a byte. Comments above it begin at `floor` at the earliest.
    fn go_to(&mut self, text: &str, at: usize, floor: usize) {
        if at <= self.searched {
            return;
        }
        let found = memchr::memrchr(b'\n', &text.as_bytes()[self.searched..at]);
        let searched = std::mem::replace(&mut self.searched, at);
        let Some(found) = found else { return };
        self.line_start = searched + found + 1;
        self.with_comments = comments_start(text, self.line_start, floor);
    }
}

/// Returns where the comments directly above a line begin; `floor` at the earliest.
pub(crate) fn comments_start(text: &str, line_start: usize, floor: usize) -> usize {
    let mut start = line_start;
    while start > floor {
        let above = memchr::memrchr(b'\n', &text.as_bytes()[..start - 1]).map_or(0, |found| found + 1);
        if above < floor || !text[above..start].trim_start().starts_with('#') {
            break;
        }
        start = above;
    }
    start
}

#[derive(Debug)]
struct OpenYaml {
    mapping: bool,
    /// The key of the member at hand; `None` while a key is awaited.
    key: Option<String>,
    key_at: usize,
    members: usize,
    sectioned: bool,
}

struct YamlMarks<'a> {
    text: &'a str,
    cursor: CharacterCursor<'a>,
    lines: LineCursor,
    sections: KeySections,
    open: Vec<OpenYaml>,
    /// Whether documents are sections.
    several: bool,
    documents: usize,
    /// The section of the document at hand, its kind and its name.
    document: Option<usize>,
    kind: String,
    name: String,
    /// End of the last value; comments are not looked for before.
    scalar_end: usize,
}

impl<'a> YamlMarks<'a> {
    fn new(text: &'a str) -> Self {
        Self {
            text,
            cursor: CharacterCursor { text, characters: 0, at: 0 },
            lines: LineCursor::default(),
            sections: KeySections::default(),
            open: Vec::new(),
            several: has_several_documents(text),
            documents: 0,
            document: None,
            kind: String::new(),
            name: String::new(),
            scalar_end: 0,
        }
    }

    fn finish(self) -> Vec<StructureMark> {
        self.sections.finish()
    }

    fn add(&mut self, event: &Event<'_>, start: usize, end: usize) {
        let at = self.cursor.byte_of(start);
        match event {
            Event::DocumentStart(explicit) => self.open_document(if *explicit { at } else { 0 }),
            Event::DocumentEnd => self.close_document(at),
            Event::Scalar(value, ..) => {
                if self.add_scalar(at, value) {
                    self.scalar_end = self.cursor.byte_of(end);
                }
            }
            Event::Alias(_) => {
                self.add_scalar(at, "");
            }
            Event::MappingStart(..) => self.add_container(at, true),
            Event::SequenceStart(..) => self.add_container(at, false),
            Event::MappingEnd | Event::SequenceEnd => {
                let Some(closed) = self.open.pop() else { return };
                if closed.sectioned {
                    self.sections.close(at.max(self.scalar_end));
                }
                self.end_member();
            }
            Event::Nothing | Event::StreamStart | Event::StreamEnd => {}
        }
    }

    fn open_document(&mut self, at: usize) {
        self.documents += 1;
        if !self.several {
            return;
        }
        if self.documents == 1 {
            self.sections.open_root(0);
        }
        // What stands before the first document, as comments do, belongs to it.
        let at = if self.documents == 1 { 0 } else { at };
        let title = format!("document {}", self.documents);
        self.document = self.sections.open_section(at, MemberLabel::Key(&title));
    }

    fn close_document(&mut self, at: usize) {
        if self.several {
            self.sections.close(at.max(self.scalar_end));
        }
        self.document = None;
        self.kind.clear();
        self.name.clear();
        self.open.clear();
    }

    /// Adds a scalar; returns whether it is a value and no key.
    fn add_scalar(&mut self, at: usize, value: &str) -> bool {
        let Some(open) = self.open.last_mut() else { return true };
        if open.mapping && open.key.is_none() {
            open.key = Some(title_line(value));
            open.key_at = at;
            return false;
        }
        if open.sectioned {
            let (place, begins) = self.place(at);
            if let Some(open) = self.open.last() {
                let label = open.key.as_deref().map_or(MemberLabel::Index(open.members), MemberLabel::Key);
                if begins {
                    self.sections.plain_member(place, label);
                }
                if let Some(key) = &open.key {
                    self.sections.identify(key, value);
                }
            }
            self.title_document(value);
        }
        self.end_member();
        true
    }

    /// Titles a document by its kind and name.
    fn title_document(&mut self, value: &str) {
        let Some(mark) = self.document else { return };
        let key = |level: usize| self.open.get(level).and_then(|open| open.key.as_deref());
        match (self.open.len(), key(0), key(1)) {
            (1, Some("kind"), _) => self.kind = title_line(value),
            (1, Some("name" | "title"), _) | (2, Some("metadata"), Some("name")) => {
                self.name = title_line(value);
            }
            _ => return,
        }
        let title = title_line(&format!("{} {}", self.kind, self.name));
        if !title.is_empty() {
            self.sections.set_title(mark, title);
        }
    }

    fn add_container(&mut self, at: usize, mapping: bool) {
        let is_block = !self.is_flow(at);
        let mut sectioned = false;
        match self.open.last() {
            None => {
                sectioned = is_block;
                if is_block && !self.several {
                    self.sections.open_root(0);
                }
            }
            // A container as a key has no title to give.
            Some(open) if open.mapping && open.key.is_none() => {}
            Some(open) if open.sectioned => {
                let (place, begins) = self.place(at);
                if let Some(open) = self.open.last() {
                    let label =
                        open.key.as_deref().map_or(MemberLabel::Index(open.members), MemberLabel::Key);
                    if is_block {
                        sectioned = true;
                        self.sections.open_section(place, label);
                    } else if begins {
                        self.sections.plain_member(place, label);
                    }
                }
            }
            Some(_) => {}
        }
        // Of several documents each has its section already; their members stand below it.
        if self.open.is_empty() && self.several && sectioned {
            self.sections.open_root(at);
        }
        self.open.push(OpenYaml { mapping, key: None, key_at: at, members: 0, sectioned });
    }

    /// A value has ended, or a key that is a container.
    fn end_member(&mut self) {
        let Some(open) = self.open.last_mut() else { return };
        if open.mapping && open.key.is_none() {
            open.key = Some("?".to_owned());
            return;
        }
        open.key = None;
        open.members += 1;
    }

    /// Returns where the member at hand begins, and whether nothing else stands before it on its line.
    fn place(&mut self, at: usize) -> (usize, bool) {
        let at = match self.open.last() {
            Some(open) if open.mapping => open.key_at,
            _ => at,
        };
        self.lines.go_to(self.text, at, self.scalar_end);
        let begins = self.text.get(self.lines.line_start..at).is_some_and(begins_line);
        (if begins { self.lines.with_comments } else { at }, begins)
    }

    /// Whether a container is written with brackets; anchors and tags may stand before them.
    fn is_flow(&self, at: usize) -> bool {
        let mut rest = &self.text[at..];
        while rest.starts_with(['&', '!']) {
            let end = rest.find([' ', '\t', '\n']).unwrap_or(rest.len());
            rest = rest[end..].trim_start_matches([' ', '\t']);
        }
        rest.starts_with(['{', '['])
    }
}

/// Whether `---` stands between documents.
fn has_several_documents(text: &str) -> bool {
    let mut content = false;
    for line in text.lines() {
        if line == "---" || line.starts_with("--- ") {
            if content {
                return true;
            }
            content = line.len() > 3;
        } else if !line.trim().is_empty() && !line.starts_with(['#', '%']) {
            content = true;
        }
    }
    false
}
