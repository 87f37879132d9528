//! Questions with the excerpts that answer them: `corpora/` and `questions.jsonl`.
//!
//! This is the layout of Chroma's "Evaluating Chunking Strategies for Retrieval" (2024), with byte
//! offsets. Each reference is `start_byte..end_byte` of a file in `corpora/`. Every question is asked of
//! all corpora together.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use serde::Deserialize;

use super::corpus::{DocumentIterator, EvaluationDocument};
use super::files::{dataset_refusal, read_json_lines};
use super::oracle::DocumentTexts;
use crate::cli::scan::{FoundFile, ScanOptions, scan_paths};
use contexture_core::domain::chunk::TextSpan;
use contexture_core::domain::ids::DocumentId;
use contexture_core::fault::Refusal;
use contexture_core::ingest::chunk::{NormalisedText, decode_body};
use contexture_lab::measure::retrieval_metrics::ByteCoverage;

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

/// A question with the spans that answer it.
pub(crate) struct ExcerptQuestion {
    pub(crate) id: String,
    pub(crate) text: String,
    pub(crate) document: DocumentId,
    pub(crate) relevant: ByteCoverage,
}

/// A set of excerpt questions.
pub(crate) struct ExcerptDataset {
    files: Vec<FoundFile>,
    questions: Vec<ExcerptQuestion>,
}

impl ExcerptDataset {
    /// Whether the folder has this layout.
    pub(crate) fn is_at(folder: &Path) -> bool {
        folder.join("corpora").is_dir() && folder.join("questions.jsonl").is_file()
    }

    /// Reads the questions and checks their references against the corpora.
    pub(crate) fn read(folder: &Path) -> Result<Self, Refusal> {
        // The same scan as `ingest`, so that the same files get the same ids.
        let files = scan_paths(&[folder.join("corpora")], &ScanOptions::default())?.files;
        let by_id: HashMap<&DocumentId, &Path> =
            files.iter().map(|file| (&file.id, file.path.as_path())).collect();
        let path = folder.join("questions.jsonl");
        let mut resolver = ReferenceResolver { by_id, read: HashMap::new() };
        let mut questions = Vec::new();
        for (line, number) in read_json_lines::<QuestionLine>(&path)?.zip(1..) {
            questions.push(resolver.resolve(line?).map_err(|why| dataset_refusal(&path, number, &why))?);
        }
        Ok(Self { files, questions })
    }

    /// The corpora as documents.
    pub(crate) fn documents(&self) -> DocumentIterator {
        Box::new(self.files.clone().into_iter().map(|file| {
            let body = std::fs::read(&file.path).map_err(|error| dataset_refusal(&file.path, 0, &error))?;
            Ok(EvaluationDocument { id: file.id, title: None, media_type: None, body: Bytes::from(body) })
        }))
    }

    /// The questions, in the order of the file.
    pub(crate) fn questions(&self) -> &[ExcerptQuestion] {
        &self.questions
    }

    /// The normalised texts that spans refer to.
    pub(crate) fn texts(&self) -> Result<DocumentTexts, Refusal> {
        let text = |file: &FoundFile| {
            let body = std::fs::read(&file.path).map_err(|error| dataset_refusal(&file.path, 0, &error))?;
            // Decoded as ingest does it, so that spans mean the same bytes.
            let decoded = decode_body(&body, None, file.id.as_str());
            let decoded = decoded.map_err(|reason| dataset_refusal(&file.path, 0, &reason))?;
            Ok((file.id.clone(), decoded.text))
        };
        self.files.iter().map(text).collect()
    }
}

/// Resolves references. Each corpus is read once and kept in memory.
struct ReferenceResolver<'a> {
    by_id: HashMap<&'a DocumentId, &'a Path>,
    read: HashMap<PathBuf, (Vec<u8>, NormalisedText)>,
}

impl ReferenceResolver<'_> {
    fn resolve(&mut self, line: QuestionLine) -> Result<ExcerptQuestion, String> {
        let document = DocumentId::new(&line.document_id).map_err(|refusal| refusal.message)?;
        let path = *self.by_id.get(&document).ok_or_else(|| format!("there is no corpora/{document}"))?;
        if !self.read.contains_key(path) {
            let body = std::fs::read(path).map_err(|error| format!("corpora/{document}: {error}"))?;
            let text = decode_body(&body, None, document.as_str())
                .map_err(|reason| format!("corpora/{document}: {reason}"))?;
            self.read.insert(path.to_owned(), (body, text));
        }
        let (body, text) = &self.read[path];
        let mut spans = Vec::with_capacity(line.references.len());
        for reference in &line.references {
            let found = reference.spans(body, text)?;
            spans.extend(found.into_iter().map(|span| (document.clone(), span)));
        }
        let relevant = ByteCoverage::new(spans);
        // Recall would divide by zero.
        if relevant.bytes() == 0 {
            return Err("the question has no reference".to_owned());
        }
        Ok(ExcerptQuestion { id: line.id, text: line.text, document, relevant })
    }
}

impl ReferenceLine {
    /// The spans in the normalised text; what is left out of it is none. Refuses a reference that the document does
    /// not have.
    fn spans(&self, body: &[u8], normalised: &NormalisedText) -> Result<Vec<TextSpan>, String> {
        let Self { start_byte, end_byte, text } = self;
        let place = || format!("reference {start_byte}..{end_byte}");
        // `get` also refuses a start behind the end.
        let bytes =
            body.get(*start_byte..*end_byte).ok_or_else(|| format!("{} is outside the document", place()))?;
        if text.as_ref().is_some_and(|text| text.as_bytes() != bytes) {
            return Err(format!("{} holds another text than the document", place()));
        }
        normalised.spans_of_file(*start_byte, *end_byte).ok_or_else(|| "the document is not UTF-8".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::ExcerptDataset;
    use crate::cli::scratch::ScratchDirectory;

    fn dataset(document: &str, questions: &str) -> ScratchDirectory {
        let scratch = ScratchDirectory::new("excerpts").expect("scratch");
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
        assert!(ExcerptDataset::is_at(scratch.path()));
        let set = ExcerptDataset::read(scratch.path()).expect("a set");
        let expected = super::ByteCoverage::new([(
            super::DocumentId::new("a.md").expect("an id"),
            super::TextSpan { start: 4, end: 7 },
        )]);
        assert_eq!(set.questions[0].relevant, expected);
        let (_, span) = expected.spans().next().expect("a span");
        let texts = set.texts().expect("texts");
        assert_eq!(texts.values().next().and_then(|text| text.get(span.start..span.end)), Some("two"));
    }

    #[test]
    fn references_that_do_not_hold_are_refused_by_line() {
        for (start, end, text) in [(0, 3, "two"), (0, 100, "one"), (3, 1, ""), (2, 2, "")] {
            let scratch = dataset("one two", &question(start, end, text));
            let refusal = ExcerptDataset::read(scratch.path()).err().expect("a refusal");
            assert_eq!(refusal.code, "invalid_dataset");
            assert!(refusal.message.contains("questions.jsonl:1"), "{}", refusal.message);
        }
    }
}
