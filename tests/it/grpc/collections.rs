//! Collections over the API.

use contexture::server::grpc::proto;
use tonic::Code;

use super::stores::*;
use super::support::{field, reason};

fn create(name: &str) -> proto::CreateCollectionRequest {
    proto::CreateCollectionRequest {
        collection: name.to_owned(),
        ..proto::CreateCollectionRequest::default()
    }
}

fn template(text: &str) -> proto::CollectionSettings {
    proto::CollectionSettings { url_template: Some(text.to_owned()), url_metadata_key: None }
}

#[tokio::test]
async fn a_collection_is_made_once_and_shown() {
    let server = StoreServer::start().await;
    let mut client = server.collections().await;
    let wanted = proto::CreateCollectionRequest {
        pipeline: Some("short".to_owned()),
        settings: Some(template("https://wiki.example/{document_id}")),
        ..create("handbook")
    };
    for created in [true, false] {
        let made = client.create_collection(with_key(wanted.clone(), WRITER)).await.unwrap().into_inner();
        assert_eq!(made.created, created);
        let shown = made.collection.unwrap();
        assert_eq!((shown.name.as_str(), shown.generation), ("handbook", 1));
        assert!(shown.pipeline.contains("tokens_target = 200"), "{}", shown.pipeline);
        assert_eq!(shown.settings, wanted.settings);
        assert_eq!(shown.counts, Some(proto::VersionCounts::default()));
        let get = proto::GetCollectionRequest { collection: "handbook".to_owned() };
        assert_eq!(client.get_collection(with_key(get, READER)).await.unwrap().into_inner(), shown);
    }
    let other = proto::CreateCollectionRequest { pipeline: Some("default".to_owned()), ..create("handbook") };
    let status = client.create_collection(with_key(other, WRITER)).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::AlreadyExists, "pipeline_differs"));
    let bad = [
        (create("No"), "collection"),
        (proto::CreateCollectionRequest { pipeline: Some("none".to_owned()), ..create("x") }, "pipeline"),
        (
            proto::CreateCollectionRequest { settings: Some(template("ftp://{nothing}")), ..create("x") },
            "url_template",
        ),
    ];
    for (request, blamed) in bad {
        let status = client.create_collection(with_key(request, WRITER)).await.unwrap_err();
        assert_eq!((status.code(), field(&status).as_str()), (Code::InvalidArgument, blamed));
    }
}

#[tokio::test]
async fn collections_are_listed_by_name_and_page() {
    let server = StoreServer::start().await;
    let mut client = server.collections().await;
    for name in ["wiki-b", "wiki-a", "other"] {
        client.create_collection(with_key(create(name), OWNER)).await.unwrap();
    }
    let mut list = async |request: proto::ListCollectionsRequest| {
        let answer = client.list_collections(with_key(request, READER)).await.unwrap().into_inner();
        let names: Vec<String> = answer.collections.into_iter().map(|one| one.name).collect();
        (names, answer.next_cursor)
    };
    let all = proto::ListCollectionsRequest::default();
    assert_eq!(list(all.clone()).await.0, [HOME, "other", "wiki-a", "wiki-b"]);
    let first = proto::ListCollectionsRequest { prefix: Some("wiki".to_owned()), limit: Some(1), ..all };
    let (names, cursor) = list(first.clone()).await;
    assert_eq!(names, ["wiki-a"]);
    let (names, cursor) = list(proto::ListCollectionsRequest { cursor, ..first }).await;
    assert_eq!((names[0].as_str(), names.len(), cursor.as_str()), ("wiki-b", 1, ""));
    let bad = proto::ListCollectionsRequest { limit: Some(1001), ..Default::default() };
    let status = client.list_collections(with_key(bad, READER)).await.unwrap_err();
    assert_eq!((status.code(), field(&status).as_str()), (Code::InvalidArgument, "limit"));
}

#[tokio::test]
async fn settings_change_one_by_one_and_give_documents_their_address() {
    let server = StoreServer::start().await;
    let mut client = server.collections().await;
    server.put(page("leave policy.md", "Text.")).await;
    let mut change = async |settings: proto::CollectionSettings| {
        let request =
            proto::UpdateCollectionRequest { collection: HOME.to_owned(), settings: Some(settings) };
        client.update_collection(with_key(request, OWNER)).await.unwrap().into_inner().settings.unwrap()
    };
    change(template("https://wiki.example/{document_id}")).await;
    let key = proto::CollectionSettings { url_template: None, url_metadata_key: Some("href".to_owned()) };
    let both = change(key).await;
    assert_eq!(both.url_template.as_deref(), Some("https://wiki.example/{document_id}"), "absent keeps");
    assert_eq!(both.url_metadata_key.as_deref(), Some("href"));

    let get = proto::GetDocumentRequest {
        collection: HOME.to_owned(),
        document_id: "leave policy.md".to_owned(),
        ..Default::default()
    };
    let shown = server.ingest().await.get_document(with_key(get.clone(), READER)).await.unwrap().into_inner();
    assert_eq!(shown.document.unwrap().url.as_deref(), Some("https://wiki.example/leave%20policy.md"));

    assert_eq!(change(template("")).await.url_template, None, "empty removes");
    let shown = server.ingest().await.get_document(with_key(get, READER)).await.unwrap().into_inner();
    assert_eq!(shown.document.unwrap().url, None);
    let unknown = proto::UpdateCollectionRequest { collection: "none".to_owned(), settings: None };
    let status = client.update_collection(with_key(unknown, OWNER)).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::NotFound, "unknown_collection"));
}

#[tokio::test]
async fn a_deleted_collection_is_gone() {
    let server = StoreServer::start().await;
    let mut client = server.collections().await;
    client.create_collection(with_key(create("old"), OWNER)).await.unwrap();
    let delete = proto::DeleteCollectionRequest { collection: "old".to_owned() };
    client.delete_collection(with_key(delete.clone(), OWNER)).await.unwrap();
    let status = client.delete_collection(with_key(delete, OWNER)).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::NotFound, "unknown_collection"));
    let get = proto::GetCollectionRequest { collection: "old".to_owned() };
    let status = client.get_collection(with_key(get, OWNER)).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::NotFound, "unknown_collection"));
}
