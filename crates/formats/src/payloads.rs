//! Bytes in disguise: base64, hexadecimal digits and `data:` URIs inside of text.
//!
//! They cost embeddings, crowd out what can be read, and no one searches for them. [`strip_payloads`] replaces
//! each by a short marker such as `[base64 data, 12 KB]`, as a step between a parser and the chunker:
//!
//! * a `data:` URI (RFC 2397) of at least [`DATA_URI_BYTES_MIN`] bytes;
//! * a run of at least [`RUN_BYTES_MIN`] characters of the base64 alphabets (RFC 4648) without white space, if
//!   its capitals, small letters and digits are mixed as in encoded bytes, or all are hexadecimal digits;
//! * lines of equal length in base64, as in PEM files (RFC 7468), if there are [`BLOCK_LINES_MIN`] or they stand
//!   below a `-----BEGIN`. Lines of `-----` stay.
//!
//! Hashes up to SHA-512, long identifiers, rows of dashes and lists of hexadecimal hashes stay.

use std::ops::Range;

use crate::parsed_text::{ParsedText, TextStructure};
use crate::source_map::MappedText;

/// Shorter runs stay: SHA-512 has 128 hexadecimal digits, a signed token some hundred characters in parts.
const RUN_BYTES_MIN: usize = 256;
/// Shorter `data:` URIs stay.
const DATA_URI_BYTES_MIN: usize = 128;
/// Media types are not longer; what is, is no `data:` URI.
const MEDIA_TYPE_BYTES_MAX: usize = 128;
/// Equal lines that make a block without a `-----BEGIN` above.
const BLOCK_LINES_MIN: usize = 4;
/// Lengths of the lines of a block: PEM has 64, MIME 76.
const BLOCK_LINE_BYTES: Range<usize> = 56..129;

/// Encoded bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EncodedPayload {
    /// `base64`, `hex`, or `data:` with a media type.
    pub(crate) kind: String,
    /// Number of bytes that are encoded.
    pub(crate) bytes: usize,
}

/// Replaces encoded bytes by markers; marks inside of a payload move to its start.
#[must_use]
pub fn strip_payloads(parsed: ParsedText) -> ParsedText {
    let found = find_payloads(&parsed.text);
    if found.is_empty() {
        return parsed;
    }
    let mut out = MappedText::default();
    let mut done = 0;
    // For every payload: its range in the old text and the start of its marker in the new one.
    let mut moves: Vec<(Range<usize>, usize, usize)> = Vec::with_capacity(found.len());
    let mut bytes = 0;
    for (range, payload) in &found {
        out.copy(&parsed.text, done..range.start);
        let marker_at = out.len();
        out.write(&marker(payload), range.clone());
        moves.push((range.clone(), marker_at, out.len()));
        bytes += payload.bytes;
        done = range.end;
    }
    out.copy(&parsed.text, done..parsed.text.len());
    let (text, map) = out.finish();
    let mut structure = parsed.structure;
    if let TextStructure::Marked(marks) = &mut structure {
        let mut next = 0;
        for mark in marks {
            while moves.get(next).is_some_and(|(range, _, _)| range.end <= mark.at) {
                next += 1;
            }
            mark.at = match (moves.get(next), next.checked_sub(1).map(|last| &moves[last])) {
                (Some((range, marker_at, _)), _) if range.start <= mark.at => *marker_at,
                (_, Some((range, _, behind))) => behind + (mark.at - range.end),
                _ => mark.at,
            };
        }
    }
    let mut notes = parsed.notes;
    let runs = if found.len() == 1 { "1 run of encoded data was" } else { "runs of encoded data were" };
    let count = if found.len() == 1 { String::new() } else { format!("{} ", found.len()) };
    notes.push(format!("{count}{runs} left out, {} in all", size_in_words(bytes)));
    ParsedText { text, map: map.after(&parsed.map), structure, properties: parsed.properties, notes }
}

fn marker(payload: &EncodedPayload) -> String {
    let kind = payload.kind.strip_prefix("data:").unwrap_or(&payload.kind);
    format!("[{kind} data, {}]", size_in_words(payload.bytes))
}

fn size_in_words(bytes: usize) -> String {
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..0x10_0000 => format!("{} KB", bytes.div_ceil(1024)),
        _ => format!("{} MB", bytes.div_ceil(0x10_0000)),
    }
}

