//! Stored documents: shown, listed, waited for, watched and deleted.

use contexture::server::grpc::proto;
use prost_types::value::Kind;
use tonic::Code;

use super::stores::*;
use super::support::{field, reason};

fn text_value(text: &str) -> prost_types::Value {
    prost_types::Value { kind: Some(Kind::StringValue(text.to_owned())) }
}

fn metadata(pairs: &[(&str, &str)]) -> prost_types::Struct {
    prost_types::Struct {
        fields: pairs.iter().map(|(key, text)| ((*key).to_owned(), text_value(text))).collect(),
    }
}

fn get(document_id: &str) -> proto::GetDocumentRequest {
    proto::GetDocumentRequest {
        collection: HOME.to_owned(),
        document_id: document_id.to_owned(),
        ..proto::GetDocumentRequest::default()
    }
}

fn list() -> proto::ListDocumentsRequest {
    proto::ListDocumentsRequest { collection: HOME.to_owned(), ..proto::ListDocumentsRequest::default() }
}

fn delete_all() -> proto::DeleteDocumentsRequest {
    proto::DeleteDocumentsRequest { collection: HOME.to_owned(), ..proto::DeleteDocumentsRequest::default() }
}

fn acl(groups: &[&str]) -> Option<proto::Acl> {
    Some(proto::Acl { groups: groups.iter().map(|&group| group.to_owned()).collect() })
}

#[tokio::test]
async fn a_document_comes_back_with_all_that_describes_it() {
    let server = StoreServer::start().await;
    let mut client = server.ingest().await;
    let submitted = proto::SubmitRequest {
        title: Some("Leave".to_owned()),
        media_type: Some("text/markdown".to_owned()),
        metadata: Some(metadata(&[("lang", "en"), ("url", "https://wiki.example/leave")])),
        acl: acl(&["engineering"]),
        ..page("handbook/leave.md", "# Leave\n\nEverybody has 30 days of leave.\n")
    };
    let receipt = server.put(submitted.clone()).await;
    assert_eq!((receipt.version, receipt.state()), (1, proto::State::Visible));

    let plain = client.get_document(with_key(get("handbook/leave.md"), READER)).await.unwrap().into_inner();
    let shown = plain.document.unwrap();
    assert_eq!((shown.document_id.as_str(), shown.version), ("handbook/leave.md", 1));
    assert_eq!(
        (shown.state(), shown.visible_version, shown.deleted),
        (proto::State::Visible, Some(1), false)
    );
    assert_eq!(shown.title.as_deref(), Some("Leave"));
    assert_eq!(shown.url.as_deref(), Some("https://wiki.example/leave"));
    assert_eq!(shown.media_type.as_deref(), Some("text/markdown"));
    assert_eq!(shown.metadata, submitted.metadata);
    assert_eq!(shown.acl, None, "groups only where asked for");
    assert_eq!(shown.body_bytes, submitted.body.len() as u64);
    assert_eq!((plain.versions.len(), plain.versions[0].state()), (1, proto::State::Visible));
    assert_eq!((plain.chunks.len(), plain.text), (0, None));

    let all = proto::GetDocumentRequest {
        include_chunks: true,
        include_text: true,
        include_groups: true,
        ..get("handbook/leave.md")
    };
    let full = client.get_document(with_key(all, READER)).await.unwrap().into_inner();
    assert_eq!(full.document.unwrap().acl, acl(&["engineering"]));
    let text = full.text.unwrap();
    assert!(text.contains("Everybody has 30 days of leave."), "{text}");
    let mut end = 0;
    for (chunk, ordinal) in full.chunks.iter().zip(0..) {
        let span = chunk.span.unwrap();
        assert_eq!((chunk.ordinal, span.start_byte), (ordinal, end));
        end = span.end_byte;
        let spanned = usize::try_from(span.start_byte).unwrap()..usize::try_from(end).unwrap();
        assert_eq!(chunk.text, text[spanned]);
        assert!(!chunk.chunk_id.is_empty());
    }
    assert_eq!(end, text.len() as u64);
    assert_eq!(full.chunks[0].heading, ["Leave"]);
}

#[tokio::test]
async fn who_may_not_read_a_document_learns_nothing_and_a_writer_its_versions() {
    let server = StoreServer::start().await;
    let mut client = server.ingest().await;
    server.put(proto::SubmitRequest { acl: acl(&["board"]), ..page("secret", "The merger.") }).await;
    server.put(page("open", "The canteen.")).await;

    let status = client.get_document(with_key(get("secret"), READER)).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::NotFound, "unknown_document"));
    let listed = client.list_documents(with_key(list(), READER)).await.unwrap().into_inner().documents;
    assert_eq!(listed.iter().map(|one| one.document_id.as_str()).collect::<Vec<_>>(), ["open"]);
    // A producer looks up what became of its documents without the right to read them.
    for document_id in ["secret", "open"] {
        let shown = client.get_document(with_key(get(document_id), WRITER)).await.unwrap().into_inner();
        assert_eq!(shown.versions[0].state(), proto::State::Visible);
        assert_eq!((shown.document, shown.chunks.len(), shown.text), (None, 0, None));
    }
    let status = client.get_document(with_key(get("none"), WRITER)).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::NotFound, "unknown_document"));
}

