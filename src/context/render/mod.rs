//! Passages as text: Markdown, XML, JSON, plain, or a template of the user's.
//!
//! Consecutive passages of one document version share its header; each has a number, a byte
//! span, and its heading when that differs from the one before. No text can end its fence:
//! Markdown fences are longer than any backtick run inside, plain marker lines start with a
//! tag that no text contains, XML and JSON escape, and a template has to do one of these
//! ([`Template`]). Hidden characters are made visible. The framing is short because it is paid
//! from the budget. No passages render as "".
//!
//! [`Frame`] writes the pieces; the packer counts the tokens of the same pieces. What follows a
//! passage never changes what stands up to its end ([`Rendering::ends`]), but for the tag of the
//! plain format.

mod json;
mod markdown;
mod plain;
mod template;
pub mod visible;
mod xml;

use std::borrow::Cow;
use std::sync::Arc;

use super::answer::Passage;
use super::request::Format;
use crate::domain::chunk::Span;
pub use template::{TEMPLATE_BYTES_MAX, Template, Templates};
use visible::visible;

/// How a context is written.
#[derive(Debug, Clone, PartialEq)]
pub enum Style {
    /// One of the formats that come with the program.
    Format(Format),
    /// A template of the user's.
    Template(Arc<Template>),
}

impl Default for Style {
    fn default() -> Self {
        Self::Format(Format::default())
    }
}

impl From<Format> for Style {
    fn from(format: Format) -> Self {
        Self::Format(format)
    }
}

impl Style {
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
pub struct Rendering {
    /// The text.
    pub text: String,
    /// The byte after each passage and its framing.
    pub ends: Vec<usize>,
}

/// Renders passages in their order, numbered from 1.
pub fn render(passages: &[Passage], style: impl Into<Style>) -> String {
    render_marked(passages, &style.into(), None).text
}

/// Renders passages; a plain context is marked with the tag given, if no text contains it.
pub fn render_marked(passages: &[Passage], style: &Style, tag: Option<&str>) -> Rendering {
    let mut rendering = Rendering::default();
    if passages.is_empty() {
        return rendering;
    }
    let texts: Vec<Cow<str>> = passages.iter().map(|passage| visible(&passage.text)).collect();
    let frame = Frame::around(style, &texts, tag);
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
            let header = Header {
                id: passage.document_id.as_str(),
                version: passage.version.get(),
                first: previous.is_none(),
                section: &passage.section,
                starts_section: previous.is_none_or(|before| before.section != passage.section),
            };
            frame.open_document(out, &header);
        }
        let heading_is_known = same_document.is_some_and(|before| before.heading == passage.heading);
        let label = Label {
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
pub fn tag_in<'a>(context: &'a str, style: &Style) -> Option<&'a str> {
    let is_plain = *style == Style::Format(Format::Plain);
    context.split(' ').next().filter(|tag| is_plain && !tag.is_empty())
}

fn is_same_document(left: &Passage, right: &Passage) -> bool {
    left.document_id == right.document_id && left.version == right.version && left.section == right.section
}

/// What stands in front of a document.
pub(super) struct Header<'a> {
    pub(super) id: &'a str,
    pub(super) version: u64,
    /// Whether it is the first of the context.
    pub(super) first: bool,
    /// The section it is in; empty where there are none.
    pub(super) section: &'a str,
    /// Whether it is the first of its section.
    pub(super) starts_section: bool,
}

/// What stands in front of a passage.
pub(super) struct Label<'a> {
    /// The number to cite it by.
    pub(super) number: usize,
    /// Where it stands.
    pub(super) span: Span,
    /// Its heading; empty when there is none or it was said already.
    pub(super) heading: &'a str,
    /// Whether it is the first of its document.
    pub(super) first: bool,
    /// Longest run of backticks of its visible text, where that matters.
    pub(super) backticks: usize,
}

/// Writes the pieces of one context.
pub(super) struct Frame {
    style: Style,
    /// What starts a marker line of the plain format.
    mark: String,
}

impl Frame {
    /// The frame that these visible texts cannot break.
    pub(super) fn around(style: &Style, texts: &[Cow<str>], tag: Option<&str>) -> Self {
        let mark = match style {
            Style::Format(Format::Plain) => tag
                .filter(|tag| !texts.iter().any(|text| text.contains(*tag)))
                .map_or_else(|| plain::tag(texts), ToOwned::to_owned),
            _ => String::new(),
        };
        Self { style: style.clone(), mark }
    }

