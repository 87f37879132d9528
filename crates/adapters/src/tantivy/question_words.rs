//! The words of a question, as terms of the index.
//!
//! Stop words of questions ("what", "does") are removed before a question is searched. The index
//! keeps them: the analyzer drops only the language's short list, and only if configured. So a
//! question of nothing but stop words is searched with them. The list is English only. In another
//! language one of these words may be meaningful; dropping it costs a little rank and loses no hit.
//!
//! A stop word in capitals is a name ("What does WHO say?") and stays, in capitals: it finds only texts
//! that write it so. In a question all in capitals nothing is told by them, so it is put in lower case.

use std::collections::HashSet;

use tantivy::tokenizer::TextAnalyzer;
use unicode_normalization::UnicodeNormalization;

use super::word_context::{is_apostrophe, is_apostrophe_ending};
use super::word_terms::{is_acronym, is_acronym_term};

/// Lower case and sorted, for binary search.
const QUESTION_STOP_WORDS: &[&str] = &[
    "a", "about", "above", "after", "again", "against", "all", "also", "am", "an", "and", "any", "are", "as",
    "at", "be", "because", "been", "before", "being", "below", "between", "both", "but", "by", "can",
    "could", "did", "do", "does", "doing", "down", "during", "each", "few", "for", "from", "further", "had",
    "has", "have", "having", "he", "her", "here", "hers", "him", "his", "how", "i", "if", "in", "into", "is",
    "it", "its", "just", "may", "me", "might", "more", "most", "must", "my", "no", "nor", "not", "of", "off",
    "on", "once", "only", "or", "other", "ought", "our", "out", "over", "own", "same", "say", "says",
    "shall", "she", "should", "so", "some", "such", "than", "that", "the", "their", "them", "then", "there",
    "these", "they", "this", "those", "through", "to", "too", "under", "until", "up", "upon", "us", "very",
    "was", "we", "were", "what", "when", "where", "which", "while", "who", "whom", "why", "will", "with",
    "within", "without", "would", "you", "your",
];

/// The words of a question in order, each with the terms that the index may have for it.
///
/// The snapshot uses it so: `distinct_terms` for the clauses of single words, for the terms that
/// feedback starts from, for passages and for `IndexQuestionTerms`; `distinct_pairs` for the phrases.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct QuestionWords {
    /// The terms of each word; the first is that of the whole word.
    words: Vec<Vec<String>>,
}

impl QuestionWords {
    /// Whether the question has no terms.
    pub(super) fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// The first `most` distinct terms, in order of the words. The terms of whole words come before
    /// those of parts, so that a limit drops parts first.
    pub(super) fn distinct_terms(&self, most: usize) -> Vec<String> {
        let whole = self.words.iter().filter_map(|terms| terms.first());
        let parts = self.words.iter().flat_map(|terms| terms.iter().skip(1));
        take_distinct(whole.chain(parts), most).cloned().collect()
    }

    /// The first `most` distinct pairs of different neighbouring words, by the terms of the whole words.
    pub(super) fn distinct_pairs(&self, most: usize) -> Vec<[&str; 2]> {
        let pairs = self.words.windows(2).map(|pair| [pair[0][0].as_str(), pair[1][0].as_str()]);
        take_distinct(pairs.filter(|[left, right]| left != right), most).collect()
    }
}

/// Whether a word in lower case is a stop word of questions.
pub(super) fn is_question_stop_word(word: &str) -> bool {
    QUESTION_STOP_WORDS.binary_search(&word).is_ok()
}

/// The words of a question, without stop words unless there are no others.
pub(super) fn analyze_question(analyzer: &mut TextAnalyzer, question: &str) -> QuestionWords {
    let lower =
        if question.chars().any(char::is_lowercase) { question.to_owned() } else { question.to_lowercase() };
    let words = analyze_words(analyzer, &remove_stop_words(&lower));
    let words = if words.is_empty() { analyze_words(analyzer, &lower) } else { words };
    // An index without stop words has nothing of them but the names: `IT`.
    if words.is_empty() { analyze_words(analyzer, question) } else { words }
}

