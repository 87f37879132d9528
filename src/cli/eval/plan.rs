//! The evaluation plan: raw options and the layout of the set become one checked plan.

use std::path::{Path, PathBuf};

use clap::Args;

use super::beir::BeirDataset;
use super::corpus::DocumentIterator;
use super::excerpts::ExcerptDataset;
use super::keyed_values::TokenBudgets;
use contexture_core::context::request::TOKENIZER_DEFAULT;
use contexture_core::fault::Refusal;

/// Default budgets of excerpt questions.
const EXCERPT_BUDGETS: [i64; 3] = [500, 1000, 2000];
/// Default budgets of a plot: enough of them to see a curve.
const PLOT_BUDGETS: [i64; 6] = [125, 250, 500, 1000, 2000, 4000];
/// Default budget of a BEIR set. Large, so that most documents are in the context.
const BEIR_BUDGETS: [i64; 1] = [8000];

/// What `eval` takes.
#[derive(Debug, Args)]
pub(crate) struct EvalArgs {
    /// A folder with corpus.jsonl, queries.jsonl and qrels/, or with corpora/ and questions.jsonl
    #[arg(long, value_name = "DIR")]
    pub(super) dataset: PathBuf,
    /// The pipeline to measure, a TOML file
    #[arg(long, value_name = "FILE")]
    pub(super) pipeline: Option<PathBuf>,
    /// The tokenizer that budgets are counted in, a name or a file as for `query`
    #[arg(long, value_name = "NAME|FILE", default_value = TOKENIZER_DEFAULT)]
    pub(super) tokenizer: String,
    /// Chunks to consider per question [default: 100]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub(super) top_k: Option<i64>,
    /// Ask only the first N questions
    #[arg(long, value_name = "N")]
    pub(super) limit: Option<usize>,
    /// Token budgets to assemble for [default: 500,1000,2000; with --svg 125 to 4000, doubling;
    /// 8000 on a BEIR folder, where it takes --baselines]
    #[arg(long, value_name = "N,N,…", value_delimiter = ',', allow_negative_numbers = true)]
    pub(super) budgets: Option<Vec<i64>>,
    /// Measure simpler packers beside the assembler, on the same candidates; on a BEIR folder,
    /// the order of documents in contexts beside the ranking
    #[arg(long)]
    pub(super) baselines: bool,
    /// Measure what perfect retrieval, ranking or borders would reach (excerpt questions)
    #[arg(long)]
    pub(super) oracle: bool,
    /// Hold conversations of N questions of one document, each context going on from the one before
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(2..))]
    pub(super) turns: Option<u8>,
    /// Write one JSON object per question to this file
    #[arg(long, value_name = "FILE")]
    pub(super) per_question: Option<PathBuf>,
    /// Compare with another run, by the file its --per-question wrote
    #[arg(long, value_name = "FILE")]
    pub(super) against: Option<PathBuf>,
    /// Draw recall against budget into this file (excerpt questions)
    #[arg(long, value_name = "FILE")]
    pub(super) svg: Option<PathBuf>,
}

/// A set of documents and questions with known answers.
pub(super) enum EvaluationDataset {
    Beir(BeirDataset),
    Excerpts(ExcerptDataset),
}

/// What is measured, checked.
#[derive(Debug)]
pub(crate) struct EvaluationPlan {
    /// Token budgets of the contexts.
    pub(crate) budgets: TokenBudgets,
    /// Whether baselines are measured, too.
    pub(crate) baselines: bool,
    /// Whether oracle ceilings are measured.
    pub(crate) oracle: bool,
    /// Turns of a conversation, if conversations are measured.
    pub(crate) turns: Option<usize>,
    limit: usize,
}

impl EvalArgs {
    /// The name of the set: the name of its folder.
    pub(super) fn name(&self) -> String {
        // Resolved first, because `.` and `..` have no name.
        let folder = self.dataset.canonicalize().unwrap_or_else(|_| self.dataset.clone());
        folder.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }
}

impl EvaluationDataset {
    /// Reads the set, by the layout that its files show.
    pub(super) fn read(folder: &Path) -> Result<Self, Refusal> {
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

    /// The documents of the set.
    pub(super) fn documents(&self) -> Result<DocumentIterator, Refusal> {
        match self {
            Self::Beir(set) => set.documents(),
            Self::Excerpts(set) => Ok(set.documents()),
        }
    }
}

impl EvaluationPlan {
    /// Refuses options that do not fit the layout of the set.
    pub(super) fn new(arguments: &EvalArgs, dataset: &EvaluationDataset) -> Result<Self, Refusal> {
        let fallback = match dataset {
            EvaluationDataset::Excerpts(_) if arguments.svg.is_some() => &PLOT_BUDGETS[..],
            EvaluationDataset::Excerpts(_) => &EXCERPT_BUDGETS,
            EvaluationDataset::Beir(_) => {
                refuse_on_beir(arguments)?;
                &BEIR_BUDGETS
            }
        };
        Ok(Self {
            budgets: TokenBudgets::new(arguments.budgets.as_deref().unwrap_or(fallback))?,
            baselines: arguments.baselines,
            oracle: arguments.oracle,
            turns: arguments.turns.map(usize::from),
            limit: arguments.limit.unwrap_or(usize::MAX),
        })
    }

    /// The questions to ask: the first ones, up to the limit.
    pub(crate) fn first<'a, T>(&self, questions: &'a [T]) -> &'a [T] {
        &questions[..questions.len().min(self.limit)]
    }

    /// The ids of the questions that will be asked.
    pub(super) fn question_ids<'a>(&self, dataset: &'a EvaluationDataset) -> Vec<&'a str> {
        match dataset {
            EvaluationDataset::Beir(set) => {
                self.first(set.questions()).iter().map(|question| question.id.as_str()).collect()
            }
            EvaluationDataset::Excerpts(set) => {
                self.first(set.questions()).iter().map(|question| question.id.as_str()).collect()
            }
        }
    }
}

fn refuse_on_beir(arguments: &EvalArgs) -> Result<(), Refusal> {
    let refuse = |option: &str, why: &str| {
        let message = format!("--{option} on a set in BEIR's layout {why}");
        Err(Refusal::invalid("option_not_for_dataset", option, message))
    };
    if arguments.oracle {
        return refuse("oracle", "has nothing to tell: it takes excerpt questions");
    }
    if arguments.svg.is_some() {
        return refuse("svg", "has nothing to draw: it takes excerpt questions");
    }
    if arguments.turns.is_some() {
        return refuse("turns", "holds no conversations: it takes excerpt questions");
    }
    if arguments.budgets.is_some() && !arguments.baselines {
        return refuse("budgets", "takes --baselines: nothing is assembled without");
    }
    Ok(())
}
