//! Reads the arguments of a tool call. What is wrong is refused by name, with what is allowed.

use std::ops::RangeInclusive;

use rmcp::model::JsonObject;
use serde_json::Value;

use super::tool_definitions::McpToolName;
use contexture_core::fault::Refusal;

/// Longest piece of a wrong value that a refusal repeats, in characters.
const SHOWN_CHARS_MAX: usize = 40;

/// The arguments of one call; none has a name that the tool does not take.
#[derive(Debug)]
pub(super) struct ToolArguments {
    values: JsonObject,
}

impl ToolArguments {
    /// Refuses arguments that the tool does not take.
    pub(super) fn new(tool: McpToolName, values: JsonObject) -> Result<Self, Refusal> {
        let allowed = tool.arguments();
        let Some(unknown) = values.keys().find(|name| !allowed.contains(&name.as_str())) else {
            return Ok(Self { values });
        };
        let takes = if allowed.is_empty() { "no arguments".to_owned() } else { allowed.join(", ") };
        let message = format!("there is no argument '{}'; {} takes {takes}", shortened(unknown), tool.name());
        Err(Refusal::invalid("unknown_field", unknown, message))
    }

    /// Takes a text that is needed.
    pub(super) fn required_text(&mut self, name: &'static str) -> Result<String, Refusal> {
        match self.values.remove(name) {
            // An empty one is refused further on, as by every other door.
            Some(Value::String(text)) => Ok(text),
            None | Some(Value::Null) => {
                Err(Refusal::invalid("missing_field", name, format!("{name} is missing; it must be a text")))
            }
            Some(other) => Err(wrong_value(name, "a text", &other)),
        }
    }

    /// Takes a text. An empty one is none: models fill in what they do not need.
    pub(super) fn optional_text(&mut self, name: &'static str) -> Result<Option<String>, Refusal> {
        match self.values.remove(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text).filter(|text| !text.trim().is_empty())),
            Some(other) => Err(wrong_value(name, "a text", &other)),
        }
    }

    /// Takes a whole number within a range.
    pub(super) fn optional_integer(
        &mut self,
        name: &'static str,
        range: RangeInclusive<i64>,
    ) -> Result<Option<i64>, Refusal> {
        let value = match self.values.remove(name) {
            None | Some(Value::Null) => return Ok(None),
            Some(value) => value,
        };
        let number = whole_number(&value).filter(|number| range.contains(number)).ok_or_else(|| {
            let wanted = format!("a whole number from {} to {}", range.start(), range.end());
            wrong_value(name, &wanted, &value)
        })?;
        Ok(Some(number))
    }
}

/// A whole number, also if it is written as 4000.0, as some languages do.
fn whole_number(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| {
        let number = value.as_f64().filter(|number| number.fract() == 0.0 && number.abs() < 1e15)?;
        #[expect(clippy::cast_possible_truncation, reason = "a whole number below 10^15")]
        Some(number as i64)
    })
}

fn wrong_value(name: &'static str, wanted: &str, value: &Value) -> Refusal {
    let message = format!("{name} must be {wanted}, not {}", shortened(&value.to_string()));
    Refusal::invalid("invalid_field", name, message)
}

fn shortened(text: &str) -> String {
    let mut shown: String = text.chars().take(SHOWN_CHARS_MAX).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[expect(clippy::needless_pass_by_value, reason = "takes what json! makes")]
    fn arguments(tool: McpToolName, values: Value) -> Result<ToolArguments, Refusal> {
        ToolArguments::new(tool, values.as_object().cloned().unwrap_or_default())
    }

    #[expect(clippy::needless_pass_by_value, reason = "takes what json! makes")]
    fn max_tokens(value: Value) -> Result<Option<i64>, Refusal> {
        arguments(McpToolName::GetContext, json!({ "max_tokens": value }))
            .and_then(|mut arguments| arguments.optional_integer("max_tokens", 200..=20_000))
    }

    #[test]
    fn an_unknown_argument_is_named_with_the_allowed_ones() {
        let refusal = arguments(McpToolName::Search, json!({ "query": "a", "top": 3 })).expect_err("unknown");
        assert_eq!((refusal.code, refusal.field.as_str()), ("unknown_field", "top"));
        assert_eq!(refusal.message, "there is no argument 'top'; search takes query");
        let refusal = arguments(McpToolName::ListCollections, json!({ "prefix": "a" })).expect_err("unknown");
        assert!(refusal.message.ends_with("list_collections takes no arguments"), "{refusal}");
    }

    #[test]
    fn whole_numbers_within_the_range_are_read() {
        assert_eq!(max_tokens(json!(200)), Ok(Some(200)));
        assert_eq!(max_tokens(json!(20_000.0)), Ok(Some(20_000)));
        assert_eq!(max_tokens(json!(null)), Ok(None));
        for wrong in [json!(199), json!(20_001), json!("4000"), json!(4000.5), json!(true), json!(1e300)] {
            let refusal = max_tokens(wrong.clone()).expect_err("wrong");
            assert_eq!((refusal.code, refusal.field.as_str()), ("invalid_field", "max_tokens"));
            let expected = format!("max_tokens must be a whole number from 200 to 20000, not {wrong}");
            assert_eq!(refusal.message, expected);
        }
    }

    #[test]
    fn a_needed_text_is_taken_as_it_is_and_another_type_is_refused() {
        let read = |value: Value| {
            arguments(McpToolName::Fetch, json!({ "id": value }))
                .and_then(|mut arguments| arguments.required_text("id"))
        };
        assert_eq!(read(json!("a/b")).as_deref(), Ok("a/b"));
        assert_eq!(read(json!(" ")).as_deref(), Ok(" "), "refused by what it is for");
        assert_eq!(read(Value::Null).expect_err("none").code, "missing_field");
        let long = read(json!(["x".repeat(100)])).expect_err("a list");
        assert_eq!(long.code, "invalid_field");
        assert!(long.message.len() < 100, "{long}");
    }
}
