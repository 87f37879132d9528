//! What a file or its media type declares as its encoding.

use encoding_rs::{Encoding, ISO_2022_JP, UTF_8};

use super::{EncodingHint, PRESCAN_BYTES};

/// Returns the encoding of a label, if it is one that text is written in.
pub(super) fn encoding_of_label(label: &str) -> Option<&'static Encoding> {
    let label = label.trim().trim_matches(['"', '\'']);
    let found = Encoding::for_label_no_replacement(label.as_bytes());
    found.filter(|&encoding| encoding != encoding_rs::X_USER_DEFINED)
}

/// A declaration that could be read as ASCII is not in UTF-16, whatever it says.
pub(super) fn as_ascii_superset(encoding: &'static Encoding) -> &'static Encoding {
    if encoding.is_ascii_compatible() || encoding == ISO_2022_JP { encoding } else { UTF_8 }
}

/// Returns the encoding that a file declares itself.
pub(super) fn declared_inside(bytes: &[u8], hint: EncodingHint) -> Option<&'static Encoding> {
    let head = &bytes[..bytes.len().min(PRESCAN_BYTES)];
    let found = xml_declaration(head);
    match hint {
        EncodingHint::Html => found.or_else(|| meta_charset(head)),
        EncodingHint::Xml => found,
        EncodingHint::Other => found.or_else(|| coding_cookie(head)),
    }
}

/// Reads `<?xml … encoding="…"?>` (XML 1.0, section 2.8).
fn xml_declaration(head: &[u8]) -> Option<&'static Encoding> {
    let start = head.trim_ascii_start().strip_prefix(b"<?xml")?;
    let declaration = &start[..memchr::memchr(b'>', start)?];
    let at = memchr::memmem::find(declaration, b"encoding")?;
    let value =
        declaration[at + b"encoding".len()..].trim_ascii_start().strip_prefix(b"=")?.trim_ascii_start();
    let (quote, value) = value.split_first().filter(|(quote, _)| matches!(quote, b'"' | b'\''))?;
    let end = memchr::memchr(*quote, value)?;
    encoding_of_label(std::str::from_utf8(&value[..end]).ok()?)
}

/// Reads a coding cookie in a comment of the first two lines (PEP 263; Emacs and Vim know it as well).
fn coding_cookie(head: &[u8]) -> Option<&'static Encoding> {
    head.split(|&byte| byte == b'\n').take(2).find_map(|line| {
        let comment = line.trim_ascii_start();
        if !(comment.starts_with(b"#") || comment.starts_with(b"//") || comment.starts_with(b";")) {
            return None;
        }
        let rest = &comment[memchr::memmem::find(comment, b"coding")? + b"coding".len()..];
        let label = rest.strip_prefix(b":").or_else(|| rest.strip_prefix(b"="))?.trim_ascii_start();
        let end = label.iter().position(|byte| !(byte.is_ascii_alphanumeric() || b"-_.".contains(byte)));
        encoding_of_label(std::str::from_utf8(&label[..end.unwrap_or(label.len())]).ok()?)
    })
}

/// Prescans HTML for `<meta charset>` and `<meta http-equiv=content-type content="…; charset=…">` (HTML
/// Standard, section 13.2.3.2).
fn meta_charset(head: &[u8]) -> Option<&'static Encoding> {
    let mut at = 0;
    while let Some(found) = memchr::memchr(b'<', &head[at..]) {
        let tag = &head[at + found..];
        if tag.starts_with(b"<!--") {
            at += found + memchr::memmem::find(tag, b"-->")? + 3;
            continue;
        }
        at += found + 1;
        if tag.len() > 5 && tag[1..5].eq_ignore_ascii_case(b"meta") && (tag[5] == b'/' || is_space(tag[5])) {
            let end = memchr::memchr(b'>', tag).unwrap_or(tag.len());
            if let Some(encoding) = meta_element(&tag[5..end]) {
                return Some(encoding);
            }
        }
    }
    None
}

/// Returns the encoding that the attributes of a `<meta>` declare.
fn meta_element(mut rest: &[u8]) -> Option<&'static Encoding> {
    let mut is_content_type = false;
    let mut content: Option<Vec<u8>> = None;
    let mut charset: Option<Vec<u8>> = None;
    while let Some((name, value, behind)) = next_attribute(rest) {
        match name.as_slice() {
            b"http-equiv" => is_content_type = value.eq_ignore_ascii_case(b"content-type"),
            b"content" => content = Some(value),
            b"charset" => charset = Some(value),
            _ => {}
        }
        rest = behind;
    }
    let label = match (charset, content) {
        (Some(charset), _) => charset,
        (None, Some(content)) if is_content_type => {
            let lower = content.to_ascii_lowercase();
            let at = memchr::memmem::find(&lower, b"charset")? + b"charset".len();
            let value = content[at..].trim_ascii_start().strip_prefix(b"=")?.trim_ascii_start();
            let value = value.strip_prefix(b"\"").or_else(|| value.strip_prefix(b"'")).unwrap_or(value);
            let ends = |byte: &u8| is_space(*byte) || matches!(byte, b';' | b'"' | b'\'');
            value[..value.iter().position(ends).unwrap_or(value.len())].to_vec()
        }
        _ => return None,
    };
    encoding_of_label(std::str::from_utf8(&label).ok()?)
}

/// Returns the next attribute, its name in lower case, and what follows it.
fn next_attribute(rest: &[u8]) -> Option<(Vec<u8>, Vec<u8>, &[u8])> {
    let start = rest.iter().position(|&byte| !(is_space(byte) || byte == b'/'))?;
    let rest = &rest[start..];
    // An attribute may start with `=`; so its first byte is not looked at.
    let ends = |byte: &u8| is_space(*byte) || matches!(byte, b'=' | b'/');
    let end = rest[1..].iter().position(ends).map_or(rest.len(), |end| end + 1);
    let name = rest[..end].to_ascii_lowercase();
    let behind = rest[end..].trim_ascii_start();
    let Some(value) = behind.strip_prefix(b"=").map(<[u8]>::trim_ascii_start) else {
        return Some((name, Vec::new(), behind));
    };
    if let Some((&quote, quoted)) = value.split_first().filter(|(quote, _)| matches!(quote, b'"' | b'\'')) {
        let end = memchr::memchr(quote, quoted).unwrap_or(quoted.len());
        return Some((name, quoted[..end].to_vec(), quoted.get(end + 1..).unwrap_or_default()));
    }
    let end = value.iter().position(|&byte| is_space(byte)).unwrap_or(value.len());
    Some((name, value[..end].to_vec(), &value[end..]))
}

fn is_space(byte: u8) -> bool {
    byte.is_ascii_whitespace()
}
