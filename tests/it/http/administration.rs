//! Dead letters, re-indexing, audits, and how the service stands.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::events::SentEventReader;
use super::{HttpTestServer, OTHER_PIPELINE, PATIENCE, answer, refused};

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_are_shown_replayed_and_dropped() {
    let server = HttpTestServer::with_collection().await;
    for id in ["a.md", "b.md"] {
        let died = server
            .put(&format!("/v1/collections/c/documents/{id}?wait=visible"), &json!({"text": " "}))
            .await;
        assert_eq!(died.0, StatusCode::UNPROCESSABLE_ENTITY);
    }
    let (_, page) = server.get("/v1/dead-letters?collection=c&stage=chunk&limit=1").await;
    let letter = &page["dead_letters"][0];
    assert_eq!(
        (&letter["document_id"], &letter["reason"]["code"]),
        (&json!("a.md"), &json!("empty_document"))
    );
    let cursor = page["next_cursor"].as_str().unwrap();
    let (_, rest) = server.get(&format!("/v1/dead-letters?collection=c&stage=chunk&cursor={cursor}")).await;
    assert_eq!(
        (&rest["dead_letters"][0]["document_id"], &rest["next_cursor"]),
        (&json!("b.md"), &Value::Null)
    );
    let (_, one) = server.get(&format!("/v1/dead-letters/{}", letter["id"])).await;
    assert_eq!(&one, letter);
    let (_, reasons) = server.get("/v1/dead-letters/reasons").await;
    assert_eq!(
        (&reasons["reasons"][0]["count"], &reasons["reasons"][0]["stage"]),
        (&json!(2), &json!("chunk"))
    );

    let (_, counted) =
        server.post("/v1/dead-letters/replay", &json!({"reason": "empty_document", "dry_run": true})).await;
    assert_eq!(counted, json!({"matched": 2, "replayed": 0, "dry_run": true}));
    let (_, dropped) = server.post("/v1/dead-letters/drop", &json!({"ids": [letter["id"]]})).await;
    assert_eq!(dropped, json!({"matched": 1, "dropped": 1, "dry_run": false}));
    let (_, replayed) = server.post("/v1/dead-letters/replay", &json!({})).await;
    assert_eq!((&replayed["matched"], &replayed["replayed"]), (&json!(1), &json!(1)));

    assert_eq!(refused(&server.get("/v1/dead-letters/999999").await).0, 404);
    assert_eq!(refused(&server.get("/v1/dead-letters/one").await), (400, "invalid_path", ""));
    assert_eq!(refused(&server.get("/v1/dead-letters?ids=1").await), (400, "unknown_field", "ids"));
    assert_eq!(
        refused(&server.post("/v1/dead-letters/drop", &json!({"all": true})).await),
        (400, "unknown_field", "all")
    );
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reindex_is_built_compared_and_activated() {
    let server = HttpTestServer::with_collection().await;
    server.put_text("c", "heron.md", "The heron stands in the lake.").await;
    let reindex = "/v1/collections/c/reindex";
    assert_eq!(refused(&server.get(reindex).await), (404, "no_reindex", ""));
    let request = json!({"pipeline": OTHER_PIPELINE, "pace": {"provider_percent": 100}});
    let (status, begun) = server.post(reindex, &request).await;
    assert_eq!(
        (status, &begun["generation"], &begun["state"]),
        (StatusCode::ACCEPTED, &json!(2), &json!("building"))
    );
    assert_eq!(refused(&server.post(reindex, &request).await).0, 409);
    let (_, paused) = answer(server.request(Method::POST, &format!("{reindex}/pause"))).await;
    assert_eq!(paused["paused"], true);
    let (_, resumed) = server.post(&format!("{reindex}/resume"), &json!({"pace": {}})).await;
    assert_eq!(resumed["paused"], false);

    let until_built = async {
        while server.get(reindex).await.1["caught_up"] != true {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, until_built).await.unwrap();
    let compare =
        json!({"questions": [{"text": "Where does the heron stand?", "relevant": {"heron.md": 1.0}}]});
    let until_compared = async {
        loop {
            let (status, report) = server.post(&format!("{reindex}/compare"), &compare).await;
            if status == StatusCode::OK {
                return report;
            }
            assert_eq!(status, StatusCode::PRECONDITION_FAILED, "{report}");
        }
    };
    let report = tokio::time::timeout(PATIENCE, until_compared).await.unwrap();
    assert_eq!((&report["questions"], &report["generations"]), (&json!(1), &json!({"a": 1, "b": 2})));
    let events = server.request(Method::POST, &format!("{reindex}/compare")).json(&compare);
    let mut events = SentEventReader::new(events.header("accept", "text/event-stream").send().await.unwrap());
    let mut last = events.next().await.unwrap();
    while let Some(next) = events.next().await {
        last = next;
    }
    assert_eq!((&*last.name, &last.data["questions"]), ("report", &json!(1)));

    let (status, done) = server.post(&format!("{reindex}/activate"), &json!({"allow_failed": false})).await;
    assert_eq!((status, done), (StatusCode::OK, json!({"generation": 2})));
    let (_, listed) = server.get("/v1/collections/c/generations").await;
    let states: Vec<_> = listed["generations"].as_array().unwrap().iter().map(|one| &one["state"]).collect();
    assert_eq!(states, ["kept", "active"]);
    let (_, back) = answer(server.request(Method::POST, &format!("{reindex}/rollback"))).await;
    assert_eq!(back, json!({"generation": 1}));
    let (_, dropped) = server.post(&format!("{reindex}/drop"), &json!({"generation": 2})).await;
    assert_eq!(dropped, json!({"generation": 2}));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_reindex_is_refused() {
    let server = HttpTestServer::with_collection().await;
    let reindex = "/v1/collections/c/reindex";
    for (action, body, code, field) in [
        ("", json!({}), "missing_field", "pipeline"),
        ("/resume", json!({"pace": {"percent": 1}}), "unknown_field", "pace.percent"),
        ("/pause", json!({"now": true}), "unknown_field", "now"),
        ("/compare", json!({"generations": [1]}), "invalid_generations", "generations"),
        ("/compare", json!({"questions": [{"id": "a"}]}), "missing_field", "questions[0].text"),
        ("/compare", json!({"questions": [{"text": " "}]}), "invalid_questions", "questions"),
    ] {
        let answered = server.post(&format!("{reindex}{action}"), &body).await;
        assert_eq!(refused(&answered), (400, code, field), "{action} {body}");
    }
    for action in ["pause", "cancel", "activate"] {
        let answered = answer(server.request(Method::POST, &format!("{reindex}/{action}"))).await;
        assert_eq!(refused(&answered), (404, "no_reindex", ""), "{action}");
    }
    let nowhere = server.get("/v1/collections/none/generations").await;
    assert_eq!(refused(&nowhere), (404, "unknown_collection", "collection"));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn audits_and_repairs_report_in_both_ways() {
    let server = HttpTestServer::with_collection().await;
    server.put_text("c", "heron.md", "The heron stands in the lake.").await;
    let (status, report) = answer(server.request(Method::POST, "/v1/collections/c/audit")).await;
    assert_eq!(status, StatusCode::OK, "{report}");
    assert_eq!(
        (&report["documents"], &report["missing"], &report["mended"]),
        (&json!(1), &json!(0), &json!(0))
    );
    let repair =
        server.request(Method::POST, "/v1/collections/c/repair").header("accept", "text/event-stream");
    let mut events = SentEventReader::new(repair.send().await.unwrap());
    let mut names = Vec::new();
    let mut last = Value::Null;
    while let Some(event) = events.next().await {
        names.push(event.name);
        last = event.data;
    }
    assert_eq!((names.last().map(String::as_str), &last["documents"]), (Some("report"), &json!(1)));
    assert!(names.iter().rev().skip(1).all(|name| name == "progress"), "{names:?}");
    // A job that cannot begin is refused with a status, however its answer was to be.
    let nowhere =
        server.request(Method::POST, "/v1/collections/none/audit").header("accept", "text/event-stream");
    assert_eq!(refused(&answer(nowhere).await), (404, "unknown_collection", "collection"));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_service_tells_how_it_stands() {
    let server = HttpTestServer::with_collection().await;
    server.put_text("c", "heron.md", "The heron stands in the lake.").await;
    assert_eq!(server.get("/healthz").await, (StatusCode::OK, json!({"status": "ok"})));
    let (_, caller) = server.get("/v1/whoami").await;
    let expected = json!({"tenant": "local", "groups": [], "scopes": ["read", "write", "admin", "metrics"]});
    assert_eq!(caller, expected);
    let (_, status) = server.get("/v1/status").await;
    assert_eq!(
        (&status["collections"][0]["collection"], &status["collections"][0]["visible"]),
        (&json!("c"), &json!(1))
    );
    let (_, usage) = server.get("/v1/usage?days=7").await;
    assert_eq!(usage["days"], 7);
    assert_eq!(server.get("/v1/usage").await.1["days"], 30);
    let (_, pipelines) = server.get("/v1/pipelines").await;
    assert_eq!(
        (&pipelines["pipelines"][0]["name"], &pipelines["pipelines"][0]["default"]),
        (&json!("default"), &json!(true))
    );
    assert_eq!(refused(&server.get("/v1/usage?days=-1").await), (400, "invalid_query", "days"));
    server.stop().await;
}
