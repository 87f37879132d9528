//! What calls mean: requests become submissions and queries, refusals become statuses.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use contexture::domain::document::DocumentAcl;
use contexture::domain::ids::{CollectionId, ContentHash, DocumentId, Version, VersionKey};
use contexture::domain::metadata::{MetadataScalar, MetadataValue};
use contexture::domain::principal::AccessScope;
use contexture::fault::{FailureReason, Refusal, RefusalKind};
use contexture::ports::ledger::{IntakeDecision, SubmissionReceipt, VersionRecord, VersionState};
use contexture::server::grpc::proto;
use contexture::server::status::{MESSAGE_BYTES_MAX, grpc_code, status_from_refusal};
use prost_types::value::Kind;
use tonic::Code;
use tonic_types::StatusExt;

use super::stores::with_key;
use super::support::*;

fn number(number: f64) -> prost_types::Value {
    prost_types::Value { kind: Some(Kind::NumberValue(number)) }
}

fn text(text: &str) -> prost_types::Value {
    prost_types::Value { kind: Some(Kind::StringValue(text.to_owned())) }
}

fn list(values: Vec<prost_types::Value>) -> prost_types::Value {
    prost_types::Value { kind: Some(Kind::ListValue(prost_types::ListValue { values })) }
}

fn fields(values: Vec<(&str, prost_types::Value)>) -> prost_types::Struct {
    prost_types::Struct { fields: values.into_iter().map(|(key, value)| (key.to_owned(), value)).collect() }
}

#[test]
fn every_kind_of_refusal_has_its_code() {
    let table = [
        (RefusalKind::Invalid, Code::InvalidArgument),
        (RefusalKind::NotFound, Code::NotFound),
        (RefusalKind::Conflict, Code::AlreadyExists),
        (RefusalKind::Precondition, Code::FailedPrecondition),
        (RefusalKind::Exhausted, Code::ResourceExhausted),
        (RefusalKind::Deadline, Code::DeadlineExceeded),
        (RefusalKind::Unauthenticated, Code::Unauthenticated),
        (RefusalKind::PermissionDenied, Code::PermissionDenied),
        (RefusalKind::Unavailable, Code::Unavailable),
        (RefusalKind::Internal, Code::Internal),
    ];
    for (kind, expected) in table {
        let status = status_from_refusal(&Refusal::new(kind, "some_code", "some.field", "said"));
        assert_eq!((grpc_code(kind), status.code()), (expected, expected));
        assert_eq!(reason(&status), "some_code");
        assert_eq!(status.get_details_bad_request().is_some(), kind == RefusalKind::Invalid);
        // What went wrong inside is not told.
        let inside = matches!(kind, RefusalKind::Internal | RefusalKind::Unavailable);
        assert_eq!(status.message().contains("said"), !inside);
    }
    let status = status_from_refusal(&Refusal::exhausted("full", Duration::from_millis(250), "full"));
    let retry = status.get_details_retry_info().unwrap();
    assert_eq!(retry.retry_delay, Some(Duration::from_millis(250)));
    let long = status_from_refusal(&Refusal::invalid("long", &"f".repeat(10_000), "é".repeat(10_000)));
    assert!(long.message().len() <= MESSAGE_BYTES_MAX + '…'.len_utf8());
    assert!(field(&long).len() <= MESSAGE_BYTES_MAX + '…'.len_utf8());
}

