//! Identities and fingerprints. Each is checked once, in its constructor.
//!
//! Nothing here derives from time, randomness or delivery, so running a stage again yields the same ids
//! (promise C3). Hashes are BLAKE3 over length-prefixed fields: two different field lists never share
//! an input.

use std::fmt;

use serde::{Deserialize, Serialize};
use unicode_normalization::{UnicodeNormalization, is_nfc};
use uuid::Uuid;

use crate::fault::Refusal;

/// Longest document id, in bytes.
pub const DOCUMENT_ID_BYTES_MAX: usize = 512;
/// Longest tenant or collection name, in bytes.
pub const NAME_BYTES_MAX: usize = 64;
/// Highest version that a producer may give. It fits a signed SQL integer, so it sorts alike everywhere.
pub const VERSION_MAX: u64 = i64::MAX as u64;

macro_rules! name_id {
    ($(#[$doc:meta])* $name:ident, $field:literal, $code:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Accepts 1 to 64 bytes of `a-z`, `0-9`, `_`, `-`, starting with a letter or digit.
            pub fn new(raw: &str) -> Result<Self, Refusal> {
                let starts_well = raw.as_bytes().first().is_some_and(u8::is_ascii_alphanumeric);
                let all_allowed = raw
                    .bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-".contains(&byte));
                if raw.len() > NAME_BYTES_MAX || !starts_well || !all_allowed {
                    return Err(Refusal::invalid(
                        $code,
                        $field,
                        format!(
                            "{} must be 1 to {NAME_BYTES_MAX} bytes of a-z, 0-9, '_' and '-', starting with a letter or digit",
                            $field
                        ),
                    ));
                }
                Ok(Self(raw.to_owned()))
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(&self.0)
            }
        }
    };
}

name_id!(
    /// The owner of collections. Comes only from a credential.
    TenantId, "tenant", "invalid_tenant"
);
name_id!(
    /// A named set of documents with one pipeline definition.
    CollectionId, "collection", "invalid_collection"
);

/// A producer's name for a document: text in NFC, often a path.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DocumentId(String);

impl DocumentId {
    /// Accepts 1 to 512 bytes without control characters and without `..` segments. The text is
    /// normalised to NFC, so that ids that look equal are one document.
    pub fn new(raw: &str) -> Result<Self, Refusal> {
        let refuse = |why: &str| {
            Err(Refusal::invalid("invalid_document_id", "document_id", format!("document_id {why}")))
        };
        // The length is checked afterwards: NFC may change it.
        let text: String = if is_nfc(raw) { raw.to_owned() } else { raw.nfc().collect() };
        if text.trim().is_empty() {
            return refuse("is empty");
        }
        if text.len() > DOCUMENT_ID_BYTES_MAX {
            return refuse("is longer than 512 bytes");
        }
        if text.chars().any(char::is_control) {
            return refuse("contains a control character");
        }
        if text.split(['/', '\\']).any(|segment| segment == "..") {
            return refuse("contains a '..' path segment");
        }
        Ok(Self(text))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DocumentId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// A version of a document, from 1. A higher one wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Version(u64);

impl Version {
    /// The lowest version, and the first that intake assigns.
    pub const FIRST: Self = Self(1);

    /// Accepts 1 to [`VERSION_MAX`].
    pub fn new(raw: u64) -> Result<Self, Refusal> {
        if raw == 0 || raw > VERSION_MAX {
            return Err(Refusal::invalid(
                "invalid_version",
                "version",
                format!("version must be between 1 and {VERSION_MAX}"),
            ));
        }
        Ok(Self(raw))
    }

    /// The number.
    pub fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Version {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// The number of a generation: one complete build of a collection under one epoch. Counted from 1.
pub type GenerationNumber = u32;

/// A collection of a tenant.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct CollectionKey {
    /// Its owner.
    pub tenant: TenantId,
    /// Its name.
    pub collection: CollectionId,
}

/// One version of one document: the unit of work and of visibility.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct VersionKey {
    /// Owner of the document.
    pub tenant: TenantId,
    /// Collection of the document.
    pub collection: CollectionId,
    /// The document.
    pub document_id: DocumentId,
    /// The version.
    pub version: Version,
}

impl VersionKey {
    /// The collection this version belongs to.
    pub fn collection_key(&self) -> CollectionKey {
        CollectionKey { tenant: self.tenant.clone(), collection: self.collection.clone() }
    }
}

macro_rules! fingerprint {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(into = "String", try_from = "String")]
        pub struct $name([u8; 32]);

        impl $name {
            /// The raw 32 bytes.
            pub fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }

            /// From 32 raw bytes, as an adapter stored them.
            pub fn from_bytes(bytes: [u8; 32]) -> Self {
                Self(bytes)
            }

            /// From a slice; none unless it is 32 bytes long.
            pub fn from_slice(bytes: &[u8]) -> Option<Self> {
                bytes.try_into().ok().map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(blake3::Hash::from_bytes(self.0).to_hex().as_str())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(formatter, "{}({self})", stringify!($name))
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> String {
                value.to_string()
            }
        }

        impl TryFrom<String> for $name {
            type Error = String;

            fn try_from(text: String) -> Result<Self, String> {
                blake3::Hash::from_hex(&text)
                    .map(|hash| Self(*hash.as_bytes()))
                    .map_err(|error| error.to_string())
            }
        }
    };
}

