//! API keys: the principal of each key, and the key's hash.
//!
//! A key is read from a file or a variable, hashed at once and dropped. Keys are random and have at
//! least [`API_KEY_BYTES_MIN`] bytes, so a plain BLAKE3 hash cannot be reversed by guessing.

use std::collections::BTreeSet;
use std::fmt;

use figment::value::magic::RelativePathBuf;
use serde::{Deserialize, Serialize};

use super::refuse_key;
use contexture_core::domain::ids::TenantId;
use contexture_core::domain::principal::{AccessScope, Principal};
use contexture_core::fault::Refusal;

/// Most API keys.
pub const API_KEYS_MAX: usize = 1000;
/// Shortest key, in bytes.
pub const API_KEY_BYTES_MIN: usize = 16;
/// Longest key, in bytes.
pub const API_KEY_BYTES_MAX: usize = 4096;

/// Shown in place of a secret.
pub(super) const SECRET_MASK: &str = "***";

/// An API key by its hash. Whoever presents the key is the principal.
#[derive(Clone, PartialEq, Eq)]
pub struct HashedApiKey {
    /// Its name, for logs.
    pub name: String,
    /// Whom it authenticates.
    pub principal: Principal,
    /// BLAKE3 hash of the key; compares in constant time.
    pub hash: blake3::Hash,
}

impl fmt::Debug for HashedApiKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ApiKey")
            .field("name", &self.name)
            .field("principal", &self.principal)
            .finish_non_exhaustive()
    }
}

/// An entry of `auth.keys`.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawKey {
    name: String,
    tenant: String,
    #[serde(default)]
    groups: BTreeSet<String>,
    scopes: BTreeSet<RawScope>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hash: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "serialize_path")]
    key_file: Option<RelativePathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_env: Option<String>,
}

impl fmt::Debug for RawKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("RawKey").field("name", &self.name).finish_non_exhaustive()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum RawScope {
    Read,
    Write,
    Admin,
    Metrics,
}

impl From<RawScope> for AccessScope {
    fn from(raw: RawScope) -> Self {
        match raw {
            RawScope::Read => Self::Read,
            RawScope::Write => Self::Write,
            RawScope::Admin => Self::Admin,
            RawScope::Metrics => Self::Metrics,
        }
    }
}

#[expect(clippy::ref_option, reason = "serde passes the field by reference")]
pub(super) fn serialize_path<S: serde::Serializer>(
    path: &Option<RelativePathBuf>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    path.as_ref().map(RelativePathBuf::relative).serialize(serializer)
}

impl RawKey {
    /// Masks the hash. The names of files and variables may be shown.
    pub(super) fn mask(&mut self) {
        if self.hash.is_some() {
            self.hash = Some(SECRET_MASK.to_owned());
        }
    }

    fn validate(&self, field: &str, environment: &[(String, String)]) -> Result<HashedApiKey, Refusal> {
        if self.name.is_empty() || self.name.len() > 128 || self.name.chars().any(char::is_control) {
            return Err(refuse_key(field, "needs a name of 1 to 128 bytes without control characters"));
        }
        let within = |refusal: Refusal| refuse_key(field, &format!("({}): {}", self.name, refusal.message));
        if self.scopes.is_empty() {
            return Err(refuse_key(field, "needs at least one of the scopes read, write, admin, metrics"));
        }
        let principal = Principal::new(
            TenantId::new(&self.tenant).map_err(within)?,
            self.groups.clone(),
            self.scopes.iter().copied().map(AccessScope::from).collect(),
        )
        .map_err(within)?;
        Ok(HashedApiKey { name: self.name.clone(), principal, hash: self.hash(field, environment)? })
    }

    fn hash(&self, field: &str, environment: &[(String, String)]) -> Result<blake3::Hash, Refusal> {
        let refuse = |why: &str| refuse_key(field, &format!("({}): {why}", self.name));
        let key = match (&self.hash, &self.key_file, &self.key_env) {
            // Only a hash is in the file: whoever reads the configuration cannot use it as a key.
            (Some(hash), None, None) => {
                return blake3::Hash::from_hex(hash)
                    .map_err(|_| refuse("hash must be 64 hexadecimal digits: BLAKE3 of the key"));
            }
            (None, Some(file), None) => {
                let path = file.relative();
                std::fs::read_to_string(&path)
                    .map_err(|error| refuse(&format!("key_file {}: {error}", path.display())))?
            }
            (None, None, Some(variable)) => environment
                .iter()
                .find_map(|(name, value)| (name == variable).then(|| value.clone()))
                .ok_or_else(|| refuse(&format!("key_env {variable} is not set")))?,
            _ => return Err(refuse("needs exactly one of hash, key_file and key_env")),
        };
        // Files and variables often end in a line break, which is no part of the key.
        let key = key.trim();
        if !(API_KEY_BYTES_MIN..=API_KEY_BYTES_MAX).contains(&key.len()) {
            return Err(refuse(&format!(
                "the key must have {API_KEY_BYTES_MIN} to {API_KEY_BYTES_MAX} bytes"
            )));
        }
        Ok(blake3::hash(key.as_bytes()))
    }
}

/// Validates all entries. Names and keys must be unique.
pub(super) fn validate_api_keys(
    raw: &[RawKey],
    environment: &[(String, String)],
) -> Result<Vec<HashedApiKey>, Refusal> {
    if raw.len() > API_KEYS_MAX {
        return Err(refuse_key(
            "auth.keys",
            &format!("has {} entries; at most {API_KEYS_MAX} are kept", raw.len()),
        ));
    }
    let mut names = BTreeSet::new();
    let mut hashes = BTreeSet::new();
    let mut keys = Vec::with_capacity(raw.len());
    for (index, entry) in raw.iter().enumerate() {
        let field = format!("auth.keys[{index}]");
        let key = entry.validate(&field, environment)?;
        // Two keys with one hash would make it a matter of order who the caller is.
        if !names.insert(key.name.clone()) || !hashes.insert(*key.hash.as_bytes()) {
            return Err(refuse_key(
                &field,
                &format!("({}) has the name or the key of another entry", key.name),
            ));
        }
        keys.push(key);
    }
    Ok(keys)
}