#[tokio::test]
async fn documents_are_listed_by_prefix_filter_state_and_page() {
    let server = StoreServer::start().await;
    let mut client = server.ingest().await;
    for (id, lang) in [("a/1", "en"), ("a/2", "de"), ("a/3", "en"), ("b/1", "en")] {
        let text = format!("Text of {id}.");
        server
            .put(proto::SubmitRequest { metadata: Some(metadata(&[("lang", lang)])), ..page(id, &text) })
            .await;
    }
    client.submit(with_key(unreadable("c/1"), OWNER)).await.unwrap();
    let mut ids = async |request: proto::ListDocumentsRequest| {
        let answer = client.list_documents(with_key(request, OWNER)).await.unwrap().into_inner();
        let ids: Vec<String> = answer.documents.iter().map(|one| one.document_id.clone()).collect();
        (ids, answer.next_cursor)
    };
    let english = proto::ListDocumentsRequest {
        prefix: Some("a/".to_owned()),
        filter: Some("lang = \"en\"".to_owned()),
        ..list()
    };
    assert_eq!(ids(english).await, (vec!["a/1".to_owned(), "a/3".to_owned()], String::new()));
    let visible = proto::ListDocumentsRequest { state: proto::State::Visible.into(), ..list() };
    assert_eq!(ids(visible).await.0.len(), 4);

    let first = proto::ListDocumentsRequest { limit: Some(3), state: proto::State::Visible.into(), ..list() };
    let (page_one, cursor) = ids(first.clone()).await;
    assert_eq!(page_one, ["a/1", "a/2", "a/3"]);
    let (page_two, cursor) = ids(proto::ListDocumentsRequest { cursor, ..first }).await;
    assert_eq!((page_two, cursor.as_str()), (vec!["b/1".to_owned()], ""));

    let bad = [
        (proto::ListDocumentsRequest { limit: Some(0), ..list() }, "limit"),
        (proto::ListDocumentsRequest { cursor: "?".to_owned(), ..list() }, "cursor"),
        (proto::ListDocumentsRequest { state: 99, ..list() }, "state"),
        (proto::ListDocumentsRequest { filter: Some("lang =".to_owned()), ..list() }, "filter"),
        (proto::ListDocumentsRequest { collection: "No".to_owned(), ..list() }, "collection"),
    ];
    let mut client = server.ingest().await;
    for (request, blamed) in bad {
        let status = client.list_documents(with_key(request, OWNER)).await.unwrap_err();
        assert_eq!((status.code(), field(&status).as_str()), (Code::InvalidArgument, blamed));
    }
}

#[tokio::test]
async fn documents_are_deleted_by_what_they_have_in_common() {
    let server = StoreServer::start().await;
    let mut client = server.ingest().await;
    for id in ["a/1", "a/2", "b/1"] {
        server.put(page(id, id)).await;
    }
    let mut delete = async |request: proto::DeleteDocumentsRequest| {
        let done = client.delete_documents(with_key(request, OWNER)).await.map(tonic::Response::into_inner);
        done.map(|done| (done.matched, done.deleted, done.dry_run))
    };
    let under = proto::DeleteDocumentsRequest { prefix: Some("a/".to_owned()), ..delete_all() };
    let counted = proto::DeleteDocumentsRequest { dry_run: true, ..under.clone() };
    assert_eq!(delete(counted).await.unwrap(), (2, 0, true));
    assert_eq!(delete(under.clone()).await.unwrap(), (2, 2, false));
    assert_eq!(delete(under).await.unwrap(), (0, 0, false), "what is deleted counts no more");
    let ids = Some(proto::DocumentIds { ids: vec!["b/1".to_owned(), "none".to_owned()] });
    assert_eq!(delete(proto::DeleteDocumentsRequest { ids, ..delete_all() }).await.unwrap(), (1, 1, false));

    let status = delete(delete_all()).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::InvalidArgument, "no_condition"));
    let none = proto::DeleteDocumentsRequest {
        ids: Some(proto::DocumentIds::default()),
        prefix: Some("b/".to_owned()),
        ..delete_all()
    };
    let status = delete(none).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::InvalidArgument, "invalid_ids"));
}

