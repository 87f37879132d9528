//! The terms of a single word.
//!
//! The first term is that of the whole word: in lower case, without stop words, stemmed and without
//! accents. Others stand beside it at the same position:
//!
//! * A stop word in capitals (WHO, IT, US) keeps them as its first term, so that questions can tell it
//!   from the stop word.
//! * A word of several parts (`camelCase`, `500mg`) has the terms of its parts, except for single
//!   letters; one with digits also those of its runs of letters, so that `12kV` is found by `kV`.
//! * What looks like a hash in hexadecimal has its first [`HASH_PREFIX_BYTES`] characters, as people
//!   quote it.
//!
//! A language's stop words and stemmer are for the words of its script. A word of another script has those of the
//! language that most of its texts are in: Russian, Arabic, Greek or Tamil. So a collection of English handbooks
//! finds the forms of Russian words in its Russian ones, with no word about it in the pipeline.
//!
//! A word longer than [`WORD_BYTES_MAX`] becomes its beginning and a digest of it: it can be found
//! whole, and costs the index little.

use tantivy::tokenizer::{AsciiFoldingFilter, Language, RawTokenizer, Stemmer, StopWordFilter, TextAnalyzer};

use super::question_words::is_question_stop_word;
use super::word_folding::{fold_letters, lower_case, without_points};
use contexture_core::fault::Fault;
use contexture_core::ports::lexical::AnalyzerSettings;

/// Longest word that becomes a term as it is.
pub(super) const WORD_BYTES_MAX: usize = 100;
/// Length of a shortened hash, as Git prints it.
const HASH_PREFIX_BYTES: usize = 7;
/// Most bytes of a long word that stay in its term.
const LONG_WORD_PREFIX_BYTES: usize = 16;
/// Parts up to which a word is taken for one that a person made.
const FEW_PARTS: usize = 3;

/// Makes the terms of words.
#[derive(Clone)]
pub(super) struct WordTermMaker {
    /// Makes the term of a word in lower case, or nothing of a stop word.
    analyzer: TextAnalyzer,
    /// The same for words of other scripts than the language's.
    others: Vec<(WordScript, TextAnalyzer)>,
}

/// A script whose words are those of one language here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum WordScript {
    Arabic,
    Cyrillic,
    Greek,
    Tamil,
}

impl WordScript {
    const ALL: [Self; 4] = [Self::Arabic, Self::Cyrillic, Self::Greek, Self::Tamil];

    /// The script of a word in lower case, by its first letter. None where no stemmer knows the language: Persian
    /// and Urdu have letters that Arabic has not.
    fn of(word: &str) -> Option<Self> {
        match u32::from(word.chars().next()?) {
            0x0370..=0x03ff | 0x1f00..=0x1fff => Some(Self::Greek),
            0x0400..=0x052f => Some(Self::Cyrillic),
            0x0620..=0x06ff => {
                let is_foreign = |one| matches!(u32::from(one), 0x0671..=0x06ff);
                (!word.chars().any(is_foreign)).then_some(Self::Arabic)
            }
            0x0b80..=0x0bff => Some(Self::Tamil),
            _ => None,
        }
    }

    fn language(self) -> Language {
        match self {
            Self::Arabic => Language::Arabic,
            Self::Cyrillic => Language::Russian,
            Self::Greek => Language::Greek,
            Self::Tamil => Language::Tamil,
        }
    }
}

impl WordTermMaker {
    /// Prepares stop words and stemmers.
    pub(super) fn new(analysis: &AnalyzerSettings) -> Result<Self, Fault> {
        let language = parse_language(&analysis.language)?;
        let others = WordScript::ALL.into_iter().filter(|script| script.language() != language);
        Ok(Self {
            analyzer: language_analyzer(language, analysis),
            others: others.map(|script| (script, language_analyzer(script.language(), analysis))).collect(),
        })
    }

