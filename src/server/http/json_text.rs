//! Reads JSON, and says what is wrong with it: where the text is no JSON, or which field is not what it has to be.
//!
//! A request is read in one pass. Only a refused one is read again, with its path noted, because that costs.

use serde::de::DeserializeOwned;
use serde_json::error::Category;

use contexture_core::fault::Refusal;

/// Most documents of one request that is read whole.
pub(super) const DOCUMENTS_MAX: usize = 10_000;
/// What is said of an array with more than [`DOCUMENTS_MAX`].
pub(super) const TOO_MANY_DOCUMENTS: &str = "one request takes at most 10000 documents";

/// Reads a value.
pub(super) fn parse_json<T: DeserializeOwned>(text: &[u8]) -> Result<T, Refusal> {
    parse_json_line(text, 1)
}

/// Reads a value that stands on this line of the request.
pub(super) fn parse_json_line<T: DeserializeOwned>(text: &[u8], line: u64) -> Result<T, Refusal> {
    serde_json::from_slice(text).or_else(|_| explain_json(text, line))
}

/// Reads a value again to find out where it is wrong.
fn explain_json<T: DeserializeOwned>(text: &[u8], line: u64) -> Result<T, Refusal> {
    let mut reader = serde_json::Deserializer::from_slice(text);
    let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let path = error.path().to_string();
        refusal_of_json_error(error.inner(), &path, line)
    })?;
    reader.end().map_err(|error| refusal_of_json_error(&error, "", line))?;
    Ok(value)
}

fn refusal_of_json_error(error: &serde_json::Error, path: &str, line: u64) -> Refusal {
    let (row, column) = (error.line(), error.column());
    let said = error.to_string();
    let what = said.strip_suffix(&format!(" at line {row} column {column}")).unwrap_or(&said);
    // A value has its lines counted from 1; the first of them is `line`.
    let row = row as u64 + line - 1;
    match error.classify() {
        Category::Data => {
            let (code, field) = blamed_field(what, path);
            let named = if field.is_empty() { String::new() } else { format!("{field}: ") };
            Refusal::invalid(code, &field, format!("{named}{what}, at line {row}, column {column}"))
        }
        Category::Syntax | Category::Eof | Category::Io => {
            let message = format!("the body is not JSON: {what}, at line {row}, column {column}");
            Refusal::invalid("invalid_json", "", message)
        }
    }
}

/// The code for what a deserialiser said at a path, and the field that is to blame.
// serde has no kinds of errors, only words. Those below are part of its trait, and the tests hold them.
pub(super) fn blamed_field(what: &str, path: &str) -> (&'static str, String) {
    // How a path says that it has no name for the place.
    let path = if path == "." || path == "?" { "" } else { path };
    if what == TOO_MANY_DOCUMENTS {
        return ("too_many_documents", String::new());
    }
    let named = what.split('`').nth(1).unwrap_or_default();
    if what.starts_with("missing field ") {
        return ("missing_field", if path.is_empty() { named.to_owned() } else { format!("{path}.{named}") });
    }
    if what.starts_with("unknown field ") {
        // The path of JSON ends with the field, that of a query string may be empty.
        return ("unknown_field", if path.is_empty() { named.to_owned() } else { path.to_owned() });
    }
    ("invalid_field", path.to_owned())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed step fails its test")]

    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Default, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only read")]
    struct ShelfFields {
        name: String,
        #[serde(default)]
        books: Vec<BookFields>,
    }

    #[derive(Debug, Default, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only read")]
    struct BookFields {
        pages: u64,
    }

    fn refused(text: &str) -> (&'static str, String, String) {
        let refusal = parse_json::<ShelfFields>(text.as_bytes()).map(|_| ()).unwrap_err();
        (refusal.code, refusal.field, refusal.message)
    }

    #[test]
    fn broken_json_has_its_line_and_column() {
        let (code, field, message) = refused("{\"name\": \"a\",\n  \"books\": [}");
        assert_eq!((code, &*field), ("invalid_json", ""));
        assert!(message.contains("line 2, column 13"), "{message}");
        assert_eq!(refused("{\"name\": \"a\"} x").0, "invalid_json");
        assert_eq!(refused("").0, "invalid_json");
        assert_eq!(refused("{\"name\": \"\u{1}\"}").0, "invalid_json");
    }

    #[test]
    fn a_wrong_field_is_named_by_its_path() {
        let code_and_field = |text: &str| {
            let (code, field, _) = refused(text);
            (code, field)
        };
        let expect = |code: &'static str, field: &str| (code, field.to_owned());
        assert_eq!(code_and_field("{\"nam\": 1}"), expect("unknown_field", "nam"));
        assert_eq!(code_and_field("{}"), expect("missing_field", "name"));
        assert_eq!(code_and_field("{\"name\": 7}"), expect("invalid_field", "name"));
        let book = |book: &str| format!("{{\"name\": \"a\", \"books\": [{{\"pages\": 1}}, {book}]}}");
        assert_eq!(code_and_field(&book("{}")), expect("missing_field", "books[1].pages"));
        assert_eq!(code_and_field(&book("{\"pages\": -1}")), expect("invalid_field", "books[1].pages"));
        assert_eq!(code_and_field(&book("{\"size\": -1}")), expect("unknown_field", "books[1].size"));
        assert_eq!(code_and_field("[]"), expect("invalid_field", ""));
    }

    #[test]
    fn a_line_of_many_has_its_own_number() {
        let refusal = parse_json_line::<ShelfFields>(b"{\"name\" 1}", 41).map(|_| ()).unwrap_err();
        assert!(refusal.message.contains("line 41, column 9"), "{refusal}");
    }
}
