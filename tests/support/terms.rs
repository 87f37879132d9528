//! The words of a question, found in texts as they stand.

use contexture_core::ports::lexical::QuestionTerms;

/// Lower-cased words.
pub(crate) struct WordTerms(Vec<String>);

impl WordTerms {
    pub(crate) fn of(question: &str) -> Self {
        let mut words: Vec<String> = words(question).map(|(_, word)| word.to_lowercase()).collect();
        words.sort();
        words.dedup();
        Self(words)
    }
}

fn words(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let start = text.as_ptr() as usize;
    let apart = |one: char| !one.is_alphanumeric();
    text.split(apart).filter(|word| !word.is_empty()).map(move |word| (word.as_ptr() as usize - start, word))
}

impl QuestionTerms for WordTerms {
    fn count(&self) -> usize {
        self.0.len()
    }

    fn find(&self, texts: &[&str], found: &mut dyn FnMut(usize, usize, usize)) {
        for (number, text) in texts.iter().enumerate() {
            for (at, word) in words(text) {
                if let Ok(term) = self.0.binary_search(&word.to_lowercase()) {
                    found(number, at, term);
                }
            }
        }
    }
}