    /// The distinct terms of a word in NFKC, the main one first.
    pub(super) fn word_terms(&mut self, word: &str) -> Vec<String> {
        if is_simple(word) {
            return self.term(&word.to_ascii_lowercase()).into_iter().collect();
        }
        let word = without_points(word);
        let lower = lower_case(&word);
        let mut terms = Vec::new();
        if lower.len() > WORD_BYTES_MAX {
            terms.push(long_word_term(&lower));
        } else {
            let term = self.term(&lower);
            if is_acronym(&word) && (term.is_none() || is_question_stop_word(&lower)) {
                terms.push(word.clone().into_owned());
            }
            terms.extend(term);
        }
        let parts = word_parts(&word);
        if is_hash(&lower) {
            add_term(&mut terms, lower[..HASH_PREFIX_BYTES].to_owned());
        }
        if lower.len() <= WORD_BYTES_MAX && has_meaningful_parts(&word, &lower, &parts) {
            for part in
                letters_and_digits(&word).into_iter().chain(parts).filter(|part| !is_single_letter(part))
            {
                if let Some(term) = self.term(&lower_case(part)) {
                    add_term(&mut terms, term);
                }
            }
        }
        terms
    }

    /// The term of a word in lower case; nothing for a stop word, or if folding leaves nothing.
    fn term(&mut self, lower: &str) -> Option<String> {
        let script = if lower.is_ascii() { None } else { WordScript::of(lower) };
        let other = script.and_then(|script| self.others.iter_mut().find(|(known, _)| *known == script));
        let analyzer = other.map_or(&mut self.analyzer, |(_, analyzer)| analyzer);
        let mut stream = analyzer.token_stream(lower);
        if !stream.advance() {
            return None;
        }
        let mut term = std::mem::take(&mut stream.token_mut().text);
        fold_letters(&mut term);
        // Small capitals fold to capitals, and only acronyms may have these.
        term.make_ascii_lowercase();
        (!term.is_empty()).then_some(term)
    }
}

fn language_analyzer(language: Language, analysis: &AnalyzerSettings) -> TextAnalyzer {
    let mut analyzer = TextAnalyzer::builder(RawTokenizer::default()).dynamic();
    if analysis.stop_words
        && let Some(stop_words) = StopWordFilter::new(language)
    {
        analyzer = analyzer.filter_dynamic(stop_words);
    }
    if analysis.stem {
        analyzer = analyzer.filter_dynamic(Stemmer::new(language));
    }
    analyzer.filter_dynamic(AsciiFoldingFilter).build()
}

/// Whether a term is that of a stop word in capitals: all others are in lower case.
pub(super) fn is_acronym_term(term: &str) -> bool {
    is_acronym(term)
}

/// Whether a word is at least two letters, all of them capitals.
pub(super) fn is_acronym(word: &str) -> bool {
    word.chars().nth(1).is_some() && word.chars().all(char::is_uppercase)
}

/// Whether a word can have one term at most: ASCII letters, lower-case ones behind the first.
pub(super) fn is_simple(word: &str) -> bool {
    let (first, others) = word.as_bytes().split_first().unwrap_or((&0, &[]));
    first.is_ascii_alphabetic() && others.iter().all(u8::is_ascii_lowercase) && word.len() <= WORD_BYTES_MAX
}

fn add_term(terms: &mut Vec<String>, term: String) {
    if !terms.contains(&term) {
        terms.push(term);
    }
}

/// A word cut between letters and digits alone: `kV` in `12kV`.
fn letters_and_digits(word: &str) -> Vec<&str> {
    let (mut runs, mut start, mut before) = (Vec::new(), 0, None);
    for (at, one) in word.char_indices() {
        if before.is_some_and(|before| before != one.is_numeric()) {
            runs.push(&word[start..at]);
            start = at;
        }
        before = Some(one.is_numeric());
    }
    // A run of all is the word, which has its term.
    if start > 0 {
        runs.push(&word[start..]);
    }
    runs
}

fn is_single_letter(part: &str) -> bool {
    let mut characters = part.chars();
    characters.next().is_some_and(|one| !one.is_numeric()) && characters.next().is_none()
}

