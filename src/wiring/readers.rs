//! The tokenizers of reading models: the built-in ones, and the files of the configuration.

use std::sync::{Arc, OnceLock};

use crate::adapters::tokenizer::bpe::Bpe;
use crate::adapters::tokenizer::file;
use crate::config::{Config, TokenizerFile};
use crate::context::{MakeTokenizer, Tokenizers};
use crate::fault::Refusal;
use crate::ports::tokenizer::Tokenizer;

/// All of them, none loaded yet.
pub(super) fn tokenizers(config: &Config) -> Result<Tokenizers, Refusal> {
    let mut known = Tokenizers::default();
    known.add("cl100k_base", "", Arc::new(|| Ok(Arc::new(Bpe::cl100k()))))?;
    known.add("o200k_base", "", Arc::new(|| Ok(Arc::new(Bpe::o200k()))))?;
    for wanted in &config.tokenizers {
        known.add(&wanted.name, &wanted.field, from_file(wanted.clone()))?;
    }
    Ok(known)
}

/// Reads every file, so that a bad one is seen before it is asked for.
pub(super) async fn check(config: &Config, known: &Tokenizers) -> Result<(), Refusal> {
    let names: Vec<String> = config.tokenizers.iter().map(|wanted| wanted.name.clone()).collect();
    let known = known.clone();
    let read = move || names.iter().try_for_each(|name| known.get(name).map(|_| ()));
    tokio::task::spawn_blocking(read).await.map_err(super::internal)?
}

/// Reads the file once, when it is first asked for.
fn from_file(wanted: TokenizerFile) -> MakeTokenizer {
    let read: OnceLock<Result<Arc<dyn Tokenizer>, Refusal>> = OnceLock::new();
    Arc::new(move || {
        let read = read.get_or_init(|| {
            let TokenizerFile { name, path, field } = &wanted;
            Ok(Arc::new(file::read(name, path, field)?) as Arc<dyn Tokenizer>)
        });
        read.clone()
    })
}
