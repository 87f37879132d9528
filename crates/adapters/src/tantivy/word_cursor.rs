//! Splits text into words: those of its NFKC form without ignorable characters, with the places where
//! they stand in the text itself.
//!
//! A word is a run of letters and digits with the marks on them. Ideographs, kana and hangul syllables
//! are words by themselves. In scripts that write words without spaces and whose letters stand for
//! single sounds (Thai, Lao, Khmer, Burmese), every two neighbouring letters are a word, each with its
//! marks; a letter without neighbours is one, too.
//!
//! However a text is composed, its words are the same. ASCII punctuation and spaces always end a word.
//! Words of ASCII take a fast path. A word that the text holds as it is costs no copy.

use std::ops::Range;

use unicode_normalization::UnicodeNormalization;

use super::word_characters::{
    CharacterKind, is_compatibility_number, is_ignorable, is_plain_digit, starts_segment, stays_alone,
};
use contexture_byte_tools::byte_classes::{self, GROUP_BYTES};

/// A word of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Word {
    /// Where it starts in the text, in bytes.
    pub(super) start: usize,
    /// Where it ends. Words that one character stands for, such as ㍿, share a place.
    pub(super) end: usize,
    /// Whether nothing that its first character stands for comes before it: ⒜ is `(a)`.
    pub(super) at_start: bool,
    /// Whether nothing that its last character stands for comes behind it.
    pub(super) at_end: bool,
    /// Whether the text holds the word as it is.
    verbatim: bool,
}

/// A character of the normalised text.
#[derive(Debug, Clone, Copy)]
struct NormalizedCharacter {
    one: char,
    /// The place of its segment.
    start: usize,
    end: usize,
    /// Whether the segment is this character.
    verbatim: bool,
}

/// Goes over the words of a text.
pub(super) struct WordCursor<'a> {
    text: &'a str,
    /// Where the next segment starts.
    position: usize,
    /// Characters of a normalised segment, and how many of them are read.
    segment: Vec<char>,
    segment_read: usize,
    segment_range: Range<usize>,
    /// The last word, if the text does not hold it as it is.
    word: String,
    /// The letter before, within a run of a script without spaces.
    neighbour: Option<Word>,
    neighbour_text: String,
}

impl<'a> WordCursor<'a> {
    /// Starts at the beginning of a text.
    pub(super) fn new(text: &'a str) -> Self {
        Self {
            text,
            position: 0,
            segment: Vec::new(),
            segment_read: 0,
            segment_range: 0..0,
            word: String::new(),
            neighbour: None,
            neighbour_text: String::new(),
        }
    }

    /// The text of the last word. Holds until the next one.
    #[inline]
    pub(super) fn word_text(&self, word: &Word) -> &str {
        if word.verbatim { &self.text[word.start..word.end] } else { &self.word }
    }

    /// The next word.
    #[inline]
    pub(super) fn next_word(&mut self) -> Option<Word> {
        if self.segment.is_empty() && self.neighbour.is_none() {
            // Nothing at the end of the text as well, which the slow path finds.
            if let Some(word) = self.ascii_word() {
                return Some(word);
            }
        }
        self.any_word()
    }

    /// The next word, whatever its characters.
    #[inline(never)]
    fn any_word(&mut self) -> Option<Word> {
        loop {
            let next = self.peek()?;
            let kind = CharacterKind::of(next.one);
            if let Some(neighbour) = self.neighbour.take()
                && kind == CharacterKind::Clustered
            {
                return Some(self.pair_word(neighbour, next));
            }
            match kind {
                CharacterKind::Letter => return Some(self.read_word(next, CharacterKind::Letter)),
                CharacterKind::Single => return Some(self.read_word(next, CharacterKind::Mark)),
                CharacterKind::Clustered => {
                    let first = self.read_neighbour(next);
                    match self.peek() {
                        Some(second) if CharacterKind::of(second.one) == CharacterKind::Clustered => {
                            return Some(self.pair_word(first, second));
                        }
                        _ => return Some(first),
                    }
                }
                CharacterKind::Mark | CharacterKind::Outside => {
                    self.take(next);
                    if self.segment.is_empty()
                        && let Some(word) = self.ascii_word()
                    {
                        return Some(word);
                    }
                }
            }
        }
    }

