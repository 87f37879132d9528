//! Text to terms: words, lower case, without accents, optionally stemmed and without stop words.
//!
//! A word is a run of letters and digits. Ideographs, kana and hangul syllables are words of
//! their own, because those scripts put no spaces between words. Words longer than
//! [`WORD_BYTES_MAX`] are left out: nobody searches for them, and each would be a term.

use tantivy::Index;
use tantivy::tokenizer::{
    AsciiFoldingFilter, Language, LowerCaser, RemoveLongFilter, Stemmer, StopWordFilter, TextAnalyzer, Token,
    TokenStream, Tokenizer,
};

use crate::fault::Fault;
use crate::ports::lexical::Analysis;

/// The analyzer's name in the schema.
pub(super) const NAME: &str = "contexture";
/// Longest word that becomes a term.
pub(super) const WORD_BYTES_MAX: usize = 100;

pub(super) fn register(index: &Index, analysis: &Analysis) -> Result<(), Fault> {
    let language = language(&analysis.language)?;
    let mut analyzer = TextAnalyzer::builder(Words::default())
        .filter_dynamic(RemoveLongFilter::limit(WORD_BYTES_MAX))
        .filter_dynamic(LowerCaser);
    if analysis.stop_words
        && let Some(stop_words) = StopWordFilter::new(language)
    {
        analyzer = analyzer.filter_dynamic(stop_words);
    }
    if analysis.stem {
        analyzer = analyzer.filter_dynamic(Stemmer::new(language));
    }
    index.tokenizers().register(NAME, analyzer.filter_dynamic(AsciiFoldingFilter).build());
    Ok(())
}

fn language(name: &str) -> Result<Language, Fault> {
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

/// Splits into words.
#[derive(Clone, Default)]
struct Words {
    token: Token,
}

struct WordStream<'a> {
    text: &'a str,
    position: usize,
    token: &'a mut Token,
}

impl Tokenizer for Words {
    type TokenStream<'a> = WordStream<'a>;

    fn token_stream<'a>(&'a mut self, text: &'a str) -> WordStream<'a> {
        self.token.reset();
        WordStream { text, position: 0, token: &mut self.token }
    }
}

impl TokenStream for WordStream<'_> {
    fn advance(&mut self) -> bool {
        let rest = &self.text[self.position..];
        let Some(skipped) = rest.find(char::is_alphanumeric) else {
            return false;
        };
        let start = self.position + skipped;
        let word = &self.text[start..];
        let alone = word.starts_with(stands_alone);
        let end = if alone {
            word.chars().next().map_or(0, char::len_utf8)
        } else {
            word.find(|one: char| !one.is_alphanumeric() || stands_alone(one)).unwrap_or(word.len())
        };
        self.position = start + end;
        self.token.position = self.token.position.wrapping_add(1);
        self.token.offset_from = start;
        self.token.offset_to = self.position;
        self.token.text.clear();
        self.token.text.push_str(&self.text[start..self.position]);
        true
    }

    fn token(&self) -> &Token {
        self.token
    }

    fn token_mut(&mut self) -> &mut Token {
        self.token
    }
}

/// Whether a character is a word by itself.
fn stands_alone(one: char) -> bool {
    matches!(u32::from(one),
        0x3040..=0x30ff | 0x3400..=0x4dbf | 0x4e00..=0x9fff | 0xac00..=0xd7a3 | 0xf900..=0xfaff | 0x20000..=0x3134f)
}
