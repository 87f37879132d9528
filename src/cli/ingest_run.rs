//! One run of `ingest`: reads files in batches, submits them, and waits until all versions have ended.
//!
//! The dry run uses the same reading and checking. One batch of files is in memory at a time.

use std::io::Read;
use std::path::Path;

use bytes::Bytes;
use tokio::time::Instant;

use super::batch_submitter::{BATCH_BYTES_MAX, BatchSubmitter, IntakeTally};
use super::console::ConsoleOutput;
use super::exit::CommandFailure;
use super::global_args::collection_key;
use super::progress_meter::ProgressMeter;
use super::scan::{DocumentScan, FoundFile, SkipReason};
use super::{drain, text_format};
use crate::config::ContextureConfig;
use crate::wiring::{IngestProgress, ServiceStack};
use contexture_core::domain::document::{DocumentDescription, Submission};
use contexture_core::domain::ids::{CollectionId, CollectionKey};
use contexture_core::domain::principal::Principal;
use contexture_core::ports::ledger::VersionCounts;

/// Maximum files read in one batch.
const FILES_READ_MAX: usize = 64;

/// The state of one run.
pub(super) struct IngestRun<'a> {
    pub(super) stack: &'a ServiceStack,
    pub(super) collection: CollectionKey,
    pub(super) body_bytes_max: usize,
    pub(super) scan: DocumentScan,
    pub(super) deadline: Option<Instant>,
    pub(super) meter: ProgressMeter,
    pub(super) tally: IntakeTally,
    pub(super) resumed: u64,
}

/// Counts of the collection: before the run, after the leftovers of earlier runs, and at the end.
pub(super) struct IngestRunCounts {
    pub(super) before: VersionCounts,
    pub(super) resumed: VersionCounts,
    pub(super) after: VersionCounts,
}

impl<'a> IngestRun<'a> {
    pub(super) fn new(
        stack: &'a ServiceStack,
        collection: &CollectionId,
        config: &ContextureConfig,
        scan: DocumentScan,
        console: ConsoleOutput,
    ) -> Self {
        Self {
            stack,
            collection: collection_key(stack, collection),
            body_bytes_max: config.limits.body_bytes_max,
            meter: ProgressMeter::new("ingest", "documents", scan.files.len() as u64, console),
            scan,
            deadline: None,
            tally: IntakeTally::default(),
            resumed: 0,
        }
    }

    /// Finishes leftovers of earlier runs, submits every file and, with `wait`, waits until all have ended.
    pub(super) async fn work(&mut self, wait: bool) -> Result<IngestRunCounts, CommandFailure> {
        let before = self.stack.ledger.counts(&self.collection).await?;
        let resumed =
            drain::wait_until_drained(self.stack, &self.collection, self.deadline, |_, counts, waits| {
                let left = text_format::count_with_noun(counts.in_flight, "document");
                self.meter.update(0, &format!("; {left} of an earlier run first{waits}"));
            })
            .await?;
        // Only what this process ended counts as resumed; the counters may still lag behind.
        self.resumed = drain::counters_after(self.stack, before.in_flight).await.settled;
        self.submit().await?;
        let after = if wait {
            let (IntakeTally { accepted, unchanged, .. }, resumed) = (self.tally, self.resumed);
            let shared = self.stack.is_shared();
            drain::wait_until_drained(
                self.stack,
                &self.collection,
                self.deadline,
                |progress, counts, waits| {
                    // With a shared ledger other processes do the work, and the local counters stay at 0.
                    if shared {
                        self.meter.update(unchanged + accepted.saturating_sub(counts.in_flight), waits);
                    } else {
                        let said = format!("{}{waits}", progress_detail(progress));
                        self.meter.update(unchanged + progress.settled - resumed, &said);
                    }
                },
            )
            .await?
        } else {
            self.stack.ledger.counts(&self.collection).await?
        };
        Ok(IngestRunCounts { before, resumed, after })
    }

