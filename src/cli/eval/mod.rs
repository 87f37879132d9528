//! `contexture eval`: retrieval and packing against questions with known answers.
//!
//! The layout of the set is recognised by its files. Without `--data` everything happens in a
//! temporary directory; with it, the ingested collection is kept, and a later run with the
//! same documents and pipeline only asks. Files to write are opened, and a run to compare with
//! is read, before anything is ingested.

mod against;
pub(crate) mod beir;
mod conversation;
mod corpus;
mod excerpts;
mod keyed;
mod lines;
mod offsets;
mod oracle;
pub(crate) mod output;
mod packing;
pub(crate) mod picture;
mod plan;
mod ranking;
mod report;
mod session;

use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;

use against::{Comparison, Other};
use beir::Beir;
use conversation::Conversations;
use corpus::{Documents, Identity};
use excerpts::Excerpts;
use output::Output;
use plan::Plan;
use session::Session;

use super::console::Console;
use super::exit::{Exit, Failure};
use super::global::{Global, read_pipeline};
use super::interrupt::interrupted;
use super::scratch::Scratch;
use crate::context::request::TOKENIZER_DEFAULT;
use crate::domain::ids::CollectionId;
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
    /// Token budgets to assemble for [default: 500,1000,2000; with --svg 125 to 4000, doubling;
    /// 8000 on a BEIR folder, where it takes --baselines]
    #[arg(long, value_name = "N,N,…", value_delimiter = ',', allow_negative_numbers = true)]
    budgets: Option<Vec<i64>>,
    /// Measure simpler packers beside the assembler, on the same candidates; on a BEIR folder,
    /// the order of documents in contexts beside the ranking
    #[arg(long)]
    baselines: bool,
    /// Measure what perfect retrieval, ranking or borders would reach (excerpt questions)
    #[arg(long)]
    oracle: bool,
    /// Hold conversations of N questions of one document, each context going on from the one before
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(2..))]
    turns: Option<u8>,
    /// Write one JSON object per question to this file
    #[arg(long, value_name = "FILE")]
    per_question: Option<PathBuf>,
    /// Compare with another run, by the file its --per-question wrote
    #[arg(long, value_name = "FILE")]
    against: Option<PathBuf>,
    /// Draw recall against budget into this file (excerpt questions)
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

enum Dataset {
    Beir(Beir),
    Excerpts(Excerpts),
}

#[derive(Serialize)]
#[serde(untagged)]
enum Figures {
    Beir(ranking::Report),
    Excerpts(report::Report),
}

#[derive(Serialize)]
struct Report {
    #[serde(flatten)]
    figures: Figures,
    #[serde(skip_serializing_if = "Option::is_none")]
    conversations: Option<Conversations>,
    #[serde(skip_serializing_if = "Option::is_none")]
    against: Option<Comparison>,
}

/// What is read from and written to beside the set.
struct Files {
    per_question: Option<Output>,
    picture: Option<Output>,
    other: Option<Other>,
}

/// Ingests the set's documents, asks its questions, prints the figures.
pub(crate) async fn run(arguments: Arguments, global: &Global, console: Console) -> Result<Exit, Failure> {
    let dataset = Dataset::read(&arguments.dataset)?;
    let plan = Plan::new(&arguments, &dataset)?;
    // The default is written out, so that its fingerprint changes when it does.
    let pipeline = read_pipeline(arguments.pipeline.as_deref())?
        .map_or_else(|| Pipeline::from_toml(DEFAULT_TOML), Ok)?;
    let files = Files::open(&arguments, &plan, &dataset)?;
    let config = global.config()?;
    let scratch = if global.data.is_none() { Some(Scratch::new("eval")?) } else { None };
    let data_dir =
        scratch.as_ref().map_or_else(|| config.data_dir.clone(), |scratch| scratch.path().to_owned());
    let config = config.embedded_in(data_dir).reading_for(Some(&arguments.tokenizer));
    let body_bytes_max = config.limits.body_bytes_max;
    let stack = Stack::open(&config, Roles::Change).await?;
    let measured = async {
        let tokenizer = stack.reader(&arguments.tokenizer)?;
        let collection = ingest(&stack, &dataset, &arguments, &pipeline, body_bytes_max, console).await?;
        let Files { per_question, picture, other } = files;
        let session = Session::new(&stack, collection, tokenizer, arguments.top_k, per_question, console);
        let report = ask(&dataset, session, &plan, other.as_ref()).await?;
        report.draw(&arguments.name(), picture)?;
        Ok::<Report, Failure>(report)
    };
    let outcome = tokio::select! {
        report = measured => report,
        () = interrupted() => Err(Failure::failed("interrupted", "interrupted before all questions were asked")),
    };
    stack.shutdown().await;
    console.result(&outcome?, Report::text)?;
    Ok(Exit::Done)
}

