//! Many documents at once: arrays and forms.

use reqwest::multipart::{Form, Part};
use reqwest::{Method, StatusCode};
use serde_json::json;

use super::{HttpTestServer, answer, refused};

const DOCUMENTS: &str = "/v1/collections/c/documents";

#[tokio::test(flavor = "multi_thread")]
async fn an_array_has_a_result_for_each_document() {
    let server = HttpTestServer::with_collection().await;
    let documents = json!([
        {"id": "a.md", "text": "The first."},
        {"id": "../b.md", "text": "No id."},
        {"text": "Without an id."},
        {"id": "d.md", "text": "The last."}
    ]);
    let (status, answered) = server.post(DOCUMENTS, &documents).await;
    assert_eq!(status, StatusCode::OK);
    let results = answered["results"].as_array().unwrap();
    assert_eq!(results.len(), 4, "{answered}");
    assert_eq!((&results[0]["document_id"], &results[0]["intake"]), (&json!("a.md"), &json!("accepted")));
    assert_eq!(results[1]["error"]["code"], "invalid_document_id");
    assert_eq!(results[1]["document_id"], "../b.md");
    assert_eq!(
        (&results[2]["error"]["code"], &results[2]["error"]["status"]),
        (&json!("missing_field"), &json!(400))
    );
    assert_eq!((&results[3]["document_id"], &results[3]["version"]), (&json!("d.md"), &json!(1)));
    assert_eq!(server.post(DOCUMENTS, &json!([])).await, (StatusCode::OK, json!({"results": []})));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_array_that_cannot_be_read_stores_nothing() {
    let server = HttpTestServer::with_collection().await;
    let misspelt =
        server.post(DOCUMENTS, &json!([{"id": "a", "text": "A."}, {"id": "b", "txt": "B."}])).await;
    assert_eq!(refused(&misspelt), (400, "unknown_field", "[1].txt"));
    let object = server.post(DOCUMENTS, &json!({"id": "a", "text": "A."})).await;
    assert_eq!(refused(&object), (400, "invalid_field", ""));
    let broken = server.request(Method::POST, DOCUMENTS).header("content-type", "application/json");
    let broken = answer(broken.body("[{\"id\": \"a\",\n \"text\": A}]")).await;
    assert_eq!(refused(&broken), (400, "invalid_json", ""));
    assert!(broken.1["detail"].as_str().unwrap().contains("line 2, column 10"), "{}", broken.1);
    let unknown = server.post("/v1/collections/none/documents", &json!([{"id": "a", "text": "A."}])).await;
    assert_eq!(refused(&unknown), (404, "unknown_collection", "collection"));
    let other = server.request(Method::POST, DOCUMENTS).header("content-type", "text/csv").body("a,b");
    assert_eq!(refused(&answer(other).await), (415, "unsupported_media_type", "content-type"));
    let (_, listed) = server.get(DOCUMENTS).await;
    assert_eq!(listed["documents"], json!([]));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_request_has_at_most_ten_thousand_documents() {
    let server = HttpTestServer::with_collection().await;
    let array = vec![json!({}); 10_001];
    assert_eq!(refused(&server.post(DOCUMENTS, &json!(array)).await), (400, "too_many_documents", ""));
    let (status, answered) = server.post(DOCUMENTS, &json!(array[1..])).await;
    assert_eq!((status, answered["results"].as_array().unwrap().len()), (StatusCode::OK, 10_000));
    let form = (0..10_001).fold(Form::new(), |form, _| form.text("id", "a"));
    let form = server.request(Method::POST, DOCUMENTS).multipart(form);
    assert_eq!(refused(&answer(form).await), (400, "too_many_documents", ""));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_a_form_are_documents() {
    let server = HttpTestServer::with_collection().await;
    let file = |text: &'static str, name: &'static str| Part::bytes(text.as_bytes()).file_name(name);
    let form = Form::new()
        .part("file", file("# One", "folder/one.md").mime_str("text/markdown").unwrap())
        .part("file", file("Two.", "two.txt"))
        .text("id", "")
        .text("id", "renamed.txt")
        .text("title", "The first")
        .text("metadata", "{\"lang\": \"en\"}");
    let (status, answered) = answer(server.request(Method::POST, DOCUMENTS).multipart(form)).await;
    assert_eq!(status, StatusCode::OK, "{answered}");
    let ids: Vec<_> = answered["results"].as_array().unwrap().iter().map(|one| &one["document_id"]).collect();
    assert_eq!(ids, ["folder/one.md", "renamed.txt"]);
    let (_, read) = server.get(&format!("{DOCUMENTS}/folder/one.md")).await;
    assert_eq!((&read["title"], &read["media_type"]), (&json!("The first"), &json!("text/markdown")));
    assert_eq!(read["metadata"], json!({"lang": "en"}));

    for (form, code, field) in [
        (Form::new().part("f", file("A", "a")).text("colour", "red"), "unknown_field", "colour"),
        (Form::new().part("f", file("A", "a")).text("id", "a").text("id", "b"), "invalid_form", "id"),
        (Form::new().part("f", file("A", "a")).text("version", "new"), "invalid_field", "version"),
        (Form::new().part("f", file("A", "a")).text("metadata", "{"), "invalid_json", "metadata"),
    ] {
        let answered = answer(server.request(Method::POST, DOCUMENTS).multipart(form)).await;
        assert_eq!(refused(&answered), (400, code, field));
    }
    let unbounded =
        server.request(Method::POST, DOCUMENTS).header("content-type", "multipart/form-data").body("x");
    assert_eq!(refused(&answer(unbounded).await), (400, "invalid_form", ""));
    server.stop().await;
}
