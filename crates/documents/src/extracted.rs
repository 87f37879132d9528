//! What the reading of a document gives.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use contexture_formats::source_map::SourceMap;
use contexture_formats::{
    FileFormat, FileText, ParsedText, PropertyValue, SourceLines, SourceUnit, TextProperties, TextStructure,
};

/// The text of a document, as cleaned Markdown.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExtractedText {
    /// The text: LF line ends, no NUL.
    pub text: String,
    /// What its places are counted in; none where a format has none.
    pub unit: Option<SourceUnit>,
    /// The places, in the order of the text, which they tile.
    pub places: Vec<ExtractedPlace>,
    /// The title that the document gives itself.
    pub title: Option<String>,
    /// What else it says about itself: `author`, `date`, `language`, `subject`.
    pub properties: BTreeMap<String, String>,
    /// What was left out, in words for the person who ingests it.
    pub notes: Vec<String>,
    /// The files inside, if they were asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attachments: Vec<ExtractedAttachment>,
}

/// A file inside a document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExtractedAttachment {
    /// Its name, without folders; unique in the document.
    pub name: String,
    /// Its declared media type.
    pub media_type: Option<String>,
    /// Its bytes, in Base64 on their way through the pipe.
    #[serde(with = "base64_bytes")]
    pub body: Vec<u8>,
}

/// Bytes as text of a frame.
mod base64_bytes {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        STANDARD.decode(String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

/// A part of the text and where it comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExtractedPlace {
    /// Its bytes.
    pub bytes: usize,
    /// The page, slide or row, from 1.
    pub number: usize,
}

impl ExtractedText {
    /// Appends text that comes from a place.
    pub fn push(&mut self, text: &str, number: usize) {
        if text.is_empty() {
            return;
        }
        self.text.push_str(text);
        match self.places.last_mut() {
            Some(last) if last.number == number => last.bytes += text.len(),
            _ => self.places.push(ExtractedPlace { bytes: text.len(), number }),
        }
    }

    /// The text as the readers of text return it. Each place is one byte of a source that is only counted.
    pub fn into_file_text(self) -> FileText {
        let Self { text, unit, places, title, properties, notes, attachments: _ } = self;
        let mut map = SourceMap::default();
        let lines = match unit {
            None => SourceLines::of_places(SourceUnit::Line, Vec::new()),
            Some(unit) => {
                for (index, place) in places.iter().enumerate() {
                    map.push_written(place.bytes, index..index + 1);
                }
                SourceLines::of_places(unit, places.iter().map(|place| place.number).collect())
            }
        };
        let text_value = |(name, value)| (name, PropertyValue::Text(value));
        let other = properties.into_iter().map(text_value).collect();
        let properties = TextProperties { title, other };
        let parsed = ParsedText { text, map, structure: TextStructure::Markdown, properties, notes };
        FileText { parsed, format: FileFormat::Markdown, lines, file_offset: None }
    }
}

/// Why a document was not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExtractionErrorCode {
    /// It needs a password.
    Encrypted,
    /// A PDF of pictures: no page has words.
    NoTextLayer,
    /// Its letters are of no script.
    UnreadableText,
    /// It is damaged, or not what it says it is.
    CorruptDocument,
    /// It is more than the limits allow.
    TooLarge,
    /// Its reader took too long.
    Timeout,
    /// Its reader took too much memory.
    OutOfMemory,
    /// Its reader crashed.
    Crashed,
}

/// Why a document was not read, in words for the person who ingests it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExtractionError {
    /// The kind.
    pub code: ExtractionErrorCode,
    /// What is wrong, and a way out.
    pub detail: String,
}

impl ExtractionError {
    /// An error of this kind.
    pub fn new(code: ExtractionErrorCode, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into() }
    }
}

impl fmt::Display for ExtractionError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.detail)
    }
}

impl std::error::Error for ExtractionError {}

/// A text without what no reader of a document sees: soft hyphens, U+FFFE (which stands for a hyphen at a line's end in
/// some extractions), NUL and form feeds; with LF line ends.
pub(crate) fn clean_text(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(one) = characters.next() {
        match one {
            '\u{AD}' | '\u{FFFE}' | '\0' => {}
            '\r' => {
                if characters.peek() != Some(&'\n') {
                    out.push('\n');
                }
            }
            '\u{C}' | '\u{B}' => out.push('\n'),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{ExtractedText, clean_text};
    use contexture_formats::{SourcePlace, SourceUnit};

    #[test]
    fn places_lead_to_pages() {
        let mut read = ExtractedText { unit: Some(SourceUnit::Page), ..ExtractedText::default() };
        read.push("First page.\n\n", 1);
        read.push("Third page.\n", 3);
        read.push("Its end.\n", 3);
        assert_eq!(read.places.len(), 2);
        let file = read.into_file_text();
        let text = file.parsed.text.clone();
        let excerpt = file.parsed.map.excerpt(&text, 0..text.len(), &file.lines, file.file_offset);
        let place = |words: &str| {
            let start = text.find(words).expect("words");
            excerpt.place(&text, start..start + words.len()).expect("a place")
        };
        let page = |number| SourcePlace {
            unit: SourceUnit::Page,
            first_line: number,
            last_line: number,
            bytes: None,
        };
        assert_eq!((place("First"), place("Third"), place("end")), (page(1), page(3), page(3)));
    }

    #[test]
    fn texts_without_places_have_none() {
        let mut read = ExtractedText::default();
        read.push("A letter.\n", 1);
        let file = read.into_file_text();
        let excerpt = file.parsed.map.excerpt(&file.parsed.text, 0..10, &file.lines, file.file_offset);
        assert_eq!(excerpt.place(&file.parsed.text, 0..5), None);
    }

    #[test]
    fn nothing_invisible_stays() {
        assert_eq!(clean_text("co\u{AD}op\r\na\u{FFFE}\rb\0\u{C}c"), "coop\na\nb\nc");
    }
}
