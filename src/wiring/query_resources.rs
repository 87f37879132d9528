//! What queries need beside the stores: tokenizers of reading models, context templates, the reranker.

use std::sync::{Arc, OnceLock};

use super::backends::internal_refusal;
use super::document_conversion::check_converters;
use crate::config::{ContextureConfig, NamedFileConfig, RerankShape};
use crate::server::tls::check_tls_files;
use contexture_adapters::http::HttpEndpointConfig;
use contexture_adapters::rerank::{ANSWER_BYTES_MAX, HttpReranker, HttpRerankerConfig, RerankApi};
use contexture_adapters::tokenizer::bpe::BpeTokenizer;
use contexture_adapters::tokenizer::hugging_face::read_tokenizer_file;
use contexture_adapters::tokenizer::tiktoken;
use contexture_core::context::render::{ContextTemplate, TemplateRegistry};
use contexture_core::context::request::ContextFormat;
use contexture_core::context::rerank::BoundedReranker;
use contexture_core::context::{TokenizerFactory, TokenizerRegistry};
use contexture_core::fault::{Fault, Refusal};
use contexture_core::ports::clock::{SystemClock, WallClock};
use contexture_core::ports::tokenizer::Tokenizer;

/// Checks what only opening tells: the files of tokenizers, templates and TLS, and what the
/// reranker and converters are.
/// Connects to nothing.
pub async fn check_named_resources(config: &ContextureConfig) -> Result<(), Refusal> {
    open_reranker(config, Arc::new(SystemClock))?;
    check_converters(config)?;
    if let Some(files) = &config.server.tls {
        check_tls_files(files)?;
    }
    read_templates(config).await?;
    check_tokenizers(config, &known_tokenizers(config)?).await
}

/// All tokenizers, built in and from files. None is loaded yet.
pub(super) fn known_tokenizers(config: &ContextureConfig) -> Result<TokenizerRegistry, Refusal> {
    let mut known = TokenizerRegistry::with_models(tiktoken::model_encoding);
    known.add("cl100k_base", "", Arc::new(|| Ok(Arc::new(BpeTokenizer::cl100k()))))?;
    known.add("o200k_base", "", Arc::new(|| Ok(Arc::new(BpeTokenizer::o200k()))))?;
    for wanted in &config.tokenizers {
        known.add(&wanted.name, &wanted.field, tokenizer_from_file(wanted.clone()))?;
    }
    for (name, open) in tiktoken::ENCODINGS {
        // Configurations could use these names before they were built in. Their files win.
        if config.tokenizers.iter().all(|wanted| wanted.name != name) {
            known.add(name, "", Arc::new(move || Ok(open())))?;
        }
    }
    Ok(known)
}

/// Loads the tokenizer of every file, so that a bad file is found before a query names it.
pub(super) async fn check_tokenizers(
    config: &ContextureConfig,
    known: &TokenizerRegistry,
) -> Result<(), Refusal> {
    let names: Vec<String> = config.tokenizers.iter().map(|wanted| wanted.name.clone()).collect();
    let known = known.clone();
    let read = move || names.iter().try_for_each(|name| known.get(name).map(|_| ()));
    tokio::task::spawn_blocking(read).await.map_err(internal_refusal)?
}

/// Reads every template file.
pub(super) async fn read_templates(config: &ContextureConfig) -> Result<TemplateRegistry, Refusal> {
    let wanted = config.templates.clone();
    let read = move || wanted.iter().map(read_template).collect::<Result<Vec<_>, Refusal>>();
    let templates = tokio::task::spawn_blocking(read).await.map_err(internal_refusal)??;
    Ok(TemplateRegistry::new(templates))
}

fn read_template(wanted: &NamedFileConfig) -> Result<ContextTemplate, Refusal> {
    let NamedFileConfig { name, path, field } = wanted;
    let refuse =
        |why: String| Refusal::invalid("invalid_template", field, format!("{field} ({name}): {why}"));
    // Formats and templates share one namespace in a request, so a template must not shadow a format.
    if ContextFormat::from_name(name).is_ok() {
        return Err(refuse("has the name of a format".to_owned()));
    }
    ContextTemplate::read(name, path).map_err(|refusal| refuse(refusal.message))
}

/// Reads the file at first use, once. A failure is kept as well: the file is not read again.
fn tokenizer_from_file(wanted: NamedFileConfig) -> TokenizerFactory {
    let read: OnceLock<Result<Arc<dyn Tokenizer>, Refusal>> = OnceLock::new();
    Arc::new(move || {
        let read = read.get_or_init(|| {
            let NamedFileConfig { name, path, field } = &wanted;
            Ok(Arc::new(read_tokenizer_file(name, path, field)?) as Arc<dyn Tokenizer>)
        });
        read.clone()
    })
}

/// A client of the configured reranker. Connects to nothing yet.
pub(super) fn open_reranker(
    config: &ContextureConfig,
    clock: Arc<dyn WallClock>,
) -> Result<Option<BoundedReranker>, Refusal> {
    let Some(rerank) = &config.rerank else { return Ok(None) };
    let client = HttpRerankerConfig {
        endpoint: HttpEndpointConfig {
            url: rerank.url.expose().to_owned(),
            api_key: rerank.api_key.as_ref().map(|key| key.expose().to_owned()),
            call_max: rerank.time_max,
            answer_bytes_max: ANSWER_BYTES_MAX,
        },
        shape: match rerank.shape {
            RerankShape::Results => RerankApi::Results,
            RerankShape::Tei => RerankApi::Tei,
        },
        model: rerank.model.clone(),
        texts_max: rerank.texts_max,
    };
    let refuse =
        |fault: Fault| Refusal::invalid("reranker_unusable", "rerank.url", format!("rerank: {fault}"));
    Ok(Some(BoundedReranker {
        reranker: Arc::new(HttpReranker::new(&client, clock).map_err(refuse)?),
        candidates_max: rerank.candidates_max,
        time_max: rerank.time_max,
    }))
}
