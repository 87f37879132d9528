//! Embedding models: in this process, or at a provider of the configuration.
//!
//! All models of a provider share one limiter and one credential, because the provider limits the account.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};

use super::backends::internal_refusal;
use super::credentials::credential_config;
use crate::config::{ContextureConfig, CredentialSource, ProviderConfig, ProviderKind};
use contexture_adapters::credentials::{self, Credential};
use contexture_adapters::embedder;
use contexture_adapters::http::{
    HeaderMap, HeaderName, HeaderValue, HttpEndpoint, HttpEndpointConfig, RemoteService,
};
use contexture_adapters::providers::{
    ANSWER_OVERHEAD_BYTES, NUMBER_BYTES_MAX, ProviderApi, ProviderAuthorization, ProviderEmbedder,
    ProviderEmbedderParts,
};
use contexture_core::context::TokenizerRegistry;
use contexture_core::domain::pipeline::{EmbedderDefinition, ProviderModel};
use contexture_core::fault::{Fault, Refusal, reason};
use contexture_core::ports::clock::WallClock;
use contexture_core::ports::embedder::{Embedder, EmbedderInfo, EmbedderWaitStatus};
use contexture_core::ports::shared_states::SharedStateStore;
use contexture_core::resilience::limiter::{self, ProviderLimiter};
use contexture_core::resilience::quota_protocol::{ProviderLimits, QuotaStatus};

/// Special tokens that a model adds, when its pipeline does not say. Usual are a start and an end token.
const TOKENS_RESERVED_DEFAULT: usize = 2;
/// Tokens of one call to a provider that documents no limit.
const CALL_TOKENS_MAX: usize = 100_000;

/// Opens embedding models.
pub(super) struct EmbedderFactory {
    providers: Vec<ProviderConfig>,
    tokenizers: TokenizerRegistry,
    states: Arc<dyn SharedStateStore>,
    clock: Arc<dyn WallClock>,
    holder: String,
    open: Mutex<HashMap<String, SharedProvider>>,
}

/// What all models of a provider share. Cheap to clone.
#[derive(Clone)]
struct SharedProvider {
    limiter: Arc<ProviderLimiter>,
    credential: Option<Arc<dyn Credential>>,
}

