//! Why a message is not accepted, and where in it the reason stands.

use crate::fault::Refusal;

/// Longest field path that is shown, in characters; it may be the producer's own text.
const FIELD_PATH_CHARS_MAX: usize = 128;

/// A place in the text of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JsonPosition {
    /// Counted from 1.
    pub line: usize,
    /// In bytes; 0 before the first.
    pub column: usize,
}

/// A typed no to a message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct MessageRejection {
    /// Stable and unique per cause, `snake_case`.
    pub code: &'static str,
    /// Path of the offending field, or property of the message; empty when none is to blame.
    pub field: String,
    /// Where the JSON is broken.
    pub position: Option<JsonPosition>,
    /// One line: what, and what to do. Quotes no value.
    pub message: String,
}

impl MessageRejection {
    /// For what a field says.
    pub fn for_field(code: &'static str, field: &str, message: impl Into<String>) -> Self {
        let field = field.chars().filter(|one| !one.is_control()).take(FIELD_PATH_CHARS_MAX).collect();
        Self { code, field, position: None, message: message.into() }
    }

    /// For JSON that cannot be read.
    pub(super) fn for_json(position: JsonPosition, message: String) -> Self {
        Self { code: "invalid_json", field: String::new(), position: Some(position), message }
    }
}

impl From<Refusal> for MessageRejection {
    fn from(refusal: Refusal) -> Self {
        Self::for_field(refusal.code, &refusal.field, refusal.message)
    }
}