#[tokio::test]
async fn a_submission_arrives_as_it_was_sent() {
    let scripted = Arc::new(ScriptedServices::default());
    let server = RunningServer::start(&scripted, limits(), Vec::new()).await;
    let mut client = server.ingest().await;
    let metadata = fields(vec![
        ("year", number(2024.0)),
        ("ratio", number(0.5)),
        ("draft", prost_types::Value { kind: Some(Kind::BoolValue(false)) }),
        ("tags", list(vec![text("a"), number(3.0)])),
    ]);
    let request = proto::SubmitRequest {
        version: Some(3),
        media_type: Some("text/plain".to_owned()),
        title: Some("Title".to_owned()),
        metadata: Some(metadata),
        ..submission("a.txt", 10)
    };
    for acl in [None, Some(vec![]), Some(vec!["engineering".to_owned()])] {
        let acl = acl.map(|groups| proto::Acl { groups });
        let receipt =
            client.submit(proto::SubmitRequest { acl, ..request.clone() }).await.unwrap().into_inner();
        assert_eq!((receipt.document_id.as_str(), receipt.version), ("a.txt", 3));
        assert_eq!(receipt.intake(), proto::Intake::Accepted);
    }

    let seen: Vec<_> = scripted.seen.lock().unwrap().drain(..).flatten().collect();
    assert_eq!(seen[0].collection().tenant.as_str(), "local");
    assert_eq!(seen[0].version(), Some(Version::new(3).unwrap()));
    assert_eq!(seen[0].body().as_ref(), b"xxxxxxxxxx");
    let description = seen[0].description();
    assert_eq!(description.title.as_deref(), Some("Title"));
    assert_eq!(description.media_type.as_deref(), Some("text/plain"));
    let value = |key: &str| description.metadata.get(key).unwrap().clone();
    assert_eq!(value("year"), MetadataValue::One(MetadataScalar::Integer(2024)));
    assert_eq!(value("ratio"), MetadataValue::One(MetadataScalar::Float(0.5)));
    assert_eq!(value("draft"), MetadataValue::One(MetadataScalar::Bool(false)));
    assert_eq!(
        value("tags"),
        MetadataValue::Many(vec![MetadataScalar::Text("a".to_owned()), MetadataScalar::Integer(3)])
    );
    let acls: Vec<&DocumentAcl> = seen.iter().map(|one| &one.description().acl).collect();
    let group = DocumentAcl::Groups(BTreeSet::from(["engineering".to_owned()]));
    assert_eq!(acls, [&DocumentAcl::Tenant, &DocumentAcl::Groups(BTreeSet::new()), &group]);
}

#[tokio::test]
async fn bad_submissions_name_their_field() {
    let server = RunningServer::start(&Arc::new(ScriptedServices::default()), limits(), Vec::new()).await;
    let mut client = server.ingest().await;
    let good = submission("a.txt", 10);
    let with = |values| proto::SubmitRequest { metadata: Some(fields(values)), ..good.clone() };
    let null = prost_types::Value { kind: Some(Kind::NullValue(0)) };
    let nested = prost_types::Value { kind: Some(Kind::StructValue(fields(vec![]))) };
    let bad = [
        (proto::SubmitRequest { collection: "No".to_owned(), ..good.clone() }, "collection"),
        (proto::SubmitRequest { document_id: "../x".to_owned(), ..good.clone() }, "document_id"),
        (proto::SubmitRequest { version: Some(0), ..good.clone() }, "version"),
        (proto::SubmitRequest { version: Some(u64::MAX), ..good.clone() }, "version"),
        (submission("a.txt", 0), "body"),
        (proto::SubmitRequest { title: Some("\n".to_owned()), ..good.clone() }, "title"),
        (with(vec![("k", null)]), "metadata.k"),
        (with(vec![("k", nested)]), "metadata.k"),
        (with(vec![("k", number(f64::NAN))]), "metadata.k"),
        (with(vec![("k", list(vec![list(vec![])]))]), "metadata.k"),
        (with(vec![("_contexture_x", number(1.0))]), "metadata._contexture_x"),
        (
            proto::SubmitRequest { acl: Some(proto::Acl { groups: vec![String::new()] }), ..good.clone() },
            "acl",
        ),
    ];
    for (request, blamed) in bad {
        let status = client.submit(request).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{blamed}: {status}");
        assert_eq!(field(&status), blamed);
    }
    assert!(client.submit(good).await.is_ok());
}

#[tokio::test]
async fn receipts_say_how_it_was_decided() {
    let decide = |intake: IntakeDecision| {
        Arc::new(ScriptedServices {
            on_submit: Box::new(move |_| {
                Ok(vec![SubmissionReceipt { version: Version::new(9).unwrap(), intake, task: None }])
            }),
            ..ScriptedServices::default()
        })
    };
    for (intake, shown) in [
        (IntakeDecision::Duplicate, proto::Intake::Duplicate),
        (IntakeDecision::Superseded, proto::Intake::Superseded),
    ] {
        let server = RunningServer::start(&decide(intake), limits(), Vec::new()).await;
        let delete = proto::DeleteRequest {
            collection: "docs".to_owned(),
            document_id: "a".to_owned(),
            version: Some(4),
            wait_visible_ms: None,
        };
        let receipt = server.ingest().await.delete(delete).await.unwrap().into_inner();
        assert_eq!((receipt.version, receipt.intake()), (9, shown));
    }
    let server = RunningServer::start(&decide(IntakeDecision::Conflict), limits(), Vec::new()).await;
    let status = server.ingest().await.submit(submission("a", 1)).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::AlreadyExists, "version_conflict"));
}

