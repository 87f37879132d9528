//! MCP, the Model Context Protocol: four tools for language models, over HTTP at `/mcp` and over stdio.
//!
//! Stateless: revision 2026-07-28, and the older ones with `initialize` but without sessions. Every answer is
//! one JSON message. The state between calls is a handle that a caller hands back ([`continuation_handles`]).
//! A web page may call only if its origin is on loopback or configured. A server without credentials answers
//! only under loopback names, because a page that rebinds its own name needs no credential there.
//!
//! [`tool_definitions`] is what callers see of the tools, [`tools`] what they do. A refusal is the result of
//! its tool, with `isError`, because clients show models no other errors.

mod argument_reader;
mod context_tool;
mod continuation_handles;
mod document_tools;
mod endpoint;
mod mcp_handler;
mod stdio_bridge;
mod text_cut;
mod tool_definitions;
mod tools;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::routing::any;
use hyper::{Request, Response, Uri};
use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};

pub use self::endpoint::{LocalMcpEndpoint, MCP_MESSAGE_BYTES_MAX, McpEndpoint, McpReply};
use self::mcp_handler::McpHandler;
pub use self::stdio_bridge::serve_mcp_over_stdio;
pub use self::tools::McpTools;
use super::AdmittedCall;
use contexture_core::domain::principal::Principal;

/// The path of the endpoint.
pub const MCP_PATH: &str = "/mcp";
/// Names of this machine, which only itself can use.
const LOOPBACK_HOSTS: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

/// From where the endpoint may be called.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct McpAccess {
    /// Origins whose pages may call, beside those on loopback.
    pub origins: Vec<String>,
    /// Whether callers need a credential.
    pub is_authenticated: bool,
}

/// Answers MCP over HTTP for callers who have been admitted.
#[derive(Clone)]
pub struct McpService {
    inner: StreamableHttpService<McpHandler, NeverSessionManager>,
}

impl McpService {
    /// Creates a service over these tools.
    pub fn new(tools: Arc<McpTools>, access: &McpAccess) -> Self {
        let loopback = LOOPBACK_HOSTS.iter().flat_map(|host| {
            // Without a port an entry is any port today, and rmcp announces that this will change.
            ["http", "https"].map(|scheme| format!("{scheme}://{host}:*"))
        });
        let origins = access.origins.iter().map(|origin| with_port(origin)).chain(loopback);
        let mut config = StreamableHttpServerConfig::default()
            .with_legacy_session_mode(false)
            .with_json_response(true)
            .with_max_request_body_bytes(MCP_MESSAGE_BYTES_MAX)
            .with_allowed_origins(origins)
            // Off by default in rmcp 3.11.
            .enforce_origin_validation();
        config = if access.is_authenticated {
            // The server may have any name, and who lacks a credential gets nothing under any of them.
            config.disable_allowed_hosts()
        } else {
            let configured = access.origins.iter().filter_map(|origin| host_of(origin));
            let loopback = LOOPBACK_HOSTS.into_iter().map(str::to_owned);
            config.with_allowed_hosts(configured.chain(loopback))
        };
        let create = move || Ok(McpHandler::new(Arc::clone(&tools)));
        Self { inner: StreamableHttpService::new(create, Arc::default(), config) }
    }

    /// Answers one request of a caller.
    pub async fn answer(&self, caller: Principal, mut request: Request<Body>) -> Response<Body> {
        request.extensions_mut().insert(caller);
        self.inner.handle(request).await.map(Body::new)
    }
}

/// Returns the route of the endpoint. It belongs behind admission, which puts [`AdmittedCall`] into requests.
pub fn mcp_router(service: McpService) -> Router {
    Router::new().route(MCP_PATH, any(answer_mcp)).with_state(service)
}

async fn answer_mcp(
    State(service): State<McpService>,
    call: AdmittedCall,
    request: Request<Body>,
) -> Response<Body> {
    service.answer(call.principal, request).await
}

/// Adds the port that an origin leaves out.
fn with_port(origin: &str) -> String {
    let Ok(uri) = origin.parse::<Uri>() else { return origin.to_owned() };
    match (uri.port(), uri.scheme_str()) {
        (None, Some("https")) => format!("{origin}:443"),
        (None, Some("http")) => format!("{origin}:80"),
        _ => origin.to_owned(),
    }
}

fn host_of(origin: &str) -> Option<String> {
    origin.parse::<Uri>().ok()?.host().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_without_a_port_has_that_of_its_scheme() {
        assert_eq!(with_port("https://chat.example"), "https://chat.example:443");
        assert_eq!(with_port("http://chat.example"), "http://chat.example:80");
        assert_eq!(with_port("http://[::1]:3000"), "http://[::1]:3000");
        assert_eq!(host_of("https://chat.example:8443").as_deref(), Some("chat.example"));
    }
}
