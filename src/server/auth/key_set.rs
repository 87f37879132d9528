//! The keys of an issuer: a JSON Web Key Set behind a URL or in a file, kept in memory.
//!
//! It is read at first use, again after [`AGE_MAX`], and when a token names a key that is not in it, but then at
//! most every [`PAUSE_MIN`]: a token with an invented key must not make us call the issuer. While reading fails,
//! the keys of before stay. A set has at most [`BYTES_MAX`] bytes, and a read takes at most [`READ_MAX`].

use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use jsonwebtoken::jwk::{AlgorithmParameters, Jwk, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use reqwest::{Client, Url, redirect, retry};
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::config::KeySetSource;
use contexture_core::fault::{Refusal, RefusalKind};

/// After how long a set is read again.
const AGE_MAX: Duration = Duration::from_hours(1);
/// Shortest time between two reads of a set that has been read.
const PAUSE_MIN: Duration = Duration::from_mins(1);
/// Shortest time between two attempts while no read has worked yet.
const FIRST_PAUSE_MIN: Duration = Duration::from_secs(5);
/// Longest time of a read.
const READ_MAX: Duration = Duration::from_secs(5);
/// Largest set, in bytes.
const BYTES_MAX: usize = 1024 * 1024;

/// The keys of an issuer.
pub(super) struct IssuerKeySet {
    source: KeySetSource,
    client: Option<Client>,
    keys: RwLock<Arc<Vec<Jwk>>>,
    reads: Mutex<KeySetReads>,
}

/// When the set was read.
#[derive(Default)]
struct KeySetReads {
    tried: Option<Instant>,
    succeeded: Option<Instant>,
}

impl IssuerKeySet {
    /// Creates a set that has not been read yet.
    pub(super) fn new(source: KeySetSource) -> Result<Self, Refusal> {
        let client = match &source {
            KeySetSource::Url(url) => Some(build_client(url)?),
            KeySetSource::File(_) => None,
        };
        Ok(Self { source, client, keys: RwLock::default(), reads: Mutex::default() })
    }

    /// Returns the key of this id, for this algorithm. Without an id, the only key that fits.
    pub(super) async fn key(self: &Arc<Self>, id: Option<&str>, algorithm: Algorithm) -> Option<DecodingKey> {
        if let Some(key) = self.find(id, algorithm) {
            self.refresh_when_old();
            return Some(key);
        }
        // Callers that come meanwhile wait for the same read.
        self.read_again().await;
        self.find(id, algorithm)
    }

    fn find(&self, id: Option<&str>, algorithm: Algorithm) -> Option<DecodingKey> {
        // A poisoned lock still has a whole set: it is only ever replaced.
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner).clone();
        let mut fitting = keys.iter().filter(|key| fits(key, id, algorithm));
        let found = fitting.next()?;
        // A choice between several keys would be a guess.
        if id.is_none() && fitting.next().is_some() {
            return None;
        }
        DecodingKey::from_jwk(found).ok()
    }

    /// Reads an old set anew, without making the call at hand wait.
    fn refresh_when_old(self: &Arc<Self>) {
        let Ok(reads) = self.reads.try_lock() else { return };
        if reads.succeeded.is_some_and(|read| read.elapsed() < AGE_MAX) {
            return;
        }
        drop(reads);
        let this = Arc::clone(self);
        tokio::spawn(async move { this.read_again().await });
    }

    async fn read_again(&self) {
        let mut reads = self.reads.lock().await;
        let pause = if reads.succeeded.is_some() { PAUSE_MIN } else { FIRST_PAUSE_MIN };
        if reads.tried.is_some_and(|tried| tried.elapsed() < pause) {
            return;
        }
        reads.tried = Some(Instant::now());
        let read = tokio::time::timeout(READ_MAX, self.read()).await;
        match read.unwrap_or_else(|_| Err("took too long".to_owned())) {
            Ok(keys) => {
                reads.succeeded = reads.tried;
                *self.keys.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(keys);
            }
            Err(why) => tracing::warn!(source = ?self.source, why, "the keys of an issuer cannot be read"),
        }
    }

    async fn read(&self) -> Result<Vec<Jwk>, String> {
        let bytes = match (&self.source, &self.client) {
            (KeySetSource::Url(url), Some(client)) => fetch(client, url).await?,
            (KeySetSource::Url(_), None) => return Err("no client".to_owned()),
            (KeySetSource::File(path), _) => read_file(path).await?,
        };
        parse(&bytes)
    }
}

