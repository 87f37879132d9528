//! Converts text to terms: words in lower case, without accents, optionally stemmed and without
//! stop words.
//!
//! A word is a run of letters and digits. Ideographs, kana and hangul syllables are words by
//! themselves, because those scripts put no spaces between words. Words longer than
//! [`WORD_BYTES_MAX`] are dropped: nobody searches for them, and each would be a term.
//!
//! The term of a word depends on nothing but the word, and texts repeat their words.
//! [`MemoizingTokenizer`] therefore computes each term once and caches it, up to
//! [`CACHED_WORDS_MAX`] words. The analyzers of an index pass their caches on through a pool.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use foldhash::fast::RandomState;
use tantivy::Index;
use tantivy::tokenizer::{
    AsciiFoldingFilter, Language, LowerCaser, RawTokenizer, RemoveLongFilter, Stemmer, StopWordFilter,
    TextAnalyzer, Token, TokenStream, Tokenizer,
};

use contexture_byte_tools::byte_classes::{self, GROUP_BYTES};
use contexture_core::fault::Fault;
use contexture_core::ports::lexical::AnalyzerSettings;

/// Name of the analyzer in the schema.
pub(super) const ANALYZER_NAME: &str = "contexture";
/// Longest word that becomes a term.
pub(super) const WORD_BYTES_MAX: usize = 100;
/// Words in a cache. A full cache is cleared.
const CACHED_WORDS_MAX: usize = 1 << 16;
/// Unused caches that an index keeps.
const POOLED_CACHES_MAX: usize = 8;

/// The term of each cached word; `None` for a word without one.
type WordTermCache = HashMap<Box<str>, Option<Box<str>>, RandomState>;

pub(super) fn register_analyzer(index: &Index, analysis: &AnalyzerSettings) -> Result<(), Fault> {
    index
        .tokenizers()
        .register(ANALYZER_NAME, TextAnalyzer::from(MemoizingTokenizer::new(build_word_analyzer(analysis)?)));
    Ok(())
}

/// Builds the analyzer that makes the term of a single word.
fn build_word_analyzer(analysis: &AnalyzerSettings) -> Result<TextAnalyzer, Fault> {
    let language = parse_language(&analysis.language)?;
    let mut analyzer = TextAnalyzer::builder(RawTokenizer::default())
        .filter_dynamic(RemoveLongFilter::limit(WORD_BYTES_MAX))
        .filter_dynamic(LowerCaser);
    if analysis.stop_words
        && let Some(stop_words) = StopWordFilter::new(language)
    {
        analyzer = analyzer.filter_dynamic(stop_words);
    }
    if analysis.stem {
        analyzer = analyzer.filter_dynamic(Stemmer::new(language));
    }
    Ok(analyzer.filter_dynamic(AsciiFoldingFilter).build())
}

fn parse_language(name: &str) -> Result<Language, Fault> {
    Ok(match name {
        "arabic" => Language::Arabic,
        "danish" => Language::Danish,
        "dutch" => Language::Dutch,
        "english" => Language::English,
        "finnish" => Language::Finnish,
        "french" => Language::French,
        "german" => Language::German,
        "greek" => Language::Greek,
        "hungarian" => Language::Hungarian,
        "italian" => Language::Italian,
        "norwegian" => Language::Norwegian,
        "portuguese" => Language::Portuguese,
        "romanian" => Language::Romanian,
        "russian" => Language::Russian,
        "spanish" => Language::Spanish,
        "swedish" => Language::Swedish,
        "tamil" => Language::Tamil,
        "turkish" => Language::Turkish,
        other => {
            return Err(Fault::permanent(
                "unknown_language",
                format!("analyzer.language '{other}' is not known"),
            ));
        }
    })
}

/// Splits text into words and emits their terms. A word without a term still takes a position, so
/// that distances of phrases stay right.
struct MemoizingTokenizer {
    /// Makes the term of a word, or nothing.
    word_analyzer: TextAnalyzer,
    known: WordTermCache,
    /// Caches that no analyzer uses, shared by all clones.
    pool: Arc<Mutex<Vec<WordTermCache>>>,
    token: Token,
}

impl MemoizingTokenizer {
    fn new(word_analyzer: TextAnalyzer) -> Self {
        Self { word_analyzer, known: WordTermCache::default(), pool: Arc::default(), token: Token::default() }
    }

    /// Whether `word` has a term. If so, the token's text becomes that term.
    fn term(&mut self, word: &str) -> bool {
        self.token.text.clear();
        if word.len() > WORD_BYTES_MAX {
            return false;
        }
        if let Some(term) = self.known.get(word) {
            self.token.text.push_str(term.as_deref().unwrap_or_default());
            return term.is_some();
        }
        let mut stream = self.word_analyzer.token_stream(word);
        let found = stream.advance();
        if found {
            self.token.text.push_str(&stream.token().text);
        }
        // Cleared as a whole: an order of eviction would cost time on every look-up.
        if self.known.len() >= CACHED_WORDS_MAX {
            self.known.clear();
        }
        self.known.insert(word.into(), found.then(|| self.token.text.as_str().into()));
        found
    }
}

