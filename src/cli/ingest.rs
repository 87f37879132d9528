//! `contexture ingest`: files and folders in, and the wait until they can be found.
//!
//! What an earlier run left unfinished ends first. What is accepted stays accepted, whatever
//! happens to this process; running the same command again goes on. Files are read one batch
//! at a time.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use clap::Args;
use serde::Serialize;
use tokio::time::Instant;

use super::batch_submitter::{BATCH_BYTES_MAX, BatchSubmitter, IntakeTally};
use super::console::ConsoleOutput;
use super::exit::{CommandExitCode, CommandFailure};
use super::global_args::{GlobalArgs, collection_key, read_pipeline};
use super::progress_meter::ProgressMeter;
use super::scan::{DocumentScan, FoundFile, SkipReason, scan_paths};
use super::signals::shutdown_signal;
use super::{drain, dry_run, text_format};
use crate::config::ContextureConfig;
use crate::wiring::{IngestProgress, ProcessRole, ServiceStack};
use contexture_core::domain::document::{DocumentDescription, Submission};
use contexture_core::domain::ids::{CollectionId, CollectionKey};
use contexture_core::ports::clock::{SystemClock, WallClock};
use contexture_core::ports::ledger::{DeadLetterFilter, VersionCounts};

/// Dead or refused documents that are named; the rest is counted.
const NAMED_MAX: usize = 5;

/// Files read at once.
const FILES_READ_MAX: usize = 64;

/// What `ingest` takes.
#[derive(Debug, Args)]
pub(crate) struct IngestArgs {
    /// The collection to put them in; created if there is none of that name
    #[arg(long, value_name = "NAME")]
    collection: String,
    /// The pipeline of a new collection, a TOML file
    #[arg(long, value_name = "FILE")]
    pipeline: Option<PathBuf>,
    /// Return once everything is accepted, not once it is visible
    #[arg(long)]
    no_wait: bool,
    /// Give up waiting after this long; what is accepted stays accepted
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<u64>,
    /// Say what it would cost, and write nothing
    #[arg(long, conflicts_with_all = ["no_wait", "timeout"])]
    dry_run: bool,
    /// Files and folders
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
}

/// What one run did; the field names are a contract.
#[derive(Debug, Serialize)]
struct IngestSummary {
    accepted: u64,
    visible: u64,
    unchanged: u64,
    dead: u64,
    /// These three are known to the process that does the work: none where others do it.
    chunks: Option<u64>,
    embedded: Option<u64>,
    cached: Option<u64>,
    seconds: f64,
    resumed: u64,
    in_flight: u64,
    skipped: u64,
    refused: u64,
}

pub(super) struct IngestRun<'a> {
    stack: &'a ServiceStack,
    collection: CollectionKey,
    pub(super) body_bytes_max: usize,
    pub(super) scan: DocumentScan,
    deadline: Option<Instant>,
    pub(super) meter: ProgressMeter,
    tally: IntakeTally,
    resumed: u64,
}

/// Ingests and prints the summary.
pub(crate) async fn run(
    arguments: IngestArgs,
    global: &GlobalArgs,
    console: ConsoleOutput,
) -> Result<CommandExitCode, CommandFailure> {
    let started = Instant::now();
    let started_ms = SystemClock.now_ms();
    let collection = CollectionId::new(&arguments.collection)?;
    let pipeline = read_pipeline(arguments.pipeline.as_deref())?;
    let scan = scan_paths(&arguments.paths)?;
    let config = global.config()?;
    if arguments.dry_run {
        return dry_run::run(&config, &collection, pipeline.as_ref(), scan, console).await;
    }
    let stack = ServiceStack::open(&config, ProcessRole::Change).await?;
    let outcome = async {
        stack.ensure_collection(&collection, pipeline.as_ref()).await?;
        let mut run = IngestRun::new(&stack, &collection, &config, scan, console);
        run.deadline = arguments.timeout.map(|seconds| started + Duration::from_secs(seconds));
        let counts = tokio::select! {
            counts = run.work(!arguments.no_wait) => counts?,
            () = shutdown_signal() => return Err(run.interruption()),
        };
        run.report(&counts, started, started_ms, console).await
    }
    .await;
    stack.shutdown().await;
    outcome
}

