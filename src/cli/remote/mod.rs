//! A server that does a command's work, reached over HTTP.
//!
//! [`RemoteServer`] implements the operations that commands use, so a command reads the same whether its work is
//! done here or there. A refusal of the server is a [`Refusal`] here, with its code, field and message. Nothing is
//! retried here but what the caller repeats itself. Redirects are not followed and proxies of the environment are
//! not used, because a key travels along.

mod collection_jobs;
mod followed_versions;
mod generations;
mod http_call;
mod operations;
mod problem;
mod queries;
mod server_events;
mod sources;
mod submit_batch;

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use reqwest::header::HeaderValue;
use reqwest::{Client, Method, Url, redirect, retry};

use contexture_core::fault::Refusal;

pub(crate) use followed_versions::FollowedVersions;
pub(crate) use generations::RemoteGenerations;
pub(crate) use http_call::HttpCall;

const USER_AGENT: &str = concat!("contexture/", env!("CARGO_PKG_VERSION"));
/// Longest time until a connection stands.
const CONNECT_MAX: Duration = Duration::from_secs(5);
/// Longest silence of a server in the middle of an answer. Streams have heartbeats.
const SILENCE_MAX: Duration = Duration::from_mins(5);
/// Longest wait for the answer to whether a server is there.
const HEALTH_MAX: Duration = Duration::from_secs(2);

/// An API key, and where it was found. Never shown.
#[derive(Clone)]
pub(crate) struct ApiKeyText {
    header: HeaderValue,
    source: String,
}

impl fmt::Debug for ApiKeyText {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("ApiKeyText").field("source", &self.source).finish_non_exhaustive()
    }
}

impl ApiKeyText {
    /// The key that a source holds. Refuses one that cannot be sent.
    pub(crate) fn new(key: &str, source: &str) -> Result<Self, Refusal> {
        let key = key.trim();
        let refuse = || {
            Refusal::invalid(
                "invalid_api_key",
                "api-key-file",
                format!("{source} holds no API key: one line of visible ASCII without spaces is expected"),
            )
        };
        if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(refuse());
        }
        let mut header = HeaderValue::from_str(&format!("Bearer {key}")).map_err(|_| refuse())?;
        // Keeps the key out of `Debug` output of headers.
        header.set_sensitive(true);
        Ok(Self { header, source: source.to_owned() })
    }
}

/// A server and the key for it.
#[derive(Clone)]
pub(crate) struct RemoteServer {
    client: Client,
    base: Url,
    key: Option<ApiKeyText>,
}

impl RemoteServer {
    /// The server at a URL. Does not connect.
    pub(crate) fn new(url: &str, key: Option<ApiKeyText>) -> Result<Self, Refusal> {
        Self::with_client(url, key, |client| client)
    }

    /// A server of this machine that this machine's data directory names.
    pub(crate) fn on_this_machine(url: &str, key: Option<ApiKeyText>) -> Result<Self, Refusal> {
        let host = Url::parse(url).ok().and_then(|url| url.host_str().map(str::to_owned));
        let address = host.and_then(|host| host.trim_matches(['[', ']']).parse::<IpAddr>().ok());
        let is_loopback = address.is_some_and(|address| address.is_loopback());
        // A certificate names a host, never this address. Whoever can write into the data directory is trusted
        // already, and the connection to a loopback address does not leave the machine. Any other is verified.
        Self::with_client(url, key, |client| {
            if is_loopback { client.tls_danger_accept_invalid_certs(true) } else { client }
        })
    }

    fn with_client(
        url: &str,
        key: Option<ApiKeyText>,
        adapt: impl FnOnce(reqwest::ClientBuilder) -> reqwest::ClientBuilder,
    ) -> Result<Self, Refusal> {
        let refuse = |why: &str| {
            Refusal::invalid(
                "invalid_server_url",
                "server",
                format!("--server {why}: http://HOST:PORT or https://HOST"),
            )
        };
        let base = Url::parse(url).map_err(|_| refuse("is not a URL"))?;
        if !matches!(base.scheme(), "http" | "https") || base.host_str().is_none() {
            return Err(refuse("must be of the form"));
        }
        if !base.username().is_empty() || base.password().is_some() {
            return Err(refuse("must not hold a credential; give --api-key-file. The form"));
        }
        // Fails if a provider is installed already, which in this process is the same one.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let builder = Client::builder()
            .user_agent(USER_AGENT)
            .redirect(redirect::Policy::none())
            .retry(retry::never())
            .referer(false)
            .no_proxy()
            .connect_timeout(CONNECT_MAX)
            .read_timeout(SILENCE_MAX);
        // Without TLS, a machine without root certificates must do, too.
        let builder = if base.scheme() == "http" { builder.tls_certs_only([]) } else { adapt(builder) };
        let client = builder.build().map_err(|error| refuse(&format!("cannot be called ({error})")))?;
        Ok(Self { client, base, key })
    }

    /// Its address, for messages.
    pub(crate) fn url(&self) -> &str {
        self.base.as_str().trim_end_matches('/')
    }

    /// The key for it.
    pub(crate) fn api_key(&self) -> Option<String> {
        let header = self.key.as_ref()?.header.to_str().ok()?;
        header.strip_prefix("Bearer ").map(str::to_owned)
    }

    /// Whether it answers.
    pub(crate) async fn is_healthy(&self) -> bool {
        self.call(Method::GET, &["healthz"]).within(HEALTH_MAX).done().await.is_ok()
    }

    /// A call of one of its routes. Segments are percent-encoded.
    pub(crate) fn call(&self, method: Method, path: &[&str]) -> HttpCall<'_> {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        HttpCall::new(self, method, url)
    }

    /// What to do about a credential that the server does not take.
    fn credential_advice(&self) -> String {
        match &self.key {
            Some(key) => format!("the server at {} does not know the API key of {}", self.url(), key.source),
            None => format!(
                "the server at {} asks for an API key; give --api-key-file FILE or set CONTEXTURE_API_KEY",
                self.url()
            ),
        }
    }
}
