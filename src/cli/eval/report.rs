//! The figures of an excerpt set: as JSON, as text, and as curves of a plot.

use serde::Serialize;

use super::keyed_values::{TokenBudgets, ValueByBudget, ValueByPacker};
use super::oracle::OracleCeilings;
use super::plan::EvaluationPlan;
use super::recall_plot::RecallCurve;
use super::session::EvaluationTiming;
use crate::cli::text_format::{self, ColumnAlignment, TextTable};
use contexture_lab::baselines::BaselinePacker;
use contexture_lab::measure::bootstrap::BootstrapInterval;
use contexture_lab::measure::retrieval_metrics::{CoverageOverlap, mean};

/// Chunks of a search result that are measured.
pub(crate) const CHUNKS_COUNTED: usize = 5;

/// The recall of a packer.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct PackerRecall {
    pub(crate) recall_at_budget: ValueByBudget<f64>,
}

/// The figures of one question.
#[derive(Debug, Serialize)]
pub(crate) struct PackingFigures<'a> {
    pub(crate) question_id: &'a str,
    #[serde(flatten)]
    pub(crate) overlap: CoverageOverlap,
    #[serde(flatten)]
    pub(crate) assembler: PackerRecall,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) baselines: Option<ValueByPacker<PackerRecall>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) oracle: Option<OracleCeilings>,
    /// Contexts of the assembler above their budget; always 0 if it keeps its promise.
    #[serde(skip)]
    pub(crate) over_budget: u64,
}

/// The mean figures. The first five names are a contract.
#[derive(Debug, Serialize)]
pub(crate) struct PackingReport {
    #[serde(flatten)]
    overlap: CoverageOverlap,
    #[serde(flatten)]
    assembler: PackerRecall,
    over_budget: u64,
    queries: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    baselines: Option<ValueByPacker<PackerRecall>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    assembler_minus: Option<ValueByPacker<ValueByBudget<BootstrapInterval>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    oracle: Option<OracleCeilings>,
    #[serde(flatten)]
    spent: EvaluationTiming,
}

impl PackingReport {
    /// The means over all questions.
    pub(crate) fn new(all: &[PackingFigures], plan: &EvaluationPlan, spent: EvaluationTiming) -> Self {
        let budgets = &plan.budgets;
        let overlaps = || all.iter().map(|figures| figures.overlap);
        let ceilings = all.iter().filter_map(|figures| figures.oracle.as_ref());
        Self {
            overlap: CoverageOverlap {
                recall: mean(overlaps().map(|overlap| overlap.recall)),
                precision: mean(overlaps().map(|overlap| overlap.precision)),
                iou: mean(overlaps().map(|overlap| overlap.iou)),
            },
            assembler: PackerRecall {
                recall_at_budget: budgets
                    .means(&all.iter().map(|figures| &figures.assembler.recall_at_budget)),
            },
            over_budget: all.iter().map(|figures| figures.over_budget).sum(),
            queries: all.len() as u64,
            baselines: plan.baselines.then(|| baseline_recalls(all, budgets)),
            assembler_minus: plan.baselines.then(|| baseline_differences(all, budgets)),
            oracle: plan.oracle.then(|| OracleCeilings::mean(ceilings, budgets)),
            spent,
        }
    }

    /// The figures for a person.
    pub(crate) fn text(&self) -> String {
        let mut lines =
            TextTable::new(&[("figure", ColumnAlignment::Left), ("value", ColumnAlignment::Right)]);
        let mut row = |name: String, value: f64| lines.row([name, format!("{value:.4}")]);
        row(format!("recall at {CHUNKS_COUNTED} chunks"), self.overlap.recall);
        row(format!("precision at {CHUNKS_COUNTED} chunks"), self.overlap.precision);
        row(format!("IoU at {CHUNKS_COUNTED} chunks"), self.overlap.iou);
        for (budget, recall) in &self.assembler.recall_at_budget.0 {
            row(format!("recall at {budget} tokens"), *recall);
        }
        lines.row(["contexts over budget".to_owned(), text_format::count(self.over_budget)]);
        lines.row(["questions".to_owned(), text_format::count(self.queries)]);
        let (beside, differences) =
            (self.comparison_table(), self.assembler_minus.as_ref().map(differences_text));
        format!(
            "{}{}{}{}",
            lines.render(),
            beside.map(|table| format!("\n{table}")).unwrap_or_default(),
            differences.map(|table| format!("\n{table}\n")).unwrap_or_default(),
            self.spent.text()
        )
    }

