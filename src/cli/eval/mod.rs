//! `contexture eval`: retrieval and packing against questions with known answers.
//!
//! The layout of the set is recognised by its files. Without `--data` everything happens in a
//! temporary directory; with it, the ingested collection is kept, and a later run with the
//! same documents and pipeline only asks. Files to write are opened, and a run to compare with
//! is read, before anything is ingested.

pub(crate) mod beir;
mod conversation;
mod corpus;
mod excerpts;
mod json_lines;
mod keyed_values;
mod offsets;
mod oracle;
pub(crate) mod output;
mod packing;
mod plan;
mod ranking;
pub(crate) mod recall_plot;
mod report;
mod run_comparison;
mod session;

use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;

use beir::BeirDataset;
use conversation::ConversationFigures;
use corpus::{CorpusIdentity, DocumentIterator};
use excerpts::ExcerptDataset;
use output::OutputFile;
use plan::EvaluationPlan;
use run_comparison::{OtherRun, RunComparison};
use session::EvaluationSession;

use super::console::ConsoleOutput;
use super::exit::{CommandExitCode, CommandFailure};
use super::global_args::{GlobalArgs, read_pipeline};
use super::scratch::ScratchDirectory;
use super::signals::shutdown_signal;
use crate::wiring::{ProcessRole, ServiceStack};
use contexture_core::context::request::TOKENIZER_DEFAULT;
use contexture_core::domain::ids::CollectionId;
use contexture_core::domain::pipeline::{DEFAULT_PIPELINE_TOML, Pipeline};
use contexture_core::fault::Refusal;