/// Whether a person may look for the parts of a word. Those of hashes and random keys are noise, and the
/// plural of an acronym (`URLs`) has none.
fn has_meaningful_parts(word: &str, lower: &str, parts: &[&str]) -> bool {
    let short = parts.iter().filter(|part| part.chars().nth(1).is_none()).count();
    let is_plural = || word.strip_suffix('s').is_some_and(is_acronym);
    let is_machine_made = || parts.len() > FEW_PARTS && short * 2 >= parts.len();
    let is_long_hash = || parts.len() > FEW_PARTS - 1 && is_hash(lower);
    parts.len() > 1 && !is_machine_made() && !is_plural() && !is_long_hash()
}

/// Whether a word in lower case is hexadecimal, with digits and letters, and long enough for a hash.
fn is_hash(lower: &str) -> bool {
    lower.len() >= HASH_PREFIX_BYTES
        && lower.bytes().all(|byte| byte.is_ascii_hexdigit())
        && lower.bytes().any(|byte| byte.is_ascii_digit())
        && lower.bytes().any(|byte| byte.is_ascii_alphabetic())
}

/// The term of a word that is too long to be one.
fn long_word_term(lower: &str) -> String {
    let mut folded = lower.to_owned();
    fold_letters(&mut folded);
    let prefix = &folded[..folded.floor_char_boundary(LONG_WORD_PREFIX_BYTES)];
    format!("{prefix}#{:016x}", fnv_digest(folded.as_bytes()))
}

