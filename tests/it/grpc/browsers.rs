//! What web pages of other origins may do.

use std::sync::Arc;

use contexture::config::ServerConfig;
use contexture::domain::principal::AccessScope;

use super::one_port::{PlainAnswer, ask};
use super::support::*;

const KEY: &str = "a-key-of-some-reader";

async fn server_for(origins: &[&str]) -> RunningServer {
    let scripted = Arc::new(ScriptedServices::default());
    let services = services(&scripted, vec![key("reader", KEY, &[AccessScope::Read])]);
    let cors_origins = origins.iter().map(|origin| (*origin).to_owned()).collect();
    RunningServer::start_with(services, ServerConfig { cors_origins, ..served(limits()) }).await
}

async fn preflight(server: &RunningServer, origin: &str) -> PlainAnswer {
    let headers = [
        ("origin", origin),
        ("access-control-request-method", "PUT"),
        ("access-control-request-headers", "x-api-key,if-match"),
    ];
    ask(server.address, "OPTIONS /v1/whoami", &headers).await
}

#[tokio::test]
async fn a_named_origin_may_call_and_no_other() {
    let server = server_for(&["https://wiki.example"]).await;
    let allowed = preflight(&server, "https://wiki.example").await;
    assert_eq!(allowed.status, 200);
    assert!(allowed.head.contains("access-control-allow-origin: https://wiki.example\r"), "{}", allowed.head);
    for header in ["x-api-key", "if-none-match", "last-event-id", "x-timeout-ms", "authorization"] {
        assert!(allowed.head.contains(header), "{header}: {}", allowed.head);
    }
    let called = [("origin", "https://wiki.example"), ("x-api-key", KEY)];
    let answer = ask(server.address, "GET /v1/whoami", &called).await;
    assert!(answer.status == 200 && answer.head.contains("access-control-expose-headers: etag,location"));
    // A page learns that its key is wrong.
    let refused = ask(server.address, "GET /v1/whoami", &[("origin", "https://wiki.example")]).await;
    assert!(
        refused.status == 401 && refused.head.contains("access-control-allow-origin"),
        "{}",
        refused.head
    );

    let other = preflight(&server, "https://evil.example").await;
    assert!(!other.head.contains("access-control-allow-origin"), "{}", other.head);
}

#[tokio::test]
async fn without_origins_no_page_may_call() {
    let server = server_for(&[]).await;
    let refused = preflight(&server, "https://wiki.example").await;
    assert!(refused.status == 405 && !refused.head.contains("access-control"), "{}", refused.head);
}

#[tokio::test]
async fn every_origin_may_call_where_the_star_says_so() {
    let server = server_for(&["*"]).await;
    let allowed = preflight(&server, "https://anywhere.example").await;
    assert!(allowed.head.contains("access-control-allow-origin: *\r"), "{}", allowed.head);
}