fn remove_stop_words(question: &str) -> String {
    let kept = question.split_whitespace().filter(|word| {
        let word: String = word.nfkc().collect();
        let bare = word.trim_matches(|one: char| !one.is_alphanumeric());
        !is_removed(bare)
            && without_ending(bare).is_none_or(|[word, negated]| !is_removed(word) && !is_removed(negated))
    });
    kept.collect::<Vec<_>>().join(" ")
}

/// Whether a word is a stop word, and not a name in capitals.
fn is_removed(word: &str) -> bool {
    !is_acronym(word) && is_question_stop_word(&word.to_lowercase())
}

/// A word without an English ending behind an apostrophe (`what's`), and the same without the `n` of a
/// negation (`doesn't`).
fn without_ending(word: &str) -> Option<[&str; 2]> {
    let at = word.rfind(is_apostrophe)?;
    let before = &word[..at];
    let ending = word[at..].trim_start_matches(is_apostrophe);
    let negated = if ending.eq_ignore_ascii_case("t") { before.strip_suffix('n') } else { None };
    is_apostrophe_ending(ending).then_some([before, negated.unwrap_or(before)])
}

fn analyze_words(analyzer: &mut TextAnalyzer, text: &str) -> QuestionWords {
    let mut words: Vec<Vec<String>> = Vec::new();
    let mut last_position = None;
    let mut stream = analyzer.token_stream(text);
    while stream.advance() {
        let token = stream.token();
        match words.last_mut() {
            Some(terms) if last_position == Some(token.position) => {
                // A name in capitals is not also the stop word, and a part that is a stop word
                // (`getUserByEmail`) would find every text.
                let belongs = !is_acronym_term(&terms[0]) && !is_question_stop_word(&token.text);
                if belongs {
                    terms.push(token.text.clone());
                }
            }
            _ => words.push(vec![token.text.clone()]),
        }
        last_position = Some(token.position);
    }
    QuestionWords { words }
}

/// The first `most` distinct items, in order.
pub(super) fn take_distinct<T: Copy + Eq + std::hash::Hash>(
    items: impl Iterator<Item = T>,
    most: usize,
) -> impl Iterator<Item = T> {
    let mut seen = HashSet::new();
    items.filter(move |item| seen.insert(*item)).take(most)
}

#[cfg(test)]
mod tests {
    use super::super::word_tests::analyzer;
    use super::*;

    fn terms(question: &str) -> Vec<String> {
        analyze_question(&mut analyzer("english", true, false), question).distinct_terms(512)
    }

    #[test]
    fn the_list_is_sorted() {
        assert!(QUESTION_STOP_WORDS.is_sorted(), "binary search needs it");
    }

    #[test]
    fn stop_words_go_and_names_stay() {
        for (question, expected) in [
            ("What does WHO say about washing?", vec!["WHO", "wash"]),
            ("Where is the IT desk?", vec!["IT", "desk"]),
            ("Where is the US office?", vec!["US", "offic"]),
            ("WHERE IS THE OFFICE", vec!["offic"]),
            ("who is who", vec!["who", "is"]),
            ("WHO", vec!["who"]),
            ("What's the company’s name, and doesn't it matter?", vec!["compani", "name", "matter"]),
            ("IT's desk", vec!["IT", "desk"]),
            ("getUserByEmail", vec!["getuserbyemail", "get", "user", "email"]),
            ("costs of 1,234 items", vec!["cost", "1", "234", "item", "1234"]),
        ] {
            assert_eq!(terms(question), expected, "{question}");
        }
    }

    #[test]
    fn a_name_alone_is_searched_where_stop_words_are_left_out() {
        let asked = |question: &str| {
            analyze_question(&mut analyzer("english", true, true), question).distinct_terms(8)
        };
        assert_eq!(asked("IT"), ["IT"]);
        assert_eq!(asked("it"), [""; 0]);
    }

    #[test]
    fn pairs_are_of_whole_words() {
        let words = analyze_question(
            &mut analyzer("english", false, false),
            "call getUser twice twice, call getUser",
        );
        assert_eq!(words.distinct_pairs(8), [["call", "getuser"], ["getuser", "twice"], ["twice", "call"]]);
        assert_eq!(words.distinct_pairs(1).len(), 1);
        assert!(!words.is_empty());
    }
}
