//! `contexture ingest`: ingests files and folders, and waits until they are visible.
//!
//! Versions that an earlier run left in flight finish first. Accepted versions stay accepted even if this
//! process dies; running the same command again continues.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde::Serialize;
use tokio::time::Instant;

use super::console::ConsoleOutput;
use super::exit::{CommandExitCode, CommandFailure};
use super::global_args::{GlobalArgs, read_pipeline};
use super::ingest_run::{IngestRun, IngestRunCounts};
use super::scan::{DocumentScan, scan_paths};
use super::server_choice::not_on_a_server;
use super::signals::shutdown_signal;
use super::{drain, dry_run, server_ingest, text_format};
use crate::wiring::{ProcessRole, ServiceStack};
use contexture_core::domain::ids::{CollectionId, CollectionKey};
use contexture_core::ports::clock::{SystemClock, WallClock};
use contexture_core::ports::ledger::DeadLetterFilter;

/// Maximum dead or refused documents that are named. The others are counted.
pub(super) const NAMED_MAX: usize = 5;

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

/// The result of a run. The field names are a contract.
#[derive(Debug, Serialize)]
pub(super) struct IngestSummary {
    pub(super) accepted: u64,
    pub(super) visible: u64,
    pub(super) unchanged: u64,
    pub(super) dead: u64,
    /// Only the working process knows this and the next two: none if other processes do the work.
    pub(super) chunks: Option<u64>,
    pub(super) embedded: Option<u64>,
    pub(super) cached: Option<u64>,
    pub(super) seconds: f64,
    pub(super) resumed: u64,
    pub(super) in_flight: u64,
    pub(super) skipped: u64,
    pub(super) refused: u64,
}

/// Ingests the files and prints the summary.
pub(crate) async fn run(
    arguments: IngestArgs,
    global: &GlobalArgs,
    console: ConsoleOutput,
) -> Result<CommandExitCode, CommandFailure> {
    let started = Instant::now();
    let started_ms = SystemClock.now_ms();
    let collection = CollectionId::new(&arguments.collection)?;
    let pipeline = read_pipeline(arguments.pipeline.as_deref())?;
    // Paths are checked before the stack opens, so that a typo fails fast and creates no collection.
    let scan = scan_paths(&arguments.paths)?;
    let config = global.config()?;
    let deadline = arguments.timeout.map(|seconds| started + Duration::from_secs(seconds));
    if let Some(server) = global.server(&config).await? {
        if arguments.dry_run {
            let advice = "run it without a server, on the data directory";
            return Err(not_on_a_server("--dry-run", advice).into());
        }
        let mut run = server_ingest::ServerIngest::new(server, &collection, &config, scan, console)?;
        run.deadline = deadline;
        run.create_collection(pipeline.as_ref()).await?;
        return run.work_and_report(!arguments.no_wait, started, console).await;
    }
    if arguments.dry_run {
        return dry_run::run(global, &config, &collection, pipeline.as_ref(), scan, console).await;
    }
    let stack = global.open_stack(&config, ProcessRole::Change).await?;
    let outcome = async {
        stack.ensure_collection(&collection, pipeline.as_ref()).await?;
        let mut run = IngestRun::new(&stack, &collection, &config, scan, console);
        run.deadline = deadline;
        // Dropping the work is safe: each batch is one call to intake, and what was accepted is durable.
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

impl IngestRun<'_> {
    async fn report(
        self,
        counts: &IngestRunCounts,
        started: Instant,
        started_ms: u64,
        console: ConsoleOutput,
    ) -> Result<CommandExitCode, CommandFailure> {
        // The counters are complete once they show every version that has ended here.
        let ended_here = (self.resumed + self.tally.accepted).saturating_sub(counts.after.in_flight);
        let progress = drain::counters_after(self.stack, ended_here).await;
        let here = !self.stack.is_shared();
        // Of this run's own versions: deaths of an earlier run's leftovers are not among them.
        let died = counts.after.dead.saturating_sub(counts.resumed.dead);
        let summary = IngestSummary {
            accepted: self.tally.accepted,
            // Saturating, because other processes may write to the same collection meanwhile.
            visible: self.tally.accepted.saturating_sub(died + counts.after.in_flight),
            unchanged: self.tally.unchanged,
            dead: counts.after.dead.saturating_sub(counts.before.dead),
            chunks: here.then_some(progress.chunks),
            embedded: here.then_some(progress.embedded),
            cached: here.then_some(progress.cached),
            seconds: text_format::rounded_seconds(started.elapsed()),
            resumed: self.resumed,
            in_flight: counts.after.in_flight,
            skipped: self.scan.skips.total(),
            refused: self.scan.refused.len() as u64 + self.tally.outrun,
        };
        let Self { stack, collection, scan, meter, .. } = self;
        // A bar would overwrite the notes.
        drop(meter);
        print_summary(&summary, collection.collection.as_str(), &scan, console)?;
        if summary.dead > 0 {
            return Err(dead_documents_failure(stack, &collection, summary.dead, started_ms).await?);
        }
        if summary.refused > 0 {
            return Err(refused_files_failure(&scan, summary.refused));
        }
        Ok(CommandExitCode::Done)
    }
}

async fn dead_documents_failure(
    stack: &ServiceStack,
    collection: &CollectionKey,
    dead: u64,
    since_ms: u64,
) -> Result<CommandFailure, CommandFailure> {
    // Only deaths since this run began; older dead letters are not its own.
    let filter = DeadLetterFilter {
        collection: Some(collection.clone()),
        since_ms: Some(since_ms),
        ..DeadLetterFilter::default()
    };
    let letters = stack.ledger.dead(&filter, NAMED_MAX).await?;
    let names: Vec<String> =
        letters.iter().map(|letter| format!("{} ({})", letter.key.document_id, letter.reason)).collect();
    Ok(died_failure(dead, &names, collection.collection.as_str()))
}

/// The failure of a run of which documents died; some are named.
pub(super) fn died_failure(dead: u64, names: &[String], collection: &str) -> CommandFailure {
    let examples = if names.is_empty() { String::new() } else { format!(": {}", names.join(", ")) };
    CommandFailure::failed(
        "documents_died",
        format!(
            "{} could not be indexed{examples}; 'contexture dead list --collection {collection}' shows all",
            text_format::count_with_noun(dead, "document"),
        ),
    )
}

/// Prints the summary, after notes on what was skipped and refused.
pub(super) fn print_summary(
    summary: &IngestSummary,
    collection: &str,
    scan: &DocumentScan,
    console: ConsoleOutput,
) -> Result<(), CommandFailure> {
    scan.skips.lines().for_each(|line| console.note(&line));
    for (path, why) in scan.refused.iter().take(NAMED_MAX) {
        console.note(&format!("refused {}: {why}", path.display()));
    }
    console.result(summary, |summary| summary.text(collection))
}

pub(super) fn refused_files_failure(scan: &DocumentScan, refused: u64) -> CommandFailure {
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
    fn text(&self, collection: &str) -> String {
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
            accepted = text_format::count_with_noun(self.accepted, "document"),
            visible = text_format::count(self.visible),
            unchanged = text_format::count(self.unchanged),
            dead = text_format::count(self.dead),
            seconds = self.seconds,
        )
    }
}
