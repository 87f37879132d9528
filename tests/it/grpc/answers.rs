//! What answers carry: every field of a passage, a hit and a trace.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use contexture::context::answer::{
    AnswerDegradation, CandidateTrace, CandidateVerdict, Citation, ContextAnswer, Passage, RankedChunk,
    SearchAnswer,
};
use contexture::domain::chunk::{SourcePlace, SourceUnit, TextSpan};
use contexture::domain::document::DocumentAcl;
use contexture::domain::ids::{
    ChunkId, CollectionId, ContentHash, DocumentId, Epoch, TenantId, Version, VersionKey,
};
use contexture::domain::metadata::DocumentMetadata;
use contexture::server::grpc::proto;
use prost_types::value::Kind;
use serde_json::json;

use super::support::*;

const SPAN: TextSpan = TextSpan { start: 1, end: 5 };
const PLACE: SourcePlace =
    SourcePlace { unit: SourceUnit::Line, first_line: 7, last_line: 8, bytes: Some((20, 31)) };

fn docs() -> CollectionId {
    CollectionId::new("docs").unwrap()
}

fn chunk_id() -> ChunkId {
    let key = VersionKey {
        tenant: TenantId::new("local").unwrap(),
        collection: docs(),
        document_id: DocumentId::new("a").unwrap(),
        version: Version::new(2).unwrap(),
    };
    ChunkId::derive(&Epoch::from_bytes([0; 32]), &key, &ContentHash::from_bytes([0; 32]), 0)
}

fn metadata() -> DocumentMetadata {
    let raw = json!({ "lang": "en", "year": 2024, "ratio": 0.5, "draft": false, "tags": ["a", 3] });
    DocumentMetadata::from_json(&raw).unwrap()
}

fn engineering() -> DocumentAcl {
    DocumentAcl::Groups(BTreeSet::from(["engineering".to_owned()]))
}

fn passage() -> Passage {
    let (document_id, version) = (DocumentId::new("a").unwrap(), Version::new(2).unwrap());
    let citation =
        Citation { collection: Some(docs()), document_id: document_id.clone(), version, span: SPAN };
    Passage {
        collection: Some(docs()),
        section: "Law".to_owned(),
        heading: "A > B".to_owned(),
        score: 0.5,
        also: vec![citation],
        title: Some("Title".to_owned()),
        url: Some("https://wiki.example/a".to_owned()),
        metadata: metadata(),
        acl: engineering(),
        source: Some(PLACE),
        ..Passage::new(document_id, version, SPAN, "text".to_owned())
    }
}

fn ranked() -> RankedChunk {
    RankedChunk {
        chunk_id: chunk_id(),
        collection: Some(docs()),
        document_id: DocumentId::new("a").unwrap(),
        version: Version::new(2).unwrap(),
        span: SPAN,
        heading: "A > B".to_owned(),
        score: 0.5,
        text: "text".to_owned(),
        source: Some(PLACE),
        also: Vec::new(),
        title: Some("Title".to_owned()),
        url: Some("https://wiki.example/a".to_owned()),
        metadata: metadata(),
        acl: engineering(),
    }
}

fn expected_metadata() -> Option<prost_types::Struct> {
    let value = |kind| prost_types::Value { kind: Some(kind) };
    let tags = vec![value(Kind::StringValue("a".to_owned())), value(Kind::NumberValue(3.0))];
    let fields = [
        ("lang", Kind::StringValue("en".to_owned())),
        ("year", Kind::NumberValue(2024.0)),
        ("ratio", Kind::NumberValue(0.5)),
        ("draft", Kind::BoolValue(false)),
        ("tags", Kind::ListValue(prost_types::ListValue { values: tags })),
    ];
    let fields = fields.into_iter().map(|(key, kind)| (key.to_owned(), value(kind))).collect();
    Some(prost_types::Struct { fields })
}

fn expected_source() -> Option<proto::SourcePlace> {
    let span = Some(proto::ByteSpan { start_byte: 20, end_byte: 31 });
    Some(proto::SourcePlace { first_line: 7, last_line: 8, span, unit: String::new() })
}

