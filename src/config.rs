//! Configuration: what the user wrote becomes what the program can trust.
//!
//! Layers, each winning against the one before: `config/default.toml` (compiled in), the
//! variable `CONTEXTURE_DATA_DIR`, a file, variables `CONTEXTURE__SECTION__KEY`. Their sum is
//! raw: known keys, right types, nothing else. [`Config`] is trusted: every bound of
//! [`limits::LIMITS`] holds, paths are absolute, keys are reduced to hashes. Nothing here
//! reads the process environment by itself. No message and no output contains a key, a password,
//! nor any value that stands under `auth`.

mod audit;
mod backends;
pub mod credential;
mod files;
mod layers;
pub mod limits;
mod metrics;
mod producers;
mod providers;
mod raw;
mod rerank;
mod trusted;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

pub use self::audit::AuditConfig;
pub use self::backends::{Backends, BrokerConfig, LedgerConfig, Quantization, Secret, VectorsConfig};
use self::credential::ApiKey;
pub use self::files::{NAMED_FILES_MAX, NamedFile};
use self::layers::Layers;
pub use self::providers::{
    ClientAuth, CredentialSource, Encoding, Grant, OAuthConfig, PROVIDERS_MAX, ProviderConfig, ProviderKind,
};
use self::raw::RawConfig;
pub use self::rerank::{RerankConfig, RerankShape};
pub use self::trusted::{
    DocumentLimits, LogConfig, RetrievalConfig, SUBMISSION_OVERHEAD_BYTES_MAX, ServerConfig, ServerLimits,
    WorkerConfig,
};
use crate::fault::Refusal;
use crate::telemetry;

/// The commented defaults.
pub const DEFAULT_TOML: &str = include_str!("../config/default.toml");

/// Trusted configuration.
#[derive(Debug, Clone)]
pub struct Config {
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
    /// The reranker; none means that candidates stay in fused order.
    pub rerank: Option<RerankConfig>,
    /// Tokenizers of reading models, beside those that are built in.
    pub tokenizers: Vec<NamedFile>,
    /// Templates of contexts, beside the formats that are built in.
    pub templates: Vec<NamedFile>,
    /// Providers of embeddings.
    pub providers: Vec<ProviderConfig>,
    /// The engines beside this process.
    pub backends: Backends,
    /// How stores are compared with the ledger.
    pub audit: AuditConfig,
    /// Where metrics are read; none: nowhere.
    pub metrics: Option<SocketAddr>,
    /// Credentials; none means loopback only.
    pub keys: Vec<ApiKey>,
    /// Level and form of logs.
    pub log: LogConfig,
    effective: RawConfig,
}

impl Config {
    /// Reads and checks all layers; `environment` is what [`std::env::vars`] yields.
    pub fn load(
        file: Option<&Path>,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, Refusal> {
        let environment: Vec<(String, String)> = environment.into_iter().collect();
        let mut layers = Layers::new(DEFAULT_TOML)?;
        layers.add_data_dir(&environment)?;
        if let Some(path) = file {
            layers.add_file(path)?;
        }
        layers.add_variables(&environment)?;
        Self::trust(layers.sum()?, &environment).map_err(|refusal| layers.name_origin(refusal))
    }

    /// The same with all engines in this process, under `data_dir`: for what is thrown away after.
    #[must_use]
    pub fn embedded_in(self, data_dir: PathBuf) -> Self {
        let cache_bytes_max = self.backends.cache_bytes_max;
        let backends = Backends { broker: None, ledger: None, vectors: None, cache_bytes_max };
        Self { data_dir, backends, ..self }
    }

    /// The same with the file that a `--tokenizer` means, if it means one.
    #[must_use]
    pub fn reading_for(mut self, tokenizer: Option<&str>) -> Self {
        self.tokenizers.extend(tokenizer.and_then(NamedFile::of_option));
        self
    }

    /// The configuration as TOML, with every secret replaced by `***`.
    pub fn masked_toml(&self) -> String {
        let mut shown = self.effective.clone();
        shown.data_dir = self.data_dir.as_path().into();
        for key in &mut shown.auth.keys {
            key.mask();
        }
        shown.broker.mask();
        shown.ledger.mask();
        shown.vectors.mask();
        shown.rerank.mask();
        shown.providers.iter_mut().for_each(providers::RawProvider::mask);
        toml::to_string(&shown).unwrap_or_else(|error| format!("# cannot be shown: {error}\n"))
    }

    fn trust(raw: RawConfig, environment: &[(String, String)]) -> Result<Self, Refusal> {
        limits::check(&raw)?;
        telemetry::check_level(&raw.log.level)?;
        let config = Self {
            data_dir: std::path::absolute(raw.data_dir.relative())
                .map_err(|error| refuse("data_dir", &format!("cannot be made absolute: {error}")))?,
            server: ServerConfig::trust(&raw)?,
            limits: DocumentLimits::trust(&raw.limits),
            workers: WorkerConfig::trust(&raw.workers),
            retrieval: RetrievalConfig::trust(&raw.retrieval)?,
            rerank: raw.rerank.trust()?,
            tokenizers: files::trust("tokenizers", &raw.tokenizers)?,
            templates: files::trust("templates", &raw.templates)?,
            providers: providers::trust(&raw.providers, environment)?,
            backends: backends::trust(&raw.broker, &raw.ledger, &raw.vectors)?,
            audit: raw.audit.trust(),
            metrics: raw.metrics.trust()?,
            keys: credential::trust(&raw.auth.keys, environment)?,
            log: LogConfig { level: raw.log.level.clone(), format: raw.log.format },
            effective: raw,
        };
        config.check_bound("server.listen", config.server.listen)?;
        if let Some(address) = config.metrics {
            config.check_bound("metrics.listen", address)?;
        }
        Ok(config)
    }

    /// Without credentials nothing is served but on loopback.
    fn check_bound(&self, key: &str, listen: SocketAddr) -> Result<(), Refusal> {
        if !self.keys.is_empty() || listen.ip().is_loopback() {
            return Ok(());
        }
        Err(refuse(
            key,
            &format!(
                "is {listen}, which is not loopback, and no credential is configured; \
                 add [[auth.keys]] or listen on 127.0.0.1"
            ),
        ))
    }
}

/// A refusal of one key; `why` continues a sentence that begins with the key.
fn refuse(key: &str, why: &str) -> Refusal {
    Refusal::invalid("invalid_config", key, format!("{key} {why}"))
}
