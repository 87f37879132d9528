//! Where MCP clients learn who issues tokens for this server: RFC 9728.

use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};

use contexture_core::domain::principal::AccessScope;

/// The path of the metadata.
const METADATA_PATH: &str = "/.well-known/oauth-protected-resource";
/// The path of the resource that it describes.
const RESOURCE_PATH: &str = "/mcp";

/// Returns the routes of the metadata, for a server behind `public_url`.
pub(super) fn metadata_routes(public_url: &str, issuers: &[String]) -> Router {
    let scopes: Vec<&str> = AccessScope::ALL.into_iter().map(AccessScope::name).collect();
    let metadata = json!({
        "resource": format!("{public_url}{RESOURCE_PATH}"),
        "authorization_servers": issuers,
        "bearer_methods_supported": ["header"],
        "scopes_supported": scopes,
    });
    let answer = move || async move { Json::<Value>(metadata) };
    // RFC 9728, section 3.1: the path of the resource follows the well-known one; some clients leave it out.
    Router::new()
        .route(METADATA_PATH, get(answer.clone()))
        .route(&format!("{METADATA_PATH}{RESOURCE_PATH}"), get(answer))
}

/// The challenge that names the metadata.
#[derive(Clone)]
pub(super) struct MetadataChallenge(HeaderValue);

impl MetadataChallenge {
    pub(super) fn new(public_url: &str) -> Option<Self> {
        let challenge = format!("Bearer resource_metadata=\"{public_url}{METADATA_PATH}{RESOURCE_PATH}\"");
        HeaderValue::from_str(&challenge).ok().map(Self)
    }
}

/// Tells callers of MCP without a credential where the metadata is.
pub(super) async fn challenge_with_metadata(
    State(MetadataChallenge(challenge)): State<MetadataChallenge>,
    request: Request,
    next: Next,
) -> Response {
    let rest = request.uri().path().strip_prefix(RESOURCE_PATH);
    let is_resource = rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    let mut response = next.run(request).await;
    if is_resource && response.status() == StatusCode::UNAUTHORIZED {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    }
    response
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed step fails its test")]

    use axum::body::Body;
    use axum::middleware::from_fn_with_state;
    use tower::ServiceExt;

    use super::*;

    #[tokio::test]
    async fn only_mcp_names_the_metadata() {
        let challenge = MetadataChallenge::new("https://context.example").unwrap();
        let refuse = || async { StatusCode::UNAUTHORIZED };
        let router = Router::new()
            .route("/mcp", get(refuse))
            .route("/mcp2", get(refuse))
            .layer(from_fn_with_state(challenge, challenge_with_metadata));
        let asked = async |path: &str| {
            let request = Request::get(path).body(Body::empty()).unwrap();
            let answer = router.clone().oneshot(request).await.unwrap();
            answer.headers().get(header::WWW_AUTHENTICATE).cloned()
        };
        let expected =
            "Bearer resource_metadata=\"https://context.example/.well-known/oauth-protected-resource/mcp\"";
        assert_eq!(asked("/mcp").await.unwrap(), expected);
        assert_eq!(asked("/mcp2").await, None);
    }
}
