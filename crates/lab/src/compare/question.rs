//! What is asked, and what is known of its answer.

use std::collections::HashSet;

use crate::measure::retrieval_metrics::RelevanceGrades;
use contexture_core::context::request::QUESTION_BYTES_MAX;
use contexture_core::domain::ids::DocumentId;
use contexture_core::fault::Refusal;

/// Most questions of a comparison.
pub const QUESTIONS_MAX: usize = 10_000;
/// Longest id, in bytes.
const ID_BYTES_MAX: usize = 256;

/// A question, and what is known of its answer.
#[derive(Debug, Clone, PartialEq)]
pub struct ComparisonQuestion {
    /// Its name in the report.
    pub id: String,
    /// The question.
    pub text: String,
    /// The relevant documents and their grades, all positive; empty where nobody judged.
    pub relevant: RelevanceGrades,
}

impl ComparisonQuestion {
    /// A question as somebody wrote it; grades of 0 and below are not relevant. What is wrong is said in
    /// words.
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
            if grade > 0.0 {
                grades.insert(DocumentId::new(&document).map_err(|refusal| refusal.message)?, grade);
            }
        }
        Ok(Self { id, text, relevant: grades })
    }

    /// The questions that were kept of a collection, named by their number.
    pub fn from_sample(collection: &str, texts: Vec<String>) -> Result<Vec<Self>, Refusal> {
        if texts.is_empty() {
            let message = format!(
                "no question of '{collection}' was kept; set retrieval.sample_questions where the API is served"
            );
            return Err(Refusal::not_found("no_sampled_questions", message));
        }
        let numbered = texts.into_iter().zip(1_u64..);
        let question = |(text, number): (String, u64)| Self {
            id: number.to_string(),
            text,
            relevant: RelevanceGrades::new(),
        };
        Ok(numbered.map(question).collect())
    }
}

/// Collects questions of different names, [`QUESTIONS_MAX`] at most.
#[derive(Debug, Default)]
pub struct QuestionCollector {
    all: Vec<ComparisonQuestion>,
    names: HashSet<String>,
}

impl QuestionCollector {
    /// Adds one; what is wrong with that is said in words.
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

    /// All, in the order they came.
    pub fn into_all(self) -> Vec<ComparisonQuestion> {
        self.all
    }
}
