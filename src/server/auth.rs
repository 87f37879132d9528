//! Who calls: the one place that makes a [`Principal`] from a credential.
//!
//! A key comes as `authorization: Bearer <key>` or `x-api-key: <key>`. It is hashed and the
//! hash is compared with every configured one in constant time, so neither the answer nor its
//! timing tells which part of a key was right. A missing key and a wrong one are answered alike.
//! No key is ever logged. Without any configured credential there is one principal, tenant
//! `local` with all scopes, and only loopback is served.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use tonic::codegen::http::HeaderMap;

use crate::config::api_keys::{API_KEY_BYTES_MAX, HashedApiKey};
use contexture_core::domain::ids::TenantId;
use contexture_core::domain::principal::{AccessScope, Principal};
use contexture_core::fault::{Refusal, RefusalKind};

/// The tenant of the principal without a credential.
pub const LOCAL_TENANT: &str = "local";

/// Knows all credentials.
#[derive(Debug)]
pub struct Authenticator {
    keys: Vec<HashedApiKey>,
    local: Principal,
}

impl Authenticator {
    /// An authenticator of these keys; of none, one that lets everybody in as `local`.
    pub fn new(keys: Vec<HashedApiKey>) -> Result<Self, Refusal> {
        Ok(Self { keys, local: local_principal()? })
    }

    /// Refuses to serve an address that others reach while no credential is configured.
    pub fn check_bind(&self, address: SocketAddr) -> Result<(), Refusal> {
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

    /// Whom a call's headers stand for.
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
        let mut owner = None;
        for candidate in &self.keys {
            if candidate.hash == hash {
                owner = Some(&candidate.principal);
            }
        }
        owner.cloned()
    }
}

/// The principal of a caller that needs no credential.
pub fn local_principal() -> Result<Principal, Refusal> {
    Principal::new(
        TenantId::new(LOCAL_TENANT)?,
        BTreeSet::new(),
        BTreeSet::from([AccessScope::Read, AccessScope::Write, AccessScope::Admin, AccessScope::Metrics]),
    )
}

fn presented_key(headers: &HeaderMap) -> Option<&[u8]> {
    let key = match headers.get("authorization") {
        Some(value) => {
            let (scheme, key) = value.as_bytes().split_at_checked("bearer ".len())?;
            scheme.eq_ignore_ascii_case(b"bearer ").then_some(key)?
        }
        None => headers.get("x-api-key")?.as_bytes(),
    };
    let key = key.trim_ascii();
    (key.len() <= API_KEY_BYTES_MAX).then_some(key)
}
