//! Converts text to terms, for the index and for questions alike.
//!
//! [`WordCursor`] finds the words, [`WordTermMaker`] makes their terms, and [`word_context`] knows what
//! depends on the text around a word. Every word takes one position, whether it has no term, one, or
//! several, so that distances of phrases stay right. A word that continues behind a line's end, or a
//! number in groups, has the term of the whole beside that of its first piece.
//!
//! The terms of a word depend on nothing but the word, and texts repeat their words.
//! [`MemoizingTokenizer`] therefore computes them once and caches them, up to [`CACHED_WORDS_MAX`]
//! words. The analyzers of an index pass their caches on through a pool.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use foldhash::fast::RandomState;
use tantivy::Index;
use tantivy::tokenizer::{TextAnalyzer, Token, TokenStream, Tokenizer};

use super::word_context;
use super::word_cursor::{Word, WordCursor};
use super::word_terms::{WORD_BYTES_MAX, WordTermMaker};
use contexture_core::fault::Fault;
use contexture_core::ports::lexical::AnalyzerSettings;

/// Name of the analyzer in the schema, with the version of its terms behind the hyphen. Raised when a word of any
/// text has other terms than before: then an index is built anew.
pub(super) const ANALYZER_NAME: &str = "contexture-2";
/// The name before there were versions.
const FIRST_ANALYZER_NAME: &str = "contexture";
/// Words in a cache. A full cache is cleared.
const CACHED_WORDS_MAX: usize = 1 << 16;
/// Unused caches that an index keeps.
const POOLED_CACHES_MAX: usize = 8;

/// The terms of each cached word.
type WordTermCache = HashMap<Box<str>, CachedWordTerms, RandomState>;

/// The terms of a word. Nearly all words have one.
#[derive(Debug)]
enum CachedWordTerms {
    One(Box<str>),
    /// Any other number of terms, the main one first.
    Others(Box<[Box<str>]>),
}

impl CachedWordTerms {
    fn new(terms: Vec<String>) -> Self {
        let mut terms: Vec<Box<str>> = terms.into_iter().map(String::into_boxed_str).collect();
        match (terms.pop(), terms.is_empty()) {
            (Some(only), true) => Self::One(only),
            (last, _) => Self::Others(terms.into_iter().chain(last).collect()),
        }
    }

    fn as_slice(&self) -> &[Box<str>] {
        match self {
            Self::One(term) => std::slice::from_ref(term),
            Self::Others(terms) => terms,
        }
    }
}

/// Whether an analyzer of this name was that of an older program.
pub(super) fn is_older_analyzer(name: &str) -> bool {
    let version = |name: &str| match name.strip_prefix(FIRST_ANALYZER_NAME) {
        Some("") => Some(1),
        Some(rest) => rest.strip_prefix('-').and_then(|version| version.parse::<u32>().ok()),
        None => None,
    };
    version(name) < version(ANALYZER_NAME) && version(name).is_some()
}

pub(super) fn register_analyzer(index: &Index, analysis: &AnalyzerSettings) -> Result<(), Fault> {
    index.tokenizers().register(ANALYZER_NAME, build_analyzer(analysis)?);
    Ok(())
}

/// Builds the analyzer of an index. Its clones share the pool of caches.
pub(super) fn build_analyzer(analysis: &AnalyzerSettings) -> Result<TextAnalyzer, Fault> {
    Ok(TextAnalyzer::from(MemoizingTokenizer::new(WordTermMaker::new(analysis)?)))
}

/// Splits text into words and emits their terms.
struct MemoizingTokenizer {
    maker: WordTermMaker,
    known: WordTermCache,
    /// Caches that no analyzer uses, shared by all clones.
    pool: Arc<Mutex<Vec<WordTermCache>>>,
    token: Token,
    /// Terms of the current word that are still to come, the next one last.
    waiting: Vec<String>,
}

impl MemoizingTokenizer {
    fn new(maker: WordTermMaker) -> Self {
        Self {
            maker,
            known: WordTermCache::default(),
            pool: Arc::default(),
            token: Token::default(),
            waiting: Vec::new(),
        }
    }

    /// Whether `word` has a term. If so, the token's text becomes its first one, and the others wait.
    #[inline]
    fn load_terms(&mut self, word: &str) -> bool {
        self.token.text.clear();
        match self.known.get(word) {
            Some(CachedWordTerms::One(term)) => {
                self.token.text.push_str(term);
                true
            }
            Some(CachedWordTerms::Others(terms)) => load_several(terms, &mut self.token, &mut self.waiting),
            None => self.make_terms(word),
        }
    }

