//! One HTTP call: its request, its deadline, and its answer as a message or a refusal.

use std::error::Error;
use std::time::Duration;

use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use reqwest::{Method, Response, Url};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::RemoteServer;
use super::problem::{ServerProblem, refusal_of_status};
use super::server_events::ServerEventReader;
use contexture_core::fault::{Refusal, RefusalKind};

/// Longest time of a call that does not say otherwise, to the last byte of its answer.
const CALL_MAX: Duration = Duration::from_mins(2);
/// Largest answer, in bytes.
const ANSWER_BYTES_MAX: usize = 256 * 1024 * 1024;
/// How long the server may work, in ms.
const TIMEOUT_HEADER: &str = "x-timeout-ms";
/// The content type of a stream of events.
const EVENT_STREAM: &str = "text/event-stream";
/// The content type of a message.
const JSON: &str = "application/json";
/// The content type of a message on each line.
const NDJSON: &str = "application/x-ndjson";

/// A call that is being put together.
pub(crate) struct HttpCall<'a> {
    server: &'a RemoteServer,
    method: Method,
    url: Url,
    accept: Option<&'static str>,
    body: Option<(&'static str, Vec<u8>)>,
    call_max: Duration,
    server_max: Option<Duration>,
}

impl<'a> HttpCall<'a> {
    pub(super) fn new(server: &'a RemoteServer, method: Method, url: Url) -> Self {
        Self { server, method, url, accept: None, body: None, call_max: CALL_MAX, server_max: None }
    }

    /// With another deadline.
    pub(crate) fn within(self, call_max: Duration) -> Self {
        Self { call_max, ..self }
    }

    /// With another deadline for the server's work than its default; the server bounds it.
    pub(crate) fn with_server_deadline(self, server_max: Option<Duration>) -> Self {
        Self { server_max, ..self }
    }

    /// With a query parameter.
    pub(crate) fn query_value(mut self, name: &str, value: &str) -> Self {
        self.url.query_pairs_mut().append_pair(name, value);
        self
    }

    /// With the fields of a request as query parameters.
    pub(crate) fn query(mut self, fields: &impl Serialize) -> Self {
        let fields = serde_json::to_value(fields).unwrap_or_default();
        for (name, value) in fields.as_object().into_iter().flatten() {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            self = self.query_value(name, &text);
        }
        self
    }

    /// With a JSON body.
    pub(crate) fn json(self, body: &impl Serialize) -> Self {
        // Messages have string keys only, so this cannot fail.
        let body = serde_json::to_vec(body).unwrap_or_default();
        Self { body: Some((JSON, body)), ..self }
    }

    /// With a body that has one JSON object per line.
    pub(crate) fn lines(self, body: Vec<u8>) -> Self {
        Self { body: Some((NDJSON, body)), ..self }
    }

    /// The answer as a message.
    pub(crate) async fn answer<T: DeserializeOwned>(self) -> Result<T, Refusal> {
        self.answer_with_status().await.map(|(answer, _)| answer)
    }

    /// The answer as a message, and its status, which is one of success.
    pub(super) async fn answer_with_status<T: DeserializeOwned>(self) -> Result<(T, u16), Refusal> {
        let server = self.server;
        let (body, status) = self.bytes_with_status().await?;
        let answer = serde_json::from_slice(&body).map_err(|error| {
            let message = format!(
                "the answer of the server at {} cannot be read ({error}); is it of this version?",
                server.url()
            );
            Refusal::new(RefusalKind::Internal, "unreadable_answer", "server", message)
        })?;
        Ok((answer, status))
    }

    /// Waits for success; what the answer says is not needed.
    pub(crate) async fn done(self) -> Result<(), Refusal> {
        self.bytes().await.map(|_| ())
    }

    /// The body of the answer.
    pub(crate) async fn bytes(self) -> Result<Vec<u8>, Refusal> {
        self.bytes_with_status().await.map(|(body, _)| body)
    }

    async fn bytes_with_status(self) -> Result<(Vec<u8>, u16), Refusal> {
        let (server, call_max) = (self.server, self.call_max);
        let exchange = async {
            let response = self.sent().await?;
            let status = response.status().as_u16();
            Ok((read_body(server, response).await?, status))
        };
        tokio::time::timeout(call_max, exchange).await.map_err(|_| late_refusal(server, call_max))?
    }

    /// The answer as a stream of events.
    pub(crate) async fn events(self) -> Result<ServerEventReader, Refusal> {
        let (server, call_max) = (self.server.clone(), self.call_max);
        let call = Self { accept: Some(EVENT_STREAM), ..self };
        // Only up to its head: the stream may go on for hours.
        let response = tokio::time::timeout(call_max, call.sent())
            .await
            .map_err(|_| late_refusal(&server, call_max))??;
        Ok(ServerEventReader::new(server, response))
    }

    async fn sent(self) -> Result<Response, Refusal> {
        let server = self.server;
        let mut request = server.client.request(self.method, self.url);
        if let Some(key) = &server.key {
            request = request.header(AUTHORIZATION, key.header.clone());
        }
        if let Some(server_max) = self.server_max {
            request = request.header(TIMEOUT_HEADER, server_max.as_millis().to_string());
        }
        if let Some(accept) = self.accept {
            request = request.header(ACCEPT, accept);
        }
        if let Some((content_type, body)) = self.body {
            request = request.header(CONTENT_TYPE, content_type).body(body);
        }
        let response = request.send().await.map_err(|error| server.lost(&error))?;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status().as_u16();
        let body = read_body(server, response).await.unwrap_or_default();
        let refusal = match serde_json::from_slice::<ServerProblem>(&body) {
            Ok(problem) => problem.into_refusal(),
            Err(_) => refusal_of_status(status, server.url()),
        };
        if refusal.kind == RefusalKind::Unauthenticated {
            return Err(Refusal { message: server.credential_advice(), ..refusal });
        }
        Err(refusal)
    }
}

impl RemoteServer {
    /// The refusal of a call without a complete answer.
    pub(super) fn lost(&self, error: &reqwest::Error) -> Refusal {
        let mut innermost: &dyn Error = error;
        while let Some(source) = innermost.source() {
            innermost = source;
        }
        let what = if error.is_connect() {
            format!(
                "cannot connect to the server at {}: {innermost}; does 'contexture serve' run there?",
                self.url()
            )
        } else {
            format!("the call to the server at {} broke off: {innermost}", self.url())
        };
        Refusal::new(RefusalKind::Unavailable, "server_unreachable", "server", what)
    }
}

fn late_refusal(server: &RemoteServer, call_max: Duration) -> Refusal {
    let message = format!("the server at {} has not answered within {} s", server.url(), call_max.as_secs());
    Refusal::new(RefusalKind::Deadline, "server_late", "server", message)
}

async fn read_body(server: &RemoteServer, mut response: Response) -> Result<Vec<u8>, Refusal> {
    let mut body = Vec::new();
    while let Some(part) = response.chunk().await.map_err(|error| server.lost(&error))? {
        if body.len() + part.len() > ANSWER_BYTES_MAX {
            let message = format!("the answer of the server has more than {ANSWER_BYTES_MAX} bytes");
            return Err(Refusal::new(RefusalKind::Internal, "answer_too_large", "server", message));
        }
        body.extend_from_slice(&part);
    }
    Ok(body)
}
