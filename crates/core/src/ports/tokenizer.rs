//! Token counts, of the model that embeds and of the model that reads.
//!
//! Contract: `count` is exact: what the model's own tokenizer returns for the whole text, without
//! special tokens. `table` prepares one text so that counting a part of it does not tokenise it again.
//! `TokenCountTable::count` of a range always equals `count` of that slice.

use crate::domain::chunk::TextSpan;

/// Counts tokens of one vocabulary.
pub trait Tokenizer: Send + Sync {
    /// Its common name, such as `cl100k_base`.
    fn name(&self) -> &str;

    /// Tokens of a text, without special tokens.
    fn count(&self, text: &str) -> usize;

    /// Tokens of a text, and the fewest that it adds to any longer text that contains it. The text
    /// neither starts nor ends with white space.
    fn count_and_least(&self, text: &str) -> (usize, usize) {
        (self.count(text), self.least_of(text))
    }

    /// A lower bound of the second number of [`Tokenizer::count_and_least`], without tokenising.
    fn least_of(&self, text: &str) -> usize {
        if self.splits_words() { count_words(text).saturating_sub(1) } else { 0 }
    }

    /// Whether no token ever joins letters or digits across white space ([`char::is_whitespace`]). Then
    /// a text has at least as many tokens as words with a letter or digit. `false` if not certain.
    fn splits_words(&self) -> bool {
        false
    }

    /// Tokenises once, then counts any range. Costs one pass over the text.
    fn table<'a>(&'a self, text: &'a str) -> Box<dyn TokenCountTable + 'a>;
}

/// Counts of ranges of one text.
pub trait TokenCountTable {
    /// Tokens of `text[span]`, exactly; the span lies on character borders.
    fn count(&self, span: TextSpan) -> usize;

    /// Tokens of `prefix` followed by `text[span]`, exactly; `None` when only tokenising the joined text
    /// can tell. A vocabulary of words answers `count(prefix) + count(span)` when the prefix ends in
    /// white space.
    fn count_after(&self, _prefix: &str, _span: TextSpan) -> Option<usize> {
        None
    }

    /// Tokens before a byte. An estimate that never decreases, for differences that
    /// [`TokenCountTable::count`] then confirms.
    fn tokens_before(&self, position: usize) -> usize {
        self.count(TextSpan { start: 0, end: position })
    }
}

/// Counts words between ASCII white space that have a digit or a letter of the Latin, Greek or Cyrillic
/// script. Each is at least one token of a vocabulary that splits words. Text that is joined on both
/// sides takes away one at most.
fn count_words(text: &str) -> usize {
    let mut words = 0;
    let mut open = WORD_BYTE;
    for byte in text.bytes() {
        // Without branches. A byte of a word counts if no other of its word did (`open`) and closes the
        // word; white space, shifted down by one bit, opens the next.
        let kind = BYTE_KINDS[usize::from(byte)];
        words += usize::from(kind & open);
        open = open & !kind | kind >> 1;
    }
    words
}

/// A letter or digit: its word counts, once.
const WORD_BYTE: u8 = 1;
/// White space: the next word may count.
const WHITESPACE_BYTE: u8 = 2;
static BYTE_KINDS: [u8; 256] = {
    let mut kinds = [0; 256];
    let mut byte = 0_u8;
    loop {
        // The first bytes of U+00C0 to U+027F (Latin), and of U+0380 to U+053F (Greek, Cyrillic).
        if byte.is_ascii_alphanumeric() || matches!(byte, 0xC3..=0xC9 | 0xCE..=0xD4) {
            kinds[byte as usize] = WORD_BYTE;
        } else if byte.is_ascii_whitespace() {
            kinds[byte as usize] = WHITESPACE_BYTE;
        }
        if byte == u8::MAX {
            break kinds;
        }
        byte += 1;
    }
};