fn fits(key: &Jwk, id: Option<&str>, algorithm: Algorithm) -> bool {
    let common = &key.common;
    // A secret in a public set is a mistake, and must never verify anything.
    let is_public =
        !matches!(key.algorithm, AlgorithmParameters::OctetKey(_) | AlgorithmParameters::Other(_));
    let is_same_id = id.is_none_or(|id| common.key_id.as_deref() == Some(id));
    let signs = common.public_key_use.as_ref().is_none_or(|used| *used == PublicKeyUse::Signature);
    let names =
        common.key_algorithm.as_ref().is_none_or(|named| named.to_string() == format!("{algorithm:?}"));
    let family = DecodingKey::from_jwk(key).is_ok_and(|key| key.family() == algorithm.family());
    is_public && is_same_id && signs && names && family
}

/// Reads the keys of a set. Those that are not understood are passed over: a set may have keys for others.
fn parse(bytes: &[u8]) -> Result<Vec<Jwk>, String> {
    #[derive(serde::Deserialize)]
    struct KeySetDocument {
        keys: Vec<serde_json::Value>,
    }
    let document: KeySetDocument =
        serde_json::from_slice(bytes).map_err(|_| "is not a JSON Web Key Set".to_owned())?;
    Ok(document.keys.into_iter().filter_map(|key| serde_json::from_value(key).ok()).collect())
}

async fn read_file(path: &Path) -> Result<Vec<u8>, String> {
    let size = tokio::fs::metadata(path).await.map_err(|error| error.to_string())?.len();
    if size > BYTES_MAX as u64 {
        return Err(format!("has more than {BYTES_MAX} bytes"));
    }
    tokio::fs::read(path).await.map_err(|error| error.to_string())
}

async fn fetch(client: &Client, url: &str) -> Result<Vec<u8>, String> {
    let said = |error: reqwest::Error| error.without_url().to_string();
    let mut response = client.get(url).send().await.map_err(said)?;
    if !response.status().is_success() {
        return Err(format!("answered {}", response.status().as_u16()));
    }
    let mut body = Vec::new();
    while let Some(part) = response.chunk().await.map_err(said)? {
        if body.len() + part.len() > BYTES_MAX {
            return Err(format!("has more than {BYTES_MAX} bytes"));
        }
        body.extend_from_slice(&part);
    }
    Ok(body)
}

fn build_client(url: &str) -> Result<Client, Refusal> {
    let refuse = |why: &str| {
        let message = format!("auth.issuers: the keys at {url} cannot be fetched: {why}");
        Refusal::new(RefusalKind::Invalid, "issuer_unusable", "auth.issuers", message)
    };
    let url = Url::parse(url).map_err(|error| refuse(&error.to_string()))?;
    // Fails if a provider is installed already, which in this process is the same one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = Client::builder()
        // Keys come from where the configuration says, and from nowhere else.
        .redirect(redirect::Policy::none())
        .retry(retry::never())
        .referer(false)
        .connect_timeout(READ_MAX);
    // Without TLS, a machine without root certificates must do, too; and loopback has no proxy.
    let builder = if url.scheme() == "http" { builder.tls_certs_only([]).no_proxy() } else { builder };
    builder.build().map_err(|error| refuse(&error.to_string()))
}
