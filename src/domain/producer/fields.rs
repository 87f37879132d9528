//! The fields of a message, taken out one by one; what is left in the end is unknown.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::{Map, Value};

use super::{BODY_REF_BYTES_MAX, Content, Position, Rejection, VALUES_MAX};
use crate::domain::document::{Acl, Description};
use crate::domain::metadata::Metadata;
use crate::domain::principal::{GROUPS_MAX, check_groups};

/// Fields that carry a body.
const BODIES: [&str; 3] = ["text", "body_base64", "body_ref"];

pub(super) struct Fields(Map<String, Value>);

impl Fields {
    pub(super) fn read(message: &[u8]) -> Result<Self, Rejection> {
        bound_values(message)?;
        match serde_json::from_slice(message).map_err(|error| unreadable(&error))? {
            Value::Object(map) => Ok(Self(map)),
            _ => Err(Rejection::of_field("not_an_object", "", "a message is one JSON object")),
        }
    }

    pub(super) fn required_text(&mut self, field: &str) -> Result<String, Rejection> {
        self.text(field)?.ok_or_else(|| {
            Rejection::of_field("missing_field", field, format!("{field} is missing; every message has one"))
        })
    }

    pub(super) fn text(&mut self, field: &str) -> Result<Option<String>, Rejection> {
        match self.0.remove(field) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(wrong_type(field, "a string")),
        }
    }

    pub(super) fn number(&mut self, field: &str) -> Result<Option<u64>, Rejection> {
        match self.0.remove(field) {
            None => Ok(None),
            Some(Value::Number(number)) if number.is_u64() => Ok(number.as_u64()),
            Some(_) => Err(wrong_type(field, "a whole number from 1 on")),
        }
    }

    pub(super) fn flag(&mut self, field: &str) -> Result<bool, Rejection> {
        match self.0.remove(field) {
            None => Ok(false),
            Some(Value::Bool(flag)) => Ok(flag),
            Some(_) => Err(wrong_type(field, "true or false")),
        }
    }

    pub(super) fn description(&mut self) -> Result<Description, Rejection> {
        let metadata = match self.0.remove("metadata") {
            None => Metadata::default(),
            Some(metadata) => Metadata::from_json(&metadata)?,
        };
        Ok(Description {
            media_type: self.text("media_type")?,
            title: self.text("title")?,
            metadata,
            acl: self.acl()?,
        })
    }

    fn acl(&mut self) -> Result<Acl, Rejection> {
        let refuse = || wrong_type("groups", "a list of strings; an empty one lets nobody read");
        let listed = match self.0.remove("groups") {
            None => return Ok(Acl::Tenant),
            Some(Value::Array(listed)) => listed,
            Some(_) => return Err(refuse()),
        };
        if listed.len() > GROUPS_MAX {
            let message = format!("groups lists more than {GROUPS_MAX} groups");
            return Err(Rejection::of_field("too_many_groups", "groups", message));
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
        Ok(Acl::Groups(groups))
    }

    pub(super) fn body(&mut self, description: Description) -> Result<Content, Rejection> {
        let given: Vec<&str> = BODIES.into_iter().filter(|field| self.0.contains_key(*field)).collect();
        match given[..] {
            [] => {
                return Err(Rejection::of_field(
                    "missing_body",
                    "text",
                    "one of text, body_base64 and body_ref is needed; delete needs none",
                ));
            }
            [_] => {}
            [_, second, ..] => {
                return Err(Rejection::of_field(
                    "more_than_one_body",
                    second,
                    "only one of text, body_base64 and body_ref may be given",
                ));
            }
        }
        if let Some(text) = self.text("text")? {
            return Ok(Content::Inline { description, body: text.into(), field: "text" });
        }
        if let Some(encoded) = self.text("body_base64")? {
            let body = Bytes::from(STANDARD.decode(encoded.as_bytes()).map_err(|error| {
                Rejection::of_field("invalid_base64", "body_base64", invalid_base64(&error))
            })?);
            return Ok(Content::Inline { description, body, field: "body_base64" });
        }
        let url = self.required_text("body_ref")?;
        if url.len() > BODY_REF_BYTES_MAX || !url.starts_with("file://") {
            return Err(Rejection::of_field(
                "invalid_body_ref",
                "body_ref",
                format!("body_ref must be a file:// URL of at most {BODY_REF_BYTES_MAX} bytes"),
            ));
        }
        Ok(Content::Reference { description, url })
    }

    /// Refuses what was not taken.
    pub(super) fn end(self, deletes: bool) -> Result<(), Rejection> {
        const OF_CONTENT: [&str; 4] = ["title", "media_type", "metadata", "groups"];
        let Some(field) = self.0.keys().next() else { return Ok(()) };
        if deletes && (OF_CONTENT.contains(&field.as_str()) || BODIES.contains(&field.as_str())) {
            return Err(Rejection::of_field(
                "delete_with_content",
                field,
                "a delete has a document_id, maybe a version, and nothing else",
            ));
        }
        Err(Rejection::of_field("unknown_field", field, "this version of the message has no such field"))
    }
}

fn wrong_type(field: &str, wanted: &str) -> Rejection {
    Rejection::of_field("wrong_type", field, format!("{field} must be {wanted}"))
}

/// What the parser says of broken JSON names no value.
fn unreadable(error: &serde_json::Error) -> Rejection {
    let position = Position { line: error.line(), column: error.column() };
    Rejection::of_json(position, format!("the message is not JSON: {error}"))
}

/// The decoder's own words would quote a symbol of the body.
fn invalid_base64(error: &base64::DecodeError) -> String {
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

/// Refuses a message whose structure alone would need much memory.
fn bound_values(message: &[u8]) -> Result<(), Rejection> {
    let (mut quoted, mut escaped) = (false, false);
    let (mut line, mut line_start, mut values) = (1, 0, 0);
    for (offset, byte) in message.iter().enumerate() {
        match byte {
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
        if values > VALUES_MAX {
            let position = Position { line, column: offset - line_start + 1 };
            return Err(Rejection {
                code: "too_many_values",
                ..Rejection::of_json(position, format!("the message holds more than {VALUES_MAX} values"))
            });
        }
    }
    Ok(())
}