    /// The same for a word that is not known.
    #[cold]
    fn make_terms(&mut self, word: &str) -> bool {
        let terms = CachedWordTerms::new(self.maker.word_terms(word));
        let found = load_several(terms.as_slice(), &mut self.token, &mut self.waiting);
        if word.len() <= WORD_BYTES_MAX {
            // Cleared as a whole: an order of eviction would cost time on every look-up.
            if self.known.len() >= CACHED_WORDS_MAX {
                self.known.clear();
            }
            self.known.insert(word.into(), terms);
        }
        found
    }

    /// Adds the main term of a word that continues behind this one. Returns whether there is a term.
    #[cold]
    fn load_joined(&mut self, found: bool, joined: &str) -> bool {
        let Some(term) = self.maker.word_terms(joined).into_iter().next() else { return found };
        if !found {
            self.token.text = term;
        } else if self.token.text != term && !self.waiting.contains(&term) {
            self.waiting.insert(0, term);
        }
        true
    }
}

/// Makes the first term the token's text and lets the others wait. Returns whether there is one.
fn load_several(terms: &[Box<str>], token: &mut Token, waiting: &mut Vec<String>) -> bool {
    let Some((first, others)) = terms.split_first() else { return false };
    token.text.push_str(first);
    waiting.extend(others.iter().rev().map(ToString::to_string));
    true
}

/// Tantivy clones the tokenizer for every use. A clone takes the cache returned last, so caches
/// need no lock while they are used.
impl Clone for MemoizingTokenizer {
    fn clone(&self) -> Self {
        let known = self.pool.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default();
        Self {
            maker: self.maker.clone(),
            known,
            pool: self.pool.clone(),
            token: Token::default(),
            waiting: Vec::new(),
        }
    }
}

impl Drop for MemoizingTokenizer {
    fn drop(&mut self) {
        let mut pool = self.pool.lock().unwrap_or_else(PoisonError::into_inner);
        // An empty cache is worth nothing, and the pool must not grow with the concurrency of a burst.
        if pool.len() < POOLED_CACHES_MAX && !self.known.is_empty() {
            pool.push(std::mem::take(&mut self.known));
        }
    }
}

struct MemoizedTokenStream<'a> {
    text: &'a str,
    words: WordCursor<'a>,
    /// The word before.
    previous: Option<Word>,
    terms: &'a mut MemoizingTokenizer,
}

impl Tokenizer for MemoizingTokenizer {
    type TokenStream<'a> = MemoizedTokenStream<'a>;

    fn token_stream<'a>(&'a mut self, text: &'a str) -> MemoizedTokenStream<'a> {
        self.token.reset();
        self.waiting.clear();
        MemoizedTokenStream { text, words: WordCursor::new(text), previous: None, terms: self }
    }
}

