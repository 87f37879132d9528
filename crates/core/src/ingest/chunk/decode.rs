//! Decodes bytes into normalised text.
//!
//! The format is decided by the bytes, then by the declared type, then by the name of the document, then by the
//! first characters. A declared type that contradicts the bytes is ignored: text declared as `image/png` is read as
//! text, and a PDF declared as `text/plain` is refused. Encodings, formats and their parsers are those of
//! [`contexture_formats`]; here their results become what the chunker cuts.
//!
//! Normalised means: no byte order mark, line ends are LF, NUL is U+FFFD, markup is converted to Markdown-like
//! text, and what no reader of the file would see is gone. Byte spans of chunks refer to this text;
//! [`NormalisedText::source_excerpt`] leads back to the file.

use std::collections::BTreeMap;

use contexture_formats::encoding::UndecodableText;
use contexture_formats::file_format::{CodeFormat, FileFormat};
use contexture_formats::read::{FileText, read_file_text};
use contexture_formats::{
    ParsedText, PropertyValue, SourceLines, SourceMap, StructureMark, TextStructure, may_enclose,
};

use super::code::CodeLanguage;
use super::sniff;
use crate::domain::chunk::{SourceExcerpt, TextSpan};
use crate::domain::document::TITLE_BYTES_MAX;
use crate::domain::metadata::{MetadataScalar, MetadataValue};
use crate::fault::{FailureReason, Fault, reason};
use crate::ports::extractor::DocumentExtractor;

/// Shortest name of hexadecimal digits that is taken for a number or a hash, and not for a title.
const HEX_NAME_BYTES_MIN: usize = 8;

/// The format of a document's text, as it is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextFormat {
    /// `CommonMark` with tables, as written or as converted from other markup.
    Markdown,
    /// Paragraphs, lines, sentences.
    Plain,
    /// Source code.
    Code(CodeLanguage),
    /// The parser of its format says where: keys, records, statements.
    Marked,
}

/// The text that byte spans refer to.
#[derive(Debug)]
pub struct NormalisedText {
    /// The text; holds at least one visible character.
    pub text: String,
    /// Its format.
    pub format: TextFormat,
    /// What the document says its title is, else its first heading, else its name; on one line of at most
    /// `TITLE_BYTES_MAX` bytes.
    pub title: Option<String>,
    /// What the document says about itself.
    pub properties: BTreeMap<String, PropertyValue>,
    /// Where it may be cut, if its format is [`TextFormat::Marked`].
    pub marks: Vec<StructureMark>,
    /// What was left out or replaced, for the person who ingests it.
    pub notes: Vec<String>,
    /// Whether it may have files inside that are documents of their own.
    pub encloses: bool,
    map: SourceMap,
    lines: SourceLines,
    file_offset: Option<usize>,
}

impl NormalisedText {
    /// A text that is its own source.
    pub fn new(text: String, format: TextFormat) -> Self {
        Self {
            map: SourceMap::identity(text.len()),
            lines: SourceLines::new(&text),
            text,
            format,
            title: None,
            properties: BTreeMap::new(),
            marks: Vec::new(),
            notes: Vec::new(),
            encloses: false,
            file_offset: Some(0),
        }
    }

    /// The way from a part of the text to the source.
    pub fn source_excerpt(&self, span: TextSpan) -> SourceExcerpt {
        self.map.excerpt(&self.text, span.start..span.end, &self.lines, self.file_offset)
    }

    /// The parts of the text that come from a range of the file; none if the file's bytes are not the source's.
    pub fn spans_of_file(&self, start: usize, end: usize) -> Option<Vec<TextSpan>> {
        let offset = self.file_offset?;
        let source = start.saturating_sub(offset)..end.saturating_sub(offset);
        let spans = self.map.text_spans(source).into_iter();
        Some(spans.map(|span| TextSpan { start: span.start, end: span.end }).collect())
    }

    /// The properties as metadata has them. Names and values beyond the limits of metadata are made to fit.
    pub fn metadata(&self) -> impl Iterator<Item = (String, MetadataValue)> {
        self.properties.iter().filter_map(|(name, value)| {
            let name = metadata_key(name)?;
            Some((name, metadata_value(value)?))
        })
    }
}

/// Decodes and normalises a body that is text; `declared` is its media type, if the producer gave one.
pub fn decode_body(
    body: &[u8],
    declared: Option<&str>,
    document_id: &str,
) -> Result<NormalisedText, FailureReason> {
    let declared = declared.map(str::trim).filter(|declared| !declared.is_empty());
    check_type(body, declared)?;
    let read = read_file_text(body, declared, document_id).map_err(invalid_encoding)?;
    let encloses = may_enclose(body, read.format);
    Ok(NormalisedText { encloses, ..normalise_file_text(read, document_id)? })
}

/// The same for a body that need not be text: documents of other formats are read by `extractor`.
pub fn decode_document(
    body: &[u8],
    declared: Option<&str>,
    document_id: &str,
    extractor: &dyn DocumentExtractor,
) -> Result<NormalisedText, Fault> {
    match extractor.extract(body, document_id) {
        Some(read) => {
            let text = normalise_file_text(read?, document_id).map_err(Fault::Permanent)?;
            Ok(NormalisedText { encloses: extractor.may_enclose(body), ..text })
        }
        None => decode_body(body, declared, document_id).map_err(Fault::Permanent),
    }
}