    /// The next word, if the characters before it, in it and right after it are all ASCII.
    #[inline]
    fn ascii_word(&mut self) -> Option<Word> {
        let bytes = self.text.as_bytes();
        let mut start = self.position;
        while bytes.get(start).is_some_and(|byte| byte.is_ascii() && !byte.is_ascii_alphanumeric()) {
            start += 1;
        }
        let mut end = start;
        loop {
            let eight = byte_classes::load_group(bytes, end);
            let length = byte_classes::bytes_before(byte_classes::complement_mask(
                byte_classes::letter_mask(eight) | byte_classes::digit_mask(eight),
            ));
            end += length;
            if length < GROUP_BYTES {
                break;
            }
        }
        // A character beyond ASCII may belong to the word, so the slow path has to decide. It starts at
        // the word, or before it: a mark may belong to a character that is none.
        if end == start || bytes.get(end).is_some_and(|byte| !byte.is_ascii()) {
            self.position = if end == start { start.max(self.position + 1) - 1 } else { start };
            return None;
        }
        self.position = end;
        Some(Word { start, end, at_start: true, at_end: true, verbatim: true })
    }

    /// Reads a character and those behind it that are marks or of a kind.
    fn read_word(&mut self, first: NormalizedCharacter, kind: CharacterKind) -> Word {
        let mut word = Word {
            start: first.start,
            end: first.end,
            at_start: self.segment_read == 0,
            at_end: true,
            verbatim: first.verbatim,
        };
        self.word.clear();
        if !first.verbatim {
            self.word.push(first.one);
        }
        self.take(first);
        while let Some(next) = self.peek() {
            let next_kind = CharacterKind::of(next.one);
            if next_kind != CharacterKind::Mark && next_kind != kind {
                break;
            }
            if word.verbatim && !next.verbatim {
                word.verbatim = false;
                self.word.push_str(&self.text[word.start..word.end]);
            }
            if !word.verbatim {
                self.word.push(next.one);
            }
            word.end = next.end;
            self.take(next);
        }
        // A segment that was only looked at is a whole one.
        word.at_end = self.segment_read == 0;
        word
    }

    /// Reads a letter of a script without spaces, with its marks, and remembers it.
    fn read_neighbour(&mut self, first: NormalizedCharacter) -> Word {
        let word = self.read_word(first, CharacterKind::Mark);
        let text = if word.verbatim { &self.text[word.start..word.end] } else { &self.word };
        self.neighbour_text.clear();
        self.neighbour_text.push_str(text);
        word
    }

    /// Reads the second of two neighbouring letters; the word is both.
    fn pair_word(&mut self, first: Word, second: NormalizedCharacter) -> Word {
        let mut pair = std::mem::take(&mut self.neighbour_text);
        let second = self.read_neighbour(second);
        self.neighbour = Some(second);
        pair.push_str(&self.neighbour_text);
        self.word = pair;
        Word { end: second.end, at_end: second.at_end, verbatim: false, ..first }
    }

    /// The next character of the normalised text.
    fn peek(&mut self) -> Option<NormalizedCharacter> {
        loop {
            if let Some(one) = self.segment.get(self.segment_read) {
                let Range { start, end } = self.segment_range;
                return Some(NormalizedCharacter { one: *one, start, end, verbatim: false });
            }
            let mut characters = self.text[self.position..].chars();
            let one = characters.next()?;
            if stays_alone(one) && characters.next().is_none_or(starts_segment) {
                let end = self.position + one.len_utf8();
                return Some(NormalizedCharacter { one, start: self.position, end, verbatim: true });
            }
            self.load_segment(one);
        }
    }

    /// Moves on behind the character that [`Self::peek`] returned.
    fn take(&mut self, character: NormalizedCharacter) {
        if character.verbatim {
            self.position = character.end;
            return;
        }
        self.segment_read += 1;
        if self.segment_read == self.segment.len() {
            self.segment.clear();
            self.segment_read = 0;
        }
    }

