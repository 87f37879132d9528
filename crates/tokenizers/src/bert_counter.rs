//! Token counts for the BERT family: basic tokenisation, then longest-match WordPiece.
//!
//! Counts exactly what the `tokenizers` crate returns, without building its tokens. What each character
//! does (vanish, end a word, stand alone, become other letters) is taken from that crate's own normaliser
//! and pre-tokeniser, once per block of 256 characters, so no Unicode table is copied. All of that
//! concerns single characters, with one exception: the canonical decomposition reorders combining
//! characters, and a few that are not removed as accents can change places. A word with one of them is
//! normalised by the crate. Time is linear in the text; memory does not grow with it.

use std::sync::OnceLock;

use tokenizers::models::wordpiece::WordPiece as Model;
use tokenizers::normalizers::BertNormalizer;
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::{
    Model as _, NormalizedString, Normalizer, OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer,
};
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::canonical_combining_class;

use super::trie::VocabularyTrie;

const BLOCK_CHARS: usize = 256;
const BLOCK_COUNT: usize = (char::MAX as usize + 1) / BLOCK_CHARS;

/// What a character does to its word.
#[derive(Debug)]
enum CharacterRole {
    /// Vanishes. An accent that keeps its neighbours from being reordered is a barrier.
    Vanishes { barrier: bool },
    /// Ends the word, as a space does.
    Breaks,
    /// Ends the word and is a token of its own, known or unknown.
    StandsAlone,
    /// Becomes these letters. With `reorder` they may change places with others.
    Letters { text: Box<str>, chars: usize, reorder: bool },
}

/// A counter for one vocabulary.
#[derive(Debug)]
pub(super) struct BertTokenCounter {
    normalizer: BertNormalizer,
    trie: VocabularyTrie,
    word_chars_max: usize,
    /// Added tokens such as `[SEP]`, longest first: each occurrence is one token.
    added: Vec<String>,
    added_start: [bool; 256],
    added_bytes: [bool; 256],
    /// What an ASCII letter or digit becomes if no added token starts with it; 0 for all others.
    plain: [u8; 128],
    roles: Box<[OnceLock<Vec<CharacterRole>>]>,
}

/// The word that is being read.
#[derive(Debug, Default)]
struct PendingWord {
    start: usize,
    letters: Vec<u8>,
    chars: usize,
    reorder: bool,
}

impl BertTokenCounter {
    /// Builds a counter from a vocabulary, its normaliser and its added tokens.
    pub(super) fn new(normalizer: BertNormalizer, model: &Model, mut added: Vec<String>) -> Self {
        added.retain(|token| !token.is_empty());
        added.sort_unstable_by_key(|token| std::cmp::Reverse(token.len()));
        let mut added_start = [false; 256];
        let mut added_bytes = [false; 256];
        for token in &added {
            added_start[usize::from(token.as_bytes()[0])] = true;
            token.bytes().for_each(|byte| added_bytes[usize::from(byte)] = true);
        }
        let mut plain = [0; 128];
        for (byte, plain) in (0_u8..).zip(&mut plain) {
            // A byte that an added token may start with is left out, so that the token is looked for.
            if !added_start[usize::from(byte)]
                && let CharacterRole::Letters { text, chars: 1, .. } =
                    character_role(normalizer, char::from(byte))
            {
                *plain = text.as_bytes()[0];
            }
        }
        let words = model.get_vocab().into_keys().map(String::into_bytes).collect();
        Self {
            plain,
            normalizer,
            trie: VocabularyTrie::new(words, model.continuing_subword_prefix.as_bytes()),
            word_chars_max: model.max_input_chars_per_word,
            added,
            added_start,
            added_bytes,
            roles: (0..BLOCK_COUNT).map(|_| OnceLock::new()).collect(),
        }
    }

    /// Counts the tokens of a text.
    pub(super) fn count(&self, text: &str) -> usize {
        self.scan(text, |_, _| ())
    }

    /// Counts, and reports each border where any range of the text can be split without changing the
    /// sum of its counts: byte offset, and tokens before it.
    pub(super) fn scan(&self, text: &str, mut on_border: impl FnMut(usize, usize)) -> usize {
        let mut word = PendingWord::default();
        let mut tokens = 0;
        let mut at = 0;
        while let Some(&byte) = text.as_bytes().get(at) {
            // The fast path: an ASCII letter or digit only extends the word.
            if let Some(&plain @ 1..) = self.plain.get(usize::from(byte)) {
                // A longer word is one unknown token whatever its letters, so they need no memory.
                if word.chars <= self.word_chars_max {
                    word.letters.push(plain);
                }
                word.chars += 1;
                at += 1;
                continue;
            }
            if self.added_start[usize::from(byte)]
                && let Some(token) = self.added.iter().find(|token| text[at..].starts_with(token.as_str()))
            {
                tokens += self.finish(&mut word, text, at) + 1;
                at += token.len();
                word.start = at;
                continue;
            }
            let Some(character) = text[at..].chars().next() else { break };
            let next = at + character.len_utf8();
            let alone = match self.role(character) {
                CharacterRole::Vanishes { .. } => None,
                CharacterRole::Letters { text, chars, reorder } => {
                    self.extend(&mut word, text, *chars, *reorder);
                    None
                }
                CharacterRole::Breaks => Some(0),
                CharacterRole::StandsAlone => Some(1),
            };
            if let Some(alone) = alone {
                tokens += self.finish(&mut word, text, at) + alone;
                word.start = next;
                // No added token contains this character, so none extends over the border after it.
                if !self.in_added_token(character) {
                    on_border(next, tokens);
                }
            }
            at = next;
        }
        tokens + self.finish(&mut word, text, at)
    }

