//! The figures of an excerpt set: for a program, for a person, and as lines of a picture.

use serde::Serialize;

use super::Plan;
use super::keyed::{AtBudget, Budgets, ByPacker};
use super::oracle::Ceilings;
use super::packing::{CHUNKS, Figures, Reached};
use super::picture::Line;
use super::session::Spent;
use crate::cli::table::{self, Align, Table};
use crate::context::baselines::Baseline;
use crate::jobs::measure::bootstrap::Interval;
use crate::jobs::measure::metrics::{Overlap, mean};

/// The averages; the first five names are a contract.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    #[serde(flatten)]
    overlap: Overlap,
    #[serde(flatten)]
    assembler: Reached,
    over_budget: u64,
    queries: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    baselines: Option<ByPacker<Reached>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    assembler_minus: Option<ByPacker<AtBudget<Interval>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    oracle: Option<Ceilings>,
    #[serde(flatten)]
    spent: Spent,
}

impl Report {
    /// The averages of all questions.
    pub(crate) fn new(all: &[Figures], plan: &Plan, spent: Spent) -> Self {
        let budgets = &plan.budgets;
        let overlaps = || all.iter().map(|figures| figures.overlap);
        let ceilings = all.iter().filter_map(|figures| figures.oracle.as_ref());
        Self {
            overlap: Overlap {
                recall: mean(overlaps().map(|overlap| overlap.recall)),
                precision: mean(overlaps().map(|overlap| overlap.precision)),
                iou: mean(overlaps().map(|overlap| overlap.iou)),
            },
            assembler: Reached {
                recall_at_budget: budgets
                    .means(&all.iter().map(|figures| &figures.assembler.recall_at_budget)),
            },
            over_budget: all.iter().map(|figures| figures.over_budget).sum(),
            queries: all.len() as u64,
            baselines: plan.baselines.then(|| reached(all, budgets)),
            assembler_minus: plan.baselines.then(|| differences(all, budgets)),
            oracle: plan.oracle.then(|| Ceilings::mean(ceilings, budgets)),
            spent,
        }
    }

    /// The figures for a person.
    pub(crate) fn text(&self) -> String {
        let mut lines = Table::new(&[("figure", Align::Left), ("value", Align::Right)]);
        let mut row = |name: String, value: f64| lines.row([name, format!("{value:.4}")]);
        row(format!("recall at {CHUNKS} chunks"), self.overlap.recall);
        row(format!("precision at {CHUNKS} chunks"), self.overlap.precision);
        row(format!("IoU at {CHUNKS} chunks"), self.overlap.iou);
        for (budget, recall) in &self.assembler.recall_at_budget.0 {
            row(format!("recall at {budget} tokens"), *recall);
        }
        lines.row(["contexts over budget".to_owned(), table::count(self.over_budget)]);
        lines.row(["questions".to_owned(), table::count(self.queries)]);
        let (beside, differences) = (self.beside(), self.assembler_minus.as_ref().map(differences_text));
        format!(
            "{}{}{}{}",
            lines.render(),
            beside.map(|table| format!("\n{table}")).unwrap_or_default(),
            differences.map(|table| format!("\n{table}\n")).unwrap_or_default(),
            self.spent.text()
        )
    }

    /// Recall against budget, the assembler first.
    pub(crate) fn lines(&self) -> Vec<Line> {
        let line = |name: &str, reached: &Reached| Line {
            name: name.to_owned(),
            points: reached.recall_at_budget.0.clone(),
        };
        let others = self.baselines.iter().flat_map(|baselines| &baselines.0);
        std::iter::once(line("assembler", &self.assembler))
            .chain(others.map(|(name, reached)| line(name, reached)))
            .collect()
    }

    /// The assembler beside baselines and oracles, if any were measured.
    fn beside(&self) -> Option<String> {
        if self.baselines.is_none() && self.oracle.is_none() {
            return None;
        }
        let mut lines = budget_table("recall at tokens", &self.assembler.recall_at_budget);
        let mut row = |name: &str, figures: &AtBudget<f64>| {
            let cells = figures.values().map(|recall| format!("{recall:.4}"));
            lines.row(std::iter::once(name.to_owned()).chain(cells));
        };
        row("assembler", &self.assembler.recall_at_budget);
        for (name, reached) in self.baselines.iter().flat_map(|baselines| &baselines.0) {
            row(name, &reached.recall_at_budget);
        }
        if let Some(ceilings) = &self.oracle {
            let everywhere = self.assembler.recall_at_budget.0.iter();
            row("oracle: ranking", &ceilings.ranking);
            row("oracle: borders", &ceilings.borders);
            row("oracle: retrieval", &everywhere.map(|(budget, _)| (*budget, ceilings.retrieval)).collect());
        }
        Some(lines.render())
    }
}

fn reached(all: &[Figures], budgets: &Budgets) -> ByPacker<Reached> {
    let reached = |(place, baseline): (usize, Baseline)| {
        let measured = all.iter().filter_map(|figures| figures.baselines.as_ref());
        let measured = measured.map(|baselines| &baselines.0[place].1.recall_at_budget);
        (baseline.name(), Reached { recall_at_budget: budgets.means(&measured) })
    };
    Baseline::ALL.into_iter().enumerate().map(reached).collect()
}

/// How much more the assembler reached, question by question.
fn differences(all: &[Figures], budgets: &Budgets) -> ByPacker<AtBudget<Interval>> {
    let at = |place: usize, budget_place: usize| {
        let difference = |figures: &Figures| {
            let baseline = &figures.baselines.as_ref()?.0[place].1.recall_at_budget;
            Some(figures.assembler.recall_at_budget.0[budget_place].1 - baseline.0[budget_place].1)
        };
        Interval::of(&all.iter().filter_map(difference).collect::<Vec<f64>>())
    };
    let against = |(place, baseline): (usize, Baseline)| {
        let intervals = budgets.iter().enumerate().map(|(at_budget, budget)| (budget, at(place, at_budget)));
        (baseline.name(), intervals.collect())
    };
    Baseline::ALL.into_iter().enumerate().map(against).collect()
}

/// Differences for a person.
pub(crate) fn differences_text(differences: &ByPacker<AtBudget<Interval>>) -> String {
    let Some((_, first)) = differences.0.first() else { return String::new() };
    let mut lines = budget_table("assembler minus", first);
    for (name, intervals) in &differences.0 {
        lines.row(std::iter::once((*name).to_owned()).chain(intervals.values().map(Interval::text)));
    }
    format!("{}Means of paired differences with 95 % intervals, in hundredths.\n", lines.render())
}

/// A table with a column for each budget.
pub(crate) fn budget_table<V>(title: &str, figures: &AtBudget<V>) -> Table {
    let budgets: Vec<String> = figures.0.iter().map(|(budget, _)| table::count(*budget as u64)).collect();
    let mut columns = vec![(title, Align::Left)];
    columns.extend(budgets.iter().map(|budget| (budget.as_str(), Align::Right)));
    Table::new(&columns)
}