    /// Normalises the segment that starts with a character. It may turn out empty.
    fn load_segment(&mut self, first: char) {
        let (before, rest) = self.text.split_at(self.position);
        let behind = rest.char_indices().skip(1).find(|(_, one)| starts_segment(*one));
        let length = behind.map_or(rest.len(), |(at, _)| at);
        if is_compatibility_number(first) && before.chars().next_back().is_some_and(is_plain_digit) {
            self.segment.push(' ');
        }
        self.segment.extend(rest[..length].chars().filter(|one| !is_ignorable(*one)).nfkc());
        self.segment_range = self.position..self.position + length;
        self.position += length;
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails where one does")]
mod tests {
    use proptest::prelude::*;

    use super::super::word_tests::ANY_SCRIPTS;
    use super::*;

    fn words(text: &str) -> Vec<String> {
        let mut words = WordCursor::new(text);
        let mut found = Vec::new();
        while let Some(word) = words.next_word() {
            found.push(words.word_text(&word).to_owned());
        }
        found
    }

    #[test]
    fn words_are_runs_of_letters_with_their_marks() {
        for (text, expected) in [
            ("snake_case, 3.1.0", vec!["snake", "case", "3", "1", "0"]),
            ("don't don’t", vec!["don", "t", "don", "t"]),
            ("zero\u{200b}width soft\u{ad}hyphen \u{feff}mark", vec!["zero", "width", "softhyphen", "mark"]),
            ("=\u{338}a \u{301}b", vec!["a", "b"]),
            ("re\u{301}sume\u{301} ﬁnd ＡＢ", vec!["résumé", "find", "AB"]),
            ("中文ひら한글", vec!["中", "文", "ひ", "ら", "한", "글"]),
            ("\u{1112}\u{1161}\u{11ab}\u{1100}\u{1173}\u{11af}", vec!["한", "글"]),
            ("ハ\u{3099}ﾊﾞバ", vec!["バ", "バ", "バ"]),
            ("㍿", vec!["株", "式", "会", "社"]),
            ("ACME™s 10² 1½ m²", vec!["ACME", "s", "10", "2", "1", "1", "2", "m2"]),
            ("ลาพัก", vec!["ลา", "าพั", "พัก"]),
            ("ก กา x", vec!["ก", "กา", "x"]),
            ("गुजराती हिन्दी", vec!["गुजराती", "हिन्दी"]),
        ] {
            assert_eq!(words(text), expected, "{text:?}");
        }
    }

    /// The words by definition: of the whole text, normalised.
    fn words_of_normalized(text: &str) -> Vec<String> {
        let normal: String = text.chars().filter(|one| !is_ignorable(*one)).nfkc().collect();
        let mut words: Vec<String> = Vec::new();
        let mut before = CharacterKind::Outside;
        let mut letters: Vec<String> = Vec::new();
        for one in normal.chars().chain([' ']) {
            let kind = CharacterKind::of(one);
            if kind == CharacterKind::Mark {
                match before {
                    CharacterKind::Outside => {}
                    CharacterKind::Clustered => letters.last_mut().unwrap().push(one),
                    _ => words.last_mut().unwrap().push(one),
                }
                continue;
            }
            if kind == CharacterKind::Clustered {
                letters.push(one.to_string());
            } else {
                match &letters[..] {
                    [alone] => words.push(alone.clone()),
                    run => words.extend(run.windows(2).map(<[String]>::concat)),
                }
                letters.clear();
                match (kind, before) {
                    (CharacterKind::Letter, CharacterKind::Letter) => words.last_mut().unwrap().push(one),
                    (CharacterKind::Letter | CharacterKind::Single, _) => words.push(one.to_string()),
                    _ => {}
                }
            }
            before = kind;
        }
        words
    }

    proptest! {
        #[test]
        fn words_are_those_of_the_normalized_text(text in ANY_SCRIPTS) {
            let special = text.chars().any(|one| matches!(one, '™' | '℠') || is_compatibility_number(one));
            if !special {
                prop_assert_eq!(words(&text), words_of_normalized(&text));
            }
        }

        #[test]
        fn words_stay_where_they_are_read_alone(text in ANY_SCRIPTS) {
            for word in words(&text) {
                prop_assert_eq!(words(&word), vec![word]);
            }
        }

        #[test]
        fn places_are_in_order_and_hold_the_words(text in ANY_SCRIPTS) {
            let mut cursor = WordCursor::new(&text);
            let mut last = 0;
            while let Some(word) = cursor.next_word() {
                prop_assert!(word.start >= last && word.end <= text.len());
                last = word.start;
                let held: String = text[word.start..word.end].chars().filter(|one| !is_ignorable(*one)).nfkc().collect();
                prop_assert!(held.contains(cursor.word_text(&word)), "{held:?}");
            }
        }
    }
}
