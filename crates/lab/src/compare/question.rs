//! The questions of a comparison with their judgements, what they are asked with, and one answer.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use crate::measure::retrieval_metrics::RelevanceGrades;
use contexture_core::context::answer::{AnswerDegradation, Passage};
use contexture_core::context::request::{BUDGET_TOKENS_MAX, QUESTION_BYTES_MAX};
use contexture_core::domain::ids::{CollectionId, DocumentId};
use contexture_core::domain::principal::Principal;
use contexture_core::fault::Refusal;
use contexture_core::ports::tokenizer::Tokenizer;

/// Most documents of a ranking that are compared. A query considers at most this many chunks.
pub const DEPTH_MAX: usize = 100;
/// Most questions of a comparison.
pub const QUESTIONS_MAX: usize = 10_000;
/// Longest id, in bytes.
const ID_BYTES_MAX: usize = 256;

/// A question and its judgements.
#[derive(Debug, Clone, PartialEq)]
pub struct ComparisonQuestion {
    /// Its name in the report.
    pub id: String,
    /// The question.
    pub text: String,
    /// The relevant documents and their grades, all positive. Empty without judgements.
    pub relevant: RelevanceGrades,
}

impl ComparisonQuestion {
    /// Checks a question. A grade of 0 or below means not relevant. The error is a message for a person; its
    /// caller adds where the question stands.
    pub fn new(
        id: String,
        text: String,
        relevant: impl IntoIterator<Item = (String, f64)>,
    ) -> Result<Self, String> {
        if id.is_empty() || id.len() > ID_BYTES_MAX {
            return Err(format!("an id has 1 to {ID_BYTES_MAX} bytes"));
        }
        if text.trim().is_empty() {
            return Err("the question is empty".to_owned());
        }
        if text.len() > QUESTION_BYTES_MAX {
            let bytes = text.len();
            return Err(format!("the question has {bytes} bytes; at most {QUESTION_BYTES_MAX} are read"));
        }
        let mut grades = RelevanceGrades::new();
        for (document, grade) in relevant {
            if !grade.is_finite() {
                return Err(format!("the grade of '{document}' is not a number"));
            }
            // Judgement files list grade 0 for what a person found irrelevant.
            if grade > 0.0 {
                grades.insert(DocumentId::new(&document).map_err(|refusal| refusal.message)?, grade);
            }
        }
        Ok(Self { id, text, relevant: grades })
    }

    /// The sampled questions of a collection, numbered from 1. Refuses an empty sample.
    pub fn from_sample(collection: &str, texts: Vec<String>) -> Result<Vec<Self>, Refusal> {
        if texts.is_empty() {
            let message = format!(
                "no question of '{collection}' was kept; set retrieval.sample_questions where the API is served"
            );
            return Err(Refusal::not_found("no_sampled_questions", message));
        }
        // Sampled questions have no ids and no judgements.
        let numbered = texts.into_iter().zip(1_u64..);
        let question = |(text, number): (String, u64)| Self {
            id: number.to_string(),
            text,
            relevant: RelevanceGrades::new(),
        };
        Ok(numbered.map(question).collect())
    }
}

/// Collects questions with distinct ids, at most [`QUESTIONS_MAX`].
#[derive(Debug, Default)]
pub struct QuestionCollector {
    all: Vec<ComparisonQuestion>,
    names: HashSet<String>,
}

impl QuestionCollector {
    /// Adds a question. The error is a message for a person.
    pub fn add(&mut self, question: ComparisonQuestion) -> Result<(), String> {
        if !self.names.insert(question.id.clone()) {
            return Err(format!("there is a question '{}' already", question.id));
        }
        if self.all.len() == QUESTIONS_MAX {
            return Err(format!("at most {QUESTIONS_MAX} questions can be asked"));
        }
        self.all.push(question);
        Ok(())
    }

    /// All questions, in order of arrival.
    pub fn into_all(self) -> Vec<ComparisonQuestion> {
        self.all
    }
}

/// What is the same for every question of a comparison.
pub struct ComparisonPlan {
    pub(super) principal: Principal,
    pub(super) collection: CollectionId,
    pub(super) depth: usize,
    pub(super) budget: usize,
    pub(super) tokenizer: Arc<dyn Tokenizer>,
}

impl ComparisonPlan {
    /// A plan that compares `depth` documents of each ranking, and contexts of `budget` tokens. Refuses
    /// numbers out of bounds.
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
        // Left to the query, it would fail every question instead of the request.
        if !(1..=BUDGET_TOKENS_MAX).contains(&budget) {
            let message = format!("budget must be between 1 and {BUDGET_TOKENS_MAX} tokens");
            return Err(Refusal::invalid("invalid_budget", "budget", message));
        }
        Ok(Self { principal, collection, depth, budget, tokenizer })
    }
}

/// The answer of one generation to one question.
pub(super) struct GenerationAnswer {
    pub(super) documents: Vec<DocumentId>,
    pub(super) passages: Vec<Passage>,
    pub(super) tokens: usize,
    pub(super) took: Duration,
    pub(super) degraded: Vec<AnswerDegradation>,
}
