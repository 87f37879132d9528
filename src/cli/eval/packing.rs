//! Asks every excerpt question: what the first chunks hold, and what fits into each budget.
//!
//! Baselines and oracles get the candidates that assembly chooses from, in the same run, the
//! default format and the same tokenizer. One object per question tells every figure.

use serde::Serialize;

use super::Plan;
use super::excerpts::{Excerpts, Question};
use super::keyed::{AtBudget, ByPacker, Keyed};
use super::oracle::{Ceilings, Texts};
use super::report::Report;
use super::session::Session;
use crate::cli::exit::Failure;
use crate::context::assemble::Candidate;
use crate::context::baselines::{Baseline, pack};
use crate::context::request::Format;
use crate::jobs::measure::metrics::{Coverage, Overlap};

/// Chunks of a search that count.
pub(crate) const CHUNKS: usize = 5;

/// What a packer reached.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Reached {
    pub(crate) recall_at_budget: AtBudget<f64>,
}

/// The figures of one question.
#[derive(Debug, Serialize)]
pub(crate) struct Figures<'a> {
    question_id: &'a str,
    #[serde(flatten)]
    pub(crate) overlap: Overlap,
    #[serde(flatten)]
    pub(crate) assembler: Reached,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) baselines: Option<ByPacker<Reached>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) oracle: Option<Ceilings>,
    /// Contexts of the assembler that were over their budget.
    #[serde(skip)]
    pub(crate) over_budget: u64,
}

/// Asks the questions and averages.
pub(crate) async fn evaluate(
    set: &Excerpts,
    session: &mut Session<'_>,
    plan: &Plan,
) -> Result<Report, Failure> {
    let questions = plan.first(set.questions());
    let texts = if plan.oracle { Some(set.texts()?) } else { None };
    let mut all = Vec::with_capacity(questions.len());
    for (index, question) in questions.iter().enumerate() {
        let mut figures = ask(question, session, plan).await?;
        if plan.baselines || plan.oracle {
            let candidates = session.candidates(&question.text).await?;
            figures.compare(question, &candidates, texts.as_ref(), session, plan);
        }
        session.note(&figures)?;
        all.push(figures);
        session.show(index + 1, questions.len());
    }
    Ok(Report::new(&all, plan, session.spent()))
}

async fn ask<'a>(
    question: &'a Question,
    session: &mut Session<'_>,
    plan: &Plan,
) -> Result<Figures<'a>, Failure> {
    let found = session.search(&question.text).await?.results;
    let spans = found.into_iter().take(CHUNKS).map(|ranked| (ranked.document_id, ranked.span));
    let overlap = Overlap::of(&question.relevant, &Coverage::new(spans));
    let mut recall_at_budget = Vec::new();
    let mut over_budget = 0;
    for budget in plan.budgets.iter() {
        let answer = session.assemble(&question.text, budget).await?;
        over_budget += u64::from(session.tokenizer().count(&answer.context) > budget);
        let covered = Coverage::of_passages(&answer.passages);
        recall_at_budget.push((budget, Overlap::of(&question.relevant, &covered).recall));
    }
    let assembler = Reached { recall_at_budget: Keyed(recall_at_budget) };
    Ok(Figures { question_id: &question.id, overlap, assembler, baselines: None, oracle: None, over_budget })
}

impl Figures<'_> {
    fn compare(
        &mut self,
        question: &Question,
        candidates: &[Candidate],
        texts: Option<&Texts>,
        session: &Session<'_>,
        plan: &Plan,
    ) {
        let tokenizer = session.tokenizer();
        if plan.baselines {
            let recall = |baseline, budget| {
                let packed = pack(baseline, candidates, budget, Format::default(), tokenizer);
                Overlap::of(&question.relevant, &Coverage::of_passages(&packed.passages)).recall
            };
            let reached = |baseline: Baseline| {
                let at_budgets = plan.budgets.iter().map(|budget| (budget, recall(baseline, budget)));
                (baseline.name(), Reached { recall_at_budget: at_budgets.collect() })
            };
            self.baselines = Some(Baseline::ALL.into_iter().map(reached).collect());
        }
        self.oracle =
            texts.map(|texts| Ceilings::of(&question.relevant, candidates, texts, &plan.budgets, tokenizer));
    }
}
