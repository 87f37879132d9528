//! Reads the questions of a comparison from a file or from an evaluation set.
//!
//! A text file has one question per line. Blank lines and lines that begin with `#` are ignored. If the
//! first other line begins with `{`, the file has one JSON object per line: `question`, and optionally `id`
//! and `relevant`, an object of document ids and grades. Grades of 0 and below are not relevant. A bad line
//! is refused with its number, and the whole file with it.

use std::collections::HashMap;
use std::path::Path;

use serde::Deserialize;

use crate::cli::eval::beir::BeirDataset;
use contexture_core::fault::Refusal;
use contexture_lab::compare::{ComparisonQuestion, QUESTIONS_MAX, QuestionCollector};

/// Maximum size of a file, in bytes.
const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct JsonLine {
    #[serde(default)]
    id: Option<String>,
    question: String,
    #[serde(default)]
    relevant: HashMap<String, f64>,
}

/// Reads a file of questions.
pub(super) fn read_question_file(path: &Path) -> Result<Vec<ComparisonQuestion>, Refusal> {
    let refuse = |why: &dyn std::fmt::Display| question_file_refusal(path, 0, why);
    // Checked before reading, so that a wrong path to a huge file costs nothing.
    let bytes = std::fs::metadata(path).map_err(|error| refuse(&error))?.len();
    if bytes > FILE_BYTES_MAX {
        return Err(refuse(&format!("{bytes} bytes; at most {FILE_BYTES_MAX} are read")));
    }
    let text = std::fs::read_to_string(path).map_err(|error| refuse(&error))?;
    // A byte order mark is no white space for `trim`, and would hide the `{` of the first line.
    parse_questions(path, text.strip_prefix('\u{FEFF}').unwrap_or(&text))
}

fn parse_questions(path: &Path, text: &str) -> Result<Vec<ComparisonQuestion>, Refusal> {
    // Numbered before anything is ignored, so that a number in a message is the line of the file.
    let lines = text.lines().zip(1_u64..).map(|(line, number)| (line.trim(), number));
    let lines = lines.filter(|(line, _)| !line.is_empty() && !line.starts_with('#'));
    // Decided once, so that a stray line among objects is an error and not a question.
    let is_json = lines.clone().next().is_some_and(|(line, _)| line.starts_with('{'));
    let mut questions = QuestionCollector::default();
    for (line, number) in lines {
        let question = if is_json {
            parse_json_question(line, number)
        } else {
            ComparisonQuestion::new(number.to_string(), line.to_owned(), [])
        };
        question
            .and_then(|question| questions.add(question))
            .map_err(|why| question_file_refusal(path, number, &why))?;
    }
    let questions = questions.into_all();
    if questions.is_empty() {
        return Err(question_file_refusal(path, 0, &"there is no question in it"));
    }
    Ok(questions)
}

fn parse_json_question(line: &str, number: u64) -> Result<ComparisonQuestion, String> {
    let JsonLine { id, question, relevant } =
        serde_json::from_str(line).map_err(|error| error.to_string())?;
    ComparisonQuestion::new(id.unwrap_or_else(|| number.to_string()), question, relevant)
}

/// The questions of a BEIR folder with a relevant document.
pub(super) fn read_dataset_questions(folder: &Path) -> Result<Vec<ComparisonQuestion>, Refusal> {
    let questions = BeirDataset::read(folder)?.into_questions();
    if questions.is_empty() || questions.len() > QUESTIONS_MAX {
        let message = format!(
            "{}: {} questions with a relevant document; between 1 and {QUESTIONS_MAX} can be asked",
            folder.display(),
            questions.len()
        );
        return Err(Refusal::invalid("invalid_dataset", "dataset", message));
    }
    let asked = questions.into_iter();
    Ok(asked.map(|one| ComparisonQuestion { id: one.id, text: one.text, relevant: one.grades }).collect())
}

/// Refuses a line. Line 0 stands for the file itself.
fn question_file_refusal(path: &Path, line: u64, why: &dyn std::fmt::Display) -> Refusal {
    let place = if line == 0 { String::new() } else { format!(":{line}") };
    Refusal::invalid("invalid_questions", "questions", format!("{}{place}: {why}", path.display()))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed step fails its test")]

    use std::path::Path;

    use super::{ComparisonQuestion, parse_questions};
    use contexture_core::domain::ids::DocumentId;

    fn read(text: &str) -> Result<Vec<ComparisonQuestion>, String> {
        parse_questions(Path::new("q"), text).map_err(|refusal| {
            assert_eq!(refusal.code, "invalid_questions");
            refusal.message
        })
    }

    #[test]
    fn lines_are_questions_named_by_their_number() {
        let questions = read("# about keys\n\n  How do keys rotate? \r\nWhere is {it}?\n").unwrap();
        let pairs: Vec<(&str, &str)> =
            questions.iter().map(|question| (&*question.id, &*question.text)).collect();
        assert_eq!(pairs, [("3", "How do keys rotate?"), ("4", "Where is {it}?")]);
    }

    #[test]
    fn objects_may_have_ids_and_judgements() {
        let questions =
            read("{\"id\":\"k\",\"question\":\"Keys?\",\"relevant\":{\"a.md\":2,\"b.md\":0}}\n{\"question\":\"x\"}\n")
                .unwrap();
        let document = DocumentId::new("a.md").unwrap();
        assert_eq!(questions[0].relevant, [(document, 2.0)].into_iter().collect());
        assert_eq!((&*questions[0].id, &*questions[1].id), ("k", "2"));
        assert!(questions[1].relevant.is_empty());
    }

    #[test]
    fn bad_lines_are_refused_with_their_number() {
        for (text, line) in [
            ("{\"question\":\"a\"}\nb\n", "q:2: "),
            ("{\"question\":\"a\",\"grades\":{}}", "q:1: "),
            ("{\"question\":\" \"}", "q:1: the question is empty"),
            (
                "{\"id\":\"1\",\"question\":\"a\"}\n{\"id\":\"1\",\"question\":\"b\"}",
                "q:2: there is a question '1'",
            ),
            ("{\"id\":\"\",\"question\":\"a\"}", "q:1: an id has"),
            ("{\"question\":\"a\",\"relevant\":{\"../x\":1}}", "q:1: "),
            ("# nothing\n", "q: there is no question"),
        ] {
            let message = read(text).unwrap_err();
            assert!(message.starts_with(line), "{text}: {message}");
        }
        let long = format!("short\n{}", "x".repeat(20_000));
        assert!(read(&long).unwrap_err().starts_with("q:2: the question has 20000 bytes"));
        let many = "why?\n".repeat(10_001);
        assert!(read(&many).unwrap_err().starts_with("q:10001: at most 10000"));
    }
}
