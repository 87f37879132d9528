//! The description of the API: what clients are generated from.

use std::collections::BTreeSet;
use std::fs;

use contexture::server::http::{api_document, api_document_json};
use reqwest::{Method, StatusCode};
use serde_json::Value;

use super::HttpTestServer;
use crate::support::workspace::workspace_file;

#[test]
fn the_description_is_the_one_in_the_repository() {
    let file = workspace_file("schemas/openapi.json");
    let found = api_document_json();
    if std::env::var_os("CONTEXTURE_UPDATE_GOLDEN").is_some() {
        fs::write(&file, &found).unwrap();
    }
    let expected = fs::read_to_string(&file).unwrap();
    let differing = expected.lines().zip(found.lines()).find(|(expected, found)| expected != found);
    assert!(
        expected == found,
        "schemas/openapi.json differs, first in {differing:?}; CONTEXTURE_UPDATE_GOLDEN=1 writes it"
    );
}

/// Every `$ref` of a document.
fn references<'a>(value: &'a Value, found: &mut BTreeSet<&'a str>) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                if let ("$ref", Some(target)) = (name.as_str(), member.as_str()) {
                    found.insert(target);
                }
                references(member, found);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        _ => {}
    }
}

#[test]
fn the_description_is_whole() {
    let document = serde_json::to_value(api_document()).unwrap();
    assert_eq!(document["openapi"], "3.1.0");
    let mut found = BTreeSet::new();
    references(&document, &mut found);
    for reference in found {
        assert!(document.pointer(reference.trim_start_matches('#')).is_some(), "{reference}");
    }
    let mut ids = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let id = operation["operationId"].as_str().unwrap();
            assert!(ids.insert(id.to_owned()), "{id} is there twice");
            assert!(
                operation["summary"].as_str().is_some_and(|summary| !summary.is_empty()),
                "{method} {path}"
            );
            assert_eq!(operation["tags"].as_array().map(Vec::len), Some(1), "{method} {path}");
            let parameters = operation["parameters"].as_array();
            let in_path: BTreeSet<String> = parameters
                .into_iter()
                .flatten()
                .filter(|one| one["in"] == "path")
                .map(|one| format!("{{{}}}", one["name"].as_str().unwrap()))
                .collect();
            let named: BTreeSet<String> =
                path.split('/').filter(|part| part.starts_with('{')).map(str::to_owned).collect();
            assert_eq!(in_path, named, "{method} {path}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_described_operation_is_served() {
    let server = HttpTestServer::start().await;
    let served: Value = server.get("/openapi.json").await.1;
    assert_eq!(served, serde_json::to_value(api_document()).unwrap());
    for (path, item) in served["paths"].as_object().unwrap() {
        let filled = path
            .split('/')
            .map(|part| if part.starts_with('{') { "1" } else { part })
            .collect::<Vec<_>>()
            .join("/");
        // A method that no path takes tells the methods that the path takes.
        let answered = server.request(Method::TRACE, &filled).send().await.unwrap();
        assert_eq!(answered.status(), StatusCode::METHOD_NOT_ALLOWED, "{path}");
        let allowed: BTreeSet<String> =
            answered.headers()["allow"].to_str().unwrap().split(',').map(str::to_ascii_lowercase).collect();
        let mut described: BTreeSet<String> = item.as_object().unwrap().keys().cloned().collect();
        if path.ends_with("/documents/delete") {
            // A document of that name is served beside it.
            described.extend(["get", "put", "delete"].map(str::to_owned));
        }
        if described.contains("get") {
            described.insert("head".to_owned());
        }
        assert_eq!(allowed, described, "{path}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_needs_nothing_from_elsewhere() {
    let server = HttpTestServer::start().await;
    let page = server.request(Method::GET, "/docs").send().await.unwrap();
    assert_eq!(page.headers()["content-type"], "text/html; charset=utf-8");
    assert!(page.headers()["content-security-policy"].to_str().unwrap().starts_with("default-src 'self'"));
    let page = page.text().await.unwrap();
    assert!(!page.contains("://"), "{page}");
    let names = page.split('"').filter(|text| text.starts_with("/docs/"));
    let mut files = 0;
    for name in names {
        let file = server.request(Method::GET, name).send().await.unwrap();
        assert_eq!(file.status(), StatusCode::OK, "{name}");
        assert!(file.bytes().await.unwrap().len() > 50, "{name}");
        files += 1;
    }
    assert_eq!(files, 4);
    let other = server.request(Method::GET, "/docs/index.html").send().await.unwrap();
    assert_eq!(other.status(), StatusCode::NOT_FOUND);
    server.stop().await;
}