    fn extend(&self, word: &mut PendingWord, text: &str, chars: usize, reorder: bool) {
        if word.chars <= self.word_chars_max {
            word.letters.extend_from_slice(text.as_bytes());
        }
        word.chars += chars;
        word.reorder |= reorder;
    }

    /// Counts the tokens of the word that ends here, and starts the next.
    fn finish(&self, word: &mut PendingWord, text: &str, end: usize) -> usize {
        let tokens = if word.chars > self.word_chars_max {
            1
        } else if word.reorder {
            self.count_reordered(&text[word.start..end])
        } else {
            self.trie.count(&word.letters)
        };
        word.letters.clear();
        word.chars = 0;
        word.reorder = false;
        tokens
    }

    /// Counts the tokens of a word with characters that may change places. Omits what vanishes, so
    /// that the crate never sees more than a few hundred characters.
    #[cold]
    fn count_reordered(&self, run: &str) -> usize {
        let mut kept = String::new();
        let mut barrier_last = false;
        for character in run.chars() {
            let barrier = match self.role(character) {
                CharacterRole::Vanishes { barrier: false } => continue,
                CharacterRole::Vanishes { barrier: true } => true,
                _ => false,
            };
            // Of adjacent barriers one is enough to keep the order.
            if !(barrier && barrier_last) {
                kept.push(character);
            }
            barrier_last = barrier;
        }
        self.trie.count(normalize_text(self.normalizer, &kept).as_bytes())
    }

    fn in_added_token(&self, character: char) -> bool {
        let mut bytes = [0; 4];
        let first = character.encode_utf8(&mut bytes).as_bytes()[0];
        self.added_bytes[usize::from(first)] && self.added.iter().any(|token| token.contains(character))
    }

    fn role(&self, character: char) -> &CharacterRole {
        let code = character as usize;
        let block = self.roles[code / BLOCK_CHARS].get_or_init(|| {
            let first = code - code % BLOCK_CHARS;
            (first..first + BLOCK_CHARS)
                .map(|code| {
                    let character = u32::try_from(code).ok().and_then(char::from_u32);
                    // Surrogates are not characters, so this role is never read.
                    character
                        .map_or(CharacterRole::Breaks, |character| character_role(self.normalizer, character))
                })
                .collect()
        });
        &block[code % BLOCK_CHARS]
    }
}

fn normalize_text(normalizer: BertNormalizer, text: &str) -> String {
    let mut string = NormalizedString::from(text);
    match normalizer.normalize(&mut string) {
        Ok(()) => string.get().to_owned(),
        // Never happens: BertNormalizer has no path that fails.
        Err(_) => text.to_owned(),
    }
}

fn character_role(normalizer: BertNormalizer, character: char) -> CharacterRole {
    let text = normalize_text(normalizer, character.encode_utf8(&mut [0; 4]));
    if text.is_empty() {
        let cleaning = BertNormalizer::new(normalizer.clean_text, false, Some(false), false);
        let survives_cleaning = !normalize_text(cleaning, character.encode_utf8(&mut [0; 4])).is_empty();
        let starter = character.nfd().any(|part| canonical_combining_class(part) == 0);
        return CharacterRole::Vanishes { barrier: survives_cleaning && starter };
    }
    // One word: a letter. Two: a separator that vanishes. Three: a token of its own in between.
    match words_between_letters(&text) {
        1 => CharacterRole::Letters {
            chars: text.chars().count(),
            reorder: text.chars().any(|letter| canonical_combining_class(letter) != 0),
            text: text.into_boxed_str(),
        },
        2 => CharacterRole::Breaks,
        _ => CharacterRole::StandsAlone,
    }
}

/// The number of words that the pre-tokeniser makes of `a…a`.
fn words_between_letters(text: &str) -> usize {
    let mut surrounded = PreTokenizedString::from(format!("a{text}a"));
    let words = BertPreTokenizer
        .pre_tokenize(&mut surrounded)
        .map(|()| surrounded.get_splits(OffsetReferential::Normalized, OffsetType::Byte).len());
    words.unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What [`BertTokenCounter`] assumes about single characters, for every character there is.
    #[test]
    fn every_character_is_letters_or_alone_and_normalises_once() {
        let normalizer = BertNormalizer::default();
        for character in char::MIN..=char::MAX {
            let text = normalize_text(normalizer, &character.to_string());
            assert_eq!(
                normalize_text(normalizer, &text).trim(),
                text.trim(),
                "{character:?} normalises twice"
            );
            if words_between_letters(&text) > 2 {
                assert_eq!(text.trim().chars().count(), 1, "{character:?} is more than one word");
            }
        }
    }
}
