//! Sources: a folder, site or feed that a producer keeps a collection in step with, over HTTP.

use reqwest::StatusCode;
use serde_json::{Value, json};

use super::{HttpTestServer, PATIENCE, refused};

impl HttpTestServer {
    async fn begin_run(&self) -> u64 {
        let (status, run) = self.post("/v1/collections/c/sources/runs", &json!({"source": "wiki"})).await;
        assert_eq!(status, StatusCode::CREATED, "{run}");
        run["run"].as_u64().unwrap()
    }

    async fn report(&self, run: u64, seen: &Value, unchanged: &Value) {
        let path = format!("/v1/collections/c/sources/runs/{run}/documents");
        let report = json!({"source": "wiki", "seen": seen, "unchanged": unchanged});
        assert_eq!(self.post(&path, &report).await, (StatusCode::NO_CONTENT, Value::Null));
    }

    async fn finish_run(&self, run: u64, request: Value) -> Value {
        let mut body = json!({"source": "wiki"});
        body.as_object_mut().unwrap().extend(request.as_object().unwrap().clone());
        let (status, finished) =
            self.post(&format!("/v1/collections/c/sources/runs/{run}/finish"), &body).await;
        assert_eq!(status, StatusCode::OK, "{finished}");
        finished
    }

    async fn listed(&self) -> Vec<Value> {
        let (_, listed) = self.get("/v1/collections/c/documents").await;
        listed["documents"].as_array().unwrap().clone()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_producer_keeps_a_collection_in_step_with_a_site() {
    let server = HttpTestServer::with_collection().await;
    let first = server.begin_run().await;
    server.report(first, &json!([{"document_id": "a"}, {"document_id": "b"}]), &json!([])).await;
    for id in ["a", "b", "of-others"] {
        server.put_text("c", id, &format!("The text of {id}.")).await;
    }
    let seen = json!([
        {"document_id": "a", "fingerprint": "etag-1", "version": 1},
        {"document_id": "b", "fingerprint": "etag-2", "version": 1},
    ]);
    server.report(first, &seen, &json!([])).await;
    let nothing = server.finish_run(first, json!({"prune": true})).await;
    assert_eq!(nothing, json!({"gone": 0, "deleted": 0, "examples": []}));

    let (_, page) = server.get("/v1/collections/c/sources/documents?source=wiki&limit=1").await;
    let known = &page["documents"][0];
    assert_eq!((&known["document_id"], &known["fingerprint"]), (&json!("a"), &json!("etag-1")));
    assert_eq!((&known["state"], &known["in_step"]), (&json!("visible"), &json!(true)));
    let next = format!(
        "/v1/collections/c/sources/documents?source=wiki&cursor={}",
        page["next_cursor"].as_str().unwrap()
    );
    assert_eq!(server.get(&next).await.1["documents"].as_array().unwrap().len(), 1);

    let second = server.begin_run().await;
    server.report(second, &json!([]), &json!(["a"])).await;
    let counted = server.finish_run(second, json!({})).await;
    assert_eq!(counted, json!({"gone": 1, "deleted": 0, "examples": ["b"]}));
    let elsewhere = server.finish_run(second, json!({"prune": true, "within": ["other/"]})).await;
    let unread = server.finish_run(second, json!({"prune": true, "unreadable": ["b"]})).await;
    assert_eq!((&elsewhere["gone"], &unread["gone"]), (&json!(0), &json!(0)));
    assert_eq!(server.finish_run(second, json!({"prune": true})).await["deleted"], 1);
    let pruned = async {
        while server.listed().await.len() > 2 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, pruned).await.unwrap();
    let left = server.listed().await;
    assert_eq!((&left[0]["document_id"], &left[0]["source"]), (&json!("a"), &json!("wiki")));
    assert_eq!((&left[1]["document_id"], &left[1]["source"]), (&json!("of-others"), &Value::Null));

    let (_, sources) = server.get("/v1/collections/c/sources").await;
    let source = &sources["sources"][0];
    assert_eq!(
        (&source["name"], &source["run"], &source["documents"]),
        (&json!("wiki"), &json!(2), &json!(1))
    );
    assert_eq!(server.delete("/v1/collections/c/sources?source=wiki").await.0, StatusCode::NO_CONTENT);
    assert_eq!(server.get("/v1/collections/c/sources").await.1["sources"], json!([]));
    assert_eq!(server.listed().await.len(), 2, "the documents stay");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_site_in_step_is_told_by_its_fingerprint() {
    let server = HttpTestServer::with_collection().await;
    let begun = async || {
        let (_, run) = server.post("/v1/collections/c/sources/runs", &json!({"source": "wiki"})).await;
        (run["run"].as_u64().unwrap(), run["settled"].clone())
    };
    let (first, settled) = begun().await;
    assert_eq!(settled, Value::Null);
    server.put_text("c", "a", "The text of a.").await;
    let whole = json!({"fingerprint": "all-1"});
    server.report(first, &json!([{"document_id": "a"}]), &json!([])).await;
    server.finish_run(first, whole.clone()).await;
    assert_eq!(begun().await.1, Value::Null, "the document has no fingerprint");
    server.report(2, &json!([{"document_id": "a", "fingerprint": "1", "version": 1}]), &json!([])).await;
    server.finish_run(2, json!({"fingerprint": "all-1", "within": ["a"]})).await;
    assert_eq!(begun().await.1, Value::Null, "a part is not the whole");
    server.report(3, &json!([]), &json!(["a"])).await;
    server.finish_run(3, whole.clone()).await;
    assert_eq!(begun().await, (4, json!("all-1")));
    assert_eq!(server.finish_run(4, whole).await["gone"], 0, "nothing was reported, and nothing is gone");
    assert_eq!(begun().await, (5, json!("all-1")));
    server.put_text("c", "of-others", "Another text.").await;
    assert_eq!(begun().await.1, Value::Null, "something was accepted: it may be this document");
    let refusal = server
        .post("/v1/collections/c/sources/runs/6/finish", &json!({"source": "wiki", "fingerprint": ""}))
        .await;
    assert_eq!(refused(&refusal), (400, "invalid_fingerprint", "fingerprint"));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_runs_and_sources_are_refused() {
    let server = HttpTestServer::with_collection().await;
    let runs = "/v1/collections/c/sources/runs";
    for source in ["", "a\nb", &"x".repeat(1025)] {
        let refusal = server.post(runs, &json!({"source": source})).await;
        assert_eq!(refused(&refusal), (400, "invalid_source", "source"));
    }
    let report = |id: &str, more: Value| {
        let mut seen = json!({"document_id": id});
        seen.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"source": "wiki", "seen": [seen]})
    };
    let documents = format!("{runs}/1/documents");
    let unknown = server.post(&documents, &report("a", json!({}))).await;
    assert_eq!(refused(&unknown), (404, "unknown_source", "source"));
    server.begin_run().await;
    let late = server.post(&format!("{runs}/2/documents"), &report("a", json!({}))).await;
    assert_eq!(refused(&late), (404, "unknown_run", "run"));
    let wrong = server.post(&documents, &report("a", json!({"fingerprint": ""}))).await;
    assert_eq!(refused(&wrong), (400, "invalid_fingerprint", "fingerprint"));
    let wrong = server.post(&documents, &report("../a", json!({}))).await;
    assert_eq!(refused(&wrong), (400, "invalid_document_id", "document_id"));
    let many: Vec<String> = (0..10_001).map(|number| number.to_string()).collect();
    let wrong = server.post(&documents, &json!({"source": "wiki", "unchanged": many})).await;
    assert_eq!(refused(&wrong), (400, "too_many_reported", "unchanged"));
    let wrong = server.post(&format!("{runs}/1/finish"), &json!({"source": "wiki", "within": many})).await;
    assert_eq!(refused(&wrong), (400, "too_many_prefixes", "within"));
    let gone = server.delete("/v1/collections/c/sources?source=never").await;
    assert_eq!(refused(&gone), (404, "unknown_source", "source"));
    server.stop().await;
}
