//! Cuts a text to a number of tokens.

use contexture_core::domain::chunk::TextSpan;
use contexture_core::ports::tokenizer::Tokenizer;

/// Bytes per token beyond which a text is cut unread. Prose has about four.
const BYTES_PER_TOKEN_MAX: usize = 32;
/// How far a cut moves back to end with a line, in bytes.
const LINE_BYTES_MAX: usize = 400;

/// Returns a start of the text that has at most so many tokens together with the mark of the cut; none if
/// the whole text has at most so many.
pub(super) fn cut_text(
    text: &str,
    tokens_max: usize,
    tokenizer: &dyn Tokenizer,
    mark: impl Fn(usize) -> String,
) -> Option<String> {
    // No token is shorter than a byte.
    if text.len() <= tokens_max {
        return None;
    }
    // So that a huge document costs no more than a large one.
    let read = &text[..text.floor_char_boundary(tokens_max.saturating_mul(BYTES_PER_TOKEN_MAX))];
    let table = tokenizer.table(read);
    let count = |end: usize| table.count(TextSpan { start: 0, end });
    if read.len() == text.len() && count(text.len()) <= tokens_max {
        return None;
    }
    let room = tokens_max.saturating_sub(tokenizer.count(&mark(text.len())));
    // The estimate never decreases, so it can be searched; exact counts decide.
    let (mut fits, mut over) = (0, read.len() + 1);
    while over - fits > 1 {
        let middle = fits + (over - fits) / 2;
        if table.tokens_before(read.floor_char_boundary(middle)) <= room {
            fits = middle;
        } else {
            over = middle;
        }
    }
    let mut end = line_end(read, read.floor_char_boundary(fits));
    loop {
        let cut = format!("{}{}", &read[..end], mark(end));
        if tokenizer.count(&cut) <= tokens_max || end == 0 {
            return Some(cut);
        }
        // Off by a few tokens at most, where cut and mark meet.
        end = read.floor_char_boundary(end - end.min(1 + end / 100));
    }
}

/// The end of the last line before a place, if it is near, else the place.
fn line_end(text: &str, place: usize) -> usize {
    let near = text.floor_char_boundary(place.saturating_sub(LINE_BYTES_MAX));
    text[near..place].rfind('\n').map_or(place, |line| near + line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use contexture_core::ports::tokenizer::TokenCountTable;

    /// One token per character.
    struct CharacterTokenizer;

    struct CharacterTable<'a>(&'a str);

    impl TokenCountTable for CharacterTable<'_> {
        fn count(&self, span: TextSpan) -> usize {
            self.0[span.start..span.end].chars().count()
        }
    }

    impl Tokenizer for CharacterTokenizer {
        fn name(&self) -> &'static str {
            "characters"
        }

        fn count(&self, text: &str) -> usize {
            text.chars().count()
        }

        fn table<'a>(&'a self, text: &'a str) -> Box<dyn TokenCountTable + 'a> {
            Box::new(CharacterTable(text))
        }
    }

    fn cut(text: &str, tokens_max: usize) -> Option<String> {
        cut_text(text, tokens_max, &CharacterTokenizer, |bytes| format!("[{bytes}]"))
    }

    #[test]
    fn a_text_that_fits_is_whole() {
        assert_eq!(cut("abc", 3), None);
        assert_eq!(cut("äöü", 3), None);
        assert_eq!(cut("", 0), None);
    }

    #[test]
    fn a_cut_text_has_at_most_so_many_tokens_and_says_where_it_ends() {
        let text = "äé".repeat(1000);
        for tokens_max in [20, 99, 1999] {
            let cut = cut(&text, tokens_max).expect("too long");
            assert!(cut.chars().count() <= tokens_max && cut.chars().count() + 8 > tokens_max, "{cut}");
            let (kept, mark) = cut.split_once('[').expect("a mark");
            assert_eq!(mark, format!("{}]", kept.len()));
        }
    }

    #[test]
    fn a_cut_ends_with_a_line_if_one_is_near() {
        let text = "a line\n".repeat(100);
        assert_eq!(cut(&text, 60).as_deref(), Some(&*format!("{}[48]", "a line\n".repeat(7).trim_end())));
    }

    #[test]
    fn a_text_of_long_tokens_is_read_in_part() {
        struct OneToken;
        impl Tokenizer for OneToken {
            fn name(&self) -> &'static str {
                "one"
            }
            fn count(&self, text: &str) -> usize {
                text.len() / 1000
            }
            fn table<'a>(&'a self, text: &'a str) -> Box<dyn TokenCountTable + 'a> {
                assert!(text.len() <= 320);
                Box::new(CharacterTable(text))
            }
        }
        let text = "x".repeat(5000);
        assert!(cut_text(&text, 10, &OneToken, |_| String::new()).is_some_and(|cut| cut.len() <= 320));
    }
}
