//! Decodes bytes into normalised text.
//!
//! The format is decided by the bytes, then by the declared type, then by the extension of the id, then by
//! the first characters. A declared type that contradicts the bytes is ignored: text declared as `image/png`
//! is read as text, and a PDF declared as `text/plain` is refused. A `charset` parameter is ignored, too: text
//! is UTF-8, or UTF-16 with a byte order mark.
//!
//! Normalised means: no byte order mark, line ends are LF, NUL is U+FFFD, and HTML is converted to
//! Markdown-like text. Nothing else changes: bidi controls, zero-width characters and unusual white space stay.
//! Byte spans of chunks refer to this text.

use super::code::CodeLanguage;
use super::html;
use super::sniff::{self, looks_like_html};
use crate::fault::{FailureReason, reason};

/// The format of a document's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextFormat {
    /// `CommonMark` with tables.
    Markdown,
    /// Converted from HTML; the text is Markdown-like.
    Html,
    /// Paragraphs, lines, sentences.
    Plain,
    /// Source code.
    Code(CodeLanguage),
}

/// The text that byte spans refer to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NormalisedText {
    /// The text; holds at least one visible character.
    pub text: String,
    /// Its format.
    pub format: TextFormat,
    /// The `<title>` of HTML, on one line of at most `TITLE_BYTES_MAX` bytes.
    pub title: Option<String>,
}

/// Decodes and normalises a body; `declared` is its media type, if the producer gave one.
pub fn decode_body(
    body: &[u8],
    declared: Option<&str>,
    document_id: &str,
) -> Result<NormalisedText, FailureReason> {
    let declared = declared.map(parse_media_type).filter(|declared| !declared.is_empty());
    let raw = decode_to_utf8(body, declared.as_deref())?;
    let format = declared
        .as_deref()
        .and_then(format_of_media_type)
        .or_else(|| format_of_extension(document_id))
        .unwrap_or_else(|| if looks_like_html(&raw) { TextFormat::Html } else { TextFormat::Plain });
    let normal = normalise_line_ends(raw);
    let (text, title) = match format {
        TextFormat::Html => html::html_to_markdown(&normal),
        _ => (normal, None),
    };
    if text.chars().all(is_blank) {
        return Err(FailureReason::new(reason::EMPTY_DOCUMENT, "the document holds no visible character"));
    }
    Ok(NormalisedText { text, format, title })
}

/// Whether a character is white space or invisible.
fn is_blank(character: char) -> bool {
    character.is_whitespace() || matches!(character, '\u{200B}'..='\u{200F}' | '\u{2060}' | '\u{FEFF}')
}

/// Returns the media type without parameters, in lower case.
fn parse_media_type(declared: &str) -> String {
    declared.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

fn decode_to_utf8(body: &[u8], declared: Option<&str>) -> Result<String, FailureReason> {
    if let Some(sniffed) = sniff::binary_type(body) {
        let detail = match declared {
            Some(declared) if declared != sniffed => {
                format!(
                    "the body is {sniffed}, declared as {declared}; send text, Markdown, HTML or source code"
                )
            }
            _ => format!("the body is {sniffed}; send text, Markdown, HTML or source code"),
        };
        return Err(FailureReason::new(reason::UNSUPPORTED_TYPE, detail));
    }
    match body {
        [0xFF, 0xFE, units @ ..] => decode_utf16(units, u16::from_le_bytes),
        [0xFE, 0xFF, units @ ..] => decode_utf16(units, u16::from_be_bytes),
        [0xEF, 0xBB, 0xBF, rest @ ..] => decode_utf8(rest, 3),
        _ => decode_utf8(body, 0),
    }
}

fn decode_utf8(bytes: &[u8], mark_bytes: usize) -> Result<String, FailureReason> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(text.to_owned()),
        Err(error) => Err(invalid_encoding("UTF-8", error.valid_up_to() + mark_bytes)),
    }
}