#[tokio::test]
async fn a_writer_sees_the_history_of_a_document() {
    let record = |principal: &contexture::domain::principal::Principal| VersionRecord {
        key: VersionKey {
            tenant: principal.tenant().clone(),
            collection: CollectionId::new("docs").unwrap(),
            document_id: DocumentId::new("a").unwrap(),
            version: Version::new(2).unwrap(),
        },
        state: VersionState::Dead,
        reason: Some(FailureReason::new("unsupported_type", "sniffed image/png")),
        deletes: false,
        content_hash: ContentHash::from_bytes([1; 32]),
        body_bytes: 5,
        chunk_count: None,
        accepted_ms: 10,
        updated_ms: 20,
    };
    let scripted = ScriptedServices {
        on_document: Box::new(move |principal| Ok(vec![record(principal)])),
        ..ScriptedServices::default()
    };
    let keys = vec![key("writer", "canary-writer-key", &[AccessScope::Write])];
    let server = RunningServer::start(&Arc::new(scripted), limits(), keys).await;
    let request = proto::GetDocumentRequest {
        collection: "docs".to_owned(),
        document_id: "a".to_owned(),
        ..proto::GetDocumentRequest::default()
    };
    let request = with_key(request, "canary-writer-key");
    let versions = server.ingest().await.get_document(request).await.unwrap().into_inner().versions;
    let expected = proto::DocumentVersion {
        version: 2,
        state: proto::State::Dead.into(),
        reason_code: Some("unsupported_type".to_owned()),
        reason: Some("sniffed image/png".to_owned()),
        deletes: false,
        content_hash: "01".repeat(32),
        body_bytes: 5,
        chunk_count: None,
        accepted_ms: 10,
        updated_ms: 20,
    };
    assert_eq!(versions, [expected]);
}

#[tokio::test]
async fn bad_queries_name_their_field() {
    let server = RunningServer::start(&Arc::new(ScriptedServices::default()), limits(), Vec::new()).await;
    let mut client = server.context().await;
    let good = question();
    let min_version = |version| proto::MinVersion { document_id: "a".to_owned(), version };
    let bad = [
        (proto::AssembleRequest { budget: None, ..good.clone() }, "budget"),
        (proto::AssembleRequest { budget: Some(-1), ..good.clone() }, "budget"),
        (proto::AssembleRequest { budget: Some(1_000_001), ..good.clone() }, "budget"),
        (proto::AssembleRequest { question: " ".to_owned(), ..good.clone() }, "question"),
        (proto::AssembleRequest { question: "q".repeat(1 << 20), ..good.clone() }, "question"),
        (proto::AssembleRequest { top_k: Some(0), ..good.clone() }, "top_k"),
        (proto::AssembleRequest { top_k: Some(1_000_000_000), ..good.clone() }, "top_k"),
        (proto::AssembleRequest { filter: Some("tenant = \"x\"".to_owned()), ..good.clone() }, "filter"),
        (proto::AssembleRequest { fusion: Some("cold".to_owned()), ..good.clone() }, "fusion"),
        (proto::AssembleRequest { format: Some("y".repeat(100_000)), ..good.clone() }, "format"),
        (proto::AssembleRequest { min_versions: vec![min_version(0)], ..good.clone() }, "version"),
    ];
    for (request, blamed) in bad {
        let status = client.assemble(request).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{blamed}: {status}");
        assert_eq!(field(&status), blamed);
    }
    let response = client.assemble(proto::AssembleRequest { budget: Some(0), ..good }).await.unwrap();
    assert_eq!(response.into_inner().budget, 0);
}

#[tokio::test]
async fn a_query_arrives_and_its_refusal_returns() {
    let scripted = Arc::new(ScriptedServices {
        on_query: Box::new(|query| {
            if query.min_versions.is_empty() {
                return Ok(());
            }
            Err(Refusal::new(RefusalKind::Precondition, "not_yet_visible", "min_version", "not yet"))
        }),
        ..ScriptedServices::default()
    });
    let server = RunningServer::start(&scripted, limits(), Vec::new()).await;
    let mut client = server.context().await;
    let search = proto::SearchRequest {
        collection: "docs".to_owned(),
        question: "why?".to_owned(),
        top_k: Some(5),
        filter: Some("year >= 2020".to_owned()),
        ..proto::SearchRequest::default()
    };
    assert_eq!(client.search(search).await.unwrap().into_inner().snapshot, 7);
    let waiting = proto::AssembleRequest {
        min_versions: vec![proto::MinVersion { document_id: "a".to_owned(), version: 4 }],
        ..question()
    };
    let status = client.assemble(waiting).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::FailedPrecondition, "not_yet_visible"));

    let queries = scripted.queries.lock().unwrap();
    assert_eq!(queries[0].top_k, 5);
    assert!(queries[0].filter.is_some());
    assert_eq!(queries[1].min_versions[0].1.get(), 4);
}