/// FNV-1a with 64 bits, by Fowler, Noll and Vo. The index stores it, so it must never change.
fn fnv_digest(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |digest, byte| {
        (digest ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

fn parse_language(name: &str) -> Result<Language, Fault> {
    Ok(match name {
        "arabic" => Language::Arabic,
        "danish" => Language::Danish,
        "dutch" => Language::Dutch,
        "english" => Language::English,
        "finnish" => Language::Finnish,
        "french" => Language::French,
        "german" => Language::German,
        "greek" => Language::Greek,
        "hungarian" => Language::Hungarian,
        "italian" => Language::Italian,
        "norwegian" => Language::Norwegian,
        "portuguese" => Language::Portuguese,
        "romanian" => Language::Romanian,
        "russian" => Language::Russian,
        "spanish" => Language::Spanish,
        "swedish" => Language::Swedish,
        "tamil" => Language::Tamil,
        "turkish" => Language::Turkish,
        other => {
            return Err(Fault::permanent(
                "unknown_language",
                format!("analyzer.language '{other}' is not known"),
            ));
        }
    })
}

/// Parts of a word: cut before an upper-case letter after a lower-case one, before the last of several upper-case
/// letters that a lower-case one follows, and between letters and digits.
fn word_parts(word: &str) -> Vec<&str> {
    let characters: Vec<(usize, char)> = word.char_indices().collect();
    let mut parts = Vec::new();
    let mut start = 0;
    for index in 1..characters.len() {
        let (at, one) = characters[index];
        let before = characters[index - 1].1;
        let followed_by_lower = characters.get(index + 1).is_some_and(|(_, next)| next.is_lowercase());
        let cut = before.is_numeric() != one.is_numeric()
            || (before.is_lowercase() && one.is_uppercase())
            || (before.is_uppercase() && one.is_uppercase() && followed_by_lower);
        if cut {
            parts.push(&word[start..at]);
            start = at;
        }
    }
    parts.push(&word[start..]);
    parts
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails where one does")]
mod tests {
    use super::*;

    fn terms(stop_words: bool, stem: bool, word: &str) -> Vec<String> {
        let analysis = AnalyzerSettings { language: "english".to_owned(), stem, stop_words };
        WordTermMaker::new(&analysis).unwrap().word_terms(word)
    }

    #[test]
    fn words_have_the_terms_of_their_parts() {
        for (word, expected) in [
            ("getUserByEmail", vec!["getuserbyemail", "get", "user", "by", "email"]),
            ("HTTPServerTimeoutMs", vec!["httpservertimeoutms", "http", "server", "timeout", "ms"]),
            ("500mg", vec!["500mg", "500", "mg"]),
            ("12kV", vec!["12kv", "12", "kv"]),
            ("RetryBudget2", vec!["retrybudget2", "retrybudget", "2", "retry", "budget"]),
            ("v3", vec!["v3", "3"]),
            ("URLs", vec!["urls"]),
            ("ÉtatMajor", vec!["etatmajor", "etat", "major"]),
            ("aB3xK9zQ7", vec!["ab3xk9zq7"]),
            ("9f8e7d6", vec!["9f8e7d6"]),
            (
                "9f8e7d6c5b4a39281706f5e4d3c2b1a098765432",
                vec!["9f8e7d6c5b4a39281706f5e4d3c2b1a098765432", "9f8e7d6"],
            ),
            ("1234567a", vec!["1234567a", "1234567"]),
            ("Straße", vec!["strasse"]),
        ] {
            assert_eq!(terms(false, false, word), expected, "{word}");
        }
    }

    #[test]
    fn stop_words_in_capitals_keep_them() {
        assert_eq!(terms(false, true, "WHO"), ["WHO", "who"]);
        assert_eq!(terms(true, true, "IT"), ["IT"]);
        assert_eq!(terms(false, true, "US"), ["US", "us"]);
        assert_eq!(terms(true, true, "it"), [""; 0]);
        assert_eq!(terms(false, true, "It"), ["it"]);
        assert_eq!(terms(false, true, "NASA"), ["nasa"]);
    }

    #[test]
    fn words_of_other_scripts_have_their_own_stems_and_stop_words() {
        for (one, other) in [
            ("договора", "договоров"),
            ("Сотрудники", "сотрудников"),
            ("εργαζόμενοι", "εργαζόμενος"),
            ("المدرسة", "مدرسة"),
        ] {
            assert_eq!(terms(true, true, one), terms(true, true, other), "{one}");
            assert_eq!(terms(true, true, one).len(), 1, "{one}");
            assert_ne!(terms(true, false, one), terms(true, false, other), "{one}");
        }
        assert_eq!(terms(true, true, "что"), [""; 0]);
        assert_eq!(terms(false, false, "что"), ["что"]);
        // Persian: the beginning is a part of the word, and no article.
        assert_eq!(terms(true, true, "کتابها"), ["كتابها"]);
        let russian = AnalyzerSettings { language: "russian".to_owned(), stem: true, stop_words: true };
        let own = |word: &str| WordTermMaker::new(&russian).unwrap().word_terms(word);
        assert_eq!(own("договоров"), terms(true, true, "договоров"), "the language's own are the same");
        assert_eq!(own("running"), ["running"], "no language was named for Latin letters");
    }

    #[test]
    fn digests_are_those_of_the_published_vectors() {
        assert_eq!(fnv_digest(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv_digest(b"a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(fnv_digest(b"foobar"), 0x8594_4171_f739_67e8);
    }

    #[test]
    fn long_words_keep_their_beginning() {
        let long = "3f9a".repeat(32);
        assert_eq!(terms(false, true, &long), ["3f9a3f9a3f9a3f9a#e2ab923e9072bce5", "3f9a3f9"]);
        assert_eq!(terms(false, true, &long), terms(false, true, &long.to_uppercase()));
        assert_ne!(terms(false, true, &long)[0], terms(false, true, &format!("{long}b"))[0]);
        assert_eq!(terms(false, true, &"w".repeat(100)), ["w".repeat(100)]);
        assert!(terms(false, true, &"中x".repeat(50))[0].starts_with("中x中x中x中x#"));
    }

    #[test]
    fn words_are_cut_where_their_kind_changes() {
        for (word, parts) in [
            ("camelCase", vec!["camel", "Case"]),
            ("HTTPServer", vec!["HTTP", "Server"]),
            ("500mg", vec!["500", "mg"]),
            ("v3", vec!["v", "3"]),
            ("plain", vec!["plain"]),
            ("ÉtatMajor", vec!["État", "Major"]),
        ] {
            assert_eq!(word_parts(word), parts, "{word}");
        }
    }
}
