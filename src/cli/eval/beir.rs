//! The BEIR layout (Thakur et al. 2021): `corpus.jsonl`, `queries.jsonl`, `qrels/*.tsv`.
//!
//! Judgements come from `test.tsv` if it exists, else from all splits. Grades of 0 and below are not
//! relevant. Questions without a relevant document are left out. Documents without text are left out and
//! counted.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use serde::Deserialize;

use super::corpus::{DocumentIterator, EvaluationDocument};
use super::files::{dataset_refusal, read_json_lines};
use contexture_core::domain::document::TITLE_BYTES_MAX;
use contexture_core::domain::ids::DocumentId;
use contexture_core::fault::Refusal;
use contexture_lab::measure::retrieval_metrics::RelevanceGrades;

#[derive(Deserialize)]
struct CorpusLine {
    #[serde(rename = "_id")]
    id: String,
    #[serde(default)]
    title: Option<String>,
    text: String,
}

#[derive(Deserialize)]
struct QueryLine {
    #[serde(rename = "_id")]
    id: String,
    text: String,
}

/// A question with the grades of its relevant documents.
pub(crate) struct BeirQuestion {
    pub(crate) id: String,
    pub(crate) text: String,
    pub(crate) grades: RelevanceGrades,
}

/// A set in the BEIR layout. The corpus stays on disk.
pub(crate) struct BeirDataset {
    corpus: PathBuf,
    questions: Vec<BeirQuestion>,
}

impl BeirDataset {
    /// Whether the folder has this layout.
    pub(crate) fn is_at(folder: &Path) -> bool {
        folder.join("corpus.jsonl").is_file()
            && folder.join("queries.jsonl").is_file()
            && folder.join("qrels").is_dir()
    }

    /// Reads the questions and judgements.
    pub(crate) fn read(folder: &Path) -> Result<Self, Refusal> {
        let mut relevant: HashMap<String, RelevanceGrades> = HashMap::new();
        for path in judgement_files(&folder.join("qrels"))? {
            read_judgements(&path, &mut relevant)?;
        }
        let mut questions = Vec::new();
        for line in read_json_lines::<QueryLine>(&folder.join("queries.jsonl"))? {
            let QueryLine { id, text } = line?;
            // Removed, so that a repeated id is not asked twice.
            if let Some(grades) = relevant.remove(&id) {
                questions.push(BeirQuestion { id, text, grades });
            }
        }
        Ok(Self { corpus: folder.join("corpus.jsonl"), questions })
    }

    /// The documents that have text.
    pub(crate) fn documents(&self) -> Result<DocumentIterator, Refusal> {
        let corpus = self.corpus.clone();
        let numbered = read_json_lines::<CorpusLine>(&self.corpus)?;
        Ok(Box::new(numbered.filter_map(move |line| match line {
            Ok(line) if line.text.trim().is_empty() => None,
            Ok(line) => Some(line.into_document(&corpus)),
            Err(refusal) => Some(Err(refusal)),
        })))
    }

    /// The questions with a relevant document, in the order of the file.
    pub(crate) fn questions(&self) -> &[BeirQuestion] {
        &self.questions
    }

    /// The same questions, owned.
    pub(crate) fn into_questions(self) -> Vec<BeirQuestion> {
        self.questions
    }

    /// The number of documents without text.
    pub(crate) fn count_empty(&self) -> Result<u64, Refusal> {
        let mut empty = 0;
        for line in read_json_lines::<CorpusLine>(&self.corpus)? {
            empty += u64::from(line?.text.trim().is_empty());
        }
        Ok(empty)
    }
}

impl CorpusLine {
    fn into_document(self, corpus: &Path) -> Result<EvaluationDocument, Refusal> {
        let id = DocumentId::new(&self.id).map_err(|refusal| {
            dataset_refusal(corpus, 0, &format!("_id '{}': {}", self.id, refusal.message))
        })?;
        Ok(EvaluationDocument {
            id,
            title: self.title.as_deref().and_then(title_line),
            // The layout has plain text, also where one begins like HTML.
            media_type: Some("text/plain".to_owned()),
            body: Bytes::from(self.text),
        })
    }
}

/// A title as one line of at most [`TITLE_BYTES_MAX`] bytes; none when it is blank.
fn title_line(title: &str) -> Option<String> {
    let words = title.split(|letter: char| letter.is_whitespace() || letter.is_control());
    let mut line = words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
    line.truncate(line.floor_char_boundary(TITLE_BYTES_MAX));
    (!line.is_empty()).then_some(line)
}

