//! Two tenants with the same names for everything: neither sees anything of the other, through any door.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use contexture::server::grpc::proto::{AssembleRequest, GetDocumentRequest, SearchRequest, SubmitRequest};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use reqwest::Method;
use serde_json::{Value, json};

use super::callers::DoorCaller;
use super::{PIPELINE, ServedStack};

const KEYS: [&str; 2] = ["key-of-alpha-0123456789", "key-of-beta-0123456789"];
/// A word of each tenant that stands in all of its documents, titles and metadata, and nowhere else.
const MARKS: [&str; 2] = ["alphamark", "betamark"];
const SCOPES: &[&str] = &["read", "write", "admin"];

/// One call of one tenant. Names are small numbers, so that both use the same.
#[derive(Debug, Clone, Copy)]
struct TenantCall {
    tenant: usize,
    collection: u8,
    document: u8,
    what: CallKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CallKind {
    Create,
    PutHttp,
    SubmitGrpc,
    Delete,
    DeleteByPrefix,
    DropCollection,
    ListDocuments,
    ShowDocument,
    ShowDocumentGrpc,
    ListCollections,
    Status,
    DeadLetters,
    SourceRun,
    ListSources,
    ListSourceDocuments,
    Context,
    ContextGrpc,
    ContextMcp,
    Search,
    SearchGrpc,
    SearchMcp,
    FetchMcp,
    CollectionsMcp,
    VectorStore,
}

fn calls() -> impl Strategy<Value = Vec<TenantCall>> {
    use CallKind::*;
    let what = prop_oneof![
        // What others could see has to be there first.
        4 => Just(Create), 6 => Just(PutHttp), 4 => Just(SubmitGrpc),
        1 => Just(Delete), 1 => Just(DeleteByPrefix), 1 => Just(DropCollection),
        2 => Just(ListDocuments), 2 => Just(ShowDocument), 2 => Just(ShowDocumentGrpc),
        1 => Just(ListCollections), 1 => Just(Status), 1 => Just(DeadLetters),
        2 => Just(SourceRun), 1 => Just(ListSources), 1 => Just(ListSourceDocuments),
        2 => Just(Context), 2 => Just(ContextGrpc), 2 => Just(ContextMcp),
        2 => Just(Search), 2 => Just(SearchGrpc), 2 => Just(SearchMcp),
        2 => Just(FetchMcp), 1 => Just(CollectionsMcp), 1 => Just(VectorStore),
    ];
    let call = (0..2_usize, 0..2_u8, 0..3_u8, what)
        .prop_map(|(tenant, collection, document, what)| TenantCall { tenant, collection, document, what });
    prop::collection::vec(call, 4..24)
}

/// What the tenants should have.
#[derive(Default)]
struct TenantDocuments {
    /// Live documents by tenant and collection.
    documents: BTreeMap<(usize, String), BTreeSet<String>>,
}

#[test]
fn neither_tenant_sees_anything_of_the_other() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (served, callers) = runtime.block_on(async {
        let served =
            ServedStack::start(&[("alpha", "alpha", KEYS[0], SCOPES), ("beta", "beta", KEYS[1], SCOPES)])
                .await;
        let callers =
            [DoorCaller::new(served.address, KEYS[0]).await, DoorCaller::new(served.address, KEYS[1]).await];
        (served, callers)
    });
    let mut runner =
        TestRunner::new(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() });
    let outcome = runner.run(&calls(), |calls| {
        runtime.block_on(async {
            let mut expected = TenantDocuments::default();
            for call in &calls {
                let seen = make(&callers[call.tenant], *call, &mut expected).await;
                let foreign = MARKS[1 - call.tenant];
                prop_assert!(!seen.contains(foreign), "{call:?} showed {seen}");
            }
            for (tenant, caller) in callers.iter().enumerate() {
                check_and_clear(tenant, caller, &expected).await?;
            }
            Ok(())
        })
    });
    runtime.block_on(served.stop());
    outcome.unwrap();
}

