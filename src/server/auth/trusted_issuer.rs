//! Tokens of a configured issuer, RFC 7519, and the principals that they name.
//!
//! A token must be signed by a key of its issuer with one of [`ALGORITHMS`], be within its time, and have the
//! configured audience. Whoever presents one that is not gets no reason: the log has it, without the token.

use std::collections::BTreeSet;
use std::sync::Arc;

use jsonwebtoken::{Algorithm, Validation, dangerous, decode, decode_header};
use serde_json::{Map, Value};

use super::key_set::IssuerKeySet;
use crate::config::{IssuerConfig, ScopeRule, TenantRule};
use contexture_core::domain::ids::TenantId;
use contexture_core::domain::principal::{AccessScope, Principal};
use contexture_core::fault::Refusal;

/// What a token may be signed with: public keys only, so that nobody who can verify one can make one.
const ALGORITHMS: [Algorithm; 9] = [
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
];
/// By how much the clocks of issuer and server may differ, in seconds.
const LEEWAY_SECONDS: u64 = 60;

/// Issuers by name, with their keys.
pub(super) struct TrustedIssuers(Vec<TrustedIssuer>);

struct TrustedIssuer {
    config: IssuerConfig,
    keys: Arc<IssuerKeySet>,
}

impl TrustedIssuers {
    pub(super) fn new(issuers: Vec<IssuerConfig>) -> Result<Self, Refusal> {
        let trusted = issuers.into_iter().map(|config| {
            let keys = Arc::new(IssuerKeySet::new(config.keys.clone())?);
            Ok(TrustedIssuer { config, keys })
        });
        Ok(Self(trusted.collect::<Result<_, Refusal>>()?))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the names of the issuers.
    pub(super) fn names(&self) -> Vec<String> {
        self.0.iter().map(|issuer| issuer.config.issuer.clone()).collect()
    }

    /// Returns the principal of a token; none if it is not valid.
    pub(super) async fn principal(&self, token: &str) -> Option<Principal> {
        match self.verify(token).await {
            Ok(principal) => Some(principal),
            Err(why) => {
                tracing::debug!(why, "a token was refused");
                None
            }
        }
    }

    async fn verify(&self, token: &str) -> Result<Principal, String> {
        let header = decode_header(token).map_err(|error| error.to_string())?;
        if !ALGORITHMS.contains(&header.alg) {
            return Err("its algorithm is not allowed".to_owned());
        }
        // Read without a check only to find the keys to check it with.
        let claimed: Map<String, Value> =
            dangerous::insecure_decode_claims(token).map_err(|error| error.to_string())?;
        let named = claimed.get("iss").and_then(Value::as_str);
        let issuer = self.0.iter().find(|issuer| Some(issuer.config.issuer.as_str()) == named);
        let issuer = issuer.ok_or("its issuer is unknown")?;
        let key = issuer.keys.key(header.kid.as_deref(), header.alg).await.ok_or("its key is unknown")?;
        let checked = decode::<Map<String, Value>>(token, &key, &issuer.validation(header.alg));
        issuer.principal(&checked.map_err(|error| error.to_string())?.claims)
    }
}

impl TrustedIssuer {
    fn validation(&self, algorithm: Algorithm) -> Validation {
        let mut validation = Validation::new(algorithm);
        validation.leeway = LEEWAY_SECONDS;
        validation.validate_nbf = true;
        validation.set_audience(&[&self.config.audience]);
        validation.set_issuer(&[&self.config.issuer]);
        validation.set_required_spec_claims(&["exp", "iss", "aud"]);
        validation
    }

    fn principal(&self, claims: &Map<String, Value>) -> Result<Principal, String> {
        let tenant = match &self.config.tenant {
            TenantRule::Fixed(tenant) => tenant.clone(),
            TenantRule::Claim(claim) => {
                let named = claims.get(claim).and_then(Value::as_str).ok_or("it names no tenant")?;
                TenantId::new(named).map_err(|refusal| refusal.message)?
            }
        };
        let groups = match claims.get(&self.config.groups_claim) {
            // One group may stand without a list; its name may have spaces.
            Some(Value::String(group)) => BTreeSet::from([group.clone()]),
            listed => listed_names(listed).ok_or("its groups are no list of names")?,
        };
        let scopes = match &self.config.scopes {
            ScopeRule::Fixed(scopes) => scopes.clone(),
            ScopeRule::Claim(claim) => claimed_scopes(claims.get(claim))?,
        };
        Principal::new(tenant, groups, scopes).map_err(|refusal| refusal.message)
    }
}

/// Returns the names of a list; none if it is something else. What is absent is empty.
fn listed_names(value: Option<&Value>) -> Option<BTreeSet<String>> {
    match value {
        None | Some(Value::Null) => Some(BTreeSet::new()),
        Some(Value::Array(names)) => names.iter().map(|name| name.as_str().map(str::to_owned)).collect(),
        Some(_) => None,
    }
}

fn claimed_scopes(value: Option<&Value>) -> Result<BTreeSet<AccessScope>, String> {
    let names: BTreeSet<String> = match value {
        Some(Value::String(names)) => names.split_whitespace().map(str::to_owned).collect(),
        listed => listed_names(listed).ok_or("its scopes are neither text nor a list of names")?,
    };
    Ok(AccessScope::ALL.into_iter().filter(|scope| names.contains(scope.name())).collect())
}