/// Makes the documents of the set visible in a collection of their own.
async fn ingest(
    stack: &Stack,
    dataset: &Dataset,
    arguments: &Arguments,
    pipeline: &Pipeline,
    body_bytes_max: usize,
    console: Console,
) -> Result<CollectionId, Failure> {
    let identity = Identity::of(&arguments.name(), &pipeline.to_toml()?, dataset.documents()?)?;
    corpus::fill(stack, &identity, pipeline, body_bytes_max, dataset.documents()?, console).await?;
    Ok(identity.collection)
}

/// Asks the questions, and compares the answers with those of another run.
async fn ask(
    dataset: &Dataset,
    mut session: Session<'_>,
    plan: &Plan,
    other: Option<&Other>,
) -> Result<Report, Failure> {
    let figures = match dataset {
        Dataset::Beir(set) => Figures::Beir(ranking::evaluate(set, &mut session, plan).await?),
        Dataset::Excerpts(set) => Figures::Excerpts(packing::evaluate(set, &mut session, plan).await?),
    };
    let conversations = match (dataset, plan.turns) {
        (Dataset::Excerpts(set), Some(turns)) => {
            Some(conversation::hold(set, &mut session, plan, turns).await?)
        }
        _ => None,
    };
    let records = session.finish()?;
    let against = other.map(|other| other.compare(&records)).transpose()?;
    Ok(Report { figures, conversations, against })
}

impl Arguments {
    /// What the set is called.
    fn name(&self) -> String {
        let folder = self.dataset.canonicalize().unwrap_or_else(|_| self.dataset.clone());
        folder.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }
}

impl Files {
    /// Reads first: the other run's file may be the one that is written next.
    fn open(arguments: &Arguments, plan: &Plan, dataset: &Dataset) -> Result<Self, Refusal> {
        let other = arguments.against.as_deref().map(Other::read).transpose()?;
        if let Some(other) = &other {
            other.shares(&dataset.ids(plan))?;
        }
        let create = |path: Option<&Path>, option| path.map(|path| Output::create(path, option)).transpose();
        let per_question = create(arguments.per_question.as_deref(), "per-question")?;
        let picture = create(arguments.svg.as_deref(), "svg")?;
        Ok(Self { per_question, picture, other })
    }
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

    /// The ids of the questions that will be asked.
    fn ids(&self, plan: &Plan) -> Vec<&str> {
        match self {
            Self::Beir(set) => {
                plan.first(set.questions()).iter().map(|question| question.id.as_str()).collect()
            }
            Self::Excerpts(set) => {
                plan.first(set.questions()).iter().map(|question| question.id.as_str()).collect()
            }
        }
    }
}

impl Report {
    fn text(&self) -> String {
        let figures = match &self.figures {
            Figures::Beir(report) => report.text(),
            Figures::Excerpts(report) => report.text(),
        };
        let conversations = self.conversations.iter().map(Conversations::text);
        let more = conversations.chain(self.against.iter().map(Comparison::text));
        more.fold(figures, |text, part| format!("{text}\n{part}"))
    }

    fn draw(&self, name: &str, output: Option<Output>) -> Result<(), Failure> {
        let (Some(mut output), Figures::Excerpts(report)) = (output, &self.figures) else { return Ok(()) };
        output.line(&picture::draw(&format!("Recall within a token budget: {name}"), &report.lines()))?;
        output.finish()
    }
}
