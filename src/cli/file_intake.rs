//! The files of one run of `ingest`: read in batches, checked, and reported to their source.
//!
//! One batch of files is in memory at a time. Work in this process, on a server and the dry run use the same
//! reading and checking.

use std::io::Read;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::batch_submitter::BATCH_BYTES_MAX;
use super::exit::CommandFailure;
use super::scan::{DocumentScan, FoundFile, SkipReason};
use super::sidecar::CommonDescription;
use super::source_sync::SourceSync;
use crate::wiring::document_conversion::ReadableFiles;
use contexture_core::domain::document::Submission;
use contexture_core::domain::ids::CollectionId;
use contexture_core::domain::principal::Principal;
use contexture_core::fault::Refusal;
use contexture_core::ingest::chunk::unread_type;
use contexture_core::ports::extractor::DocumentKind;

/// Maximum files read in one batch.
const FILES_READ_MAX: usize = 64;
/// The path that stands for standard input.
pub(super) const STANDARD_INPUT: &str = "-";

/// A file and its body, or the error of reading it.
type FileWithBody = (FoundFile, std::io::Result<Bytes>);

/// The files of one run.
pub(super) struct FileIntake {
    caller: Principal,
    collection: CollectionId,
    body_bytes_max: usize,
    common: CommonDescription,
    readable: ReadableFiles,
    pub(super) scan: DocumentScan,
    /// None where files are of no folder, or nothing is written.
    pub(super) sync: Option<SourceSync>,
    /// Documents that are deleted because their file is empty now.
    pub(super) emptied: u64,
    /// Notes on files that cannot be read any more, and whose document is still answered.
    pub(super) still_answered: Vec<String>,
}

impl FileIntake {
    pub(super) fn new(
        caller: Principal,
        collection: CollectionId,
        body_bytes_max: usize,
        common: CommonDescription,
        readable: ReadableFiles,
        scan: DocumentScan,
    ) -> Self {
        Self {
            caller,
            collection,
            body_bytes_max,
            common,
            readable,
            scan,
            sync: None,
            emptied: 0,
            still_answered: Vec::new(),
        }
    }

    /// Reads the next files, and returns what is to be submitted.
    pub(super) async fn next_batch(
        &mut self,
        files: &mut std::vec::IntoIter<FoundFile>,
    ) -> Result<Vec<(PathBuf, Submission)>, CommandFailure> {
        let batch = read_file_batch(files, self.body_bytes_max).await?;
        if let Some(sync) = &mut self.sync {
            // An empty file is no document: what it was is gone.
            let found = batch.iter().filter(|(_, body)| !body.as_ref().is_ok_and(Bytes::is_empty));
            sync.report_found(found.map(|(file, _)| file)).await?;
        }
        let mut submissions = Vec::with_capacity(batch.len());
        for (file, body) in batch {
            let path = file.path.clone();
            if let Some(submission) = self.check(&file, body) {
                submissions.push((path, submission));
            }
        }
        Ok(submissions)
    }

    /// The submission of a file. None if the file is skipped or refused, which is recorded.
    fn check(&mut self, file: &FoundFile, body: std::io::Result<Bytes>) -> Option<Submission> {
        let body = match body {
            Ok(body) if body.is_empty() => return self.check_empty(file),
            Ok(body) => body,
            Err(error) => {
                self.refuse(file, &error.to_string());
                return None;
            }
        };
        if let Some(media_type) = unread_type(&body).filter(|sniffed| !self.is_readable(file, &body, sniffed))
        {
            if file.is_named {
                self.refuse(file, &format!("is {media_type}, which is not read"));
            } else if !self.note_if_answered(file, &format!("is {media_type} now, which is not read")) {
                self.scan.skips.add(SkipReason::UnreadType, &file.path);
            }
            return None;
        }
        match self.submission(file, body) {
            Ok(submission) => Some(submission),
            Err(refusal) => {
                self.refuse(file, &refusal.message);
                None
            }
        }
    }

    /// Whether a file that is no text is read here or by a converter.
    fn is_readable(&self, file: &FoundFile, body: &[u8], sniffed: &str) -> bool {
        let described = self.common.describe(&file.path).ok();
        let declared = described.as_ref().and_then(|description| description.media_type.as_deref());
        let document = DocumentKind { sniffed: Some(sniffed), declared, name: file.id.as_str() };
        self.readable.takes(body, &document)
    }

    fn submission(&self, file: &FoundFile, body: Bytes) -> Result<Submission, Refusal> {
        let description = self.common.describe(&file.path)?;
        let (collection, id) = (self.collection.clone(), file.id.clone());
        Submission::new(&self.caller, collection, id, None, description, body, self.body_bytes_max)
    }

    /// An empty file is skipped, as `__init__.py` is normal in a folder. What it was before is deleted.
    fn check_empty(&mut self, file: &FoundFile) -> Option<Submission> {
        let known = self.sync.as_ref().and_then(|sync| sync.known_document(file.id.as_str()));
        if known.is_none() {
            self.scan.skips.add(SkipReason::Empty, &file.path);
            return None;
        }
        match Submission::deletion(&self.caller, self.collection.clone(), file.id.clone(), None) {
            Ok(deletion) => {
                self.emptied += 1;
                Some(deletion)
            }
            Err(refusal) => {
                self.refuse(file, &refusal.message);
                None
            }
        }
    }

    fn refuse(&mut self, file: &FoundFile, why: &str) {
        self.note_if_answered(file, why);
        self.scan.refused.push((file.path.clone(), why.to_owned()));
    }

    /// Notes that queries still return an earlier version of this file, if they do.
    fn note_if_answered(&mut self, file: &FoundFile, why: &str) -> bool {
        let known = self.sync.as_ref().and_then(|sync| sync.known_document(file.id.as_str()));
        let Some(version) = known.and_then(|known| known.version) else { return false };
        let path = file.path.display();
        self.still_answered.push(format!("{path} {why}; version {version} of it is still answered"));
        true
    }
}

/// Reads the next batch of files.
async fn read_file_batch(
    files: &mut std::vec::IntoIter<FoundFile>,
    bytes_max: usize,
) -> Result<Vec<FileWithBody>, CommandFailure> {
    // One blocking task per batch: switching threads for each file costs more than reading a small file.
    // The iterator moves into the task and comes back, because the task must be 'static.
    let mut waiting = std::mem::take(files);
    let read = move || {
        let mut some = Vec::with_capacity(FILES_READ_MAX);
        let mut bytes = 0;
        while some.len() < FILES_READ_MAX && bytes < BATCH_BYTES_MAX {
            let Some(file) = waiting.next() else { break };
            let body = read_at_most(&file.path, bytes_max);
            bytes += body.as_ref().map_or(0, Bytes::len);
            some.push((file, body));
        }
        (some, waiting)
    };
    let (some, waiting) = tokio::task::spawn_blocking(read)
        .await
        .map_err(|error| CommandFailure::failed("internal", error.to_string()))?;
    *files = waiting;
    Ok(some)
}

/// Reads a file, at most one byte more than allowed: enough for a too large one to be refused later.
fn read_at_most(path: &Path, bytes_max: usize) -> std::io::Result<Bytes> {
    let mut body = Vec::new();
    let limit = bytes_max as u64 + 1;
    if path == Path::new(STANDARD_INPUT) {
        std::io::stdin().lock().take(limit).read_to_end(&mut body)?;
    } else {
        std::fs::File::open(path)?.take(limit).read_to_end(&mut body)?;
    }
    Ok(Bytes::from(body))
}
