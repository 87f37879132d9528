//! How callers reach the server: TLS, origins of web pages, and its public address.

use std::path::PathBuf;

use figment::value::magic::RelativePathBuf;
use serde::Serialize;

use super::raw::RawServer;
use super::refuse_key;
use contexture_core::fault::Refusal;

/// Most origins in one list.
const ORIGINS_MAX: usize = 64;

/// A certificate chain and its private key, both as PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFilesConfig {
    /// The chain, the server's own certificate first.
    pub cert_file: PathBuf,
    /// The private key.
    pub key_file: PathBuf,
}

/// Shows a path as the others are shown, and one that is not given as it was written: empty.
pub(super) fn serialize_named_path<S: serde::Serializer>(
    path: &RelativePathBuf,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let is_given = !path.original().as_os_str().is_empty();
    let shown = if is_given { path.relative() } else { PathBuf::new() };
    shown.serialize(serializer)
}

/// The files of TLS; none if neither is named.
pub(super) fn tls_files(server: &RawServer) -> Result<Option<TlsFilesConfig>, Refusal> {
    let read = |key: &str, file: &RelativePathBuf| {
        if file.original().as_os_str().is_empty() {
            return Ok(None);
        }
        let path = std::path::absolute(file.relative());
        path.map(Some).map_err(|error| refuse_key(key, &format!("has no usable path: {error}")))
    };
    let cert_file = read("server.tls_cert_file", &server.tls_cert_file)?;
    let key_file = read("server.tls_key_file", &server.tls_key_file)?;
    match (cert_file, key_file) {
        (Some(cert_file), Some(key_file)) => Ok(Some(TlsFilesConfig { cert_file, key_file })),
        (None, None) => Ok(None),
        (Some(_), None) => Err(refuse_key("server.tls_key_file", "is needed beside server.tls_cert_file")),
        (None, Some(_)) => Err(refuse_key("server.tls_cert_file", "is needed beside server.tls_key_file")),
    }
}

/// Origins that may call over HTTP.
pub(super) fn cors_origins(server: &RawServer) -> Result<Vec<String>, Refusal> {
    if server.cors_origins.iter().any(|origin| origin == "*") {
        if server.cors_origins.len() > 1 {
            return Err(refuse_key(
                "server.cors_origins",
                "names \"*\", which is every origin, beside others",
            ));
        }
        return Ok(server.cors_origins.clone());
    }
    exact_origins("server.cors_origins", &server.cors_origins)
}

/// Origins that may speak MCP.
pub(super) fn mcp_origins(server: &RawServer) -> Result<Vec<String>, Refusal> {
    exact_origins("server.mcp_origins", &server.mcp_origins)
}

/// The public address; none if the key is empty.
pub(super) fn public_url(server: &RawServer) -> Result<Option<String>, Refusal> {
    let url = server.public_url.trim_end_matches('/');
    if url.is_empty() {
        return Ok(None);
    }
    if !is_origin(url) {
        let why = "must be http:// or https://, a host and perhaps a port, such as https://context.example";
        return Err(refuse_key("server.public_url", why));
    }
    Ok(Some(url.to_owned()))
}

fn exact_origins(key: &str, origins: &[String]) -> Result<Vec<String>, Refusal> {
    if origins.len() > ORIGINS_MAX {
        return Err(refuse_key(
            key,
            &format!("has {} entries; at most {ORIGINS_MAX} are kept", origins.len()),
        ));
    }
    if let Some(index) = origins.iter().position(|origin| !is_origin(origin)) {
        let why = "must be http:// or https://, a host in lower case and perhaps a port, with nothing behind";
        return Err(refuse_key(&format!("{key}[{index}]"), why));
    }
    Ok(origins.to_vec())
}

/// Whether a text is an origin as browsers send it. Source: RFC 6454, section 6.2.
fn is_origin(text: &str) -> bool {
    let Some(place) = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")) else {
        return false;
    };
    let sound = |byte: u8| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'-' | b':' | b'[' | b']')
    };
    !place.is_empty() && !place.starts_with(':') && place.bytes().all(sound)
}
