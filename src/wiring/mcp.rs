//! The two ends of `contexture mcp`: the tools over what this process has opened, or a server's `/mcp`.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::service_stack::ServiceStack;
use crate::config::ContextureConfig;
use crate::operations::ApiServices;
use crate::server::mcp::{
    LocalMcpEndpoint, MCP_MESSAGE_BYTES_MAX, MCP_PATH, McpAccess, McpEndpoint, McpReply, McpService, McpTools,
};
use contexture_adapters::http::{
    HeaderMap, HeaderName, HeaderValue, HttpEndpoint, HttpEndpointConfig, JSON_CONTENT_TYPE, RemoteService,
};
use contexture_core::context::request::TOKENIZER_DEFAULT;
use contexture_core::fault::{Fault, Refusal, RefusalKind};
use contexture_core::ports::clock::SystemClock;

/// How faults name the server.
const SERVER: RemoteService = RemoteService { name: "the server", rejected: "server_unusable" };
/// Longest time of a message and its answer. The server itself gives a call a minute.
const EXCHANGE_TIME_MAX: Duration = Duration::from_secs(70);

impl ServiceStack {
    /// The tools, as a server offers them.
    pub(super) fn mcp_tools(&self, services: ApiServices) -> Result<Arc<McpTools>, Refusal> {
        Ok(Arc::new(McpTools::new(services, self.reader(TOKENIZER_DEFAULT)?)))
    }

    /// Answers MCP for the local principal.
    pub fn local_mcp_endpoint(&self, config: &ContextureConfig) -> Result<LocalMcpEndpoint, Refusal> {
        let service = McpService::new(self.mcp_tools(self.operations(config)?)?, &McpAccess::default());
        Ok(LocalMcpEndpoint::new(service, self.principal.clone()))
    }
}

/// Passes messages on to a server.
pub struct RemoteMcpEndpoint {
    http: HttpEndpoint,
}

impl RemoteMcpEndpoint {
    /// Creates an endpoint for the server at a URL. Connects to nothing.
    pub fn new(url: &str, api_key: Option<String>) -> Result<Self, Refusal> {
        let config = HttpEndpointConfig {
            url: format!("{}{MCP_PATH}", url.trim_end_matches('/')),
            api_key,
            call_max: EXCHANGE_TIME_MAX,
            answer_bytes_max: MCP_MESSAGE_BYTES_MAX,
        };
        let refuse = |fault: Fault| Refusal::invalid("invalid_server", "server", fault.to_string());
        Ok(Self { http: HttpEndpoint::new(SERVER, &config, Arc::new(SystemClock)).map_err(refuse)? })
    }
}

#[async_trait]
impl McpEndpoint for RemoteMcpEndpoint {
    async fn exchange(&self, mut headers: HeaderMap, message: Vec<u8>) -> Result<McpReply, Refusal> {
        // The protocol wants both, although the server always answers with JSON.
        let accepted = HeaderValue::from_static("application/json, text/event-stream");
        headers.insert(HeaderName::from_static("accept"), accepted);
        let reply = self.http.call(headers, JSON_CONTENT_TYPE, message).await.map_err(|fault| {
            Refusal::new(RefusalKind::Unavailable, "server_unreachable", "server", fault.to_string())
        })?;
        Ok(McpReply { status: reply.status, body: reply.body.into() })
    }
}
