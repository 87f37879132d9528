//! Two generations of a collection, asked the same questions.
//!
//! Each question is asked of both, one at a time, and which is asked first alternates: what the first
//! leaves warm helps either side as often, and a busy moment hits both. The first question is asked once
//! before, untimed, so that opening a model costs neither. One call gives both what is compared: the
//! context, as `query` gives it, and in its trace the ranked chunks, which become documents by their
//! best chunk. Nothing is written, and no question is logged.
//!
//! A question that one side cannot answer is told with its reason and left out of the figures of
//! both; a degraded answer is a worse answer, so it stays in and is counted.

mod question;
pub mod report;
pub mod requirements;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::measure::retrieval_metrics::rank_documents;
use contexture_core::context::ContextEngine;
use contexture_core::context::answer::{
    AnswerDegradation, CandidateTrace, CandidateVerdict, ContextAnswer, Passage,
};
use contexture_core::context::request::{
    AssemblyRequest, BUDGET_TOKENS_MAX, ContextQuery, DEADLINE_MAX, RawContextQuery,
};
use contexture_core::domain::ids::{CollectionId, DocumentId, GenerationNumber};
use contexture_core::domain::principal::Principal;
use contexture_core::fault::Refusal;
use contexture_core::ports::tokenizer::Tokenizer;

pub use question::{ComparisonQuestion, QUESTIONS_MAX, QuestionCollector};
pub use report::GenerationComparison;
use requirements::ComparisonRequirement;

/// Documents of a ranking that are compared when the caller does not say.
pub const DEPTH_DEFAULT: usize = 10;
/// Most documents of a ranking that are compared: a query considers this many chunks.
pub const DEPTH_MAX: usize = 100;
/// Tokens of a context when the caller does not say.
pub const BUDGET_DEFAULT: usize = 2000;

/// A comparison to make.
#[derive(Debug, Clone, PartialEq)]
pub struct ComparisonRequest {
    /// What to ask; none are the questions that were kept.
    pub questions: Option<Vec<ComparisonQuestion>>,
    /// The two generations; none are the active one and the one that is being built.
    pub generations: Option<[GenerationNumber; 2]>,
    /// Documents of each ranking that are compared.
    pub depth: usize,
    /// Tokens of each context.
    pub budget: usize,
    /// The name of the tokenizer that counts them.
    pub tokenizer: String,
    /// What has to hold.
    pub requirements: Vec<ComparisonRequirement>,
}

impl ComparisonRequest {
    /// Refuses to require figures that need judgements, where nobody judged.
    pub fn check_judged(&self) -> Result<(), Refusal> {
        let is_judged = self.questions.iter().flatten().any(|question| !question.relevant.is_empty());
        if !is_judged && self.requirements.iter().any(ComparisonRequirement::needs_judgements) {
            let message = "what is required asks for nDCG or recall, and no question has a relevant document";
            return Err(Refusal::invalid("no_judgements", "require", message));
        }
        Ok(())
    }
}

/// What is the same for every question.
pub struct ComparisonPlan {
    principal: Principal,
    collection: CollectionId,
    depth: usize,
    budget: usize,
    tokenizer: Arc<dyn Tokenizer>,
}

impl ComparisonPlan {
    /// Compares `depth` documents and contexts of `budget` tokens.
    pub fn new(
        principal: Principal,
        collection: CollectionId,
        depth: usize,
        budget: usize,
        tokenizer: Arc<dyn Tokenizer>,
    ) -> Result<Self, Refusal> {
        if !(1..=DEPTH_MAX).contains(&depth) {
            let message = format!("top_k must be between 1 and {DEPTH_MAX} documents to compare");
            return Err(Refusal::invalid("invalid_top_k", "top_k", message));
        }
        if !(1..=BUDGET_TOKENS_MAX).contains(&budget) {
            let message = format!("budget must be between 1 and {BUDGET_TOKENS_MAX} tokens");
            return Err(Refusal::invalid("invalid_budget", "budget", message));
        }
        Ok(Self { principal, collection, depth, budget, tokenizer })
    }
}

/// One generation, ready to be asked.
pub struct ComparedGeneration {
    /// Its number.
    pub generation: GenerationNumber,
    /// Answers from it alone.
    pub engine: ContextEngine,
}

/// What one side has to say to a question.
struct GenerationAnswer {
    documents: Vec<DocumentId>,
    passages: Vec<Passage>,
    tokens: usize,
    took: Duration,
    degraded: Vec<AnswerDegradation>,
}

/// Asks `a`, which serves, and `b`, which might, and compares; `asked` hears how many questions are through.
pub async fn compare_generations(
    a: &ComparedGeneration,
    b: &ComparedGeneration,
    questions: &[ComparisonQuestion],
    plan: &ComparisonPlan,
    mut asked: impl FnMut(usize) + Send,
) -> Result<GenerationComparison, Refusal> {
    let (Some(first), 1..=QUESTIONS_MAX) = (questions.first(), questions.len()) else {
        let message = format!("{} questions; between 1 and {QUESTIONS_MAX} can be asked", questions.len());
        return Err(Refusal::invalid("invalid_questions", "questions", message));
    };
    let began = Instant::now();
    for side in [a, b] {
        // What goes wrong here goes wrong again, and is told then.
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
        asked(number + 1);
    }
    Ok(GenerationComparison::new(plan, [a.generation, b.generation], compared, began.elapsed()))
}

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
        explain: true,
        deadline: Some(DEADLINE_MAX),
        ..RawContextQuery::default()
    };
    let query = ContextQuery::new(plan.principal.clone(), &raw)?;
    let assembly = AssemblyRequest::new(&raw)?;
    let began = Instant::now();
    let answer = side.engine.assemble(query, assembly).await?;
    let took = began.elapsed();
    let candidates = answer.trace.iter().filter(|entry| is_candidate(entry));
    let scores = candidates.filter_map(|entry| Some((&entry.citation.as_ref()?.document_id, entry.score)));
    let mut documents = rank_documents(scores);
    documents.truncate(plan.depth);
    let ContextAnswer { passages, tokens, degraded, .. } = answer;
    Ok(GenerationAnswer { documents, passages, tokens, took, degraded })
}

fn is_candidate(entry: &CandidateTrace) -> bool {
    !matches!(entry.verdict, CandidateVerdict::Filtered | CandidateVerdict::Superseded)
}