/// Writes a number as `12,345`.
pub(crate) fn group_thousands(number: usize) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.char_indices() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// Whether a whole value, such as a string of JSON, is encoded bytes. JSON escapes of `/` and of line ends count
/// as none.
pub(crate) fn payload_of_value(value: &str) -> Option<EncodedPayload> {
    if let Some((length, payload)) = data_uri(value, 0) {
        return (length == value.len()).then_some(payload);
    }
    if value.len() < RUN_BYTES_MIN || !value.bytes().take(64).all(|byte| is_base64(byte) || byte == b'\\') {
        return None;
    }
    if !value.contains('\\') {
        return whole_run(value);
    }
    let joined = value.replace("\\/", "/").replace("\\r", "").replace("\\n", "");
    whole_run(&joined)
}

fn whole_run(value: &str) -> Option<EncodedPayload> {
    let body = value.trim_end_matches('=');
    let encoded = value.len() - body.len() <= 2 && body.len() >= RUN_BYTES_MIN && body.bytes().all(is_base64);
    encoded.then(|| run_payload(body)).flatten()
}

/// Characters of base64 and base64url.
fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_')
}

/// Says what a long run of the base64 alphabet is.
fn run_payload(run: &str) -> Option<EncodedPayload> {
    if run.bytes().all(|byte| byte.is_ascii_hexdigit()) && has_variety(run) {
        return Some(EncodedPayload { kind: "hex".to_owned(), bytes: run.len() / 2 });
    }
    is_mixed(run).then(|| EncodedPayload { kind: "base64".to_owned(), bytes: run.len() * 3 / 4 })
}

/// Whether digits of a number system are more than one or two of them again and again.
fn has_variety(run: &str) -> bool {
    let mut seen = [false; 256];
    run.bytes().for_each(|byte| seen[usize::from(byte)] = true);
    seen.iter().filter(|&&seen| seen).count() >= 8
}

/// Whether capitals, small letters and digits are mixed as in encoded bytes; in words and paths they are not.
fn is_mixed(run: &str) -> bool {
    let count = |is_kind: fn(&u8) -> bool| run.bytes().filter(is_kind).count();
    let (capitals, small) = (count(u8::is_ascii_uppercase), count(u8::is_ascii_lowercase));
    let digits = count(u8::is_ascii_digit);
    // A word has a capital at its start; encoded bytes change between kinds in every second place.
    let changes = run
        .as_bytes()
        .windows(2)
        .filter(|pair| {
            pair[0].is_ascii_lowercase() && (pair[1].is_ascii_uppercase() || pair[1].is_ascii_digit())
        })
        .count();
    capitals * 10 >= run.len()
        && small * 10 >= run.len()
        && digits * 40 >= run.len()
        && changes * 12 >= run.len()
}

fn find_payloads(text: &str) -> Vec<(Range<usize>, EncodedPayload)> {
    let bytes = text.as_bytes();
    let mut found: Vec<(Range<usize>, EncodedPayload)> = Vec::new();
    let mut line_start = 0;
    let mut after_begin = false;
    // Lines before this byte have been looked at as a block and are none.
    let mut no_block_before = 0;
    while line_start < bytes.len() {
        let line_end =
            memchr::memchr(b'\n', &bytes[line_start..]).map_or(bytes.len(), |found| line_start + found);
        let line = &text[line_start..line_end];
        let block = if after_begin || line_start >= no_block_before {
            block_of_lines(text, line_start, after_begin, &mut no_block_before)
        } else {
            None
        };
        if let Some((range, payload)) = block {
            line_start =
                memchr::memchr(b'\n', &bytes[range.end..]).map_or(bytes.len(), |at| range.end + at + 1);
            found.push((range, payload));
            after_begin = false;
            continue;
        }
        // Headers of armoured messages stand between the line and the data.
        after_begin =
            line.contains("-----BEGIN") || (after_begin && (line.is_empty() || line.contains(": ")));
        if line.len() >= DATA_URI_BYTES_MIN {
            find_in_line(text, line_start..line_end, &mut found);
        }
        line_start = line_end + 1;
    }
    found
}

