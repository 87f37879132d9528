//! Renders passages as text: Markdown, XML, JSON, plain, or a user's template.
//!
//! Consecutive passages of one document version share its header. Each passage has a number, a byte
//! span, and its heading if that differs from the previous one. No text can end its fence: Markdown
//! fences are longer than any backtick run inside, plain marker lines start with a tag that no text
//! contains, XML and JSON escape, and a template has to do one of these ([`ContextTemplate`]).
//! Hidden characters are made visible. The framing is short because the budget pays for it. No
//! passages render as "".
//!
//! [`FramingWriter`] writes the pieces, and the packer counts the tokens of the same pieces. Later
//! passages never change the text up to the end of a passage ([`RenderedContext::ends`]), except
//! through the tag of the plain format.

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
use crate::domain::chunk::{SourcePlace, SourceUnit, TextSpan};
use crate::domain::ids::{CollectionId, DocumentId};
use hidden_characters::visible_text;
pub use template::{ContextTemplate, TEMPLATE_BYTES_MAX, TemplateRegistry};

/// The layout of a context.
#[derive(Debug, Clone, PartialEq)]
pub enum ContextStyle {
    /// A built-in format.
    Format(ContextFormat),
    /// A user's template.
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
    /// The name by which a request asks for it.
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
    /// Offset of the first byte after each passage and its framing.
    pub ends: Vec<usize>,
}

/// Renders passages in the given order, numbered from 1.
pub fn render_passages(passages: &[Passage], style: impl Into<ContextStyle>) -> String {
    render_with_tag(passages, &style.into(), None).text
}

/// Renders passages. A plain context is marked with the given tag if no text contains it.
pub fn render_with_tag(passages: &[Passage], style: &ContextStyle, tag: Option<&str>) -> RenderedContext {
    let mut rendering = RenderedContext::default();
    if passages.is_empty() {
        return rendering;
    }
    let texts: Vec<Cow<str>> = passages.iter().map(|passage| visible_text(&passage.text)).collect();
    // Texts are made visible before a tag is chosen: the tag must be absent from what is written.
    let frame = FramingWriter::for_texts(style, &texts, tag);
    let out = &mut rendering.text;
    // Framing of a passage and its share of headers: about 128 bytes.
    out.reserve(texts.iter().map(|text| text.len() + 128).sum());
    frame.open(out);
    let mut previous: Option<&Passage> = None;
    for (index, (passage, text)) in passages.iter().zip(&texts).enumerate() {
        let same_document = previous.filter(|before| is_same_document(before, passage));
        if same_document.is_none() {
            if previous.is_some() {
                frame.close_document(out);
            }
            let id = source_name(passage.collection.as_ref(), &passage.document_id);
            let header = DocumentHeader {
                id: &id,
                version: passage.version.get(),
                first: previous.is_none(),
                section: &passage.section,
                starts_section: previous.is_none_or(|before| before.section != passage.section),
            };
            frame.open_document(out, &header);
        }
        // A heading is paid once for a run of passages beneath it.
        let heading_is_known = same_document.is_some_and(|before| before.heading == passage.heading);
        let label = PassageLabel {
            number: index + 1,
            span: passage.span,
            place: passage.source,
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
    // After the last end: closings are not part of a prefix, so a continued context may differ here.
    frame.close_document(out);
    frame.close(out);
    rendering
}

/// Returns the tag of a plain context, which a continued context keeps.
pub fn plain_tag_in<'a>(context: &'a str, style: &ContextStyle) -> Option<&'a str> {
    let is_plain = *style == ContextStyle::Format(ContextFormat::Plain);
    context.split(' ').next().filter(|tag| is_plain && !tag.is_empty())
}

fn is_same_document(left: &Passage, right: &Passage) -> bool {
    left.document_id == right.document_id
        && left.version == right.version
        && left.section == right.section
        && left.collection == right.collection
}

/// The name of a document in a context: its id, after its collection and a slash if there are several.
pub(super) fn source_name<'a>(
    collection: Option<&CollectionId>,
    document_id: &'a DocumentId,
) -> Cow<'a, str> {
    // No collection's name contains a slash, so no two documents share a name.
    match collection {
        None => Cow::Borrowed(document_id.as_str()),
        Some(collection) => Cow::Owned(format!("{collection}/{document_id}")),
    }
}

/// The header in front of a document.
pub struct DocumentHeader<'a> {
    /// The document's id, after its collection if there are several.
    pub id: &'a str,
    /// The document's version.
    pub version: u64,
    /// Whether it is the first of the context.
    pub first: bool,
    /// Its section; empty if there are no sections.
    pub section: &'a str,
    /// Whether it is the first of its section.
    pub starts_section: bool,
}

/// The label in front of a passage.
pub struct PassageLabel<'a> {
    /// The number to cite it by.
    pub number: usize,
    /// Where it stands.
    pub span: TextSpan,
    /// Where it stands in its source; pages, slides and rows are named, lines are not.
    pub place: Option<SourcePlace>,
    /// Its heading; empty if there is none, or if the previous passage has the same.
    pub heading: &'a str,
    /// Whether it is the first of its document.
    pub first: bool,
    /// Longest run of backticks in its visible text, if the style needs it.
    pub backticks: usize,
}

impl PassageLabel<'_> {
    /// The place in the source as its unit and its first and last number; none where it is lines.
    fn numbered_place(&self) -> Option<(&'static str, usize, usize)> {
        let SourcePlace { unit, first_line, last_line, .. } = self.place?;
        (!unit.is_line()).then(|| (unit.name(), first_line, last_line))
    }

    /// The place as people cite it, such as `p. 14` or `rows 2-5`.
    fn cited_place(&self) -> Option<String> {
        let (unit, first, last) = self.numbered_place()?;
        let is_page = self.place.is_some_and(|place| place.unit == SourceUnit::Page);
        Some(match (is_page, first == last) {
            (true, true) => format!("p. {first}"),
            (true, false) => format!("pp. {first}-{last}"),
            (false, true) => format!("{unit} {first}"),
            (false, false) => format!("{unit}s {first}-{last}"),
        })
    }
}

