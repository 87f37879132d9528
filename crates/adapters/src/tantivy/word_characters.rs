//! What each character is to a word, and where text can be cut before it is normalised.
//!
//! Words are those of the text's NFKC form without ignorable characters. The text is normalised in
//! segments: a character, and the ones behind it that may combine with it. In almost all texts a
//! segment is one character that stays as it is.
//!
//! Three kinds of characters are not replaced by what NFKC has for them, because letters and digits
//! that stand apart would become one word: the trade mark and service mark signs separate words as
//! other symbols do, and a superscript, a fraction or another compatibility number right after a
//! digit begins a new word (10² is not 102, and 1½ not 11⁄2).

use unicode_normalization::char::{canonical_combining_class, decompose_compatible, is_combining_mark};
use unicode_normalization::{IsNormalized, is_nfkc_quick};

/// What a normalised character is to a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CharacterKind {
    /// Belongs to no word.
    Outside,
    /// Belongs to the word of the character before it.
    Mark,
    /// A letter or digit of a word.
    Letter,
    /// A word by itself: kana, ideographs and hangul syllables.
    Single,
    /// A base of a script without spaces, where two neighbours make a word: Thai, Lao, Khmer, Burmese.
    Clustered,
}

impl CharacterKind {
    /// The kind of a character of normalised text.
    #[inline]
    pub(super) fn of(one: char) -> Self {
        match u32::from(one) {
            0..=0x7f => {
                if one.is_ascii_alphanumeric() {
                    Self::Letter
                } else {
                    Self::Outside
                }
            }
            // Common ranges in which every character is of one kind.
            0x00c0..=0x00d6
            | 0x00d8..=0x00f6
            | 0x00f8..=0x024f
            | 0x0391..=0x03a1
            | 0x03a3..=0x03ce
            | 0x0400..=0x0481
            | 0x048a..=0x052f => Self::Letter,
            0x4e00..=0x9fff | 0xac00..=0xd7a3 => Self::Single,
            _ if is_combining_mark(one) => Self::Mark,
            _ if !one.is_alphanumeric() => Self::Outside,
            0x3040..=0x30ff | 0x3400..=0x4dbf | 0xf900..=0xfaff | 0x20000..=0x3347f => Self::Single,
            0x0e01..=0x0eff | 0x1000..=0x109f | 0x1780..=0x17ff | 0xa9e0..=0xa9ff | 0xaa60..=0xaa7f
                if !one.is_numeric() =>
            {
                Self::Clustered
            }
            _ => Self::Letter,
        }
    }
}

/// Whether a character is left out wherever it stands: it changes how others look or where a line may
/// break, not what is written. A zero-width space (U+200B) is not among them; it separates words.
#[inline]
pub(super) fn is_ignorable(one: char) -> bool {
    matches!(u32::from(one),
        0x00ad | 0x034f | 0x061c | 0x115f | 0x1160 | 0x17b4 | 0x17b5 | 0x180b..=0x180f | 0x200c..=0x200f
        | 0x202a..=0x202e | 0x2060..=0x206f | 0x3164 | 0xfe00..=0xfe0f | 0xfeff | 0xffa0 | 0x1bca0..=0x1bca3
        | 0x1d173..=0x1d17a | 0xe0000..=0xe0fff)
}

/// Whether text can be cut before a character: nothing in its normalised form combines with what is
/// before. Ignorable characters belong to the segment before them.
#[inline]
pub(super) fn starts_segment(one: char) -> bool {
    if is_plain(one) {
        return true;
    }
    if is_ignorable(one) {
        return false;
    }
    let mut first = None;
    match quick_check(one) {
        IsNormalized::Yes => return canonical_combining_class(one) == 0,
        IsNormalized::Maybe => return false,
        IsNormalized::No => decompose_compatible(one, |part| {
            first.get_or_insert(part);
        }),
    }
    first.is_some_and(|first| {
        canonical_combining_class(first) == 0
            && quick_check(first) == IsNormalized::Yes
            && !is_ignorable(first)
    })
}

/// Whether a segment of this character alone stays as it is.
#[inline]
pub(super) fn stays_alone(one: char) -> bool {
    is_plain(one) || is_mark_of_trade(one) || (!is_ignorable(one) && quick_check(one) != IsNormalized::No)
}

/// Whether a character, right after a digit, begins a new word.
pub(super) fn is_compatibility_number(one: char) -> bool {
    one.is_numeric() && quick_check(one) == IsNormalized::No && !is_styled_digit(one)
}

/// Whether a character is a digit, or one in another style, such as a full-width one.
pub(super) fn is_plain_digit(one: char) -> bool {
    one.is_ascii_digit() || is_styled_digit(one)
}

fn is_styled_digit(one: char) -> bool {
    matches!(u32::from(one), 0xff10..=0xff19 | 0x1d7ce..=0x1d7ff | 0x1fbf0..=0x1fbf9)
}

fn is_mark_of_trade(one: char) -> bool {
    matches!(one, '™' | '℠')
}

fn quick_check(one: char) -> IsNormalized {
    is_nfkc_quick(std::iter::once(one))
}

/// Common characters that start a segment and stay as they are, without a look into tables.
#[inline]
fn is_plain(one: char) -> bool {
    matches!(u32::from(one),
        0..=0x7f | 0x00c0..=0x0131 | 0x0391..=0x03a1 | 0x03a3..=0x03ce | 0x0400..=0x0481 | 0x048a..=0x052f
        | 0x2012..=0x2016 | 0x2018..=0x201f | 0x3001..=0x3002 | 0x3041..=0x3096 | 0x30a1..=0x30fe
        | 0x4e00..=0x9fff | 0xac00..=0xd7a3)
}

#[cfg(test)]
mod tests {
    use unicode_normalization::UnicodeNormalization;

    use super::*;

    fn every_character() -> impl Iterator<Item = char> {
        (0..=0x0010_ffff).filter_map(char::from_u32)
    }

    #[test]
    fn short_cuts_say_what_the_tables_say() {
        for one in every_character().filter(|one| is_plain(*one)) {
            assert_eq!(quick_check(one), IsNormalized::Yes, "{one:?}");
            assert_eq!(canonical_combining_class(one), 0, "{one:?}");
            assert!(!is_ignorable(one), "{one:?}");
        }
        for one in every_character() {
            let kind = CharacterKind::of(one);
            if is_combining_mark(one) {
                assert_eq!(kind, CharacterKind::Mark, "{one:?}");
            } else {
                assert_eq!(kind == CharacterKind::Outside, !one.is_alphanumeric(), "{one:?}");
            }
        }
    }

    #[test]
    fn only_ignorable_characters_become_ignorable_ones() {
        for one in every_character().filter(|one| !is_ignorable(*one)) {
            assert!(!std::iter::once(one).nfkc().any(is_ignorable), "{one:?}");
            assert!(!std::iter::once(one).nfd().any(is_ignorable), "{one:?}");
        }
    }
}
