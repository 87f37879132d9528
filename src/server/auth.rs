//! Authentication: the only place that makes a [`Principal`] from a credential.
//!
//! A key comes as `authorization: Bearer <key>` or `x-api-key: <key>`. Its hash is compared with every configured
//! hash in constant time, so neither answer nor timing reveals which part of a key was right. A missing key and
//! a wrong one get the same answer. No key is ever logged. Without any configured credential there is one
//! principal, tenant `local` with all scopes, and only loopback is served.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use tonic::codegen::http::HeaderMap;

use crate::config::api_keys::{API_KEY_BYTES_MAX, HashedApiKey};
use contexture_core::domain::ids::TenantId;
use contexture_core::domain::principal::{AccessScope, Principal};
use contexture_core::fault::{Refusal, RefusalKind};

/// The tenant of callers when no credential is configured.
pub const LOCAL_TENANT: &str = "local";

/// Authenticates callers by API key.
#[derive(Debug)]
pub struct Authenticator {
    keys: Vec<HashedApiKey>,
    local: Principal,
}

impl Authenticator {
    /// Creates an authenticator for these keys. Without keys it admits every caller as `local`.
    pub fn new(keys: Vec<HashedApiKey>) -> Result<Self, Refusal> {
        Ok(Self { keys, local: local_principal()? })
    }

    /// Refuses an address that others can reach while no credential is configured.
    pub fn check_bind(&self, address: SocketAddr) -> Result<(), Refusal> {
        // Without keys every caller is `local` with all scopes, so only this machine may connect.
        if !self.keys.is_empty() || address.ip().is_loopback() {
            return Ok(());
        }
        Err(Refusal::new(
            RefusalKind::Precondition,
            "no_credentials",
            "server.listen",
            format!(
                "{address} is not loopback, and no credential is configured; add [[auth.keys]] or listen on 127.0.0.1"
            ),
        ))
    }

    /// Returns the principal of a call's headers.
    pub fn authenticate(&self, headers: &HeaderMap) -> Result<Principal, Refusal> {
        if self.keys.is_empty() {
            return Ok(self.local.clone());
        }
        presented_key(headers).and_then(|key| self.owner(key)).ok_or_else(|| {
            Refusal::new(
                RefusalKind::Unauthenticated,
                "unauthenticated",
                "",
                "a valid API key is needed: 'authorization: Bearer <key>' or 'x-api-key: <key>'",
            )
        })
    }

    fn owner(&self, key: &[u8]) -> Option<Principal> {
        let hash = blake3::hash(key);
        // No early exit: the time must not tell which key matched. `blake3::Hash` compares in constant time.
        let mut owner = None;
        for candidate in &self.keys {
            if candidate.hash == hash {
                owner = Some(&candidate.principal);
            }
        }
        owner.cloned()
    }
}

/// Returns the principal of a caller when no credential is configured.
pub fn local_principal() -> Result<Principal, Refusal> {
    Principal::new(
        TenantId::new(LOCAL_TENANT)?,
        BTreeSet::new(),
        BTreeSet::from([AccessScope::Read, AccessScope::Write, AccessScope::Admin, AccessScope::Metrics]),
    )
}

fn presented_key(headers: &HeaderMap) -> Option<&[u8]> {
    let key = match headers.get("authorization") {
        // A malformed `authorization` is refused; the other header is not tried instead.
        Some(value) => {
            let (scheme, key) = value.as_bytes().split_at_checked("bearer ".len())?;
            scheme.eq_ignore_ascii_case(b"bearer ").then_some(key)?
        }
        None => headers.get("x-api-key")?.as_bytes(),
    };
    let key = key.trim_ascii();
    // No key is longer, so longer input is not worth hashing.
    (key.len() <= API_KEY_BYTES_MAX).then_some(key)
}
