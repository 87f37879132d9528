//! The page of metrics, as a scraper reads it.

use std::collections::BTreeMap;
use std::fs;

use contexture::server::grpc::proto::context_service_client::ContextServiceClient;
use contexture::server::grpc::proto::{AssembleRequest, SearchRequest};
use tokio::time::Instant;
use tonic::Code;

use super::serving::{ServeProcess, http};
use super::{CliSandbox, CommandOutput};

const FREE_PORT: (&str, &str) = ("CONTEXTURE__METRICS__LISTEN", "127.0.0.1:0");

/// The samples of a page, by name and labels; every family is described, and the page ends as told.
fn samples(page: &str) -> BTreeMap<String, f64> {
    assert!(page.ends_with("# EOF\n"), "{page}");
    let typed: Vec<&str> =
        page.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    let mut samples = BTreeMap::new();
    for line in page.lines().filter(|line| !line.starts_with('#')) {
        let (name, value) = line.rsplit_once(' ').unwrap();
        assert!(typed.iter().any(|family| name.starts_with(family)), "{line} has no type");
        assert!(samples.insert(name.to_owned(), value.parse().unwrap()).is_none(), "{line} comes twice");
    }
    samples
}

fn page(server: &ServeProcess) -> BTreeMap<String, f64> {
    let address = server.ready["metrics"].as_str().unwrap();
    let (code, head, body) = http(address, "GET /metrics HTTP/1.1\r\nhost: here\r\n\r\n");
    assert_eq!(code, 200, "{head}");
    assert!(head.contains("content-type: application/openmetrics-text; version=1.0.0"), "{head}");
    samples(&body)
}

/// Reads pages until one has it.
fn page_with(server: &ServeProcess, name: &str, value: f64) -> BTreeMap<String, f64> {
    let deadline = Instant::now() + std::time::Duration::from_mins(1);
    loop {
        let page = page(server);
        if page.get(name) == Some(&value) {
            return page;
        }
        assert!(Instant::now() < deadline, "{name} never became {value}: {page:#?}");
    }
}

#[tokio::test]
async fn metrics_tell_what_was_done_and_what_is_there() {
    let cli = CliSandbox::new();
    for number in 0..6 {
        cli.write(&format!("{number}.txt"), format!("Document {number} is about anchors."));
    }
    cli.write("bad.txt", [0_u8, 159, 146, 150]);
    cli.ingest(1);
    let server = ServeProcess::start(&cli, &[FREE_PORT, ("CONTEXTURE__AUDIT__INTERVAL_MS", "100")]);
    let mut client = ContextServiceClient::connect(server.url()).await.unwrap();
    let ask = AssembleRequest {
        collection: "c".to_owned(),
        question: "canary question".to_owned(),
        budget: Some(300),
        ..AssembleRequest::default()
    };
    let answer = client.assemble(ask.clone()).await.unwrap().into_inner();
    let unknown = AssembleRequest { collection: "canary-unknown".to_owned(), ..ask };
    assert_eq!(client.assemble(unknown).await.unwrap_err().code(), Code::NotFound);
    let search = SearchRequest { collection: "c".to_owned(), ..SearchRequest::default() };
    assert_eq!(client.search(search).await.unwrap_err().code(), Code::InvalidArgument);

    let page = page_with(&server, "contexture_audit_documents", 6.0);
    let is = |name: &str, value: f64| assert_eq!(page.get(name), Some(&value), "{name}: {page:#?}");
    is("contexture_ledger_up", 1.0);
    is("contexture_documents", 6.0);
    is("contexture_versions{state=\"visible\"}", 6.0);
    is("contexture_versions{state=\"dead\"}", 1.0);
    is("contexture_versions{state=\"in_flight\"}", 0.0);
    is("contexture_audit_wrong_documents{kind=\"missing\"}", 0.0);
    is("contexture_grpc_calls_total{method=\"Assemble\",code=\"OK\"}", 1.0);
    is("contexture_grpc_calls_total{method=\"Assemble\",code=\"NOT_FOUND\"}", 1.0);
    is("contexture_grpc_calls_total{method=\"Search\",code=\"INVALID_ARGUMENT\"}", 1.0);
    is("contexture_grpc_call_seconds_count{method=\"Assemble\"}", 2.0);
    is("contexture_context_tokens_total", f64::from(u32::try_from(answer.tokens).unwrap()));
    is("contexture_context_budget_tokens_total", 300.0);
    is("contexture_stage_messages_total{stage=\"index\",fate=\"visible\"}", 0.0);
    let whole = format!("{page:?}");
    assert!(!whole.contains("canary"), "no name or question of a caller: {whole}");
    drop(client);
    server.stop();
}

