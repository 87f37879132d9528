//! `contexture eval`: retrieval and packing against questions with known answers.
//!
//! The layout of the set is recognised by its files. Without `--data` everything happens in a
//! temporary directory; with it, the ingested collection is kept, and a later run with the
//! same documents and pipeline only asks.

mod beir;
mod corpus;
mod excerpts;
mod lines;
mod metrics;
mod offsets;
mod session;

use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;

use beir::Beir;
use corpus::{Documents, Identity};
use excerpts::Excerpts;
use session::Session;

use super::console::Console;
use super::exit::{Exit, Failure};
use super::global::{Global, read_pipeline};
use super::interrupt::interrupted;
use super::scratch::Scratch;
use crate::context::request::TOKENIZER_DEFAULT;
use crate::domain::pipeline::{DEFAULT_TOML, Pipeline};
use crate::fault::Refusal;
use crate::wiring::{Roles, Stack};

/// What `eval` takes.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// A folder with corpus.jsonl, queries.jsonl and qrels/, or with corpora/ and questions.jsonl
    #[arg(long, value_name = "DIR")]
    dataset: PathBuf,
    /// The pipeline to measure, a TOML file
    #[arg(long, value_name = "FILE")]
    pipeline: Option<PathBuf>,
    /// The tokenizer that budgets are counted in, a name or a file as for `query`
    #[arg(long, value_name = "NAME|FILE", default_value = TOKENIZER_DEFAULT)]
    tokenizer: String,
    /// Chunks to consider per question [default: 100]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    top_k: Option<i64>,
    /// Ask only the first N questions
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Write one JSON object per question to this file
    #[arg(long, value_name = "FILE")]
    per_question: Option<PathBuf>,
}

enum Dataset {
    Beir(Beir),
    Excerpts(Excerpts),
}

#[derive(Serialize)]
#[serde(untagged)]
enum Report {
    Beir(beir::Report),
    Excerpts(excerpts::Report),
}

/// Ingests the set's documents, asks its questions, prints the figures.
pub(crate) async fn run(arguments: Arguments, global: &Global, console: Console) -> Result<Exit, Failure> {
    let dataset = Dataset::read(&arguments.dataset)?;
    // The default is written out, so that its fingerprint changes when it does.
    let pipeline = read_pipeline(arguments.pipeline.as_deref())?
        .map_or_else(|| Pipeline::from_toml(DEFAULT_TOML), Ok)?;
    let config = global.config()?;
    let scratch = if global.data.is_none() { Some(Scratch::new("eval")?) } else { None };
    let data_dir =
        scratch.as_ref().map_or_else(|| config.data_dir.clone(), |scratch| scratch.path().to_owned());
    let config = config.embedded_in(data_dir).reading_for(Some(&arguments.tokenizer));
    let body_bytes_max = config.limits.body_bytes_max;
    let stack = Stack::open(&config, Roles::Change).await?;
    let outcome = tokio::select! {
        report = measure(&stack, &dataset, &pipeline, &arguments, body_bytes_max, console) => report,
        () = interrupted() => Err(Failure::failed("interrupted", "interrupted before all questions were asked")),
    };
    stack.shutdown().await;
    console.result(&outcome?, Report::text)?;
    Ok(Exit::Done)
}

async fn measure(
    stack: &Stack,
    dataset: &Dataset,
    pipeline: &Pipeline,
    arguments: &Arguments,
    body_bytes_max: usize,
    console: Console,
) -> Result<Report, Failure> {
    let folder = arguments.dataset.canonicalize().unwrap_or_else(|_| arguments.dataset.clone());
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    let identity = Identity::of(&name, &pipeline.to_toml()?, dataset.documents()?)?;
    let tokenizer = stack.reader(&arguments.tokenizer)?;
    corpus::fill(stack, &identity, pipeline, body_bytes_max, dataset.documents()?, console).await?;
    let mut session = Session::new(stack, identity.collection, tokenizer, arguments.top_k, console);
    if let Some(path) = &arguments.per_question {
        session.write_to(path)?;
    }
    let limit = arguments.limit.unwrap_or(usize::MAX);
    let report = match dataset {
        Dataset::Beir(set) => Report::Beir(set.evaluate(&mut session, limit).await?),
        Dataset::Excerpts(set) => Report::Excerpts(set.evaluate(&mut session, limit).await?),
    };
    session.finish()?;
    Ok(report)
}

impl Dataset {
    fn read(folder: &Path) -> Result<Self, Refusal> {
        if Beir::is_at(folder) {
            return Beir::read(folder).map(Self::Beir);
        }
        if Excerpts::is_at(folder) {
            return Excerpts::read(folder).map(Self::Excerpts);
        }
        Err(Refusal::invalid(
            "unknown_dataset",
            "dataset",
            format!(
                "{} is no evaluation set: expected corpus.jsonl, queries.jsonl and qrels/, or corpora/ \
                 and questions.jsonl",
                folder.display()
            ),
        ))
    }

    fn documents(&self) -> Result<Documents, Refusal> {
        match self {
            Self::Beir(set) => set.documents(),
            Self::Excerpts(set) => Ok(set.documents()),
        }
    }
}

impl Report {
    fn text(&self) -> String {
        match self {
            Self::Beir(report) => report.text(),
            Self::Excerpts(report) => report.text(),
        }
    }
}