/// The dead of the collection before and after this run's own submissions, and now.
struct IngestRunCounts {
    before: VersionCounts,
    resumed: VersionCounts,
    after: VersionCounts,
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

    /// Finishes what is left over, submits every file, and waits for the end of them all.
    async fn work(&mut self, wait: bool) -> Result<IngestRunCounts, CommandFailure> {
        let before = self.stack.ledger.counts(&self.collection).await?;
        let resumed =
            drain::wait_until_drained(self.stack, &self.collection, self.deadline, |_, counts, waits| {
                let left = text_format::count_with_noun(counts.in_flight, "document");
                self.meter.update(0, &format!("; {left} of an earlier run first{waits}"));
            })
            .await?;
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
        let mut feed = BatchSubmitter::new(self.stack);
        let mut files = std::mem::take(&mut self.scan.files).into_iter();
        while files.len() > 0 {
            let (some, rest) = read_file_batch(files, self.body_bytes_max).await?;
            files = rest;
            for (file, body) in some {
                let Some(submission) = self.submission(file, body) else { continue };
                feed.push(submission).await?;
                self.tally = feed.tally();
                let now = *progress.borrow();
                self.meter.update(self.tally.unchanged + now.settled - self.resumed, &progress_detail(now));
            }
        }
        feed.flush().await?;
        self.tally = feed.tally();
        Ok(())
    }

    /// The submission of a file; none, with the reason noted, when it cannot be one.
    pub(super) fn submission(&mut self, file: FoundFile, body: std::io::Result<Bytes>) -> Option<Submission> {
        let body = match body {
            Ok(body) if body.is_empty() => {
                self.scan.skips.add(SkipReason::Empty, &file.path);
                return None;
            }
            Ok(body) => body,
            Err(error) => {
                self.scan.refused.push((file.path, error.to_string()));
                return None;
            }
        };
        let submission = Submission::new(
            &self.stack.principal,
            self.collection.collection.clone(),
            file.id,
            None,
            DocumentDescription::default(),
            body,
            self.body_bytes_max,
        );
        submission.map_err(|refusal| self.scan.refused.push((file.path, refusal.message))).ok()
    }

    fn interruption(&self) -> CommandFailure {
        CommandFailure::failed(
            "interrupted",
            format!(
                "interrupted: {} accepted and will stay so; run the same command again to go on",
                match self.tally.accepted {
                    1 => "1 document is".to_owned(),
                    accepted => format!("{} documents are", text_format::count(accepted)),
                }
            ),
        )
    }

    async fn report(
        self,
        ended: &IngestRunCounts,
        started: Instant,
        started_ms: u64,
        console: ConsoleOutput,
    ) -> Result<CommandExitCode, CommandFailure> {
        let ended_here = (self.resumed + self.tally.accepted).saturating_sub(ended.after.in_flight);
        let progress = drain::counters_after(self.stack, ended_here).await;
        let here = !self.stack.is_shared();
        let died = ended.after.dead.saturating_sub(ended.resumed.dead);
        let summary = IngestSummary {
            accepted: self.tally.accepted,
            visible: self.tally.accepted.saturating_sub(died + ended.after.in_flight),
            unchanged: self.tally.unchanged,
            dead: ended.after.dead.saturating_sub(ended.before.dead),
            chunks: here.then_some(progress.chunks),
            embedded: here.then_some(progress.embedded),
            cached: here.then_some(progress.cached),
            seconds: text_format::rounded_seconds(started.elapsed()),
            resumed: self.resumed,
            in_flight: ended.after.in_flight,
            skipped: self.scan.skips.total(),
            refused: self.scan.refused.len() as u64 + self.tally.outrun,
        };
        let Self { stack, collection, scan, meter, .. } = self;
        drop(meter);
        scan.skips.lines().for_each(|line| console.note(&line));
        for (path, why) in scan.refused.iter().take(NAMED_MAX) {
            console.note(&format!("refused {}: {why}", path.display()));
        }
        console.result(&summary, |summary| summary.text(&collection))?;
        if summary.dead > 0 {
            return Err(dead_documents_failure(stack, &collection, summary.dead, started_ms).await?);
        }
        if summary.refused > 0 {
            return Err(refused_files_failure(&scan, summary.refused));
        }
        Ok(CommandExitCode::Done)
    }
}

