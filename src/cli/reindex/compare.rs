//! `reindex compare`: asks two generations the same questions. `activate` uses it as a gate.

use std::path::PathBuf;

use clap::Args;

use super::{GenerationOperations, questions, report};
use crate::cli::console::ConsoleOutput;
use crate::cli::eval::files::OutputFile;
use crate::cli::exit::{CommandExitCode, CommandFailure};
use crate::cli::progress_meter::ProgressMeter;
use crate::cli::signals::shutdown_signal;
use crate::cli::text_format::{self, ColumnAlignment, TextTable};
use contexture_core::context::request::TOKENIZER_DEFAULT;
use contexture_core::domain::ids::GenerationNumber;
use contexture_core::fault::Refusal;
use contexture_lab::compare::report::{AnswerSimilarity, JudgedQuality};
use contexture_lab::compare::requirements::ComparisonRequirement;
use contexture_lab::compare::{self, BUDGET_DEFAULT, DEPTH_DEFAULT, GenerationComparison};

/// What to ask, and what to require.
#[derive(Debug, Args)]
pub(super) struct ComparisonArgs {
    /// Questions to ask: one per line, or JSON lines with `question`, `id` and `relevant`
    #[arg(long, value_name = "FILE")]
    questions: Option<PathBuf>,
    /// The questions and judgements of a folder in BEIR's layout
    #[arg(long, value_name = "DIR", conflicts_with = "questions")]
    dataset: Option<PathBuf>,
    /// The questions that `serve` kept (`retrieval.sample_questions`)
    #[arg(long, conflicts_with_all = ["questions", "dataset"])]
    sampled: bool,
    /// Documents to compare per question
    #[arg(long, value_name = "N", default_value_t = DEPTH_DEFAULT)]
    top_k: usize,
    /// Tokens of the contexts to compare
    #[arg(long, value_name = "TOKENS", default_value_t = BUDGET_DEFAULT)]
    budget: usize,
    /// The tokenizer that counts them, a name or a file as for `query`
    #[arg(long, value_name = "NAME|FILE", default_value = TOKENIZER_DEFAULT)]
    tokenizer: String,
    /// What has to hold, such as `overlap@10>=0.8`, `ndcg_delta>=-0.01` or `p95_ratio<=1.5`; may be repeated
    #[arg(long, value_name = "REQUIREMENT")]
    require: Vec<String>,
    /// Write a page with pictures to this file
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
}

/// A checked request, and the opened file of its report.
pub(super) struct PreparedComparison {
    request: compare::ComparisonRequest,
    report: Option<OutputFile>,
}

impl ComparisonArgs {
    /// The tokenizer, if there is something to ask.
    pub(super) fn tokenizer(&self) -> Option<&str> {
        // Without questions the default tokenizer is not needed, so nothing is loaded for it.
        self.asks().then_some(&*self.tokenizer)
    }

    /// Whether there is something to ask.
    pub(super) fn asks(&self) -> bool {
        self.questions.is_some() || self.dataset.is_some() || self.sampled
    }

    /// Reads the questions. Refuses if there are none to ask.
    pub(super) fn read(&self) -> Result<PreparedComparison, Refusal> {
        let questions = match (&self.questions, &self.dataset) {
            (Some(file), _) => Some(questions::read_question_file(file)?),
            (None, Some(folder)) => Some(questions::read_dataset_questions(folder)?),
            (None, None) if self.sampled => None,
            (None, None) => {
                let message = "there is nothing to ask; give --questions FILE, --dataset DIR or --sampled";
                return Err(Refusal::invalid("questions_missing", "questions", message));
            }
        };
        let requirements = ComparisonRequirement::parse_all(&self.require, self.top_k)?;
        let request = compare::ComparisonRequest {
            questions,
            generations: None,
            depth: self.top_k,
            budget: self.budget,
            tokenizer: self.tokenizer.clone(),
            requirements,
        };
        request.check_judged()?;
        // Created last, because it empties a file: a refused request must not.
        let report = self.report.as_deref().map(|path| OutputFile::create(path, "report")).transpose()?;
        Ok(PreparedComparison { request, report })
    }

    /// Reads the questions of a gate before an activation, if there is one.
    pub(super) fn read_gate(&self) -> Result<Option<PreparedComparison>, Refusal> {
        if !self.asks() && self.require.is_empty() && self.report.is_none() {
            return Ok(None);
        }
        // Questions without a requirement would delay the activation and could not stop it.
        if self.asks() && self.require.is_empty() {
            let message = "what has to hold? give --require, or look first with reindex compare";
            return Err(Refusal::invalid("requirement_missing", "require", message));
        }
        self.read().map(Some)
    }
}

/// Reads `A,B`.
pub(super) fn parse_generations(text: &str) -> Result<[GenerationNumber; 2], String> {
    let read = |number: &str| number.trim().parse::<GenerationNumber>().ok();
    let pair = text.split_once(',').and_then(|(first, second)| Some([read(first)?, read(second)?]));
    pair.ok_or_else(|| format!("'{text}' is not two numbers, such as 1,2"))
}

/// Compares and prints. The exit code is `Failed` if a requirement is not met.
pub(super) async fn run(
    operations: &dyn GenerationOperations,
    prepared: PreparedComparison,
    generations: Option<[GenerationNumber; 2]>,
    console: ConsoleOutput,
) -> Result<CommandExitCode, CommandFailure> {
    let comparison = measure_generations(operations, prepared, generations, console).await?;
    console.result(&comparison, comparison_text)?;
    let broken = comparison.broken();
    for line in &broken {
        console.note(line);
    }
    Ok(if broken.is_empty() { CommandExitCode::Done } else { CommandExitCode::Failed })
}