/// Finds `data:` URIs and long runs in a line.
fn find_in_line(text: &str, line: Range<usize>, found: &mut Vec<(Range<usize>, EncodedPayload)>) {
    let bytes = text.as_bytes();
    let mut at = line.start;
    while at < line.end {
        if !is_base64(bytes[at]) {
            at += 1;
            continue;
        }
        let run_end = bytes[at..line.end].iter().position(|&byte| !is_base64(byte));
        let run_end = run_end.map_or(line.end, |length| at + length);
        // The scheme is the end of a run: "src=data:".
        if bytes.get(run_end) == Some(&b':')
            && text[at..run_end].to_ascii_lowercase().ends_with("data")
            && (run_end - at == 4 || !bytes[run_end - 5].is_ascii_alphanumeric())
            && let Some((length, payload)) = data_uri(&text[..line.end], run_end - 4)
        {
            found.push((run_end - 4..run_end - 4 + length, payload));
            at = run_end - 4 + length;
            continue;
        }
        let mut end = run_end;
        if run_end - at >= RUN_BYTES_MIN
            && let Some(payload) = run_payload(&text[at..run_end])
        {
            end += bytes[run_end..line.end].iter().take(2).take_while(|&&byte| byte == b'=').count();
            found.push((at..end, payload));
        }
        at = end;
    }
}

/// Reads a `data:` URI at a byte: its length and what it holds.
fn data_uri(text: &str, at: usize) -> Option<(usize, EncodedPayload)> {
    let uri = &text.as_bytes()[at..];
    if uri.len() < DATA_URI_BYTES_MIN || !uri[..5].eq_ignore_ascii_case(b"data:") {
        return None;
    }
    let head = &uri[5..uri.len().min(5 + MEDIA_TYPE_BYTES_MAX)];
    let comma = memchr::memchr(b',', head)?;
    let media = std::str::from_utf8(&head[..comma]).ok()?;
    if !media.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/+-.;=_\"%*!#$&^' \\".contains(&byte)) {
        return None;
    }
    let start = 5 + comma + 1;
    let is_encoded = media.to_ascii_lowercase().ends_with(";base64");
    let ends = |byte: &u8| {
        if is_encoded {
            // Escapes as in `\/`, `%2B` and `=` belong to it.
            !(is_base64(*byte) || matches!(byte, b'=' | b'%' | b'\\'))
        } else {
            byte.is_ascii_whitespace() || b"\"<>)`".contains(byte)
        }
    };
    let mut end = uri[start..].iter().position(ends).map_or(uri.len(), |length| start + length);
    // A backslash at the end escapes the quote behind.
    while end > start && uri[end - 1] == b'\\' {
        end -= 1;
    }
    if end < DATA_URI_BYTES_MIN {
        return None;
    }
    let media_type = media.split(';').next().filter(|media| !media.is_empty()).unwrap_or("text/plain");
    // JSON may escape the slash.
    let media_type = media_type.replace('\\', "");
    let bytes = if is_encoded { (end - start) * 3 / 4 } else { end - start };
    Some((end, EncodedPayload { kind: format!("data:{media_type}"), bytes }))
}

/// Finds a block of base64 whose first line is at a byte; if there is none, says up to where.
fn block_of_lines(
    text: &str,
    start: usize,
    after_begin: bool,
    no_block_before: &mut usize,
) -> Option<(Range<usize>, EncodedPayload)> {
    let bytes = text.as_bytes();
    let mut at = start;
    let mut range: Option<Range<usize>> = None;
    let (mut lines, mut encoded, mut width) = (0, 0, 0);
    let mut sample = String::new();
    while at < bytes.len() {
        let line_end = memchr::memchr(b'\n', &bytes[at..]).map_or(bytes.len(), |found| at + found);
        let line = text[at..line_end].trim_ascii();
        let body = line.trim_end_matches('=');
        // A check sum of armoured messages starts with `=`.
        let is_sum = lines > 0 && line.len() == 5 && line.starts_with('=');
        let checked = if is_sum { &line[1..] } else { body };
        if line.is_empty()
            || !checked.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/".contains(&byte))
        {
            break;
        }
        if lines == 0 {
            width = line.len();
            let fits = BLOCK_LINE_BYTES.contains(&width) || (after_begin && width < BLOCK_LINE_BYTES.end);
            if !fits {
                return None;
            }
        }
        if line.len() > width {
            break;
        }
        let first =
            range.as_ref().map_or(at + text[at..line_end].find(line).unwrap_or(0), |range| range.start);
        let end = at + text[at..line_end].trim_ascii_end().len();
        range = Some(first..end);
        lines += 1;
        encoded += body.len();
        if sample.len() < 4096 {
            sample.push_str(body);
        }
        at = line_end + 1;
        if line.len() < width && !(after_begin && bytes.get(at) == Some(&b'=')) {
            break;
        }
    }
    *no_block_before = at;
    let range = range?;
    let is_block = if after_begin { true } else { lines > BLOCK_LINES_MIN && is_mixed(&sample) };
    let payload = EncodedPayload { kind: "base64".to_owned(), bytes: encoded * 3 / 4 };
    is_block.then_some((range, payload))
}