#[tokio::test]
async fn metrics_count_a_documents_way() {
    use contexture::server::grpc::proto::SubmitRequest;
    use contexture::server::grpc::proto::ingest_service_client::IngestServiceClient;
    let cli = CliSandbox::new();
    cli.write("first.txt", "The first document.");
    cli.ingest(0);
    let server = ServeProcess::start(&cli, &[FREE_PORT]);
    let mut client = IngestServiceClient::connect(server.url()).await.unwrap();
    for (id, body) in [("a", &b"Text of two."[..]), ("b", b"Text of two."), ("c", &[0, 159, 146, 150])] {
        let submit = SubmitRequest {
            collection: "c".to_owned(),
            document_id: id.to_owned(),
            body: body.to_vec().into(),
            ..SubmitRequest::default()
        };
        client.submit(submit).await.unwrap();
    }
    page_with(&server, "contexture_stage_messages_total{stage=\"index\",fate=\"visible\"}", 2.0);
    let page = page_with(&server, "contexture_stage_messages_total{stage=\"chunk\",fate=\"dead\"}", 1.0);
    let is = |name: &str, value: f64| assert_eq!(page.get(name), Some(&value), "{name}: {page:#?}");
    is("contexture_stage_messages_total{stage=\"chunk\",fate=\"handed_on\"}", 2.0);
    is("contexture_document_visible_seconds_count", 2.0);
    is("contexture_committed_chunks_total", 2.0);
    let texts: f64 =
        page.iter().filter(|(name, _)| name.starts_with("contexture_embedding_texts")).map(|(_, n)| n).sum();
    let cached = page["contexture_embedding_cached_chunks_total"];
    assert!((texts + cached - 2.0).abs() < f64::EPSILON, "{texts} embedded, {cached} cached");
    drop(client);
    server.stop();
}

#[test]
fn metrics_are_read_at_one_place_in_one_way() {
    let cli = CliSandbox::new();
    let server = ServeProcess::start(&cli, &[FREE_PORT]);
    let address = server.ready["metrics"].as_str().unwrap();
    for (request, code) in [
        ("GET / HTTP/1.1\r\nhost: here\r\n\r\n", 404),
        ("POST /metrics HTTP/1.1\r\nhost: here\r\ncontent-length: 0\r\n\r\n", 405),
        ("nonsense\r\n\r\n", 400),
    ] {
        assert_eq!(http(address, request).0, code, "{request}");
    }
    let long = format!("GET /metrics HTTP/1.1\r\nx: {}\r\n\r\n", "x".repeat(40_000));
    assert_eq!(http(address, &long).0, 431);
    server.stop();

    let server = ServeProcess::start(&cli, &[]);
    assert!(server.ready.get("metrics").is_none(), "off unless wanted");
    server.stop();
}

#[test]
fn metrics_beyond_loopback_take_a_key_with_their_scope() {
    let cli = CliSandbox::new();
    let mut open = cli.command(&["serve", "--json"]);
    let refused = CommandOutput::from(open.env("CONTEXTURE__METRICS__LISTEN", "0.0.0.0:0").output().unwrap());
    assert_eq!((refused.code, refused.error()["field"].as_str()), (2, Some("metrics.listen")));
    let key = |name: &str, scope: &str, secret: &str| {
        let hash = blake3::hash(secret.as_bytes()).to_hex();
        format!(
            "[[auth.keys]]\nname = \"{name}\"\ntenant = \"t\"\nscopes = [\"{scope}\"]\nhash = \"{hash}\"\n"
        )
    };
    let config = [
        key("scraper", "metrics", "a-key-of-the-scraper"),
        key("user", "read", "a-key-of-some-reader"),
        "[metrics]\nlisten = \"127.0.0.1:0\"\n".to_owned(),
    ];
    fs::write(cli.path("keys.toml"), config.concat()).unwrap();
    let server = ServeProcess::start_with(&cli, &["--config", "keys.toml"], &[]);
    let address = server.ready["metrics"].as_str().unwrap();
    let get = |key: &str| {
        http(address, &format!("GET /metrics HTTP/1.1\r\nhost: here\r\nauthorization: Bearer {key}\r\n\r\n"))
    };
    assert_eq!(get("a-key-of-the-scraper").0, 200);
    assert_eq!(get("a-key-of-some-reader").0, 403);
    assert_eq!(get("a-key-of-nobody-here").0, 401);
    assert_eq!(http(address, "GET /metrics HTTP/1.1\r\nhost: here\r\n\r\n").0, 401);
    server.stop();
}
