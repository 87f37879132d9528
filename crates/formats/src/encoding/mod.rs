//! Bytes to text: which encoding a file is in.
//!
//! In this order: a byte order mark; the charset that the media type declares; the one that the file declares
//! itself (`<meta>` of HTML, the XML declaration, a coding cookie of source code); UTF-8 if the bytes are valid
//! UTF-8; UTF-16 if every second byte is zero; detection with chardetng. Encodings and their labels are those of
//! the WHATWG Encoding Standard, and UTF-32 besides.
//!
//! A declaration loses against bytes that are valid UTF-8 with characters beyond ASCII: the WHATWG obeys it, but
//! legacy text that happens to be valid UTF-8 is practically never seen, while servers and editors that declare
//! a default for UTF-8 files are common. For encodings of two bytes a character that holds only if some
//! sequence has three bytes or more, as all CJK characters of UTF-8 have: a page of a few characters in GBK can
//! look like pairs. A declaration also loses if more than one in 100 characters cannot be decoded with it.
//!
//! Few bad bytes become U+FFFD and are counted. More than one in 100 characters, and a detected encoding whose
//! text does not look like writing, make an error: indexing what nobody can read helps no one.
//!
//! `declarations` reads what files declare, `detection` tells the encoding from the bytes, `decoders` decode and count
//! bad sequences.

mod declarations;
mod decoders;
mod detection;

use std::fmt;

use encoding_rs::{Encoding, ISO_2022_JP, UTF_8, UTF_16BE, UTF_16LE};

use declarations::{as_ascii_superset, declared_inside, encoding_of_label};
use decoders::{decode_as, decode_utf32};
use detection::{decode_detected, looks_like_writing, utf16_without_mark};

/// Bytes at the start of a file that are searched for a declaration. The WHATWG's prescan reads 1024, but
/// pages with a long script before their `<meta>` exist and nothing is rendered here meanwhile.
const PRESCAN_BYTES: usize = 4096;
/// A text is damaged beyond use when more than one in this many characters is a bad sequence.
const REPLACED_ONE_IN: usize = 100;
/// A text of this many characters may have one bad sequence, though that is more than one in 100.
const ONE_REPLACED_CHARACTERS_MIN: usize = 8;
/// Lines named in the note about bad sequences.
const REPLACED_LINES_NAMED: usize = 3;

/// Where a file may declare its encoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EncodingHint {
    /// In a `<meta>` element or an XML declaration.
    Html,
    /// In an XML declaration.
    Xml,
    /// In an XML declaration or a coding cookie.
    Other,
}

/// The text of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecodedText {
    /// The text without its byte order mark; line ends are still those of the file.
    pub text: String,
    /// The encoding's name in the WHATWG Encoding Standard, or `UTF-32LE` or `UTF-32BE`.
    pub encoding: &'static str,
    /// Number of bad sequences that became U+FFFD.
    pub replaced: usize,
    /// The first lines with such a sequence, from 1; at most a handful.
    pub replaced_lines: Vec<usize>,
    /// Length of the byte order mark.
    pub bom_bytes: usize,
    /// Whether byte offsets of `text`, plus `bom_bytes`, are offsets of the file.
    pub source_is_utf8: bool,
}

impl DecodedText {
    /// Says where bad bytes were replaced, for the person who ingests the file.
    pub fn note(&self) -> Option<String> {
        if self.replaced == 0 {
            return None;
        }
        let lines: Vec<String> =
            self.replaced_lines.iter().take(REPLACED_LINES_NAMED).map(ToString::to_string).collect();
        let more = if self.replaced_lines.len() > REPLACED_LINES_NAMED { " and more" } else { "" };
        Some(format!(
            "{} bad {} of bytes, not valid {}, became U+FFFD in line {}{more}",
            self.replaced,
            if self.replaced == 1 { "sequence" } else { "sequences" },
            self.encoding,
            lines.join(", "),
        ))
    }
}

/// Bytes that are text of no encoding that can be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UndecodableText {
    /// What is wrong and what to do, for the person who ingests the file.
    pub detail: String,
}

impl fmt::Display for UndecodableText {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.detail)
    }
}

impl std::error::Error for UndecodableText {}

