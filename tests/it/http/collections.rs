//! Collections: made, read, listed, changed and deleted.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::{HttpTestServer, OTHER_PIPELINE, PIPELINE, answer, refused};

#[tokio::test(flavor = "multi_thread")]
async fn a_document_makes_its_collection_where_the_configuration_says_so() {
    let named =
        "[server]\ncreate_collections = \"short\"\n[[pipelines]]\nname = \"short\"\npath = \"short.toml\"\n";
    let pipeline = format!("{}[chunker]\ntokens_target = 99\n", super::PIPELINE);
    let server = HttpTestServer::start_beside(named, &[("short.toml", &pipeline)]).await;
    let (status, receipt) =
        server.put("/v1/collections/new/documents/a?wait=visible", &json!({"text": "A."})).await;
    assert_eq!((status, &receipt["state"]), (StatusCode::OK, &json!("visible")), "{receipt}");
    let made = server.get("/v1/collections/new").await.1;
    assert!(made["pipeline"].as_str().unwrap().contains("tokens_target = 99"), "{made}");
    // Many at once make theirs, too; a name that none can have is still refused.
    let (status, many) =
        server.post("/v1/collections/more/documents", &json!([{"id": "b", "text": "B."}])).await;
    assert_eq!((status, &many["results"][0]["intake"]), (StatusCode::OK, &json!("accepted")), "{many}");
    let bad = server.put("/v1/collections/No/documents/a", &json!({"text": "A."})).await;
    assert_eq!(refused(&bad), (400, "invalid_collection", "collection"));
    server.stop().await;

    let off = HttpTestServer::start().await;
    let lost = off.put("/v1/collections/new/documents/a", &json!({"text": "A."})).await;
    assert_eq!(refused(&lost), (404, "unknown_collection", "collection"));
    off.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collection_lives_and_dies_over_http() {
    let server = HttpTestServer::start().await;
    let request = json!({
        "name": "handbook", "pipeline": PIPELINE,
        "settings": {"url_template": "https://wiki.example/{document_id}"}
    });
    let made = server.request(Method::POST, "/v1/collections").json(&request).send().await.unwrap();
    assert_eq!(made.status(), StatusCode::CREATED);
    assert_eq!(made.headers()["location"], "/v1/collections/handbook");
    let (status, again) = server.post("/v1/collections", &request).await;
    assert_eq!((status, &again["name"]), (StatusCode::OK, &json!("handbook")));
    let other = json!({"name": "handbook", "pipeline": OTHER_PIPELINE});
    assert_eq!(refused(&server.post("/v1/collections", &other).await), (409, "pipeline_differs", "pipeline"));

    let (status, found) = server.get("/v1/collections/handbook").await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(found["settings"], json!({"url_template": "https://wiki.example/{document_id}"}));
    assert_eq!(found["counts"]["accepted"], 0);
    let change = json!({"settings": {"url_template": null, "url_metadata_key": "link"}});
    let (status, changed) =
        answer(server.request(Method::PATCH, "/v1/collections/handbook").json(&change)).await;
    assert_eq!((status, &changed["settings"]), (StatusCode::OK, &json!({"url_metadata_key": "link"})));

    assert_eq!(server.delete("/v1/collections/handbook").await, (StatusCode::NO_CONTENT, Value::Null));
    let gone = server.get("/v1/collections/handbook").await;
    assert_eq!(refused(&gone), (404, "unknown_collection", "collection"));
    assert_eq!(refused(&server.delete("/v1/collections/handbook").await).1, "unknown_collection");
    server.stop().await;
}

/// A collection that is dropped between the check of a request and its work is unknown, and no defect of the server.
#[tokio::test(flavor = "multi_thread")]
async fn a_collection_that_goes_meanwhile_is_unknown() {
    let server = HttpTestServer::start().await;
    let live_and_die = async {
        let brief = json!({"name": "brief", "pipeline": PIPELINE});
        for _ in 0..40 {
            server.post("/v1/collections", &brief).await;
            server.delete("/v1/collections/brief").await;
        }
    };
    let write = |writer: usize| {
        let (server, path) = (&server, format!("/v1/collections/brief/documents/{writer}"));
        async move {
            for round in 0..80 {
                let (status, body) = server.put(&path, &json!({"text": format!("Text {round}.")})).await;
                assert!(!status.is_server_error(), "{status}: {body}");
            }
        }
    };
    tokio::join!(live_and_die, futures::future::join_all((0..8).map(write)));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn collections_are_listed_page_by_page() {
    let server = HttpTestServer::start().await;
    for name in ["a-1", "a-2", "a-3", "b-1"] {
        server.make(name).await;
    }
    let names = |page: &Value| -> Vec<String> {
        let listed = page["collections"].as_array().unwrap().iter();
        listed.map(|one| one["name"].as_str().unwrap().to_owned()).collect()
    };
    let (_, first) = server.get("/v1/collections?prefix=a-&limit=2").await;
    assert_eq!(names(&first), ["a-1", "a-2"]);
    let cursor = first["next_cursor"].as_str().unwrap();
    let (_, second) = server.get(&format!("/v1/collections?prefix=a-&limit=2&cursor={cursor}")).await;
    assert_eq!((names(&second), &second["next_cursor"]), (vec!["a-3".to_owned()], &Value::Null));

    for (query, code, field) in [
        ("limit=0", "invalid_limit", "limit"),
        ("limit=1001", "invalid_limit", "limit"),
        ("limit=few", "invalid_query", "limit"),
        ("cursor=%21", "invalid_cursor", "cursor"),
        ("sort=name", "unknown_field", "sort"),
    ] {
        let answered = server.get(&format!("/v1/collections?{query}")).await;
        assert_eq!(refused(&answered), (400, code, field), "{query}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_collection_is_refused_by_its_field() {
    let server = HttpTestServer::with_collection().await;
    for (request, code, field) in [
        (json!({"name": "No Name"}), "invalid_collection", "collection"),
        (json!({}), "missing_field", "name"),
        (json!({"name": 7}), "invalid_field", "name"),
        (json!({"name": "d", "pipelin": "x"}), "unknown_field", "pipelin"),
        (json!({"name": "d", "pipeline": "no-such"}), "unknown_pipeline", "pipeline"),
        (json!({"name": "d", "settings": {"url": "x"}}), "unknown_field", "settings.url"),
    ] {
        let answered = server.post("/v1/collections", &request).await;
        assert_eq!(refused(&answered), (400, code, field), "{request}");
    }
    let patch = server.request(Method::PATCH, "/v1/collections/c").json(&json!({"settings": {"colour": 1}}));
    assert_eq!(refused(&answer(patch).await), (400, "unknown_field", "settings.colour"));
    server.stop().await;
}
