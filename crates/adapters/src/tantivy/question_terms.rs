//! Finds the terms of a question in texts, with the analyzer of the index.
//!
//! Each distinct word is analysed once for all texts. A word of ASCII letters, lower-case ones behind
//! the first, or of digits alone is skipped when it starts as no term does. This is exact: such a
//! word has one term; stemmers of languages in the Latin script keep the first letter, but for the
//! Dutch one, which drops `ge`; and apart from lower-casing nothing maps one ASCII letter to another.
//!
//! Texts are read in runs between ASCII punctuation and spaces. A word that continues behind these
//! (`infor-⏎mation`, `1,234`) is found by its pieces only, and an ending that an ASCII apostrophe cuts
//! off (`don't`) is a word.

use std::collections::HashMap;

use foldhash::fast::RandomState;
use tantivy::tokenizer::{TextAnalyzer, TokenStream};

use super::word_context;
use super::word_cursor::WordCursor;
use super::word_terms::{WORD_BYTES_MAX, is_simple};
use contexture_byte_tools::byte_classes::{self, BLOCK_BYTES, RunByteMasks};
use contexture_byte_tools::direct_mapped_cache::DirectMappedCache;
use contexture_core::ports::lexical::QuestionTerms;

/// Slots of the cache of words. Few distinct words of a hundred passages start like a term.
const WORD_CACHE_SLOTS: usize = 1024;

/// The distinct terms of a question, numbered, and the analyzer that made them.
pub(super) struct IndexQuestionTerms {
    numbers: HashMap<String, u32, RandomState>,
    /// By byte: whether a word that starts with it can be a term.
    starts: [bool; 256],
    analyzer: TextAnalyzer,
}

impl IndexQuestionTerms {
    /// Numbers the terms, which must be distinct.
    pub(super) fn new(terms: Vec<String>, analyzer: TextAnalyzer) -> Self {
        let mut starts = [false; 256];
        // Folding can turn any other character into an ASCII letter, so no such word is skipped.
        starts[128..].fill(true);
        // The Dutch stemmer may leave any letter behind `ge`.
        for first in terms.iter().filter_map(|term| term.bytes().next()).chain([b'g']) {
            starts[usize::from(first.to_ascii_lowercase())] = true;
            starts[usize::from(first.to_ascii_uppercase())] = true;
        }
        Self { numbers: terms.into_iter().zip(0..).collect(), starts, analyzer }
    }

    /// Whether a word cannot have a term of the question, to judge by its first letter.
    #[inline]
    fn is_skipped(&self, word: &str) -> bool {
        // Words are not empty, so there is a first byte.
        !self.starts[usize::from(word.as_bytes()[0])] && (is_simple(word) || is_number(word))
    }
}

/// Looks words up, each distinct one once.
struct QuestionWordFinder<'a> {
    terms: &'a IndexQuestionTerms,
    analyzer: TextAnalyzer,
    /// The lists of each known word.
    known: HashMap<Box<str>, u32, RandomState>,
    cache: DirectMappedCache<u32>,
    /// Terms of words that are in the question, by number; the first list is that of all other words.
    lists: Vec<Vec<u32>>,
}

impl<'a> QuestionWordFinder<'a> {
    fn new(terms: &'a IndexQuestionTerms) -> Self {
        Self {
            terms,
            analyzer: terms.analyzer.clone(),
            known: HashMap::default(),
            cache: DirectMappedCache::new(WORD_CACHE_SLOTS),
            lists: vec![Vec::new()],
        }
    }

    /// The terms of the question that a word has. It starts the bytes of `text`, and is `length` long.
    #[inline]
    fn find(&mut self, text: &str, length: usize) -> &[u32] {
        let Self { terms, analyzer, known, cache, lists } = self;
        let list = cache.get_or(text.as_bytes(), length, || {
            let word = &text[..length];
            if let Some(list) = known.get(word) {
                return *list;
            }
            let mut numbers = Vec::new();
            analyzer.token_stream(word).process(&mut |token| {
                numbers.extend(terms.numbers.get(token.text.as_str()));
            });
            let list = if numbers.is_empty() {
                0
            } else {
                lists.push(numbers);
                u32::try_from(lists.len() - 1).unwrap_or(0)
            };
            known.insert(word.into(), list);
            list
        });
        &lists[list as usize]
    }

    /// The term of the question that a word has as its main one.
    fn find_main(&mut self, word: &str) -> Option<u32> {
        let mut stream = self.analyzer.token_stream(word);
        stream.advance().then(|| self.terms.numbers.get(stream.token().text.as_str()).copied()).flatten()
    }

    /// Calls back with the start and the number of every term in a run with characters beyond ASCII.
    fn find_in_run(&mut self, run: &str, found: &mut dyn FnMut(usize, u32)) {
        let mut words = WordCursor::new(run);
        let mut previous = None;
        while let Some(place) = words.next_word() {
            let word = words.word_text(&place);
            let previous = previous.replace(place);
            if word_context::is_cut_ending(run, previous, &place, word) {
                continue;
            }
            let mut at_word = &[][..];
            if !self.terms.is_skipped(word) {
                at_word = self.find(word, word.len());
                for number in at_word {
                    found(place.start, *number);
                }
            }
            if let Some(joined) = word_context::joined_word(run, &place, word) {
                let at_word = at_word.to_vec();
                let main = self.find_main(&joined).filter(|main| !at_word.contains(main));
                if let Some(number) = main {
                    found(place.start, number);
                }
            }
        }
    }
}