pub(super) fn normalise_file_text(
    read: FileText,
    document_id: &str,
) -> Result<NormalisedText, FailureReason> {
    let FileText { parsed, format, lines, file_offset } = read;
    let ParsedText { text, map, structure, properties, notes } = parsed;
    if text.chars().all(is_blank) {
        return Err(FailureReason::new(reason::EMPTY_DOCUMENT, "the document holds no visible character"));
    }
    let (format, marks) = match (structure, format) {
        (TextStructure::Markdown, _) => (TextFormat::Markdown, Vec::new()),
        (TextStructure::Marked(marks), _) => (TextFormat::Marked, marks),
        (TextStructure::Plain, FileFormat::Code(code)) => {
            (code_language(code).map_or(TextFormat::Plain, TextFormat::Code), Vec::new())
        }
        (TextStructure::Plain, _) => (TextFormat::Plain, Vec::new()),
    };
    let own = properties.title.as_deref().and_then(title_line);
    let heading = || (format == TextFormat::Markdown).then(|| first_heading(&text)).flatten();
    let title = own.or_else(heading).or_else(|| title_of_name(document_id));
    Ok(NormalisedText {
        text,
        format,
        title,
        properties: properties.other,
        marks,
        notes,
        encloses: false,
        map,
        lines,
        file_offset,
    })
}

/// Refuses a body that is not text.
fn check_type(body: &[u8], declared: Option<&str>) -> Result<(), FailureReason> {
    let Some(sniffed) = sniff::unread_type(body) else { return Ok(()) };
    let detail = match declared {
        Some(declared) if !declared.eq_ignore_ascii_case(sniffed) => {
            format!("the body is {sniffed}, declared as {declared}; send text, markup, data or source code")
        }
        _ => format!("the body is {sniffed}; send text, markup, data or source code"),
    };
    Err(FailureReason::new(reason::UNSUPPORTED_TYPE, detail))
}

fn invalid_encoding(error: UndecodableText) -> FailureReason {
    FailureReason::new(reason::INVALID_ENCODING, error.detail)
}

/// Whether a character is white space or invisible.
fn is_blank(character: char) -> bool {
    character.is_whitespace() || matches!(character, '\u{200B}'..='\u{200F}' | '\u{2060}' | '\u{FEFF}')
}

/// The language of source code; none if there is no grammar for it.
fn code_language(code: CodeFormat) -> Option<CodeLanguage> {
    Some(match code {
        CodeFormat::Rust => CodeLanguage::Rust,
        CodeFormat::Python => CodeLanguage::Python,
        CodeFormat::JavaScript => CodeLanguage::JavaScript,
        CodeFormat::TypeScript => CodeLanguage::TypeScript,
        CodeFormat::Tsx => CodeLanguage::Tsx,
        CodeFormat::Go => CodeLanguage::Go,
        CodeFormat::Java => CodeLanguage::Java,
        CodeFormat::C => CodeLanguage::C,
        _ => return None,
    })
}

/// A title as descriptions take it: one line, without control characters, bounded. None if nothing is left.
fn title_line(title: &str) -> Option<String> {
    let mut line = title.split_whitespace().collect::<Vec<_>>().join(" ");
    line.retain(|character| !character.is_control());
    line.truncate(line.floor_char_boundary(TITLE_BYTES_MAX));
    (!line.is_empty()).then_some(line)
}

/// The heading of the first level that a text begins with.
fn first_heading(text: &str) -> Option<String> {
    let line = text.trim_start().lines().next()?;
    let heading = line.strip_prefix("# ")?.trim_end().trim_end_matches('#');
    title_line(heading)
}

/// The name of a file without its ending, where it says something: no number and no hash.
fn title_of_name(document_id: &str) -> Option<String> {
    let name = document_id.rsplit('/').next().unwrap_or(document_id);
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    let mut letters = stem.chars().filter(|character| character.is_alphabetic());
    let is_hex = || {
        let digits = stem.bytes().filter(|byte| !b"-_".contains(byte));
        stem.len() >= HEX_NAME_BYTES_MIN && digits.clone().all(|byte| byte.is_ascii_hexdigit())
    };
    (letters.nth(1).is_some() && !is_hex()).then(|| title_line(stem)).flatten()
}

/// A name as a key of metadata: other signs than it may have become `_`.
fn metadata_key(name: &str) -> Option<String> {
    let sign = |character: char| {
        if character.is_ascii_alphanumeric() || "_-.".contains(character) { character } else { '_' }
    };
    let key: String = name.chars().map(sign).take(crate::domain::metadata::METADATA_KEY_BYTES_MAX).collect();
    let starts_well = key.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
    (starts_well && !key.starts_with("_contexture")).then_some(key)
}

fn metadata_value(value: &PropertyValue) -> Option<MetadataValue> {
    use crate::domain::metadata::{METADATA_LIST_ITEMS_MAX, METADATA_VALUE_BYTES_MAX};
    let text = |text: &String| {
        let end = text.floor_char_boundary(METADATA_VALUE_BYTES_MAX);
        MetadataScalar::Text(text[..end].to_owned())
    };
    Some(match value {
        PropertyValue::Text(value) => MetadataValue::One(text(value)),
        PropertyValue::Bool(value) => MetadataValue::One(MetadataScalar::Bool(*value)),
        PropertyValue::Number(value) => MetadataValue::One(number_scalar(*value)?),
        PropertyValue::Texts(values) => {
            MetadataValue::Many(values.iter().take(METADATA_LIST_ITEMS_MAX).map(text).collect())
        }
    })
}

/// A number; whole ones as integers, so that filters on them are exact. None if it is not finite.
#[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "checked to be within 2^53")]
fn number_scalar(value: f64) -> Option<MetadataScalar> {
    const EXACT_MAX: f64 = (1_i64 << 53) as f64;
    if value.fract() == 0.0 && value.abs() <= EXACT_MAX {
        return Some(MetadataScalar::Integer(value as i64));
    }
    value.is_finite().then_some(MetadataScalar::Float(value))
}
