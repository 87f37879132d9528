//! Backends: queues, ledger and vectors are embedded or on external engines.
//!
//! An empty URL means embedded. URLs with a password, and API keys, are secrets. They come from the
//! environment (`CONTEXTURE__LEDGER__URL`) or from a file (`url_file`), and are shown as `***`.
//! Processes share a Postgres ledger, so it also needs RabbitMQ and Qdrant.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use figment::value::magic::RelativePathBuf;
use serde::{Deserialize, Serialize};

use super::api_keys::{SECRET_MASK, serialize_path};
use super::producers::{self, RawProducer};
use super::refuse_key;
use super::sections::limit_as_u32;
use contexture_core::domain::ids::TenantId;
use contexture_core::fault::Refusal;

/// Largest file with a secret, in bytes.
const SECRET_FILE_BYTES_MAX: u64 = 16 * 1024;

/// `[broker]` as written.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawBroker {
    url: String,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "serialize_path")]
    url_file: Option<RelativePathBuf>,
    prefix: String,
    pub(super) prefetch_messages_max: u64,
    pub(super) submit_prefetch_messages_max: u64,
    create_collections: bool,
    #[serde(serialize_with = "producers::serialize_roots")]
    body_roots: Vec<RelativePathBuf>,
    producers: Vec<RawProducer>,
}

/// `[ledger]` as written.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawLedger {
    url: String,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "serialize_path")]
    url_file: Option<RelativePathBuf>,
    schema: String,
    pub(super) connections_max: u64,
    pub(super) acquire_ms_max: u64,
    pub(super) statement_ms_max: u64,
    pub(super) cache_bytes_max: u64,
}

/// `[vectors]` as written.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawVectors {
    url: String,
    api_key: String,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "serialize_path")]
    api_key_file: Option<RelativePathBuf>,
    quantization: Quantization,
    pub(super) call_ms_max: u64,
    pub(super) connect_ms_max: u64,
}

// A derived `Debug` would print the secrets as they were written.
macro_rules! without_secrets {
    ($($raw:ident),*) => {$(
        impl fmt::Debug for $raw {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.debug_struct(stringify!($raw)).finish_non_exhaustive()
            }
        }
    )*};
}
without_secrets!(RawBroker, RawLedger, RawVectors);

/// How Qdrant keeps vectors in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Quantization {
    /// As they are.
    None,
    /// An int8 copy in memory; what it finds is scored again with the originals.
    Int8,
}

/// A secret text. Its `Debug` output is a mask.
#[derive(Clone, PartialEq, Eq)]
pub struct ConfigSecret(String);

impl ConfigSecret {
    pub(super) fn new(text: String) -> Self {
        Self(text)
    }

    /// The text itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ConfigSecret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(SECRET_MASK)
    }
}

/// The external engines; none: embedded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackendsConfig {
    /// RabbitMQ.
    pub broker: Option<BrokerConfig>,
    /// Postgres.
    pub ledger: Option<LedgerConfig>,
    /// Qdrant.
    pub vectors: Option<VectorsConfig>,
    /// Largest size of the embedding cache in bytes, in either ledger; 0 disables it.
    pub cache_bytes_max: u64,
}

/// RabbitMQ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokerConfig {
    /// `amqp[s]://user:password@host:port/vhost`.
    pub url: ConfigSecret,
    /// Prefix of the name of every exchange and queue.
    pub prefix: String,
    /// Most unacknowledged messages of a consumer.
    pub prefetch_messages_max: u32,
    /// Most unacknowledged messages of producers at the intake.
    pub submit_prefetch_messages_max: u32,
    /// Whether the intake creates missing collections.
    pub create_collections: bool,
    /// Folders from which bodies may be read by reference; empty: none may.
    pub body_roots: Vec<PathBuf>,
    /// The tenants that each broker user may write for; empty: every user, for the local tenant.
    pub producers: BTreeMap<String, BTreeSet<TenantId>>,
}

/// Postgres.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerConfig {
    /// `postgres://user:password@host:port/database`.
    pub url: ConfigSecret,
    /// The schema that holds the ledger.
    pub schema: String,
    /// Most connections of this process.
    pub connections_max: u32,
    /// Longest wait for a connection.
    pub acquire_max: Duration,
    /// Longest time of one statement.
    pub statement_max: Duration,
}

/// Qdrant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VectorsConfig {
    /// `http[s]://host:6334`.
    pub url: String,
    /// API key, sent with every call.
    pub api_key: Option<ConfigSecret>,
    /// How new collections keep vectors in memory.
    pub quantization: Quantization,
    /// Longest time of one call.
    pub call_max: Duration,
    /// Longest time to connect.
    pub connect_max: Duration,
}

pub(super) fn validate_backends(
    broker: &RawBroker,
    ledger: &RawLedger,
    vectors: &RawVectors,
) -> Result<BackendsConfig, Refusal> {
    let backends = BackendsConfig {
        broker: broker.validate()?,
        ledger: ledger.validate()?,
        vectors: vectors.validate()?,
        cache_bytes_max: ledger.cache_bytes_max,
    };
    if backends.ledger.is_some() && (backends.broker.is_none() || backends.vectors.is_none()) {
        return Err(refuse_key(
            "ledger.url",
            "names a Postgres ledger, which processes share, but queues or vectors would stay inside one of \
             them; set broker.url to a RabbitMQ and vectors.url to a Qdrant",
        ));
    }
    Ok(backends)
}

