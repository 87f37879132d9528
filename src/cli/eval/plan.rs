//! What is measured: the raw options and the layout of the set become one checked plan.

use super::keyed_values::TokenBudgets;
use super::{EvalArgs, EvaluationDataset};
use contexture_core::fault::Refusal;

/// Budgets of excerpt questions.
const EXCERPT_BUDGETS: [i64; 3] = [500, 1000, 2000];
/// Budgets of a picture: enough of them to see a curve.
const PLOT_BUDGETS: [i64; 6] = [125, 250, 500, 1000, 2000, 4000];
/// The budget for the order of documents: large, so that most documents are in the context.
const BEIR_BUDGETS: [i64; 1] = [8000];

/// What is measured.
#[derive(Debug)]
pub(crate) struct EvaluationPlan {
    /// Tokens of the contexts.
    pub(crate) budgets: TokenBudgets,
    /// Whether simpler ways are measured, too.
    pub(crate) baselines: bool,
    /// Whether ceilings are measured.
    pub(crate) oracle: bool,
    /// Turns of a conversation, if any are held.
    pub(crate) turns: Option<usize>,
    limit: usize,
}

impl EvaluationPlan {
    /// Refuses options that do not go with the layout of the set.
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

    /// The questions to ask.
    pub(crate) fn first<'a, T>(&self, questions: &'a [T]) -> &'a [T] {
        &questions[..questions.len().min(self.limit)]
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