fingerprint!(
    /// Fingerprint of a submission: body, type, title, metadata and readers.
    ContentHash
);
fingerprint!(
    /// Fingerprint of everything that determines chunk ids, vectors and terms.
    Epoch
);
fingerprint!(
    /// Fingerprint of a model and the exact text that it embeds.
    EmbeddingKey
);

/// The id of a chunk and of its point in the vector store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChunkId(Uuid);

impl ChunkId {
    /// `uuid(blake3(epoch, tenant, collection, document_id, version, content_hash, ordinal))`.
    pub fn derive(epoch: &Epoch, key: &VersionKey, content_hash: &ContentHash, ordinal: u32) -> Self {
        let hash = FieldHasher::new("contexture chunk id v1")
            .field(epoch.as_bytes())
            .field(key.tenant.as_str().as_bytes())
            .field(key.collection.as_str().as_bytes())
            .field(key.document_id.as_str().as_bytes())
            .field(&key.version.get().to_le_bytes())
            .field(content_hash.as_bytes())
            .field(&ordinal.to_le_bytes())
            .finish();
        // 122 bits of the hash remain in a UUID: collisions are out of reach.
        let mut bytes = [0_u8; 16];
        bytes.copy_from_slice(&hash[..16]);
        Self(uuid::Builder::from_custom_bytes(bytes).into_uuid())
    }

    /// As a UUID (version 8, custom).
    pub fn as_uuid(self) -> Uuid {
        self.0
    }

    /// From a stored UUID.
    pub fn from_uuid(uuid: Uuid) -> Self {
        Self(uuid)
    }
}

impl fmt::Display for ChunkId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// `blake3(model, text)`: the key of the embedding cache.
pub fn derive_embedding_key(model: &str, text: &str) -> EmbeddingKey {
    EmbeddingKey(
        FieldHasher::new("contexture embedding v1").field(model.as_bytes()).field(text.as_bytes()).finish(),
    )
}

/// A hash over length-prefixed fields under a domain label.
pub struct FieldHasher(blake3::Hasher);

impl FieldHasher {
    /// Starts a hash; `label` separates uses from each other.
    pub fn new(label: &'static str) -> Self {
        Self(blake3::Hasher::new_derive_key(label))
    }

    /// Adds one field.
    #[must_use]
    pub fn field(mut self, field: &[u8]) -> Self {
        // Without the length, ("ab", "c") and ("a", "bc") would have one hash.
        self.0.update(&(field.len() as u64).to_le_bytes());
        self.0.update(field);
        self
    }

    /// The 32-byte result.
    pub fn finish(self) -> [u8; 32] {
        *self.0.finalize().as_bytes()
    }
}
