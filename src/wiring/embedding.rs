//! Models: in this process, or at a provider of the configuration.
//!
//! Whoever embeds with the same provider shares its limiter and its credential.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};

use super::credentials as sources;
use crate::adapters::credentials::{self, Credential};
use crate::adapters::embedder;
use crate::adapters::http::{Endpoint, EndpointConfig, HeaderMap, HeaderName, HeaderValue, Service};
use crate::adapters::providers::{
    ANSWER_BYTES_BESIDES, Authorization, NUMBER_BYTES_MAX, Parts, ProviderEmbedder, Shape,
};
use crate::config::{Config, CredentialSource, ProviderConfig, ProviderKind};
use crate::context::Tokenizers;
use crate::domain::pipeline::{EmbedderDefinition, ProviderModel};
use crate::fault::{Fault, Refusal, reason};
use crate::ports::clock::Clock;
use crate::ports::embedder::{Embedder, EmbedderInfo, Waiting};
use crate::ports::states::SharedStates;
use crate::resilience::limiter::{self, Limiter};
use crate::resilience::terms::{Limits, Standing};

/// Special tokens that a model is expected to add when its pipeline does not say.
const TOKENS_RESERVED_DEFAULT: usize = 2;
/// Tokens of one call to a provider that has no limit of its own.
const CALL_TOKENS_MAX: usize = 100_000;

/// The models that this process can open.
pub(super) struct Models {
    providers: Vec<ProviderConfig>,
    tokenizers: Tokenizers,
    states: Arc<dyn SharedStates>,
    clock: Arc<dyn Clock>,
    holder: String,
    open: Mutex<HashMap<String, Open>>,
}

/// What all models of a provider share.
#[derive(Clone)]
struct Open {
    limiter: Arc<Limiter>,
    credential: Option<Arc<dyn Credential>>,
}

impl Models {
    pub(super) fn new(
        config: &Config,
        tokenizers: Tokenizers,
        states: Arc<dyn SharedStates>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let holder = uuid::Uuid::from_u64_pair(clock.now_ms(), process_number()).to_string();
        Self {
            providers: config.providers.clone(),
            tokenizers,
            states,
            clock,
            holder,
            open: Mutex::default(),
        }
    }

    /// Opens the model of a definition; connects to nothing yet.
    pub(super) async fn open(
        self: &Arc<Self>,
        definition: &EmbedderDefinition,
    ) -> Result<Arc<dyn Embedder>, Refusal> {
        let (models, wanted) = (self.clone(), definition.clone());
        let open = move || match &wanted {
            EmbedderDefinition::Provider(model) => models.at_provider(model),
            _ => embedder::open(&wanted),
        };
        tokio::task::spawn_blocking(open).await.map_err(super::internal)?
    }

    fn at_provider(&self, model: &ProviderModel) -> Result<Arc<dyn Embedder>, Refusal> {
        let provider = self.provider(&model.provider)?;
        let label = format!("{}/{}", provider.name, model.model);
        let refuse = |why: String| {
            Refusal::invalid("provider_unusable", "embedder.provider", format!("{label}: {why}"))
        };
        let Open { limiter, credential } =
            self.shared(provider).map_err(|fault| refuse(fault.to_string()))?;
        let shape = shape(provider.kind);
        let info = self.info(provider, model, shape)?;
        let base = provider.base_url.as_deref().or(shape.base_url_default());
        let base = base.ok_or_else(|| refuse("its provider needs a base_url".to_owned()))?;
        let endpoint = EndpointConfig {
            url: shape.url(base, &model.model, provider.api_version.as_deref()),
            api_key: None,
            call_max: provider.call_max,
            answer_bytes_max: info.batch_texts_max * info.dims * NUMBER_BYTES_MAX + ANSWER_BYTES_BESIDES,
        };
        let service = Service { name: "embedder", rejected: reason::EMBEDDER_REJECTED };
        let endpoint = Endpoint::new(service, &endpoint, self.clock.clone())
            .map_err(|fault| refuse(fault.to_string()))?;
        let words = |text: &Option<String>| text.clone().unwrap_or_default();
        let input_types = (model.passage_input_type.is_some() || model.query_input_type.is_some())
            .then(|| (words(&model.passage_input_type), words(&model.query_input_type)));
        let tokenizer = self
            .tokenizers
            .get(&model.tokenizer)
            .map_err(|refusal| Refusal { field: "embedder.tokenizer".to_owned(), ..refusal })?;
        Ok(Arc::new(ProviderEmbedder::new(Parts {
            label: label.clone(),
            info,
            shape,
            model: model.model.clone(),
            dims_asked: model.send_dims.then_some(model.dims),
            input_types,
            passage_prefix: words(&model.passage_prefix),
            query_prefix: words(&model.query_prefix),
            tokenizer,
            endpoint,
            call_max: provider.call_max,
            headers: headers(provider)
                .map_err(|name| refuse(format!("the header '{name}' cannot be sent")))?,
            authorization: credential.map(|credential| {
                let (header, prefix) = match provider.credential {
                    CredentialSource::Key(_) | CredentialSource::File(_) => shape.key_header(),
                    _ => Shape::token_header(),
                };
                Authorization { header, prefix, credential }
            }),
            limiter,
            clock: self.clock.clone(),
        })))
    }

