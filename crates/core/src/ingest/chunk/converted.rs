//! The answer of a converter to normalised text.
//!
//! The format is the one that the configuration says, not what the bytes look like. Nothing of the answer stands
//! in the file, so passages have no lines of it. Where form feeds part the answer into pages, as OCR programs
//! write them, passages have pages.

use contexture_formats::file_format::FileFormat;
use contexture_formats::read::{FileText, read_file_text};
use contexture_formats::{ParsedText, SourceLines, SourceMap, SourceUnit, TextStructure};

use super::decode::{NormalisedText, normalise_file_text};
use super::sniff;
use crate::fault::{FailureReason, reason};
use crate::ports::converter::{ConvertedFormat, ConvertedText};

/// What ends a page.
const PAGE_END: char = '\u{C}';
/// Between two pages.
const PAGE_GAP: &str = "\n\n";
/// The name under which an answer is read: it must not say another format than the configuration.
const ANSWER_NAME: &str = "answer.txt";

/// Decodes what a converter made of a document.
pub fn decode_converted(
    converted: &ConvertedText,
    document_id: &str,
) -> Result<NormalisedText, FailureReason> {
    if let Some(sniffed) = sniff::unread_type(&converted.body) {
        let detail = format!("the converter answered {sniffed} instead of text");
        return Err(FailureReason::new(reason::CONVERTER_FAILED, detail));
    }
    let read = read_pages(converted)?;
    normalise_file_text(read, document_id).map_err(|refused| match refused.code.as_str() {
        reason::EMPTY_DOCUMENT => {
            FailureReason::new(reason::NO_TEXT_LAYER, "the converter found no text in the document")
        }
        _ => refused,
    })
}

fn read_pages(converted: &ConvertedText) -> Result<FileText, FailureReason> {
    // In another encoding than UTF-8 the byte may be a part of a character.
    let pages: Vec<&str> = match std::str::from_utf8(&converted.body) {
        Ok(text) => text.trim_end_matches(PAGE_END).split(PAGE_END).collect(),
        Err(_) => Vec::new(),
    };
    if pages.len() < 2 {
        let whole = pages.first().map_or(converted.body.as_slice(), |page| page.as_bytes());
        let FileText { mut parsed, format, .. } = read_answer(converted.format, whole)?;
        // No map and no line: nothing of it stands in the file.
        parsed.map = SourceMap::default();
        let lines = SourceLines::of_places(SourceUnit::Line, Vec::new());
        return Ok(FileText { parsed, format, lines, file_offset: None });
    }
    let mut all = ParsedText::default();
    for (index, page) in pages.iter().enumerate() {
        let read = read_answer(converted.format, page.as_bytes())?.parsed;
        let before = all.text.len();
        if index > 0 {
            all.text.push_str(PAGE_GAP);
        }
        all.text.push_str(&read.text);
        all.map.push_written(all.text.len() - before, index..index + 1);
        if index == 0 {
            (all.structure, all.properties, all.notes) = (read.structure, read.properties, read.notes);
        }
    }
    let format = match all.structure {
        TextStructure::Markdown => FileFormat::Markdown,
        _ => FileFormat::Plain,
    };
    let lines = SourceLines::of_places(SourceUnit::Page, (1..=pages.len()).collect());
    Ok(FileText { parsed: all, format, lines, file_offset: None })
}

fn read_answer(format: ConvertedFormat, body: &[u8]) -> Result<FileText, FailureReason> {
    read_file_text(body, Some(format.media_type()), ANSWER_NAME)
        .map_err(|error| FailureReason::new(reason::INVALID_ENCODING, error.detail))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails where one does")]
mod tests {
    use super::decode_converted;
    use crate::domain::chunk::TextSpan;
    use crate::fault::reason;
    use crate::ingest::chunk::{NormalisedText, TextFormat};
    use crate::ports::converter::{ConvertedFormat, ConvertedText};

    fn decode(format: ConvertedFormat, body: &[u8]) -> Result<NormalisedText, crate::fault::FailureReason> {
        decode_converted(&ConvertedText { format, body: body.to_vec() }, "scans/2024.tex")
    }

    fn pages_of(text: &NormalisedText, words: &str) -> Option<(usize, usize)> {
        let start = text.text.find(words).unwrap();
        let excerpt = text.source_excerpt(TextSpan { start: 0, end: text.text.len() });
        let place = excerpt.place(&text.text, start..start + words.len())?;
        Some((place.first_line, place.last_line))
    }

    #[test]
    fn form_feeds_end_pages() {
        let text =
            decode(ConvertedFormat::Text, b"First page.\n\x0CSecond page.\n\x0C\x0CFourth.\n\x0C").unwrap();
        assert_eq!(text.format, TextFormat::Plain);
        assert_eq!(pages_of(&text, "First"), Some((1, 1)));
        assert_eq!(pages_of(&text, "Second"), Some((2, 2)));
        assert_eq!(pages_of(&text, "Fourth"), Some((4, 4)));
        assert!(!text.text.contains('\u{C}'), "{:?}", text.text);
        let one = decode(ConvertedFormat::Text, b"A receipt.\n\x0C").unwrap();
        assert_eq!(pages_of(&one, "receipt"), None, "a picture has no pages");
        assert_eq!(one.text.trim_end_matches('\n'), "A receipt.");
    }

    #[test]
    fn the_configuration_says_the_format() {
        let markdown = decode(ConvertedFormat::Markdown, b"# Lease\n\nNotice is ninety days.").unwrap();
        assert_eq!((markdown.format, markdown.title.as_deref()), (TextFormat::Markdown, Some("Lease")));
        let html = decode(ConvertedFormat::Html, b"<p>Notice is <b>ninety</b> days.</p>").unwrap();
        assert!(html.text.contains("ninety") && !html.text.contains('<'), "{}", html.text);
        let plain = decode(ConvertedFormat::Text, b"<p>{\"a\": 1}</p>").unwrap();
        assert_eq!((plain.format, plain.text.trim()), (TextFormat::Plain, "<p>{\"a\": 1}</p>"));
        assert!(plain.spans_of_file(0, 1).is_none(), "the answer is not the file");
    }

    #[test]
    fn answers_without_text_are_refused() {
        let code = |body: &[u8]| decode(ConvertedFormat::Text, body).unwrap_err().code;
        assert_eq!(code(b" \n\x0C\n"), reason::NO_TEXT_LAYER);
        assert_eq!(code(b""), reason::NO_TEXT_LAYER);
        assert_eq!(code(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0"), reason::CONVERTER_FAILED);
    }
}
