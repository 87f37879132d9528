//! A question's terms are found in a text where they are found in each of its words alone.

use std::sync::{Arc, LazyLock};

use contexture_adapters::tantivy::TantivyIndex;
use contexture_core::ports::lexical::{AnalyzerSettings, LexicalIndex, QuestionTerms};
use proptest::prelude::*;

const QUESTION: &str = "How do Queues commit naïve größe 数据库 v2 and übers Straße?";
const WORDS: [&str; 18] = [
    "queue",
    "queues",
    "QUEUES",
    "commits",
    "committed",
    "naïve",
    "naive",
    "Größe",
    "GRÖSSE",
    "v2",
    "v",
    "über",
    "strasse",
    "Straße",
    "the",
    "unrelated",
    "a_very_long_word_that_goes_over_the_border_of_a_block_of_bytes",
    "x",
];
const BETWEEN: [&str; 8] = [" ", ", ", "\n\n", "-", ". ", " (", "\u{a0}", " — "];

static TERMS: LazyLock<Arc<dyn QuestionTerms>> = LazyLock::new(|| {
    let analysis = AnalyzerSettings { language: "english".to_owned(), stem: true, stop_words: true };
    let index = TantivyIndex::in_ram(&analysis).unwrap();
    index.snapshot().question_terms(QUESTION).unwrap().unwrap()
});

fn found(texts: &[&str]) -> Vec<(usize, usize, usize)> {
    let mut found = Vec::new();
    TERMS.find(texts, &mut |text, start, term| found.push((text, start, term)));
    found
}

proptest! {
    #[test]
    fn terms_of_a_text_are_those_of_its_words(
        texts in prop::collection::vec(prop::collection::vec((0..WORDS.len(), 0..BETWEEN.len()), 0..60), 1..4),
    ) {
        let (mut whole, mut expected) = (Vec::new(), Vec::new());
        for (number, words) in texts.iter().enumerate() {
            let mut text = String::new();
            for (word, between) in words {
                let alone = found(&[WORDS[*word]]);
                expected.extend(alone.into_iter().map(|(_, start, term)| (number, text.len() + start, term)));
                text.push_str(WORDS[*word]);
                text.push_str(BETWEEN[*between]);
            }
            whole.push(text);
        }
        let texts: Vec<&str> = whole.iter().map(String::as_str).collect();
        prop_assert_eq!(found(&texts), expected);
    }
}

#[test]
fn words_that_are_terms_are_told_from_others() {
    let is_term = |word: &str| !found(&[word]).is_empty();
    for word in ["queue", "QUEUES", "commits", "naïve", "Größe", "v2"] {
        assert!(is_term(word), "{word}");
    }
    for word in ["v", "x", "unrelated", "the"] {
        assert!(!is_term(word), "{word}");
    }
}
