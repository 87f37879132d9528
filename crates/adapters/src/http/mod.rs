//! Calls to HTTP services: send a body to one URL, get a response that is bounded in time and bytes.
//!
//! HTTP/1.1 over pooled connections; TLS by rustls with ring and the system's roots. One deadline covers
//! a call from connecting to the last byte. A response has at most
//! [`HttpEndpointConfig::answer_bytes_max`] bytes. Because a key travels along, a call goes only to the
//! configured URL: redirects are not followed, and proxies of the environment are not used. The key is
//! sent as `Authorization: Bearer` and appears in no message and no `Debug` output.
//!
//! Nothing is retried here. [`HttpEndpoint::post`] reports only the status of a failure, not its body,
//! which may quote what was sent. [`faults`] maps failures to [`Fault`]s.

pub mod faults;

pub use self::faults::RemoteService;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

pub use reqwest::Method;
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
/// Most bytes that are read of a failure's body.
const FAILURE_BODY_BYTES_MAX: usize = 16 * 1024;
/// Longest wait for a failure's body.
const FAILURE_BODY_WAIT_MAX: Duration = Duration::from_secs(2);
/// Most idle connections that are kept.
const IDLE_CONNECTIONS_MAX: usize = 8;

/// Where a service is, its key, and the limits of a call.
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
            .debug_struct("HttpEndpointConfig")
            .field("call_max", &self.call_max)
            .field("answer_bytes_max", &self.answer_bytes_max)
            .finish_non_exhaustive()
    }
}

/// A response, whatever its status.
#[derive(Debug)]
pub struct HttpResponse {
    /// 200 to 299 mean success.
    pub status: u16,
    /// The response's headers.
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

/// Why there was no complete response.
#[derive(Debug)]
pub enum HttpCallError {
    /// There was no connection.
    Unreachable(Fault),
    /// The response has more than [`HttpEndpointConfig::answer_bytes_max`] bytes.
    TooLarge,
    /// The call took too long or broke off.
    Failed(Fault),
}

/// One URL that bodies are sent to.
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
    /// Creates an endpoint without connecting. Rejects a URL or a key that cannot be used.
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

    /// Posts JSON and returns the body of a response with success.
    pub async fn post(&self, json: Vec<u8>) -> Result<Vec<u8>, Fault> {
        let response = self.call(HeaderMap::new(), JSON_CONTENT_TYPE, json).await?;
        if response.is_success() { Ok(response.body) } else { Err(self.fault(&response)) }
    }

    /// Posts a body and returns the response. A fault means that there was no complete response.
    /// `headers` take precedence over the configured key.
    pub async fn call(
        &self,
        headers: HeaderMap,
        content_type: &str,
        body: Vec<u8>,
    ) -> Result<HttpResponse, Fault> {
        self.send(Method::POST, headers, content_type, body).await.map_err(|error| match error {
            HttpCallError::Unreachable(fault) | HttpCallError::Failed(fault) => fault,
            HttpCallError::TooLarge => {
                self.malformed(&format!("has more than {} bytes", self.answer_bytes_max))
            }
        })
    }

    /// Sends a body with this method, for those who tell the reasons apart why there was no complete response.
    pub async fn send(
        &self,
        method: Method,
        headers: HeaderMap,
        content_type: &str,
        body: Vec<u8>,
    ) -> Result<HttpResponse, HttpCallError> {
        let late = |_| {
            let waited_ms = self.call_max.as_millis();
            let what = format!("{}: no answer within {waited_ms} ms", self.service.name);
            HttpCallError::Failed(Fault::transient(what))
        };
        let exchange = self.exchange(method, headers, content_type, body);
        tokio::time::timeout(self.call_max, exchange).await.map_err(late)?
    }

    /// The fault of a response without success.
    pub fn fault(&self, response: &HttpResponse) -> Fault {
        let status = StatusCode::from_u16(response.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        faults::fault_from_status(self.service, status, &response.headers, self.clock.now_ms())
    }

    /// The fault of a malformed response; `why` continues "the answer".
    pub fn malformed(&self, why: &str) -> Fault {
        Fault::permanent(self.service.rejected, format!("{}: the answer {why}", self.service.name))
    }

    async fn exchange(
        &self,
        method: Method,
        headers: HeaderMap,
        content_type: &str,
        body: Vec<u8>,
    ) -> Result<HttpResponse, HttpCallError> {
        let mut request = self
            .client
            .request(method, self.url.clone())
            .header(CONTENT_TYPE, content_type)
            .header(ACCEPT, JSON_CONTENT_TYPE);
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization.clone());
        }
        let request = request.headers(headers).body(body);
        let response = request.send().await.map_err(|error| self.incomplete(&error))?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = if (200..300).contains(&status) {
            self.read(response).await?
        } else {
            read_failure_body(response).await
        };
        Ok(HttpResponse { status, headers, body })
    }

    fn incomplete(&self, error: &reqwest::Error) -> HttpCallError {
        let fault = faults::incomplete_call_fault(self.service, error);
        if error.is_connect() { HttpCallError::Unreachable(fault) } else { HttpCallError::Failed(fault) }
    }

    async fn read(&self, mut response: Response) -> Result<Vec<u8>, HttpCallError> {
        let mut body = Vec::new();
        while let Some(part) = response.chunk().await.map_err(|error| self.incomplete(&error))? {
            // Checked before the part is kept, so the limit bounds memory, too.
            if body.len() + part.len() > self.answer_bytes_max {
                return Err(HttpCallError::TooLarge);
            }
            body.extend_from_slice(&part);
        }
        Ok(body)
    }
}

/// Reads what arrives of a failure's body in time. The status is what counts, so errors are ignored.
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
    // On a timeout the part that has arrived is used.
    let _ = tokio::time::timeout(FAILURE_BODY_WAIT_MAX, read).await;
    body
}

fn bearer_header(key: &str) -> Result<HeaderValue, &'static str> {
    const UNSOUND: &str = "the API key must be visible ASCII without spaces";
    if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(UNSOUND);
    }
    let mut value = HeaderValue::from_str(&format!("Bearer {key}")).map_err(|_| UNSOUND)?;
    // Keeps the key out of `Debug` output of headers.
    value.set_sensitive(true);
    Ok(value)
}

fn build_client(url: &Url, connect_max: Duration) -> Result<Client, reqwest::Error> {
    // Fails if a provider is installed already, which in this process is the same one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = Client::builder()
        .user_agent(USER_AGENT)
        .redirect(redirect::Policy::none())
        // reqwest repeats some failed calls by default, which no limiter would know of.
        .retry(retry::never())
        .referer(false)
        // The environment's proxy would see the key.
        .no_proxy()
        .connect_timeout(connect_max)
        .pool_max_idle_per_host(IDLE_CONNECTIONS_MAX);
    // Without TLS, a machine without root certificates must do, too.
    let builder = if url.scheme() == "http" { builder.tls_certs_only([]) } else { builder };
    builder.build()
}
