//! Configuration: the server's address, options of new collections, collection names.

use std::fmt;
use std::time::Duration;

use super::faults::QDRANT_REFUSED;
use contexture_core::domain::ids::{CollectionKey, FieldHasher, GenerationNumber};
use contexture_core::fault::Fault;

/// Longest prefix of a tenant's or a collection's name within a Qdrant collection's name.
const NAME_PART_BYTES_MAX: usize = 24;
/// Hex digits of the hash that makes a name unique: 80 bits.
const NAME_HASH_DIGITS: usize = 20;

/// Address and credential of a server.
#[derive(Clone)]
pub struct QdrantConfig {
    /// `http://HOST:6334`, or `https://` for TLS with the system's root certificates.
    pub url: String,
    /// API key, sent with every call and never printed.
    pub api_key: Option<String>,
    /// Deadline of one call, including the client's own retry.
    pub timeout: Duration,
    /// Deadline of connecting.
    pub connect_timeout: Duration,
}

/// Options of a new collection. An existing collection keeps its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CollectionOptions {
    /// Keeps an int8 copy of the vectors in memory and rescores its candidates with the originals:
    /// a quarter of the memory, the same scores.
    pub int8: bool,
    /// Number of shards; `None` leaves it to the server.
    pub shards: Option<u32>,
    /// Copies of each shard; `None` means one.
    pub replicas: Option<u32>,
}

impl fmt::Debug for QdrantConfig {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("QdrantConfig")
            .field("url", &self.url)
            .field("timeout", &self.timeout)
            .field("connect_timeout", &self.connect_timeout)
            .finish_non_exhaustive()
    }
}

impl QdrantConfig {
    /// Refuses settings that the client would accept and then repeat in its errors.
    pub(super) fn check(&self) -> Result<(), Fault> {
        let refuse = |why: &str| Err(Fault::permanent(QDRANT_REFUSED, why));
        let Some((scheme, rest)) = self.url.split_once("://") else {
            return refuse("the URL of the server must start with http:// or https://");
        };
        if !["http", "https"].contains(&scheme) {
            return refuse("the URL of the server must start with http:// or https://");
        }
        // The URL appears in errors and logs, so it must not carry a password.
        if rest.contains('@') {
            return refuse("the URL of the server must not hold a credential; give api_key");
        }
        let sound = |key: &String| !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_graphic());
        if self.api_key.as_ref().is_some_and(|key| !sound(key)) {
            return refuse("the API key must be visible ASCII without spaces");
        }
        if self.timeout.is_zero() || self.connect_timeout.is_zero() {
            return refuse("the timeouts of the server must be above 0");
        }
        Ok(())
    }
}

/// The name of a generation's Qdrant collection.
///
/// It contains a hash over tenant, collection and generation, so different generations have
/// different names. The readable parts serve operators only.
pub fn collection_name(prefix: &str, key: &CollectionKey, generation: GenerationNumber) -> String {
    let part = |name: &str| name.chars().take(NAME_PART_BYTES_MAX).collect::<String>();
    let hash = FieldHasher::new("contexture qdrant collection")
        .field(key.tenant.as_str().as_bytes())
        .field(key.collection.as_str().as_bytes())
        .field(&generation.to_le_bytes())
        .finish();
    let digits = blake3::Hash::from_bytes(hash).to_hex();
    format!(
        "{prefix}_{}_{}_g{generation}_{}",
        part(key.tenant.as_str()),
        part(key.collection.as_str()),
        &digits[..NAME_HASH_DIGITS]
    )
}