/// Makes a call; returns everything that the tenant saw.
async fn make(caller: &DoorCaller, call: TenantCall, expected: &mut TenantDocuments) -> String {
    let collection = format!("shared-{}", call.collection);
    let document = format!("folder/document-{}.md", call.document);
    let mark = MARKS[call.tenant];
    let text = format!("# {mark}\n\nThe common words of both tenants, and {mark}.");
    let key = (call.tenant, collection.clone());
    let path = format!("/v1/collections/{collection}");
    let question = json!({"question": "common words of both tenants", "budget": 500});
    let seen: Value = match call.what {
        CallKind::Create => {
            expected.documents.entry(key).or_default();
            caller
                .http(
                    Method::POST,
                    "/v1/collections",
                    Some(json!({"name": collection, "pipeline": PIPELINE})),
                )
                .await
                .1
        }
        CallKind::PutHttp => {
            let body = json!({"text": text, "title": mark, "metadata": {"owner": mark, "url": format!("https://{mark}.example/x")}});
            let (status, seen) = caller
                .http(Method::PUT, &format!("{path}/documents/{document}?wait=visible"), Some(body))
                .await;
            let live = expected.documents.get_mut(&key);
            assert_eq!(status.is_success(), live.is_some(), "{call:?}: {seen}");
            if let Some(live) = live {
                live.insert(document.clone());
            }
            seen
        }
        CallKind::SubmitGrpc => {
            let request = SubmitRequest {
                collection,
                document_id: document.clone(),
                body: Bytes::from(text),
                title: Some(mark.to_owned()),
                ..SubmitRequest::default()
            };
            let seen = caller.grpc_submit(request).await;
            let live = expected.documents.get_mut(&key);
            assert_eq!(seen.is_ok(), live.is_some(), "{call:?}: {seen:?}");
            if let Some(live) = live {
                live.insert(document.clone());
            }
            json!(format!("{seen:?}"))
        }
        CallKind::Delete => {
            let seen =
                caller.http(Method::DELETE, &format!("{path}/documents/{document}?wait=visible"), None).await;
            if let Some(live) = expected.documents.get_mut(&key) {
                live.remove(&document);
            }
            seen.1
        }
        CallKind::DeleteByPrefix => {
            let (status, seen) = caller
                .http(Method::POST, &format!("{path}/documents/delete"), Some(json!({"prefix": "folder/"})))
                .await;
            if let Some(live) = expected.documents.get_mut(&key) {
                assert_eq!(seen["matched"], live.len(), "{call:?}: {status} {seen}");
                live.clear();
            }
            seen
        }
        CallKind::DropCollection => {
            let (status, seen) = caller.http(Method::DELETE, &path, None).await;
            assert_eq!(status.is_success(), expected.documents.remove(&key).is_some(), "{call:?}: {seen}");
            seen
        }
        CallKind::ListDocuments => caller.http(Method::GET, &format!("{path}/documents"), None).await.1,
        CallKind::ShowDocument => {
            let url = format!("{path}/documents/{document}?include=chunks,text,groups");
            caller.http(Method::GET, &url, None).await.1
        }
        CallKind::ShowDocumentGrpc => {
            let request =
                GetDocumentRequest { collection, document_id: document, ..GetDocumentRequest::default() };
            json!(format!("{:?}", caller.grpc_document(request).await))
        }
        CallKind::ListCollections => caller.http(Method::GET, "/v1/collections", None).await.1,
        CallKind::Status => caller.http(Method::GET, "/v1/status", None).await.1,
        CallKind::SourceRun => {
            let begun = caller
                .http(Method::POST, &format!("{path}/sources/runs"), Some(json!({"source": "site"})))
                .await
                .1;
            let seen = json!([{"document_id": document, "fingerprint": mark, "version": 1}]);
            let report = json!({"source": "site", "seen": seen});
            let run = begun["run"].as_u64().unwrap_or(1);
            let url = format!("{path}/sources/runs/{run}");
            let reported = caller.http(Method::POST, &format!("{url}/documents"), Some(report)).await.1;
            // Nothing is gone for good here: documents come and go by the other calls.
            let finish = json!({"source": "site"});
            let finished = caller.http(Method::POST, &format!("{url}/finish"), Some(finish)).await.1;
            json!([begun, reported, finished])
        }
        CallKind::ListSources => caller.http(Method::GET, &format!("{path}/sources"), None).await.1,
        CallKind::ListSourceDocuments => {
            caller.http(Method::GET, &format!("{path}/sources/documents?source=site"), None).await.1
        }
        CallKind::DeadLetters => caller.http(Method::GET, "/v1/dead-letters", None).await.1,
        CallKind::Context => caller.http(Method::POST, &format!("{path}/context"), Some(question)).await.1,
        CallKind::ContextGrpc => {
            let request = AssembleRequest {
                collection,
                question: "common words".to_owned(),
                budget: Some(500),
                explain: true,
                ..AssembleRequest::default()
            };
            json!(format!("{:?}", caller.grpc_assemble(request).await))
        }
        CallKind::ContextMcp => {
            caller.mcp("get_context", json!({"question": "common words", "collection": collection})).await
        }
        CallKind::Search => {
            let asked = json!({"question": "common words", "include_groups": true});
            caller.http(Method::POST, &format!("{path}/search"), Some(asked)).await.1
        }
        CallKind::SearchGrpc => {
            let request =
                SearchRequest { collection, question: "common words".to_owned(), ..SearchRequest::default() };
            json!(format!("{:?}", caller.grpc_search(request).await))
        }
        CallKind::SearchMcp => caller.mcp("search", json!({"query": "common words of both tenants"})).await,
        CallKind::FetchMcp => caller.mcp("fetch", json!({"id": format!("{collection}/{document}")})).await,
        CallKind::CollectionsMcp => caller.mcp("list_collections", json!({})).await,
        CallKind::VectorStore => {
            let url = format!("/v1/vector_stores/{collection}/search");
            caller.http(Method::POST, &url, Some(json!({"query": "common words"}))).await.1
        }
    };
    seen.to_string()
}

/// Each tenant has what it made, and no more; then it is cleared for the next case.
async fn check_and_clear(
    tenant: usize,
    caller: &DoorCaller,
    expected: &TenantDocuments,
) -> Result<(), TestCaseError> {
    let (_, listed) = caller.http(Method::GET, "/v1/collections", None).await;
    let names: Vec<&str> =
        listed["collections"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
    let own: Vec<&String> =
        expected.documents.keys().filter(|(owner, _)| *owner == tenant).map(|(_, name)| name).collect();
    prop_assert_eq!(&names, &own);
    for name in own {
        let (_, page) = caller.http(Method::GET, &format!("/v1/collections/{name}/documents"), None).await;
        let ids: BTreeSet<String> = page["documents"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["document_id"].as_str().unwrap().to_owned())
            .collect();
        prop_assert_eq!(&ids, &expected.documents[&(tenant, name.clone())]);
        let (status, why) = caller.http(Method::DELETE, &format!("/v1/collections/{name}"), None).await;
        prop_assert!(status.is_success(), "{why}");
    }
    Ok(())
}
