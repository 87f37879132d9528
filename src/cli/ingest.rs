//! `contexture ingest`: ingests files and folders, and waits until they are visible.
//!
//! Versions that an earlier run left in flight finish first. Accepted versions stay accepted even if this
//! process dies; running the same command again continues.

mod files;

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use tokio::time::Instant;

use self::files::FileOperations;
use super::console::ConsoleOutput;
use super::exit::{CommandExitCode, CommandFailure};
use super::global_args::{GlobalArgs, collection_key, read_pipeline};
use super::ingest_run::{IngestRun, IngestRunCounts};
use super::ingest_summary::{IngestSummary, NAMED_MAX, died_failure, print_summary, refused_files_failure};
use super::server_choice::not_on_a_server;
use super::server_ingest::create_collection;
use super::sidecar::CommonDescription;
use super::signals::shutdown_signal;
use super::{drain, dry_run, server_ingest, text_format};
use crate::wiring::{ProcessRole, ServiceStack};
use contexture_core::domain::ids::{CollectionId, CollectionKey};
use contexture_core::ports::clock::{SystemClock, WallClock};
use contexture_core::ports::ledger::{DeadLetterFilter, VersionCounts};

/// What `ingest` takes.
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
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
    /// Delete the documents of files that earlier runs of this folder had and that are gone
    #[arg(long, conflicts_with = "dry_run")]
    prune: bool,
    /// Only files that match this glob, as in .gitignore; may be given several times
    #[arg(long, value_name = "GLOB")]
    include: Vec<String>,
    /// No files or folders that match this glob; may be given several times
    #[arg(long, value_name = "GLOB")]
    exclude: Vec<String>,
    /// Hidden files, too
    #[arg(long)]
    hidden: bool,
    /// Also what .gitignore and .ignore leave out
    #[arg(long)]
    no_ignore: bool,
    /// Read every file, not only those whose size or time has changed
    #[arg(long)]
    checksum: bool,
    /// Try again what died with the bytes that its file still has
    #[arg(long, conflicts_with = "dry_run")]
    retry_dead: bool,
    /// Ids are paths below this folder [default: the folder that all paths have in common]
    #[arg(long, value_name = "FOLDER")]
    root: Option<PathBuf>,
    /// The document's id, for a single file or standard input
    #[arg(long, value_name = "DOCUMENT_ID", conflicts_with = "root")]
    id: Option<String>,
    /// Metadata of all documents; may be given several times
    #[arg(long, value_name = "KEY=VALUE")]
    metadata: Vec<String>,
    /// Groups that may read the documents, separated by commas [default: everyone of the tenant]
    #[arg(long, value_name = "GROUPS", value_delimiter = ',')]
    groups: Option<Vec<String>>,
    /// Say what it would cost, and write nothing
    #[arg(long, conflicts_with_all = ["no_wait", "timeout"])]
    dry_run: bool,
    /// Files and folders, or - for standard input
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
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
    let groups = arguments.groups.clone().map(|groups| groups.into_iter().collect());
    let common = CommonDescription::new(&arguments.metadata, groups)?;
    let config = global.config()?;
    let mut options = arguments.scan_options(&config);
    // Paths are checked before the stack opens, so that a typo fails fast and creates no collection.
    let scan = arguments.scan(&options)?;
    let deadline = arguments.timeout.map(|seconds| started + Duration::from_secs(seconds));
    let server = global.server(&config).await?;
    if arguments.dry_run {
        if server.is_some() {
            let advice = "run it without a server, on the data directory";
            return Err(not_on_a_server("--dry-run", advice).into());
        }
        return dry_run::run(global, &config, &collection, pipeline.as_ref(), scan, common, console).await;
    }
    if let Some(server) = server {
        create_collection(&server, &collection, pipeline.as_ref()).await?;
        let operations = FileOperations::on_server(&server)?;
        let intake = arguments.intake(&operations, &collection, &config, scan, &mut options, common).await?;
        let mut run = server_ingest::ServerIngest::new(server, &collection, intake, console)?;
        (run.deadline, run.prune) = (deadline, arguments.prune);
        run.replayed = arguments.replay_dead(&operations, &collection, &run.intake).await?;
        return run.work_and_report(!arguments.no_wait, started, console).await;
    }
    let stack = global.open_stack(&config, ProcessRole::Change).await?;
    let outcome = async {
        stack.ensure_collection(&collection, pipeline.as_ref()).await?;
        let operations = FileOperations::here(&stack, &config)?;
        let intake = arguments.intake(&operations, &collection, &config, scan, &mut options, common).await?;
        // Counted first: what is replayed may be dead again before anybody looks.
        let before = stack.ledger.counts(&collection_key(&stack, &collection)).await?;
        let replayed = arguments.replay_dead(&operations, &collection, &intake).await?.len() as u64;
        let mut run = IngestRun::new(&stack, &collection, intake, console);
        run.before = Some(VersionCounts {
            in_flight: before.in_flight + replayed,
            dead: before.dead.saturating_sub(replayed),
            ..before
        });
        (run.deadline, run.prune) = (deadline, arguments.prune);
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
            unchanged: self.unchanged(),
            dead: counts.after.dead.saturating_sub(counts.before.dead),
            chunks: here.then_some(progress.chunks),
            embedded: here.then_some(progress.embedded),
            cached: here.then_some(progress.cached),
            seconds: text_format::rounded_seconds(started.elapsed()),
            resumed: self.resumed,
            in_flight: counts.after.in_flight,
            skipped: self.intake.scan.skips.total(),
            refused: self.intake.scan.refused.len() as u64 + self.tally.outrun,
            still_dead: self.intake.sync.as_ref().map_or(0, |sync| sync.still_dead.len() as u64),
            gone: self.finished.as_ref().map_or(0, |finished| finished.gone),
            pruned: self.finished.as_ref().map_or(0, |finished| finished.deleted),
        };
        let Self { stack, collection, intake, finished, meter, .. } = self;
        // A bar would overwrite the notes.
        drop(meter);
        print_summary(&summary, collection.collection.as_str(), &intake, finished.as_ref(), console)?;
        if summary.dead > 0 {
            return Err(dead_documents_failure(stack, &collection, summary.dead, started_ms).await?);
        }
        if summary.refused > 0 {
            return Err(refused_files_failure(&intake.scan, summary.refused));
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
