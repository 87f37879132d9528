//! Who may call, and what a key never does.

use std::io::Write;
use std::sync::{Arc, Mutex};

use contexture::domain::principal::AccessScope;
use contexture::server::grpc::proto;
use contexture::server::{ServeError, run_server};
use contexture::telemetry::{self, LogFormat};
use tokio::net::TcpListener;
use tonic::{Code, Request};

use super::support::*;

const READER: &str = "canary-reader-41c9d2";
const WRITER: &str = "canary-writer-77ab03";

fn with_header<T>(message: T, header: &'static str, value: &str) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert(header, value.parse().unwrap());
    request
}

fn bearer<T>(message: T, key: &str) -> Request<T> {
    with_header(message, "authorization", &format!("Bearer {key}"))
}

async fn guarded(scripted: &Arc<ScriptedServices>) -> RunningServer {
    let keys =
        vec![key("reader", READER, &[AccessScope::Read]), key("writer", WRITER, &[AccessScope::Write])];
    RunningServer::start(scripted, limits(), keys).await
}

#[tokio::test]
async fn only_a_right_key_gets_in() {
    let scripted = Arc::new(ScriptedServices::default());
    let server = guarded(&scripted).await;
    let mut client = server.context().await;
    let refused = [
        Request::new(question()),
        bearer(question(), "wrong-key-wrong-key"),
        bearer(question(), ""),
        bearer(question(), &READER[..READER.len() - 1]),
        bearer(question(), &"k".repeat(5000)),
        with_header(question(), "authorization", &format!("Basic {READER}")),
        with_header(question(), "x-api-key", "wrong-key-wrong-key"),
    ];
    for request in refused {
        let status = client.assemble(request).await.unwrap_err();
        assert_eq!((status.code(), reason(&status).as_str()), (Code::Unauthenticated, "unauthenticated"));
    }
    assert_eq!(*scripted.entered.borrow(), 0);

    client.assemble(bearer(question(), READER)).await.unwrap();
    client.assemble(with_header(question(), "authorization", &format!("bearer {READER}"))).await.unwrap();
    client.assemble(with_header(question(), "x-api-key", READER)).await.unwrap();
    let queries = scripted.queries.lock().unwrap();
    assert_eq!(queries.len(), 3);
    assert_eq!(queries[0].collection.tenant.as_str(), "acme");
    assert!(queries[0].principal.groups().contains("engineering"));
}

#[tokio::test]
async fn a_scope_that_is_missing_is_named() {
    let scripted = Arc::new(ScriptedServices::default());
    let server = guarded(&scripted).await;
    let (mut ingest, mut context) = (server.ingest().await, server.context().await);
    let deletion = proto::DeleteRequest {
        collection: "docs".to_owned(),
        document_id: "a".to_owned(),
        ..proto::DeleteRequest::default()
    };
    let refused = [
        (ingest.submit(bearer(submission("a", 1), READER)).await.unwrap_err(), "write"),
        (ingest.delete(bearer(deletion, READER)).await.unwrap_err(), "write"),
        (ingest.submit_stream(bearer(tokio_stream::empty(), READER)).await.unwrap_err(), "write"),
        (context.assemble(bearer(question(), WRITER)).await.unwrap_err(), "read"),
    ];
    for (status, scope) in refused {
        assert_eq!((status.code(), reason(&status).as_str()), (Code::PermissionDenied, "missing_scope"));
        assert_eq!(status.message(), format!("this credential lacks the scope '{scope}'"));
    }
    assert!(ingest.submit(bearer(submission("a", 1), WRITER)).await.is_ok());
    // Whether a document is there is for readers and writers to know.
    let unknown = proto::GetDocumentRequest {
        collection: "docs".to_owned(),
        document_id: "a".to_owned(),
        ..proto::GetDocumentRequest::default()
    };
    for key in [READER, WRITER] {
        let status = ingest.get_document(bearer(unknown.clone(), key)).await.unwrap_err();
        assert_eq!(status.code(), Code::NotFound);
    }
}

#[tokio::test]
async fn without_credentials_only_loopback_is_served() {
    let services = services(&Arc::new(ScriptedServices::default()), Vec::new());
    let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
    let refused = run_server(listener, services, served(limits()), std::future::pending()).await.unwrap_err();
    assert!(matches!(&refused, ServeError::Refused(refusal) if refusal.code == "no_credentials"));
    assert!(refused.to_string().contains("not loopback"), "{refused}");
}

/// A writer that tests can read.
#[derive(Clone, Default)]
struct CapturedAuthLog(Arc<Mutex<Vec<u8>>>);

impl Write for CapturedAuthLog {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test(flavor = "current_thread")]
async fn no_key_is_ever_logged() {
    let captured = CapturedAuthLog::default();
    let writer = captured.clone();
    let subscriber = telemetry::log_subscriber("trace", LogFormat::Json, move || writer.clone()).unwrap();
    let _guard = tracing::subscriber::set_default(subscriber);
    let server = guarded(&Arc::new(ScriptedServices::default())).await;
    let mut client = server.context().await;
    client.assemble(bearer(question(), READER)).await.unwrap();
    client.assemble(bearer(question(), "canary-wrong-key")).await.unwrap_err();
    server.shutdown.send(()).unwrap();
    drop(client);
    server.done.await.unwrap().unwrap();

    let logs = String::from_utf8(captured.0.lock().unwrap().clone()).unwrap();
    assert!(logs.contains("serving") && logs.contains("draining"), "{logs}");
    assert!(!logs.contains("canary"), "{logs}");
}
