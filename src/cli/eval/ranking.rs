//! Asks every BEIR question. Measures the ranking of documents, and their order in a context.
//!
//! The score of a document is that of its best chunk. With baselines, the ranking by fused scores is
//! measured, too. A context is assembled for each budget: its documents are ordered by their first
//! passage, followed by the other documents of the ranking. So the figures show what neighbour support
//! and reranking change, and whether the assembler's order of documents loses against the ranking.

use serde::Serialize;

use super::beir::{BeirDataset, BeirQuestion};
use super::keyed_values::{KeyedValues, ValueByBudget, ValueByPacker};
use super::plan::EvaluationPlan;
use super::report::{budget_table, differences_text};
use super::session::{EvaluationSession, EvaluationTiming};
use crate::cli::exit::CommandFailure;
use crate::cli::text_format::{self, ColumnAlignment, TextTable};
use contexture_core::context::answer::{Passage, SearchAnswer};
use contexture_core::domain::ids::DocumentId;
use contexture_lab::measure::bootstrap::BootstrapInterval;
use contexture_lab::measure::retrieval_metrics::{mean, ndcg, rank_documents, recall};

/// Depth of nDCG.
const NDCG_DEPTH: usize = 10;
/// Depth of recall.
const RECALL_DEPTH: usize = 20;

/// The mean figures. The first two names are a contract.
#[derive(Debug, Serialize)]
pub(crate) struct RankingReport {
    ndcg_at_10: f64,
    recall_at_20: f64,
    queries: u64,
    empty_documents: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    fused_ndcg_at_10: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ranking_minus_fused: Option<BootstrapInterval>,
    #[serde(skip_serializing_if = "Option::is_none")]
    assembled_ndcg_at_10: Option<ValueByBudget<f64>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    assembler_minus: Option<ValueByPacker<ValueByBudget<BootstrapInterval>>>,
    #[serde(flatten)]
    spent: EvaluationTiming,
}

/// The figures of one question.
#[derive(Debug, Serialize)]
struct RankingFigures<'a> {
    query_id: &'a str,
    ndcg_at_10: f64,
    recall_at_20: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    fused_ndcg_at_10: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    assembled_ndcg_at_10: Option<ValueByBudget<f64>>,
    ranking: Vec<DocumentId>,
}

/// Asks the questions and averages their figures.
pub(crate) async fn evaluate_ranking(
    set: &BeirDataset,
    session: &mut EvaluationSession<'_>,
    plan: &EvaluationPlan,
) -> Result<RankingReport, CommandFailure> {
    let questions = plan.first(set.questions());
    let mut all = Vec::with_capacity(questions.len());
    for (index, question) in questions.iter().enumerate() {
        let figures = ask_beir_question(question, session, plan).await?;
        session.record(&figures)?;
        all.push(figures);
        session.show_progress(index + 1, questions.len());
    }
    Ok(RankingReport::new(&all, plan, set.count_empty()?, session.timing()))
}

async fn ask_beir_question<'a>(
    question: &'a BeirQuestion,
    session: &mut EvaluationSession<'_>,
    plan: &EvaluationPlan,
) -> Result<RankingFigures<'a>, CommandFailure> {
    let mut ranking = document_ranking(&session.search(&question.text).await?);
    let fused = if plan.baselines {
        Some(document_ranking(&session.search_fused(&question.text).await?))
    } else {
        None
    };
    let mut assembled = Vec::new();
    // Without baselines nothing is assembled.
    for budget in plan.budgets.iter().filter(|_| plan.baselines) {
        let passages = session.assemble(&question.text, budget).await?.passages;
        assembled.push((budget, ndcg(&context_order(&passages, &ranking), &question.grades, NDCG_DEPTH)));
    }
    let (ndcg_at_10, recall_at_20) =
        (ndcg(&ranking, &question.grades, NDCG_DEPTH), recall(&ranking, &question.grades, RECALL_DEPTH));
    // Both figures are computed on the whole ranking; only its record is cut.
    ranking.truncate(RECALL_DEPTH);
    let fused_ndcg_at_10 = fused.map(|fused| ndcg(&fused, &question.grades, NDCG_DEPTH));
    let assembled_ndcg_at_10 = plan.baselines.then_some(KeyedValues(assembled));
    Ok(RankingFigures {
        query_id: &question.id,
        ndcg_at_10,
        recall_at_20,
        fused_ndcg_at_10,
        assembled_ndcg_at_10,
        ranking,
    })
}

