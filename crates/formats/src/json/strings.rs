//! Escapes in strings, and the content of a string.

use std::borrow::Cow;

/// Reads `\u…` or `\/` at a byte, if its character needs no escape.
pub(super) fn readable_escape(text: &str, at: usize) -> Option<(char, usize)> {
    if text[at..].starts_with("\\/") {
        return Some(('/', at + 2));
    }
    let (character, end) = unicode_escape(text, at)?;
    let plain = !character.is_control()
        && !matches!(character, '"' | '\\' | '\u{2028}' | '\u{2029}' | '\u{200B}'..='\u{200F}' | '\u{FEFF}');
    plain.then_some((character, end))
}

/// Reads `\uXXXX` or a pair of surrogates at a byte.
fn unicode_escape(text: &str, at: usize) -> Option<(char, usize)> {
    let unit = |at: usize| {
        let digits = text.get(at..at + 6)?.strip_prefix("\\u")?;
        // `from_str_radix` would take a sign.
        digits.bytes().all(|byte| byte.is_ascii_hexdigit()).then(|| u16::from_str_radix(digits, 16).ok())?
    };
    let first = unit(at)?;
    if let Some(character) = char::from_u32(first.into()) {
        return Some((character, at + 6));
    }
    let pair = [first, unit(at + 6)?];
    let character = char::decode_utf16(pair).next()?.ok()?;
    Some((character, at + 12))
}

/// Returns the content of a string with its quotes.
pub(super) fn decode_string(quoted: &str) -> Cow<'_, str> {
    let inner = &quoted[1..quoted.len() - 1];
    if !inner.contains('\\') {
        return Cow::Borrowed(inner);
    }
    let mut content = String::with_capacity(inner.len());
    let mut at = 0;
    while let Some(found) = inner[at..].find('\\') {
        content.push_str(&inner[at..at + found]);
        at += found;
        if let Some((character, end)) = unicode_escape(inner, at) {
            content.push(character);
            at = end;
            continue;
        }
        let Some(escaped) = inner[at + 1..].chars().next() else { break };
        content.push(match escaped {
            'b' | 'f' | 'n' | 'r' | 't' => ' ',
            other => other,
        });
        at += 1 + escaped.len_utf8();
    }
    content.push_str(&inner[at.min(inner.len())..]);
    Cow::Owned(content)
}