impl EmbedderFactory {
    pub(super) fn new(
        config: &ContextureConfig,
        tokenizers: TokenizerRegistry,
        states: Arc<dyn SharedStateStore>,
        clock: Arc<dyn WallClock>,
    ) -> Self {
        // Names this process among those that hold calls of a shared limiter. A restart makes a new name,
        // and the calls of the old one expire.
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

    /// Opens the model of a definition. Connects to nothing yet; a local model is read from its files.
    pub(super) async fn open(
        self: &Arc<Self>,
        definition: &EmbedderDefinition,
    ) -> Result<Arc<dyn Embedder>, Refusal> {
        let (models, wanted) = (self.clone(), definition.clone());
        let open = move || match &wanted {
            EmbedderDefinition::Provider(model) => models.at_provider(model),
            _ => embedder::open_embedder(&wanted),
        };
        tokio::task::spawn_blocking(open).await.map_err(internal_refusal)?
    }

    fn at_provider(&self, model: &ProviderModel) -> Result<Arc<dyn Embedder>, Refusal> {
        let provider = self.provider(&model.provider)?;
        let label = format!("{}/{}", provider.name, model.model);
        let refuse = |why: String| {
            Refusal::invalid("provider_unusable", "embedder.provider", format!("{label}: {why}"))
        };
        let SharedProvider { limiter, credential } =
            self.shared(provider).map_err(|fault| refuse(fault.to_string()))?;
        let shape = provider_shape(provider.kind);
        let info = self.info(provider, model, shape)?;
        let base = provider.base_url.as_deref().or(shape.base_url_default());
        let base = base.ok_or_else(|| refuse("its provider needs a base_url".to_owned()))?;
        let endpoint = HttpEndpointConfig {
            url: shape.url(base, &model.model, provider.api_version.as_deref()),
            // The credential is added per call instead: it may expire and be renewed.
            api_key: None,
            call_max: provider.call_max,
            // The largest honest answer: every dimension of every text, and some overhead.
            answer_bytes_max: info.batch_texts_max * info.dims * NUMBER_BYTES_MAX + ANSWER_OVERHEAD_BYTES,
        };
        let service = RemoteService { name: "embedder", rejected: reason::EMBEDDER_REJECTED };
        let endpoint = HttpEndpoint::new(service, &endpoint, self.clock.clone())
            .map_err(|fault| refuse(fault.to_string()))?;
        let words = |text: &Option<String>| text.clone().unwrap_or_default();
        let input_types = (model.passage_input_type.is_some() || model.query_input_type.is_some())
            .then(|| (words(&model.passage_input_type), words(&model.query_input_type)));
        let tokenizer = self
            .tokenizers
            .get(&model.tokenizer)
            .map_err(|refusal| Refusal { field: "embedder.tokenizer".to_owned(), ..refusal })?;
        Ok(Arc::new(ProviderEmbedder::new(ProviderEmbedderParts {
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
            headers: provider_headers(provider)
                .map_err(|name| refuse(format!("the header '{name}' cannot be sent")))?,
            authorization: credential.map(|credential| {
                // A static key goes into the header that the provider defines for keys. Tokens have another.
                let (header, prefix) = match provider.credential {
                    CredentialSource::Key(_) | CredentialSource::File(_) => shape.key_header(),
                    _ => ProviderApi::token_header(),
                };
                ProviderAuthorization { header, prefix, credential }
            }),
            limiter,
            clock: self.clock.clone(),
        })))
    }

    fn info(
        &self,
        provider: &ProviderConfig,
        model: &ProviderModel,
        shape: ProviderApi,
    ) -> Result<EmbedderInfo, Refusal> {
        let prefix = model.passage_prefix.as_deref().unwrap_or_default();
        let tokenizer = self.tokenizers.get(&model.tokenizer)?;
        // The passage prefix is part of every embedded text, so its tokens are not free for the chunk.
        let reserved = model.tokens_reserved.unwrap_or(TOKENS_RESERVED_DEFAULT) + tokenizer.count(prefix);
        let texts_max = provider.texts_max.unwrap_or(usize::MAX).min(shape.texts_max());
        let tokens_max = shape.tokens_max_per_call().unwrap_or(CALL_TOKENS_MAX);
        Ok(EmbedderInfo {
            model: vector_space_name(model),
            dims: model.dims,
            tokens_max: model.tokens_max,
            tokens_reserved: reserved,
            // At least one text, or nothing could ever be embedded.
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

    /// The quota state of each configured provider that was ever called.
    pub(super) async fn quota_statuses(&self) -> Result<Vec<(String, QuotaStatus)>, Fault> {
        let credentials: Vec<(&str, ProviderLimits)> = self
            .providers
            .iter()
            .map(|provider| (provider.name.as_str(), provider_limits(provider)))
            .collect();
        limiter::read_quota_statuses(&*self.states, &credentials).await
    }

    /// What calls of a model wait for, in all processes. None for a local model.
    pub(super) async fn waiting(&self, definition: &EmbedderDefinition) -> Option<EmbedderWaitStatus> {
        let EmbedderDefinition::Provider(model) = definition else { return None };
        let statuses = self.quota_statuses().await.ok()?;
        let (_, status) = statuses.into_iter().find(|(name, _)| *name == model.provider)?;
        let label = format!("{}/{}", model.provider, model.model);
        status.waiting_for(label)
    }

    fn shared(&self, provider: &ProviderConfig) -> Result<SharedProvider, Fault> {
        // Held while both are created: two limiters of one credential would not see each other's calls.
        let mut opened = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = opened.get(&provider.name) {
            return Ok(open.clone());
        }
        let limiter = ProviderLimiter::new(
            self.states.clone(),
            self.clock.clone(),
            &provider.name,
            &self.holder,
            provider_limits(provider),
            provider.call_max,
        );
        let credential = match credential_config(&provider.credential)? {
            Some(config) => Some(credentials::open_credential(
                &provider.name,
                config,
                self.states.clone(),
                self.clock.clone(),
            )?),
            None => None,
        };
        let open = SharedProvider { limiter: Arc::new(limiter), credential };
        opened.insert(provider.name.clone(), open.clone());
        Ok(open)
    }
}

/// A number that differs between the processes of a machine, and most likely between machines. `RandomState`
/// is seeded by the operating system; this needs no other source of randomness.
fn process_number() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    let mut hasher = std::hash::RandomState::new().build_hasher();
    hasher.write_u32(std::process::id());
    hasher.finish()
}

/// Names everything that changes the vectors of a model. Part of the epoch and of the keys of the vector
/// cache, so its text must stay stable.
fn vector_space_name(model: &ProviderModel) -> String {
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

fn provider_limits(provider: &ProviderConfig) -> ProviderLimits {
    ProviderLimits {
        requests_per_minute: provider.requests_per_minute,
        tokens_per_minute: provider.tokens_per_minute,
        calls_max: provider.calls_max,
    }
}

fn provider_shape(kind: ProviderKind) -> ProviderApi {
    match kind {
        ProviderKind::OpenAi => ProviderApi::OpenAi,
        ProviderKind::Azure => ProviderApi::Azure,
        ProviderKind::Cohere => ProviderApi::Cohere,
        ProviderKind::Voyage => ProviderApi::Voyage,
        ProviderKind::Gemini => ProviderApi::Gemini,
    }
}

/// The headers of every call, or the name of one that cannot be sent.
fn provider_headers(provider: &ProviderConfig) -> Result<HeaderMap, String> {
    let header = |(name, value): (&String, &String)| {
        let parsed = (HeaderName::try_from(name), HeaderValue::try_from(value));
        let (Ok(header), Ok(mut value)) = parsed else { return Err(name.clone()) };
        // Headers may carry keys. A sensitive value is not shown by Debug.
        value.set_sensitive(true);
        Ok((header, value))
    };
    provider.headers.iter().map(header).collect()
}
