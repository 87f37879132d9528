//! Authentication: the only place that makes a [`Principal`] from a credential.
//!
//! A key comes as `authorization: Bearer <key>` or `x-api-key: <key>`, a token of a configured issuer as Bearer. A
//! key's hash is compared with every configured hash in constant time, so neither answer nor timing reveals which
//! part of a key was right. A missing credential and a wrong one get the same answer. No credential is ever
//! logged. Without any configured one there is one principal, tenant `local` with all scopes, and only
//! loopback is served.

mod key_set;
mod trusted_issuer;

use std::collections::BTreeSet;
use std::net::SocketAddr;

use hyper::HeaderMap;

use self::trusted_issuer::TrustedIssuers;
use crate::config::IssuerConfig;
use crate::config::api_keys::{API_KEY_BYTES_MAX, HashedApiKey};
use contexture_core::domain::ids::TenantId;
use contexture_core::domain::principal::{AccessScope, Principal};
use contexture_core::fault::{Refusal, RefusalKind};

/// The tenant of callers when no credential is configured.
pub const LOCAL_TENANT: &str = "local";
/// Longest token, in bytes.
const TOKEN_BYTES_MAX: usize = 16 * 1024;

/// Authenticates callers by API key, or by a token of an issuer.
pub struct Authenticator {
    keys: Vec<HashedApiKey>,
    issuers: TrustedIssuers,
    local: Principal,
}

/// A credential as it was presented.
struct PresentedCredential<'headers> {
    text: &'headers [u8],
    is_bearer: bool,
}

impl Authenticator {
    /// Creates an authenticator for these keys. Without keys it admits every caller as `local`.
    pub fn new(keys: Vec<HashedApiKey>) -> Result<Self, Refusal> {
        Self::with_issuers(keys, Vec::new())
    }

    /// Creates an authenticator for these keys and for tokens of these issuers.
    pub fn with_issuers(keys: Vec<HashedApiKey>, issuers: Vec<IssuerConfig>) -> Result<Self, Refusal> {
        Ok(Self { keys, issuers: TrustedIssuers::new(issuers)?, local: local_principal()? })
    }

    /// Refuses an address that others can reach while no credential is configured.
    pub fn check_bind(&self, address: SocketAddr) -> Result<(), Refusal> {
        // Without credentials every caller is `local` with all scopes, so only this machine may connect.
        if self.needs_credential() || address.ip().is_loopback() {
            return Ok(());
        }
        Err(Refusal::new(
            RefusalKind::Precondition,
            "no_credentials",
            "server.listen",
            format!(
                "{address} is not loopback, and no credential is configured; \
                 add [[auth.keys]] or [[auth.issuers]], or listen on 127.0.0.1"
            ),
        ))
    }

    /// Returns the names of the issuers whose tokens are taken.
    pub fn issuer_names(&self) -> Vec<String> {
        self.issuers.names()
    }

    /// Returns the principal of a call's headers.
    pub async fn authenticate(&self, headers: &HeaderMap) -> Result<Principal, Refusal> {
        if !self.needs_credential() {
            return Ok(self.local.clone());
        }
        let principal = match PresentedCredential::of(headers) {
            Some(presented) => self.principal(&presented).await,
            None => None,
        };
        principal.ok_or_else(|| {
            Refusal::new(
                RefusalKind::Unauthenticated,
                "unauthenticated",
                "",
                "a valid API key is needed: 'authorization: Bearer <key>' or 'x-api-key: <key>'",
            )
        })
    }

    /// Whether callers need a credential.
    pub(super) fn needs_credential(&self) -> bool {
        !self.keys.is_empty() || !self.issuers.is_empty()
    }

    async fn principal(&self, presented: &PresentedCredential<'_>) -> Option<Principal> {
        if let Some(token) = presented.token().filter(|_| !self.issuers.is_empty())
            && let Some(principal) = self.issuers.principal(token).await
        {
            return Some(principal);
        }
        self.owner(presented.text)
    }

    fn owner(&self, key: &[u8]) -> Option<Principal> {
        // No key is longer, so longer input is not worth hashing.
        if key.len() > API_KEY_BYTES_MAX {
            return None;
        }
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

impl<'headers> PresentedCredential<'headers> {
    fn of(headers: &'headers HeaderMap) -> Option<Self> {
        let (text, is_bearer) = match headers.get("authorization") {
            // A malformed `authorization` is refused; the other header is not tried instead.
            Some(value) => {
                let (scheme, text) = value.as_bytes().split_at_checked("bearer ".len())?;
                (scheme.eq_ignore_ascii_case(b"bearer ").then_some(text)?, true)
            }
            None => (headers.get("x-api-key")?.as_bytes(), false),
        };
        Some(Self { text: text.trim_ascii(), is_bearer })
    }

    /// The credential as a token, if it has the shape of one: three parts between two dots.
    fn token(&self) -> Option<&'headers str> {
        let text = std::str::from_utf8(self.text).ok()?;
        let is_token = self.is_bearer
            && text.len() <= TOKEN_BYTES_MAX
            && text.bytes().filter(|byte| *byte == b'.').count() == 2;
        is_token.then_some(text)
    }
}