    /// Curves of recall by budget, the assembler first.
    pub(crate) fn curves(&self) -> Vec<RecallCurve> {
        let line = |name: &str, reached: &PackerRecall| RecallCurve {
            name: name.to_owned(),
            points: reached.recall_at_budget.0.clone(),
        };
        let others = self.baselines.iter().flat_map(|baselines| &baselines.0);
        std::iter::once(line("assembler", &self.assembler))
            .chain(others.map(|(name, reached)| line(name, reached)))
            .collect()
    }

    /// A table of the assembler, baselines and oracles, if baselines or oracles were measured.
    fn comparison_table(&self) -> Option<String> {
        if self.baselines.is_none() && self.oracle.is_none() {
            return None;
        }
        let mut lines = budget_table("recall at tokens", &self.assembler.recall_at_budget);
        let mut row = |name: &str, figures: &ValueByBudget<f64>| {
            let cells = figures.values().map(|recall| format!("{recall:.4}"));
            lines.row(std::iter::once(name.to_owned()).chain(cells));
        };
        row("assembler", &self.assembler.recall_at_budget);
        for (name, reached) in self.baselines.iter().flat_map(|baselines| &baselines.0) {
            row(name, &reached.recall_at_budget);
        }
        if let Some(ceilings) = &self.oracle {
            // Retrieval has no budget, so its value stands in every column.
            let everywhere = self.assembler.recall_at_budget.0.iter();
            row("oracle: ranking", &ceilings.ranking);
            row("oracle: borders", &ceilings.borders);
            row("oracle: retrieval", &everywhere.map(|(budget, _)| (*budget, ceilings.retrieval)).collect());
        }
        Some(lines.render())
    }
}

fn baseline_recalls(all: &[PackingFigures], budgets: &TokenBudgets) -> ValueByPacker<PackerRecall> {
    let reached = |(place, baseline): (usize, BaselinePacker)| {
        // Every question lists its baselines in the order of `ALL`, so a place identifies one.
        let measured = all.iter().filter_map(|figures| figures.baselines.as_ref());
        let measured = measured.map(|baselines| &baselines.0[place].1.recall_at_budget);
        (baseline.name(), PackerRecall { recall_at_budget: budgets.means(&measured) })
    };
    BaselinePacker::ALL.into_iter().enumerate().map(reached).collect()
}

/// Paired differences of the assembler and each baseline, with intervals.
fn baseline_differences(
    all: &[PackingFigures],
    budgets: &TokenBudgets,
) -> ValueByPacker<ValueByBudget<BootstrapInterval>> {
    let at = |place: usize, budget_place: usize| {
        let difference = |figures: &PackingFigures| {
            let baseline = &figures.baselines.as_ref()?.0[place].1.recall_at_budget;
            Some(figures.assembler.recall_at_budget.0[budget_place].1 - baseline.0[budget_place].1)
        };
        BootstrapInterval::from_differences(&all.iter().filter_map(difference).collect::<Vec<f64>>())
    };
    let against = |(place, baseline): (usize, BaselinePacker)| {
        let intervals = budgets.iter().enumerate().map(|(at_budget, budget)| (budget, at(place, at_budget)));
        (baseline.name(), intervals.collect())
    };
    BaselinePacker::ALL.into_iter().enumerate().map(against).collect()
}

/// The differences as text.
pub(crate) fn differences_text(differences: &ValueByPacker<ValueByBudget<BootstrapInterval>>) -> String {
    let Some((_, first)) = differences.0.first() else { return String::new() };
    let mut lines = budget_table("assembler minus", first);
    for (name, intervals) in &differences.0 {
        lines.row(std::iter::once((*name).to_owned()).chain(intervals.values().map(BootstrapInterval::text)));
    }
    format!("{}Means of paired differences with 95 % intervals, in hundredths.\n", lines.render())
}

/// A table with a column for each budget.
pub(crate) fn budget_table<V>(title: &str, figures: &ValueByBudget<V>) -> TextTable {
    let budgets: Vec<String> =
        figures.0.iter().map(|(budget, _)| text_format::count(*budget as u64)).collect();
    let mut columns = vec![(title, ColumnAlignment::Left)];
    columns.extend(budgets.iter().map(|budget| (budget.as_str(), ColumnAlignment::Right)));
    TextTable::new(&columns)
}
