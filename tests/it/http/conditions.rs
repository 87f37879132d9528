//! Conditional requests: versions as entity tags, and fences.

use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::json;

use super::{HttpTestServer, answer, refused};

const PATH: &str = "/v1/collections/c/documents/notes/today.md";

fn put(server: &HttpTestServer, text: &str) -> RequestBuilder {
    server.request(Method::PUT, PATH).json(&json!({"text": text}))
}

#[tokio::test(flavor = "multi_thread")]
async fn if_match_is_a_fence() {
    let server = HttpTestServer::with_collection().await;
    let absent = answer(put(&server, "one").header("if-match", "\"1\"")).await;
    assert_eq!(refused(&absent), (412, "version_mismatch", "if-match"));
    let absent = answer(put(&server, "one").header("if-match", "*")).await;
    assert_eq!(refused(&absent), (412, "version_mismatch", "if-match"));
    assert_eq!(answer(put(&server, "one")).await.0, StatusCode::ACCEPTED);

    let second = put(&server, "two").header("if-match", "\"9\", \"1\"").send().await.unwrap();
    assert_eq!(
        (second.status(), &second.headers()["etag"]),
        (StatusCode::ACCEPTED, &"\"2\"".parse().unwrap())
    );
    let stale = answer(put(&server, "three").header("if-match", "\"1\"")).await;
    assert_eq!(refused(&stale), (412, "version_mismatch", "if-match"));
    assert!(stale.1["detail"].as_str().unwrap().contains("has version 2"), "{}", stale.1);
    let (status, any) = answer(put(&server, "three").header("if-match", "*")).await;
    assert_eq!((status, &any["version"]), (StatusCode::ACCEPTED, &json!(3)));

    let skipped = server.request(Method::PUT, PATH).header("if-match", "\"3\"");
    let skipped = answer(skipped.json(&json!({"text": "four", "version": 7}))).await;
    assert_eq!(refused(&skipped), (400, "invalid_version", "version"));
    let deleted = server.request(Method::DELETE, PATH).header("if-match", "\"2\"");
    assert_eq!(refused(&answer(deleted).await), (412, "version_mismatch", "if-match"));
    let deleted = server.request(Method::DELETE, PATH).header("if-match", "\"3\"");
    let (status, receipt) = answer(deleted).await;
    assert_eq!((status, &receipt["version"]), (StatusCode::ACCEPTED, &json!(4)));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_many_writers_behind_one_fence_wins() {
    let server = HttpTestServer::with_collection().await;
    server.put_text("c", "notes/today.md", "the first").await;
    let writers = (0..16).map(|writer| {
        let text = format!("written by {writer}");
        answer(put(&server, &text).header("if-match", "\"1\""))
    });
    let answers = futures::future::join_all(writers).await;
    let won = answers.iter().filter(|(status, _)| *status == StatusCode::ACCEPTED).count();
    assert_eq!(won, 1, "{answers:?}");
    for lost in answers.iter().filter(|(status, _)| *status != StatusCode::ACCEPTED) {
        assert_eq!(refused(lost), (412, "version_mismatch", "if-match"));
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn writers_of_a_document_that_has_to_exist_go_behind_each_other() {
    let server = HttpTestServer::with_collection().await;
    server.put_text("c", "notes/today.md", "the first").await;
    // As many as the retries suffice for, however they meet.
    let writers = (0..4).map(|writer| {
        let text = format!("written by {writer}");
        answer(put(&server, &text).header("if-match", "*"))
    });
    let answers = futures::future::join_all(writers).await;
    let mut versions: Vec<_> = answers.iter().map(|(_, receipt)| receipt["version"].as_u64()).collect();
    versions.sort_unstable();
    assert_eq!(versions, [Some(2), Some(3), Some(4), Some(5)], "{answers:?}");

    // A caller may name a version of its own.
    let named = server.request(Method::PUT, PATH).header("if-match", "*");
    let (status, receipt) = answer(named.json(&json!({"text": "last", "version": 9}))).await;
    assert_eq!((status, &receipt["version"]), (StatusCode::ACCEPTED, &json!(9)));
    assert_eq!(server.delete(PATH).await.0, StatusCode::ACCEPTED);
    let gone = answer(put(&server, "again").header("if-match", "*")).await;
    assert_eq!(refused(&gone), (412, "version_mismatch", "if-match"));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn if_none_match_makes_a_document_once() {
    let server = HttpTestServer::with_collection().await;
    let new = |text| put(&server, text).header("if-none-match", "*");
    assert_eq!(answer(new("one")).await.0, StatusCode::ACCEPTED);
    assert_eq!(refused(&answer(new("two")).await), (412, "document_exists", "if-none-match"));
    assert_eq!(server.delete(PATH).await.0, StatusCode::ACCEPTED);
    // What is deleted does not exist.
    let (status, receipt) = answer(new("three")).await;
    assert_eq!((status, &receipt["version"]), (StatusCode::ACCEPTED, &json!(3)));

    let tagged = answer(put(&server, "x").header("if-none-match", "\"3\"")).await;
    assert_eq!(refused(&tagged), (400, "invalid_condition", "if-none-match"));
    let weak = answer(put(&server, "x").header("if-match", "W/\"3\"")).await;
    assert_eq!(refused(&weak), (400, "weak_etag", "if-match"));
    let bare = answer(put(&server, "x").header("if-match", "3")).await;
    assert_eq!(refused(&bare), (400, "invalid_etag", "if-match"));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_of_a_known_version_has_no_body() {
    let server = HttpTestServer::with_collection().await;
    server.put_text("c", "notes/today.md", "one").await;
    let read = |tag: &str| server.request(Method::GET, PATH).header("if-none-match", tag).send();
    let known = read("\"1\"").await.unwrap();
    assert_eq!(
        (known.status(), &known.headers()["etag"]),
        (StatusCode::NOT_MODIFIED, &"\"1\"".parse().unwrap())
    );
    assert!(known.bytes().await.unwrap().is_empty());
    assert_eq!(read("\"2\"").await.unwrap().status(), StatusCode::OK);
    assert_eq!(
        refused(&super::body_of(read("1").await.unwrap()).await),
        (400, "invalid_etag", "if-none-match")
    );
    server.stop().await;
}
