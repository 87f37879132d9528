//! Reads the fields of a message one by one; a field that is left in the end is unknown.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::{Map, Value};

use crate::domain::document::{DocumentAcl, DocumentDescription};
use crate::domain::metadata::DocumentMetadata;
use crate::domain::principal::{GROUPS_MAX, check_groups};
use crate::fault::Refusal;

/// Most commas, braces and brackets of a message, outside of strings.
pub const MESSAGE_VALUES_MAX: usize = 65_536;
/// Longest reference to a body, in bytes.
pub const BODY_REF_BYTES_MAX: usize = 4096;

/// Longest field path that is shown, in characters; it may be the producer's own text.
const FIELD_PATH_CHARS_MAX: usize = 128;

/// Fields that carry a body.
const BODY_FIELDS: [&str; 3] = ["text", "body_base64", "body_ref"];

/// The content of a message.
#[derive(Debug, Clone, PartialEq)]
pub enum SubmittedContent {
    /// A deletion.
    Delete,
    /// The body is in the message.
    Inline {
        /// Title, type, metadata, readers.
        description: DocumentDescription,
        /// The bytes.
        body: Bytes,
        /// The field that held them.
        field: &'static str,
    },
    /// The body is outside of the message.
    Reference {
        /// Title, type, metadata, readers.
        description: DocumentDescription,
        /// Its URL.
        url: String,
    },
}

/// A position in the text of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JsonPosition {
    /// Counted from 1.
    pub line: usize,
    /// In bytes; 0 before the first.
    pub column: usize,
}

/// Why a message is rejected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct MessageRejection {
    /// Stable and unique per cause, `snake_case`.
    pub code: &'static str,
    /// Path of the offending field, or property of the message; empty when none is to blame.
    pub field: String,
    /// The position of broken JSON.
    pub position: Option<JsonPosition>,
    /// One line: what is wrong and what to do. Quotes no value.
    pub message: String,
}

impl MessageRejection {
    /// A rejection because of a field.
    pub fn for_field(code: &'static str, field: &str, message: impl Into<String>) -> Self {
        // The path may be a key that the producer chose: it goes to logs and answers, so it is bounded.
        let field = field.chars().filter(|one| !one.is_control()).take(FIELD_PATH_CHARS_MAX).collect();
        Self { code, field, position: None, message: message.into() }
    }

    /// A rejection because of unreadable JSON.
    fn for_json(position: JsonPosition, message: String) -> Self {
        Self { code: "invalid_json", field: String::new(), position: Some(position), message }
    }
}

impl From<Refusal> for MessageRejection {
    fn from(refusal: Refusal) -> Self {
        Self::for_field(refusal.code, &refusal.field, refusal.message)
    }
}

pub(super) struct MessageFields(Map<String, Value>);

impl MessageFields {
    pub(super) fn read(message: &[u8]) -> Result<Self, MessageRejection> {
        check_value_count(message)?;
        match serde_json::from_slice(message).map_err(|error| broken_json_rejection(&error))? {
            Value::Object(map) => Ok(Self(map)),
            _ => Err(MessageRejection::for_field("not_an_object", "", "a message is one JSON object")),
        }
    }

    pub(super) fn required_text(&mut self, field: &str) -> Result<String, MessageRejection> {
        self.text(field)?.ok_or_else(|| {
            MessageRejection::for_field(
                "missing_field",
                field,
                format!("{field} is missing; every message has one"),
            )
        })
    }

