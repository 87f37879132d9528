//! Configuration: layers of raw values are merged and validated once.
//!
//! Layers, each overriding the one before: `config/default.toml` (compiled in), the variable
//! `CONTEXTURE_DATA_DIR`, a file, variables `CONTEXTURE__SECTION__KEY`. The merged layers are raw:
//! the keys are known and the types are right, nothing more. [`ContextureConfig`] is validated: every
//! range of [`limits::LIMITS`] holds, paths are absolute, API keys are reduced to hashes. The caller
//! passes the environment; nothing here reads it from the process. No message and no output
//! contains a key, a password, or a value under `auth`.

pub mod api_keys;
mod backends;
mod converters;
mod doors;
mod issuers;
mod layers;
pub mod limits;
mod named_files;
mod pipelines;
mod producers;
mod providers;
mod raw;
mod rerank;
mod sections;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use self::api_keys::HashedApiKey;
pub use self::backends::{
    BackendsConfig, BrokerConfig, ConfigSecret, LedgerConfig, Quantization, VectorsConfig,
};
pub use self::converters::{
    CONVERTERS_MAX, ConversionMethod, ConversionOutput, ConversionTime, ConversionVia, ConverterConfig,
};
pub use self::doors::TlsFilesConfig;
pub use self::issuers::{IssuerConfig, KeySetSource, ScopeRule, TenantRule};
use self::layers::ConfigLayers;
pub use self::named_files::{NAMED_FILES_MAX, NamedFileConfig};
pub use self::pipelines::CollectionCreation;
pub use self::providers::{
    CredentialSource, OAuthClientAuth, OAuthClientConfig, OAuthGrantType, OAuthRequestEncoding,
    PROVIDERS_MAX, ProviderConfig, ProviderKind,
};
use self::raw::RawConfig;
pub use self::rerank::{RerankConfig, RerankShape};
pub use self::sections::{
    AuditConfig, DocumentLimits, LoggingConfig, RetrievalConfig, SUBMISSION_OVERHEAD_BYTES_MAX, ServerConfig,
    ServerLimits, WorkerConfig,
};
use crate::telemetry;
use contexture_core::domain::pipeline::Pipeline;
use contexture_core::fault::Refusal;

/// The default configuration with its comments, which document every key.
pub const DEFAULT_TOML: &str = include_str!("../config/default.toml");

/// The validated configuration.
#[derive(Debug, Clone)]
pub struct ContextureConfig {
    /// Where the embedded stack keeps its files; absolute.
    pub data_dir: PathBuf,
    /// The API's address and limits.
    pub server: ServerConfig,
    /// Bounds on documents.
    pub limits: DocumentLimits,
    /// Sizes of the stages' batches.
    pub workers: WorkerConfig,
    /// Weights of fusion.
    pub retrieval: RetrievalConfig,
    /// The reranker; none: candidates stay in fused order.
    pub rerank: Option<RerankConfig>,
    /// Tokenizers of reading models, besides the built-in ones.
    pub tokenizers: Vec<NamedFileConfig>,
    /// Templates of contexts, besides the built-in formats.
    pub templates: Vec<NamedFileConfig>,
    /// Pipelines by name, besides the built-in "default".
    pub pipelines: Vec<(String, Pipeline)>,
    /// What a submission into a collection that does not exist does.
    pub create_collections: CollectionCreation,
    /// Providers of embeddings.
    pub providers: Vec<ProviderConfig>,
    /// Converters of documents that are not read here.
    pub converters: Vec<ConverterConfig>,
    /// The external engines.
    pub backends: BackendsConfig,
    /// How the stores are compared with the ledger.
    pub audit: AuditConfig,
    /// Address at which metrics are served; none: they are not.
    pub metrics: Option<SocketAddr>,
    /// API keys; without any, and without issuers, only loopback is served.
    pub keys: Vec<HashedApiKey>,
    /// Issuers of tokens.
    pub issuers: Vec<IssuerConfig>,
    /// Level and format of logs.
    pub log: LoggingConfig,
    effective: RawConfig,
}

