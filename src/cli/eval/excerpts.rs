//! Questions with the excerpts that answer them: `corpora/` and `questions.jsonl`.
//!
//! The layout of the set behind Chroma's "Evaluating Chunking Strategies for Retrieval"
//! (2024), with byte offsets: each reference is `start_byte..end_byte` of a file in
//! `corpora/`. Every question is asked of all corpora together. Recall, precision and overlap
//! are those of the first [`CHUNKS`] chunks of a search; recall at a budget is that of the passages
//! of an assembled context, framing paid for.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};

use super::corpus::{Document, Documents};
use super::lines::{lines, refuse};
use super::metrics::{Coverage, Overlap, mean};
use super::offsets::Offsets;
use super::session::{Session, Spent};
use crate::cli::exit::Failure;
use crate::cli::scan::{Found, scan};
use crate::cli::table::{self, Align, Table};
use crate::domain::chunk::Span;
use crate::domain::ids::DocumentId;
use crate::fault::Refusal;

/// Chunks of a search that count.
const CHUNKS: usize = 5;
/// Budgets, in tokens.
const BUDGETS: [usize; 3] = [500, 1000, 2000];

#[derive(Deserialize)]
struct QuestionLine {
    #[serde(rename = "_id")]
    id: String,
    text: String,
    document_id: String,
    references: Vec<ReferenceLine>,
}

#[derive(Deserialize)]
struct ReferenceLine {
    start_byte: usize,
    end_byte: usize,
    #[serde(default)]
    text: Option<String>,
}

struct Question {
    id: String,
    text: String,
    relevant: Coverage,
}

/// A set of excerpt questions.
pub(crate) struct Excerpts {
    files: Vec<Found>,
    questions: Vec<Question>,
}

/// The recall at each of [`BUDGETS`], in their order.
#[derive(Debug, Clone, Copy, Default)]
struct AtBudget([f64; BUDGETS.len()]);

impl Serialize for AtBudget {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(BUDGETS.len()))?;
        for (budget, recall) in BUDGETS.iter().zip(self.0) {
            map.serialize_entry(&budget.to_string(), &recall)?;
        }
        map.end()
    }
}

/// The figures; the first five names are a contract.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    recall: f64,
    precision: f64,
    iou: f64,
    recall_at_budget: AtBudget,
    over_budget: u64,
    queries: u64,
    #[serde(flatten)]
    spent: Spent,
}

#[derive(Serialize)]
struct PerQuestion<'a> {
    question_id: &'a str,
    recall: f64,
    precision: f64,
    iou: f64,
    recall_at_budget: AtBudget,
}

impl Excerpts {
    /// Whether the folder has this layout.
    pub(crate) fn is_at(folder: &Path) -> bool {
        folder.join("corpora").is_dir() && folder.join("questions.jsonl").is_file()
    }

    /// Reads the questions and checks their references against the corpora.
    pub(crate) fn read(folder: &Path) -> Result<Self, Refusal> {
        let files = scan(&[folder.join("corpora")])?.files;
        let by_id: HashMap<&DocumentId, &Path> =
            files.iter().map(|file| (&file.id, file.path.as_path())).collect();
        let path = folder.join("questions.jsonl");
        let mut corpora = Corpora { by_id, read: HashMap::new() };
        let mut questions = Vec::new();
        for (line, number) in lines::<QuestionLine>(&path)?.zip(1..) {
            questions.push(corpora.resolve(line?).map_err(|why| refuse(&path, number, &why))?);
        }
        Ok(Self { files, questions })
    }

    /// The corpora as documents.
    pub(crate) fn documents(&self) -> Documents {
        Box::new(self.files.clone().into_iter().map(|file| {
            let body = std::fs::read(&file.path).map_err(|error| refuse(&file.path, 0, &error))?;
            Ok(Document { id: file.id, title: None, media_type: None, body: Bytes::from(body) })
        }))
    }

    /// Asks every question and averages.
    pub(crate) async fn evaluate(&self, session: &mut Session<'_>, limit: usize) -> Result<Report, Failure> {
        let questions = &self.questions[..self.questions.len().min(limit)];
        let mut figures = Vec::with_capacity(questions.len());
        let mut over_budget = 0;
        for (index, question) in questions.iter().enumerate() {
            let found = session.search(&question.text).await?.results;
            let spans = found.into_iter().take(CHUNKS).map(|ranked| (ranked.document_id, ranked.span));
            let overlap = Overlap::of(&question.relevant, &Coverage::new(spans));
            let mut at_budget = AtBudget::default();
            for (budget, recall) in BUDGETS.into_iter().zip(&mut at_budget.0) {
                let answer = session.assemble(&question.text, budget).await?;
                over_budget += u64::from(session.count_tokens(&answer.context) > budget);
                let spans = answer.passages.into_iter().map(|passage| (passage.document_id, passage.span));
                *recall = Overlap::of(&question.relevant, &Coverage::new(spans)).recall;
            }
            figures.push((overlap, at_budget));
            session.note(&PerQuestion {
                question_id: &question.id,
                recall: overlap.recall,
                precision: overlap.precision,
                iou: overlap.iou,
                recall_at_budget: at_budget,
            })?;
            session.show(index + 1, questions.len());
        }
        Ok(Report::new(&figures, over_budget, session.spent()))
    }
}

