//! One exchange of the protocol: a message in, an answer out. In this process, or with a server elsewhere.

use async_trait::async_trait;
use axum::body::{Body, to_bytes};
use bytes::Bytes;
use hyper::header::{ACCEPT, CONTENT_TYPE, HOST};
use hyper::{HeaderMap, Request};

use super::{MCP_PATH, McpService};
use contexture_core::domain::principal::Principal;
use contexture_core::fault::{Refusal, RefusalKind};

/// Largest message, in bytes, of a caller and of an answer.
pub const MCP_MESSAGE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// An answer to one message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct McpReply {
    /// The status of HTTP.
    pub status: u16,
    /// A message of JSON-RPC, or a problem.
    pub body: Bytes,
}

/// Answers single messages.
#[async_trait]
pub trait McpEndpoint: Send + Sync {
    /// Sends a message with headers of the protocol. A refusal means that there was no answer.
    async fn exchange(&self, headers: HeaderMap, message: Vec<u8>) -> Result<McpReply, Refusal>;
}

/// Answers in this process, for one caller.
pub struct LocalMcpEndpoint {
    service: McpService,
    caller: Principal,
}

impl LocalMcpEndpoint {
    /// Creates an endpoint for a caller.
    pub fn new(service: McpService, caller: Principal) -> Self {
        Self { service, caller }
    }
}

#[async_trait]
impl McpEndpoint for LocalMcpEndpoint {
    async fn exchange(&self, headers: HeaderMap, message: Vec<u8>) -> Result<McpReply, Refusal> {
        let failed = |error: &dyn std::fmt::Display| {
            Refusal::new(RefusalKind::Internal, "internal", "", format!("an MCP exchange: {error}"))
        };
        let mut request = Request::post(MCP_PATH)
            .header(HOST, "localhost")
            .header(CONTENT_TYPE, "application/json")
            .header(ACCEPT, "application/json, text/event-stream")
            .body(Body::from(message))
            .map_err(|error| failed(&error))?;
        request.headers_mut().extend(headers);
        let answer = self.service.answer(self.caller.clone(), request).await;
        let status = answer.status().as_u16();
        let body =
            to_bytes(answer.into_body(), MCP_MESSAGE_BYTES_MAX).await.map_err(|error| failed(&error))?;
        Ok(McpReply { status, body })
    }
}
