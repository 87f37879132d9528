//! Passages as text: Markdown, XML, JSON, plain, or a template of the user's.
//!
//! Consecutive passages of one document version share its header; each has a number, a byte
//! span, and its heading when that differs from the one before. No text can end its fence:
//! Markdown fences are longer than any backtick run inside, plain marker lines start with a
//! tag that no text contains, XML and JSON escape, and a template has to do one of these
//! ([`ContextTemplate`]). Hidden characters are made visible. The framing is short because it is paid
//! from the budget. No passages render as "".
//!
//! [`FramingWriter`] writes the pieces; the packer counts the tokens of the same pieces. What follows a
//! passage never changes what stands up to its end ([`RenderedContext::ends`]), but for the tag of the
//! plain format.

pub mod hidden_characters;
mod json;
mod markdown;
mod plain;
mod template;
mod xml;

use std::borrow::Cow;
use std::sync::Arc;

use super::answer::Passage;
use super::request::ContextFormat;
use crate::domain::chunk::TextSpan;
use hidden_characters::visible_text;
pub use template::{ContextTemplate, TEMPLATE_BYTES_MAX, TemplateRegistry};

/// How a context is written.
#[derive(Debug, Clone, PartialEq)]
pub enum ContextStyle {
    /// One of the formats that come with the program.
    Format(ContextFormat),
    /// A template of the user's.
    Template(Arc<ContextTemplate>),
}

impl Default for ContextStyle {
    fn default() -> Self {
        Self::Format(ContextFormat::default())
    }
}

impl From<ContextFormat> for ContextStyle {
    fn from(format: ContextFormat) -> Self {
        Self::Format(format)
    }
}

impl ContextStyle {
    /// The name it is asked for by.
    pub fn name(&self) -> &str {
        match self {
            Self::Format(format) => format.name(),
            Self::Template(template) => template.name(),
        }
    }
}

/// A rendered context and where its passages end.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RenderedContext {
    /// The text.
    pub text: String,
    /// The byte after each passage and its framing.
    pub ends: Vec<usize>,
}

/// Renders passages in their order, numbered from 1.
pub fn render_passages(passages: &[Passage], style: impl Into<ContextStyle>) -> String {
    render_with_tag(passages, &style.into(), None).text
}

/// Renders passages; a plain context is marked with the tag given, if no text contains it.
pub fn render_with_tag(passages: &[Passage], style: &ContextStyle, tag: Option<&str>) -> RenderedContext {
    let mut rendering = RenderedContext::default();
    if passages.is_empty() {
        return rendering;
    }
    let texts: Vec<Cow<str>> = passages.iter().map(|passage| visible_text(&passage.text)).collect();
    let frame = FramingWriter::for_texts(style, &texts, tag);
    let out = &mut rendering.text;
    out.reserve(texts.iter().map(|text| text.len() + 128).sum());
    frame.open(out);
    let mut previous: Option<&Passage> = None;
    for (index, (passage, text)) in passages.iter().zip(&texts).enumerate() {
        let same_document = previous.filter(|before| is_same_document(before, passage));
        if same_document.is_none() {
            if previous.is_some() {
                frame.close_document(out);
            }
            let header = DocumentHeader {
                id: passage.document_id.as_str(),
                version: passage.version.get(),
                first: previous.is_none(),
                section: &passage.section,
                starts_section: previous.is_none_or(|before| before.section != passage.section),
            };
            frame.open_document(out, &header);
        }
        let heading_is_known = same_document.is_some_and(|before| before.heading == passage.heading);
        let label = PassageLabel {
            number: index + 1,
            span: passage.span,
            heading: if heading_is_known { "" } else { &passage.heading },
            first: same_document.is_none(),
            backticks: frame.backticks(text),
        };
        frame.open_passage(out, &label);
        frame.body(out, text);
        frame.close_passage(out, &label);
        rendering.ends.push(out.len());
        previous = Some(passage);
    }
    frame.close_document(out);
    frame.close(out);
    rendering
}

/// The tag of a plain context, to be kept by one that goes on from it.
pub fn plain_tag_in<'a>(context: &'a str, style: &ContextStyle) -> Option<&'a str> {
    let is_plain = *style == ContextStyle::Format(ContextFormat::Plain);
    context.split(' ').next().filter(|tag| is_plain && !tag.is_empty())
}

fn is_same_document(left: &Passage, right: &Passage) -> bool {
    left.document_id == right.document_id && left.version == right.version && left.section == right.section
}

/// What stands in front of a document.
pub struct DocumentHeader<'a> {
    pub id: &'a str,
    pub version: u64,
    /// Whether it is the first of the context.
    pub first: bool,
    /// The section it is in; empty where there are none.
    pub section: &'a str,
    /// Whether it is the first of its section.
    pub starts_section: bool,
}

/// What stands in front of a passage.
pub struct PassageLabel<'a> {
    /// The number to cite it by.
    pub number: usize,
    /// Where it stands.
    pub span: TextSpan,
    /// Its heading; empty when there is none or it was said already.
    pub heading: &'a str,
    /// Whether it is the first of its document.
    pub first: bool,
    /// Longest run of backticks of its visible text, where that matters.
    pub backticks: usize,
}

/// Writes the pieces of one context.
pub struct FramingWriter {
    style: ContextStyle,
    /// What starts a marker line of the plain format.
    mark: String,
}

