//! The converters of the configuration: programs and servers for documents that are not read here.

use std::path::PathBuf;
use std::sync::Arc;

use super::credentials::credential_config;
use super::document_extraction;
use crate::config::{
    ContextureConfig, ConversionMethod, ConversionOutput, ConversionTime, ConversionVia, ConverterConfig,
};
use contexture_adapters::converters::{
    CommandConverter, CommandConverterConfig, ConverterAnswer, ConverterEntry, ConverterLimits,
    ConverterRule, ConverterWhen, ConvertingExtractor, HttpConverter, HttpConverterConfig, MultipartForm,
};
use contexture_adapters::credentials;
use contexture_adapters::http::{HeaderMap, HeaderName, HeaderValue, HttpEndpointConfig, Method};
use contexture_adapters::memory::shared_states::MemorySharedStates;
use contexture_core::fault::{Fault, Refusal};
use contexture_core::ports::clock::{SystemClock, WallClock};
use contexture_core::ports::converter::{ConvertedFormat, DocumentConverter};
use contexture_core::ports::extractor::{DocumentExtractor, DocumentKind};
use contexture_core::ports::shared_states::SharedStateStore;

/// The files that are documents for this configuration, beside text.
#[derive(Debug, Clone, Default)]
pub struct ReadableFiles {
    converted: Vec<ConverterRule>,
}

impl ReadableFiles {
    /// What the readers here and the configured converters take.
    pub fn new(config: &ContextureConfig) -> Self {
        Self { converted: config.converters.iter().map(converter_rule).collect() }
    }

    /// Whether a converter may take a file of this name.
    pub fn takes_name(&self, name: &str) -> bool {
        self.converted.iter().any(|rule| rule.takes_name(name))
    }

    /// Whether a body that is no text is read here or by a converter.
    pub fn takes(&self, body: &[u8], document: &DocumentKind<'_>) -> bool {
        document_extraction::is_document(body) || self.converted.iter().any(|rule| rule.takes(document))
    }
}

/// Readers of documents with the configured converters. Connects to nothing, and starts nothing.
pub(super) fn open_converters(
    config: &ContextureConfig,
    states: &Arc<dyn SharedStateStore>,
    clock: &Arc<dyn WallClock>,
) -> Result<Arc<dyn DocumentExtractor>, Refusal> {
    let readers = document_extraction::open_extractor();
    if config.converters.is_empty() {
        return Ok(readers);
    }
    let open = |converter: &ConverterConfig| {
        let refuse = |fault: Fault| {
            let field = &converter.field;
            Refusal::invalid("converter_unusable", field, format!("{field}: {fault}"))
        };
        let opened = open_converter(converter, states.clone(), clock.clone()).map_err(refuse)?;
        Ok(ConverterEntry { rule: converter_rule(converter), converter: opened })
    };
    let converters = config.converters.iter().map(open).collect::<Result<Vec<_>, Refusal>>()?;
    Ok(Arc::new(ConvertingExtractor::new(readers, converters)))
}

/// Checks what only opening tells of the converters.
pub(super) fn check_converters(config: &ContextureConfig) -> Result<(), Refusal> {
    let clock: Arc<dyn WallClock> = Arc::new(SystemClock);
    let states: Arc<dyn SharedStateStore> = Arc::new(MemorySharedStates::new(clock.clone()));
    open_converters(config, &states, &clock).map(|_| ())
}

fn converter_rule(converter: &ConverterConfig) -> ConverterRule {
    ConverterRule {
        media_types: converter.media_types.clone(),
        extensions: converter.extensions.clone(),
        when: match converter.when {
            ConversionTime::Unreadable => ConverterWhen::Unreadable,
            ConversionTime::Always => ConverterWhen::Always,
        },
    }
}

fn open_converter(
    converter: &ConverterConfig,
    states: Arc<dyn SharedStateStore>,
    clock: Arc<dyn WallClock>,
) -> Result<Arc<dyn DocumentConverter>, Fault> {
    let name = converter.name.clone();
    let answer = ConverterAnswer {
        format: match converter.output {
            ConversionOutput::Text => ConvertedFormat::Text,
            ConversionOutput::Markdown => ConvertedFormat::Markdown,
            ConversionOutput::Html => ConvertedFormat::Html,
        },
        page_break: converter.page_break.clone(),
    };
    let &ConverterConfig { call_max, output_bytes_max, calls_max, .. } = converter;
    match &converter.via {
        ConversionVia::Command { program, arguments, environment, memory_bytes_max } => {
            Ok(Arc::new(CommandConverter::new(CommandConverterConfig {
                name,
                program: PathBuf::from(program),
                arguments: arguments.clone(),
                environment: environment.clone(),
                answer,
                limits: ConverterLimits {
                    time_max: call_max,
                    output_bytes_max,
                    documents_at_once: calls_max,
                },
                memory_bytes_max: *memory_bytes_max,
            })))
        }
        ConversionVia::Http { url, method, headers, credential, form_file, form, json_pointer } => {
            // A name of its own: a provider may be called the same.
            let opened = match credential_config(credential)? {
                Some(config) => {
                    let of = format!("converter {name}");
                    Some(credentials::open_credential(&of, config, states, clock.clone())?)
                }
                None => None,
            };
            let config = HttpConverterConfig {
                name,
                endpoint: HttpEndpointConfig {
                    url: url.expose().to_owned(),
                    api_key: None,
                    call_max,
                    answer_bytes_max: output_bytes_max,
                },
                method: match method {
                    ConversionMethod::Put => Method::PUT,
                    ConversionMethod::Post => Method::POST,
                },
                headers: sent_headers(headers)?,
                credential: opened,
                form: form_file.clone().map(|file_field| MultipartForm { file_field, values: form.clone() }),
                json_pointer: json_pointer.clone(),
                answer,
                documents_at_once: calls_max,
            };
            Ok(Arc::new(HttpConverter::new(config, clock)?))
        }
    }
}

fn sent_headers(headers: &std::collections::BTreeMap<String, String>) -> Result<HeaderMap, Fault> {
    let header = |(name, value): (&String, &String)| {
        let parsed = (HeaderName::try_from(name), HeaderValue::try_from(value));
        let (Ok(header), Ok(mut value)) = parsed else {
            let why = format!("the header '{name}' cannot be sent");
            return Err(Fault::permanent("converter_unusable", why));
        };
        // Headers may carry keys. A sensitive value is not shown by Debug.
        value.set_sensitive(true);
        Ok((header, value))
    };
    headers.iter().map(header).collect()
}
