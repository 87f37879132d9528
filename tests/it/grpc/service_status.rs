//! How the service stands, over the API; and that each method asks for its scope.

use contexture::server::grpc::proto;
use tonic::{Code, Status};

use super::stores::*;
use super::support::{field, reason};

#[tokio::test]
async fn the_status_has_collections_and_providers() {
    let server = StoreServer::start().await;
    server.put(page("a", "Text.")).await;
    let mut client = server.status().await;
    // The providers are those of all tenants.
    let read = client.get_status(with_key(proto::GetStatusRequest {}, READER)).await.unwrap().into_inner();
    assert_eq!((read.collections.len(), read.providers.len()), (1, 0));
    let told = client.get_status(with_key(proto::GetStatusRequest {}, OWNER)).await.unwrap().into_inner();
    assert_eq!(told.collections.len(), 1);
    assert_eq!((told.collections[0].collection.as_str(), told.collections[0].audit), (HOME, None));
    let counts = told.collections[0].counts.unwrap();
    assert_eq!((counts.accepted, counts.visible, counts.documents, counts.dead), (1, 1, 1, 0));
    let expected = proto::ProviderStatus {
        provider: "openai".to_owned(),
        why: Some("retry_budget".to_owned()),
        wait_ms: 1500,
        words: "slow down".to_owned(),
        waiting: 2,
        open: 3,
        window: 4,
        calls: 50,
        throttled: 6,
        failed: 7,
    };
    assert_eq!(told.providers, [expected]);
}

#[tokio::test]
async fn usage_pipelines_and_the_caller_are_told() {
    let server = StoreServer::start().await;
    let mut client = server.status().await;
    for (days, counted) in [(None, 30), (Some(7), 7)] {
        let told = client.get_usage(with_key(proto::GetUsageRequest { days }, WRITER)).await.unwrap();
        assert_eq!(told.into_inner().days, counted);
    }
    let bad = proto::GetUsageRequest { days: Some(0) };
    let status = client.get_usage(with_key(bad, READER)).await.unwrap_err();
    assert_eq!((status.code(), field(&status).as_str()), (Code::InvalidArgument, "days"));

    let named = client.list_pipelines(with_key(proto::ListPipelinesRequest {}, WRITER)).await.unwrap();
    let named = named.into_inner().pipelines;
    let names: Vec<(&str, bool)> = named.iter().map(|one| (one.name.as_str(), one.is_default)).collect();
    assert_eq!(names, [("default", true), ("short", false)]);
    assert!(named[1].pipeline.contains("tokens_target = 200"), "{}", named[1].pipeline);

    let caller = client.who_am_i(with_key(proto::WhoAmIRequest {}, WRITER)).await.unwrap().into_inner();
    assert_eq!((caller.tenant.as_str(), caller.groups.len()), ("acme", 1));
    assert_eq!((caller.groups[0].as_str(), caller.scopes), ("engineering", vec!["write".to_owned()]));
    let status = client.who_am_i(with_key(proto::WhoAmIRequest {}, "wrong-key")).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::Unauthenticated, "unauthenticated"));
}

#[tokio::test]
async fn each_method_names_the_scope_that_a_key_lacks() {
    let server = StoreServer::start().await;
    let home = || HOME.to_owned();
    let (mut ingest, mut collections) = (server.ingest().await, server.collections().await);
    let mut letters = server.dead_letters().await;
    let list = proto::ListDocumentsRequest { collection: home(), ..Default::default() };
    let watch = proto::WatchDocumentsRequest { collection: home(), after: String::new() };
    let by_prefix = proto::DeleteDocumentsRequest {
        collection: home(),
        prefix: Some("a".to_owned()),
        ..Default::default()
    };
    let by_filter = proto::DeleteDocumentsRequest {
        collection: home(),
        filter: Some("a = 1".to_owned()),
        ..Default::default()
    };
    let create = proto::CreateCollectionRequest { collection: "new".to_owned(), ..Default::default() };
    let update = proto::UpdateCollectionRequest { collection: home(), settings: None };
    let delete = proto::DeleteCollectionRequest { collection: home() };
    let refused: [(Status, &str); 12] = [
        (ingest.list_documents(with_key(list, WRITER)).await.unwrap_err(), "read"),
        (ingest.watch_documents(with_key(watch, WRITER)).await.unwrap_err(), "read"),
        (ingest.delete_documents(with_key(by_prefix, READER)).await.unwrap_err(), "write"),
        (ingest.delete_documents(with_key(by_filter, WRITER)).await.unwrap_err(), "read"),
        (collections.create_collection(with_key(create, READER)).await.unwrap_err(), "write"),
        (collections.update_collection(with_key(update, WRITER)).await.unwrap_err(), "admin"),
        (collections.delete_collection(with_key(delete, WRITER)).await.unwrap_err(), "admin"),
        (letters.list_dead_letters(with_key(Default::default(), READER)).await.unwrap_err(), "admin"),
        (letters.get_dead_letter(with_key(Default::default(), READER)).await.unwrap_err(), "admin"),
        (letters.list_dead_letter_reasons(with_key(Default::default(), WRITER)).await.unwrap_err(), "admin"),
        (letters.replay_dead_letters(with_key(Default::default(), WRITER)).await.unwrap_err(), "admin"),
        (letters.drop_dead_letters(with_key(Default::default(), WRITER)).await.unwrap_err(), "admin"),
    ];
    for (status, scope) in refused {
        assert_eq!((status.code(), reason(&status).as_str()), (Code::PermissionDenied, "missing_scope"));
        assert!(status.message().contains(&format!("'{scope}'")), "{scope}: {status:?}");
    }
}
