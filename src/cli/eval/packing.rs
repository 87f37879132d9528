//! Asks every excerpt question. Measures what the first chunks contain, and the recall at each budget.
//!
//! Baselines and oracles get the same candidates as the assembler, in the same run, with the default
//! format and the same tokenizer.

use super::excerpts::{ExcerptDataset, ExcerptQuestion};
use super::keyed_values::KeyedValues;
use super::oracle::{DocumentTexts, OracleCeilings};
use super::plan::EvaluationPlan;
use super::report::{CHUNKS_COUNTED, PackerRecall, PackingFigures, PackingReport};
use super::session::EvaluationSession;
use crate::cli::exit::CommandFailure;
use contexture_core::context::assemble::ContextCandidate;
use contexture_core::context::request::ContextFormat;
use contexture_lab::baselines::{BaselinePacker, pack_baseline};
use contexture_lab::measure::retrieval_metrics::{ByteCoverage, CoverageOverlap};

/// Asks the questions and averages their figures.
pub(crate) async fn evaluate_packing(
    set: &ExcerptDataset,
    session: &mut EvaluationSession<'_>,
    plan: &EvaluationPlan,
) -> Result<PackingReport, CommandFailure> {
    let questions = plan.first(set.questions());
    let texts = if plan.oracle { Some(set.texts()?) } else { None };
    let mut all = Vec::with_capacity(questions.len());
    for (index, question) in questions.iter().enumerate() {
        let mut figures = ask_excerpt_question(question, session, plan).await?;
        // Candidates cost one more retrieval, so they are fetched only if something uses them.
        if plan.baselines || plan.oracle {
            let candidates = session.candidates(&question.text).await?;
            figures.compare(question, &candidates, texts.as_ref(), session, plan);
        }
        session.record(&figures)?;
        all.push(figures);
        session.show_progress(index + 1, questions.len());
    }
    Ok(PackingReport::new(&all, plan, session.timing()))
}

async fn ask_excerpt_question<'a>(
    question: &'a ExcerptQuestion,
    session: &mut EvaluationSession<'_>,
    plan: &EvaluationPlan,
) -> Result<PackingFigures<'a>, CommandFailure> {
    let found = session.search(&question.text).await?.results;
    let spans = found.into_iter().take(CHUNKS_COUNTED).map(|ranked| (ranked.document_id, ranked.span));
    let overlap = CoverageOverlap::between(&question.relevant, &ByteCoverage::new(spans));
    let mut recall_at_budget = Vec::new();
    let mut over_budget = 0;
    for budget in plan.budgets.iter() {
        let answer = session.assemble(&question.text, budget).await?;
        // Counted here again instead of taken from the answer: this checks the promise of the assembler.
        over_budget += u64::from(session.tokenizer().count(&answer.context) > budget);
        let covered = ByteCoverage::from_passages(&answer.passages);
        recall_at_budget.push((budget, CoverageOverlap::between(&question.relevant, &covered).recall));
    }
    let assembler = PackerRecall { recall_at_budget: KeyedValues(recall_at_budget) };
    Ok(PackingFigures {
        question_id: &question.id,
        overlap,
        assembler,
        baselines: None,
        oracle: None,
        over_budget,
    })
}

impl PackingFigures<'_> {
    /// Adds the figures of baselines and oracles, where the plan asks for them.
    fn compare(
        &mut self,
        question: &ExcerptQuestion,
        candidates: &[ContextCandidate],
        texts: Option<&DocumentTexts>,
        session: &EvaluationSession<'_>,
        plan: &EvaluationPlan,
    ) {
        let tokenizer = session.tokenizer();
        if plan.baselines {
            let recall = |baseline, budget| {
                let packed = pack_baseline(baseline, candidates, budget, ContextFormat::default(), tokenizer);
                CoverageOverlap::between(&question.relevant, &ByteCoverage::from_passages(&packed.passages))
                    .recall
            };
            let reached = |baseline: BaselinePacker| {
                let at_budgets = plan.budgets.iter().map(|budget| (budget, recall(baseline, budget)));
                (baseline.name(), PackerRecall { recall_at_budget: at_budgets.collect() })
            };
            self.baselines = Some(BaselinePacker::ALL.into_iter().map(reached).collect());
        }
        self.oracle = texts.map(|texts| {
            OracleCeilings::for_question(&question.relevant, candidates, texts, &plan.budgets, tokenizer)
        });
    }
}