    async fn submit(&mut self) -> Result<(), CommandFailure> {
        let progress = self.stack.progress();
        let mut submitter = BatchSubmitter::new(self.stack);
        // Taken out of `self`, because the loop below needs all of `self` mutably.
        let mut files = std::mem::take(&mut self.scan.files).into_iter();
        while files.len() > 0 {
            let (some, rest) = read_file_batch(files, self.body_bytes_max).await?;
            files = rest;
            for (file, body) in some {
                let Some(submission) = self.submission(file, body) else { continue };
                submitter.push(submission).await?;
                self.tally = submitter.tally();
                let now = *progress.borrow();
                // Unchanged files never end in the counters, so they count as done at once.
                self.meter.update(self.tally.unchanged + now.settled - self.resumed, &progress_detail(now));
            }
        }
        submitter.flush().await?;
        self.tally = submitter.tally();
        Ok(())
    }

    /// See [`checked_submission`].
    pub(super) fn submission(&mut self, file: FoundFile, body: std::io::Result<Bytes>) -> Option<Submission> {
        let Self { stack, collection, scan, body_bytes_max, .. } = self;
        checked_submission(&stack.principal, &collection.collection, scan, *body_bytes_max, file, body)
    }

    /// What to say when the process is asked to stop.
    pub(super) fn interruption(&self) -> CommandFailure {
        interruption(self.tally)
    }
}

/// What to say when the process is asked to stop.
pub(super) fn interruption(tally: IntakeTally) -> CommandFailure {
    CommandFailure::failed(
        "interrupted",
        format!(
            "interrupted: {} accepted and will stay so; run the same command again to go on",
            match tally.accepted {
                1 => "1 document is".to_owned(),
                accepted => format!("{} documents are", text_format::count(accepted)),
            }
        ),
    )
}

/// The submission of a file. Returns none if the file is empty or refused, and records why.
pub(super) fn checked_submission(
    caller: &Principal,
    collection: &CollectionId,
    scan: &mut DocumentScan,
    body_bytes_max: usize,
    file: FoundFile,
    body: std::io::Result<Bytes>,
) -> Option<Submission> {
    let body = match body {
        // Skipped, not refused: empty files such as `__init__.py` are normal in a folder.
        Ok(body) if body.is_empty() => {
            scan.skips.add(SkipReason::Empty, &file.path);
            return None;
        }
        Ok(body) => body,
        Err(error) => {
            scan.refused.push((file.path, error.to_string()));
            return None;
        }
    };
    let description = DocumentDescription::default();
    let submission =
        Submission::new(caller, collection.clone(), file.id, None, description, body, body_bytes_max);
    submission.map_err(|refusal| scan.refused.push((file.path, refusal.message))).ok()
}

fn progress_detail(progress: IngestProgress) -> String {
    format!("; {}", text_format::count_with_noun(progress.chunks, "chunk"))
}

/// A file and its body, or the error of reading it.
type FileWithBody = (FoundFile, std::io::Result<Bytes>);

/// Reads the next batch of files. Returns it with the remaining files.
pub(super) async fn read_file_batch(
    mut files: std::vec::IntoIter<FoundFile>,
    bytes_max: usize,
) -> Result<(Vec<FileWithBody>, std::vec::IntoIter<FoundFile>), CommandFailure> {
    // One blocking task per batch: switching threads for each file costs more than reading a small file.
    // The iterator moves into the task and comes back, because the task must be 'static.
    let read = move || {
        let mut some = Vec::with_capacity(FILES_READ_MAX);
        let mut bytes = 0;
        while some.len() < FILES_READ_MAX && bytes < BATCH_BYTES_MAX {
            let Some(file) = files.next() else { break };
            let body = read_at_most(&file.path, bytes_max);
            bytes += body.as_ref().map_or(0, Bytes::len);
            some.push((file, body));
        }
        (some, files)
    };
    tokio::task::spawn_blocking(read)
        .await
        .map_err(|error| CommandFailure::failed("internal", error.to_string()))
}

/// Reads a file, at most one byte more than allowed: enough for a too large one to be refused later.
fn read_at_most(path: &Path, bytes_max: usize) -> std::io::Result<Bytes> {
    let mut body = Vec::new();
    std::fs::File::open(path)?.take(bytes_max as u64 + 1).read_to_end(&mut body)?;
    Ok(Bytes::from(body))
}
