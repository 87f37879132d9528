//! What reading models need: tokenizers, built in and from files, and templates of contexts.

use std::sync::{Arc, OnceLock};

use crate::adapters::tokenizer::bpe::Bpe;
use crate::adapters::tokenizer::file;
use crate::config::{Config, NamedFile};
use crate::context::render::{Template, Templates};
use crate::context::request::Format;
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

/// Reads every template.
pub(super) async fn templates(config: &Config) -> Result<Templates, Refusal> {
    let wanted = config.templates.clone();
    let read = move || wanted.iter().map(template).collect::<Result<Vec<_>, Refusal>>();
    let templates = tokio::task::spawn_blocking(read).await.map_err(super::internal)??;
    Ok(Templates::new(templates))
}

fn template(wanted: &NamedFile) -> Result<Template, Refusal> {
    let NamedFile { name, path, field } = wanted;
    let refuse =
        |why: String| Refusal::invalid("invalid_template", field, format!("{field} ({name}): {why}"));
    if Format::from_name(name).is_ok() {
        return Err(refuse("has the name of a format".to_owned()));
    }
    Template::read(name, path).map_err(|refusal| refuse(refusal.message))
}

/// Reads the file once, when it is first asked for.
fn from_file(wanted: NamedFile) -> MakeTokenizer {
    let read: OnceLock<Result<Arc<dyn Tokenizer>, Refusal>> = OnceLock::new();
    Arc::new(move || {
        let read = read.get_or_init(|| {
            let NamedFile { name, path, field } = &wanted;
            Ok(Arc::new(file::read(name, path, field)?) as Arc<dyn Tokenizer>)
        });
        read.clone()
    })
}
