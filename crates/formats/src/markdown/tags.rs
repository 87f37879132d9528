//! Tags of HTML and JSX in Markdown.

use std::ops::Range;

/// Longest tag with its attributes.
const TAG_BYTES_MAX: usize = 2048;
/// Elements of HTML; other names in lower case are placeholders such as `<path>`, and stay.
const ELEMENTS: &str = " a abbr address article aside audio b bdi bdo big blockquote body br button caption center \
    cite code col colgroup data dd del details dfn dialog div dl dt em fieldset figcaption figure font footer form \
    h1 h2 h3 h4 h5 h6 head header hgroup hr html i iframe img input ins kbd label legend li link main mark menu meta \
    meter nav noscript object ol optgroup option output p picture pre progress q rp rt ruby s samp script section \
    select small source span strike strong style sub summary sup svg table tbody td template textarea tfoot th thead \
    time title tr tt u ul var video wbr ";

/// A tag.
pub(super) struct MarkupTag<'a> {
    /// As it is written.
    pub(super) name: &'a str,
    pub(super) closing: bool,
    /// Behind the `>`.
    pub(super) end: usize,
    attributes: Range<usize>,
}

impl MarkupTag<'_> {
    /// Whether it is an element of HTML or a component of JSX.
    pub(super) fn is_known(&self) -> bool {
        self.is_component() || ELEMENTS.contains(&format!(" {} ", self.name.to_ascii_lowercase()))
    }

    /// Whether it is a component of JSX, or a custom element.
    pub(super) fn is_component(&self) -> bool {
        let component = self.name.starts_with(|first: char| first.is_ascii_uppercase());
        component && self.name.chars().any(|other| other.is_ascii_lowercase())
            || self.name.contains(['.', '-']) && (self.closing || !self.attributes.is_empty())
    }

    /// The range of an attribute's value in quotes.
    pub(super) fn attribute(&self, text: &str, name: &str) -> Option<Range<usize>> {
        let all = &text[self.attributes.clone()];
        let lower = all.to_ascii_lowercase();
        let mut from = 0;
        loop {
            let at = from + lower[from..].find(name)?;
            from = at + name.len();
            let before = all[..at].chars().next_back();
            let value = all[from..].trim_start();
            let Some(value) = value.strip_prefix('=') else { continue };
            if before.is_some_and(|before| !before.is_whitespace()) {
                continue;
            }
            let value = value.trim_start();
            let start = self.attributes.end - value.len();
            if let Some(quote) = value.chars().next().filter(|quote| matches!(quote, '"' | '\'')) {
                let end = value[1..].find(quote)?;
                return Some(start + 1..start + 1 + end);
            }
            if value.starts_with('{') {
                return None;
            }
            let end = value.find(char::is_whitespace).unwrap_or(value.len());
            return Some(start..start + end);
        }
    }
}

/// Reads the tag that begins with the `<` at a byte.
pub(super) fn scan_tag(text: &str, at: usize) -> Option<MarkupTag<'_>> {
    let bytes = text.as_bytes();
    let limit = bytes.len().min(at + TAG_BYTES_MAX);
    let closing = bytes.get(at + 1) == Some(&b'/');
    let name_start = at + 1 + usize::from(closing);
    if !bytes.get(name_start)?.is_ascii_alphabetic() {
        return None;
    }
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    let name_end = name_start + bytes[name_start..limit].iter().take_while(|byte| is_name(byte)).count();
    if !matches!(bytes.get(name_end)?, b'>' | b'/' | b' ' | b'\t' | b'\n') {
        return None;
    }
    let mut next = name_end;
    let mut braces = 0_usize;
    while next < limit {
        match bytes[next] {
            quote @ (b'"' | b'\'') => next += 1 + memchr::memchr(quote, &bytes[next + 1..limit])?,
            b'{' => braces += 1,
            b'}' => braces = braces.checked_sub(1)?,
            b'\n' if braces == 0 && bytes.get(next + 1) == Some(&b'\n') => return None,
            b'<' if braces == 0 => return None,
            b'>' if braces == 0 => {
                let name = &text[name_start..name_end];
                return Some(MarkupTag { name, closing, end: next + 1, attributes: name_end..next });
            }
            _ => {}
        }
        next += 1;
    }
    None
}
