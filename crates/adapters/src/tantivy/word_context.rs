//! What a word owes to the text around it: endings after an apostrophe, and words that the text writes
//! in pieces.

use unicode_normalization::UnicodeNormalization;

use super::word_characters::is_ignorable;
use super::word_cursor::{Word, WordCursor};

/// Endings of English words that an apostrophe cuts off. Alone they mean nothing.
const APOSTROPHE_ENDINGS: [&str; 7] = ["s", "t", "d", "m", "re", "ve", "ll"];
/// Most digits of a number in groups.
const GROUPED_DIGITS_MAX: usize = 36;
/// Stands for a thin or no-break space: a control character that NFKC leaves alone.
const SPACE_BETWEEN_GROUPS: char = '\u{1}';

/// Whether a character is an apostrophe, for `don't`.
pub(super) fn is_apostrophe(one: char) -> bool {
    matches!(one, '\'' | '’' | '＇')
}

/// Whether a word is an English ending after an apostrophe, as `t` in `don't`.
pub(super) fn is_apostrophe_ending(word: &str) -> bool {
    word.len() <= 2 && APOSTROPHE_ENDINGS.iter().any(|ending| word.eq_ignore_ascii_case(ending))
}

/// Whether a word, written so, is an ending of the word before.
#[inline]
pub(super) fn is_cut_ending(text: &str, previous: Option<Word>, place: &Word, word: &str) -> bool {
    // What is at hand comes first: most words are longer, or stand behind a space.
    word.len() <= 2
        && place.start > 0
        && text.as_bytes()[place.start - 1] != b' '
        && is_behind_apostrophe(text, previous, place)
        && is_apostrophe_ending(word)
}

fn is_behind_apostrophe(text: &str, previous: Option<Word>, place: &Word) -> bool {
    let before = previous.filter(|previous| previous.at_end && place.at_start);
    before.and_then(|previous| text.get(previous.end..place.start)).is_some_and(|between| {
        let mut characters = between.chars();
        characters.next().is_some_and(is_apostrophe) && characters.next().is_none()
    })
}

/// Whether a word may continue behind what follows, to judge by one byte.
#[inline]
pub(super) fn may_be_joined(text: &str, place: &Word) -> bool {
    place.at_end
        && matches!(text.as_bytes().get(place.end), Some(b'-' | b',' | b'\'' | b'\n' | b'\r' | 0x80..))
}

/// The word that starts with this one and goes on behind a hyphen and a line end, or behind the
/// separator of a number's groups: `infor-⏎mation`, `1,234`.
pub(super) fn joined_word(text: &str, place: &Word, word: &str) -> Option<String> {
    if !may_be_joined(text, place) {
        return None;
    }
    if word.as_bytes()[0].is_ascii_digit() {
        grouped_number(text, place.start, place.end, word)
    } else {
        word_over_line_end(text, place.end, word)
    }
}

/// The digits of a number in groups of three, if this word is its first group.
fn grouped_number(text: &str, start: usize, end: usize, word: &str) -> Option<String> {
    if word.len() > 3 || word.starts_with('0') || !word.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let mut before =
        text[..start].chars().rev().map(plain_separator).flat_map(|one| [one].into_iter().nfkc());
    if before.next().is_some_and(is_group_separator) && before.next().is_some_and(|one| one.is_ascii_digit())
    {
        return None;
    }
    let rest = text[end..].chars().filter(|one| !is_ignorable(*one));
    let mut rest = rest.map(plain_separator).nfkc().peekable();
    let separator = rest.next_if(|one| is_group_separator(*one))?;
    let mut digits = word.to_owned();
    loop {
        let group = digits.len();
        while let Some(digit) = rest.next_if(char::is_ascii_digit) {
            digits.push(digit);
            if digits.len() > GROUPED_DIGITS_MAX {
                return None;
            }
        }
        match digits.len() - group {
            3 => {}
            // A separator that ends the number, as in `1,234, and`.
            0 if group > word.len() => return Some(digits),
            _ => return None,
        }
        if rest.peek().is_some_and(|one| one.is_alphanumeric()) {
            return None;
        }
        if rest.next_if_eq(&separator).is_none() {
            return Some(digits);
        }
    }
}

/// What separates groups of digits, after [`plain_separator`].
fn is_group_separator(one: char) -> bool {
    matches!(one, ',' | '\'' | SPACE_BETWEEN_GROUPS)
}

/// One form of each separator of groups. Those spaces would become common ones in NFKC, which separate
/// numbers.
fn plain_separator(one: char) -> char {
    match one {
        '\u{a0}' | '\u{2009}' | '\u{202f}' => SPACE_BETWEEN_GROUPS,
        '’' => '\'',
        other => other,
    }
}

/// This word and the one in the next line, if a hyphen at the line's end connects them.
fn word_over_line_end(text: &str, end: usize, word: &str) -> Option<String> {
    let rest = &text[end..];
    let after = match rest.strip_prefix(['-', '\u{ad}', '‐', '‑', '－', '﹣']) {
        Some(after) => after,
        // A soft hyphen belongs to the word.
        None if text[..end].ends_with('\u{ad}') => rest,
        None => return None,
    };
    let line = after.strip_prefix("\r\n").or_else(|| after.strip_prefix('\n'))?;
    // Not further lines: an empty one ends the paragraph.
    let line = line.trim_start_matches(|one: char| one.is_whitespace() && !matches!(one, '\n' | '\r'));
    if !word.chars().next_back().is_some_and(char::is_alphabetic) {
        return None;
    }
    let mut words = WordCursor::new(line);
    let next = words.next_word().filter(|next| next.start == 0 && next.at_start)?;
    let next = words.word_text(&next);
    next.starts_with(char::is_lowercase).then(|| format!("{word}{next}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joined(text: &str) -> Option<String> {
        let mut words = WordCursor::new(text);
        let word = words.next_word()?;
        joined_word(text, &word, words.word_text(&word))
    }

    #[test]
    fn words_in_pieces_are_joined() {
        for (text, expected) in [
            ("infor-\nmation", Some("information")),
            ("infor-\r\n  mation is", Some("information")),
            ("infor\u{ad}\nmation", Some("information")),
            ("infor‐\nmation", Some("information")),
            ("infor-\nMation", None),
            ("infor-mation", None),
            ("infor-\n\nmation", None),
            ("infor\nmation", None),
            ("1,234", Some("1234")),
            ("1,234,567, and", Some("1234567")),
            ("１，２３４", Some("1234")),
            ("12'345", Some("12345")),
            ("12\u{202f}345\u{202f}678", Some("12345678")),
            ("1,23", None),
            ("1,2345", None),
            ("1,234,5", None),
            ("1,234mg", None),
            ("0,123", None),
            ("1234,567", None),
        ] {
            assert_eq!(joined(text).as_deref(), expected, "{text:?}");
        }
    }
}
