//! The tokenizers of reading models, by name.
//!
//! A name is a vocabulary's, a name of the configuration, or an `OpenAI` model's, which stands
//! for its vocabulary as in tiktoken's `model.py`. Nothing here reads a path that a caller names.

use std::sync::Arc;

use crate::fault::Refusal;
use crate::ports::tokenizer::Tokenizer;

/// Makes a tokenizer; called at every use, so it hands out a shared one.
pub type TokenizerFactory = Arc<dyn Fn() -> Result<Arc<dyn Tokenizer>, Refusal> + Send + Sync>;

/// Families of models and their vocabularies; of two that fit a name the first counts. A family
/// is a whole name or what stands before a `-`, or before anything if it ends in a dot.
const MODEL_VOCABULARIES: [(&str, &str); 13] = [
    ("gpt-5", "o200k_base"),
    ("gpt-5.", "o200k_base"),
    ("gpt-4.5", "o200k_base"),
    ("gpt-4.1", "o200k_base"),
    ("gpt-4o", "o200k_base"),
    ("chatgpt-4o", "o200k_base"),
    ("gpt-oss", "o200k_base"),
    ("o1", "o200k_base"),
    ("o3", "o200k_base"),
    ("o4-mini", "o200k_base"),
    ("gpt-4", "cl100k_base"),
    ("gpt-3.5-turbo", "cl100k_base"),
    ("gpt-35-turbo", "cl100k_base"),
];
/// Most of an unknown name that is repeated, in characters.
const NAME_CHARS_MAX: usize = 80;

/// Known tokenizers; each is loaded when it is first asked for.
#[derive(Clone, Default)]
pub struct TokenizerRegistry(Vec<(String, TokenizerFactory)>);

impl TokenizerRegistry {
    /// Adds a tokenizer; a name that is known already is refused, with `field` to blame.
    pub fn add(&mut self, name: &str, field: &str, make: TokenizerFactory) -> Result<(), Refusal> {
        if self.find(name).is_some() {
            let message = format!("{field}: the name '{name}' is known already; give another one");
            return Err(Refusal::invalid("tokenizer_known", field, message));
        }
        self.0.push((name.to_owned(), make));
        Ok(())
    }

    /// The tokenizer of that name; an unknown name is refused with the known ones.
    pub fn get(&self, name: &str) -> Result<Arc<dyn Tokenizer>, Refusal> {
        let make = self.find(name).or_else(|| self.find(model_vocabulary(name)?));
        make.map_or_else(|| Err(self.unknown(name)), |make| make())
    }

    fn find(&self, name: &str) -> Option<&TokenizerFactory> {
        self.0.iter().find_map(|(known, make)| (known == name).then_some(make))
    }

    fn unknown(&self, name: &str) -> Refusal {
        let known: Vec<&str> = self.0.iter().map(|(known, _)| known.as_str()).collect();
        let shown: String = name.chars().take(NAME_CHARS_MAX).collect();
        Refusal::invalid(
            "unknown_tokenizer",
            "tokenizer",
            format!(
                "unknown tokenizer '{shown}'; known: {}, and the names of OpenAI's models, such as gpt-4o; to \
                 add one, name its tokenizer.json under [[tokenizers]] in the configuration, or give the \
                 command line its path",
                known.join(", ")
            ),
        )
    }
}

/// The vocabulary of an `OpenAI` model.
fn model_vocabulary(model: &str) -> Option<&'static str> {
    let fits = |family: &str| {
        let rest = model.strip_prefix(family)?;
        (rest.is_empty() || rest.starts_with('-') || family.ends_with('.')).then_some(())
    };
    MODEL_VOCABULARIES.iter().find_map(|(family, vocabulary)| fits(family).map(|()| *vocabulary))
}

#[cfg(test)]
mod tests {
    use super::model_vocabulary;

    #[test]
    fn models_stand_for_their_vocabularies() {
        for model in ["gpt-4", "gpt-4-turbo", "gpt-4-0613", "gpt-3.5-turbo", "gpt-3.5-turbo-16k"] {
            assert_eq!(model_vocabulary(model), Some("cl100k_base"), "{model}");
        }
        for model in [
            "gpt-4o",
            "gpt-4o-mini",
            "gpt-4o-2024-08-06",
            "gpt-4.1",
            "gpt-4.1-nano",
            "o1",
            "o1-preview",
            "o3",
            "o3-mini",
            "o4-mini",
            "gpt-5",
            "gpt-5-mini",
            "gpt-5.1",
            "gpt-5.1-codex",
        ] {
            assert_eq!(model_vocabulary(model), Some("o200k_base"), "{model}");
        }
        for model in ["", "gpt", "gpt-2", "gpt-4.7", "gpt-40", "o2", "o1x", "GPT-4", "cl100k", "llama-3"] {
            assert_eq!(model_vocabulary(model), None, "{model}");
        }
    }
}
