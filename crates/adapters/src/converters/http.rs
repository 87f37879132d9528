//! A converter that is an HTTP server, such as Tika or docling-serve.
//!
//! The document is the body of the request, or a file of a form. The answer is the text, or JSON with the text at a
//! place. The address is the operator's, so it is called as it is; redirects are not followed. A server that cannot
//! be reached, or answers 429, 502, 503 or 504, is away. Other failures of a server, and calls that take too long,
//! count as attempts of the document, because it may be the reason; 4xx are refusals of the document.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::Semaphore;

use super::{ConverterAbsence, ConverterAnswer, media_types, refused, too_large};
use crate::credentials::Credential;
use crate::http::{
    HeaderMap, HeaderName, HeaderValue, HttpCallError, HttpEndpoint, HttpEndpointConfig, HttpResponse,
    JSON_CONTENT_TYPE, Method, RemoteService,
};
use contexture_core::fault::{Fault, reason};
use contexture_core::ports::clock::WallClock;
use contexture_core::ports::converter::{ConvertedText, DocumentConverter, DocumentToConvert};

/// How faults name a converter before they have its own name.
const SERVICE: RemoteService = RemoteService { name: "converter", rejected: reason::CONVERTER_FAILED };

/// A form with the document as a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MultipartForm {
    /// The field of the file.
    pub file_field: String,
    /// The other fields.
    pub values: BTreeMap<String, String>,
}

/// A server and how it is called.
pub struct HttpConverterConfig {
    /// Its name in the configuration.
    pub name: String,
    /// Where it is, without a key, and the limits of a call.
    pub endpoint: HttpEndpointConfig,
    /// PUT or POST.
    pub method: Method,
    /// Sent with every call.
    pub headers: HeaderMap,
    /// What authorises calls; sent as a bearer token.
    pub credential: Option<Arc<dyn Credential>>,
    /// The form; none: the document is the body.
    pub form: Option<MultipartForm>,
    /// The place of the text in a JSON answer (RFC 6901); none: the answer is the text.
    pub json_pointer: Option<String>,
    /// How the text is read.
    pub answer: ConverterAnswer,
    /// Documents at once.
    pub documents_at_once: usize,
}

/// Calls a server for each document.
pub struct HttpConverter {
    config: HttpConverterConfig,
    endpoint: HttpEndpoint,
    turns: Semaphore,
    absence: ConverterAbsence,
}

impl HttpConverter {
    /// Connects to nothing yet. Rejects a URL that cannot be used.
    pub fn new(config: HttpConverterConfig, clock: Arc<dyn WallClock>) -> Result<Self, Fault> {
        let endpoint = HttpEndpoint::new(SERVICE, &config.endpoint, clock)?;
        let turns = Semaphore::new(config.documents_at_once.max(1));
        Ok(Self { config, endpoint, turns, absence: ConverterAbsence::default() })
    }

    async fn call(&self, document: DocumentToConvert) -> Result<HttpResponse, Fault> {
        let Some(credential) = &self.config.credential else { return self.send(document, None).await };
        let token = credential.token().await?;
        let first = self.send(document.clone(), Some(token.expose())).await?;
        if first.status != 401 {
            return Ok(first);
        }
        let token = credential.renew(&token).await?;
        self.send(document, Some(token.expose())).await
    }

    async fn send(&self, document: DocumentToConvert, token: Option<&str>) -> Result<HttpResponse, Fault> {
        let HttpConverterConfig { name, method, form, json_pointer, answer, .. } = &self.config;
        let accepted = if json_pointer.is_some() { JSON_CONTENT_TYPE } else { answer.format.media_type() };
        let mut headers = HeaderMap::new();
        headers.insert(HeaderName::from_static("accept"), HeaderValue::from_static(accepted));
        headers.extend(self.config.headers.clone());
        if let Some(token) = token {
            let unsendable = |error| Fault::unauthorized_error(format!("converter {name}: its key"), error);
            let mut value = HeaderValue::try_from(format!("Bearer {token}")).map_err(unsendable)?;
            value.set_sensitive(true);
            headers.insert(HeaderName::from_static("authorization"), value);
        }
        let (content_type, body) = match form {
            Some(form) => multipart_body(form, &document),
            None => (document.media_type, document.body),
        };
        self.endpoint.send(method.clone(), headers, &content_type, body).await.map_err(|error| match error {
            HttpCallError::Unreachable(fault) => self.absence.fault(name, &fault.to_string()),
            HttpCallError::TooLarge => too_large(name, self.config.endpoint.answer_bytes_max),
            HttpCallError::Failed(fault) => fault.during(&format!("converter {name}")),
        })
    }

    fn read(&self, response: HttpResponse) -> Result<ConvertedText, Fault> {
        let HttpConverterConfig { name, json_pointer, answer, .. } = &self.config;
        let Some(pointer) = json_pointer else { return Ok(answer.text(response.body)) };
        let no_json = |_| refused(name, "answered no JSON", b"");
        let json: serde_json::Value = serde_json::from_slice(&response.body).map_err(no_json)?;
        match json.pointer(pointer).and_then(serde_json::Value::as_str) {
            Some(text) => Ok(answer.text(text.as_bytes().to_vec())),
            None => Err(refused(name, &format!("answered JSON without a text at {pointer}"), b"")),
        }
    }

    fn failed(&self, response: &HttpResponse) -> Fault {
        let name = &self.config.name;
        let status = response.status;
        let what = format!("answered {status}");
        match (status, self.endpoint.fault(response)) {
            // It says for how long.
            (429 | 503, Fault::Throttled { retry_after, .. })
                if response.headers.contains_key("retry-after") =>
            {
                Fault::Throttled { retry_after, what: format!("converter {name}: {what}") }
            }
            (429 | 502..=504, _) => self.absence.fault(name, &what),
            (300..=399, _) => refused(name, &format!("{what}; redirects are not followed"), b""),
            (_, Fault::Permanent(_)) => refused(name, &what, &response.body),
            (_, other) => other.during(name),
        }
    }
}

#[async_trait]
impl DocumentConverter for HttpConverter {
    fn name(&self) -> &str {
        &self.config.name
    }

    fn documents_at_once(&self) -> usize {
        self.config.documents_at_once
    }

    async fn convert(&self, document: DocumentToConvert) -> Result<ConvertedText, Fault> {
        let closed = |error| Fault::transient_error(format!("converter {}", self.config.name), error);
        let _turn = self.turns.acquire().await.map_err(closed)?;
        let response = self.call(document).await?;
        if !response.is_success() {
            return Err(self.failed(&response));
        }
        self.absence.is_over(&self.config.name);
        self.read(response)
    }
}

/// A form (RFC 7578) and its content type.
fn multipart_body(form: &MultipartForm, document: &DocumentToConvert) -> (String, Vec<u8>) {
    // No document holds its own hash.
    let boundary = format!("contexture-{}", &blake3::hash(&document.body).to_hex()[..32]);
    let mut body = Vec::with_capacity(document.body.len() + 1024);
    for (name, value) in &form.values {
        let part =
            format!("--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
        body.extend_from_slice(part.as_bytes());
    }
    let file = media_types::file_name(&document.name, &document.media_type);
    let (field, media_type) = (&form.file_field, &document.media_type);
    let head = format!(
        "--{boundary}\r\nContent-Disposition: form-data; name=\"{field}\"; filename=\"{file}\"\r\n\
         Content-Type: {media_type}\r\n\r\n"
    );
    body.extend_from_slice(head.as_bytes());
    body.extend_from_slice(&document.body);
    body.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
    (format!("multipart/form-data; boundary={boundary}"), body)
}
