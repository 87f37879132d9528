//! Sentence ends in running text, and line breaks that are merely wrapped lines.
//!
//! A sentence ends at `.`, `!` or `?`, with its closing quotes and brackets, if white space and something
//! other than a small letter follow. The word before a full stop must be neither an initial nor one of
//! [`ABBREVIATIONS`]. The full stops of scripts without spaces end a sentence by themselves. This models
//! no language: a missed or a false end makes a cut less fine, never wrong.

use contexture_byte_tools::byte_classes::{self, GROUP_BYTES};

/// Words that end in a full stop in the middle of sentences.
const ABBREVIATIONS: [&str; 22] = [
    "mr", "mrs", "ms", "dr", "prof", "st", "vs", "etc", "fig", "figs", "eq", "no", "nos", "vol", "pp", "cf",
    "al", "inc", "ltd", "co", "e.g", "i.e",
];
/// Longest of them, in bytes.
const ABBREVIATION_BYTES_MAX: usize = 4;

/// Whether the line break at `line_end` only wraps a line: the line before does not end a sentence, and a
/// small letter follows.
pub fn is_wrapped_line(bytes: &[u8], line_end: usize) -> bool {
    let ends_open = bytes[..line_end].iter().rev().find(|&&byte| byte != b' ').is_some_and(|&last| {
        last.is_ascii_alphanumeric() || matches!(last, b',' | b'-' | b')' | b'"' | b'\'')
    });
    let first = || bytes[line_end + 1..].iter().find(|&&byte| byte != b' ');
    ends_open && first().is_some_and(u8::is_ascii_lowercase)
}

/// The byte after each sentence and its trailing white space, ascending, inside of `text`.
pub fn sentence_ends(text: &str) -> impl Iterator<Item = usize> {
    sentence_ends_from(text, 0)
}

/// The same, starting at a byte. A start amid the closers of a stop may take one of them for a stop of its
/// own.
pub fn sentence_ends_from(text: &str, from: usize) -> impl Iterator<Item = usize> {
    let bytes = text.as_bytes();
    let mut position = from;
    std::iter::from_fn(move || {
        while position < bytes.len() {
            let stop = find_next_stop(bytes, position)?;
            let Some(after) = find_stop_end(text, stop) else {
                position = stop + 1;
                continue;
            };
            let closed = skip_closers(text, after);
            // Before the decision: "?!" is one stop, and its second sign must not be looked at again.
            position = closed;
            let rest = &text[closed..];
            let next = closed + rest.len() - rest.trim_start().len();
            // The end of the text is no end inside of it.
            if next >= bytes.len() {
                return None;
            }
            if ends_sentence(text, stop, closed, next) {
                position = next;
                return Some(next);
            }
        }
        None
    })
}

/// The next byte, from `from` on, that may start a stop.
#[inline]
fn find_next_stop(bytes: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    while at < bytes.len() {
        let length =
            byte_classes::bytes_before(byte_classes::sentence_stop_mask(byte_classes::load_group(bytes, at)));
        // Eight bytes at a time; a match may still be a byte that only looks like a stop's first.
        at += length;
        if length < GROUP_BYTES {
            if STOP_FIRST_BYTES[usize::from(bytes[at])] {
                return Some(at);
            }
            at += 1;
        }
    }
    None
}

/// First bytes of characters that may end a sentence.
static STOP_FIRST_BYTES: [bool; 256] = {
    let mut stops = [false; 256];
    stops[b'.' as usize] = true;
    stops[b'!' as usize] = true;
    stops[b'?' as usize] = true;
    // First bytes of … ; 。 ; ！ and ？ ; । ; ؟ ; ۔.
    stops[0xE2] = true;
    stops[0xE3] = true;
    stops[0xEF] = true;
    stops[0xE0] = true;
    stops[0xD8] = true;
    stops[0xDB] = true;
    stops
};

/// The end of the stop at `stop`, if the character there is one.
fn find_stop_end(text: &str, stop: usize) -> Option<usize> {
    let character = text[stop..].chars().next()?;
    matches!(character, '.' | '!' | '?' | '…' | '。' | '！' | '？' | '।' | '؟' | '۔')
        .then(|| stop + character.len_utf8())
}

/// Skips further stops, closing quotes and closing brackets.
fn skip_closers(text: &str, from: usize) -> usize {
    let rest = text[from..].trim_start_matches(|character| {
        matches!(
            character,
            '.' | '!'
                | '?'
                | '。'
                | '！'
                | '？'
                | '"'
                | '\''
                | ')'
                | ']'
                | '}'
                | '*'
                | '_'
                | '”'
                | '’'
                | '»'
                | '」'
                | '』'
                | '）'
        )
    });
    text.len() - rest.len()
}

/// Whether the stop at `stop`, whose closers end at `closed`, ends a sentence before `next`.
fn ends_sentence(text: &str, stop: usize, closed: usize, next: usize) -> bool {
    let spaceless = text[stop..].starts_with(['。', '！', '？']);
    let Some(follows) = text[next..].chars().next() else { return false };
    // A mark that combines with the white space before it belongs to the same cluster.
    if !follows.is_ascii() && !starts_cluster(&text[..next], follows) {
        return false;
    }
    if next == closed {
        return spaceless;
    }
    if spaceless {
        return true;
    }
    !(follows.is_lowercase() || (text.as_bytes()[stop] == b'.' && is_abbreviated(&text[..stop])))
}

/// Whether a grapheme cluster starts with `next`, given the text before it.
fn starts_cluster(before: &str, next: char) -> bool {
    use unicode_segmentation::UnicodeSegmentation;
    let Some(last) = before.chars().next_back() else { return true };
    // On the stack: two characters have at most 4 bytes each.
    let mut pair = [0_u8; 8];
    let split = last.encode_utf8(&mut pair).len();
    let end = split + next.encode_utf8(&mut pair[split..]).len();
    std::str::from_utf8(&pair[..end]).is_ok_and(|pair| pair.graphemes(true).count() == 2)
}

/// Whether the text ends in an initial or an abbreviation.
fn is_abbreviated(before: &str) -> bool {
    let bytes = before.as_bytes();
    // One byte more than the longest word, so that a longer word is not taken for its end.
    let window = &bytes[bytes.len().saturating_sub(ABBREVIATION_BYTES_MAX + 1)..];
    let word_start = window
        .iter()
        .rposition(|&byte| !(byte.is_ascii_alphabetic() || byte == b'.'))
        .map_or(0, |separator| separator + 1);
    let word = &window[word_start..];
    match word {
        [] => false,
        // One capital is an initial, unless the text starts with it.
        [letter] => letter.is_ascii_uppercase() && window.len() > 1,
        _ => ABBREVIATIONS.iter().any(|known| known.as_bytes().eq_ignore_ascii_case(word)),
    }
}
