//! The terms of one question, found in texts by the analyzer of the index.
//!
//! A word is analysed once for all texts. Words that start with another ASCII character than
//! every term are not looked at: stemmers of the languages that are written in it leave the
//! first letter as it is, and nothing else makes one ASCII letter another but lower case.

use std::collections::HashMap;

use foldhash::fast::RandomState;
use tantivy::tokenizer::{TextAnalyzer, TokenStream};

use super::analyzer::WordCursor;
use crate::ports::lexical::QuestionTerms;

/// Distinct terms and the analyzer that made them.
pub(super) struct IndexTerms {
    numbers: HashMap<String, usize, RandomState>,
    /// By byte: whether a word that starts with it can be a term.
    starts: [bool; 256],
    analyzer: TextAnalyzer,
}

impl IndexTerms {
    /// `terms` are distinct.
    pub(super) fn new(terms: Vec<String>, analyzer: TextAnalyzer) -> Self {
        let mut starts = [false; 256];
        starts[128..].fill(true);
        for first in terms.iter().filter_map(|term| term.bytes().next()) {
            starts[usize::from(first)] = true;
            starts[usize::from(first.to_ascii_uppercase())] = true;
        }
        Self { numbers: terms.into_iter().zip(0..).collect(), starts, analyzer }
    }

    fn number(&self, analyzer: &mut TextAnalyzer, word: &str) -> Option<usize> {
        let mut stream = analyzer.token_stream(word);
        stream.advance().then(|| self.numbers.get(stream.token().text.as_str()).copied()).flatten()
    }
}

impl QuestionTerms for IndexTerms {
    fn count(&self) -> usize {
        self.numbers.len()
    }

    fn find(&self, texts: &[&str], found: &mut dyn FnMut(usize, usize, usize)) {
        let mut analyzer = self.analyzer.clone();
        let mut known: HashMap<&str, Option<usize>, RandomState> = HashMap::default();
        for (text, number) in texts.iter().zip(0..) {
            for span in WordCursor::new(text) {
                if !self.starts[usize::from(text.as_bytes()[span.start])] {
                    continue;
                }
                let word = &text[span.clone()];
                let term = *known.entry(word).or_insert_with(|| self.number(&mut analyzer, word));
                if let Some(term) = term {
                    found(number, span.start, term);
                }
            }
        }
    }
}