    /// Longest run of backticks of a visible text, where the style cares.
    pub(super) fn backticks(&self, text: &str) -> usize {
        match &self.style {
            Style::Format(Format::Markdown) => longest_run(text),
            Style::Template(template) if template.is_fenced() => longest_run(text),
            _ => 0,
        }
    }

    /// Starts the context.
    pub(super) fn open(&self, out: &mut String) {
        match &self.style {
            Style::Format(Format::Markdown | Format::Plain) => {}
            Style::Format(Format::Xml) => out.push_str(xml::OPEN),
            Style::Format(Format::Json) => out.push_str(json::OPEN),
            Style::Template(template) => template.open(out),
        }
    }

    /// Ends the context.
    pub(super) fn close(&self, out: &mut String) {
        match &self.style {
            Style::Format(Format::Markdown) => {}
            Style::Format(Format::Plain) => plain::close(out, &self.mark),
            Style::Format(Format::Xml) => out.push_str(xml::CLOSE),
            Style::Format(Format::Json) => out.push_str(json::CLOSE),
            Style::Template(template) => template.close(out),
        }
    }

    /// Starts a document.
    pub(super) fn open_document(&self, out: &mut String, header: &Header) {
        match &self.style {
            Style::Format(Format::Markdown) => markdown::open_document(out, header),
            Style::Format(Format::Plain) => plain::open_document(out, &self.mark, header),
            Style::Format(Format::Xml) => xml::open_document(out, header),
            Style::Format(Format::Json) => json::open_document(out, header),
            Style::Template(template) => template.open_document(out, header),
        }
    }

    /// Ends a document.
    pub(super) fn close_document(&self, out: &mut String) {
        match &self.style {
            Style::Format(Format::Markdown | Format::Plain) => {}
            Style::Format(Format::Xml) => out.push_str(xml::CLOSE_DOCUMENT),
            Style::Format(Format::Json) => out.push_str(json::CLOSE_DOCUMENT),
            Style::Template(template) => template.close_document(out),
        }
    }

    /// Starts a passage.
    pub(super) fn open_passage(&self, out: &mut String, label: &Label) {
        match &self.style {
            Style::Format(Format::Markdown) => markdown::open_passage(out, label),
            Style::Format(Format::Plain) => plain::open_passage(out, &self.mark, label),
            Style::Format(Format::Xml) => xml::open_passage(out, label),
            Style::Format(Format::Json) => json::open_passage(out, label),
            Style::Template(template) => template.open_passage(out, label),
        }
    }

    /// Ends a passage.
    pub(super) fn close_passage(&self, out: &mut String, label: &Label) {
        match &self.style {
            Style::Format(Format::Markdown) => markdown::close_passage(out, label),
            Style::Format(Format::Plain) => out.push('\n'),
            Style::Format(Format::Xml) => out.push_str(xml::CLOSE_PASSAGE),
            Style::Format(Format::Json) => out.push_str(json::CLOSE_PASSAGE),
            Style::Template(template) => template.close_passage(out, label),
        }
    }

    /// Writes a visible text.
    pub(super) fn body(&self, out: &mut String, text: &str) {
        match self.escaping() {
            Escaping::None => out.push_str(text),
            Escaping::Xml => xml::escape(out, text),
            Escaping::Json => json::escape(out, text),
        }
    }

    /// A visible text as [`Frame::body`] writes it.
    pub(super) fn framed<'a>(&self, text: &'a str) -> Cow<'a, str> {
        if self.escaping() == Escaping::None {
            return Cow::Borrowed(text);
        }
        let mut out = String::with_capacity(text.len() + text.len() / 16);
        self.body(&mut out, text);
        Cow::Owned(out)
    }

    fn escaping(&self) -> Escaping {
        match &self.style {
            Style::Format(Format::Markdown | Format::Plain) => Escaping::None,
            Style::Format(Format::Xml) => Escaping::Xml,
            Style::Format(Format::Json) => Escaping::Json,
            Style::Template(template) => template.escaping(),
        }
    }
}

/// How a passage's text is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Escaping {
    /// As it is.
    None,
    /// As XML character data.
    Xml,
    /// As the inside of a JSON string.
    Json,
}

/// Length of the longest run of backticks.
pub(super) fn longest_run(text: &str) -> usize {
    let mut longest = 0;
    let mut rest = text.as_bytes();
    while let Some(start) = memchr::memchr(b'`', rest) {
        let run = rest[start..].iter().take_while(|byte| **byte == b'`').count();
        longest = longest.max(run);
        rest = &rest[start + run..];
    }
    longest
}