    fn info(
        &self,
        provider: &ProviderConfig,
        model: &ProviderModel,
        shape: Shape,
    ) -> Result<EmbedderInfo, Refusal> {
        let prefix = model.passage_prefix.as_deref().unwrap_or_default();
        let tokenizer = self.tokenizers.get(&model.tokenizer)?;
        let reserved = model.tokens_reserved.unwrap_or(TOKENS_RESERVED_DEFAULT) + tokenizer.count(prefix);
        let texts_max = provider.texts_max.unwrap_or(usize::MAX).min(shape.texts_max());
        let tokens_max = shape.tokens_max_per_call().unwrap_or(CALL_TOKENS_MAX);
        Ok(EmbedderInfo {
            model: name_of(model),
            dims: model.dims,
            tokens_max: model.tokens_max,
            tokens_reserved: reserved,
            batch_texts_max: texts_max.max(1),
            batch_tokens_max: provider.tokens_max.unwrap_or(usize::MAX).min(tokens_max),
            calls_max: provider.calls_max as usize,
            is_metered: true,
        })
    }

    fn provider(&self, name: &str) -> Result<&ProviderConfig, Refusal> {
        self.providers.iter().find(|provider| provider.name == name).ok_or_else(|| {
            let known: Vec<&str> = self.providers.iter().map(|provider| provider.name.as_str()).collect();
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            Refusal::invalid(
                "unknown_provider",
                "embedder.provider",
                format!(
                    "the configuration has no provider '{name}'; known: {known}; add it under [[providers]]"
                ),
            )
        })
    }

    /// How the providers of the configuration stand that were ever called.
    pub(super) async fn standings(&self) -> Result<Vec<(String, Standing)>, Fault> {
        let credentials: Vec<(&str, Limits)> =
            self.providers.iter().map(|provider| (provider.name.as_str(), limits(provider))).collect();
        limiter::standings(&*self.states, &credentials).await
    }

    /// What calls of a model wait for, as all processes share it.
    pub(super) async fn waiting(&self, definition: &EmbedderDefinition) -> Option<Waiting> {
        let EmbedderDefinition::Provider(model) = definition else { return None };
        let standings = self.standings().await.ok()?;
        let (_, standing) = standings.into_iter().find(|(name, _)| *name == model.provider)?;
        let label = format!("{}/{}", model.provider, model.model);
        standing.waiting_for(label)
    }

    fn shared(&self, provider: &ProviderConfig) -> Result<Open, Fault> {
        let mut opened = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = opened.get(&provider.name) {
            return Ok(open.clone());
        }
        let limiter = Limiter::new(
            self.states.clone(),
            self.clock.clone(),
            &provider.name,
            &self.holder,
            limits(provider),
            provider.call_max,
        );
        let credential = match sources::of(&provider.credential)? {
            Some(config) => {
                Some(credentials::open(&provider.name, config, self.states.clone(), self.clock.clone())?)
            }
            None => None,
        };
        let open = Open { limiter: Arc::new(limiter), credential };
        opened.insert(provider.name.clone(), open.clone());
        Ok(open)
    }
}

/// A number that tells processes of this machine apart, and machines by chance.
fn process_number() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    let mut hasher = std::hash::RandomState::new().build_hasher();
    hasher.write_u32(std::process::id());
    hasher.finish()
}

/// Names what makes vectors differ; part of the epoch and of the cache's keys.
fn name_of(model: &ProviderModel) -> String {
    let mut name = format!("{}/{}", model.provider, model.model);
    for (word, text) in [
        ("dims", &model.send_dims.then(|| model.dims.to_string())),
        ("query", &model.query_prefix),
        ("passage", &model.passage_prefix),
        ("query_type", &model.query_input_type),
        ("passage_type", &model.passage_input_type),
    ] {
        if let Some(text) = text {
            let _ = write!(name, " {word}={text:?}");
        }
    }
    name
}

fn limits(provider: &ProviderConfig) -> Limits {
    Limits {
        requests_per_minute: provider.requests_per_minute,
        tokens_per_minute: provider.tokens_per_minute,
        calls_max: provider.calls_max,
    }
}

fn shape(kind: ProviderKind) -> Shape {
    match kind {
        ProviderKind::OpenAi => Shape::OpenAi,
        ProviderKind::Azure => Shape::Azure,
        ProviderKind::Cohere => Shape::Cohere,
        ProviderKind::Voyage => Shape::Voyage,
        ProviderKind::Gemini => Shape::Gemini,
    }
}

/// The headers of every call; the name of one that cannot be sent.
fn headers(provider: &ProviderConfig) -> Result<HeaderMap, String> {
    let header = |(name, value): (&String, &String)| {
        let parsed = (HeaderName::try_from(name), HeaderValue::try_from(value));
        let (Ok(header), Ok(mut value)) = parsed else { return Err(name.clone()) };
        value.set_sensitive(true);
        Ok((header, value))
    };
    provider.headers.iter().map(header).collect()
}
