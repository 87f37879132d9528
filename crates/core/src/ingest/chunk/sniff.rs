//! Detects the type of bytes, independent of any declared type.
//!
//! Text decodes and contains hardly any control characters. Magic numbers are compared only for bytes that do
//! not look like text, because some magic numbers are two printable letters: `BM` starts a bitmap, and also a
//! text about a car.

/// Bytes at the start that are searched for control characters.
const SAMPLE_BYTES: usize = 8192;
/// A sample is binary when more than one in this many bytes is a control character.
const CONTROLS_ONE_IN: usize = 32;
/// Shorter samples count as this many bytes, so that one stray control character makes no binary.
const SAMPLE_BYTES_MIN: usize = 64;
/// Types whose magic number is two printable letters. They are accepted only for binary samples.
const WEAK_TYPES: [&str; 2] = ["image/bmp", "application/vnd.microsoft.portable-executable"];
/// The type of binary bytes without a known magic number.
const UNKNOWN_BINARY_TYPE: &str = "application/octet-stream";

/// Returns the media type of a body that is not text, and that no format here reads.
pub fn unread_type(body: &[u8]) -> Option<&'static str> {
    // The starts of these two types are printable, so the search for control characters misses them.
    if body.starts_with(b"%PDF-") {
        return Some("application/pdf");
    }
    if body.starts_with(b"{\\rtf") {
        return Some("application/rtf");
    }
    if body.starts_with(&[0xFF, 0xFE, 0, 0]) || body.starts_with(&[0, 0, 0xFE, 0xFF]) {
        return Some("text/plain; charset=utf-32");
    }
    // A UTF-16 mark: such text is full of zero bytes and must not be counted. UTF-32 was excluded above,
    // because its little-endian mark starts in the same way.
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

/// Whether a byte is a control character that text does not use.
fn is_control(byte: u8) -> bool {
    byte == 0x7F || (byte < 0x20 && !matches!(byte, b'\t' | b'\n' | b'\r' | 0x08 | 0x0B | 0x0C | 0x1B))
}

/// Whether the first bytes, where a magic number would stand, are not UTF-8.
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
