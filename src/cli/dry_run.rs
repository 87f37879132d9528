//! `contexture ingest --dry-run`: what it would cost, without doing it.

use std::time::Duration;

use serde::Serialize;

use super::console::Console;
use super::exit::{Exit, Failure};
use super::ingest::{Run, read_some};
use super::scan::Scan;
use super::scratch::Scratch;
use super::table;
use crate::config::Config;
use crate::domain::ids::CollectionId;
use crate::domain::pipeline::Pipeline;
use crate::ingest::estimate::Estimate;
use crate::ports::embedder::Pace;
use crate::wiring::{Roles, Stack, is_untouched};

/// Says what a run would cost. Where nothing was ever stored, nothing is created either.
pub(super) async fn run(
    config: &Config,
    collection: &CollectionId,
    pipeline: Option<&Pipeline>,
    scan: Scan,
    console: Console,
) -> Result<Exit, Failure> {
    let scratch = Scratch::new("dry-run")?;
    let config = if is_untouched(config) {
        config.clone().embedded_in(scratch.path().to_owned())
    } else {
        config.clone()
    };
    let stack = Stack::open(&config, Roles::Look).await?;
    let outcome = async {
        let (mut estimator, embedder) = stack.estimator(collection, pipeline).await?;
        let mut run = Run::new(&stack, collection, &config, scan, console);
        let mut files = std::mem::take(&mut run.scan.files).into_iter();
        let mut read = 0;
        while files.len() > 0 {
            let (some, rest) = read_some(files, run.body_bytes_max).await?;
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
        let Run { scan, meter, .. } = run;
        drop(meter);
        scan.skips.lines().for_each(|line| console.note(&line));
        let (skipped, refused) = (scan.skips.total(), scan.refused.len() as u64);
        Forecast::new(&embedder.info().model, estimator.finish(), pace, skipped, refused).show(console)
    }
    .await;
    stack.shutdown().await;
    outcome
}

/// Says what a re-index would cost.
pub(super) fn show_reindex(
    model: &str,
    estimate: Estimate,
    pace: Pace,
    console: Console,
) -> Result<Exit, Failure> {
    Forecast::new(model, estimate, pace, 0, 0).show(console)
}

/// What a run would do; the field names are a contract.
#[derive(Debug, Serialize)]
struct Forecast {
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
    /// At the provider's limits; none where it has none that is known.
    seconds: Option<u64>,
    skipped: u64,
    refused: u64,
}

impl Forecast {
    fn new(model: &str, estimate: Estimate, pace: Pace, skipped: u64, refused: u64) -> Self {
        let Estimate { documents, unchanged, dead, chunks, cached, texts, tokens, requests } = estimate;
        let seconds = |units: u64, per_minute: Option<u32>| {
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
            seconds: seconds(requests, pace.requests_per_minute).max(seconds(tokens, pace.tokens_per_minute)),
            skipped,
            refused,
        }
    }

    /// Prints it.
    fn show(&self, console: Console) -> Result<Exit, Failure> {
        console.result(self, Self::text)?;
        Ok(Exit::Done)
    }

    fn text(&self) -> String {
        let time = match self.seconds {
            Some(seconds) => {
                format!("at least {} at the provider's limits", table::duration(Duration::from_secs(seconds)))
            }
            None => "no limit is known to tell the time from".to_owned(),
        };
        format!(
            "dry run, nothing was written: {documents} to process, {unchanged} unchanged, {dead} would die\n\
             {chunks}: {cached} known already, {texts} to embed with {model}\n\
             {tokens} in at least {requests}; {time}\n",
            documents = table::counted(self.documents, "document"),
            unchanged = table::count(self.unchanged),
            dead = table::count(self.dead),
            chunks = table::counted(self.chunks, "chunk"),
            cached = table::count(self.cached),
            texts = table::counted(self.texts, "text"),
            model = self.model,
            tokens = table::counted(self.tokens, "token"),
            requests = table::counted(self.requests, "request"),
        )
    }
}
