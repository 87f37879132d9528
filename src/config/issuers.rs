//! Issuers of tokens: whom to trust, where their keys are, and what a token's claims mean here.

use std::collections::BTreeSet;
use std::path::PathBuf;

use figment::value::magic::RelativePathBuf;
use serde::{Deserialize, Serialize};

use super::api_keys::{RawScope, serialize_path};
use super::refuse_key;
use contexture_core::domain::ids::TenantId;
use contexture_core::domain::principal::AccessScope;
use contexture_core::fault::Refusal;

/// Most issuers.
const ISSUERS_MAX: usize = 32;
/// Longest text of an entry, in bytes.
const TEXT_BYTES_MAX: usize = 2048;

/// An entry of `auth.issuers`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawIssuer {
    issuer: String,
    audience: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    jwks_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "serialize_path")]
    jwks_file: Option<RelativePathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant_claim: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    groups_claim: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scopes: Option<BTreeSet<RawScope>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scopes_claim: Option<String>,
}

/// An issuer whose tokens authenticate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuerConfig {
    /// The claim `iss`.
    pub issuer: String,
    /// What the claim `aud` must hold.
    pub audience: String,
    /// Where its keys are.
    pub keys: KeySetSource,
    /// Whose tenant the caller is of.
    pub tenant: TenantRule,
    /// The claim with the caller's groups.
    pub groups_claim: String,
    /// What the caller may do.
    pub scopes: ScopeRule,
}

/// Where the keys of an issuer are, as a JSON Web Key Set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySetSource {
    /// Behind this URL.
    Url(String),
    /// In this file.
    File(PathBuf),
}

/// How a token leads to a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TenantRule {
    /// Always this one.
    Fixed(TenantId),
    /// The one that the claim names.
    Claim(String),
}

/// How a token leads to scopes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ScopeRule {
    /// Always these.
    Fixed(BTreeSet<AccessScope>),
    /// Those that the claim names.
    Claim(String),
}

impl RawIssuer {
    fn validate(&self, field: &str) -> Result<IssuerConfig, Refusal> {
        let texts = [Some(&self.issuer), Some(&self.audience)];
        let claims = [&self.tenant_claim, &self.groups_claim, &self.scopes_claim].map(Option::as_ref);
        let is_unsound = |text: &String| {
            text.is_empty() || text.len() > TEXT_BYTES_MAX || text.chars().any(char::is_control)
        };
        if texts.into_iter().chain(claims).flatten().any(is_unsound) {
            let why = format!(
                "needs an issuer and an audience; no text may be empty, longer than {TEXT_BYTES_MAX} bytes, \
                 or have a control character"
            );
            return Err(refuse_key(field, &why));
        }
        let refuse = |why: &str| refuse_key(field, &format!("({}) {why}", self.issuer));
        let tenant = match (&self.tenant, &self.tenant_claim) {
            (Some(tenant), None) => {
                TenantRule::Fixed(TenantId::new(tenant).map_err(|refusal| refuse(&refusal.message))?)
            }
            (None, Some(claim)) => TenantRule::Claim(claim.clone()),
            _ => return Err(refuse("needs exactly one of tenant and tenant_claim")),
        };
        let scopes = match (&self.scopes, &self.scopes_claim) {
            (Some(scopes), None) if !scopes.is_empty() => {
                ScopeRule::Fixed(scopes.iter().copied().map(AccessScope::from).collect())
            }
            (None, claim) => ScopeRule::Claim(claim.clone().unwrap_or_else(|| "scope".to_owned())),
            _ => return Err(refuse("needs scopes that are not empty, or scopes_claim, not both")),
        };
        Ok(IssuerConfig {
            issuer: self.issuer.clone(),
            audience: self.audience.clone(),
            keys: self.key_set(refuse)?,
            tenant,
            groups_claim: self.groups_claim.clone().unwrap_or_else(|| "groups".to_owned()),
            scopes,
        })
    }

    fn key_set(&self, refuse: impl Fn(&str) -> Refusal) -> Result<KeySetSource, Refusal> {
        match (&self.jwks_url, &self.jwks_file) {
            (Some(url), None) if is_safe_url(url) => Ok(KeySetSource::Url(url.clone())),
            (Some(_), None) => Err(refuse("has a jwks_url that is neither https:// nor on loopback")),
            (None, Some(file)) => std::path::absolute(file.relative())
                .map(KeySetSource::File)
                .map_err(|error| refuse(&format!("has a jwks_file without a usable path: {error}"))),
            _ => Err(refuse("needs exactly one of jwks_url and jwks_file")),
        }
    }
}

/// Whether nobody between here and there can change what a URL answers.
fn is_safe_url(url: &str) -> bool {
    let is_visible = url.len() <= TEXT_BYTES_MAX && url.bytes().all(|byte| byte.is_ascii_graphic());
    let authority = |rest: &str| rest.split(['/', '?', '#']).next().unwrap_or_default().to_owned();
    // A user and a password before the host could pass another host off as loopback.
    if let Some(rest) = url.strip_prefix("https://") {
        let authority = authority(rest);
        return is_visible && !authority.is_empty() && !authority.contains('@');
    }
    let Some(rest) = url.strip_prefix("http://") else { return false };
    let authority = authority(rest);
    let is_port = |rest: &str| {
        rest.strip_prefix(':').map_or(rest.is_empty(), |port| port.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let is_loopback = ["127.0.0.1", "[::1]", "localhost"]
        .iter()
        .any(|host| authority.strip_prefix(host).is_some_and(is_port));
    is_visible && is_loopback
}

/// Validates all entries. No two may name one issuer.
pub(super) fn validate_issuers(raw: &[RawIssuer]) -> Result<Vec<IssuerConfig>, Refusal> {
    if raw.len() > ISSUERS_MAX {
        let why = format!("has {} entries; at most {ISSUERS_MAX} are kept", raw.len());
        return Err(refuse_key("auth.issuers", &why));
    }
    let mut names = BTreeSet::new();
    let mut issuers = Vec::with_capacity(raw.len());
    for (index, entry) in raw.iter().enumerate() {
        let field = format!("auth.issuers[{index}]");
        let issuer = entry.validate(&field)?;
        // Two entries for one issuer would make it a matter of order who the caller is.
        if !names.insert(issuer.issuer.clone()) {
            return Err(refuse_key(&field, &format!("({}) has the issuer of another entry", issuer.issuer)));
        }
        issuers.push(issuer);
    }
    Ok(issuers)
}