/// Decodes the bytes of a file. `declared_charset` is a label from outside of the file, as the `charset`
/// parameter of a media type; a label that nobody knows counts as none.
pub fn decode_text(
    bytes: &[u8],
    declared_charset: Option<&str>,
    hint: EncodingHint,
) -> Result<DecodedText, UndecodableText> {
    if let Some(decoded) = decode_with_mark(bytes) {
        return decoded;
    }
    let outside = declared_charset.and_then(encoding_of_label);
    let inside = || declared_inside(bytes, hint).map(as_ascii_superset);
    let valid = std::str::from_utf8(bytes).ok();
    if let Some(encoding) = outside.or_else(inside)
        && encoding != UTF_8
        && !valid.is_some_and(|text| contradicts(encoding, text))
    {
        let decoded = decode_as(encoding, bytes);
        if is_readable(&decoded) {
            // Many encodings decode everything. One that makes no sense stands only if no other does.
            let better = if looks_like_writing(&decoded.text) { None } else { decode_undeclared(bytes).ok() };
            return Ok(better.filter(|better| better.replaced == 0).unwrap_or(decoded));
        }
    }
    decode_undeclared(bytes)
}

/// Decodes bytes without a byte order mark by nothing but what they are.
fn decode_undeclared(bytes: &[u8]) -> Result<DecodedText, UndecodableText> {
    if let Ok(text) = std::str::from_utf8(bytes) {
        return Ok(decode_valid_utf8(text, bytes));
    }
    if let Some(decoded) = utf16_without_mark(bytes).map(|encoding| decode_as(encoding, bytes))
        && is_readable(&decoded)
        && looks_like_writing(&decoded.text)
    {
        return Ok(decoded);
    }
    decode_detected(bytes)
}

/// Decodes bytes that start with a byte order mark.
fn decode_with_mark(bytes: &[u8]) -> Option<Result<DecodedText, UndecodableText>> {
    let (mut decoded, bom_bytes) = match bytes {
        [0xEF, 0xBB, 0xBF, rest @ ..] => (decode_as(UTF_8, rest), 3),
        // The mark of UTF-32LE starts like the one of UTF-16LE; NUL, which would follow there, is no text.
        [0xFF, 0xFE, 0, 0, rest @ ..] => (decode_utf32(rest, "UTF-32LE", u32::from_le_bytes), 4),
        [0, 0, 0xFE, 0xFF, rest @ ..] => (decode_utf32(rest, "UTF-32BE", u32::from_be_bytes), 4),
        [0xFF, 0xFE, rest @ ..] => (decode_as(UTF_16LE, rest), 2),
        [0xFE, 0xFF, rest @ ..] => (decode_as(UTF_16BE, rest), 2),
        _ => return None,
    };
    decoded.bom_bytes = bom_bytes;
    if is_readable(&decoded) {
        return Some(Ok(decoded));
    }
    let detail = format!(
        "the byte order mark says {0}, but not all of its bytes are valid {0} ({1} bad); save the file again, or remove the mark \
         and convert the rest with `iconv -f ENCODING -t utf-8`",
        decoded.encoding, decoded.replaced
    );
    Some(Err(UndecodableText { detail }))
}

fn decode_valid_utf8(text: &str, bytes: &[u8]) -> DecodedText {
    // ISO-2022-JP is the one legacy encoding whose every byte is ASCII.
    if memchr::memmem::find(bytes, b"\x1B$").is_some() && bytes.is_ascii() {
        let decoded = decode_as(ISO_2022_JP, bytes);
        if decoded.replaced == 0 {
            return decoded;
        }
    }
    DecodedText {
        text: text.to_owned(),
        encoding: UTF_8.name(),
        replaced: 0,
        replaced_lines: Vec::new(),
        bom_bytes: 0,
        source_is_utf8: true,
    }
}

/// Whether few enough sequences were bad. One is not many, however short the text.
fn is_readable(decoded: &DecodedText) -> bool {
    let characters = decoded.text.chars().count();
    decoded.replaced * REPLACED_ONE_IN <= characters
        || (decoded.replaced == 1 && characters >= ONE_REPLACED_CHARACTERS_MIN)
}

/// Whether valid UTF-8 shows that a declaration of another encoding is wrong.
fn contradicts(encoding: &'static Encoding, text: &str) -> bool {
    if encoding == UTF_16LE || encoding == UTF_16BE {
        return !text.contains('\0');
    }
    if encoding.is_single_byte() {
        return !text.is_ascii();
    }
    text.chars().any(|character| character.len_utf8() > 2)
}
