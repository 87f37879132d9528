//! Escapes hidden characters, which could mislead a reader or a parser.
//!
//! These are written in the form `\u{202E}`: control characters except line feed and tab;
//! bidirectional controls; invisible format characters, tags and supplementary variation selectors
//! (channels for hidden text); Unicode line separators; the two noncharacters that XML forbids. The
//! two joiners stay after a non-ASCII character, where scripts and emoji need them. Sources: Unicode
//! UTS #39 and "Trojan Source" (Boucher and Anderson, 2021). All other characters are untouched.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Escapes the hidden characters of a text; line feeds and tabs stay.
pub fn visible_text(text: &str) -> Cow<'_, str> {
    let is_plain = |byte: &u8| matches!(byte, b' '..=b'~' | b'\n' | b'\t');
    // Blocks of 32 bytes without an early exit: the compiler compares many bytes at once. Most texts are
    // plain and are returned as they are.
    if text.as_bytes().chunks(32).all(|chunk| chunk.iter().fold(true, |plain, byte| plain & is_plain(byte))) {
        return Cow::Borrowed(text);
    }
    escape_where(text, |one, previous| one != '\n' && one != '\t' && is_hidden_character(one, previous))
}

/// Escapes the hidden characters of a line, for ids and headings; line feeds and tabs, too.
pub fn visible_line(text: &str) -> Cow<'_, str> {
    escape_where(text, is_hidden_character)
}

/// Like [`visible_line`]; also, the line cannot be read as a citation, a fence, a link or an element.
pub(super) fn inert_line(text: &str) -> String {
    let mut inert = String::with_capacity(text.len());
    let line = visible_line(text);
    let mut rest = line.chars().peekable();
    while let Some(one) = rest.next() {
        let active = match one {
            '`' | '<' => true,
            // `[1]` reads as a citation, `](` as a link; brackets otherwise are harmless and common.
            '[' => rest.peek().is_some_and(char::is_ascii_digit),
            ']' => rest.peek() == Some(&'('),
            _ => false,
        };
        if active {
            write_escape(&mut inert, one);
        } else {
            inert.push(one);
        }
    }
    inert
}

fn escape_where(text: &str, hides: impl Fn(char, char) -> bool) -> Cow<'_, str> {
    let mut shown = String::new();
    let mut copied = 0;
    let mut previous = '\0';
    for (at, one) in text.char_indices() {
        if hides(one, previous) {
            shown.push_str(&text[copied..at]);
            write_escape(&mut shown, one);
            copied = at + one.len_utf8();
        }
        previous = one;
    }
    // An escape moves `copied` past it, so 0 means that nothing was escaped.
    if copied == 0 {
        return Cow::Borrowed(text);
    }
    shown.push_str(&text[copied..]);
    Cow::Owned(shown)
}

fn write_escape(out: &mut String, one: char) {
    let _ = write!(out, "\\u{{{:X}}}", u32::from(one));
}

fn is_hidden_character(one: char, previous: char) -> bool {
    match one {
        ' '..='~' => false,
        // Joiners: nothing in ASCII text needs them, so there they only hide something.
        '\u{200C}' | '\u{200D}' => previous.is_ascii(),
        '\u{61C}'
        | '\u{180E}'
        | '\u{200B}'
        | '\u{200E}'
        | '\u{200F}'
        | '\u{2028}'..='\u{202E}'
        | '\u{2060}'..='\u{206F}'
        | '\u{3164}'
        | '\u{FEFF}'
        | '\u{FFA0}'
        | '\u{FFF9}'..='\u{FFFB}'
        | '\u{FFFE}'
        | '\u{FFFF}'
        | '\u{E0000}'..='\u{E01EF}' => true,
        other => other.is_control(),
    }
}
