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

pub mod gate;
mod question;
pub mod report;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::context::ContextEngine;
use crate::context::answer::{Answer, Degraded, Passage, TraceEntry, Verdict};
use crate::context::request::{Assembly, BUDGET_TOKENS_MAX, DEADLINE_MAX, Query, RawQuery};
use crate::domain::ids::{CollectionId, DocumentId, Generation};
use crate::domain::principal::Principal;
use crate::fault::Refusal;
use crate::jobs::measure::metrics::rank_documents;
use crate::ports::tokenizer::Tokenizer;

use gate::Requirement;
pub use question::{QUESTIONS_MAX, Question, Questions};
pub use report::Comparison;

/// Documents of a ranking that are compared when the caller does not say.
pub const DEPTH_DEFAULT: usize = 10;
/// Most documents of a ranking that are compared: a query considers this many chunks.
pub const DEPTH_MAX: usize = 100;
/// Tokens of a context when the caller does not say.
pub const BUDGET_DEFAULT: usize = 2000;

/// A comparison to make.
#[derive(Debug, Clone, PartialEq)]
pub struct Asking {
    /// What to ask; none are the questions that were kept.
    pub questions: Option<Vec<Question>>,
    /// The two generations; none are the active one and the one that is being built.
    pub generations: Option<[Generation; 2]>,
    /// Documents of each ranking that are compared.
    pub depth: usize,
    /// Tokens of each context.
    pub budget: usize,
    /// The name of the tokenizer that counts them.
    pub tokenizer: String,
    /// What has to hold.
    pub requirements: Vec<Requirement>,
}

impl Asking {
    /// Refuses to require figures that need judgements, where nobody judged.
    pub fn check_judged(&self) -> Result<(), Refusal> {
        let is_judged = self.questions.iter().flatten().any(|question| !question.relevant.is_empty());
        if !is_judged && self.requirements.iter().any(Requirement::needs_judgements) {
            let message = "what is required asks for nDCG or recall, and no question has a relevant document";
            return Err(Refusal::invalid("no_judgements", "require", message));
        }
        Ok(())
    }
}

/// What is the same for every question.
pub struct Plan {
    principal: Principal,
    collection: CollectionId,
    depth: usize,
    budget: usize,
    tokenizer: Arc<dyn Tokenizer>,
}

impl Plan {
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
pub struct Side {
    /// Its number.
    pub generation: Generation,
    /// Answers from it alone.
    pub engine: ContextEngine,
}

/// What one side has to say to a question.
struct Answered {
    documents: Vec<DocumentId>,
    passages: Vec<Passage>,
    tokens: usize,
    took: Duration,
    degraded: Vec<Degraded>,
}

/// Asks `a`, which serves, and `b`, which might, and compares; `asked` hears how many questions are through.
pub async fn run(
    a: &Side,
    b: &Side,
    questions: &[Question],
    plan: &Plan,
    mut asked: impl FnMut(usize) + Send,
) -> Result<Comparison, Refusal> {
    let (Some(first), 1..=QUESTIONS_MAX) = (questions.first(), questions.len()) else {
        let message = format!("{} questions; between 1 and {QUESTIONS_MAX} can be asked", questions.len());
        return Err(Refusal::invalid("invalid_questions", "questions", message));
    };
    let began = Instant::now();
    for side in [a, b] {
        // What goes wrong here goes wrong again, and is told then.
        let _ = ask(side, &first.text, plan).await;
    }
    let mut compared = Vec::with_capacity(questions.len());
    for (number, question) in questions.iter().enumerate() {
        let (of_a, of_b) = if number.is_multiple_of(2) {
            let of_a = ask(a, &question.text, plan).await;
            (of_a, ask(b, &question.text, plan).await)
        } else {
            let of_b = ask(b, &question.text, plan).await;
            (ask(a, &question.text, plan).await, of_b)
        };
        compared.push(report::compare(question, of_a, of_b, plan));
        asked(number + 1);
    }
    Ok(Comparison::new(plan, [a.generation, b.generation], compared, began.elapsed()))
}

async fn ask(side: &Side, question: &str, plan: &Plan) -> Result<Answered, Refusal> {
    let raw = RawQuery {
        collection: plan.collection.as_str().to_owned(),
        question: question.to_owned(),
        budget: i64::try_from(plan.budget).ok(),
        tokenizer: Some(plan.tokenizer.name().to_owned()),
        explain: true,
        deadline: Some(DEADLINE_MAX),
        ..RawQuery::default()
    };
    let query = Query::new(plan.principal.clone(), &raw)?;
    let assembly = Assembly::new(&raw)?;
    let began = Instant::now();
    let answer = side.engine.assemble(query, assembly).await?;
    let took = began.elapsed();
    let candidates = answer.trace.iter().filter(|entry| is_candidate(entry));
    let scores = candidates.filter_map(|entry| Some((&entry.citation.as_ref()?.document_id, entry.score)));
    let mut documents = rank_documents(scores);
    documents.truncate(plan.depth);
    let Answer { passages, tokens, degraded, .. } = answer;
    Ok(Answered { documents, passages, tokens, took, degraded })
}

fn is_candidate(entry: &TraceEntry) -> bool {
    !matches!(entry.verdict, Verdict::Filtered | Verdict::Superseded)
}
