//! `contexture eval`: retrieval and packing against questions with known answers.
//!
//! The layout of the set is recognised by its files. Without `--data` everything happens in a temporary
//! directory. With it, the ingested collection is kept, and a later run with the same documents and
//! pipeline only asks questions. Output files are opened, and a run to compare with is read, before
//! anything is ingested.

pub(crate) mod beir;
mod conversation;
mod corpus;
mod excerpts;
pub(crate) mod files;
mod keyed_values;
mod oracle;
mod packing;
mod plan;
mod ranking;
mod recall_plot;
mod report;
mod run_comparison;
mod session;

use std::path::Path;

use serde::Serialize;

use conversation::ConversationFigures;
use corpus::CorpusIdentity;
use files::OutputFile;
use plan::{EvaluationDataset, EvaluationPlan};
use run_comparison::{OtherRun, RunComparison};
use session::EvaluationSession;

pub(crate) use plan::EvalArgs;

use super::console::ConsoleOutput;
use super::exit::{CommandExitCode, CommandFailure};
use super::global_args::{GlobalArgs, read_pipeline};
use super::scratch::ScratchDirectory;
use super::signals::shutdown_signal;
use crate::wiring::{ProcessRole, ServiceStack};
use contexture_core::domain::ids::CollectionId;
use contexture_core::domain::pipeline::{DEFAULT_PIPELINE_TOML, Pipeline};
use contexture_core::fault::Refusal;

/// The figures of either layout.
#[derive(Serialize)]
#[serde(untagged)]
enum DatasetFigures {
    Beir(ranking::RankingReport),
    Excerpts(report::PackingReport),
}

/// The result of an evaluation. The field names are a contract.
#[derive(Serialize)]
struct EvaluationReport {
    #[serde(flatten)]
    figures: DatasetFigures,
    #[serde(skip_serializing_if = "Option::is_none")]
    conversations: Option<ConversationFigures>,
    #[serde(skip_serializing_if = "Option::is_none")]
    against: Option<RunComparison>,
}

/// Files beside the set: two that are written, and one that is read.
struct EvaluationFiles {
    per_question: Option<OutputFile>,
    plot: Option<OutputFile>,
    other: Option<OtherRun>,
}

/// Ingests the documents of the set, asks its questions and prints the figures.
pub(crate) async fn run(
    arguments: EvalArgs,
    global: &GlobalArgs,
    console: ConsoleOutput,
) -> Result<CommandExitCode, CommandFailure> {
    let dataset = EvaluationDataset::read(&arguments.dataset)?;
    let plan = EvaluationPlan::new(&arguments, &dataset)?;
    // The default pipeline is part of the corpus fingerprint, so that changing it invalidates kept collections.
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
    // Not awaited yet: the future is raced against the shutdown signal below.
    let measured = async {
        let tokenizer = stack.reader(&arguments.tokenizer)?;
        let collection =
            ingest_dataset(&stack, &dataset, &arguments, &pipeline, body_bytes_max, console).await?;
        let EvaluationFiles { per_question, plot, other } = files;
        let session =
            EvaluationSession::new(&stack, collection, tokenizer, arguments.top_k, per_question, console);
        let report = ask_questions(&dataset, session, &plan, other.as_ref()).await?;
        report.draw(&arguments.name(), plot)?;
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

/// Ingests the documents of the set into a collection of their own.
async fn ingest_dataset(
    stack: &ServiceStack,
    dataset: &EvaluationDataset,
    arguments: &EvalArgs,
    pipeline: &Pipeline,
    body_bytes_max: usize,
    console: ConsoleOutput,
) -> Result<CollectionId, CommandFailure> {
    // The documents are read twice, once for the fingerprint: a corpus need not fit into memory.
    let identity = CorpusIdentity::compute(&arguments.name(), &pipeline.to_toml()?, dataset.documents()?)?;
    corpus::fill_collection(stack, &identity, pipeline, body_bytes_max, dataset.documents()?, console)
        .await?;
    Ok(identity.collection)
}

/// Asks the questions, and compares the figures with those of another run.
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

impl EvaluationFiles {
    /// Opens the output files, and reads the run to compare with.
    fn open(
        arguments: &EvalArgs,
        plan: &EvaluationPlan,
        dataset: &EvaluationDataset,
    ) -> Result<Self, Refusal> {
        // Read before the output is created, which empties its file: both may be the same one.
        let other = arguments.against.as_deref().map(OtherRun::read).transpose()?;
        if let Some(other) = &other {
            other.check_common_questions(&plan.question_ids(dataset))?;
        }
        let create =
            |path: Option<&Path>, option| path.map(|path| OutputFile::create(path, option)).transpose();
        let per_question = create(arguments.per_question.as_deref(), "per-question")?;
        let plot = create(arguments.svg.as_deref(), "svg")?;
        Ok(Self { per_question, plot, other })
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

    /// Draws the recall curves, if a file for them was named.
    fn draw(&self, name: &str, output: Option<OutputFile>) -> Result<(), CommandFailure> {
        let (Some(mut output), DatasetFigures::Excerpts(report)) = (output, &self.figures) else {
            return Ok(());
        };
        output.line(&recall_plot::draw_recall_plot(
            &format!("Recall within a token budget: {name}"),
            &report.curves(),
        ))?;
        output.finish()
    }
}