/// Tantivy clones the tokenizer for every use. A clone takes the cache returned last, so caches
/// need no lock while they are used.
impl Clone for MemoizingTokenizer {
    fn clone(&self) -> Self {
        let known = self.pool.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default();
        Self {
            word_analyzer: self.word_analyzer.clone(),
            known,
            pool: self.pool.clone(),
            token: Token::default(),
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
    words: WordCursor<'a>,
    terms: &'a mut MemoizingTokenizer,
}

impl Tokenizer for MemoizingTokenizer {
    type TokenStream<'a> = MemoizedTokenStream<'a>;

    fn token_stream<'a>(&'a mut self, text: &'a str) -> MemoizedTokenStream<'a> {
        self.token.reset();
        MemoizedTokenStream { words: WordCursor::new(text), terms: self }
    }
}

impl TokenStream for MemoizedTokenStream<'_> {
    fn advance(&mut self) -> bool {
        while let Some(word) = self.words.next() {
            let token = &mut self.terms.token;
            // `Token::reset` sets the position to `usize::MAX`, so that the first word wraps to 0.
            token.position = token.position.wrapping_add(1);
            (token.offset_from, token.offset_to) = (word.start, word.end);
            if self.terms.term(&self.words.text[word]) {
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

/// Iterates over the words of a text, as byte ranges.
pub(super) struct WordCursor<'a> {
    text: &'a str,
    position: usize,
}

impl<'a> WordCursor<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, position: 0 }
    }
}

impl Iterator for WordCursor<'_> {
    type Item = Range<usize>;

    #[inline]
    fn next(&mut self) -> Option<Range<usize>> {
        // Fast path. It returns nothing at the end of the text as well, which the search below finds.
        if let Some(word) = self.ascii() {
            return Some(word);
        }
        let skipped = self.text[self.position..].find(char::is_alphanumeric)?;
        let start = self.position + skipped;
        let word = &self.text[start..];
        let by_itself = word.starts_with(is_word_by_itself);
        let end = if by_itself {
            word.chars().next().map_or(0, char::len_utf8)
        } else {
            word.find(|one: char| !one.is_alphanumeric() || is_word_by_itself(one)).unwrap_or(word.len())
        };
        self.position = start + end;
        Some(start..self.position)
    }
}

impl WordCursor<'_> {
    /// The next word, if the characters before it, in it and right after it are all ASCII.
    #[inline]
    fn ascii(&mut self) -> Option<Range<usize>> {
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
        // A character beyond ASCII may belong to the word, so the slow path has to decide.
        if end == start || bytes.get(end).is_some_and(|byte| !byte.is_ascii()) {
            return None;
        }
        self.position = end;
        Some(start..end)
    }
}

/// Whether a character is a word by itself: kana, ideographs and hangul syllables, by code point.
fn is_word_by_itself(one: char) -> bool {
    matches!(u32::from(one),
        0x3040..=0x30ff | 0x3400..=0x4dbf | 0x4e00..=0x9fff | 0xac00..=0xd7a3 | 0xf900..=0xfaff | 0x20000..=0x3134f)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails where one does")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn collect_tokens(analyzer: &mut TextAnalyzer, text: &str) -> Vec<Token> {
        let mut tokens = Vec::new();
        analyzer.token_stream(text).process(&mut |token| tokens.push(token.clone()));
        tokens
    }

    const TEST_WORDS: [&str; 14] = [
        "the", "The", "running", "Runner", "naïve", "ÉCOLE", "中文", "ひら", "x1", "2024", " ", ", ", "-",
        "\u{301}",
    ];

    proptest! {
        #[test]
        fn looking_terms_up_changes_none(
            parts in proptest::collection::vec(proptest::sample::select(&TEST_WORDS[..]), 0..40),
            stem: bool,
            stop_words: bool,
            long in 95_usize..105,
        ) {
            let analysis = AnalyzerSettings { language: "english".to_owned(), stem, stop_words };
            let mut analyzer = build_word_analyzer(&analysis).unwrap();
            let mut looked_up = TextAnalyzer::from(MemoizingTokenizer::new(analyzer.clone()));
            let text = format!("{} {} {}", parts.concat(), "w".repeat(long), parts.join(" "));
            let mut expected = Vec::new();
            for (position, word) in WordCursor::new(&text).enumerate() {
                for token in collect_tokens(&mut analyzer, &text[word.clone()]) {
                    expected.push(Token { position, offset_from: word.start, offset_to: word.end, ..token });
                }
            }
            prop_assert_eq!(&collect_tokens(&mut looked_up, &text), &expected);
            // Once more, now that every word is known.
            prop_assert_eq!(&collect_tokens(&mut looked_up, &text), &expected);
        }
    }
}
