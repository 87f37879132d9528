//! Chunks of more than one window of the embedder.
//!
//! A tokenizer that hardly knows a script makes a token of each letter, so that a window holds a line or two of
//! it: too little to rank, and too little to answer with. Where a text takes several times the tokens that its
//! length lets one expect, its chunks have as many windows ([`chunk_windows`]), and the vector of a chunk is the
//! mean of its windows' vectors ([`crate::ports::embedding_windows`]).

use crate::domain::script::{expected_tokens, is_spelled_out};

/// Most windows of a chunk.
pub const CHUNK_WINDOWS_MAX: usize = 8;

/// The windows that a chunk of a text has, from 1 to [`CHUNK_WINDOWS_MAX`]. `tokens` are those of the whole text.
///
/// A whole number that the whole text decides, so that an edit hardly ever changes it: all chunks would change
/// with it.
pub fn chunk_windows(text: &str, tokens: usize) -> usize {
    if !is_spelled_out(text, tokens) {
        return 1;
    }
    let expected = expected_tokens(text).max(1);
    ((tokens + expected / 2) / expected).clamp(1, CHUNK_WINDOWS_MAX)
}

#[cfg(test)]
mod tests {
    use super::{CHUNK_WINDOWS_MAX, chunk_windows};

    #[test]
    fn scripts_that_a_vocabulary_does_not_know_have_more_windows() {
        let russian = "Сотрудники могут взять двадцать восемь дней отпуска в год. ".repeat(20);
        let letters = russian.chars().filter(|one| !one.is_whitespace()).count();
        assert_eq!(chunk_windows(&russian, letters), 4, "a token for each letter");
        assert_eq!(chunk_windows(&russian, letters / 4), 1, "a vocabulary that knows it");
        assert_eq!(chunk_windows(&russian, russian.len()), 8, "a token for each byte");
        let english = "Employees can take twenty-eight days of leave a year. ".repeat(20);
        assert_eq!(chunk_windows(&english, english.split_whitespace().count()), 1);
        assert_eq!(chunk_windows(&english, english.len() / 4), 1);
        let german = "Mitarbeiterinnen können achtundzwanzig Urlaubstage im Jahr nehmen. ".repeat(20);
        assert_eq!(chunk_windows(&german, german.len() * 10 / 25), 1, "twice the tokens of English");
        let chinese = "员工每年可以休二十八天假。".repeat(20);
        assert_eq!(
            chunk_windows(&chinese, chinese.chars().count()),
            1,
            "a token for each character is right"
        );
        for empty in ["", " \n", "a"] {
            assert_eq!(chunk_windows(empty, 1), 1);
        }
        assert_eq!(chunk_windows(&russian, usize::MAX / 100), CHUNK_WINDOWS_MAX);
    }
}
