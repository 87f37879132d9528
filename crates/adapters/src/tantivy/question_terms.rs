//! Finds the terms of a question in texts, with the analyzer of the index.
//!
//! Each distinct word is analysed once for all texts. A word is skipped when it starts with an
//! ASCII character that no term starts with. This is exact: stemmers of languages in the Latin
//! script keep the first letter, and apart from lower-casing nothing maps one ASCII letter to
//! another.

use std::collections::HashMap;

use foldhash::fast::RandomState;
use tantivy::tokenizer::{TextAnalyzer, TokenStream};

use super::analyzer::WordCursor;
use contexture_byte_tools::byte_classes::{self, BLOCK_BYTES, RunByteMasks};
use contexture_byte_tools::direct_mapped_cache::DirectMappedCache;
use contexture_core::ports::lexical::QuestionTerms;

/// Slots of the cache of words. Few distinct words of a hundred passages start like a term.
const WORD_CACHE_SLOTS: usize = 1024;
/// Number of words that are no term of the question.
const NOT_A_QUESTION_TERM: u32 = u32::MAX;

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
        for first in terms.iter().filter_map(|term| term.bytes().next()) {
            starts[usize::from(first)] = true;
            starts[usize::from(first.to_ascii_uppercase())] = true;
        }
        Self { numbers: terms.into_iter().zip(0..).collect(), starts, analyzer }
    }

    fn number(&self, analyzer: &mut TextAnalyzer, word: &str) -> u32 {
        let mut stream = analyzer.token_stream(word);
        let term = stream.advance().then(|| self.numbers.get(stream.token().text.as_str()).copied());
        term.flatten().unwrap_or(NOT_A_QUESTION_TERM)
    }
}

impl QuestionTerms for IndexQuestionTerms {
    fn count(&self) -> usize {
        self.numbers.len()
    }

    fn find(&self, texts: &[&str], found: &mut dyn FnMut(usize, usize, usize)) {
        let mut analyzer = self.analyzer.clone();
        let mut known: HashMap<&str, u32, RandomState> = HashMap::default();
        let mut word_cache = DirectMappedCache::new(WORD_CACHE_SLOTS);
        for (text, number) in texts.iter().copied().zip(0..) {
            let mut look_up = |start: usize, end: usize| {
                let word = &text[start..end];
                // Words are not empty, so there is a first byte.
                if !self.starts[usize::from(word.as_bytes()[0])] {
                    return;
                }
                let term = word_cache.get_or(&text.as_bytes()[start..], end - start, || {
                    *known.entry(word).or_insert_with(|| self.number(&mut analyzer, word))
                });
                if term != NOT_A_QUESTION_TERM {
                    found(number, start, term as usize);
                }
            };
            // Words end at ASCII punctuation and spaces, so a run between two of these holds whole
            // words. Runs of ASCII alone are one word each; the others need the cursor.
            byte_classes::for_each_run(text.as_bytes(), classify_block, |start, end, beyond_ascii| {
                if beyond_ascii {
                    for word in WordCursor::new(&text[start..end]) {
                        look_up(start + word.start, start + word.end);
                    }
                } else {
                    look_up(start, end);
                }
            });
        }
    }
}

/// Masks of the bytes inside runs: ASCII letters, digits and all bytes beyond ASCII. The latter are
/// marked.
#[inline]
fn classify_block(block: &[u8; BLOCK_BYTES]) -> RunByteMasks {
    let marked = byte_classes::block_mask(block, |byte| byte >= 0x80);
    let is_ascii_word = |byte: u8| (byte.wrapping_sub(b'0') < 10) | ((byte | 0x20).wrapping_sub(b'a') < 26);
    RunByteMasks { inside: byte_classes::block_mask(block, is_ascii_word) | marked, starting: 0, marked }
}
