//! Templates: a user's own texts around documents and passages, with placeholders.
//!
//! A template is a TOML file of the strings `open`, `close`, `section_open`, `document_open`, `document_close`,
//! `passage_open` and `passage_close`, each optional except the last two, and `escape`: `none`
//! (default), `xml` or `json`. Placeholders: `{section}` in `section_open`, `{document}` and
//! `{version}` in `document_open`, `{number}`, `{start}`, `{end}`, `{heading}` and `{fence}` around a passage; `{{` and `}}`
//! stand for braces.
//!
//! A template is checked when it is read, so that no text can end its passage. Without escaping,
//! both passage texts need `{fence}`, a run of backticks longer than any in the text, and the closing
//! fence is alone on its line. With `xml` the closing text starts with `<`, with `json` it starts
//! with `"`: the escaped text cannot contain either. Passages must show their `{number}`. Ids and
//! headings are written so that they cannot be read as framing.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use serde::Deserialize;

use super::hidden_characters::{inert_line, visible_line};
use super::{ContextStyle, DocumentHeader, PassageLabel, TextEscaping, json, markdown, xml};
use crate::context::request::ContextFormat;
use crate::fault::Refusal;

/// Largest template, in bytes.
pub const TEMPLATE_BYTES_MAX: usize = 16 * 1024;

/// A checked template.
#[derive(Debug, Clone, PartialEq)]
pub struct ContextTemplate {
    name: String,
    escaping: TextEscaping,
    open: String,
    close: String,
    section_open: Vec<TemplatePiece>,
    document_open: Vec<TemplatePiece>,
    document_close: String,
    passage_open: Vec<TemplatePiece>,
    passage_close: Vec<TemplatePiece>,
    fenced: bool,
}

/// Templates by name.
#[derive(Debug, Clone, Default)]
pub struct TemplateRegistry(Vec<Arc<ContextTemplate>>);

impl TemplateRegistry {
    /// From checked templates.
    pub fn new(templates: Vec<ContextTemplate>) -> Self {
        Self(templates.into_iter().map(Arc::new).collect())
    }

