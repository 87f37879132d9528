//! The tokenizers of reading models, by name.

use std::sync::Arc;

use crate::fault::Refusal;
use crate::ports::tokenizer::Tokenizer;

/// Makes a tokenizer; called at every use, so it hands out a shared one.
pub type MakeTokenizer = fn() -> Arc<dyn Tokenizer>;

/// Known tokenizers; each is loaded when it is first asked for.
#[derive(Clone)]
pub struct Tokenizers(Vec<(&'static str, MakeTokenizer)>);

impl Tokenizers {
    /// From names and makers.
    pub fn new(known: Vec<(&'static str, MakeTokenizer)>) -> Self {
        Self(known)
    }

    /// The tokenizer of that name; an unknown name is refused with the known ones.
    pub fn get(&self, name: &str) -> Result<Arc<dyn Tokenizer>, Refusal> {
        if let Some((_, make)) = self.0.iter().find(|(known, _)| *known == name) {
            return Ok(make());
        }
        let known: Vec<&str> = self.0.iter().map(|(known, _)| *known).collect();
        Err(Refusal::invalid(
            "unknown_tokenizer",
            "tokenizer",
            format!("unknown tokenizer '{name}'; known: {}", known.join(", ")),
        ))
    }
}
