//! Compares two generations of a collection by asking both the same questions.
//!
//! Questions are asked one at a time. Which side is asked first alternates, so that warm caches help both
//! sides equally often, and a busy moment hits both. The first question is asked once before, untimed, so
//! that neither side pays for loading a model.
//!
//! One call returns everything that is compared: the context, as `query` returns it, and the ranked chunks
//! from its trace. A document ranks by its best chunk. Nothing is written, and no question is logged.
//!
//! A question that one side cannot answer is reported with its reason and left out of the figures of both.
//! A degraded answer is a worse answer, so it stays in and is counted.

mod question;
pub mod report;
pub mod requirements;
#[cfg(test)]
mod tests;

use tokio::time::Instant;

use crate::measure::retrieval_metrics::rank_documents;
use contexture_core::context::ContextEngine;
use contexture_core::context::answer::{CandidateTrace, CandidateVerdict, ContextAnswer};
use contexture_core::context::request::{AssemblyRequest, ContextQuery, DEADLINE_MAX, RawContextQuery};
use contexture_core::domain::ids::GenerationNumber;
use contexture_core::fault::Refusal;

use question::GenerationAnswer;
pub use question::{ComparisonPlan, ComparisonQuestion, DEPTH_MAX, QUESTIONS_MAX, QuestionCollector};
pub use report::GenerationComparison;
use requirements::ComparisonRequirement;

/// Documents of a ranking that are compared when the caller does not say.
pub const DEPTH_DEFAULT: usize = 10;
/// Tokens of a context when the caller does not say.
pub const BUDGET_DEFAULT: usize = 2000;

/// A request to compare two generations.
#[derive(Debug, Clone, PartialEq)]
pub struct ComparisonRequest {
    /// The questions. None: those that the question sampler kept.
    pub questions: Option<Vec<ComparisonQuestion>>,
    /// The two generations. None: the active one and the one being built.
    pub generations: Option<[GenerationNumber; 2]>,
    /// Documents of each ranking that are compared.
    pub depth: usize,
    /// Tokens of each context.
    pub budget: usize,
    /// The name of the tokenizer that counts them.
    pub tokenizer: String,
    /// What the comparison must satisfy.
    pub requirements: Vec<ComparisonRequirement>,
}

impl ComparisonRequest {
    /// Refuses requirements on figures that need judgements, if no question has any.
    pub fn check_judged(&self) -> Result<(), Refusal> {
        // Sampled questions, which are None here, never have judgements.
        // Refused now: later the figure would not be measured, after all questions were asked.
        let is_judged = self.questions.iter().flatten().any(|question| !question.relevant.is_empty());
        if !is_judged && self.requirements.iter().any(ComparisonRequirement::needs_judgements) {
            let message = "what is required asks for nDCG or recall, and no question has a relevant document";
            return Err(Refusal::invalid("no_judgements", "require", message));
        }
        Ok(())
    }
}

/// One generation, ready to answer.
pub struct ComparedGeneration {
    /// Its number.
    pub generation: GenerationNumber,
    /// Answers from this generation alone.
    pub engine: ContextEngine,
}

/// Asks `a`, the one to compare with, and `b`, and compares their answers. Calls `progress` with the number
/// of questions that are done.
pub async fn compare_generations(
    a: &ComparedGeneration,
    b: &ComparedGeneration,
    questions: &[ComparisonQuestion],
    plan: &ComparisonPlan,
    mut progress: impl FnMut(usize) + Send,
) -> Result<GenerationComparison, Refusal> {
    let (Some(first), 1..=QUESTIONS_MAX) = (questions.first(), questions.len()) else {
        let message = format!("{} questions; between 1 and {QUESTIONS_MAX} can be asked", questions.len());
        return Err(Refusal::invalid("invalid_questions", "questions", message));
    };
    let began = Instant::now();
    for side in [a, b] {
        // Warms up. A failure is ignored here: it occurs again below, where it is reported.
        let _ = ask_generation(side, &first.text, plan).await;
    }
    let mut compared = Vec::with_capacity(questions.len());
    for (number, question) in questions.iter().enumerate() {
        let (of_a, of_b) = if number.is_multiple_of(2) {
            let of_a = ask_generation(a, &question.text, plan).await;
            (of_a, ask_generation(b, &question.text, plan).await)
        } else {
            let of_b = ask_generation(b, &question.text, plan).await;
            (ask_generation(a, &question.text, plan).await, of_b)
        };
        compared.push(report::compare_answers(question, of_a, of_b, plan));
        progress(number + 1);
    }
    Ok(GenerationComparison::new(plan, [a.generation, b.generation], compared, began.elapsed()))
}

/// Asks one generation one question, and takes the time.
async fn ask_generation(
    side: &ComparedGeneration,
    question: &str,
    plan: &ComparisonPlan,
) -> Result<GenerationAnswer, Refusal> {
    let raw = RawContextQuery {
        collection: plan.collection.as_str().to_owned(),
        question: question.to_owned(),
        budget: i64::try_from(plan.budget).ok(),
        tokenizer: Some(plan.tokenizer.name().to_owned()),
        // The trace has the ranking.
        explain: true,
        // Slowness is measured, so it should not fail the question.
        deadline: Some(DEADLINE_MAX),
        ..RawContextQuery::default()
    };
    let query = ContextQuery::new(plan.principal.clone(), &raw)?;
    let assembly = AssemblyRequest::new(&raw)?;
    // The clock starts after the request is checked: only the engine is measured.
    let began = Instant::now();
    let answer = side.engine.assemble(query, assembly).await?;
    let took = began.elapsed();
    let candidates = answer.trace.iter().filter(|entry| is_candidate(entry));
    let scores = candidates.filter_map(|entry| Some((&entry.citation.as_ref()?.document_id, entry.score)));
    let mut documents = rank_documents(scores);
    // A document has several chunks, so `depth` documents take more chunks than `depth`.
    documents.truncate(plan.depth);
    let ContextAnswer { passages, tokens, degraded, .. } = answer;
    Ok(GenerationAnswer { documents, passages, tokens, took, degraded })
}

/// Whether a traced chunk took part in the ranking.
fn is_candidate(entry: &CandidateTrace) -> bool {
    // A query drops these before it selects passages, so no reader could get them.
    !matches!(entry.verdict, CandidateVerdict::Filtered | CandidateVerdict::Superseded)
}