fn document_ranking(found: &SearchAnswer) -> Vec<DocumentId> {
    rank_documents(found.results.iter().map(|ranked| (&ranked.document_id, ranked.score)))
}

/// The documents of a context in their order, then the others of the ranking.
fn context_order(passages: &[Passage], ranking: &[DocumentId]) -> Vec<DocumentId> {
    let mut order: Vec<DocumentId> = Vec::with_capacity(ranking.len());
    for document in passages.iter().map(|passage| &passage.document_id).chain(ranking) {
        // A linear search each time, which is cheap for the documents of one question.
        if !order.contains(document) {
            order.push(document.clone());
        }
    }
    order
}

impl RankingReport {
    fn new(
        all: &[RankingFigures],
        plan: &EvaluationPlan,
        empty_documents: u64,
        spent: EvaluationTiming,
    ) -> Self {
        let assembled = all.iter().filter_map(|figures| figures.assembled_ndcg_at_10.as_ref());
        let fused = || all.iter().filter_map(|figures| figures.fused_ndcg_at_10);
        let gained: Vec<f64> =
            // Either every question has a fused figure or none has, so the pairs belong together.
            all.iter().zip(fused()).map(|(figures, fused)| figures.ndcg_at_10 - fused).collect();
        Self {
            ndcg_at_10: mean(all.iter().map(|figures| figures.ndcg_at_10)),
            recall_at_20: mean(all.iter().map(|figures| figures.recall_at_20)),
            queries: all.len() as u64,
            empty_documents,
            fused_ndcg_at_10: plan.baselines.then(|| mean(fused())),
            ranking_minus_fused: plan.baselines.then(|| BootstrapInterval::from_differences(&gained)),
            assembled_ndcg_at_10: plan.baselines.then(|| plan.budgets.means(&assembled)),
            assembler_minus: plan
                .baselines
                .then(|| KeyedValues(vec![("ranking", assembled_differences(all, plan))])),
            spent,
        }
    }

    /// The figures for a person.
    pub(crate) fn text(&self) -> String {
        let mut lines =
            TextTable::new(&[("figure", ColumnAlignment::Left), ("value", ColumnAlignment::Right)]);
        lines.row(["nDCG@10".to_owned(), format!("{:.4}", self.ndcg_at_10)]);
        lines.row(["recall@20".to_owned(), format!("{:.4}", self.recall_at_20)]);
        lines.row(["questions".to_owned(), text_format::count(self.queries)]);
        lines.row(["documents without text".to_owned(), text_format::count(self.empty_documents)]);
        format!("{}{}{}", lines.render(), self.assembled_text(), self.spent.text())
    }

    fn assembled_text(&self) -> String {
        let (Some(assembled), Some(differences)) = (&self.assembled_ndcg_at_10, &self.assembler_minus) else {
            return String::new();
        };
        let mut lines = budget_table("nDCG@10 at tokens", assembled);
        let mut row = |name: &str, cells: Vec<String>| {
            lines.row(std::iter::once(name.to_owned()).chain(cells));
        };
        row("assembler", assembled.values().map(|ndcg| format!("{ndcg:.4}")).collect());
        row("ranking", assembled.values().map(|_| format!("{:.4}", self.ndcg_at_10)).collect());
        format!("{}\n{}\n{}\n", self.fused_text(), lines.render(), differences_text(differences))
    }

    fn fused_text(&self) -> String {
        let (Some(fused), Some(gained)) = (self.fused_ndcg_at_10, &self.ranking_minus_fused) else {
            return String::new();
        };
        format!(
            "nDCG@10 as fused, without neighbours and reranking: {fused:.4}; the ranking minus that: {}\n",
            gained.text()
        )
    }
}

fn assembled_differences(all: &[RankingFigures], plan: &EvaluationPlan) -> ValueByBudget<BootstrapInterval> {
    let at = |place: usize| {
        let difference = |figures: &RankingFigures| {
            Some(figures.assembled_ndcg_at_10.as_ref()?.0[place].1 - figures.ndcg_at_10)
        };
        BootstrapInterval::from_differences(&all.iter().filter_map(difference).collect::<Vec<f64>>())
    };
    plan.budgets.iter().enumerate().map(|(place, budget)| (budget, at(place))).collect()
}
