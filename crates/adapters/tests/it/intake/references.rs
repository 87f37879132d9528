//! Bodies in files under configured roots, and nowhere else.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;

use contexture_adapters::file_references::FileReferences;
use contexture_core::domain::event::EventKind;
use contexture_core::ports::ledger::Ledger;
use contexture_core::ports::producers::BodyReferenceFetcher;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{IntakeFixture, codes, kinds};
use crate::support::{TENANT, collection, version_key};

/// A root with a file, a file beside it, and every way from the one to the other.
fn house() -> TempDir {
    let house = TempDir::new().unwrap();
    let at = |name: &str| house.path().join(name);
    fs::create_dir_all(at("root/folder")).unwrap();
    fs::create_dir_all(at("root-beside")).unwrap();
    fs::write(at("root/folder/plain name.md"), "the body").unwrap();
    fs::write(at("root/empty.md"), "").unwrap();
    fs::write(at("root/exact.md"), "x".repeat(64)).unwrap();
    fs::write(at("root/large.md"), "x".repeat(65)).unwrap();
    fs::write(at("secret.md"), "secret").unwrap();
    fs::write(at("root-beside/secret.md"), "secret").unwrap();
    symlink(at("secret.md"), at("root/link.md")).unwrap();
    symlink(house.path(), at("root/up")).unwrap();
    symlink(at("root/folder/plain name.md"), at("root/inner.md")).unwrap();
    symlink(at("root/loop.md"), at("root/loop.md")).unwrap();
    house
}

fn url(house: &Path, name: &str) -> String {
    format!("file://{}/{name}", house.display())
}

#[tokio::test]
async fn files_under_a_root_are_read_and_no_others() {
    let house = house();
    let files = FileReferences::new(&[house.path().join("root")]).unwrap();
    let fetch = async |url: &str| {
        files.fetch(url, 64).await.map_err(|rejection| {
            assert_eq!(rejection.field, "body_ref");
            assert!(!rejection.message.contains(house.path().to_str().unwrap()), "no path is told");
            rejection.code
        })
    };
    let at = |name: &str| url(house.path(), name);
    assert_eq!(fetch(&at("root/folder/plain%20name.md")).await.unwrap(), b"the body");
    assert_eq!(fetch(&at("root/folder/plain name.md")).await.unwrap(), b"the body");
    assert_eq!(fetch(&at("root/inner.md")).await.unwrap(), b"the body", "a link that stays inside");
    assert_eq!(fetch(&at("root/empty.md")).await.unwrap(), b"");
    assert_eq!(fetch(&at("root/exact.md")).await.unwrap().len(), 64);
    assert_eq!(fetch(&at("root/large.md")).await, Err("body_too_large"));
    for name in [
        "secret.md",
        "root-beside/secret.md",
        "root/link.md",
        "root/up/secret.md",
        "root/missing.md",
        "root/folder",
        "root",
        "root/loop.md",
        "root/folder/plain name.md/x",
        "root/up/../secret.md%",
    ] {
        let code = fetch(&at(name)).await.unwrap_err();
        let expected = if name.ends_with('%') { "invalid_body_ref" } else { "body_ref_not_found" };
        assert_eq!(code, expected, "{name}");
    }
    for url in [
        at("root/../secret.md"),
        at("root/%2e%2e/secret.md"),
        at("root/..%2Fsecret.md"),
        at("root/exact.md%00"),
        at("root/exact.md?x"),
        at("root/exact.md#x"),
        at("root/%zz"),
        at("root/%ff"),
        at("root/exact.md").replacen("file://", "file://example.org", 1),
        at("root/exact.md").replacen("file://", "file:", 1),
        "file://".to_owned(),
        "http://127.0.0.1/".to_owned(),
    ] {
        assert_eq!(fetch(&url).await, Err("invalid_body_ref"), "{url}");
    }
    fetch("file:///dev/zero").await.unwrap_err();
    fetch("file:///proc/self/environ").await.unwrap_err();
}

#[tokio::test]
async fn devices_and_pipes_are_not_read() {
    let files = FileReferences::new(&["/dev".into()]).unwrap();
    assert_eq!(files.fetch("file:///dev/zero", 64).await.unwrap_err().code, "body_ref_not_found");
}

#[test]
fn roots_must_be_there() {
    assert!(FileReferences::new(&["/nonexistent/root".into()]).is_err());
}

fn referring(url: &str) -> Value {
    json!({ "document_id": "a", "version": 1, "body_ref": url })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn referred_body_is_stored_like_any_other() {
    let house = house();
    let mut desk = IntakeFixture::new().await;
    desk.intake.references = Some(Arc::new(FileReferences::new(&[house.path().join("root")]).unwrap()));
    desk.send(&referring(&url(house.path(), "root/inner.md")));
    desk.send(&referring(&url(house.path(), "root/link.md")));
    desk.send(&referring(&url(house.path(), "root/empty.md")));
    let (told, running) = desk.answers(3).await;
    let accepted: Vec<_> = told.iter().filter(|event| event.kind() == EventKind::Accepted).collect();
    assert_eq!(accepted.len(), 1, "{:?}", kinds(&told));
    assert_eq!(codes(&told), ["body_ref_not_found", "empty_body"]);
    let key = version_key(&collection(TENANT, "home"), "a", 1);
    let stored = running.ledger.bodies(&[key]).await.unwrap().remove(0).unwrap();
    assert_eq!(stored.body, b"the body");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn references_are_off_unless_switched_on() {
    let house = house();
    let desk = IntakeFixture::new().await;
    desk.send(&referring(&url(house.path(), "root/exact.md")));
    let (told, _) = desk.answers(1).await;
    assert_eq!(codes(&told), ["body_ref_off"]);
}
