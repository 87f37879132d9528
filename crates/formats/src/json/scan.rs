//! The first pass: tokens, whether they make values, and the ends of containers.

use std::ops::Range;

use super::WHOLE_BYTES;

/// A container that is not both short and on one line.
#[derive(Debug, Clone)]
pub(super) struct JsonContainer {
    pub(super) range: Range<usize>,
    /// Whether line ends stand inside.
    pub(super) has_lines: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum JsonToken {
    Open { object: bool },
    Close { object: bool },
    Comma,
    Colon,
    Text,
    Scalar,
    Space,
    Comment,
}

/// Reads the token at a byte: its kind and its end; or where it is wrong.
pub(super) fn read_token(text: &str, at: usize, limit: usize) -> Result<(JsonToken, usize), usize> {
    let bytes = &text.as_bytes()[..limit];
    Ok(match bytes[at] {
        b'{' => (JsonToken::Open { object: true }, at + 1),
        b'[' => (JsonToken::Open { object: false }, at + 1),
        b'}' => (JsonToken::Close { object: true }, at + 1),
        b']' => (JsonToken::Close { object: false }, at + 1),
        b',' => (JsonToken::Comma, at + 1),
        b':' => (JsonToken::Colon, at + 1),
        b'"' => (JsonToken::Text, string_end(bytes, at)?),
        b'/' => {
            let end = match bytes.get(at + 1) {
                Some(b'/') => memchr::memchr(b'\n', &bytes[at..]).map_or(limit, |found| at + found),
                Some(b'*') => memchr::memmem::find(&bytes[at + 2..], b"*/").ok_or(at)? + at + 4,
                _ => return Err(at),
            };
            (JsonToken::Comment, end)
        }
        byte if is_space(byte) => {
            let length = bytes[at..].iter().take_while(|&&byte| is_space(byte)).count();
            (JsonToken::Space, at + length)
        }
        _ => {
            let ends = |byte: &u8| is_space(*byte) || b"{}[],:\"/".contains(byte);
            let end = bytes[at..].iter().position(ends).map_or(limit, |found| at + found);
            if !is_scalar(&bytes[at..end]) {
                return Err(at);
            }
            (JsonToken::Scalar, end)
        }
    })
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

/// Numbers are checked by their characters only; Python writes the last three.
fn is_scalar(token: &[u8]) -> bool {
    matches!(token, b"true" | b"false" | b"null" | b"NaN" | b"Infinity" | b"-Infinity")
        || (token.iter().any(u8::is_ascii_digit)
            && token.iter().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(byte))
            && (token[0] == b'-' || token[0].is_ascii_digit()))
}

/// Returns the end of a string that starts with a quote.
fn string_end(bytes: &[u8], start: usize) -> Result<usize, usize> {
    let mut at = start + 1;
    while let Some(found) = memchr::memchr3(b'"', b'\\', b'\n', bytes.get(at..).unwrap_or_default()) {
        at += found;
        match bytes[at] {
            b'"' => return Ok(at + 1),
            b'\\' if bytes.get(at + 1).is_some_and(|&byte| byte != b'\n') => at += 2,
            _ => return Err(at),
        }
    }
    Err(start)
}

/// What may follow in a container or between values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expected {
    Value,
    ValueOrClose,
    KeyOrClose,
    Colon,
    CommaOrClose,
}

/// Checks the values of a range: how many stand one after another, and their containers in order; or where it
/// is wrong.
pub(super) fn scan_values(text: &str, range: Range<usize>) -> Result<(usize, Vec<JsonContainer>), usize> {
    let bytes = text.as_bytes();
    let mut containers: Vec<JsonContainer> = Vec::new();
    // Whether it is an object, its place among the containers, and the line ends before it.
    let mut open: Vec<(bool, usize, usize)> = Vec::new();
    let (mut at, mut values, mut line_ends) = (range.start, 0, 0);
    let mut expected = Expected::Value;
    while at < range.end {
        let (token, end) = read_token(text, at, range.end)?;
        let behind_value = if open.is_empty() { Expected::Value } else { Expected::CommaOrClose };
        let takes_value = matches!(expected, Expected::Value | Expected::ValueOrClose);
        match token {
            JsonToken::Space | JsonToken::Comment => {
                line_ends += memchr::memchr_iter(b'\n', &bytes[at..end]).count();
            }
            JsonToken::Open { object } if takes_value => {
                values += usize::from(open.is_empty());
                open.push((object, containers.len(), line_ends));
                containers.push(JsonContainer { range: at..at, has_lines: false });
                expected = if object { Expected::KeyOrClose } else { Expected::ValueOrClose };
            }
            JsonToken::Close { object } => {
                let may_close = matches!(
                    expected,
                    Expected::CommaOrClose | Expected::KeyOrClose | Expected::ValueOrClose
                );
                let Some((_, index, lines_before)) = open.pop().filter(|last| may_close && last.0 == object)
                else {
                    return Err(at);
                };
                let container = &mut containers[index];
                container.range.end = end;
                container.has_lines = line_ends > lines_before;
                if !container.has_lines && container.range.len() <= WHOLE_BYTES {
                    // All inside are shorter and are gone already.
                    containers.truncate(index);
                }
                expected = if open.is_empty() { Expected::Value } else { Expected::CommaOrClose };
            }
            JsonToken::Text if expected == Expected::KeyOrClose => expected = Expected::Colon,
            JsonToken::Text | JsonToken::Scalar if takes_value => {
                values += usize::from(open.is_empty());
                expected = behind_value;
            }
            JsonToken::Colon if expected == Expected::Colon => expected = Expected::Value,
            JsonToken::Comma if expected == Expected::CommaOrClose => {
                let in_object = open.last().is_some_and(|last| last.0);
                expected = if in_object { Expected::KeyOrClose } else { Expected::ValueOrClose };
            }
            _ => return Err(at),
        }
        at = end;
    }
    if open.is_empty() { Ok((values, containers)) } else { Err(range.end) }
}
