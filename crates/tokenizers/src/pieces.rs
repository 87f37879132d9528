//! The pieces that `OpenAI`'s vocabularies split a text into, several times faster than by regular
//! expression.
//!
//! A piece depends only on the text from its start on. Where ASCII bytes decide it, which is nearly
//! always, it is determined byte by byte ([`ascii_piece`]). Otherwise the vocabulary's own expression
//! runs. The rules, in their order:
//!
//! ```text
//! cl100k_base  (?i:'s|'t|'re|'ve|'m|'ll|'d) | [^\r\n\p{L}\p{N}]?\p{L}+ | \p{N}{1,3}
//!              |  ?[^\s\p{L}\p{N}]+[\r\n]* | \s*[\r\n]+ | \s+(?!\S) | \s+
//! o200k_base   [^\r\n\p{L}\p{N}]?UPPER*lower+(?i:'s|…)? | [^\r\n\p{L}\p{N}]?UPPER+lower*(?i:'s|…)?
//!              | \p{N}{1,3} |  ?[^\s\p{L}\p{N}]+[\r\n/]* | \s*[\r\n]+ | \s+(?!\S) | \s+
//! ```

use bpe_openai::Tokenizer as Vocabulary;

use contexture_byte_tools::byte_classes::{self, GROUP_BYTES};

/// The splitting rules of a vocabulary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PieceRules {
    /// The rules of `cl100k_base`.
    Cl100k,
    /// The rules of `o200k_base`.
    O200k,
}

/// Splits a text into its pieces.
#[inline]
pub(super) fn split_pieces<'a>(
    vocabulary: &'static Vocabulary,
    rules: PieceRules,
    text: &'a str,
) -> impl Iterator<Item = &'a str> {
    piece_lengths(vocabulary, rules, text).map(|(rest, length)| &rest[..length])
}

/// For each piece: the text from its start on, and its length.
#[inline]
pub(super) fn piece_lengths<'a>(
    vocabulary: &'static Vocabulary,
    rules: PieceRules,
    text: &'a str,
) -> impl Iterator<Item = (&'a str, usize)> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let length = match ascii_piece(rules, rest.as_bytes()) {
            Some(length) => length,
            None => vocabulary.split(rest).next()?.len(),
        };
        let from_here = rest;
        rest = &rest[length..];
        Some((from_here, length))
    })
}

/// The length of the first piece, or `None` if other than ASCII bytes decide it. `bytes` is not empty.
#[inline]
fn ascii_piece(rules: PieceRules, bytes: &[u8]) -> Option<usize> {
    debug_assert!(!bytes.is_empty());
    let first = bytes[0];
    let next = bytes.get(1).copied();
    if first.is_ascii_alphabetic() {
        return word_end(rules, bytes, 0);
    }
    if first.is_ascii_digit() {
        let digits = bytes.iter().take(3).take_while(|byte| byte.is_ascii_digit()).count();
        // Three digits end the piece whatever follows; fewer do only if no digit beyond ASCII follows.
        return (digits == 3 || is_ascii_or_end(bytes, digits)).then_some(digits);
    }
    if !first.is_ascii() {
        return None;
    }
    // In `o200k_base` a contraction belongs to the word before it and is found there.
    if first == b'\'' && rules == PieceRules::Cl100k {
        match match_contraction(bytes) {
            ContractionMatch::Absent => {}
            ContractionMatch::Length(length) => return Some(length),
            ContractionMatch::Undecided => return None,
        }
    }
    if first != b'\r' && first != b'\n' {
        match next {
            Some(byte) if byte.is_ascii_alphabetic() => return word_end(rules, bytes, 1),
            Some(byte) if !byte.is_ascii() => return None,
            _ => {}
        }
    }
    match next {
        _ if !is_space(first) => symbols_end(rules, bytes, 0),
        Some(byte) if first == b' ' && is_symbol(byte) => symbols_end(rules, bytes, 1),
        _ => spaces_end(bytes),
    }
}

/// The end of a word that starts at `from`.
#[inline]
fn word_end(rules: PieceRules, bytes: &[u8], from: usize) -> Option<usize> {
    if rules == PieceRules::Cl100k {
        let mut end = from;
        // One group of bytes at a time; a group of letters only means that the word may go on.
        loop {
            let length = byte_classes::bytes_before(byte_classes::complement_mask(
                byte_classes::letter_mask(byte_classes::load_group(bytes, end)),
            ));
            end += length;
            if length < GROUP_BYTES {
                return is_ascii_or_end(bytes, end).then_some(end);
            }
        }
    }
    let upper = run_end(bytes, from, |byte| byte.is_ascii_uppercase())?;
    let end = run_end(bytes, upper, |byte| byte.is_ascii_lowercase())?;
    match match_contraction(&bytes[end..]) {
        ContractionMatch::Absent => Some(end),
        ContractionMatch::Length(length) => Some(end + length),
        ContractionMatch::Undecided => None,
    }
}