impl ContextureConfig {
    /// Reads and validates all layers. `environment` is what [`std::env::vars`] yields.
    pub fn load(
        file: Option<&Path>,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, Refusal> {
        let environment: Vec<(String, String)> = environment.into_iter().collect();
        let mut layers = ConfigLayers::new(DEFAULT_TOML)?;
        layers.add_data_dir(&environment)?;
        if let Some(path) = file {
            layers.add_file(path)?;
        }
        layers.refuse_near_misses(&environment)?;
        layers.add_variables(&environment)?;
        Self::from_raw(layers.merged()?, &environment).map_err(|refusal| layers.name_origin(refusal))
    }

    /// Returns the configuration with all engines embedded, under `data_dir`: for temporary stacks.
    #[must_use]
    pub fn embedded_in(self, data_dir: PathBuf) -> Self {
        let cache_bytes_max = self.backends.cache_bytes_max;
        let backends = BackendsConfig { broker: None, ledger: None, vectors: None, cache_bytes_max };
        Self { data_dir, backends, ..self }
    }

    /// Adds the file that a `--tokenizer` option names, if it names one.
    #[must_use]
    pub fn reading_for(mut self, tokenizer: Option<&str>) -> Self {
        self.tokenizers.extend(tokenizer.and_then(NamedFileConfig::from_tokenizer_option));
        self
    }

    /// The configuration as TOML, with every secret replaced by `***`.
    pub fn masked_toml(&self) -> String {
        let mut shown = self.effective.clone();
        // The raw form is shown: it has the keys of the file.
        shown.data_dir = self.data_dir.as_path().into();
        for key in &mut shown.auth.keys {
            key.mask();
        }
        shown.broker.mask();
        shown.ledger.mask();
        shown.vectors.mask();
        shown.rerank.mask();
        shown.providers.iter_mut().for_each(providers::RawProvider::mask);
        shown.converters.iter_mut().for_each(converters::RawConverter::mask);
        toml::to_string(&shown).unwrap_or_else(|error| format!("# cannot be shown: {error}\n"))
    }

    fn from_raw(raw: RawConfig, environment: &[(String, String)]) -> Result<Self, Refusal> {
        // Ranges first: the conversions below rely on them.
        limits::check_ranges(&raw)?;
        telemetry::check_log_level(&raw.log.level)?;
        let pipelines = pipelines::read_pipelines(&raw.pipelines)?;
        let config = Self {
            data_dir: std::path::absolute(raw.data_dir.relative())
                .map_err(|error| refuse_key("data_dir", &format!("cannot be made absolute: {error}")))?,
            server: ServerConfig::from_raw(&raw)?,
            limits: DocumentLimits::from_raw(&raw.limits),
            workers: WorkerConfig::from_raw(&raw.workers),
            retrieval: RetrievalConfig::from_raw(&raw.retrieval)?,
            rerank: raw.rerank.validate()?,
            tokenizers: named_files::validate_named_files("tokenizers", &raw.tokenizers)?,
            templates: named_files::validate_named_files("templates", &raw.templates)?,
            create_collections: pipelines::collection_creation(&raw.server.create_collections, &pipelines)?,
            pipelines,
            providers: providers::validate_providers(&raw.providers, environment)?,
            converters: converters::validate_converters(&raw.converters, environment)?,
            backends: backends::validate_backends(&raw.broker, &raw.ledger, &raw.vectors)?,
            audit: AuditConfig::from_raw(&raw.audit),
            metrics: sections::metrics_address(&raw.metrics)?,
            keys: api_keys::validate_api_keys(&raw.auth.keys, environment)?,
            issuers: issuers::validate_issuers(&raw.auth.issuers)?,
            log: LoggingConfig { level: raw.log.level.clone(), format: raw.log.format },
            effective: raw,
        };
        config.check_bound("server.listen", config.server.listen)?;
        if let Some(address) = config.metrics {
            config.check_bound("metrics.listen", address)?;
        }
        Ok(config)
    }

    /// Without credentials only loopback may be served.
    fn check_bound(&self, key: &str, listen: SocketAddr) -> Result<(), Refusal> {
        if !self.keys.is_empty() || !self.issuers.is_empty() || listen.ip().is_loopback() {
            return Ok(());
        }
        Err(refuse_key(
            key,
            &format!(
                "is {listen}, which is not loopback, and no credential is configured; \
                 add [[auth.keys]] or [[auth.issuers]], or listen on 127.0.0.1"
            ),
        ))
    }
}

/// Refuses one key. `why` continues a sentence that begins with the key.
fn refuse_key(key: &str, why: &str) -> Refusal {
    Refusal::invalid("invalid_config", key, format!("{key} {why}"))
}
