//! One document: put in both ways, read, listed, deleted.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::{HttpTestServer, answer, refused};

const DOCUMENTS: &str = "/v1/collections/c/documents";

#[tokio::test(flavor = "multi_thread")]
async fn a_described_document_is_stored_and_read_back() {
    let server = HttpTestServer::with_collection().await;
    let document = json!({
        "text": "# Leave\n\nEverybody has 30 days of leave.", "media_type": "text/markdown", "title": "Leave",
        "metadata": {"lang": "en", "url": "https://intra.example/leave"}, "groups": []
    });
    let path = format!("{DOCUMENTS}/handbook/Leave%20%26%20pay.md");
    let put = server.request(Method::PUT, &path).json(&document).send().await.unwrap();
    assert_eq!(put.status(), StatusCode::ACCEPTED);
    assert_eq!(put.headers()["location"], path.as_str());
    assert_eq!(put.headers()["etag"], "\"1\"");
    let receipt: Value = put.json().await.unwrap();
    let expected = json!({"document_id": "handbook/Leave & pay.md", "version": 1, "intake": "accepted", "state": "accepted"});
    assert_eq!(receipt, expected);

    let (status, waited) = server.put(&format!("{path}?wait=visible"), &document).await;
    assert_eq!((status, &waited["intake"]), (StatusCode::OK, &json!("duplicate")));
    assert_eq!(waited["state"], "visible");
    let (status, read) = server.get(&format!("{path}?include=groups")).await;
    assert_eq!(status, StatusCode::OK);
    for (field, value) in [
        ("title", json!("Leave")),
        ("url", json!("https://intra.example/leave")),
        ("metadata", document["metadata"].clone()),
        ("groups", json!([])),
        ("state", json!("visible")),
        ("deleted", json!(false)),
    ] {
        assert_eq!(read[field], value, "{field} of {read}");
    }
    assert_eq!(read["versions"][0]["version"], 1);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_raw_body_is_the_document() {
    let server = HttpTestServer::with_collection().await;
    let path = format!("{DOCUMENTS}/raw?title=Herons&version=7&wait=visible&timeout_ms=30000");
    let put = server.request(Method::PUT, &path).header("content-type", "text/markdown; charset=utf-8");
    let (status, receipt) = answer(put.body("# Birds\n\nThe heron stands in the lake.")).await;
    assert_eq!((status, &receipt["version"]), (StatusCode::OK, &json!(7)));
    let (_, read) = server.get(&format!("{DOCUMENTS}/raw?include=text,chunks")).await;
    assert_eq!(
        (&read["title"], &read["media_type"]),
        (&json!("Herons"), &json!("text/markdown; charset=utf-8"))
    );
    assert!(read["text"].as_str().unwrap().contains("heron"), "{read}");
    let chunks = read["chunks"].as_array().unwrap();
    assert!(chunks[0]["start_byte"] == 0 && chunks[0]["ordinal"] == 0, "{read}");

    // As `curl -T` sends it.
    let untyped = server.request(Method::PUT, &format!("{DOCUMENTS}/b.txt")).body("A text without a type.");
    assert_eq!(answer(untyped).await.0, StatusCode::ACCEPTED);
    let form = server.request(Method::PUT, &format!("{DOCUMENTS}/f")).form(&[("a", "b")]);
    assert_eq!(refused(&answer(form).await), (415, "unsupported_media_type", "content-type"));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_document_is_refused() {
    let server = HttpTestServer::with_collection().await;
    for (document, code, field) in [
        (json!({}), "missing_field", "text"),
        (json!({"text": "a", "body_base64": "YQ=="}), "two_bodies", "body_base64"),
        (json!({"body_base64": "?"}), "invalid_base64", "body_base64"),
        (json!({"text": ""}), "empty_body", "body"),
        (json!({"text": "a", "version": 0}), "invalid_version", "version"),
        (json!({"text": "a", "versoin": 1}), "unknown_field", "versoin"),
        (json!({"text": "a", "id": "b"}), "id_differs", "id"),
        (json!({"text": "a", "metadata": {"a": {}}}), "invalid_metadata_value", "metadata.a"),
    ] {
        let answered = server.put(&format!("{DOCUMENTS}/a.md"), &document).await;
        assert_eq!(refused(&answered), (400, code, field), "{document}");
    }
    let text = json!({"text": "a"});
    let expect = [
        (format!("{DOCUMENTS}/a.md?title=b"), (400, "invalid_query", "title")),
        (format!("{DOCUMENTS}/a.md?wait=done"), (400, "invalid_query", "wait")),
        (format!("{DOCUMENTS}/a%00b"), (400, "invalid_document_id", "document_id")),
        (format!("{DOCUMENTS}/a%FFb"), (400, "invalid_path", "")),
        ("/v1/collections/none/documents/a".to_owned(), (404, "unknown_collection", "collection")),
        ("/v1/collections/No/documents/a".to_owned(), (400, "invalid_collection", "collection")),
    ];
    for (path, expected) in expect {
        assert_eq!(refused(&server.put(&path, &text).await), expected, "{path}");
    }
    let unknown = server.get(&format!("{DOCUMENTS}/none.md")).await;
    assert_eq!(refused(&unknown), (404, "unknown_document", "document_id"));
    let include = server.get(&format!("{DOCUMENTS}/none.md?include=all")).await;
    assert_eq!(refused(&include), (400, "invalid_query", "include"));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_that_dies_says_why() {
    let server = HttpTestServer::with_collection().await;
    // No visible character: the chunk stage gives it up.
    let path = format!("{DOCUMENTS}/empty.md?wait=visible");
    let died = server.put(&path, &json!({"text": " \n\t\n"})).await;
    assert_eq!(refused(&died), (422, "document_died", ""));
    assert!(died.1["detail"].as_str().unwrap().contains("empty_document"), "{}", died.1);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_are_listed_by_prefix_filter_and_page() {
    let server = HttpTestServer::with_collection().await;
    for (id, year) in [("a/1", 2020), ("a/2", 2021), ("a/3", 2022), ("b/1", 2022)] {
        let document = json!({"text": format!("Text of {id}."), "metadata": {"year": year}});
        let (status, _) = server.put(&format!("{DOCUMENTS}/{id}?wait=visible"), &document).await;
        assert_eq!(status, StatusCode::OK);
    }
    let ids = |page: &Value| -> Vec<String> {
        let listed = page["documents"].as_array().unwrap().iter();
        listed.map(|one| one["document_id"].as_str().unwrap().to_owned()).collect()
    };
    let (_, first) = server.get(&format!("{DOCUMENTS}?prefix=a/&limit=2")).await;
    assert_eq!(ids(&first), ["a/1", "a/2"]);
    let cursor = first["next_cursor"].as_str().unwrap();
    let (_, second) = server.get(&format!("{DOCUMENTS}?prefix=a/&limit=2&cursor={cursor}")).await;
    assert_eq!((ids(&second), &second["next_cursor"]), (vec!["a/3".to_owned()], &Value::Null));
    let (_, newest) = server.get(&format!("{DOCUMENTS}?filter=year%20%3E%3D%202022&state=visible")).await;
    assert_eq!(ids(&newest), ["a/3", "b/1"]);
    assert!(newest["documents"][0].get("versions").is_none(), "{newest}");
    let front = json!({"text": "---\ntitle: Own words\nyear: 1999\n---\nSaid in front.", "media_type": "text/markdown"});
    server.put(&format!("{DOCUMENTS}/b/2?wait=visible"), &front).await;
    for filter in ["year%20%3C%202000", "title%20starts_with%20%22Own%22", "document%20=%20%22b/2%22"] {
        let (_, found) = server.get(&format!("{DOCUMENTS}?filter={filter}")).await;
        assert_eq!(ids(&found), ["b/2"], "{filter}");
        let found = &found["documents"][0];
        assert_eq!((&found["title"], &found["metadata"]["year"]), (&json!("Own words"), &json!(1999)));
    }
    let wrong = server.get(&format!("{DOCUMENTS}?filter=title%20starts_with%201")).await;
    assert_eq!(refused(&wrong), (400, "invalid_filter", "filter"));
    let wrong = server.get(&format!("{DOCUMENTS}?state=gone")).await;
    assert_eq!(refused(&wrong), (400, "invalid_query", "state"));
    let wrong = server.get(&format!("{DOCUMENTS}?filter=year%20%3E")).await;
    assert_eq!(refused(&wrong), (400, "invalid_filter", "filter"));

    let request = json!({"filter": "year = 2022", "dry_run": true});
    let counted = server.post(&format!("{DOCUMENTS}/delete"), &request).await;
    assert_eq!(counted, (StatusCode::OK, json!({"matched": 2, "deleted": 0, "dry_run": true})));
    let deleted = server.post(&format!("{DOCUMENTS}/delete"), &json!({"ids": ["a/1"], "prefix": "a/"})).await;
    assert_eq!(deleted, (StatusCode::OK, json!({"matched": 1, "deleted": 1, "dry_run": false})));
    let none = server.post(&format!("{DOCUMENTS}/delete"), &json!({})).await;
    assert_eq!(refused(&none), (400, "no_condition", "filter"));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_is_deleted_once() {
    let server = HttpTestServer::with_collection().await;
    server.put_text("c", "delete", "A document called delete is one as any other.").await;
    let (status, receipt) = server.delete(&format!("{DOCUMENTS}/delete?wait=visible")).await;
    assert_eq!(
        (status, &receipt["version"], &receipt["state"]),
        (StatusCode::OK, &json!(2), &json!("visible"))
    );
    let again = server.delete(&format!("{DOCUMENTS}/delete")).await;
    assert_eq!(refused(&again), (404, "unknown_document", "document_id"));
    let nowhere = server.delete("/v1/collections/none/documents/a").await;
    assert_eq!(refused(&nowhere), (404, "unknown_collection", "collection"));
    // A deletion that names its version may come before its document.
    let (status, early) = server.delete(&format!("{DOCUMENTS}/later?version=5")).await;
    assert_eq!((status, &early["version"]), (StatusCode::ACCEPTED, &json!(5)));
    server.stop().await;
}
