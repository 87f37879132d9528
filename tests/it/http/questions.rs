//! Contexts and rankings.

use reqwest::StatusCode;
use serde_json::json;

use super::{HttpTestServer, refused};

#[tokio::test(flavor = "multi_thread")]
async fn a_question_gets_its_context_and_its_ranking() {
    let server = HttpTestServer::with_collection().await;
    let document = json!({
        "text": "# Leave\n\nEverybody has 30 days of leave.", "title": "Leave rules", "groups": null,
        "metadata": {"lang": "en", "url": "https://intra.example/leave"}
    });
    let (status, receipt) = server.put("/v1/collections/c/documents/leave.md?wait=visible", &document).await;
    assert_eq!(status, StatusCode::OK);
    let question = json!({
        "question": "How many days of leave?", "budget": 200, "explain": true, "continuable": true,
        "min_versions": [{"document_id": "leave.md", "version": receipt["version"]}], "timeout_ms": 20_000
    });
    let (status, answered) = server.post("/v1/collections/c/context", &question).await;
    assert_eq!(status, StatusCode::OK, "{answered}");
    assert!(answered["context"].as_str().unwrap().contains("30 days"), "{answered}");
    assert!(answered["tokens"].as_u64().unwrap() <= 200, "{answered}");
    let passage = &answered["passages"][0];
    assert_eq!((&passage["document_id"], &passage["title"]), (&json!("leave.md"), &json!("Leave rules")));
    assert_eq!(
        (&passage["url"], &passage["metadata"]["lang"]),
        (&json!("https://intra.example/leave"), &json!("en"))
    );
    assert!(passage.get("collection").is_none() && !answered["trace"].as_array().unwrap().is_empty());

    let ask = json!({"question": "days of leave", "top_k": 5, "filter": "lang = \"en\""});
    let (status, ranked) = server.post("/v1/collections/c/search", &ask).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(ranked["results"][0]["document_id"], "leave.md");
    assert_eq!(ranked["degraded"], json!([]));
    let ask = json!({"question": "days of leave", "filter": "lang = \"de\""});
    assert_eq!(server.post("/v1/collections/c/search", &ask).await.1["results"], json!([]));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn several_collections_share_one_budget() {
    let server = HttpTestServer::with_collection().await;
    server.make("d").await;
    server.put_text("c", "leave.md", "Everybody has 30 days of leave.").await;
    server.put_text("d", "sick.md", "Sick leave is paid for six weeks.").await;
    let collections = json!([{"name": "c"}, {"name": "d", "weight": 2.0}]);
    let question = json!({"question": "What about leave?", "budget": 300, "collections": collections});
    let (status, answered) = server.post("/v1/context", &question).await;
    assert_eq!(status, StatusCode::OK, "{answered}");
    let mut named: Vec<_> =
        answered["passages"].as_array().unwrap().iter().map(|one| &one["collection"]).collect();
    named.sort_by_key(std::string::ToString::to_string);
    assert_eq!(named, ["c", "d"], "{answered}");
    let (status, ranked) =
        server.post("/v1/search", &json!({"question": "leave", "collections": collections})).await;
    assert_eq!((status, ranked["results"].as_array().map(Vec::len)), (StatusCode::OK, Some(2)), "{ranked}");

    let none = server.post("/v1/context", &json!({"question": "leave", "budget": 300})).await;
    assert_eq!(refused(&none), (400, "missing_field", "collections"));
    let unknown = json!({"question": "leave", "collections": [{"name": "c"}, {"name": "none"}]});
    assert_eq!(refused(&server.post("/v1/search", &unknown).await).0, 404);
    let both = server
        .post("/v1/collections/c/search", &json!({"question": "a", "collections": [{"name": "d"}]}))
        .await;
    assert_eq!(refused(&both), (400, "two_collections", "collections"));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_question_is_refused() {
    let server = HttpTestServer::with_collection().await;
    for (request, code, field) in [
        (json!({"question": "a"}), "missing_field", "budget"),
        (json!({"question": "", "budget": 9}), "empty_question", "question"),
        (json!({"question": "a", "budget": -1}), "invalid_budget", "budget"),
        (json!({"question": "a", "budget": "9"}), "invalid_field", "budget"),
        (
            json!({"question": "a", "budget": 9, "min_versions": [{"document_id": "a"}]}),
            "missing_field",
            "min_versions[0].version",
        ),
        (
            json!({"question": "a", "budget": 9, "sections": [{"name": "a", "shar": 1}]}),
            "unknown_field",
            "sections[0].shar",
        ),
        (json!({"question": "a", "budget": 9, "filter": "lang ="}), "invalid_filter", "filter"),
    ] {
        let answered = server.post("/v1/collections/c/context", &request).await;
        assert_eq!(refused(&answered), (400, code, field), "{request}");
    }
    let late = server.post("/v1/collections/c/search", &json!({"question": "a", "timeout_ms": 0})).await;
    assert_eq!(refused(&late).0, 408);
    let nowhere = server.post("/v1/collections/none/search", &json!({"question": "a"})).await;
    assert_eq!(refused(&nowhere), (404, "unknown_collection", "collection"));
    server.stop().await;
}