impl FramingWriter {
    /// The frame that these visible texts cannot break.
    pub fn for_texts(style: &ContextStyle, texts: &[Cow<str>], tag: Option<&str>) -> Self {
        let mark = match style {
            ContextStyle::Format(ContextFormat::Plain) => tag
                .filter(|tag| !texts.iter().any(|text| text.contains(*tag)))
                .map_or_else(|| plain::derive_tag(texts), ToOwned::to_owned),
            _ => String::new(),
        };
        Self { style: style.clone(), mark }
    }

    /// Longest run of backticks of a visible text, where the style cares.
    pub fn backticks(&self, text: &str) -> usize {
        match &self.style {
            ContextStyle::Format(ContextFormat::Markdown) => longest_backtick_run(text),
            ContextStyle::Template(template) if template.is_fenced() => longest_backtick_run(text),
            _ => 0,
        }
    }

    /// Starts the context.
    pub fn open(&self, out: &mut String) {
        match &self.style {
            ContextStyle::Format(ContextFormat::Markdown | ContextFormat::Plain) => {}
            ContextStyle::Format(ContextFormat::Xml) => out.push_str(xml::OPEN),
            ContextStyle::Format(ContextFormat::Json) => out.push_str(json::OPEN),
            ContextStyle::Template(template) => template.open(out),
        }
    }

    /// Ends the context.
    pub fn close(&self, out: &mut String) {
        match &self.style {
            ContextStyle::Format(ContextFormat::Markdown) => {}
            ContextStyle::Format(ContextFormat::Plain) => plain::close(out, &self.mark),
            ContextStyle::Format(ContextFormat::Xml) => out.push_str(xml::CLOSE),
            ContextStyle::Format(ContextFormat::Json) => out.push_str(json::CLOSE),
            ContextStyle::Template(template) => template.close(out),
        }
    }

    /// Starts a document.
    pub fn open_document(&self, out: &mut String, header: &DocumentHeader) {
        match &self.style {
            ContextStyle::Format(ContextFormat::Markdown) => markdown::open_document(out, header),
            ContextStyle::Format(ContextFormat::Plain) => plain::open_document(out, &self.mark, header),
            ContextStyle::Format(ContextFormat::Xml) => xml::open_document(out, header),
            ContextStyle::Format(ContextFormat::Json) => json::open_document(out, header),
            ContextStyle::Template(template) => template.open_document(out, header),
        }
    }

    /// Ends a document.
    pub fn close_document(&self, out: &mut String) {
        match &self.style {
            ContextStyle::Format(ContextFormat::Markdown | ContextFormat::Plain) => {}
            ContextStyle::Format(ContextFormat::Xml) => out.push_str(xml::CLOSE_DOCUMENT),
            ContextStyle::Format(ContextFormat::Json) => out.push_str(json::CLOSE_DOCUMENT),
            ContextStyle::Template(template) => template.close_document(out),
        }
    }

    /// Starts a passage.
    pub fn open_passage(&self, out: &mut String, label: &PassageLabel) {
        match &self.style {
            ContextStyle::Format(ContextFormat::Markdown) => markdown::open_passage(out, label),
            ContextStyle::Format(ContextFormat::Plain) => plain::open_passage(out, &self.mark, label),
            ContextStyle::Format(ContextFormat::Xml) => xml::open_passage(out, label),
            ContextStyle::Format(ContextFormat::Json) => json::open_passage(out, label),
            ContextStyle::Template(template) => template.open_passage(out, label),
        }
    }

    /// Ends a passage.
    pub fn close_passage(&self, out: &mut String, label: &PassageLabel) {
        match &self.style {
            ContextStyle::Format(ContextFormat::Markdown) => markdown::close_passage(out, label),
            ContextStyle::Format(ContextFormat::Plain) => out.push('\n'),
            ContextStyle::Format(ContextFormat::Xml) => out.push_str(xml::CLOSE_PASSAGE),
            ContextStyle::Format(ContextFormat::Json) => out.push_str(json::CLOSE_PASSAGE),
            ContextStyle::Template(template) => template.close_passage(out, label),
        }
    }

    /// Writes a visible text.
    pub(super) fn body(&self, out: &mut String, text: &str) {
        match self.escaping() {
            TextEscaping::None => out.push_str(text),
            TextEscaping::Xml => xml::escape(out, text),
            TextEscaping::Json => json::escape(out, text),
        }
    }

    /// A visible text as [`FramingWriter::body`] writes it.
    pub fn framed<'a>(&self, text: &'a str) -> Cow<'a, str> {
        if self.escaping() == TextEscaping::None {
            return Cow::Borrowed(text);
        }
        let mut out = String::with_capacity(text.len() + text.len() / 16);
        self.body(&mut out, text);
        Cow::Owned(out)
    }

    fn escaping(&self) -> TextEscaping {
        match &self.style {
            ContextStyle::Format(ContextFormat::Markdown | ContextFormat::Plain) => TextEscaping::None,
            ContextStyle::Format(ContextFormat::Xml) => TextEscaping::Xml,
            ContextStyle::Format(ContextFormat::Json) => TextEscaping::Json,
            ContextStyle::Template(template) => template.escaping(),
        }
    }
}

/// How a passage's text is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TextEscaping {
    /// As it is.
    None,
    /// As XML character data.
    Xml,
    /// As the inside of a JSON string.
    Json,
}

/// Length of the longest run of backticks.
pub(super) fn longest_backtick_run(text: &str) -> usize {
    let mut longest = 0;
    let mut rest = text.as_bytes();
    while let Some(start) = memchr::memchr(b'`', rest) {
        let run = rest[start..].iter().take_while(|byte| **byte == b'`').count();
        longest = longest.max(run);
        rest = &rest[start + run..];
    }
    longest
}