impl QuestionTerms for IndexQuestionTerms {
    fn count(&self) -> usize {
        self.numbers.len()
    }

    fn find(&self, texts: &[&str], found: &mut dyn FnMut(usize, usize, usize)) {
        let mut finder = QuestionWordFinder::new(self);
        for (number, text) in texts.iter().copied().enumerate() {
            // Words end at ASCII punctuation and spaces, so a run between two of these holds whole
            // words. Runs of ASCII alone are one word each; the others need the cursor.
            byte_classes::for_each_run(text.as_bytes(), classify_block, |start, end, marked| {
                let run = &text[start..end];
                let first = run.as_bytes()[0];
                // Lower-case letters alone, the most common case.
                if !marked && !self.starts[usize::from(first)] && run.len() <= WORD_BYTES_MAX {
                    return;
                }
                if marked && self.is_skipped(run) {
                    return;
                }
                if marked && !run.is_ascii() {
                    finder.find_in_run(run, &mut |at, term| found(number, start + at, term as usize));
                } else {
                    finder
                        .find(&text[start..], run.len())
                        .iter()
                        .for_each(|term| found(number, start, *term as usize));
                }
            });
        }
    }
}

/// Whether a word is of ASCII digits alone: it has itself as its one term.
fn is_number(word: &str) -> bool {
    word.len() <= WORD_BYTES_MAX && word.bytes().all(|byte| byte.is_ascii_digit())
}

/// Masks of the bytes inside runs: ASCII letters, digits and all bytes beyond ASCII. All but lower-case
/// letters are marked.
#[inline]
fn classify_block(block: &[u8; BLOCK_BYTES]) -> RunByteMasks {
    let is_ascii_word = |byte: u8| (byte.wrapping_sub(b'0') < 10) | ((byte | 0x20).wrapping_sub(b'a') < 26);
    let beyond_ascii = byte_classes::block_mask(block, |byte| byte >= 0x80);
    let inside = byte_classes::block_mask(block, is_ascii_word) | beyond_ascii;
    let lower = byte_classes::block_mask(block, |byte| byte.wrapping_sub(b'a') < 26);
    RunByteMasks { inside, starting: 0, marked: inside & !lower }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::super::word_tests::{ANY_SCRIPTS, LANGUAGES, analyzer};
    use super::*;

    /// Text, place and term of everything that a full analysis of each run finds.
    fn find_expected(
        analyzer: &mut TextAnalyzer,
        texts: &[&str],
        terms: &[String],
    ) -> Vec<(usize, usize, usize)> {
        let mut expected = Vec::new();
        for (number, text) in texts.iter().enumerate() {
            let is_run = |byte: u8| byte.is_ascii_alphanumeric() || byte >= 0x80;
            let mut at = 0;
            while at < text.len() {
                let length = text[at..].bytes().take_while(|byte| is_run(*byte)).count();
                analyzer.token_stream(&text[at..at + length]).process(&mut |token| {
                    if let Some(term) = terms.iter().position(|term| *term == token.text) {
                        expected.push((number, at + token.offset_from, term));
                    }
                });
                at += length.max(1);
            }
        }
        expected
    }

    fn compare(analyzer: &mut TextAnalyzer, texts: &[&str], asked: &str) {
        let mut terms = BTreeSet::new();
        analyzer.token_stream(asked).process(&mut |token| {
            terms.insert(token.text.clone());
        });
        let terms: Vec<String> = terms.into_iter().collect();
        let mut found = Vec::new();
        let question = IndexQuestionTerms::new(terms.clone(), analyzer.clone());
        question.find(texts, &mut |text, at, term| found.push((text, at, term)));
        assert_eq!(question.count(), terms.len());
        assert_eq!(found, find_expected(analyzer, texts, &terms), "{asked:?} in {texts:?}");
    }

    #[test]
    fn terms_are_found_by_words_and_parts() {
        let mut analyzer = analyzer("english", true, false);
        let texts = ["Call getUserByEmail, 500mg; WHO? who", "résumé don’t 9f8e7d6c5b4a ภาษาไทย 1’234"];
        for asked in ["user email mg", "WHO", "resume t", "9f8e7d6", "ษาไ 1234"] {
            compare(&mut analyzer, &texts, asked);
        }
    }

    proptest! {
        #[test]
        fn finds_what_a_full_analysis_finds(text in ANY_SCRIPTS, other in "[a-cA-C1-3 ]{0,30}", asked in ANY_SCRIPTS, language in 0..LANGUAGES.len()) {
            let mut analyzer = analyzer(LANGUAGES[language], true, false);
            let both = format!("{text} {asked}");
            compare(&mut analyzer, &[&text, &other, &both, &text], &asked);
            compare(&mut analyzer, &[&text, &other, &both], &other);
        }

        #[test]
        fn stems_start_as_their_words(word in "[a-z]{1,12}", language in 0..LANGUAGES.len()) {
            let mut analyzer = analyzer(LANGUAGES[language], true, false);
            let mut stream = analyzer.token_stream(&word);
            prop_assert!(stream.advance());
            let term = &stream.token().text;
            prop_assert!(term.as_bytes()[0] == word.as_bytes()[0] || word.starts_with("ge"), "{word} {term}");
            prop_assert!(!stream.advance());
        }
    }
}
