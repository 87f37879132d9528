//! What all routes refuse alike: credentials, scopes, methods, types, sizes and deadlines.

use reqwest::{Method, StatusCode};
use serde_json::json;

use super::{HttpTestServer, answer, body_of, refused};

const READER: &str = "key-of-a-reader-0123456789";
const WRITER: &str = "key-of-a-writer-0123456789";

fn keys() -> String {
    [("reader", READER, "read"), ("writer", WRITER, "write")]
        .map(|(name, key, scope)| {
            let hash = blake3::hash(key.as_bytes());
            format!("[[auth.keys]]\nname = \"{name}\"\ntenant = \"acme\"\nscopes = [\"{scope}\"]\nhash = \"{hash}\"\n")
        })
        .concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_needed_and_a_scope_is_named() {
    let server = HttpTestServer::start_with(&keys()).await;
    let without = server.request(Method::GET, "/v1/collections").send().await.unwrap();
    assert_eq!(without.headers()["www-authenticate"], "Bearer");
    assert_eq!(refused(&body_of(without).await), (401, "unauthenticated", ""));
    let wrong = server.request(Method::GET, "/v1/whoami").header("x-api-key", "wrong-key-0123456789");
    assert_eq!(refused(&answer(wrong).await).0, 401);
    assert_eq!(server.get("/healthz").await.0, StatusCode::OK);

    let make = json!({"name": "c", "pipeline": super::PIPELINE});
    let reader = server.request(Method::POST, "/v1/collections").bearer_auth(READER).json(&make);
    let lacking = answer(reader).await;
    assert_eq!(refused(&lacking), (403, "missing_scope", ""));
    assert!(lacking.1["detail"].as_str().unwrap().contains("'write'"), "{}", lacking.1);
    // The text of a pipeline is for administrators.
    let writer = server.request(Method::POST, "/v1/collections").header("x-api-key", WRITER).json(&make);
    let lacking = answer(writer).await;
    assert_eq!(refused(&lacking), (403, "missing_scope", ""));
    assert!(lacking.1["detail"].as_str().unwrap().contains("'admin'"), "{}", lacking.1);
    let make = json!({"name": "c"});
    let writer = server.request(Method::POST, "/v1/collections").header("x-api-key", WRITER).json(&make);
    assert_eq!(answer(writer).await.0, StatusCode::CREATED);
    for (method, path) in [
        (Method::PUT, "/v1/collections/c/documents/a"),
        (Method::POST, "/v1/collections/c/documents"),
        (Method::DELETE, "/v1/collections/c/documents/a"),
        (Method::DELETE, "/v1/collections/c"),
        (Method::GET, "/v1/dead-letters"),
        (Method::GET, "/v1/collections/c/generations"),
        (Method::POST, "/v1/collections/c/audit"),
        // A collection that is not there is refused alike.
        (Method::POST, "/v1/collections/none/audit"),
    ] {
        let answered = answer(server.request(method.clone(), path).bearer_auth(READER)).await;
        assert_eq!(refused(&answered), (403, "missing_scope", ""), "{method} {path}");
    }
    // Who may only write may delete what it cannot see.
    let deleted = server.request(Method::DELETE, "/v1/collections/c/documents/a").bearer_auth(WRITER);
    assert_eq!(answer(deleted).await.0, StatusCode::ACCEPTED);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn paths_methods_and_types_are_checked() {
    let server = HttpTestServer::with_collection().await;
    assert_eq!(refused(&server.get("/v1/nothing").await), (404, "unknown_route", ""));
    let method = server.request(Method::DELETE, "/v1/collections").send().await.unwrap();
    let allowed = method.headers()["allow"].to_str().unwrap().to_owned();
    assert!(allowed.contains("GET") && allowed.contains("POST"), "{allowed}");
    assert_eq!(refused(&body_of(method).await), (405, "method_not_allowed", ""));
    let search = "/v1/collections/c/search";
    let plain = server.request(Method::POST, search).header("content-type", "text/plain").body("{}");
    assert_eq!(refused(&answer(plain).await), (415, "unsupported_media_type", "content-type"));
    let none = server.request(Method::POST, search).body("{\"question\": \"a\"}");
    assert_eq!(refused(&answer(none).await), (415, "unsupported_media_type", "content-type"));
    let suffix =
        server.request(Method::POST, search).header("content-type", "application/vnd.x+json; charset=utf-8");
    assert_eq!(answer(suffix.body("{\"question\": \"a\"}")).await.0, StatusCode::OK);
    let broken = server.request(Method::POST, search).header("content-type", "application/json");
    let broken = answer(broken.body("{\"question\":\n  \"a\",,}")).await;
    assert_eq!(refused(&broken), (400, "invalid_json", ""));
    assert!(broken.1["detail"].as_str().unwrap().contains("line 2, column 7"), "{}", broken.1);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn large_bodies_and_late_calls_are_refused() {
    let server = HttpTestServer::start_with("[limits]\nbody_bytes_max = 1024\n").await;
    server.make("c").await;
    let large = json!({"question": "x".repeat(5 * 1024 * 1024)});
    assert_eq!(
        refused(&server.post("/v1/collections/c/search", &large).await),
        (413, "message_too_large", "")
    );
    let body = json!({"text": "x".repeat(2000)});
    assert_eq!(
        refused(&server.put("/v1/collections/c/documents/a", &body).await),
        (413, "body_too_large", "body")
    );
    let late = server.request(Method::GET, "/v1/status").header("x-timeout-ms", "0");
    assert_eq!(refused(&answer(late).await), (408, "deadline_passed", ""));
    let soon = server.request(Method::GET, "/v1/status").header("x-timeout-ms", "soon");
    assert_eq!(refused(&answer(soon).await), (400, "invalid_timeout", "x-timeout-ms"));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_keys_only_names_and_pages_of_this_machine_are_answered() {
    let config = "[server]\ncors_origins = [\"https://wiki.example\"]\n";
    let server = HttpTestServer::start_with(config).await;
    let asked = async |name: &str, value: &str| {
        let listing = server.request(Method::GET, "/v1/collections");
        answer(listing.header(name.to_owned(), value.to_owned())).await
    };
    for host in ["localhost", "127.0.0.1:7070", "[::1]:7070"] {
        assert_eq!(asked("host", host).await.0, StatusCode::OK, "{host}");
    }
    for host in ["rebound.evil.example", "localhost.evil.example:7070", "192.168.0.1"] {
        assert_eq!(refused(&asked("host", host).await), (403, "forbidden_host", "host"), "{host}");
    }
    for origin in ["http://localhost:3000", "https://wiki.example"] {
        assert_eq!(asked("origin", origin).await.0, StatusCode::OK, "{origin}");
    }
    for origin in ["https://evil.example", "https://wiki.example:8443", "null"] {
        assert_eq!(refused(&asked("origin", origin).await), (403, "forbidden_origin", "origin"), "{origin}");
    }
    // What a page may send without leave reaches nothing.
    let lines =
        server.request(Method::POST, "/v1/collections/c/documents").header("content-type", "text/plain");
    let lines = lines.header("origin", "https://evil.example").body("{}");
    assert_eq!(refused(&answer(lines).await), (403, "forbidden_origin", "origin"));
    let health = server.request(Method::GET, "/healthz").header("host", "evil.example");
    assert_eq!(answer(health).await.0, StatusCode::OK);
    server.stop().await;

    let server = HttpTestServer::start_with(&keys()).await;
    let named = server.request(Method::GET, "/v1/whoami").bearer_auth(READER);
    let named = named.header("host", "context.example").header("origin", "https://evil.example");
    assert_eq!(answer(named).await.0, StatusCode::OK);
    server.stop().await;
}