/// Writes the framing and the texts of one context.
pub struct FramingWriter {
    style: ContextStyle,
    /// The start of a marker line of the plain format.
    mark: String,
}

impl FramingWriter {
    /// Creates a writer whose framing none of these visible texts can forge.
    pub fn for_texts(style: &ContextStyle, texts: &[Cow<str>], tag: Option<&str>) -> Self {
        let mark = match style {
            ContextStyle::Format(ContextFormat::Plain) => tag
                // A continued context keeps its tag, or its bytes would change; unless a new text contains it.
                .filter(|tag| !texts.iter().any(|text| text.contains(*tag)))
                .map_or_else(|| plain::derive_tag(texts), ToOwned::to_owned),
            _ => String::new(),
        };
        Self { style: style.clone(), mark }
    }

    /// Longest run of backticks of a visible text; 0 if the style does not need it.
    pub fn backticks(&self, text: &str) -> usize {
        match &self.style {
            ContextStyle::Format(ContextFormat::Markdown) => longest_backtick_run(text),
            ContextStyle::Template(template) if template.is_fenced() => longest_backtick_run(text),
            _ => 0,
        }
    }

    /// Opens the context.
    pub fn open(&self, out: &mut String) {
        match &self.style {
            ContextStyle::Format(ContextFormat::Markdown | ContextFormat::Plain) => {}
            ContextStyle::Format(ContextFormat::Xml) => out.push_str(xml::OPEN),
            ContextStyle::Format(ContextFormat::Json) => out.push_str(json::OPEN),
            ContextStyle::Template(template) => template.open(out),
        }
    }

    /// Closes the context.
    pub fn close(&self, out: &mut String) {
        match &self.style {
            ContextStyle::Format(ContextFormat::Markdown) => {}
            ContextStyle::Format(ContextFormat::Plain) => plain::close(out, &self.mark),
            ContextStyle::Format(ContextFormat::Xml) => out.push_str(xml::CLOSE),
            ContextStyle::Format(ContextFormat::Json) => out.push_str(json::CLOSE),
            ContextStyle::Template(template) => template.close(out),
        }
    }

    /// Opens a document.
    pub fn open_document(&self, out: &mut String, header: &DocumentHeader) {
        match &self.style {
            ContextStyle::Format(ContextFormat::Markdown) => markdown::open_document(out, header),
            ContextStyle::Format(ContextFormat::Plain) => plain::open_document(out, &self.mark, header),
            ContextStyle::Format(ContextFormat::Xml) => xml::open_document(out, header),
            ContextStyle::Format(ContextFormat::Json) => json::open_document(out, header),
            ContextStyle::Template(template) => template.open_document(out, header),
        }
    }

    /// Closes a document.
    pub fn close_document(&self, out: &mut String) {
        match &self.style {
            ContextStyle::Format(ContextFormat::Markdown | ContextFormat::Plain) => {}
            ContextStyle::Format(ContextFormat::Xml) => out.push_str(xml::CLOSE_DOCUMENT),
            ContextStyle::Format(ContextFormat::Json) => out.push_str(json::CLOSE_DOCUMENT),
            ContextStyle::Template(template) => template.close_document(out),
        }
    }

    /// Opens a passage.
    pub fn open_passage(&self, out: &mut String, label: &PassageLabel) {
        match &self.style {
            ContextStyle::Format(ContextFormat::Markdown) => markdown::open_passage(out, label),
            ContextStyle::Format(ContextFormat::Plain) => plain::open_passage(out, &self.mark, label),
            ContextStyle::Format(ContextFormat::Xml) => xml::open_passage(out, label),
            ContextStyle::Format(ContextFormat::Json) => json::open_passage(out, label),
            ContextStyle::Template(template) => template.open_passage(out, label),
        }
    }

    /// Closes a passage.
    pub fn close_passage(&self, out: &mut String, label: &PassageLabel) {
        match &self.style {
            ContextStyle::Format(ContextFormat::Markdown) => markdown::close_passage(out, label),
            ContextStyle::Format(ContextFormat::Plain) => out.push('\n'),
            ContextStyle::Format(ContextFormat::Xml) => out.push_str(xml::CLOSE_PASSAGE),
            ContextStyle::Format(ContextFormat::Json) => out.push_str(json::CLOSE_PASSAGE),
            ContextStyle::Template(template) => template.close_passage(out, label),
        }
    }

    /// Writes a visible text, escaped as the style demands.
    pub(super) fn body(&self, out: &mut String, text: &str) {
        match self.escaping() {
            TextEscaping::None => out.push_str(text),
            TextEscaping::Xml => xml::escape(out, text),
            TextEscaping::Json => json::escape(out, text),
        }
    }

    /// Returns a visible text as [`FramingWriter::body`] writes it.
    pub fn framed<'a>(&self, text: &'a str) -> Cow<'a, str> {
        if self.escaping() == TextEscaping::None {
            return Cow::Borrowed(text);
        }
        // Escapes are rare in prose; a sixteenth more is nearly always enough.
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

/// How a passage's text is escaped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TextEscaping {
    /// Not at all.
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
    // Backticks are rare: jumping from one to the next is faster than looking at every byte.
    while let Some(start) = memchr::memchr(b'`', rest) {
        let run = rest[start..].iter().take_while(|byte| **byte == b'`').count();
        longest = longest.max(run);
        rest = &rest[start + run..];
    }
    longest
}
