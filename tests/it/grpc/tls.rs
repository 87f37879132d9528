//! TLS by configuration: both protocols, new certificates, and files that cannot be used.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use contexture::config::{ServerConfig, TlsFilesConfig};
use contexture::server::tls::check_tls_files;
use contexture::server::{ServeError, run_server};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

use super::support::*;

/// How long a new certificate may take to be served.
const RELOAD_MAX: Duration = Duration::from_secs(20);

fn files_in(folder: &Path) -> TlsFilesConfig {
    TlsFilesConfig { cert_file: folder.join("cert.pem"), key_file: folder.join("key.pem") }
}

/// Makes a certificate for this machine, writes it, and returns it as PEM.
fn write_certificate(files: &TlsFilesConfig) -> String {
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let made = rcgen::generate_simple_self_signed(names).unwrap();
    fs::write(&files.cert_file, made.cert.pem()).unwrap();
    fs::write(&files.key_file, made.signing_key.serialize_pem()).unwrap();
    made.cert.pem()
}

fn client_trusting(certificate: &str) -> reqwest::ClientBuilder {
    let certificate = reqwest::Certificate::from_pem(certificate.as_bytes()).unwrap();
    http_client().tls_certs_only([certificate])
}

async fn encrypted_server(files: &TlsFilesConfig) -> RunningServer {
    let services = services(&Arc::new(ScriptedServices::default()), Vec::new());
    let config = ServerConfig { tls: Some(files.clone()), ..served(limits()) };
    RunningServer::start_with(services, config).await
}

#[tokio::test]
async fn both_protocols_are_spoken_over_tls() {
    let folder = tempfile::tempdir().unwrap();
    let files = files_in(folder.path());
    let certificate = write_certificate(&files);
    let server = encrypted_server(&files).await;
    let url = format!("https://{}", server.address);
    let older = client_trusting(&certificate).http1_only().build().unwrap();
    let answer = older.get(format!("{url}/healthz")).send().await.unwrap();
    assert_eq!((answer.version(), answer.status().as_u16()), (reqwest::Version::HTTP_11, 200));

    // The version is chosen by ALPN; the call is gRPC's Check with an empty message.
    let newer = client_trusting(&certificate).build().unwrap();
    let call = newer
        .post(format!("{url}/grpc.health.v1.Health/Check"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(vec![0_u8; 5]);
    let answer = call.send().await.unwrap();
    assert_eq!((answer.version(), answer.status().as_u16()), (reqwest::Version::HTTP_2, 200));
    assert_eq!(answer.bytes().await.unwrap().as_ref(), [0, 0, 0, 0, 2, 8, 1], "SERVING");

    let stranger = client_trusting(&rcgen::generate_simple_self_signed(Vec::new()).unwrap().cert.pem());
    assert!(stranger.build().unwrap().get(format!("{url}/healthz")).send().await.is_err());
    let plain = http_client().tls_certs_only([]).build().unwrap();
    assert!(plain.get(format!("http://{}/healthz", server.address)).send().await.is_err());
}

#[tokio::test]
async fn a_new_certificate_is_served_without_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let files = files_in(folder.path());
    let first = write_certificate(&files);
    let server = encrypted_server(&files).await;
    let url = format!("https://{}/healthz", server.address);
    // A client of its own for every call: an open connection keeps its certificate.
    let serves = async |certificate: &str| {
        let client = client_trusting(certificate).build().unwrap();
        client.get(&url).send().await.is_ok()
    };
    assert!(serves(&first).await);
    let second = write_certificate(&files);
    let began = Instant::now();
    while !serves(&second).await {
        assert!(began.elapsed() < RELOAD_MAX, "the new certificate was never served");
    }
    assert!(!serves(&first).await);
}

#[tokio::test]
async fn files_that_cannot_be_used_are_refused_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let files = files_in(folder.path());
    let refused = async |expected: &str| {
        let refusal = check_tls_files(&files).unwrap_err();
        assert_eq!((refusal.code, refusal.field.as_str()), ("tls_unusable", expected));
        let services = services(&Arc::new(ScriptedServices::default()), Vec::new());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let config = ServerConfig { tls: Some(files.clone()), ..served(limits()) };
        let error = run_server(listener, services, config, std::future::pending()).await.unwrap_err();
        assert!(matches!(error, ServeError::Refused(same) if same == refusal));
    };
    refused("server.tls_cert_file").await;
    write_certificate(&files);
    assert!(check_tls_files(&files).is_ok());
    let other = tempfile::tempdir().unwrap();
    write_certificate(&files_in(other.path()));
    fs::copy(other.path().join("key.pem"), &files.key_file).unwrap();
    refused("server.tls_key_file").await;
    fs::write(&files.key_file, "no key").unwrap();
    refused("server.tls_key_file").await;
    fs::write(&files.cert_file, "no certificate").unwrap();
    refused("server.tls_cert_file").await;
}

#[tokio::test(start_paused = true)]
async fn a_handshake_that_never_comes_ends_and_holds_nobody_up() {
    let folder = tempfile::tempdir().unwrap();
    let files = files_in(folder.path());
    write_certificate(&files);
    let server = encrypted_server(&files).await;
    let mut silent = TcpStream::connect(server.address).await.unwrap();
    let began = Instant::now();
    let mut nothing = Vec::new();
    let _ = silent.read_to_end(&mut nothing).await;
    assert!((9..20).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
}
