//! Search in the shape of OpenAI's vector stores.

use reqwest::StatusCode;
use serde_json::{Value, json};

use super::{HttpTestServer, refused};

const SEARCH: &str = "/v1/vector_stores/c/search";

async fn filled() -> HttpTestServer {
    let server = HttpTestServer::with_collection().await;
    for (id, text, metadata) in [
        (
            "birds/heron.md",
            "The heron stands in the lake.",
            json!({"lang": "en", "year": 2024, "tags": ["a", "b"]}),
        ),
        ("birds/reiher.md", "Der Reiher, the heron, steht im See.", json!({"lang": "de", "year": 2020})),
        ("fish/trout.md", "The trout swims in the brook.", json!({"lang": "e\"n"})),
    ] {
        let path = format!("/v1/collections/c/documents/{id}?wait=visible");
        let (status, why) = server.put(&path, &json!({"text": text, "metadata": metadata})).await;
        assert_eq!(status, StatusCode::OK, "{why}");
    }
    server
}

fn files(page: &Value) -> Vec<&str> {
    page["data"].as_array().unwrap().iter().map(|one| one["file_id"].as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_has_openais_shape() {
    let server = filled().await;
    let (status, page) =
        server.post(SEARCH, &json!({"query": "Where is the heron?", "max_num_results": 2})).await;
    assert_eq!(status, StatusCode::OK, "{page}");
    assert_eq!(page["object"], "vector_store.search_results.page");
    assert_eq!(page["search_query"], json!(["Where is the heron?"]));
    assert_eq!((&page["has_more"], &page["next_page"]), (&json!(false), &Value::Null));
    let results = page["data"].as_array().unwrap();
    assert_eq!(results.len(), 2);
    let heron = results.iter().find(|one| one["file_id"] == "birds/heron.md").unwrap();
    assert_eq!(heron["filename"], "heron.md");
    assert_eq!(heron["content"], json!([{"type": "text", "text": "The heron stands in the lake."}]));
    let expected = json!({
        "lang": "en", "year": 2024, "tags": "[\"a\",\"b\"]", "version": 1, "start_byte": 0, "end_byte": 29,
        "title": "heron"
    });
    assert_eq!(heron["attributes"], expected);
    let scores: Vec<f64> = results.iter().map(|one| one["score"].as_f64().unwrap()).collect();
    assert!(scores[0] >= scores[1] && scores.iter().all(|score| (0.0..=1.0).contains(score)), "{scores:?}");

    let both = json!({"query": ["heron", "trout"]});
    let (_, page) = server.post(SEARCH, &both).await;
    assert_eq!(page["search_query"], json!(["heron", "trout"]));
    assert_eq!(files(&page).len(), 3);
    let high = json!({"query": "heron", "ranking_options": {"ranker": "none", "score_threshold": 1.0}});
    assert_eq!(files(&server.post(SEARCH, &high).await.1), Vec::<&str>::new());
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_mean_what_openai_says() {
    let server = filled().await;
    let heron = ["birds/heron.md"].as_slice();
    for (filter, expected) in [
        (json!({"type": "eq", "key": "lang", "value": "en"}), heron),
        (json!({"type": "eq", "key": "lang", "value": "e\"n"}), &["fish/trout.md"]),
        (json!({"type": "gt", "key": "year", "value": 2020}), heron),
        (json!({"type": "lte", "key": "year", "value": 2020}), &["birds/reiher.md"]),
        (json!({"type": "in", "key": "tags", "value": ["x", "b"]}), heron),
        (json!({"type": "starts_with", "key": "document", "value": "birds/h"}), heron),
        (json!({"type": "eq", "key": "title", "value": "trout"}), &["fish/trout.md"]),
        (
            json!({"type": "and", "filters": [
                {"type": "nin", "key": "lang", "value": ["de"]},
                {"type": "or", "filters": [
                    {"type": "ne", "key": "lang", "value": "en"}, {"type": "gte", "key": "year", "value": 3000}
                ]}
            ]}),
            &["fish/trout.md"],
        ),
    ] {
        let (status, page) = server.post(SEARCH, &json!({"query": "heron trout", "filters": filter})).await;
        assert_eq!((status, files(&page).as_slice()), (StatusCode::OK, expected), "{filter}: {page}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_it_does_not_do_is_refused() {
    let server = HttpTestServer::with_collection().await;
    for (request, code, field) in [
        (json!({}), "missing_field", "query"),
        (json!({"query": 7}), "invalid_field", "query"),
        (json!({"query": []}), "invalid_query_list", "query"),
        (json!({"query": "a", "max_num_results": 51}), "invalid_limit", "max_num_results"),
        (json!({"query": "a", "rewrite_query": true}), "rewrite_unsupported", "rewrite_query"),
        (
            json!({"query": "a", "ranking_options": {"ranker": "default-2024-11-15"}}),
            "unknown_ranker",
            "ranking_options.ranker",
        ),
        (
            json!({"query": "a", "ranking_options": {"score_threshold": 2}}),
            "invalid_score_threshold",
            "ranking_options.score_threshold",
        ),
        (json!({"query": "a", "filters": {"type": "eq", "key": "a"}}), "invalid_filter", "filters"),
        (
            json!({"query": "a", "filters": {"type": "eq", "key": "acl", "value": 1}}),
            "reserved_filter_key",
            "filters",
        ),
    ] {
        let answered = server.post(SEARCH, &request).await;
        assert_eq!(refused(&answered), (400, code, field), "{request}");
    }
    let nowhere = server.post("/v1/vector_stores/none/search", &json!({"query": "a"})).await;
    assert_eq!(refused(&nowhere), (404, "unknown_collection", "collection"));
    server.stop().await;
}
