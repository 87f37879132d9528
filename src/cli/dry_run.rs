//! `contexture ingest --dry-run`: estimates the cost of an ingest without doing it.
//!
//! It reads the files and the ledger, and writes nothing.

use std::fmt::Write as _;
use std::time::Duration;

use serde::Serialize;

use super::console::ConsoleOutput;
use super::exit::{CommandExitCode, CommandFailure};
use super::file_intake::FileIntake;
use super::global_args::GlobalArgs;
use super::ingest_run::IngestRun;
use super::ingest_summary::NAMED_MAX;
use super::scan::DocumentScan;
use super::scratch::ScratchDirectory;
use super::sidecar::CommonDescription;
use super::text_format;
use crate::config::ContextureConfig;
use crate::wiring::document_conversion::ReadableFiles;
use crate::wiring::{ProcessRole, is_local_ledger_absent};
use contexture_core::domain::ids::{CollectionId, DocumentId};
use contexture_core::domain::pipeline::Pipeline;
use contexture_core::fault::FailureReason;
use contexture_core::ingest::estimate::IngestEstimate;
use contexture_core::ports::embedder::ProviderThroughput;

/// Prints what a run would cost. Creates no data directory if there is none.
pub(super) async fn run(
    global: &GlobalArgs,
    config: &ContextureConfig,
    collection: &CollectionId,
    pipeline: Option<&Pipeline>,
    scan: DocumentScan,
    common: CommonDescription,
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
        let caller = stack.principal.clone();
        let body_bytes_max = config.limits.body_bytes_max;
        let intake = FileIntake::new(
            caller,
            collection.clone(),
            body_bytes_max,
            common,
            ReadableFiles::new(&config),
            scan,
        );
        let mut run = IngestRun::new(&stack, collection, intake, console);
        let mut files = std::mem::take(&mut run.intake.scan.files).into_iter();
        let total = files.len() as u64;
        while files.len() > 0 {
            for (_, submission) in run.intake.next_batch(&mut files).await? {
                estimator.add(&submission).await?;
            }
            run.meter.update(total - files.len() as u64, "");
        }
        let pace = embedder.pace().await?;
        let IngestRun { intake, meter, .. } = run;
        let scan = intake.scan;
        // A bar would overwrite the notes.
        drop(meter);
        scan.skips.lines().for_each(|line| console.note(&line));
        let (skipped, refused) = (scan.skips.total(), scan.refused.len() as u64);
        let dying = estimator.dying().iter().map(|(id, reason)| DyingDocument::new(id, reason)).collect();
        let forecast = CostForecast::new(&embedder.info().model, estimator.finish(), pace, skipped, refused);
        CostForecast { dying, ..forecast }.show(console)
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
    /// Documents that would die, at most a hundred.
    dying: Vec<DyingDocument>,
}

/// A document that would die, and why.
#[derive(Debug, Serialize)]
struct DyingDocument {
    document_id: String,
    code: String,
    detail: String,
}

impl DyingDocument {
    fn new(document_id: &DocumentId, reason: &FailureReason) -> Self {
        let (code, detail) = (reason.code.clone(), reason.detail.clone());
        Self { document_id: document_id.to_string(), code, detail }
    }
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
            dying: Vec::new(),
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
        let mut dying = String::new();
        for document in self.dying.iter().take(NAMED_MAX) {
            let DyingDocument { document_id, code, detail } = document;
            // Writing to a string cannot fail.
            let _ = writeln!(dying, "would die: {document_id} ({code}: {detail})");
        }
        format!(
            "dry run, nothing was written: {documents} to process, {unchanged} unchanged, {dead} would die\n\
             {chunks}: {cached} known already, {texts} to embed with {model}\n\
             {tokens} in at least {requests}; {time}\n{dying}",
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