    /// Returns the format or template of that name. The refusal of an unknown name lists the known ones.
    pub fn style(&self, name: &str) -> Result<ContextStyle, Refusal> {
        if let Some(template) = self.0.iter().find(|template| template.name == name) {
            return Ok(ContextStyle::Template(template.clone()));
        }
        ContextFormat::from_name(name).map(ContextStyle::Format).map_err(|refusal| {
            let own: Vec<&str> = self.0.iter().map(|template| template.name()).collect();
            let more = if own.is_empty() { String::new() } else { format!(", {}", own.join(", ")) };
            Refusal { message: format!("{}{more}", refusal.message), ..refusal }
        })
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTemplate {
    #[serde(default)]
    open: String,
    #[serde(default)]
    close: String,
    #[serde(default)]
    section_open: String,
    #[serde(default)]
    document_open: String,
    #[serde(default)]
    document_close: String,
    passage_open: String,
    passage_close: String,
    #[serde(default)]
    escape: RawTemplateEscape,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum RawTemplateEscape {
    #[default]
    None,
    Xml,
    Json,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum TemplatePiece {
    Text(String),
    Section,
    Document,
    Version,
    Number,
    Start,
    End,
    Heading,
    Fence,
}

impl ContextTemplate {
    /// Reads and checks a file.
    pub fn read(name: &str, path: &Path) -> Result<Self, Refusal> {
        let refuse = |why: &dyn std::fmt::Display| {
            Refusal::invalid("invalid_template", "template", format!("{}: {why}", path.display()))
        };
        let mut text = String::new();
        let file = File::open(path).map_err(|error| refuse(&error))?;
        // One byte more than allowed: enough to see that the file is too long, without reading all of it.
        let limit = TEMPLATE_BYTES_MAX as u64 + 1;
        file.take(limit).read_to_string(&mut text).map_err(|error| refuse(&error))?;
        Self::from_toml(name, &text)
    }

    /// Reads and checks a template.
    pub fn from_toml(name: &str, text: &str) -> Result<Self, Refusal> {
        let refuse = |why: String| {
            Refusal::invalid("invalid_template", "template", format!("template '{name}': {why}"))
        };
        if text.len() > TEMPLATE_BYTES_MAX {
            return Err(refuse(format!("it has more than {TEMPLATE_BYTES_MAX} bytes")));
        }
        let raw: RawTemplate = toml::from_str(text).map_err(|error| refuse(error.message().to_owned()))?;
        let document = ["document", "version"];
        let passage = ["number", "start", "end", "heading", "fence"];
        let read = |key: &str, text: &str, allowed: &[&str]| {
            parse_pieces(text, allowed).map_err(|why| refuse(format!("{key}: {why}")))
        };
        let plain = |key: &str, text: &str| -> Result<String, Refusal> {
            let pieces = read(key, text, &[])?;
            Ok(pieces.into_iter().map(TemplatePiece::into_text).collect())
        };
        let template = Self {
            name: name.to_owned(),
            escaping: match raw.escape {
                RawTemplateEscape::None => TextEscaping::None,
                RawTemplateEscape::Xml => TextEscaping::Xml,
                RawTemplateEscape::Json => TextEscaping::Json,
            },
            open: plain("open", &raw.open)?,
            close: plain("close", &raw.close)?,
            section_open: read("section_open", &raw.section_open, &["section"])?,
            document_open: read("document_open", &raw.document_open, &document)?,
            document_close: plain("document_close", &raw.document_close)?,
            passage_open: read("passage_open", &raw.passage_open, &passage)?,
            passage_close: read("passage_close", &raw.passage_close, &passage)?,
            // Only a fence needs the longest run of backticks, which costs a pass over each text.
            fenced: raw.passage_open.contains("{fence}"),
        };
        template.check(&raw.passage_close).map_err(refuse)?;
        Ok(template)
    }

    /// The name by which a request asks for it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Refuses a template with which a text could end its passage.
    fn check(&self, close: &str) -> Result<(), String> {
        if !self.passage_open.contains(&TemplatePiece::Number) {
            return Err("passage_open must show {number}, or nothing could be cited".to_owned());
        }
        match self.escaping {
            TextEscaping::None => {
                // CommonMark: a fence opens and closes only at the start of a line, and the closing one has
                // nothing but white space after it.
                let opens = match self.passage_open.first() {
                    Some(TemplatePiece::Fence) => true,
                    Some(TemplatePiece::Text(text)) => {
                        text.ends_with('\n') && self.passage_open.get(1) == Some(&TemplatePiece::Fence)
                    }
                    _ => false,
                };
                let ends_line = matches!(self.passage_open.last(), Some(TemplatePiece::Text(text)) if text.ends_with('\n'));
                let closes = close.strip_prefix('\n').and_then(|rest| rest.strip_prefix("{fence}"));
                if !opens || !ends_line || !closes.is_some_and(|rest| rest.starts_with('\n')) {
                    return Err("without escape, passage_open must start a line with {fence} and end \
                                in a line break, and passage_close must be a line break, {fence} and \
                                a line break, or a text could end its passage"
                        .to_owned());
                }
            }
            TextEscaping::Xml if !close.starts_with('<') => {
                return Err("with escape = \"xml\" passage_close must start with <".to_owned());
            }
            TextEscaping::Json if !close.starts_with('"') => {
                return Err("with escape = \"json\" passage_close must start with \"".to_owned());
            }
            TextEscaping::Xml | TextEscaping::Json => {}
        }
        Ok(())
    }

    pub(super) fn is_fenced(&self) -> bool {
        self.fenced
    }

    pub(super) fn escaping(&self) -> TextEscaping {
        self.escaping
    }

    pub(super) fn open(&self, out: &mut String) {
        out.push_str(&self.open);
    }

    pub(super) fn close(&self, out: &mut String) {
        out.push_str(&self.close);
    }

    pub(super) fn close_document(&self, out: &mut String) {
        out.push_str(&self.document_close);
    }

    pub(super) fn open_document(&self, out: &mut String, header: &DocumentHeader) {
        let starts_section = header.starts_section && !header.section.is_empty();
        let section = if starts_section { self.section_open.as_slice() } else { &[] };
        for piece in section.iter().chain(&self.document_open) {
            match piece {
                TemplatePiece::Section => self.value(out, header.section),
                TemplatePiece::Document => self.value(out, header.id),
                TemplatePiece::Version => out.push_str(&header.version.to_string()),
                other => out.push_str(other.text()),
            }
        }
    }

    pub(super) fn open_passage(&self, out: &mut String, label: &PassageLabel) {
        self.around_passage(out, &self.passage_open, label);
    }

    pub(super) fn close_passage(&self, out: &mut String, label: &PassageLabel) {
        self.around_passage(out, &self.passage_close, label);
    }

    fn around_passage(&self, out: &mut String, pieces: &[TemplatePiece], label: &PassageLabel) {
        for piece in pieces {
            match piece {
                TemplatePiece::Number => out.push_str(&label.number.to_string()),
                TemplatePiece::Start => out.push_str(&label.span.start.to_string()),
                TemplatePiece::End => out.push_str(&label.span.end.to_string()),
                TemplatePiece::Heading => self.value(out, label.heading),
                TemplatePiece::Fence => out.push_str(&markdown::fence(label.backticks)),
                other => out.push_str(other.text()),
            }
        }
    }

    /// Writes an id or a heading.
    fn value(&self, out: &mut String, text: &str) {
        match self.escaping {
            TextEscaping::None => out.push_str(&inert_line(text)),
            TextEscaping::Xml => {
                let mut escaped = String::new();
                // A user may write the value into an attribute with either kind of quotes.
                xml::escape(&mut escaped, &visible_line(text));
                out.push_str(&escaped.replace('"', "&quot;").replace('\'', "&apos;"));
            }
            TextEscaping::Json => json::escape(out, &visible_line(text)),
        }
    }
}

impl TemplatePiece {
    fn text(&self) -> &str {
        match self {
            Self::Text(text) => text,
            _ => "",
        }
    }

    fn into_text(self) -> String {
        match self {
            Self::Text(text) => text,
            _ => String::new(),
        }
    }
}

/// Parses a text with placeholders. `allowed` names the placeholders that may occur.
fn parse_pieces(text: &str, allowed: &[&str]) -> Result<Vec<TemplatePiece>, String> {
    let mut pieces = Vec::new();
    let mut plain = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(['{', '}']) {
        plain.push_str(&rest[..at]);
        let brace = &rest[at..];
        if let Some(after) = brace.strip_prefix("{{").or_else(|| brace.strip_prefix("}}")) {
            plain.push_str(&brace[..1]);
            rest = after;
            continue;
        }
        let named = brace.strip_prefix('{').and_then(|brace| brace.split_once('}'));
        let Some((name, after)) = named else {
            return Err("a brace stands alone; write {{ or }} for one".to_owned());
        };
        // Unknown placeholders are errors: a misspelt one would silently vanish from every context.
        if !allowed.contains(&name) {
            let known: Vec<String> = allowed.iter().map(|name| format!("{{{name}}}")).collect();
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            return Err(format!("{{{name}}} cannot stand here; known here: {known}"));
        }
        if !plain.is_empty() {
            pieces.push(TemplatePiece::Text(std::mem::take(&mut plain)));
        }
        pieces.push(match name {
            "section" => TemplatePiece::Section,
            "document" => TemplatePiece::Document,
            "version" => TemplatePiece::Version,
            "number" => TemplatePiece::Number,
            "start" => TemplatePiece::Start,
            "end" => TemplatePiece::End,
            "heading" => TemplatePiece::Heading,
            // `allowed` holds no other name.
            _ => TemplatePiece::Fence,
        });
        rest = after;
    }
    plain.push_str(rest);
    if !plain.is_empty() {
        pieces.push(TemplatePiece::Text(plain));
    }
    Ok(pieces)
}