impl Report {
    fn new(figures: &[(Overlap, AtBudget)], over_budget: u64, spent: Spent) -> Self {
        let overlaps = || figures.iter().map(|(overlap, _)| overlap);
        let at = |place: usize| mean(figures.iter().map(|(_, at_budget)| at_budget.0[place]));
        Self {
            recall: mean(overlaps().map(|overlap| overlap.recall)),
            precision: mean(overlaps().map(|overlap| overlap.precision)),
            iou: mean(overlaps().map(|overlap| overlap.iou)),
            recall_at_budget: AtBudget(std::array::from_fn(at)),
            over_budget,
            queries: figures.len() as u64,
            spent,
        }
    }

    /// The figures for a person.
    pub(crate) fn text(&self) -> String {
        let mut lines = Table::new(&[("figure", Align::Left), ("value", Align::Right)]);
        let mut row = |name: String, value: f64| lines.row([name, format!("{value:.4}")]);
        row(format!("recall at {CHUNKS} chunks"), self.recall);
        row(format!("precision at {CHUNKS} chunks"), self.precision);
        row(format!("IoU at {CHUNKS} chunks"), self.iou);
        for (budget, recall) in BUDGETS.iter().zip(self.recall_at_budget.0) {
            row(format!("recall at {budget} tokens"), recall);
        }
        lines.row(["contexts over budget".to_owned(), table::count(self.over_budget)]);
        lines.row(["questions".to_owned(), table::count(self.queries)]);
        format!("{}{}", lines.render(), self.spent.text())
    }
}

/// The corpora that references were looked up in.
struct Corpora<'a> {
    by_id: HashMap<&'a DocumentId, &'a Path>,
    read: HashMap<PathBuf, (Vec<u8>, Offsets)>,
}

impl Corpora<'_> {
    fn resolve(&mut self, line: QuestionLine) -> Result<Question, String> {
        let document = DocumentId::new(&line.document_id).map_err(|refusal| refusal.message)?;
        let path = *self.by_id.get(&document).ok_or_else(|| format!("there is no corpora/{document}"))?;
        if !self.read.contains_key(path) {
            let body = std::fs::read(path).map_err(|error| format!("corpora/{document}: {error}"))?;
            let offsets =
                Offsets::of(&body, document.as_str()).map_err(|why| format!("corpora/{document}: {why}"))?;
            self.read.insert(path.to_owned(), (body, offsets));
        }
        let (body, offsets) = &self.read[path];
        let mut spans = Vec::with_capacity(line.references.len());
        for reference in &line.references {
            spans.push((document.clone(), reference.span(body, offsets)?));
        }
        let relevant = Coverage::new(spans);
        if relevant.bytes() == 0 {
            return Err("the question has no reference".to_owned());
        }
        Ok(Question { id: line.id, text: line.text, relevant })
    }
}

impl ReferenceLine {
    fn span(&self, body: &[u8], offsets: &Offsets) -> Result<Span, String> {
        let Self { start_byte, end_byte, text } = self;
        let place = || format!("reference {start_byte}..{end_byte}");
        let bytes =
            body.get(*start_byte..*end_byte).ok_or_else(|| format!("{} is outside the document", place()))?;
        if text.as_ref().is_some_and(|text| text.as_bytes() != bytes) {
            return Err(format!("{} holds another text than the document", place()));
        }
        Ok(Span { start: offsets.map(*start_byte), end: offsets.map(*end_byte) })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{AtBudget, Excerpts};
    use crate::cli::scratch::Scratch;

    fn dataset(document: &str, questions: &str) -> Scratch {
        let scratch = Scratch::new("excerpts").expect("scratch");
        fs::create_dir(scratch.path().join("corpora")).expect("a folder");
        fs::write(scratch.path().join("corpora/a.md"), document).expect("a document");
        fs::write(scratch.path().join("questions.jsonl"), questions).expect("questions");
        scratch
    }

    fn question(start: usize, end: usize, text: &str) -> String {
        format!(
            "{{\"_id\":\"0\",\"text\":\"why\",\"document_id\":\"a.md\",\"references\":\
             [{{\"start_byte\":{start},\"end_byte\":{end},\"text\":\"{text}\"}}]}}\n"
        )
    }

    #[test]
    fn references_refer_to_the_normalised_text() {
        let scratch = dataset("\u{feff}one\r\ntwo\r\n", &question(8, 11, "two"));
        assert!(Excerpts::is_at(scratch.path()));
        let set = Excerpts::read(scratch.path()).expect("a set");
        let expected = super::Coverage::new([(
            super::DocumentId::new("a.md").expect("an id"),
            super::Span { start: 4, end: 7 },
        )]);
        assert_eq!(set.questions[0].relevant, expected);
    }

    #[test]
    fn references_that_do_not_hold_are_refused_by_line() {
        for (start, end, text) in [(0, 3, "two"), (0, 100, "one"), (3, 1, ""), (2, 2, "")] {
            let scratch = dataset("one two", &question(start, end, text));
            let refusal = Excerpts::read(scratch.path()).err().expect("a refusal");
            assert_eq!(refusal.code, "invalid_dataset");
            assert!(refusal.message.contains("questions.jsonl:1"), "{}", refusal.message);
        }
    }

    #[test]
    fn budgets_stay_in_their_order() {
        let json = serde_json::to_string(&AtBudget([0.5, 0.75, 1.0])).expect("JSON");
        assert_eq!(json, r#"{"500":0.5,"1000":0.75,"2000":1.0}"#);
    }
}