/// Compares before an activation. Fails with `comparison_failed` if a requirement is not met.
pub(super) async fn require_before_activation(
    operations: &dyn GenerationOperations,
    prepared: PreparedComparison,
    console: ConsoleOutput,
) -> Result<(), CommandFailure> {
    let comparison = measure_generations(operations, prepared, None, console).await?;
    console.say(&comparison_text(&comparison))?;
    let broken = comparison.broken();
    if broken.is_empty() {
        return Ok(());
    }
    let message = format!("generation {} is not activated: {}", comparison.generations.b, broken.join("; "));
    Err(CommandFailure::failed("comparison_failed", message))
}

async fn measure_generations(
    operations: &dyn GenerationOperations,
    prepared: PreparedComparison,
    generations: Option<[GenerationNumber; 2]>,
    console: ConsoleOutput,
) -> Result<GenerationComparison, CommandFailure> {
    let PreparedComparison { request, report } = prepared;
    let request = compare::ComparisonRequest { generations, ..request };
    let mut meter: Option<ProgressMeter> = None;
    let show = |done: usize, total: usize| {
        let meter =
            meter.get_or_insert_with(|| ProgressMeter::new("compare", "questions", total as u64, console));
        meter.update(done as u64, "");
    };
    let comparison = tokio::select! {
        comparison = operations.compare(request, Box::new(show)) => comparison?,
        () = shutdown_signal() => {
            return Err(CommandFailure::failed("interrupted", "interrupted before all questions were asked"));
        }
    };
    if let Some(mut report) = report {
        report.line(&report::comparison_page(&comparison))?;
        report.finish()?;
    }
    Ok(comparison)
}

/// The comparison as text, without its questions.
fn comparison_text(comparison: &GenerationComparison) -> String {
    let GenerationComparison { generations, questions, failed, top_k, .. } = comparison;
    let failed = match failed {
        0 => String::new(),
        failed => format!(", {} failed", text_format::count(*failed as u64)),
    };
    let mut parts = vec![format!(
        "generation {} against {}, {}{failed}\n",
        generations.b,
        generations.a,
        text_format::count_with_noun(*questions as u64, "question")
    )];
    parts.extend(comparison.likeness.as_ref().map(|likeness| likeness_table(likeness, *top_k)));
    parts.push(generations_table(comparison));
    if !comparison.requirements.is_empty() {
        parts.push(requirements_table(comparison));
    }
    parts.join("\n")
}

fn likeness_table(likeness: &AnswerSimilarity, top_k: usize) -> String {
    let mut lines = TextTable::new(&[("alike", ColumnAlignment::Left), ("mean", ColumnAlignment::Right)]);
    let mut row = |name: String, value: f64| lines.row([name, format!("{value:.3}")]);
    row(format!("overlap@{top_k} of documents"), likeness.overlap);
    row("rank-biased overlap".to_owned(), likeness.rbo);
    row("Kendall's tau".to_owned(), likeness.kendall_tau);
    row("overlap of contexts".to_owned(), likeness.context_overlap);
    lines.render()
}

fn generations_table(comparison: &GenerationComparison) -> String {
    let (a, b) = (comparison.generations.a.to_string(), comparison.generations.b.to_string());
    let columns = [
        ("generation", ColumnAlignment::Left),
        (&*a, ColumnAlignment::Right),
        (&*b, ColumnAlignment::Right),
        ("change", ColumnAlignment::Right),
    ];
    let mut lines = TextTable::new(&columns);
    let depth = comparison.top_k;
    if let Some(JudgedQuality { questions, ndcg, ndcg_delta, recall, recall_delta }) = &comparison.judged {
        let counted = text_format::count_with_noun(*questions as u64, "question");
        for (name, figure, delta) in [("nDCG", ndcg, ndcg_delta), ("recall", recall, recall_delta)] {
            lines.row([
                format!("{name}@{depth} of {counted}, in hundredths"),
                format!("{:.1}", figure.a * 100.0),
                format!("{:.1}", figure.b * 100.0),
                delta.text(),
            ]);
        }
    }
    let (of_a, of_b, ratio) = (&comparison.latency_ms.a, &comparison.latency_ms.b, &comparison.latency_ratio);
    for (((name, of_a), (_, of_b)), (_, ratio)) in
        of_a.named().into_iter().zip(of_b.named()).zip(ratio.named())
    {
        lines.row([
            format!("a context at {name}, ms"),
            format!("{of_a:.1}"),
            format!("{of_b:.1}"),
            format!("× {ratio:.2}"),
        ]);
    }
    let (of_a, of_b) = (comparison.degraded.a as u64, comparison.degraded.b as u64);
    lines.row([
        "degraded answers".to_owned(),
        text_format::count(of_a),
        text_format::count(of_b),
        String::new(),
    ]);
    lines.render()
}

fn requirements_table(comparison: &GenerationComparison) -> String {
    let mut lines = TextTable::new(&[
        ("required", ColumnAlignment::Left),
        ("measured", ColumnAlignment::Right),
        ("holds", ColumnAlignment::Left),
    ]);
    for checked in &comparison.requirements {
        lines.row([
            checked.requirement.clone(),
            checked.value.map_or_else(|| "-".to_owned(), |value| format!("{value:.4}")),
            if checked.met { "yes" } else { "no" }.to_owned(),
        ]);
    }
    lines.render()
}
