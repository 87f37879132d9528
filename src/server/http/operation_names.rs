//! The names under which calls are counted. The list is closed because a caller may send any path.

use hyper::{HeaderMap, Method};

use super::extract::is_line_stream;

/// An operation over HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct HttpOperation {
    /// The operation's id, a label of metrics.
    pub(super) name: &'static str,
    /// Whether it may stream.
    is_stream: bool,
}

impl HttpOperation {
    /// Whether it is an exchange of MCP.
    pub(super) fn is_mcp(self) -> bool {
        self.name == "mcp"
    }

    /// Whether a call with these headers streams; then it has no deadline but the caller's.
    pub(super) fn streams(self, headers: &HeaderMap) -> bool {
        // Of many documents only lines stream: arrays and forms are read whole, and answered at once.
        self.is_stream && (self.name != "submit_documents" || is_line_stream(headers))
    }
}

/// What everything else is counted as.
const OTHER: HttpOperation = HttpOperation { name: "other", is_stream: false };

const GET: Method = Method::GET;
const POST: Method = Method::POST;

/// Method, route with `{}` for every parameter, name, and whether the operation streams.
const OPERATIONS: [(Method, &str, &str, bool); 54] = [
    (GET, "/v1/whoami", "whoami", false),
    (GET, "/v1/collections", "list_collections", false),
    (POST, "/v1/collections", "create_collection", false),
    (GET, "/v1/collections/{}", "get_collection", false),
    (Method::PATCH, "/v1/collections/{}", "update_collection", false),
    (Method::DELETE, "/v1/collections/{}", "delete_collection", false),
    (Method::PUT, "/v1/collections/{}/documents/{}", "put_document", false),
    (GET, "/v1/collections/{}/documents/{}", "get_document", false),
    (Method::DELETE, "/v1/collections/{}/documents/{}", "delete_document", false),
    (GET, "/v1/collections/{}/documents", "list_documents", false),
    (POST, "/v1/collections/{}/documents", "submit_documents", true),
    (POST, "/v1/collections/{}/documents/delete", "delete_documents", false),
    // A document called `delete`.
    (Method::PUT, "/v1/collections/{}/documents/delete", "put_document", false),
    (GET, "/v1/collections/{}/documents/delete", "get_document", false),
    (Method::DELETE, "/v1/collections/{}/documents/delete", "delete_document", false),
    (GET, "/v1/collections/{}/sources", "list_sources", false),
    (Method::DELETE, "/v1/collections/{}/sources", "forget_source", false),
    (GET, "/v1/collections/{}/sources/documents", "list_source_documents", false),
    (POST, "/v1/collections/{}/sources/runs", "begin_source_run", false),
    (POST, "/v1/collections/{}/sources/runs/{}/documents", "report_source_documents", false),
    (POST, "/v1/collections/{}/sources/runs/{}/finish", "finish_source_run", false),
    (GET, "/v1/collections/{}/events", "watch_events", true),
    (POST, "/v1/collections/{}/context", "assemble_context", false),
    (POST, "/v1/context", "assemble_context", false),
    (POST, "/v1/collections/{}/search", "search", false),
    (POST, "/v1/search", "search", false),
    (POST, "/v1/vector_stores/{}/search", "search_vector_store", false),
    (GET, "/v1/dead-letters", "list_dead_letters", false),
    (GET, "/v1/dead-letters/reasons", "list_dead_letter_reasons", false),
    (GET, "/v1/dead-letters/{}", "get_dead_letter", false),
    (POST, "/v1/dead-letters/replay", "replay_dead_letters", false),
    (POST, "/v1/dead-letters/drop", "drop_dead_letters", false),
    (GET, "/v1/collections/{}/generations", "list_generations", false),
    (POST, "/v1/collections/{}/reindex", "start_reindex", false),
    (GET, "/v1/collections/{}/reindex", "get_reindex", false),
    (POST, "/v1/collections/{}/reindex/pause", "pause_reindex", false),
    (POST, "/v1/collections/{}/reindex/resume", "resume_reindex", false),
    (POST, "/v1/collections/{}/reindex/cancel", "cancel_reindex", false),
    (POST, "/v1/collections/{}/reindex/activate", "activate_reindex", false),
    (POST, "/v1/collections/{}/reindex/rollback", "rollback_reindex", false),
    (POST, "/v1/collections/{}/reindex/drop", "drop_generation", false),
    (POST, "/v1/collections/{}/reindex/compare", "compare_generations", true),
    (POST, "/v1/collections/{}/audit", "audit", true),
    (POST, "/v1/collections/{}/repair", "repair", true),
    (GET, "/v1/status", "get_status", false),
    (GET, "/v1/usage", "get_usage", false),
    (GET, "/v1/pipelines", "list_pipelines", false),
    (GET, "/mcp", "mcp", true),
    (POST, "/mcp", "mcp", true),
    (Method::DELETE, "/mcp", "mcp", true),
    (GET, "/mcp/{}", "mcp", true),
    (POST, "/mcp/{}", "mcp", true),
    (GET, "/openapi.json", "get_openapi", false),
    (GET, "/docs", "get_docs", false),
];

/// Returns the operation of a matched route, such as `/v1/collections/{name}`.
pub(super) fn find(method: &Method, route: &str) -> HttpOperation {
    let found = OPERATIONS.iter().find(|(of, pattern, ..)| of == method && is_same_route(pattern, route));
    found.map_or(OTHER, |&(_, _, name, is_stream)| HttpOperation { name, is_stream })
}

fn is_same_route(pattern: &str, route: &str) -> bool {
    let (mut wanted, mut given) = (pattern.split('/'), route.split('/'));
    loop {
        match (wanted.next(), given.next()) {
            (None, None) => return true,
            (Some("{}"), Some(given)) if given.starts_with('{') => {}
            (Some(wanted), Some(given)) if wanted == given => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_may_have_any_name() {
        let name = |method, route| find(&method, route).name;
        assert_eq!(name(Method::PUT, "/v1/collections/{c}/documents/{*id}"), "put_document");
        assert_eq!(name(GET, "/v1/collections/{collection}"), "get_collection");
        assert_eq!(name(GET, "/v1/collections/secret-name"), "other");
        assert_eq!(name(Method::TRACE, "/v1/whoami"), "other");
        assert!(find(&GET, "/v1/collections/{c}/events").is_stream);
    }
}
