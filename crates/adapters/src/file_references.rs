//! Bodies in files under configured roots, named by `file://` URLs.
//!
//! * A file is read only if it is a regular file whose real path, links resolved, is below a root. This
//!   is checked on the open file, so a folder that is swapped for a link in between is detected.
//! * `..`, relative paths, hosts, queries and anything but regular files are refused.
//! * A file with more bytes than allowed is refused before it is in memory.
//! * Missing and forbidden files get the same answer.
//! * A read that takes longer than [`FILE_READ_TIMEOUT`] is given up.

use std::fs::File;
use std::io::Read;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;

use contexture_core::domain::submit_message::MessageRejection;
use contexture_core::ports::producers::BodyReferenceFetcher;

/// Longest time for reading one file.
pub const FILE_READ_TIMEOUT: Duration = Duration::from_secs(30);

/// Reads files below some roots.
pub struct FileReferences {
    roots: Vec<PathBuf>,
}

impl FileReferences {
    /// Resolves the roots, which must exist.
    pub fn new(roots: &[PathBuf]) -> std::io::Result<Self> {
        let roots: std::io::Result<Vec<PathBuf>> = roots.iter().map(std::fs::canonicalize).collect();
        Ok(Self { roots: roots? })
    }
}

#[async_trait]
impl BodyReferenceFetcher for FileReferences {
    async fn fetch(&self, url: &str, bytes_max: usize) -> Result<Vec<u8>, MessageRejection> {
        let path = parse_file_url(url)?;
        let roots = self.roots.clone();
        // A timeout leaves the thread behind: it may hang in the file system. The caller gets its
        // answer.
        let reading = tokio::task::spawn_blocking(move || read_file_below_roots(&roots, &path, bytes_max));
        match tokio::time::timeout(FILE_READ_TIMEOUT, reading).await {
            Ok(Ok(read)) => read,
            Ok(Err(_)) => Err(file_unreadable("reading it failed")),
            Err(_) => Err(file_unreadable("reading it took too long")),
        }
    }
}

/// Parses the absolute path of a `file://` URL, percent-decoded.
fn parse_file_url(url: &str) -> Result<PathBuf, MessageRejection> {
    let refuse = |message: &str| MessageRejection::for_field("invalid_body_ref", "body_ref", message);
    let rest = url.strip_prefix("file://").ok_or_else(|| refuse("body_ref must be a file:// URL"))?;
    let rest = rest.strip_prefix("localhost").unwrap_or(rest);
    if !rest.starts_with('/') || rest.contains(['?', '#']) {
        return Err(refuse("body_ref must be file:///absolute/path without host, query and fragment"));
    }
    let decoded = percent_decode(rest).ok_or_else(|| refuse("body_ref holds a bad percent escape"))?;
    if decoded.contains('\0') {
        return Err(refuse("body_ref holds a NUL"));
    }
    let path = PathBuf::from(decoded);
    // After decoding, so that `%2e%2e` is found as well.
    if path.components().any(|component| matches!(component, Component::ParentDir)) {
        return Err(refuse("body_ref holds a '..' path segment"));
    }
    Ok(path)
}

fn percent_decode(text: &str) -> Option<String> {
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

fn read_file_below_roots(
    roots: &[PathBuf],
    path: &Path,
    bytes_max: usize,
) -> Result<Vec<u8>, MessageRejection> {
    // One answer for all refusals below, so that nobody learns which files exist outside the roots.
    let real = std::fs::canonicalize(path).map_err(|_| file_not_found())?;
    if !roots.iter().any(|root| real.starts_with(root)) || !is_regular_file(&real) {
        return Err(file_not_found());
    }
    let file = File::open(&real).map_err(|_| file_not_found())?;
    if !is_unmoved_file(&file, &real) {
        return Err(file_not_found());
    }
    let limit = bytes_max as u64;
    let mut body = Vec::new();
    // One byte more than allowed tells a longer file from one that just fits.
    file.take(limit.saturating_add(1))
        .read_to_end(&mut body)
        .map_err(|_| file_unreadable("reading it failed"))?;
    if body.len() > bytes_max {
        let message = format!("the file has more than {bytes_max} bytes (limits.body_bytes_max)");
        return Err(MessageRejection::for_field("body_too_large", "body_ref", message));
    }
    Ok(body)
}

fn is_regular_file(real: &Path) -> bool {
    std::fs::symlink_metadata(real).is_ok_and(|metadata| metadata.is_file())
}

/// Whether the open file is the regular file that is at its real path now.
#[cfg(unix)]
fn is_unmoved_file(file: &File, real: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let same = |opened: std::fs::Metadata, at_path: std::fs::Metadata| {
        at_path.is_file() && (opened.dev(), opened.ino()) == (at_path.dev(), at_path.ino())
    };
    let at_path = std::fs::symlink_metadata(real);
    // Resolved again after the open: a link that was put in between leads elsewhere.
    let unmoved = std::fs::canonicalize(real).is_ok_and(|again| again == real);
    unmoved && file.metadata().and_then(|opened| Ok(same(opened, at_path?))).unwrap_or(false)
}

#[cfg(not(unix))]
fn is_unmoved_file(_: &File, real: &Path) -> bool {
    std::fs::canonicalize(real).is_ok_and(|again| again == real) && is_regular_file(real)
}

fn file_not_found() -> MessageRejection {
    let message = "body_ref names no readable file under broker.body_roots";
    MessageRejection::for_field("body_ref_not_found", "body_ref", message)
}

fn file_unreadable(why: &str) -> MessageRejection {
    MessageRejection::for_field("body_ref_unreadable", "body_ref", format!("the file was not read: {why}"))
}
