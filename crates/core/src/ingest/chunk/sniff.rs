//! What bytes are, whatever was said about them.
//!
//! Text is what decodes and holds hardly any control characters. Only bytes that look unlike
//! text are compared with magic numbers, because some of those are two printable letters:
//! `BM` starts a bitmap, and also a text about a car.

/// Bytes from the start that are searched for control characters.
const SAMPLE_BYTES: usize = 8192;
/// A sample is binary when one in this many bytes is a control character.
const CONTROLS_ONE_IN: usize = 32;
/// Shorter samples count as this many bytes: one stray control character is no binary.
const SAMPLE_BYTES_MIN: usize = 64;
/// Types whose magic number is two printable letters; believed only of binary samples.
const WEAK_TYPES: [&str; 2] = ["image/bmp", "application/vnd.microsoft.portable-executable"];
/// What is said of binary bytes that no magic number names.
const UNKNOWN_BINARY_TYPE: &str = "application/octet-stream";

/// The media type of a body that is not text.
pub(super) fn binary_type(body: &[u8]) -> Option<&'static str> {
    // These two are printable, so they pass for text.
    if body.starts_with(b"%PDF-") {
        return Some("application/pdf");
    }
    if body.starts_with(b"{\\rtf") {
        return Some("application/rtf");
    }
    if body.starts_with(&[0xFF, 0xFE, 0, 0]) || body.starts_with(&[0, 0, 0xFE, 0xFF]) {
        return Some("text/plain; charset=utf-32");
    }
    if body.starts_with(&[0xFF, 0xFE]) || body.starts_with(&[0xFE, 0xFF]) {
        return None;
    }
    let sample = &body[..body.len().min(SAMPLE_BYTES)];
    let controls = sample.iter().filter(|&&byte| is_control(byte)).count();
    let binary = controls * CONTROLS_ONE_IN > sample.len().max(SAMPLE_BYTES_MIN);
    let named = if binary || controls > 0 || starts_invalid(sample) { magic_type(body) } else { None };
    match named {
        Some(name) if binary || !WEAK_TYPES.contains(&name) => Some(name),
        _ => binary.then_some(UNKNOWN_BINARY_TYPE),
    }
}

/// Control characters that text does not use.
fn is_control(byte: u8) -> bool {
    byte == 0x7F || (byte < 0x20 && !matches!(byte, b'\t' | b'\n' | b'\r' | 0x08 | 0x0B | 0x0C | 0x1B))
}

/// Whether the very first bytes are no UTF-8: where a magic number would stand.
fn starts_invalid(sample: &[u8]) -> bool {
    match std::str::from_utf8(sample) {
        Ok(_) => false,
        Err(error) => error.valid_up_to() < 16,
    }
}

fn magic_type(body: &[u8]) -> Option<&'static str> {
    let kind = infer::get(body)?;
    (kind.matcher_type() != infer::MatcherType::Text).then(|| kind.mime_type())
}

/// Whether a text without a declared type starts like an HTML document.
pub(super) fn looks_like_html(text: &str) -> bool {
    let start =
        text.trim_start_matches(|character: char| character.is_whitespace() || character == '\u{FEFF}');
    ["<!doctype html", "<html", "<head", "<body"]
        .iter()
        .any(|opening| start.get(..opening.len()).is_some_and(|found| found.eq_ignore_ascii_case(opening)))
}
