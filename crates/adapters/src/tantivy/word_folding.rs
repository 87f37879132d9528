//! Writes words that differ in case, accents or vowel points the same way.
//!
//! Latin accents are left to Tantivy's `AsciiFoldingFilter`, behind the stemmer, which knows accented
//! letters. This module does the rest: what a stemmer does not know goes before it
//! ([`without_points`], [`lower_case`]), the letters of other scripts after it ([`fold_letters`]).

use std::borrow::Cow;

use unicode_normalization::char::decompose_canonical;

/// A word without its points: accents that make no letter of their own with the letter before them,
/// Hebrew points, Arabic vowel signs and tatweel. The word is in NFKC.
pub(super) fn without_points(word: &str) -> Cow<'_, str> {
    if word.is_ascii() || !word.chars().any(is_point) {
        return Cow::Borrowed(word);
    }
    Cow::Owned(word.chars().filter(|one| !is_point(*one)).collect())
}

/// A word in lower case, with one form of sigma and without the points that this makes.
pub(super) fn lower_case(word: &str) -> String {
    if word.is_ascii() {
        return word.to_ascii_lowercase();
    }
    // By character: `str::to_lowercase` would distinguish the last sigma of a word.
    word.chars()
        .flat_map(char::to_lowercase)
        .filter(|one| !is_point(*one))
        .map(|one| if one == 'ς' { 'σ' } else { one })
        .collect()
}

/// Folds letters of a term in lower case: accents of Greek and rare Latin letters, ё to е, variants of
/// alef, yeh, heh and kaf to one each.
pub(super) fn fold_letters(term: &mut String) {
    if term.is_ascii() {
        return;
    }
    let mut folded = String::with_capacity(term.len());
    for one in term.chars() {
        match u32::from(one) {
            0x0400..=0x052f => folded.push(match one {
                'ё' | 'ѐ' => 'е',
                'ѝ' => 'и',
                other => other,
            }),
            0x00c0..=0x03ff | 0x0590..=0x06ff | 0x1e00..=0x1fff => {
                decompose_canonical(one, |part| {
                    if !is_point(part) {
                        folded.push(fold_letter(part));
                    }
                });
            }
            _ => folded.push(one),
        }
    }
    *term = folded;
}

fn fold_letter(one: char) -> char {
    match one {
        'ς' => 'σ',
        'ٱ' => 'ا',
        'ى' | 'ی' => 'ي',
        'ة' => 'ه',
        'ک' => 'ك',
        other => other,
    }
}

/// Marks above and below letters of the Latin, Greek, Cyrillic, Hebrew and Arabic scripts, and tatweel.
/// Marks of other scripts are vowels or make other letters.
fn is_point(one: char) -> bool {
    matches!(u32::from(one),
        0x0300..=0x036f | 0x0483..=0x0489 | 0x0591..=0x05bd | 0x05bf | 0x05c1..=0x05c2 | 0x05c4..=0x05c5
        | 0x05c7 | 0x0610..=0x061a | 0x0640 | 0x064b..=0x065f | 0x0670 | 0x06d6..=0x06dc | 0x06df..=0x06e4
        | 0x06e7..=0x06e8 | 0x06ea..=0x06ed | 0x08d3..=0x08ff | 0x1ab0..=0x1aff | 0x1dc0..=0x1dff
        | 0x20d0..=0x20ff | 0xfe20..=0xfe2f)
}

#[cfg(test)]
mod tests {
    use unicode_normalization::UnicodeNormalization;

    use super::*;

    fn fold(word: &str) -> String {
        let composed: String = word.nfkc().collect();
        let mut term = lower_case(&without_points(&composed));
        fold_letters(&mut term);
        term
    }

    #[test]
    fn spellings_of_one_word_fold_alike() {
        for (word, expected) in [
            ("ёлка", "елка"),
            ("Йод", "йод"),
            ("за\u{301}мок", "замок"),
            ("ΛΌΓΟΣ", "λογοσ"),
            ("λόγος", "λογοσ"),
            ("ᾳ", "α"),
            ("مُدَرِّسَة", "مدرسه"),
            ("أحمد", "احمد"),
            ("آخر", "اخر"),
            ("مـصر", "مصر"),
            ("على", "علي"),
            ("کتاب", "كتاب"),
            ("שָׁלוֹם", "שלום"),
            ("İstanbul", "istanbul"),
            ("ドア", "ドア"),
            ("한글", "한글"),
            ("हिन्दी", "हिन्दी"),
        ] {
            assert_eq!(fold(word), expected, "{word}");
        }
    }
}
