//! Texts longer than the window of an embedding model: split, embedded part by part, and averaged.

use super::tokenizer::{TokenCountTable, Tokenizer};

/// A part of a text that fits the window, with its tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmbeddingWindow {
    /// The context line, a line break, and the part.
    pub text: String,
    /// Its tokens, without special ones.
    pub tokens: usize,
}

/// Splits a text into parts of about equal length, each of which has, behind the context line, at most
/// `tokens_max` tokens; none of them is empty. A part ends behind white space where there is some near its end.
pub fn split_into_windows(
    line: &str,
    text: &str,
    tokenizer: &dyn Tokenizer,
    tokens_max: usize,
) -> Vec<EmbeddingWindow> {
    let text = text.trim();
    let prefix = if line.is_empty() { String::new() } else { format!("{line}\n") };
    let table = tokenizer.table(text);
    let total = table.tokens_before(text.len());
    let room = tokens_max.saturating_sub(tokenizer.count(&prefix)).max(1);
    let mut windows = Vec::new();
    let mut start = 0;
    while start < text.len() {
        let left = total.saturating_sub(table.tokens_before(start));
        let parts = left.div_ceil(room).max(1);
        let mut wanted = left.div_ceil(parts);
        loop {
            let end = part_end(text, &*table, start, wanted);
            let part = text[start..end].trim();
            let window = format!("{prefix}{part}");
            let tokens = tokenizer.count(&window);
            // One character stays, however many tokens it has: then the model refuses it, and says so.
            let is_smallest = wanted <= 1;
            if tokens <= tokens_max || is_smallest {
                if !part.is_empty() {
                    windows.push(EmbeddingWindow { text: window, tokens });
                }
                start = end;
                break;
            }
            wanted = (wanted * 7 / 8).min(wanted - 1);
        }
    }
    windows
}

/// Where a part that begins at `start` ends: at the last character up to which it has at most `tokens` tokens by the
/// estimate, or behind the last white space of its second half.
fn part_end(text: &str, table: &dyn TokenCountTable, start: usize, tokens: usize) -> usize {
    let from = table.tokens_before(start);
    let ends: Vec<usize> =
        text[start..].char_indices().map(|(at, one)| start + at + one.len_utf8()).collect();
    let fitting = ends.partition_point(|end| table.tokens_before(*end).saturating_sub(from) <= tokens);
    // At least one character, so that each part makes progress.
    let Some(end) = ends.get(fitting.saturating_sub(1)).copied() else { return text.len() };
    if end == text.len() {
        return end;
    }
    let half = text.floor_char_boundary(start.midpoint(end));
    let space = text[half..end].char_indices().rfind(|(_, one)| one.is_whitespace());
    space.map_or(end, |(at, one)| half + at + one.len_utf8())
}

/// The mean of the vectors of windows, weighted by their tokens, at unit length; the first, if they cancel each other
/// out. Each vector has the same dimensions.
pub fn mean_vector(windows: &[(Vec<f32>, usize)]) -> Vec<f32> {
    let dims = windows.first().map_or(0, |(vector, _)| vector.len());
    let mut mean = vec![0.0_f32; dims];
    for (vector, tokens) in windows {
        #[expect(clippy::cast_precision_loss, reason = "a window has far fewer than 2^24 tokens")]
        let weight = (*tokens).max(1) as f32;
        for (sum, number) in mean.iter_mut().zip(vector) {
            *sum += number * weight;
        }
    }
    let length = mean.iter().map(|number| number * number).sum::<f32>().sqrt();
    if length <= f32::EPSILON {
        return windows.first().map(|(vector, _)| vector.clone()).unwrap_or_default();
    }
    for number in &mut mean {
        *number /= length;
    }
    mean
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{mean_vector, split_into_windows};
    use crate::domain::chunk::TextSpan;
    use crate::ports::tokenizer::{TokenCountTable, Tokenizer};

    /// A token for each visible character.
    struct LetterTokenizer;

    struct LetterTable<'a>(&'a str);

    impl Tokenizer for LetterTokenizer {
        fn name(&self) -> &'static str {
            "letters"
        }

        fn count(&self, text: &str) -> usize {
            text.chars().filter(|one| !one.is_whitespace()).count()
        }

        fn table<'a>(&'a self, text: &'a str) -> Box<dyn TokenCountTable + 'a> {
            Box::new(LetterTable(text))
        }
    }

    impl TokenCountTable for LetterTable<'_> {
        fn count(&self, span: TextSpan) -> usize {
            LetterTokenizer.count(&self.0[span.start..span.end])
        }
    }

    #[test]
    fn windows_repeat_the_context_line_and_end_between_words() {
        let windows = split_into_windows("Отпуск", "один два три четыре пять шесть", &LetterTokenizer, 16);
        let texts: Vec<&str> = windows.iter().map(|window| window.text.as_str()).collect();
        assert_eq!(texts, ["Отпуск\nодин два", "Отпуск\nтри четыре", "Отпуск\nпять шесть"]);
        assert_eq!(windows[0].tokens, 13);
    }

    #[test]
    fn the_mean_is_weighted_and_of_unit_length() {
        let mean = mean_vector(&[(vec![1.0, 0.0], 3), (vec![0.0, 1.0], 1)]);
        assert!((mean[0] / mean[1] - 3.0).abs() < 1e-6);
        assert!((mean[0].hypot(mean[1]) - 1.0).abs() < 1e-6);
        assert_eq!(mean_vector(&[(vec![1.0, 0.0], 2), (vec![-1.0, 0.0], 2)]), [1.0, 0.0]);
        assert_eq!(mean_vector(&[]), [0.0_f32; 0]);
    }

    proptest! {
        #[test]
        fn windows_hold_the_whole_text_and_fit(
            text in "[а-яa-z中\u{301}é ]{0,200}",
            line in "[a-zа-я ]{0,10}",
            tokens_max in 12_usize..60,
        ) {
            let windows = split_into_windows(line.trim(), &text, &LetterTokenizer, tokens_max);
            let prefix = if line.trim().is_empty() { String::new() } else { format!("{}\n", line.trim()) };
            let mut joined = String::new();
            for window in &windows {
                prop_assert!(window.tokens <= tokens_max && window.tokens == LetterTokenizer.count(&window.text));
                let part = window.text.strip_prefix(&prefix).unwrap_or_default();
                prop_assert!(!part.trim().is_empty());
                joined.push_str(part);
            }
            let visible = |text: &str| text.split_whitespace().collect::<String>();
            prop_assert_eq!(visible(&joined), visible(&text));
        }
    }
}