/// Decodes UTF-16 that follows a byte order mark of two bytes.
fn decode_utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Result<String, FailureReason> {
    let (pairs, odd) = bytes.as_chunks::<2>();
    let mut text = String::with_capacity(bytes.len());
    // Errors name the byte of the body, which starts with the mark.
    let mut offset = 2;
    for decoded in char::decode_utf16(pairs.iter().map(|&pair| unit(pair))) {
        let character = decoded.map_err(|_| invalid_encoding("UTF-16", offset))?;
        offset += 2 * character.len_utf16();
        text.push(character);
    }
    if odd.is_empty() { Ok(text) } else { Err(invalid_encoding("UTF-16", offset)) }
}

fn invalid_encoding(encoding: &str, offset: usize) -> FailureReason {
    FailureReason::new(reason::INVALID_ENCODING, format!("not valid {encoding} at byte {offset} of the body"))
}

/// Converts CRLF and CR to LF, and NUL to U+FFFD.
fn normalise_line_ends(text: String) -> String {
    // Most texts need no change and are returned without a copy.
    let Some(first) = memchr::memchr2(b'\r', 0, text.as_bytes()) else { return text };
    let mut normal = String::with_capacity(text.len());
    normal.push_str(&text[..first]);
    let mut rest = &text[first..];
    while let Some(at) = memchr::memchr2(b'\r', 0, rest.as_bytes()) {
        normal.push_str(&rest[..at]);
        let is_nul = rest.as_bytes()[at] == 0;
        normal.push(if is_nul { '\u{FFFD}' } else { '\n' });
        let follows = &rest[at + 1..];
        rest = if is_nul { follows } else { follows.strip_prefix('\n').unwrap_or(follows) };
    }
    normal.push_str(rest);
    normal
}

/// Returns the format of a media type; `None` for a type that says nothing about the structure of text.
fn format_of_media_type(declared: &str) -> Option<TextFormat> {
    Some(match declared {
        "text/markdown" | "text/x-markdown" => TextFormat::Markdown,
        "text/html" | "application/xhtml+xml" => TextFormat::Html,
        "text/plain" => TextFormat::Plain,
        "text/rust" | "text/x-rust" => TextFormat::Code(CodeLanguage::Rust),
        "text/x-python" | "application/x-python-code" => TextFormat::Code(CodeLanguage::Python),
        "text/javascript" | "application/javascript" => TextFormat::Code(CodeLanguage::JavaScript),
        "text/typescript" | "application/typescript" => TextFormat::Code(CodeLanguage::TypeScript),
        "text/x-go" => TextFormat::Code(CodeLanguage::Go),
        "text/x-java" | "text/x-java-source" => TextFormat::Code(CodeLanguage::Java),
        "text/x-c" | "text/x-csrc" | "text/x-chdr" => TextFormat::Code(CodeLanguage::C),
        _ => return None,
    })
}

fn format_of_extension(document_id: &str) -> Option<TextFormat> {
    let name = document_id.rsplit('/').next().unwrap_or(document_id);
    // Only the last part of a path counts: a folder may have a dot in its name.
    let (_, extension) = name.rsplit_once('.')?;
    Some(match extension.to_ascii_lowercase().as_str() {
        "md" | "markdown" | "mdx" => TextFormat::Markdown,
        "html" | "htm" | "xhtml" => TextFormat::Html,
        "txt" | "text" | "log" => TextFormat::Plain,
        "rs" => TextFormat::Code(CodeLanguage::Rust),
        "py" | "pyi" => TextFormat::Code(CodeLanguage::Python),
        "js" | "mjs" | "cjs" | "jsx" => TextFormat::Code(CodeLanguage::JavaScript),
        "ts" | "mts" | "cts" => TextFormat::Code(CodeLanguage::TypeScript),
        "tsx" => TextFormat::Code(CodeLanguage::Tsx),
        "go" => TextFormat::Code(CodeLanguage::Go),
        "java" => TextFormat::Code(CodeLanguage::Java),
        "c" | "h" => TextFormat::Code(CodeLanguage::C),
        _ => return None,
    })
}