#[tokio::test]
async fn a_submission_waits_until_its_version_has_ended() {
    let server = StoreServer::start().await;
    let mut client = server.ingest().await;
    // Not asked to wait, it does not.
    for wait_visible_ms in [None, Some(0)] {
        let request = proto::SubmitRequest { wait_visible_ms, ..page("first", "Text.") };
        let receipt = client.submit(with_key(request, OWNER)).await.unwrap().into_inner();
        assert_eq!(receipt.state(), proto::State::Accepted);
    }
    // A duplicate waits for the version that is stored.
    let again = server.put(page("first", "Text.")).await;
    assert_eq!((again.intake(), again.state()), (proto::Intake::Duplicate, proto::State::Visible));
    let delete = proto::DeleteRequest {
        collection: HOME.to_owned(),
        document_id: "first".to_owned(),
        version: None,
        wait_visible_ms: Some(30_000),
    };
    let gone = client.delete(with_key(delete, OWNER)).await.unwrap().into_inner();
    assert_eq!((gone.version, gone.state()), (2, proto::State::Visible));

    let request = proto::SubmitRequest { wait_visible_ms: Some(30_000), ..unreadable("letter.pdf") };
    let status = client.submit(with_key(request, OWNER)).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::InvalidArgument, "document_died"));
    assert!(status.message().contains("letter.pdf"), "{status:?}");
    let stored = client.get_document(with_key(get("letter.pdf"), OWNER)).await.unwrap().into_inner();
    assert_eq!(stored.document.unwrap().state(), proto::State::Dead, "it stays stored");
    let died = stored.versions[0].reason_code.clone().unwrap();
    assert!(status.message().contains(&died), "{status:?}");

    // In a stream, one that waits would hold back those behind it.
    let waiting = proto::SubmitRequest { wait_visible_ms: Some(1), ..page("second", "Text.") };
    let stream = tokio_stream::iter([waiting, page("third", "Text.")]);
    let mut results = client.submit_stream(with_key(stream, OWNER)).await.unwrap().into_inner();
    let refused = results.message().await.unwrap().unwrap().outcome.unwrap();
    let proto::submit_result::Outcome::Error(error) = refused else { panic!("{refused:?}") };
    assert_eq!((error.code.as_str(), error.field.as_str()), ("wait_in_stream", "wait_visible_ms"));
    let stored = results.message().await.unwrap().unwrap().outcome.unwrap();
    assert!(matches!(stored, proto::submit_result::Outcome::Receipt(_)), "{stored:?}");
}

#[tokio::test]
async fn a_wait_that_is_too_short_ends_with_the_state_so_far() {
    let server = StoreServer::start().await;
    // Nothing works any more, so the version stays where it is.
    server.plant.stop.send_replace(true);
    let request = proto::SubmitRequest { wait_visible_ms: Some(u64::MAX), ..page("a", "Text.") };
    let mut request = with_key(request, OWNER);
    request.set_timeout(std::time::Duration::from_millis(400));
    let receipt = server.ingest().await.submit(request).await.unwrap().into_inner();
    let stopped = [proto::State::Accepted, proto::State::Chunked, proto::State::Embedded];
    assert!(stopped.contains(&receipt.state()), "{receipt:?}");
}

#[tokio::test]
async fn who_watches_sees_every_end_once_and_goes_on_behind_it() {
    use proto::DocumentEventKind::{Dead, Deleted, Visible};
    let server = StoreServer::start().await;
    let mut client = server.ingest().await;
    server.put(page("before", "Text.")).await;
    let watch = proto::WatchDocumentsRequest { collection: HOME.to_owned(), after: String::new() };
    let mut events = client.watch_documents(with_key(watch.clone(), OWNER)).await.unwrap().into_inner();

    server.put(page("a", "Text.")).await;
    let seen = events.message().await.unwrap().unwrap();
    assert_eq!((seen.kind(), seen.document_id.as_str(), seen.version), (Visible, "a", 1));
    let hidden = proto::SubmitRequest { acl: acl(&["board"]), ..page("secret", "The merger.") };
    server.put(hidden).await;
    let delete = proto::DeleteRequest {
        collection: HOME.to_owned(),
        document_id: "a".to_owned(),
        ..proto::DeleteRequest::default()
    };
    client.delete(with_key(delete, OWNER)).await.unwrap();
    let deleted = events.message().await.unwrap().unwrap();
    assert_eq!((deleted.kind(), deleted.document_id.as_str(), deleted.version), (Deleted, "a", 2));
    client.submit(with_key(unreadable("letter.pdf"), OWNER)).await.unwrap();
    let died = events.message().await.unwrap().unwrap();
    assert_eq!((died.kind(), died.document_id.as_str()), (Dead, "letter.pdf"));
    assert!(died.reason_code.is_some() && died.at_ms > 0, "{died:?}");
    drop(events);

    let behind = proto::WatchDocumentsRequest { after: deleted.cursor, ..watch.clone() };
    let mut again = client.watch_documents(with_key(behind, READER)).await.unwrap().into_inner();
    let first = again.message().await.unwrap().unwrap();
    assert_eq!((first.kind(), first.document_id.as_str(), first.version), (Dead, "letter.pdf", 1));

    let bad = proto::WatchDocumentsRequest { after: "nonsense".to_owned(), ..watch };
    let status = client.watch_documents(with_key(bad, READER)).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::InvalidArgument, "invalid_cursor"));
    let unknown = proto::WatchDocumentsRequest { collection: "none".to_owned(), after: String::new() };
    let status = client.watch_documents(with_key(unknown, READER)).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::NotFound, "unknown_collection"));
}