fn expected_acl(include_groups: bool) -> Option<proto::Acl> {
    include_groups.then(|| proto::Acl { groups: vec!["engineering".to_owned()] })
}

#[tokio::test]
async fn a_context_is_told_in_full() {
    let entry = |verdict| CandidateTrace {
        chunk_id: chunk_id(),
        citation: passage().also.pop(),
        score: 0.5,
        gain: 0.25,
        kept_bytes: 3,
        tokens: 9,
        verdict,
    };
    let context = ContextAnswer {
        snapshots: BTreeMap::from([(docs(), 7)]),
        degraded: vec![AnswerDegradation::Dense, AnswerDegradation::Refill],
        passages: vec![
            passage(),
            Passage { metadata: DocumentMetadata::default(), acl: DocumentAcl::Tenant, ..passage() },
        ],
        trace: vec![
            entry(CandidateVerdict::Kept { passage: 1 }),
            entry(CandidateVerdict::DuplicateOf { of: chunk_id() }),
        ],
        ..answer()
    };
    let scripted = Arc::new(ScriptedServices { context, ..ScriptedServices::default() });
    let server = RunningServer::start(&scripted, limits(), Vec::new()).await;
    for include_groups in [false, true] {
        let request = proto::AssembleRequest { include_groups, ..question() };
        let told = server.context().await.assemble(request).await.unwrap().into_inner();
        assert_eq!(told.degraded, ["DENSE", "REFILL"]);
        assert_eq!(told.snapshots.into_iter().collect::<Vec<_>>(), [("docs".to_owned(), 7)]);
        let shown = &told.passages[0];
        assert_eq!(shown.span, Some(proto::ByteSpan { start_byte: 1, end_byte: 5 }));
        assert_eq!((shown.heading.as_str(), shown.section.as_str()), ("A > B", "Law"));
        assert_eq!((shown.title.as_deref(), shown.collection.as_str()), (Some("Title"), "docs"));
        assert_eq!(shown.url.as_deref(), Some("https://wiki.example/a"));
        assert_eq!(shown.metadata, expected_metadata());
        assert_eq!((&shown.acl, &shown.source), (&expected_acl(include_groups), &expected_source()));
        assert_eq!((shown.also.len(), shown.also[0].collection.as_str()), (1, "docs"));
        // No metadata and no groups are absent, so that they are not taken for empty ones.
        assert_eq!((&told.passages[1].metadata, &told.passages[1].acl), (&None, &None));
        assert_eq!((told.trace[0].reason.as_str(), told.trace[0].passage), ("kept", Some(1)));
        assert_eq!((told.trace[1].reason.as_str(), told.trace[0].kept_bytes), ("duplicate_of", 3));
        assert_eq!(told.trace[1].of.as_deref(), Some(chunk_id().to_string().as_str()));
    }
}

#[tokio::test]
async fn a_ranking_is_told_in_full() {
    let ranking =
        SearchAnswer { results: vec![ranked()], snapshots: BTreeMap::from([(docs(), 7)]), ..ranking() };
    let scripted = Arc::new(ScriptedServices { ranking, ..ScriptedServices::default() });
    let server = RunningServer::start(&scripted, limits(), Vec::new()).await;
    for include_groups in [false, true] {
        let request = proto::SearchRequest {
            collection: "docs".to_owned(),
            question: "why?".to_owned(),
            include_groups,
            ..proto::SearchRequest::default()
        };
        let told = server.context().await.search(request).await.unwrap().into_inner();
        assert_eq!(told.snapshots.into_iter().collect::<Vec<_>>(), [("docs".to_owned(), 7)]);
        let expected = proto::Hit {
            document_id: "a".to_owned(),
            version: 2,
            span: Some(proto::ByteSpan { start_byte: 1, end_byte: 5 }),
            heading: "A > B".to_owned(),
            score: 0.5,
            text: "text".to_owned(),
            chunk_id: chunk_id().to_string(),
            title: Some("Title".to_owned()),
            url: Some("https://wiki.example/a".to_owned()),
            metadata: expected_metadata(),
            acl: expected_acl(include_groups),
            source: expected_source(),
            also: Vec::new(),
            collection: "docs".to_owned(),
        };
        assert_eq!(told.hits, [expected]);
    }
}
