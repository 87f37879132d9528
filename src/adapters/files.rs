//! Bodies in files under configured roots, named by `file://` URLs.
//!
//! What is read is a regular file whose real path, links resolved, is below a root, checked on
//! the file that is open: exchanging a folder for a link in between is found. `..`, relative
//! paths, hosts, queries and anything but plain files are refused, and so is one with more bytes
//! than allowed, before they are in memory. Missing and forbidden files are answered alike.
//! A file that takes longer than [`READ_MAX`] is given up.

use std::fs::File;
use std::io::Read;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;

use crate::domain::producer::Rejection;
use crate::ports::producers::References;

/// Longest time to read one file.
pub const READ_MAX: Duration = Duration::from_secs(30);

/// Files below some roots.
pub struct FileReferences {
    roots: Vec<PathBuf>,
}

impl FileReferences {
    /// Resolves the roots, which must be there.
    pub fn new(roots: &[PathBuf]) -> std::io::Result<Self> {
        let roots: std::io::Result<Vec<PathBuf>> = roots.iter().map(std::fs::canonicalize).collect();
        Ok(Self { roots: roots? })
    }
}

#[async_trait]
impl References for FileReferences {
    async fn fetch(&self, url: &str, bytes_max: usize) -> Result<Vec<u8>, Rejection> {
        let path = path_of(url)?;
        let roots = self.roots.clone();
        let reading = tokio::task::spawn_blocking(move || read(&roots, &path, bytes_max));
        match tokio::time::timeout(READ_MAX, reading).await {
            Ok(Ok(read)) => read,
            Ok(Err(_)) => Err(unreadable("reading it failed")),
            Err(_) => Err(unreadable("reading it took too long")),
        }
    }
}

/// The absolute path of a `file://` URL, percent-decoded.
fn path_of(url: &str) -> Result<PathBuf, Rejection> {
    let refuse = |message: &str| Rejection::of_field("invalid_body_ref", "body_ref", message);
    let rest = url.strip_prefix("file://").ok_or_else(|| refuse("body_ref must be a file:// URL"))?;
    let rest = rest.strip_prefix("localhost").unwrap_or(rest);
    if !rest.starts_with('/') || rest.contains(['?', '#']) {
        return Err(refuse("body_ref must be file:///absolute/path without host, query and fragment"));
    }
    let decoded = percent_decoded(rest).ok_or_else(|| refuse("body_ref holds a bad percent escape"))?;
    if decoded.contains('\0') {
        return Err(refuse("body_ref holds a NUL"));
    }
    let path = PathBuf::from(decoded);
    if path.components().any(|component| matches!(component, Component::ParentDir)) {
        return Err(refuse("body_ref holds a '..' path segment"));
    }
    Ok(path)
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
            let (high, low) = (digit(rest.next()?)?, digit(rest.next()?)?);
            bytes.push(high << 4 | low);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

fn read(roots: &[PathBuf], path: &Path, bytes_max: usize) -> Result<Vec<u8>, Rejection> {
    let real = std::fs::canonicalize(path).map_err(|_| not_found())?;
    if !roots.iter().any(|root| real.starts_with(root)) || !is_plain(&real) {
        return Err(not_found());
    }
    let file = File::open(&real).map_err(|_| not_found())?;
    if !is_still(&file, &real) {
        return Err(not_found());
    }
    let limit = bytes_max as u64;
    let mut body = Vec::new();
    file.take(limit.saturating_add(1)).read_to_end(&mut body).map_err(|_| unreadable("reading it failed"))?;
    if body.len() > bytes_max {
        let message = format!("the file has more than {bytes_max} bytes (limits.body_bytes_max)");
        return Err(Rejection::of_field("body_too_large", "body_ref", message));
    }
    Ok(body)
}

fn is_plain(real: &Path) -> bool {
    std::fs::symlink_metadata(real).is_ok_and(|metadata| metadata.is_file())
}

/// Whether the open file is the plain one that stands at its real path, now that it is open.
#[cfg(unix)]
fn is_still(file: &File, real: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let same = |opened: std::fs::Metadata, standing: std::fs::Metadata| {
        standing.is_file() && (opened.dev(), opened.ino()) == (standing.dev(), standing.ino())
    };
    let standing = std::fs::symlink_metadata(real);
    let unmoved = std::fs::canonicalize(real).is_ok_and(|again| again == real);
    unmoved && file.metadata().and_then(|opened| Ok(same(opened, standing?))).unwrap_or(false)
}

#[cfg(not(unix))]
fn is_still(_: &File, real: &Path) -> bool {
    std::fs::canonicalize(real).is_ok_and(|again| again == real) && is_plain(real)
}

fn not_found() -> Rejection {
    let message = "body_ref names no readable file under broker.body_roots";
    Rejection::of_field("body_ref_not_found", "body_ref", message)
}

fn unreadable(why: &str) -> Rejection {
    Rejection::of_field("body_ref_unreadable", "body_ref", format!("the file was not read: {why}"))
}
