//! The token source of a Google service account: RFC 7523, an assertion signed with its key (RS256).
//!
//! The key is checked when the credential is opened. A key file is read again for each token, so a
//! replaced key is used from the next token on. The key names its token endpoint. Signatures are made
//! by rustls' ring, which is there for TLS anyway.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustls::SignatureScheme;
use rustls::crypto::ring::sign::any_supported_type;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use rustls::sign::Signer;
use serde::Deserialize;
use serde_json::json;

use super::fault_messages::reject_config;
use super::oauth::{OAuthClient, TokenEndpoint, TokenGrant, token_response};
use super::refreshing::{IssuedToken, TokenSource};
use super::token::{SecretText, TOKEN_SOURCE_BYTES_MAX};
use contexture_core::fault::Fault;
use contexture_core::ports::clock::WallClock;

/// Life of an assertion, in seconds: the longest that Google accepts.
const ASSERTION_LIFE_S: u64 = 3600;
const JWT_BEARER_GRANT: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

/// A service account's key, or where it is.
#[derive(Debug, Clone)]
pub enum ServiceAccountKey {
    /// The key's JSON.
    Text(SecretText),
    /// A file with the key's JSON.
    File(PathBuf),
}

/// A service account and the scope that its tokens have.
#[derive(Debug, Clone)]
pub struct ServiceAccount {
    /// Its key.
    pub key: ServiceAccountKey,
    /// Such as `https://www.googleapis.com/auth/cloud-platform`.
    pub scope: String,
    /// Longest time of one call.
    pub call_max: Duration,
}

/// Exchanges signed assertions for tokens.
pub(super) struct GoogleTokenSource {
    account: ServiceAccount,
    clock: Arc<dyn WallClock>,
}

#[derive(Deserialize)]
struct RawServiceAccountKey {
    client_email: String,
    private_key: String,
    private_key_id: Option<String>,
    token_uri: String,
}

/// A parsed key with its signer.
struct JwtSigningKey {
    raw: RawServiceAccountKey,
    signer: Box<dyn Signer>,
}

impl GoogleTokenSource {
    pub(super) fn new(account: ServiceAccount, clock: Arc<dyn WallClock>) -> Result<Self, Fault> {
        let google = Self { account, clock };
        // Checked now, so that a wrong key is an error of the configuration and not of the first call.
        google.endpoint(&JwtSigningKey::load(&google.account.key)?)?;
        Ok(google)
    }

    fn endpoint(&self, key: &JwtSigningKey) -> Result<TokenEndpoint, Fault> {
        // No client id: the assertion names the account.
        let oauth =
            OAuthClient { call_max: self.account.call_max, ..OAuthClient::new(&key.raw.token_uri, "", None) };
        TokenEndpoint::new(oauth, self.clock.clone())
    }
}

#[async_trait]
impl TokenSource for GoogleTokenSource {
    async fn fetch(&self, _known: Option<&str>) -> Result<IssuedToken, Fault> {
        let key = self.account.key.clone();
        let load = move || JwtSigningKey::load(&key);
        // A file may be read and an RSA key is parsed: neither belongs on an async thread.
        let key = tokio::task::spawn_blocking(load)
            .await
            .map_err(|error| Fault::transient_error("loading the service account's key", error))??;
        let begins_ms = self.clock.now_ms();
        let assertion = key.assertion(&self.account.scope, begins_ms / 1000)?;
        let grant = TokenGrant { kind: JWT_BEARER_GRANT, proof: Some(("assertion", &assertion)) };
        let granted = self.endpoint(&key)?.ask(&grant).await?;
        let expires_ms = granted.life.map(|life| token_response::expiry_ms(begins_ms, life));
        Ok(IssuedToken { text: granted.access, begins_ms, expires_ms })
    }
}

impl JwtSigningKey {
    fn load(key: &ServiceAccountKey) -> Result<Self, Fault> {
        match key {
            ServiceAccountKey::Text(text) => Self::from_json(text.expose()),
            ServiceAccountKey::File(path) => Self::from_json(&read_key_file(path)?),
        }
    }

    /// Parses the key's JSON. Drops serde's message, because it may quote the key.
    fn from_json(text: &str) -> Result<Self, Fault> {
        let raw: RawServiceAccountKey = serde_json::from_str(text).map_err(|_| {
            reject_config("the service account's key is no JSON with client_email, private_key and token_uri")
        })?;
        let unsound = || reject_config("the service account's private_key is no RSA key in PEM");
        let key = PrivateKeyDer::from_pem_slice(raw.private_key.as_bytes()).map_err(|_| unsound())?;
        let key = any_supported_type(&key).map_err(|_| unsound())?;
        let signer = key.choose_scheme(&[SignatureScheme::RSA_PKCS1_SHA256]).ok_or_else(unsound)?;
        Ok(Self { raw, signer })
    }

    /// Builds and signs an assertion: RFC 7515 and 7523.
    fn assertion(&self, scope: &str, now_s: u64) -> Result<String, Fault> {
        let RawServiceAccountKey { client_email, private_key_id, token_uri, .. } = &self.raw;
        let mut header = json!({ "alg": "RS256", "typ": "JWT" });
        if let Some(id) = private_key_id {
            header["kid"] = json!(id);
        }
        let claims = json!({
            "iss": client_email,
            "scope": scope,
            "aud": token_uri,
            "iat": now_s,
            "exp": now_s + ASSERTION_LIFE_S,
        });
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let signed =
            format!("{}.{}", encode(header.to_string().as_bytes()), encode(claims.to_string().as_bytes()));
        let signature = self.signer.sign(signed.as_bytes());
        let signature = signature.map_err(|_| reject_config("the service account's key does not sign"))?;
        Ok(format!("{signed}.{}", encode(&signature)))
    }
}

fn read_key_file(path: &Path) -> Result<String, Fault> {
    let unreadable =
        |error: std::io::Error| reject_config(&format!("{} cannot be read: {error}", path.display()));
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(unreadable)?;
    file.take(TOKEN_SOURCE_BYTES_MAX as u64).read_to_string(&mut text).map_err(unreadable)?;
    Ok(text)
}