/// What `eval` takes.
#[derive(Debug, Args)]
pub(crate) struct EvalArgs {
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

enum EvaluationDataset {
    Beir(BeirDataset),
    Excerpts(ExcerptDataset),
}

#[derive(Serialize)]
#[serde(untagged)]
enum DatasetFigures {
    Beir(ranking::RankingReport),
    Excerpts(report::PackingReport),
}

#[derive(Serialize)]
struct EvaluationReport {
    #[serde(flatten)]
    figures: DatasetFigures,
    #[serde(skip_serializing_if = "Option::is_none")]
    conversations: Option<ConversationFigures>,
    #[serde(skip_serializing_if = "Option::is_none")]
    against: Option<RunComparison>,
}

/// What is read from and written to beside the set.
struct EvaluationFiles {
    per_question: Option<OutputFile>,
    picture: Option<OutputFile>,
    other: Option<OtherRun>,
}

/// Ingests the set's documents, asks its questions, prints the figures.
pub(crate) async fn run(
    arguments: EvalArgs,
    global: &GlobalArgs,
    console: ConsoleOutput,
) -> Result<CommandExitCode, CommandFailure> {
    let dataset = EvaluationDataset::read(&arguments.dataset)?;
    let plan = EvaluationPlan::new(&arguments, &dataset)?;
    // The default is written out, so that its fingerprint changes when it does.
    let pipeline = read_pipeline(arguments.pipeline.as_deref())?
        .map_or_else(|| Pipeline::from_toml(DEFAULT_PIPELINE_TOML), Ok)?;
    let files = EvaluationFiles::open(&arguments, &plan, &dataset)?;
    let config = global.config()?;
    let scratch = if global.data.is_none() { Some(ScratchDirectory::new("eval")?) } else { None };
    let data_dir =
        scratch.as_ref().map_or_else(|| config.data_dir.clone(), |scratch| scratch.path().to_owned());
    let config = config.embedded_in(data_dir).reading_for(Some(&arguments.tokenizer));
    let body_bytes_max = config.limits.body_bytes_max;
    let stack = ServiceStack::open(&config, ProcessRole::Change).await?;
    let measured = async {
        let tokenizer = stack.reader(&arguments.tokenizer)?;
        let collection =
            ingest_dataset(&stack, &dataset, &arguments, &pipeline, body_bytes_max, console).await?;
        let EvaluationFiles { per_question, picture, other } = files;
        let session =
            EvaluationSession::new(&stack, collection, tokenizer, arguments.top_k, per_question, console);
        let report = ask_questions(&dataset, session, &plan, other.as_ref()).await?;
        report.draw(&arguments.name(), picture)?;
        Ok::<EvaluationReport, CommandFailure>(report)
    };
    let outcome = tokio::select! {
        report = measured => report,
        () = shutdown_signal() => Err(CommandFailure::failed("interrupted", "interrupted before all questions were asked")),
    };
    stack.shutdown().await;
    console.result(&outcome?, EvaluationReport::text)?;
    Ok(CommandExitCode::Done)
}

/// Makes the documents of the set visible in a collection of their own.
async fn ingest_dataset(
    stack: &ServiceStack,
    dataset: &EvaluationDataset,
    arguments: &EvalArgs,
    pipeline: &Pipeline,
    body_bytes_max: usize,
    console: ConsoleOutput,
) -> Result<CollectionId, CommandFailure> {
    let identity = CorpusIdentity::compute(&arguments.name(), &pipeline.to_toml()?, dataset.documents()?)?;
    corpus::fill_collection(stack, &identity, pipeline, body_bytes_max, dataset.documents()?, console)
        .await?;
    Ok(identity.collection)
}

/// Asks the questions, and compares the answers with those of another run.
async fn ask_questions(
    dataset: &EvaluationDataset,
    mut session: EvaluationSession<'_>,
    plan: &EvaluationPlan,
    other: Option<&OtherRun>,
) -> Result<EvaluationReport, CommandFailure> {
    let figures = match dataset {
        EvaluationDataset::Beir(set) => {
            DatasetFigures::Beir(ranking::evaluate_ranking(set, &mut session, plan).await?)
        }
        EvaluationDataset::Excerpts(set) => {
            DatasetFigures::Excerpts(packing::evaluate_packing(set, &mut session, plan).await?)
        }
    };
    let conversations = match (dataset, plan.turns) {
        (EvaluationDataset::Excerpts(set), Some(turns)) => {
            Some(conversation::hold_conversations(set, &mut session, plan, turns).await?)
        }
        _ => None,
    };
    let records = session.finish()?;
    let against = other.map(|other| other.compare(&records)).transpose()?;
    Ok(EvaluationReport { figures, conversations, against })
}

impl EvalArgs {
    /// What the set is called.
    fn name(&self) -> String {
        let folder = self.dataset.canonicalize().unwrap_or_else(|_| self.dataset.clone());
        folder.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }
}

impl EvaluationFiles {
    /// Reads first: the other run's file may be the one that is written next.
    fn open(
        arguments: &EvalArgs,
        plan: &EvaluationPlan,
        dataset: &EvaluationDataset,
    ) -> Result<Self, Refusal> {
        let other = arguments.against.as_deref().map(OtherRun::read).transpose()?;
        if let Some(other) = &other {
            other.shares(&dataset.ids(plan))?;
        }
        let create =
            |path: Option<&Path>, option| path.map(|path| OutputFile::create(path, option)).transpose();
        let per_question = create(arguments.per_question.as_deref(), "per-question")?;
        let picture = create(arguments.svg.as_deref(), "svg")?;
        Ok(Self { per_question, picture, other })
    }
}

impl EvaluationDataset {
    fn read(folder: &Path) -> Result<Self, Refusal> {
        if BeirDataset::is_at(folder) {
            return BeirDataset::read(folder).map(Self::Beir);
        }
        if ExcerptDataset::is_at(folder) {
            return ExcerptDataset::read(folder).map(Self::Excerpts);
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

    fn documents(&self) -> Result<DocumentIterator, Refusal> {
        match self {
            Self::Beir(set) => set.documents(),
            Self::Excerpts(set) => Ok(set.documents()),
        }
    }

    /// The ids of the questions that will be asked.
    fn ids(&self, plan: &EvaluationPlan) -> Vec<&str> {
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

impl EvaluationReport {
    fn text(&self) -> String {
        let figures = match &self.figures {
            DatasetFigures::Beir(report) => report.text(),
            DatasetFigures::Excerpts(report) => report.text(),
        };
        let conversations = self.conversations.iter().map(ConversationFigures::text);
        let more = conversations.chain(self.against.iter().map(RunComparison::text));
        more.fold(figures, |text, part| format!("{text}\n{part}"))
    }

    fn draw(&self, name: &str, output: Option<OutputFile>) -> Result<(), CommandFailure> {
        let (Some(mut output), DatasetFigures::Excerpts(report)) = (output, &self.figures) else {
            return Ok(());
        };
        output.line(&recall_plot::draw_recall_plot(
            &format!("Recall within a token budget: {name}"),
            &report.lines(),
        ))?;
        output.finish()
    }
}