/// The end of symbols that start at `from`, with the line ends after them.
fn symbols_end(rules: PieceRules, bytes: &[u8], from: usize) -> Option<usize> {
    let end = run_end(bytes, from, is_symbol)?;
    let trails = |byte: u8| matches!(byte, b'\r' | b'\n') || (byte == b'/' && rules == PieceRules::O200k);
    Some(end + bytes[end..].iter().take_while(|byte| trails(**byte)).count())
}

/// The end of white space: its last line end; else all of it at the end of the text; else all but
/// its last character, which belongs to the next piece.
fn spaces_end(bytes: &[u8]) -> Option<usize> {
    let end = run_end(bytes, 0, is_space)?;
    match bytes[..end].iter().rposition(|byte| matches!(byte, b'\r' | b'\n')) {
        Some(line_end) => Some(line_end + 1),
        None if end == bytes.len() => Some(end),
        None => Some((end - 1).max(1)),
    }
}

/// The end of a run, or `None` if a byte beyond ASCII ends it.
#[inline]
fn run_end(bytes: &[u8], from: usize, belongs: impl Fn(u8) -> bool) -> Option<usize> {
    let length = bytes[from..].iter().take_while(|byte| belongs(**byte)).count();
    is_ascii_or_end(bytes, from + length).then_some(from + length)
}

/// Whether there is an ASCII byte at `at`, or the end of the text.
#[inline]
fn is_ascii_or_end(bytes: &[u8], at: usize) -> bool {
    bytes.get(at).is_none_or(u8::is_ascii)
}

/// Whether bytes start with an apostrophe and the rest of a contraction.
enum ContractionMatch {
    Absent,
    Length(usize),
    /// A letter beyond ASCII follows, whose other case may be an ASCII one.
    Undecided,
}

fn match_contraction(bytes: &[u8]) -> ContractionMatch {
    let &[b'\'', first, ref rest @ ..] = bytes else { return ContractionMatch::Absent };
    match (first.to_ascii_lowercase(), rest.first().map(u8::to_ascii_lowercase)) {
        (b's' | b't' | b'm' | b'd', _) => ContractionMatch::Length(2),
        (b'r' | b'v', Some(b'e')) | (b'l', Some(b'l')) => ContractionMatch::Length(3),
        (b'r' | b'v' | b'l', Some(second)) if !second.is_ascii() => ContractionMatch::Undecided,
        (first, _) if !first.is_ascii() => ContractionMatch::Undecided,
        _ => ContractionMatch::Absent,
    }
}

/// `\s` among ASCII.
#[inline]
fn is_space(byte: u8) -> bool {
    matches!(byte, b'\t'..=b'\r' | b' ')
}

/// `[^\s\p{L}\p{N}]` among ASCII.
#[inline]
fn is_symbol(byte: u8) -> bool {
    byte.is_ascii() && !byte.is_ascii_alphanumeric() && !is_space(byte)
}

#[cfg(test)]
mod tests {
    use bpe_openai::{cl100k_base, o200k_base};
    use proptest::prelude::*;

    use super::*;

    /// Every class that the rules tell apart, letters whose other case is ASCII among them.
    const ALPHABET: &[&str] = &[
        "a", "b", "S", "T", "s", "t", "re", "ve", "ll", "m", "d", "L", "'", "'", "\u{2019}", " ", " ", "\t",
        "\n", "\r", "\u{b}", "\u{c}", "/", "//", "(", ".", ",", "\0", "\u{7f}", "\u{1c}", "0", "1", "23",
        "\u{85}", "\u{a0}", "\u{2003}", "é", "É", "\u{17f}", "\u{212a}", "ǅ", "ʰ", "中", "\u{301}", "²", "Ⅷ",
        "٣", "—", "🙂",
    ];

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(5_000))]

        #[test]
        fn pieces_are_those_of_the_expressions(
            parts in proptest::collection::vec(proptest::sample::select(ALPHABET), 0..24),
        ) {
            let text = parts.concat();
            for (rules, vocabulary) in [(PieceRules::Cl100k, cl100k_base()), (PieceRules::O200k, o200k_base())] {
                let ours: Vec<&str> = split_pieces(vocabulary, rules, &text).collect();
                let theirs: Vec<&str> = vocabulary.split(&text).collect();
                prop_assert_eq!(ours, theirs, "{:?}", rules);
            }
        }
    }

    #[test]
    fn ascii_is_decided_without_an_expression() {
        for text in ["word", " word", "don't", "2024", "f(x);\n\n", "  indented", "\tTab", " .", "end  "] {
            for rules in [PieceRules::Cl100k, PieceRules::O200k] {
                assert!(ascii_piece(rules, text.as_bytes()).is_some(), "{text:?}");
            }
        }
    }
}
