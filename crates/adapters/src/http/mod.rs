//! Calls to HTTP services: a body posted to one URL, an answer bounded in time and bytes.
//!
//! HTTP/1.1 over pooled connections; TLS by rustls with ring and the system's roots. A call has
//! one deadline, from connecting to the last byte, and reads at most
//! [`HttpEndpointConfig::answer_bytes_max`]. It goes to the URL of the configuration and nowhere
//! else: no redirect is followed and no proxy of the environment used, for a key travels along.
//! The key is sent as `Authorization: Bearer` and appears in no message and no `Debug`. Nothing
//! is tried twice here. What a service says about a failure is not repeated by [`HttpEndpoint::post`],
//! only its status: it may quote what it was sent. [`faults`] maps failures to [`Fault`]s.

pub mod faults;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
pub use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Response, StatusCode, Url, redirect, retry};

use contexture_core::fault::Fault;
use contexture_core::ports::clock::WallClock;

/// The content type of JSON.
pub const JSON_CONTENT_TYPE: &str = "application/json";
/// The content type of a form.
pub const FORM_CONTENT_TYPE: &str = "application/x-www-form-urlencoded";
const USER_AGENT: &str = concat!("contexture/", env!("CARGO_PKG_VERSION"));
/// Bytes of a failure's body that are read.
const FAILURE_BODY_BYTES_MAX: usize = 16 * 1024;
/// How long a failure's body is waited for.
const FAILURE_BODY_WAIT_MAX: Duration = Duration::from_secs(2);
/// Unused connections that are kept.
const IDLE_CONNECTIONS_MAX: usize = 8;

/// Where a service is, and how long it may take.
#[derive(Clone)]
pub struct HttpEndpointConfig {
    /// `http://…` or `https://…`, without user and password.
    pub url: String,
    /// Sent with every call; visible ASCII.
    pub api_key: Option<String>,
    /// Longest time of one call.
    pub call_max: Duration,
    /// Largest answer, in bytes.
    pub answer_bytes_max: usize,
}

impl fmt::Debug for HttpEndpointConfig {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("EndpointConfig")
            .field("call_max", &self.call_max)
            .field("answer_bytes_max", &self.answer_bytes_max)
            .finish_non_exhaustive()
    }
}

/// Who is called, in the words of faults.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RemoteService {
    /// How messages begin, such as `reranker`.
    pub name: &'static str,
    /// The code of what it refuses for good, and of answers that make no sense.
    pub rejected: &'static str,
}

/// What came back, whatever its status.
#[derive(Debug)]
pub struct HttpResponse {
    /// 200 to 299 mean success.
    pub status: u16,
    /// As they came.
    pub headers: HeaderMap,
    /// At most [`HttpEndpointConfig::answer_bytes_max`] bytes.
    pub body: Vec<u8>,
}

