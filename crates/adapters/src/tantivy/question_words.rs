//! The words of a question, as terms of the index.
//!
//! Stop words of questions ("what", "does") are removed before a question is searched. The index
//! keeps them: the analyzer drops only the language's short list, and only if configured. So a
//! question of nothing but stop words is searched with them. The list is English only. In another
//! language character of these words may be meaningful; dropping it costs a little rank and loses no hit.

use std::collections::HashSet;

use tantivy::tokenizer::TextAnalyzer;

/// Lower case and sorted, for binary search.
const QUESTION_STOP_WORDS: &[&str] = &[
    "a", "about", "above", "after", "again", "against", "all", "also", "am", "an", "and", "any", "are", "as",
    "at", "be", "because", "been", "before", "being", "below", "between", "both", "but", "by", "can",
    "could", "did", "do", "does", "doing", "down", "during", "each", "few", "for", "from", "further", "had",
    "has", "have", "having", "he", "her", "here", "hers", "him", "his", "how", "i", "if", "in", "into", "is",
    "it", "its", "just", "may", "me", "might", "more", "most", "must", "my", "no", "nor", "not", "of", "off",
    "on", "once", "only", "or", "other", "ought", "our", "out", "over", "own", "same", "shall", "she",
    "should", "so", "some", "such", "than", "that", "the", "their", "them", "then", "there", "these", "they",
    "this", "those", "through", "to", "too", "under", "until", "up", "upon", "very", "was", "we", "were",
    "what", "when", "where", "which", "while", "who", "whom", "why", "will", "with", "within", "without",
    "would", "you", "your",
];

fn remove_stop_words(question: &str) -> String {
    let kept = question.split_whitespace().filter(|word| {
        let bare = word.trim_matches(|character: char| !character.is_alphanumeric()).to_lowercase();
        QUESTION_STOP_WORDS.binary_search(&bare.as_str()).is_err()
    });
    kept.collect::<Vec<_>>().join(" ")
}

/// The words of a question in order, as terms, without stop words unless there are no others.
pub(super) fn analyze_question(analyzer: &mut TextAnalyzer, question: &str) -> Vec<String> {
    let words = analyze_words(analyzer, &remove_stop_words(question));
    if words.is_empty() { analyze_words(analyzer, question) } else { words }
}

fn analyze_words(analyzer: &mut TextAnalyzer, text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut stream = analyzer.token_stream(text);
    while stream.advance() {
        words.push(stream.token().text.clone());
    }
    // Folding can leave nothing of a word.
    words.retain(|word| !word.is_empty());
    words
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
    #[test]
    fn the_list_is_sorted() {
        assert!(super::QUESTION_STOP_WORDS.is_sorted(), "binary search needs it");
    }
}