    pub(super) fn text(&mut self, field: &str) -> Result<Option<String>, MessageRejection> {
        match self.0.remove(field) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(wrong_type_rejection(field, "a string")),
        }
    }

    pub(super) fn number(&mut self, field: &str) -> Result<Option<u64>, MessageRejection> {
        match self.0.remove(field) {
            None => Ok(None),
            Some(Value::Number(number)) if number.is_u64() => Ok(number.as_u64()),
            Some(_) => Err(wrong_type_rejection(field, "a whole number from 1 on")),
        }
    }

    pub(super) fn flag(&mut self, field: &str) -> Result<bool, MessageRejection> {
        match self.0.remove(field) {
            None => Ok(false),
            Some(Value::Bool(flag)) => Ok(flag),
            Some(_) => Err(wrong_type_rejection(field, "true or false")),
        }
    }

    pub(super) fn description(&mut self) -> Result<DocumentDescription, MessageRejection> {
        let metadata = match self.0.remove("metadata") {
            None => DocumentMetadata::default(),
            Some(metadata) => DocumentMetadata::from_json(&metadata)?,
        };
        Ok(DocumentDescription {
            media_type: self.text("media_type")?,
            title: self.text("title")?,
            metadata,
            acl: self.acl()?,
        })
    }

    fn acl(&mut self) -> Result<DocumentAcl, MessageRejection> {
        let refuse = || wrong_type_rejection("groups", "a list of strings; an empty one lets nobody read");
        let listed = match self.0.remove("groups") {
            None => return Ok(DocumentAcl::Tenant),
            Some(Value::Array(listed)) => listed,
            Some(_) => return Err(refuse()),
        };
        // Before the list becomes a set, which would hide repeated entries.
        if listed.len() > GROUPS_MAX {
            let message = format!("groups lists more than {GROUPS_MAX} groups");
            return Err(MessageRejection::for_field("too_many_groups", "groups", message));
        }
        let groups: Option<BTreeSet<String>> = listed
            .into_iter()
            .map(|group| match group {
                Value::String(group) => Some(group),
                _ => None,
            })
            .collect();
        let groups = groups.ok_or_else(refuse)?;
        check_groups(&groups, "groups")?;
        Ok(DocumentAcl::Groups(groups))
    }

    pub(super) fn body(
        &mut self,
        description: DocumentDescription,
    ) -> Result<SubmittedContent, MessageRejection> {
        let given: Vec<&str> = BODY_FIELDS.into_iter().filter(|field| self.0.contains_key(*field)).collect();
        match given[..] {
            [] => {
                return Err(MessageRejection::for_field(
                    "missing_body",
                    "text",
                    "one of text, body_base64 and body_ref is needed; delete needs none",
                ));
            }
            [_] => {}
            [_, second, ..] => {
                return Err(MessageRejection::for_field(
                    "more_than_one_body",
                    second,
                    "only one of text, body_base64 and body_ref may be given",
                ));
            }
        }
        if let Some(text) = self.text("text")? {
            return Ok(SubmittedContent::Inline { description, body: text.into(), field: "text" });
        }
        if let Some(encoded) = self.text("body_base64")? {
            let body = Bytes::from(STANDARD.decode(encoded.as_bytes()).map_err(|error| {
                MessageRejection::for_field("invalid_base64", "body_base64", describe_base64_error(&error))
            })?);
            return Ok(SubmittedContent::Inline { description, body, field: "body_base64" });
        }
        let url = self.required_text("body_ref")?;
        if url.len() > BODY_REF_BYTES_MAX || !url.starts_with("file://") {
            return Err(MessageRejection::for_field(
                "invalid_body_ref",
                "body_ref",
                format!("body_ref must be a file:// URL of at most {BODY_REF_BYTES_MAX} bytes"),
            ));
        }
        Ok(SubmittedContent::Reference { description, url })
    }

    /// Rejects fields that nobody read.
    pub(super) fn end(self, deletes: bool) -> Result<(), MessageRejection> {
        const OF_CONTENT: [&str; 4] = ["title", "media_type", "metadata", "groups"];
        let Some(field) = self.0.keys().next() else { return Ok(()) };
        if deletes && (OF_CONTENT.contains(&field.as_str()) || BODY_FIELDS.contains(&field.as_str())) {
            return Err(MessageRejection::for_field(
                "delete_with_content",
                field,
                "a delete has a document_id, maybe a version, and nothing else",
            ));
        }
        Err(MessageRejection::for_field(
            "unknown_field",
            field,
            "this version of the message has no such field",
        ))
    }
}

fn wrong_type_rejection(field: &str, wanted: &str) -> MessageRejection {
    MessageRejection::for_field("wrong_type", field, format!("{field} must be {wanted}"))
}

/// The parser's message about broken JSON quotes no value.
fn broken_json_rejection(error: &serde_json::Error) -> MessageRejection {
    let position = JsonPosition { line: error.line(), column: error.column() };
    MessageRejection::for_json(position, format!("the message is not JSON: {error}"))
}

/// The decoder's own message would quote a symbol of the body.
fn describe_base64_error(error: &base64::DecodeError) -> String {
    let rule = "body_base64 must be standard base64 with padding and without line breaks";
    match error {
        base64::DecodeError::InvalidByte(offset, _) | base64::DecodeError::InvalidLastSymbol(offset, _) => {
            format!("{rule}; character {offset} is wrong")
        }
        base64::DecodeError::InvalidLength(_) | base64::DecodeError::InvalidPadding => {
            format!("{rule}; its length or its end is wrong")
        }
    }
}

/// Rejects a message whose structure alone would take much memory.
fn check_value_count(message: &[u8]) -> Result<(), MessageRejection> {
    // Counts outside of strings, without parsing: a value of a few bytes takes many times that in memory.
    let (mut quoted, mut escaped) = (false, false);
    let (mut line, mut line_start, mut values) = (1, 0, 0);
    for (offset, byte) in message.iter().enumerate() {
        match byte {
            // Whatever follows a backslash is part of the string, even a quote.
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'\n' => {
                line += 1;
                line_start = offset + 1;
            }
            b',' | b'{' | b'[' if !quoted => values += 1,
            _ => {}
        }
        if values > MESSAGE_VALUES_MAX {
            let position = JsonPosition { line, column: offset - line_start + 1 };
            return Err(MessageRejection {
                code: "too_many_values",
                ..MessageRejection::for_json(
                    position,
                    format!("the message holds more than {MESSAGE_VALUES_MAX} values"),
                )
            });
        }
    }
    Ok(())
}
