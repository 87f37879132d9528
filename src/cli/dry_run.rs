//! `contexture ingest --dry-run`: estimates the cost of an ingest without doing it.
//!
//! It reads the files and the ledger, and writes nothing.

use std::time::Duration;

use serde::Serialize;

use super::console::ConsoleOutput;
use super::exit::{CommandExitCode, CommandFailure};
use super::global_args::GlobalArgs;
use super::ingest_run::{IngestRun, read_file_batch};
use super::scan::DocumentScan;
use super::scratch::ScratchDirectory;
use super::text_format;
use crate::config::ContextureConfig;
use crate::wiring::{ProcessRole, is_local_ledger_absent};
use contexture_core::domain::ids::CollectionId;
use contexture_core::domain::pipeline::Pipeline;
use contexture_core::ingest::estimate::IngestEstimate;
use contexture_core::ports::embedder::ProviderThroughput;

/// Prints what a run would cost. Creates no data directory if there is none.
pub(super) async fn run(
    global: &GlobalArgs,
    config: &ContextureConfig,
    collection: &CollectionId,
    pipeline: Option<&Pipeline>,
    scan: DocumentScan,
    console: ConsoleOutput,
) -> Result<CommandExitCode, CommandFailure> {
    let scratch = ScratchDirectory::new("dry-run")?;
    // Opening a stack creates its files. Without a ledger it opens one in a temporary directory instead.
    let (config, role) = if is_local_ledger_absent(config) {
        (config.clone().embedded_in(scratch.path().to_owned()), ProcessRole::Change)
    } else {
        (config.clone(), ProcessRole::Look)
    };
    let stack = global.open_stack(&config, role).await?;
    let outcome = async {
        let (mut estimator, embedder) = stack.estimator(collection, pipeline).await?;
        let mut run = IngestRun::new(&stack, collection, &config, scan, console);
        let mut files = std::mem::take(&mut run.scan.files).into_iter();
        let mut read = 0;
        while files.len() > 0 {
            let (some, rest) = read_file_batch(files, run.body_bytes_max).await?;
            files = rest;
            for (file, body) in some {
                read += 1;
                if let Some(submission) = run.submission(file, body) {
                    estimator.add(&submission).await?;
                }
                run.meter.update(read, "");
            }
        }
        let pace = embedder.pace().await?;
        let IngestRun { scan, meter, .. } = run;
        // A bar would overwrite the notes.
        drop(meter);
        scan.skips.lines().for_each(|line| console.note(&line));
        let (skipped, refused) = (scan.skips.total(), scan.refused.len() as u64);
        CostForecast::new(&embedder.info().model, estimator.finish(), pace, skipped, refused).show(console)
    }
    .await;
    stack.shutdown().await;
    outcome
}

/// Prints what a re-index would cost.
pub(super) fn show_reindex_forecast(
    model: &str,
    estimate: IngestEstimate,
    pace: ProviderThroughput,
    console: ConsoleOutput,
) -> Result<CommandExitCode, CommandFailure> {
    CostForecast::new(model, estimate, pace, 0, 0).show(console)
}

/// The estimate. The field names are a contract.
#[derive(Debug, Serialize)]
struct CostForecast {
    dry_run: bool,
    model: String,
    documents: u64,
    unchanged: u64,
    dead: u64,
    chunks: u64,
    cached: u64,
    texts: u64,
    tokens: u64,
    requests: u64,
    /// Time at the provider's limits; none if no limit is known.
    seconds: Option<u64>,
    skipped: u64,
    refused: u64,
}

impl CostForecast {
    fn new(
        model: &str,
        estimate: IngestEstimate,
        pace: ProviderThroughput,
        skipped: u64,
        refused: u64,
    ) -> Self {
        let IngestEstimate { documents, unchanged, dead, chunks, cached, texts, tokens, requests } = estimate;
        let seconds = |units: u64, per_minute: Option<u32>| {
            // A limit of 0 must not divide by zero.
            per_minute.map(|limit| (units * 60).div_ceil(u64::from(limit.max(1))))
        };
        Self {
            dry_run: true,
            model: model.to_owned(),
            documents,
            unchanged,
            dead,
            chunks,
            cached,
            texts,
            tokens,
            requests,
            // The tighter of both limits decides. `None` orders before `Some`, so one known limit is enough.
            seconds: seconds(requests, pace.requests_per_minute).max(seconds(tokens, pace.tokens_per_minute)),
            skipped,
            refused,
        }
    }

    /// Prints the estimate.
    fn show(&self, console: ConsoleOutput) -> Result<CommandExitCode, CommandFailure> {
        console.result(self, Self::text)?;
        Ok(CommandExitCode::Done)
    }

    fn text(&self) -> String {
        let time = match self.seconds {
            Some(seconds) => {
                format!(
                    "at least {} at the provider's limits",
                    text_format::duration(Duration::from_secs(seconds))
                )
            }
            None => "no limit is known to tell the time from".to_owned(),
        };
        format!(
            "dry run, nothing was written: {documents} to process, {unchanged} unchanged, {dead} would die\n\
             {chunks}: {cached} known already, {texts} to embed with {model}\n\
             {tokens} in at least {requests}; {time}\n",
            documents = text_format::count_with_noun(self.documents, "document"),
            unchanged = text_format::count(self.unchanged),
            dead = text_format::count(self.dead),
            chunks = text_format::count_with_noun(self.chunks, "chunk"),
            cached = text_format::count(self.cached),
            texts = text_format::count_with_noun(self.texts, "text"),
            model = self.model,
            tokens = text_format::count_with_noun(self.tokens, "token"),
            requests = text_format::count_with_noun(self.requests, "request"),
        )
    }
}