impl RawBroker {
    pub(super) fn mask(&mut self) {
        self.url = mask_url(&self.url);
    }

    fn validate(&self) -> Result<Option<BrokerConfig>, Refusal> {
        let (body_roots, producers) =
            (producers::absolute_body_roots(&self.body_roots)?, producers::tenants_by_user(&self.producers)?);
        let Some(url) = resolve_url("broker", &self.url, self.url_file.as_ref(), &["amqp", "amqps"])? else {
            return Ok(None);
        };
        Ok(Some(BrokerConfig {
            url,
            prefix: self.prefix.clone(),
            prefetch_messages_max: limit_as_u32(self.prefetch_messages_max),
            submit_prefetch_messages_max: limit_as_u32(self.submit_prefetch_messages_max),
            create_collections: self.create_collections,
            body_roots,
            producers,
        }))
    }
}

impl RawLedger {
    pub(super) fn mask(&mut self) {
        self.url = mask_url(&self.url);
    }

    fn validate(&self) -> Result<Option<LedgerConfig>, Refusal> {
        let Some(url) =
            resolve_url("ledger", &self.url, self.url_file.as_ref(), &["postgres", "postgresql"])?
        else {
            return Ok(None);
        };
        Ok(Some(LedgerConfig {
            url,
            schema: self.schema.clone(),
            connections_max: limit_as_u32(self.connections_max),
            acquire_max: Duration::from_millis(self.acquire_ms_max),
            statement_max: Duration::from_millis(self.statement_ms_max),
        }))
    }
}

impl RawVectors {
    pub(super) fn mask(&mut self) {
        self.url = mask_url(&self.url);
        if !self.api_key.is_empty() {
            SECRET_MASK.clone_into(&mut self.api_key);
        }
    }

    fn validate(&self) -> Result<Option<VectorsConfig>, Refusal> {
        let Some(url) = resolve_url("vectors", &self.url, None, &["http", "https"])? else {
            return Ok(None);
        };
        let api_key = resolve_secret("vectors.api_key", &self.api_key, self.api_key_file.as_ref())?;
        Ok(Some(VectorsConfig {
            url: url.0,
            api_key: api_key.map(ConfigSecret),
            quantization: self.quantization,
            call_max: Duration::from_millis(self.call_ms_max),
            connect_max: Duration::from_millis(self.connect_ms_max),
        }))
    }
}

/// Returns the URL of a section, which must have one of the schemes; none if it is empty.
pub(super) fn resolve_url(
    section: &str,
    text: &str,
    file: Option<&RelativePathBuf>,
    schemes: &[&str],
) -> Result<Option<ConfigSecret>, Refusal> {
    let key = format!("{section}.url");
    let Some(url) = resolve_secret(&key, text, file)? else { return Ok(None) };
    let known =
        url.split_once("://").is_some_and(|(scheme, rest)| schemes.contains(&scheme) && !rest.is_empty());
    if !known {
        let forms: Vec<String> = schemes.iter().map(|scheme| format!("{scheme}://…")).collect();
        return Err(refuse_key(&key, &format!("must be empty or of the form {}", forms.join(" or "))));
    }
    Ok(Some(ConfigSecret(url)))
}

/// Returns the secret from a key or from the file named beside it; none if neither is given.
pub(super) fn resolve_secret(
    key: &str,
    text: &str,
    file: Option<&RelativePathBuf>,
) -> Result<Option<String>, Refusal> {
    let text = match (text.trim(), file) {
        ("", None) => return Ok(None),
        ("", Some(file)) => read_secret_file(&format!("{key}_file"), &file.relative())?,
        (text, None) => text.to_owned(),
        (_, Some(_)) => {
            return Err(refuse_key(key, &format!("and {key}_file are both given; leave one out")));
        }
    };
    Ok(Some(text))
}

fn read_secret_file(key: &str, path: &Path) -> Result<String, Refusal> {
    let refuse = |why: String| refuse_key(key, &format!("{}: {why}", path.display()));
    // The size is checked before reading: a wrong path may name something huge.
    let bytes = std::fs::metadata(path).map_err(|error| refuse(error.to_string()))?.len();
    if bytes > SECRET_FILE_BYTES_MAX {
        return Err(refuse(format!("has {bytes} bytes; at most {SECRET_FILE_BYTES_MAX} are read")));
    }
    let text = std::fs::read_to_string(path).map_err(|error| refuse(error.to_string()))?;
    match text.trim() {
        "" => Err(refuse("is empty".to_owned())),
        text => Ok(text.to_owned()),
    }
}

/// Masks the password of a URL, and its query, which may contain a password as well.
pub(super) fn mask_url(url: &str) -> String {
    let url =
        url.split_once('?').map_or_else(|| url.to_owned(), |(before, _)| format!("{before}?{SECRET_MASK}"));
    // Without a scheme it is no URL, and any part of it may be the secret: nothing is shown.
    let Some((scheme, rest)) = url.split_once("://") else {
        return if url.is_empty() { url } else { SECRET_MASK.to_owned() };
    };
    // The last `@`: a password may contain one unescaped.
    match rest.rsplit_once('@') {
        Some((user, host)) => {
            let name = user.split(':').next().unwrap_or_default();
            format!("{scheme}://{name}:{SECRET_MASK}@{host}")
        }
        None => url,
    }
}
