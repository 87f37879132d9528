//! TLS by rustls with ring: HTTP/2 and HTTP/1.1 by ALPN, and a certificate that is read again when its files change.
//!
//! The files are looked at every [`LOOK_INTERVAL`]. A new pair that cannot be used is logged and leaves the old one
//! in place, so that half-written files end no service. Connections that are open keep their certificate.

use std::convert::Infallible;
use std::fmt;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio_rustls::TlsAcceptor;

use crate::config::TlsFilesConfig;
use contexture_core::fault::Refusal;

/// Time between two looks at the files.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// Largest file, in bytes.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Checks that the files hold a chain and its key.
pub fn check_tls_files(files: &TlsFilesConfig) -> Result<(), Refusal> {
    read_pair(files).map(|_| ())
}

/// The certificate in use, and how to accept connections with it.
pub(super) struct ReloadedTls {
    files: TlsFilesConfig,
    /// Of the files as they were before the first pair was read.
    opened: FileStamps,
    current: Arc<CurrentCertificate>,
    acceptor: TlsAcceptor,
}

/// Gives every handshake the certificate in use.
struct CurrentCertificate(RwLock<Arc<CertifiedKey>>);

/// When the files were written, and their sizes.
type FileStamps = [Option<(SystemTime, u64)>; 2];

impl fmt::Debug for CurrentCertificate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("CurrentCertificate").finish_non_exhaustive()
    }
}

impl ResolvesServerCert for CurrentCertificate {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        // A poisoned lock still has a whole pair: it is only ever replaced.
        Some(Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

impl ReloadedTls {
    /// Reads the files.
    pub(super) fn open(files: TlsFilesConfig) -> Result<Self, Refusal> {
        // Before the pair is read: what is written meanwhile differs at the first look.
        let opened = stamps(&files);
        let current = Arc::new(CurrentCertificate(RwLock::new(Arc::new(read_pair(&files)?))));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| refuse("server.tls_cert_file", &error.to_string()))?
            .with_no_client_auth()
            .with_cert_resolver(current.clone());
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self { files, opened, current, acceptor: TlsAcceptor::from(Arc::new(config)) })
    }

    /// Returns what accepts connections; it uses each new certificate, too.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        self.acceptor.clone()
    }

    /// Looks at the files for ever.
    pub(super) async fn follow_files(&self) -> Infallible {
        let mut looks = tokio::time::interval(LOOK_INTERVAL);
        let mut seen = self.opened;
        loop {
            looks.tick().await;
            // Taken before the files are read: what is written meanwhile differs at the next look.
            let files = self.files.clone();
            // A look that panicked saw nothing new.
            let now = tokio::task::spawn_blocking(move || stamps(&files)).await.unwrap_or(seen);
            if now == seen {
                continue;
            }
            seen = now;
            self.reload().await;
        }
    }

    async fn reload(&self) {
        let files = self.files.clone();
        let read = tokio::task::spawn_blocking(move || read_pair(&files)).await;
        match read {
            Ok(Ok(pair)) => {
                *self.current.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(pair);
                tracing::info!("serving a new certificate");
            }
            Ok(Err(refusal)) => {
                tracing::error!(
                    why = refusal.message,
                    "the new certificate cannot be used; the old one stays"
                );
            }
            Err(error) => tracing::error!(%error, "the new certificate cannot be read; the old one stays"),
        }
    }
}

fn stamps(files: &TlsFilesConfig) -> FileStamps {
    let stamp = |path: &Path| {
        let metadata = std::fs::metadata(path).ok()?;
        Some((metadata.modified().ok()?, metadata.len()))
    };
    [stamp(&files.cert_file), stamp(&files.key_file)]
}

fn read_pair(files: &TlsFilesConfig) -> Result<CertifiedKey, Refusal> {
    let unreadable =
        |key, path: &Path, why: &dyn fmt::Display| refuse(key, &format!("{}: {why}", path.display()));
    let cert_refused = |why: &dyn fmt::Display| unreadable("server.tls_cert_file", &files.cert_file, why);
    let key_refused = |why: &dyn fmt::Display| unreadable("server.tls_key_file", &files.key_file, why);
    let text = read_bounded(&files.cert_file).map_err(|error| cert_refused(&error))?;
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&text)
        .collect::<Result<_, _>>()
        .map_err(|error| cert_refused(&error))?;
    if chain.is_empty() {
        return Err(cert_refused(&"holds no certificate in PEM"));
    }
    let text = read_bounded(&files.key_file).map_err(|error| key_refused(&error))?;
    // The parser's message could quote the key.
    let key =
        PrivateKeyDer::from_pem_slice(&text).map_err(|_| key_refused(&"holds no private key in PEM"))?;
    CertifiedKey::from_der(chain, key, &rustls::crypto::ring::default_provider())
        .map_err(|error| key_refused(&format!("does not go with the certificate: {error}")))
}

fn read_bounded(path: &Path) -> std::io::Result<Vec<u8>> {
    if std::fs::metadata(path)?.len() > FILE_BYTES_MAX {
        return Err(std::io::Error::other(format!("has more than {FILE_BYTES_MAX} bytes")));
    }
    std::fs::read(path)
}

fn refuse(key: &'static str, why: &str) -> Refusal {
    Refusal::invalid("tls_unusable", key, format!("{key}: {why}"))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed step fails its test")]

    use super::*;

    fn write_pair(files: &TlsFilesConfig) {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        std::fs::write(&files.cert_file, made.cert.pem()).unwrap();
        std::fs::write(&files.key_file, made.signing_key.serialize_pem()).unwrap();
    }

    #[tokio::test]
    async fn a_broken_pair_leaves_the_old_one_in_place() {
        let folder = tempfile::tempdir().unwrap();
        let files = TlsFilesConfig {
            cert_file: folder.path().join("cert.pem"),
            key_file: folder.path().join("key.pem"),
        };
        write_pair(&files);
        let tls = ReloadedTls::open(files.clone()).unwrap();
        let served = || tls.current.0.read().unwrap().clone();
        let first = served();
        std::fs::write(&files.key_file, "no key").unwrap();
        tls.reload().await;
        assert!(Arc::ptr_eq(&first, &served()));
        write_pair(&files);
        tls.reload().await;
        assert!(!Arc::ptr_eq(&first, &served()) && first.cert != served().cert);
    }
}