impl HttpResponse {
    /// Whether the status is one of success.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

/// One URL that answers posts.
pub struct HttpEndpoint {
    service: RemoteService,
    client: Client,
    url: Url,
    authorization: Option<HeaderValue>,
    call_max: Duration,
    answer_bytes_max: usize,
    clock: Arc<dyn WallClock>,
}

impl HttpEndpoint {
    /// An endpoint; connects to nothing yet. Refuses a URL or a key that cannot be sent.
    pub fn new(
        service: RemoteService,
        config: &HttpEndpointConfig,
        clock: Arc<dyn WallClock>,
    ) -> Result<Self, Fault> {
        let refuse = |why: &str| Fault::permanent(service.rejected, format!("{}: {why}", service.name));
        let url = Url::parse(&config.url).map_err(|_| refuse("the URL is not valid"))?;
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
            return Err(refuse("the URL must be of the form http://… or https://…"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(refuse("the URL must not hold a credential; give api_key"));
        }
        let authorization = config.api_key.as_deref().map(bearer_header).transpose().map_err(refuse)?;
        let client = build_client(&url, config.call_max)
            .map_err(|error| refuse(&format!("no client: {}", faults::innermost_cause(&error))))?;
        let &HttpEndpointConfig { call_max, answer_bytes_max, .. } = config;
        Ok(Self { service, client, url, authorization, call_max, answer_bytes_max, clock })
    }

    /// Posts JSON and returns what a status of success came with.
    pub async fn post(&self, json: Vec<u8>) -> Result<Vec<u8>, Fault> {
        let answer = self.call(HeaderMap::new(), JSON_CONTENT_TYPE, json).await?;
        if answer.is_success() { Ok(answer.body) } else { Err(self.fault(&answer)) }
    }

    /// Posts a body and returns what came back; a fault only where nothing whole did. `headers` win
    /// against the key of the configuration.
    pub async fn call(
        &self,
        headers: HeaderMap,
        content_type: &str,
        body: Vec<u8>,
    ) -> Result<HttpResponse, Fault> {
        let late = |_| {
            let waited_ms = self.call_max.as_millis();
            Fault::Transient(format!("{}: no answer within {waited_ms} ms", self.service.name))
        };
        let exchange = self.exchange(headers, content_type, body);
        tokio::time::timeout(self.call_max, exchange).await.map_err(late)?
    }

    /// The fault of an answer without success.
    pub fn fault(&self, answer: &HttpResponse) -> Fault {
        let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        faults::fault_from_status(self.service, status, &answer.headers, self.clock.now_ms())
    }

    /// A fault of an answer that makes no sense; `why` continues a sentence that begins with it.
    pub fn malformed(&self, why: &str) -> Fault {
        Fault::permanent(self.service.rejected, format!("{}: the answer {why}", self.service.name))
    }

    async fn exchange(
        &self,
        headers: HeaderMap,
        content_type: &str,
        body: Vec<u8>,
    ) -> Result<HttpResponse, Fault> {
        let mut request = self
            .client
            .post(self.url.clone())
            .header(CONTENT_TYPE, content_type)
            .header(ACCEPT, JSON_CONTENT_TYPE);
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization.clone());
        }
        let request = request.headers(headers).body(body);
        let response =
            request.send().await.map_err(|error| faults::incomplete_call_fault(self.service, &error))?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = if (200..300).contains(&status) {
            self.read(response).await?
        } else {
            read_failure_body(response).await
        };
        Ok(HttpResponse { status, headers, body })
    }

    async fn read(&self, mut response: Response) -> Result<Vec<u8>, Fault> {
        let mut answer = Vec::new();
        while let Some(part) =
            response.chunk().await.map_err(|error| faults::incomplete_call_fault(self.service, &error))?
        {
            if answer.len() + part.len() > self.answer_bytes_max {
                return Err(self.malformed(&format!("has more than {} bytes", self.answer_bytes_max)));
            }
            answer.extend_from_slice(&part);
        }
        Ok(answer)
    }
}

/// What a failure comes with, as far as it arrives soon: its status says enough.
async fn read_failure_body(mut response: Response) -> Vec<u8> {
    let mut body = Vec::new();
    let read = async {
        while let Ok(Some(part)) = response.chunk().await {
            body.extend_from_slice(&part[..part.len().min(FAILURE_BODY_BYTES_MAX - body.len())]);
            if body.len() == FAILURE_BODY_BYTES_MAX {
                break;
            }
        }
    };
    let _ = tokio::time::timeout(FAILURE_BODY_WAIT_MAX, read).await;
    body
}

fn bearer_header(key: &str) -> Result<HeaderValue, &'static str> {
    const UNSOUND: &str = "the API key must be visible ASCII without spaces";
    if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(UNSOUND);
    }
    let mut value = HeaderValue::from_str(&format!("Bearer {key}")).map_err(|_| UNSOUND)?;
    value.set_sensitive(true);
    Ok(value)
}

fn build_client(url: &Url, connect_max: Duration) -> Result<Client, reqwest::Error> {
    // Whoever was first has installed the same one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = Client::builder()
        .user_agent(USER_AGENT)
        .redirect(redirect::Policy::none())
        .retry(retry::never())
        .referer(false)
        .no_proxy()
        .connect_timeout(connect_max)
        .pool_max_idle_per_host(IDLE_CONNECTIONS_MAX);
    // Without TLS the system's roots need not be there.
    let builder = if url.scheme() == "http" { builder.tls_certs_only([]) } else { builder };
    builder.build()
}
