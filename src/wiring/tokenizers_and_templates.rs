//! What reading models need: tokenizers, built in and from files, and templates of contexts.

use std::sync::{Arc, OnceLock};

use crate::config::{ContextureConfig, NamedFileConfig};
use contexture_adapters::tokenizer::bpe::BpeTokenizer;
use contexture_adapters::tokenizer::file;
use contexture_core::context::render::{ContextTemplate, TemplateRegistry};
use contexture_core::context::request::ContextFormat;
use contexture_core::context::{TokenizerFactory, TokenizerRegistry};
use contexture_core::fault::Refusal;
use contexture_core::ports::tokenizer::Tokenizer;

/// All of them, none loaded yet.
pub(super) fn known_tokenizers(config: &ContextureConfig) -> Result<TokenizerRegistry, Refusal> {
    let mut known = TokenizerRegistry::default();
    known.add("cl100k_base", "", Arc::new(|| Ok(Arc::new(BpeTokenizer::cl100k()))))?;
    known.add("o200k_base", "", Arc::new(|| Ok(Arc::new(BpeTokenizer::o200k()))))?;
    for wanted in &config.tokenizers {
        known.add(&wanted.name, &wanted.field, tokenizer_from_file(wanted.clone()))?;
    }
    Ok(known)
}

/// Reads every file, so that a bad one is seen before it is asked for.
pub(super) async fn check_tokenizers(
    config: &ContextureConfig,
    known: &TokenizerRegistry,
) -> Result<(), Refusal> {
    let names: Vec<String> = config.tokenizers.iter().map(|wanted| wanted.name.clone()).collect();
    let known = known.clone();
    let read = move || names.iter().try_for_each(|name| known.get(name).map(|_| ()));
    tokio::task::spawn_blocking(read).await.map_err(super::internal_refusal)?
}

/// Reads every template.
pub(super) async fn read_templates(config: &ContextureConfig) -> Result<TemplateRegistry, Refusal> {
    let wanted = config.templates.clone();
    let read = move || wanted.iter().map(read_template).collect::<Result<Vec<_>, Refusal>>();
    let templates = tokio::task::spawn_blocking(read).await.map_err(super::internal_refusal)??;
    Ok(TemplateRegistry::new(templates))
}

fn read_template(wanted: &NamedFileConfig) -> Result<ContextTemplate, Refusal> {
    let NamedFileConfig { name, path, field } = wanted;
    let refuse =
        |why: String| Refusal::invalid("invalid_template", field, format!("{field} ({name}): {why}"));
    if ContextFormat::from_name(name).is_ok() {
        return Err(refuse("has the name of a format".to_owned()));
    }
    ContextTemplate::read(name, path).map_err(|refusal| refuse(refusal.message))
}

/// Reads the file once, when it is first asked for.
fn tokenizer_from_file(wanted: NamedFileConfig) -> TokenizerFactory {
    let read: OnceLock<Result<Arc<dyn Tokenizer>, Refusal>> = OnceLock::new();
    Arc::new(move || {
        let read = read.get_or_init(|| {
            let NamedFileConfig { name, path, field } = &wanted;
            Ok(Arc::new(file::read_tokenizer_file(name, path, field)?) as Arc<dyn Tokenizer>)
        });
        read.clone()
    })
}
