//! Passages as text: Markdown, XML, JSON, plain.
//!
//! Consecutive passages of one document version share its header; each has a number, a byte
//! span, and its heading when that differs from the one before. No text can end its fence:
//! Markdown fences are longer than any backtick run inside, plain marker lines start with a
//! tag that no text contains, XML and JSON escape. Hidden characters are made visible. The
//! framing is short because it is paid from the budget. No passages render as "".
//!
//! [`Frame`] writes the pieces; the packer counts the tokens of the same pieces.

mod json;
mod markdown;
mod plain;
pub mod visible;
mod xml;

use std::borrow::Cow;

use super::answer::Passage;
use super::request::Format;
use crate::domain::chunk::Span;
use visible::visible;

/// Renders passages in their order, numbered from 1.
pub fn render(passages: &[Passage], format: Format) -> String {
    if passages.is_empty() {
        return String::new();
    }
    let texts: Vec<Cow<str>> = passages.iter().map(|passage| visible(&passage.text)).collect();
    let frame = Frame::around(format, &texts);
    let mut out = String::with_capacity(texts.iter().map(|text| text.len() + 128).sum());
    frame.open(&mut out);
    let mut previous: Option<&Passage> = None;
    for (index, (passage, text)) in passages.iter().zip(&texts).enumerate() {
        let same_document = previous.filter(|before| is_same_document(before, passage));
        if same_document.is_none() {
            if previous.is_some() {
                frame.close_document(&mut out);
            }
            let first = previous.is_none();
            frame.open_document(&mut out, passage.document_id.as_str(), passage.version.get(), first);
        }
        let heading_is_known = same_document.is_some_and(|before| before.heading == passage.heading);
        let label = Label {
            number: index + 1,
            span: passage.span,
            heading: if heading_is_known { "" } else { &passage.heading },
            first: same_document.is_none(),
        };
        frame.open_passage(&mut out, &label);
        frame.body(&mut out, text);
        frame.close_passage(&mut out);
        previous = Some(passage);
    }
    frame.close_document(&mut out);
    frame.close(&mut out);
    out
}

fn is_same_document(left: &Passage, right: &Passage) -> bool {
    left.document_id == right.document_id && left.version == right.version
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
}

/// Writes the pieces of one context.
pub(super) struct Frame {
    format: Format,
    mark: String,
}

impl Frame {
    /// The frame that these visible texts cannot break.
    pub(super) fn around(format: Format, texts: &[Cow<str>]) -> Self {
        let mark = match format {
            Format::Markdown => {
                markdown::fence(texts.iter().map(|text| longest_run(text)).max().unwrap_or(0))
            }
            Format::Plain => plain::tag(texts),
            Format::Xml | Format::Json => String::new(),
        };
        Self { format, mark }
    }

    /// A frame for texts whose longest backtick run is known.
    pub(super) fn for_run(format: Format, run: usize) -> Self {
        let mut frame = Self::around(format, &[]);
        if format == Format::Markdown {
            frame.mark = markdown::fence(run);
        }
        frame
    }

    /// Starts the context.
    pub(super) fn open(&self, out: &mut String) {
        match self.format {
            Format::Markdown | Format::Plain => {}
            Format::Xml => out.push_str(xml::OPEN),
            Format::Json => out.push_str(json::OPEN),
        }
    }

    /// Ends the context.
    pub(super) fn close(&self, out: &mut String) {
        match self.format {
            Format::Markdown => {}
            Format::Plain => plain::close(out, &self.mark),
            Format::Xml => out.push_str(xml::CLOSE),
            Format::Json => out.push_str(json::CLOSE),
        }
    }

    /// Starts a document.
    pub(super) fn open_document(&self, out: &mut String, id: &str, version: u64, first: bool) {
        match self.format {
            Format::Markdown => markdown::open_document(out, id, version),
            Format::Plain => plain::open_document(out, &self.mark, id, version),
            Format::Xml => xml::open_document(out, id, version),
            Format::Json => json::open_document(out, id, version, first),
        }
    }

    /// Ends a document.
    pub(super) fn close_document(&self, out: &mut String) {
        match self.format {
            Format::Markdown | Format::Plain => {}
            Format::Xml => out.push_str(xml::CLOSE_DOCUMENT),
            Format::Json => out.push_str(json::CLOSE_DOCUMENT),
        }
    }

    /// Starts a passage.
    pub(super) fn open_passage(&self, out: &mut String, label: &Label) {
        match self.format {
            Format::Markdown => markdown::open_passage(out, &self.mark, label),
            Format::Plain => plain::open_passage(out, &self.mark, label),
            Format::Xml => xml::open_passage(out, label),
            Format::Json => json::open_passage(out, label),
        }
    }

    /// Ends a passage.
    pub(super) fn close_passage(&self, out: &mut String) {
        match self.format {
            Format::Markdown => markdown::close_passage(out, &self.mark),
            Format::Plain => out.push('\n'),
            Format::Xml => out.push_str(xml::CLOSE_PASSAGE),
            Format::Json => out.push_str(json::CLOSE_PASSAGE),
        }
    }

    /// Writes a visible text.
    pub(super) fn body(&self, out: &mut String, text: &str) {
        match self.format {
            Format::Markdown | Format::Plain => out.push_str(text),
            Format::Xml => xml::escape(out, text),
            Format::Json => json::escape(out, text),
        }
    }

    /// A visible text as [`Frame::body`] writes it.
    pub(super) fn framed<'a>(&self, text: &'a str) -> Cow<'a, str> {
        if matches!(self.format, Format::Markdown | Format::Plain) {
            return Cow::Borrowed(text);
        }
        let mut out = String::with_capacity(text.len() + text.len() / 16);
        self.body(&mut out, text);
        Cow::Owned(out)
    }
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