fn progress_detail(progress: IngestProgress) -> String {
    format!("; {}", text_format::count_with_noun(progress.chunks, "chunk"))
}

/// A file and what could be read of it.
type FileWithBody = (FoundFile, std::io::Result<Bytes>);

/// The next files with their bodies, as many as make a batch, and the files after them: leaving
/// the runtime for each file by itself costs more than reading it.
pub(super) async fn read_file_batch(
    mut files: std::vec::IntoIter<FoundFile>,
    bytes_max: usize,
) -> Result<(Vec<FileWithBody>, std::vec::IntoIter<FoundFile>), CommandFailure> {
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

/// Reads a file, and one byte more than allowed of one that is too large, so that it is refused.
fn read_at_most(path: &Path, bytes_max: usize) -> std::io::Result<Bytes> {
    let mut body = Vec::new();
    std::fs::File::open(path)?.take(bytes_max as u64 + 1).read_to_end(&mut body)?;
    Ok(Bytes::from(body))
}

async fn dead_documents_failure(
    stack: &ServiceStack,
    collection: &CollectionKey,
    dead: u64,
    since_ms: u64,
) -> Result<CommandFailure, CommandFailure> {
    let filter = DeadLetterFilter {
        collection: Some(collection.clone()),
        since_ms: Some(since_ms),
        ..DeadLetterFilter::default()
    };
    let letters = stack.ledger.dead(&filter, NAMED_MAX).await?;
    let names: Vec<String> =
        letters.iter().map(|letter| format!("{} ({})", letter.key.document_id, letter.reason)).collect();
    Ok(CommandFailure::failed(
        "documents_died",
        format!(
            "{} could not be indexed: {}; 'contexture dead list --collection {}' shows all",
            text_format::count_with_noun(dead, "document"),
            names.join(", "),
            collection.collection
        ),
    ))
}

fn refused_files_failure(scan: &DocumentScan, refused: u64) -> CommandFailure {
    let names: Vec<String> = scan
        .refused
        .iter()
        .take(NAMED_MAX)
        .map(|(path, why)| format!("{} ({why})", path.display()))
        .collect();
    CommandFailure::failed(
        "documents_refused",
        format!("{} not taken: {}", text_format::count_with_noun(refused, "file"), names.join(", ")),
    )
}

impl IngestSummary {
    fn text(&self, collection: &CollectionKey) -> String {
        let resumed = match self.resumed {
            0 => String::new(),
            resumed => format!("; {} left by an earlier run", text_format::count(resumed)),
        };
        let in_flight = match self.in_flight {
            0 => String::new(),
            in_flight => format!(", {} in flight", text_format::count(in_flight)),
        };
        let work = match (self.chunks, self.embedded, self.cached) {
            (Some(chunks), Some(embedded), Some(cached)) => format!(
                "{}: {} embedded, {} from the cache, in",
                text_format::count_with_noun(chunks, "chunk"),
                text_format::count(embedded),
                text_format::count(cached)
            ),
            _ => "worked on by other processes, in".to_owned(),
        };
        format!(
            "{collection}: {accepted} accepted, {visible} visible{in_flight}, {unchanged} unchanged, \
             {dead} dead{resumed}\n{work} {seconds:.1} s\n",
            collection = collection.collection,
            accepted = text_format::count_with_noun(self.accepted, "document"),
            visible = text_format::count(self.visible),
            unchanged = text_format::count(self.unchanged),
            dead = text_format::count(self.dead),
            seconds = self.seconds,
        )
    }
}
