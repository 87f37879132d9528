//! Registry of the reading models' tokenizers.
//!
//! A name is that of a vocabulary, a name from the configuration, or an `OpenAI` model, which maps
//! to its vocabulary as the adapters know it. Nothing here reads a path that a caller names.

use std::sync::Arc;

use crate::fault::Refusal;
use crate::ports::tokenizer::Tokenizer;

/// Returns a tokenizer. It is called at every use, so it returns a shared one.
pub type TokenizerFactory = Arc<dyn Fn() -> Result<Arc<dyn Tokenizer>, Refusal> + Send + Sync>;

/// The vocabulary of a model, by the model's name.
pub type ModelEncoding = fn(&str) -> Option<&'static str>;

/// Most characters of an unknown name that a message repeats.
const NAME_CHARS_MAX: usize = 80;

/// Known tokenizers; each is loaded when it is first asked for.
#[derive(Clone)]
pub struct TokenizerRegistry {
    known: Vec<(String, TokenizerFactory)>,
    model_encoding: ModelEncoding,
}

impl Default for TokenizerRegistry {
    fn default() -> Self {
        Self::with_models(|_| None)
    }
}

impl TokenizerRegistry {
    /// An empty registry that knows the vocabularies of these models.
    pub fn with_models(model_encoding: ModelEncoding) -> Self {
        Self { known: Vec::new(), model_encoding }
    }

    /// Adds a tokenizer. Refuses a name that is already known, and blames `field`.
    pub fn add(&mut self, name: &str, field: &str, make: TokenizerFactory) -> Result<(), Refusal> {
        if self.find(name).is_some() {
            let message = format!("{field}: the name '{name}' is known already; give another one");
            return Err(Refusal::invalid("tokenizer_known", field, message));
        }
        self.known.push((name.to_owned(), make));
        Ok(())
    }

    /// Returns the tokenizer of that name. The refusal of an unknown name lists the known ones.
    pub fn get(&self, name: &str) -> Result<Arc<dyn Tokenizer>, Refusal> {
        // Exact names first, so a configured tokenizer wins over the model of the same name.
        let make = self.find(name).or_else(|| self.find((self.model_encoding)(name)?));
        make.map_or_else(|| Err(self.unknown(name)), |make| make())
    }

    fn find(&self, name: &str) -> Option<&TokenizerFactory> {
        self.known.iter().find_map(|(known, make)| (known == name).then_some(make))
    }

    fn unknown(&self, name: &str) -> Refusal {
        let known: Vec<&str> = self.known.iter().map(|(known, _)| known.as_str()).collect();
        // The name comes from the caller; the message must not grow with it.
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