/// `test.tsv` if it exists, else every split, sorted by name.
fn judgement_files(folder: &Path) -> Result<Vec<PathBuf>, Refusal> {
    let test = folder.join("test.tsv");
    if test.is_file() {
        return Ok(vec![test]);
    }
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(|error| dataset_refusal(folder, 0, &error))? {
        let path = entry.map_err(|error| dataset_refusal(folder, 0, &error))?.path();
        if path.extension().is_some_and(|extension| extension == "tsv") {
            paths.push(path);
        }
    }
    if paths.is_empty() {
        return Err(dataset_refusal(folder, 0, &"there is no .tsv file"));
    }
    paths.sort();
    Ok(paths)
}

/// Adds the positive judgements of a file. A line is query, document and grade, separated by tabs.
fn read_judgements(path: &Path, relevant: &mut HashMap<String, RelevanceGrades>) -> Result<(), Refusal> {
    let text = std::fs::read_to_string(path).map_err(|error| dataset_refusal(path, 0, &error))?;
    for (line, number) in text.lines().zip(1_u64..).filter(|(line, _)| !line.trim().is_empty()) {
        let mut columns = line.split('\t').map(str::trim);
        let (Some(query), Some(document), Some(grade), None) =
            (columns.next(), columns.next(), columns.next(), columns.next())
        else {
            return Err(dataset_refusal(
                path,
                number,
                &"expected query, document and grade, separated by tabs",
            ));
        };
        let grade: f64 = match grade.parse() {
            Ok(grade) => grade,
            // The first line may be a header.
            Err(_) if number == 1 => continue,
            Err(_) => return Err(dataset_refusal(path, number, &format!("'{grade}' is not a grade"))),
        };
        if grade > 0.0 {
            let document =
                DocumentId::new(document).map_err(|error| dataset_refusal(path, number, &error))?;
            relevant.entry(query.to_owned()).or_default().insert(document, grade);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{BeirDataset, title_line};
    use crate::cli::scratch::ScratchDirectory;

    fn dataset(corpus: &str, queries: &str, judgements: &str) -> ScratchDirectory {
        let scratch = ScratchDirectory::new("beir").expect("scratch");
        fs::create_dir(scratch.path().join("qrels")).expect("a folder");
        for (name, text) in
            [("corpus.jsonl", corpus), ("queries.jsonl", queries), ("qrels/test.tsv", judgements)]
        {
            fs::write(scratch.path().join(name), text).expect("a file");
        }
        scratch
    }

    #[test]
    fn questions_without_a_relevant_document_are_left_out() {
        let scratch = dataset(
            "{\"_id\":\"d1\",\"title\":\"T\",\"text\":\"body\"}\n{\"_id\":\"d2\",\"text\":\" \"}\n",
            "{\"_id\":\"1\",\"text\":\"one\"}\n{\"_id\":\"2\",\"text\":\"two\"}\n{\"_id\":\"3\",\"text\":\"three\"}\n",
            "query-id\tcorpus-id\tscore\n1\td1\t2\n1\td2\t0\n2\td1\t-1\n",
        );
        assert!(BeirDataset::is_at(scratch.path()));
        let set = BeirDataset::read(scratch.path()).expect("a set");
        assert_eq!(set.questions.len(), 1);
        assert_eq!(set.questions[0].grades.len(), 1);
        let documents: Vec<_> = set.documents().expect("documents").collect();
        assert_eq!(documents.len(), 1);
        assert_eq!(set.count_empty(), Ok(1));
    }

    #[test]
    fn a_broken_line_is_refused_by_file_and_number() {
        let scratch = dataset("{}\n", "{\"_id\":\"1\",\"text\":\"one\"}\n", "1\td1\tmany\n1\td2\tmany\n");
        let refusal = BeirDataset::read(scratch.path()).err().expect("a refusal");
        assert_eq!(refusal.code, "invalid_dataset");
        assert!(refusal.message.contains("test.tsv:2"), "{}", refusal.message);
    }

    #[test]
    fn titles_become_one_line() {
        assert_eq!(title_line(" a\n b\t c "), Some("a b c".to_owned()));
        assert_eq!(title_line(" \n"), None);
        assert_eq!(title_line(&"ä".repeat(2000)).map(|title| title.len()), Some(1024));
    }
}
