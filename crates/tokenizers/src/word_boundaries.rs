//! Whether the tokens of a `tokenizer.json` stay within words: derived from its parts, never by trial.
//!
//! It is certain if no added token contains two words, the normaliser neither removes nor replaces white
//! space, and the pre-tokeniser splits at white space before anything replaces it. Then the model sees
//! words one by one. Of splitting regular expressions, only those made of [`KNOWN_ALTERNATIVES`] are
//! recognised (GPT-2, GPT-4, GPT-4o, Llama 3, Qwen, Mistral's tekken). BERT's `clean_text` removes form
//! feeds between words, and a `▁` in place of a space is a letter to the model. Both count as uncertain,
//! as does everything else.

use tokenizers::normalizers::NormalizerWrapper;
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::{SplitDelimiterBehavior, Tokenizer};

/// Alternatives of known expressions. None matches letters or digits on both sides of white space.
const KNOWN_ALTERNATIVES: [&str; 25] = [
    "'s",
    "'t",
    "'re",
    "'ve",
    "'m",
    "'ll",
    "'d",
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)",
    r"'(?i:[sdmt]|ll|ve|re)",
    r"\p{N}",
    r"\p{N}+",
    r"\p{N}{1,3}",
    r" ?\p{L}+",
    r" ?\p{N}+",
    r" ?[^\s\p{L}\p{N}]+",
    r" ?[^\s\p{L}\p{N}]+[\r\n]*",
    r" ?[^\s\p{L}\p{N}]+[\r\n/]*",
    r"[^\r\n\p{L}\p{N}]?\p{L}+",
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+",
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*",
    concat!(
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+",
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    ),
    concat!(
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*",
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    ),
    r"\s*[\r\n]+",
    r"\s+(?!\S)",
    ANY_SPACE,
];
/// The alternative that makes every white space part of some match.
const ANY_SPACE: &str = r"\s+";

/// Whether no token ever joins letters or digits from both sides of white space.
pub(super) fn splits_words(tokenizer: &Tokenizer) -> bool {
    let added = tokenizer.get_added_tokens_decoder();
    !added.into_values().any(|token| holds_two_words(&token.content))
        && tokenizer.get_normalizer().is_none_or(keeps_white_space)
        && tokenizer
            .get_pre_tokenizer()
            .is_some_and(|cuts| pre_tokenizer_effect(cuts) == PreTokenizerEffect::CutsAtSpace)
}

/// Whether the text has letters or digits both before and after white space.
fn holds_two_words(text: &str) -> bool {
    let is_word = |part: &str| part.contains(char::is_alphanumeric);
    text.split(char::is_whitespace).filter(|part| is_word(part)).count() > 1
}

fn keeps_white_space(normalizer: &NormalizerWrapper) -> bool {
    match normalizer {
        NormalizerWrapper::Sequence(all) => all.as_ref().iter().all(keeps_white_space),
        NormalizerWrapper::BertNormalizer(bert) => !bert.clean_text,
        NormalizerWrapper::NFC(_)
        | NormalizerWrapper::NFD(_)
        | NormalizerWrapper::NFKC(_)
        | NormalizerWrapper::NFKD(_)
        | NormalizerWrapper::Lowercase(_)
        | NormalizerWrapper::StripAccents(_)
        | NormalizerWrapper::StripNormalizer(_) => true,
        _ => false,
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum PreTokenizerEffect {
    /// Splits so that no piece has letters or digits on both sides of white space.
    CutsAtSpace,
    /// Splits elsewhere, and leaves the text unchanged.
    CutsElsewhere,
    /// May replace white space by something else.
    Unknown,
}

fn pre_tokenizer_effect(pre_tokenizer: &PreTokenizerWrapper) -> PreTokenizerEffect {
    match pre_tokenizer {
        PreTokenizerWrapper::BertPreTokenizer(_)
        | PreTokenizerWrapper::Whitespace(_)
        | PreTokenizerWrapper::WhitespaceSplit(_) => PreTokenizerEffect::CutsAtSpace,
        PreTokenizerWrapper::ByteLevel(bytes) if bytes.use_regex => PreTokenizerEffect::CutsAtSpace,
        PreTokenizerWrapper::Split(split) if cuts_at_space(split) => PreTokenizerEffect::CutsAtSpace,
        PreTokenizerWrapper::Split(_)
        | PreTokenizerWrapper::Punctuation(_)
        | PreTokenizerWrapper::Digits(_)
        | PreTokenizerWrapper::Delimiter(_)
        | PreTokenizerWrapper::UnicodeScripts(_)
        | PreTokenizerWrapper::FixedLength(_) => PreTokenizerEffect::CutsElsewhere,
        // Later steps split the pieces of earlier ones and never join them.
        PreTokenizerWrapper::Sequence(all) => {
            let effects = all.as_ref().iter().map(pre_tokenizer_effect);
            effects
                .into_iter()
                .find(|one| *one != PreTokenizerEffect::CutsElsewhere)
                .unwrap_or(PreTokenizerEffect::CutsElsewhere)
        }
        PreTokenizerWrapper::ByteLevel(_) | PreTokenizerWrapper::Metaspace(_) => PreTokenizerEffect::Unknown,
    }
}

fn cuts_at_space(split: &Split) -> bool {
    let SplitPattern::Regex(pattern) = &split.pattern else { return false };
    let alternatives = split_alternatives(pattern);
    matches!(split.behavior, SplitDelimiterBehavior::Isolated)
        && !split.invert
        && alternatives.contains(&ANY_SPACE)
        && alternatives.iter().all(|one| KNOWN_ALTERNATIVES.contains(one))
}

/// Splits a regular expression into its top-level alternatives.
fn split_alternatives(pattern: &str) -> Vec<&str> {
    let (mut parts, mut start, mut depth, mut escaped) = (Vec::new(), 0, 0_usize, false);
    for (at, byte) in pattern.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            // A bracket inside a class counts, too. That can only merge alternatives into one that is not
            // known, so the result stays on the safe side.
            b'(' | b'[' => depth += 1,
            b')' | b']' => depth = depth.saturating_sub(1),
            b'|' if depth == 0 => {
                parts.push(&pattern[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&pattern[start..]);
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alternatives_are_cut_outside_of_groups_only() {
        assert_eq!(split_alternatives(r"(?i:'s|'t)|[|]|\||a+"), [r"(?i:'s|'t)", "[|]", r"\|", "a+"]);
        assert_eq!(split_alternatives(""), [""]);
    }

    #[test]
    fn two_words_are_told_from_one() {
        for (text, expected) in
            [("a b", true), ("a\n-\u{2028}1", true), ("a-b", false), (" a \t", false), ("", false)]
        {
            assert_eq!(holds_two_words(text), expected, "{text:?}");
        }
    }
}
