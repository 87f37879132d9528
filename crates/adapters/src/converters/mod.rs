//! Converters: programs and servers that make text of documents that are not read here, such as OCR.
//!
//! Which one takes a document, [`ConverterRule`] says. A call is bounded in time and in the bytes of its answer, and a
//! converter takes so many documents at once. Faults of a document are permanent, with the converter's words on one
//! line of at most [`WORDS_CHARS_MAX`] characters. A converter that is away throttles its documents, longer each time,
//! and costs them no attempt. What a call started ends with it: a program with its whole process group.

mod command;
mod http;
mod media_types;
mod rule;

pub use command::{CommandConverter, CommandConverterConfig};
pub use http::{HttpConverter, HttpConverterConfig, MultipartForm};
pub use rule::{ConverterRule, ConverterWhen};

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use contexture_core::fault::{FailureReason, Fault, reason};
use contexture_core::ports::converter::{ConvertedFormat, ConvertedText, DocumentConverter};
use contexture_core::ports::extractor::{
    ChosenConverter, DocumentExtractor, DocumentKind, EnclosedFile, FileText,
};
use contexture_core::resilience::retry;

/// Longest message of a converter that is passed on, in characters.
const WORDS_CHARS_MAX: usize = 300;
/// What the readers here refuse and a converter may read.
const CONVERTIBLE: [&str; 4] =
    [reason::UNSUPPORTED_TYPE, reason::NO_TEXT_LAYER, reason::UNREADABLE_TEXT, reason::EMPTY_DOCUMENT];

/// A converter and the documents that it takes.
pub struct ConverterEntry {
    /// Which documents.
    pub rule: ConverterRule,
    /// The converter.
    pub converter: Arc<dyn DocumentConverter>,
}

/// Readers of documents, and converters of what they do not read. Of several converters the first counts.
pub struct ConvertingExtractor {
    readers: Arc<dyn DocumentExtractor>,
    converters: Vec<ConverterEntry>,
}

impl ConvertingExtractor {
    /// The same readers, with converters.
    pub fn new(readers: Arc<dyn DocumentExtractor>, converters: Vec<ConverterEntry>) -> Self {
        Self { readers, converters }
    }
}

impl DocumentExtractor for ConvertingExtractor {
    fn reads(&self, body: &[u8]) -> bool {
        self.readers.reads(body)
    }

    fn may_enclose(&self, body: &[u8]) -> bool {
        self.readers.may_enclose(body)
    }

    fn enclosed_files(&self, body: &[u8], name: &str) -> Result<Vec<EnclosedFile>, Fault> {
        self.readers.enclosed_files(body, name)
    }

    fn extract(&self, body: &[u8], name: &str) -> Option<Result<FileText, Fault>> {
        self.readers.extract(body, name)
    }

    fn converter(
        &self,
        document: &DocumentKind<'_>,
        refusal: Option<&FailureReason>,
    ) -> Option<ChosenConverter> {
        let when = match refusal {
            None => ConverterWhen::Always,
            Some(reason) if CONVERTIBLE.contains(&reason.code.as_str()) => ConverterWhen::Unreadable,
            Some(_) => return None,
        };
        let takes = |entry: &&ConverterEntry| entry.rule.when == when && entry.rule.takes(document);
        let entry = self.converters.iter().find(takes)?;
        let media_type = media_types::sent_type(document);
        Some(ChosenConverter { converter: entry.converter.clone(), media_type })
    }
}

/// How an answer is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConverterAnswer {
    /// Its format.
    pub format: ConvertedFormat,
    /// What ends a page in it, beside a form feed; may be empty.
    pub page_break: String,
}

impl ConverterAnswer {
    fn text(&self, body: Vec<u8>) -> ConvertedText {
        let body = match String::from_utf8(body) {
            Ok(text) if !self.page_break.is_empty() => text.replace(&self.page_break, "\u{C}").into_bytes(),
            Ok(text) => text.into_bytes(),
            Err(error) => error.into_bytes(),
        };
        ConvertedText { format: self.format, body }
    }
}

/// What a converter may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConverterLimits {
    /// Longest time for a document.
    pub time_max: Duration,
    /// Most bytes of an answer.
    pub output_bytes_max: usize,
    /// Documents at once.
    pub documents_at_once: usize,
}

/// How often in a row a converter was away.
#[derive(Debug, Default)]
struct ConverterAbsence(AtomicU32);

impl ConverterAbsence {
    /// The fault of a document whose converter is away: it waits, and keeps its attempts.
    fn fault(&self, converter: &str, what: &str) -> Fault {
        let failures = self.0.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        if failures == 1 {
            tracing::warn!(converter, what, "a converter is away; its documents wait");
        } else {
            tracing::debug!(converter, failures, what, "a converter is still away");
        }
        let what = format!("converter {converter}: {what}");
        Fault::Throttled { retry_after: retry::reopen_delay(failures), what }
    }

    fn is_over(&self, converter: &str) {
        if self.0.swap(0, Ordering::Relaxed) > 0 {
            tracing::info!(converter, "a converter is back");
        }
    }
}

/// A permanent fault with a converter's words.
fn refused(converter: &str, what: &str, words: &[u8]) -> Fault {
    let detail = match first_line(words) {
        words if words.is_empty() => format!("converter {converter}: {what}"),
        words => format!("converter {converter}: {what}: {words}"),
    };
    Fault::Permanent(FailureReason::new(reason::CONVERTER_FAILED, detail))
}

fn too_large(converter: &str, bytes_max: usize) -> Fault {
    let detail = format!("converter {converter}: the answer has more than {bytes_max} bytes");
    Fault::Permanent(FailureReason::new(reason::DOCUMENT_TOO_LARGE, detail))
}

/// The first line with words, bounded and without control characters.
fn first_line(words: &[u8]) -> String {
    let text = String::from_utf8_lossy(words);
    let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    line.chars().take(WORDS_CHARS_MAX).map(|one| if one.is_control() { ' ' } else { one }).collect()
}

#[cfg(test)]
mod tests {
    use super::{ConverterAnswer, WORDS_CHARS_MAX, first_line};
    use contexture_core::ports::converter::ConvertedFormat;

    #[test]
    fn words_are_one_bounded_line() {
        assert_eq!(first_line(b"\n  \n bad \x1b[31mfont\x07 here\nmore"), "bad  [31mfont  here");
        assert_eq!(first_line(b""), "");
        assert_eq!(first_line("ü".repeat(1000).as_bytes()).chars().count(), WORDS_CHARS_MAX);
    }

    #[test]
    fn page_breaks_become_form_feeds() {
        let answer =
            ConverterAnswer { format: ConvertedFormat::Markdown, page_break: "<!-- page -->".to_owned() };
        assert_eq!(answer.text(b"one<!-- page -->two".to_vec()).body, b"one\x0Ctwo");
        assert_eq!(answer.text(b"\xFF<!-- page -->".to_vec()).body, b"\xFF<!-- page -->");
    }
}
