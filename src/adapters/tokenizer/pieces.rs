//! The pieces that `OpenAI`'s vocabularies split a text into, several times faster than by regular
//! expression.
//!
//! A piece depends only on the text from its start on. Where the bytes that decide it are ASCII,
//! which is nearly always, it is read off byte by byte ([`ascii_piece`]); else the vocabulary's own
//! expression is asked. The rules, with their order:
//!
//! ```text
//! cl100k_base  (?i:'s|'t|'re|'ve|'m|'ll|'d) | [^\r\n\p{L}\p{N}]?\p{L}+ | \p{N}{1,3}
//!              |  ?[^\s\p{L}\p{N}]+[\r\n]* | \s*[\r\n]+ | \s+(?!\S) | \s+
//! o200k_base   [^\r\n\p{L}\p{N}]?UPPER*lower+(?i:'s|…)? | [^\r\n\p{L}\p{N}]?UPPER+lower*(?i:'s|…)?
//!              | \p{N}{1,3} |  ?[^\s\p{L}\p{N}]+[\r\n/]* | \s*[\r\n]+ | \s+(?!\S) | \s+
//! ```

use bpe_openai::Tokenizer as Vocabulary;

use crate::domain::lanes::{self, LANES};

/// Which rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rules {
    /// Those of `cl100k_base`.
    Cl100k,
    /// Those of `o200k_base`.
    O200k,
}

/// Splits a text.
#[inline]
pub(super) fn split<'a>(
    vocabulary: &'static Vocabulary,
    rules: Rules,
    text: &'a str,
) -> impl Iterator<Item = &'a str> {
    lengths(vocabulary, rules, text).map(|(rest, length)| &rest[..length])
}

/// The rest of a text from each of its pieces on, with the length of that piece.
#[inline]
pub(super) fn lengths<'a>(
    vocabulary: &'static Vocabulary,
    rules: Rules,
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

/// The length of the first piece, if ASCII alone decides it. `bytes` is not empty.
#[inline]
fn ascii_piece(rules: Rules, bytes: &[u8]) -> Option<usize> {
    let first = bytes[0];
    let next = bytes.get(1).copied();
    if first.is_ascii_alphabetic() {
        return letters(rules, bytes, 0);
    }
    if first.is_ascii_digit() {
        let digits = bytes.iter().take(3).take_while(|byte| byte.is_ascii_digit()).count();
        return (digits == 3 || decided(bytes, digits)).then_some(digits);
    }
    if !first.is_ascii() {
        return None;
    }
    if first == b'\'' && rules == Rules::Cl100k {
        match contraction(bytes) {
            Contraction::Absent => {}
            Contraction::Length(length) => return Some(length),
            Contraction::Undecided => return None,
        }
    }
    if first != b'\r' && first != b'\n' {
        match next {
            Some(byte) if byte.is_ascii_alphabetic() => return letters(rules, bytes, 1),
            Some(byte) if !byte.is_ascii() => return None,
            _ => {}
        }
    }
    match next {
        _ if !is_space(first) => symbols(rules, bytes, 0),
        Some(byte) if first == b' ' && is_symbol(byte) => symbols(rules, bytes, 1),
        _ => spaces(bytes),
    }
}

/// A word that starts at `from`.
#[inline]
fn letters(rules: Rules, bytes: &[u8], from: usize) -> Option<usize> {
    if rules == Rules::Cl100k {
        let mut end = from;
        loop {
            let length = lanes::length_before(lanes::others(lanes::letters(lanes::load(bytes, end))));
            end += length;
            if length < LANES {
                return decided(bytes, end).then_some(end);
            }
        }
    }
    let upper = run(bytes, from, |byte| byte.is_ascii_uppercase())?;
    let end = run(bytes, upper, |byte| byte.is_ascii_lowercase())?;
    match contraction(&bytes[end..]) {
        Contraction::Absent => Some(end),
        Contraction::Length(length) => Some(end + length),
        Contraction::Undecided => None,
    }
}

/// Symbols that start at `from`, and the line ends after them.
fn symbols(rules: Rules, bytes: &[u8], from: usize) -> Option<usize> {
    let end = run(bytes, from, is_symbol)?;
    let trails = |byte: u8| matches!(byte, b'\r' | b'\n') || (byte == b'/' && rules == Rules::O200k);
    Some(end + bytes[end..].iter().take_while(|byte| trails(**byte)).count())
}

/// White space: up to its last line end; else all of it at the end of the text; else all but the
/// last, which belongs to what follows.
fn spaces(bytes: &[u8]) -> Option<usize> {
    let end = run(bytes, 0, is_space)?;
    match bytes[..end].iter().rposition(|byte| matches!(byte, b'\r' | b'\n')) {
        Some(line_end) => Some(line_end + 1),
        None if end == bytes.len() => Some(end),
        None => Some((end - 1).max(1)),
    }
}

/// Where a run ends, if what ends it is ASCII or the end of the text.
#[inline]
fn run(bytes: &[u8], from: usize, belongs: impl Fn(u8) -> bool) -> Option<usize> {
    let length = bytes[from..].iter().take_while(|byte| belongs(**byte)).count();
    decided(bytes, from + length).then_some(from + length)
}

/// Whether nothing beyond ASCII stands at a place.
#[inline]
fn decided(bytes: &[u8], at: usize) -> bool {
    bytes.get(at).is_none_or(u8::is_ascii)
}

/// Whether bytes start with an apostrophe and the end of a contraction.
enum Contraction {
    Absent,
    Length(usize),
    /// Letters beyond ASCII have ASCII ones as their other case.
    Undecided,
}

fn contraction(bytes: &[u8]) -> Contraction {
    let &[b'\'', first, ref rest @ ..] = bytes else { return Contraction::Absent };
    match (first.to_ascii_lowercase(), rest.first().map(u8::to_ascii_lowercase)) {
        (b's' | b't' | b'm' | b'd', _) => Contraction::Length(2),
        (b'r' | b'v', Some(b'e')) | (b'l', Some(b'l')) => Contraction::Length(3),
        (b'r' | b'v' | b'l', Some(second)) if !second.is_ascii() => Contraction::Undecided,
        (first, _) if !first.is_ascii() => Contraction::Undecided,
        _ => Contraction::Absent,
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
            for (rules, vocabulary) in [(Rules::Cl100k, cl100k_base()), (Rules::O200k, o200k_base())] {
                let ours: Vec<&str> = split(vocabulary, rules, &text).collect();
                let theirs: Vec<&str> = vocabulary.split(&text).collect();
                prop_assert_eq!(ours, theirs, "{:?}", rules);
            }
        }
    }

    #[test]
    fn ascii_is_decided_without_an_expression() {
        for text in ["word", " word", "don't", "2024", "f(x);\n\n", "  indented", "\tTab", " .", "end  "] {
            for rules in [Rules::Cl100k, Rules::O200k] {
                assert!(ascii_piece(rules, text.as_bytes()).is_some(), "{text:?}");
            }
        }
    }
}
