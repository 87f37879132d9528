//! Words that questions have and answers need not: left out of a question before it is searched.
//!
//! They stay in the index (what the analyzer leaves out there is the language's short list), so
//! a question made of nothing else is searched with them. English only: in other languages a
//! word of this list would be a word of the question, which costs a little rank and loses nothing.

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

/// The question without those words.
pub(super) fn remove_stop_words(question: &str) -> String {
    let kept = question.split_whitespace().filter(|word| {
        let bare = word.trim_matches(|one: char| !one.is_alphanumeric()).to_lowercase();
        QUESTION_STOP_WORDS.binary_search(&bare.as_str()).is_err()
    });
    kept.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_list_is_sorted() {
        assert!(super::QUESTION_STOP_WORDS.is_sorted(), "binary search needs it");
    }
}