impl TokenStream for MemoizedTokenStream<'_> {
    fn advance(&mut self) -> bool {
        if let Some(term) = self.terms.waiting.pop() {
            self.terms.token.text = term;
            return true;
        }
        while let Some(place) = self.words.next_word() {
            let token = &mut self.terms.token;
            // `Token::reset` sets the position to `usize::MAX`, so that the first word wraps to 0.
            token.position = token.position.wrapping_add(1);
            (token.offset_from, token.offset_to) = (place.start, place.end);
            let word = self.words.word_text(&place);
            let previous = self.previous.replace(place);
            if word_context::is_cut_ending(self.text, previous, &place, word) {
                continue;
            }
            let mut found = self.terms.load_terms(word);
            if word_context::may_be_joined(self.text, &place)
                && let Some(joined) = word_context::joined_word(self.text, &place, word)
            {
                found = self.terms.load_joined(found, &joined);
            }
            if found {
                return true;
            }
        }
        false
    }

    fn token(&self) -> &Token {
        &self.terms.token
    }

    fn token_mut(&mut self) -> &mut Token {
        &mut self.terms.token
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails where one does")]
mod tests {
    use proptest::prelude::*;
    use unicode_normalization::UnicodeNormalization;

    use super::super::word_characters::is_compatibility_number;
    use super::super::word_tests::{ANY_SCRIPTS, analyzer, terms_with_positions};
    use super::*;

    const TEST_WORDS: [&str; 20] = [
        "the",
        "The",
        "running",
        "Runner",
        "naïve",
        "ÉCOLE",
        "中文",
        "ひら",
        "x1",
        "2024",
        " ",
        ", ",
        "-",
        "\u{301}",
        "camelCase",
        "WHO",
        "don't",
        "ภาษา",
        "1,234",
        "9f8e7d6c5b",
    ];

    /// The tokens by definition, without caches.
    fn collect_expected(maker: &mut WordTermMaker, text: &str) -> Vec<(usize, usize, usize, String)> {
        let mut words = WordCursor::new(text);
        let (mut expected, mut position, mut previous) = (Vec::new(), 0, None);
        while let Some(word) = words.next_word() {
            let written = words.word_text(&word).to_owned();
            if !word_context::is_cut_ending(text, previous, &word, &written) {
                let mut terms = maker.word_terms(&written);
                if let Some(joined) = word_context::joined_word(text, &word, &written) {
                    let main = maker.word_terms(&joined).into_iter().next();
                    terms.extend(main.filter(|main| !terms.contains(main)));
                }
                expected.extend(terms.into_iter().map(|term| (position, word.start, word.end, term)));
            }
            previous = Some(word);
            position += 1;
        }
        expected
    }

    fn collect_tokens(analyzer: &mut TextAnalyzer, text: &str) -> Vec<(usize, usize, usize, String)> {
        let mut tokens = Vec::new();
        analyzer.token_stream(text).process(&mut |token| {
            tokens.push((token.position, token.offset_from, token.offset_to, token.text.clone()));
        });
        tokens
    }

    #[test]
    fn pieces_of_words_stand_where_they_are_written() {
        let mut analyzer = analyzer("english", true, false);
        for (text, expected) in [
            ("don't go", vec![(0, "don"), (2, "go")]),
            ("the company’s rules", vec![(0, "the"), (1, "compani"), (3, "rule")]),
            ("l'eau d'or", vec![(0, "l"), (1, "eau"), (2, "d"), (3, "or")]),
            ("infor-\nmation here", vec![(0, "infor"), (0, "inform"), (1, "mation"), (2, "here")]),
            ("1,234 items", vec![(0, "1"), (0, "1234"), (1, "234"), (2, "item")]),
            ("the WHO says", vec![(0, "the"), (1, "WHO"), (1, "who"), (2, "say")]),
            ("ERR_CONN-1042", vec![(0, "err"), (1, "conn"), (2, "1042")]),
        ] {
            let found = terms_with_positions(&mut analyzer, text);
            let found: Vec<(usize, &str)> =
                found.iter().map(|(position, term)| (*position, term.as_str())).collect();
            assert_eq!(found, expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn looking_terms_up_changes_none(
            parts in proptest::collection::vec(proptest::sample::select(&TEST_WORDS[..]), 0..40),
            stem: bool,
            stop_words: bool,
            long in 95_usize..105,
        ) {
            let analysis = AnalyzerSettings { language: "english".to_owned(), stem, stop_words };
            let mut maker = WordTermMaker::new(&analysis).unwrap();
            let mut looked_up = build_analyzer(&analysis).unwrap();
            let text = format!("{} {} {}", parts.concat(), "w".repeat(long), parts.join(" "));
            let expected = collect_expected(&mut maker, &text);
            prop_assert_eq!(&collect_tokens(&mut looked_up, &text), &expected);
            // Once more, now that every word is known.
            prop_assert_eq!(&collect_tokens(&mut looked_up, &text), &expected);
        }

        #[test]
        fn texts_that_are_composed_otherwise_have_the_same_terms(text in ANY_SCRIPTS, stem: bool) {
            let mut analyzer = analyzer("english", stem, false);
            let terms = terms_with_positions(&mut analyzer, &text);
            let composed: String = text.nfc().collect();
            let decomposed: String = text.nfd().collect();
            prop_assert_eq!(&terms_with_positions(&mut analyzer, &composed), &terms);
            prop_assert_eq!(&terms_with_positions(&mut analyzer, &decomposed), &terms);
            // What NFKC would make of these is another text.
            let is_special = |one| {
                matches!(one, '™' | '℠' | '\u{a0}' | '\u{2009}' | '\u{202f}') || is_compatibility_number(one)
            };
            if !text.chars().any(is_special) {
                let normal: String = text.nfkc().collect();
                prop_assert_eq!(&terms_with_positions(&mut analyzer, &normal), &terms);
            }
        }
    }
}
