//! Attributes of a tag and the references in their values.

use quick_xml::escape::resolve_html5_entity;

/// An attribute: its name with the prefix, where its value stands, and the value without entities.
pub(super) type XmlAttribute = (String, (usize, usize, String));

/// Reads the attributes of the tag from `at` to `end`; what is wrong there is passed over.
pub(super) fn attributes_of(text: &str, at: usize, end: usize) -> Vec<XmlAttribute> {
    let tag = &text[at..end];
    let mut found = Vec::new();
    let mut done = tag.find(|next: char| next.is_ascii_whitespace()).unwrap_or(tag.len());
    while let Some(equals) = tag[done..].find('=') {
        let name = tag[done..done + equals].split_ascii_whitespace().next_back().unwrap_or_default();
        let behind = done + equals + 1;
        let start = behind + (tag[behind..].len() - tag[behind..].trim_ascii_start().len());
        let Some(quote @ (b'"' | b'\'')) = tag.as_bytes().get(start).copied() else {
            done = behind;
            continue;
        };
        let Some(length) = memchr::memchr(quote, &tag.as_bytes()[start + 1..]) else { break };
        let value = at + start + 1..at + start + 1 + length;
        found.push((name.to_owned(), (value.start, value.end, decode_entities(&text[value.clone()]))));
        done = start + 1 + length + 1;
    }
    found
}

/// Decodes the entities of an attribute's value and puts it on one line.
fn decode_entities(value: &str) -> String {
    let mut decoded = String::with_capacity(value.len());
    let mut rest = value;
    while let Some(at) = rest.find('&') {
        decoded.push_str(&rest[..at]);
        rest = &rest[at..];
        let name_end = rest.bytes().take(40).position(|byte| byte == b';');
        let name = name_end.map(|end| &rest[1..end]);
        let character = name.and_then(character_of_reference).map(String::from);
        let known = character.or_else(|| name.and_then(resolve_html5_entity).map(str::to_owned));
        let (shown, length) = match (known, name_end) {
            (Some(known), Some(end)) => (known, end + 1),
            _ => ("&".to_owned(), 1),
        };
        decoded.push_str(&shown);
        rest = &rest[length..];
    }
    decoded.push_str(rest);
    decoded.replace(char::is_control, " ")
}

/// Reads `#252` or `#xFC`.
pub(super) fn character_of_reference(name: &str) -> Option<char> {
    let number = name.strip_prefix('#')?;
    let code = match number.strip_prefix(['x', 'X']) {
        Some(digits) => u32::from_str_radix(digits, 16),
        None => number.parse(),
    };
    char::from_u32(code.ok()?)
}

pub(super) fn local_name(name: &str) -> &str {
    name.rsplit(':').next().unwrap_or(name)
}
