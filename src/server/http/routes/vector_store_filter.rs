//! Filters in OpenAI's shape, translated to the text form of our own.
//!
//! `ne` and `nin` hold for documents without the key, as `not` does here. Ranges compare numbers. `starts_with` is not
//! in their shape.

use serde::Deserialize;
use serde_json::Value;
use utoipa::openapi::schema::{
    AdditionalProperties, ArrayBuilder, ObjectBuilder, OneOfBuilder, Schema, SchemaType, Type,
};
use utoipa::openapi::{Ref, RefOr};
use utoipa::{PartialSchema, ToSchema};

use contexture_core::domain::filter::{FILTER_DEPTH_MAX, MetadataFilter};
use contexture_core::fault::Refusal;

/// The operators that compare.
const COMPARISONS: [&str; 9] = ["eq", "ne", "gt", "gte", "lt", "lte", "in", "nin", "starts_with"];

/// A comparison (`type`, `key`, `value`) or a compound (`type`, `filters`).
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct VectorStoreFilter {
    #[serde(rename = "type")]
    operator: String,
    #[serde(default)]
    key: Option<String>,
    #[serde(default)]
    value: Option<Value>,
    #[serde(default)]
    filters: Option<Vec<VectorStoreFilter>>,
}

impl VectorStoreFilter {
    /// The filter in text form, which is checked to mean what was said.
    pub(super) fn into_text(self) -> Result<String, Refusal> {
        let mut text = String::new();
        self.write(&mut text, "filters", 0)?;
        // Names the field of this request instead of the text's.
        MetadataFilter::parse(&text)
            .map_err(|refusal| Refusal { field: "filters".to_owned(), ..refusal })
            .map(|_| text)
    }

    fn write(&self, text: &mut String, path: &str, depth: usize) -> Result<(), Refusal> {
        if depth > FILTER_DEPTH_MAX {
            let message = format!("filters nest deeper than {FILTER_DEPTH_MAX}");
            return Err(Refusal::invalid("filter_too_deep", "filters", message));
        }
        match (self.operator.as_str(), &self.key, &self.value, &self.filters) {
            ("and" | "or", None, None, Some(filters)) if !filters.is_empty() => {
                for (index, filter) in filters.iter().enumerate() {
                    text.push_str(if index == 0 { "(" } else { self.joint() });
                    filter.write(text, &format!("{path}.filters[{index}]"), depth + 1)?;
                }
                text.push(')');
                Ok(())
            }
            ("and" | "or", ..) => Err(invalid_filter(path, "a compound has type and filters, at least one")),
            (operator, Some(key), Some(value), None) if COMPARISONS.contains(&operator) => {
                write_comparison(text, path, operator, key, value)
            }
            (operator, ..) if COMPARISONS.contains(&operator) => {
                Err(invalid_filter(path, "a comparison has type, key and value"))
            }
            (other, ..) => {
                let known = format!(
                    "there is no filter of type '{other}'; known: {}, and, or",
                    COMPARISONS.join(", ")
                );
                Err(invalid_filter(&format!("{path}.type"), &known))
            }
        }
    }

    fn joint(&self) -> &'static str {
        if self.operator == "and" { " and " } else { " or " }
    }
}

fn write_comparison(
    text: &mut String,
    path: &str,
    operator: &str,
    key: &str,
    value: &Value,
) -> Result<(), Refusal> {
    check_key(path, key)?;
    let symbol = match operator {
        "eq" => "=",
        "ne" => "!=",
        "gt" => ">",
        "gte" => ">=",
        "lt" => "<",
        "lte" => "<=",
        "starts_with" => "starts_with",
        _ => return write_membership(text, path, operator == "nin", key, value),
    };
    if symbol == "starts_with" && !value.is_string() {
        return Err(invalid_filter(&format!("{path}.value"), "starts_with needs a string"));
    }
    let is_range = !matches!(symbol, "=" | "!=" | "starts_with");
    if is_range && !value.is_number() {
        return Err(invalid_filter(&format!("{path}.value"), "a range needs a number"));
    }
    text.extend([key, " ", symbol, " ", &scalar_text(&format!("{path}.value"), value)?]);
    Ok(())
}

fn write_membership(
    text: &mut String,
    path: &str,
    negated: bool,
    key: &str,
    value: &Value,
) -> Result<(), Refusal> {
    let Value::Array(values) = value else {
        return Err(invalid_filter(&format!("{path}.value"), "in and nin need a list of values"));
    };
    let listed: Result<Vec<String>, Refusal> = values
        .iter()
        .enumerate()
        .map(|(index, one)| scalar_text(&format!("{path}.value[{index}]"), one))
        .collect();
    let not = if negated { "not " } else { "" };
    text.extend([not, key, " in [", &listed?.join(", "), "]"]);
    Ok(())
}

/// A scalar as the text form has it, which is as JSON has it.
fn scalar_text(path: &str, value: &Value) -> Result<String, Refusal> {
    match value {
        Value::String(_) | Value::Number(_) | Value::Bool(_) => Ok(value.to_string()),
        _ => Err(invalid_filter(path, "a value is a string, a number or a boolean")),
    }
}

/// Refuses a key that the text form would read as something else.
fn check_key(path: &str, key: &str) -> Result<(), Refusal> {
    let is_key = !key.is_empty() && key.chars().all(|one| one.is_ascii_alphanumeric() || "_-.".contains(one));
    let is_word = ["not", "exists"].iter().any(|word| key.eq_ignore_ascii_case(word));
    if is_key && !is_word {
        return Ok(());
    }
    Err(invalid_filter(
        &format!("{path}.key"),
        "a key has letters, digits, '_', '-' and '.', and is not 'not' or 'exists'",
    ))
}

fn invalid_filter(path: &str, why: &str) -> Refusal {
    Refusal::invalid("invalid_filter", path, format!("{path}: {why}"))
}

impl PartialSchema for VectorStoreFilter {
    fn schema() -> RefOr<Schema> {
        let text =
            |names: &[&str]| ObjectBuilder::new().schema_type(Type::String).enum_values(Some(names.to_vec()));
        let closed = || {
            ObjectBuilder::new().additional_properties(Some(AdditionalProperties::<Schema>::FreeForm(false)))
        };
        let scalar = || SchemaType::from_iter([Type::String, Type::Number, Type::Boolean]);
        let comparison = closed()
            .property("type", text(&["eq", "ne"]))
            .property("key", ObjectBuilder::new().schema_type(Type::String))
            .property("value", ObjectBuilder::new().schema_type(scalar()));
        let range = closed()
            .property("type", text(&["gt", "gte", "lt", "lte"]))
            .property("key", ObjectBuilder::new().schema_type(Type::String))
            .property("value", ObjectBuilder::new().schema_type(Type::Number));
        let start = closed()
            .property("type", text(&["starts_with"]))
            .property("key", ObjectBuilder::new().schema_type(Type::String))
            .property("value", ObjectBuilder::new().schema_type(Type::String));
        let membership = closed()
            .property("type", text(&["in", "nin"]))
            .property("key", ObjectBuilder::new().schema_type(Type::String))
            .property("value", ArrayBuilder::new().items(ObjectBuilder::new().schema_type(scalar())));
        let inner = ArrayBuilder::new().items(Ref::from_schema_name(Self::name())).min_items(Some(1));
        let compound = closed().property("type", text(&["and", "or"])).property("filters", inner);
        let compared = [comparison, range, start, membership]
            .map(|one| one.required("type").required("key").required("value"));
        let one_of = compared.into_iter().fold(OneOfBuilder::new(), OneOfBuilder::item);
        let one_of = one_of.item(compound.required("type").required("filters"));
        one_of.description(Some("A comparison of an attribute, or several of them joined.")).into()
    }
}

impl ToSchema for VectorStoreFilter {}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed step fails its test")]

    use serde_json::json;

    use super::*;

    fn translate(filter: Value) -> Result<String, (String, &'static str)> {
        let filter: VectorStoreFilter = serde_json::from_value(filter).unwrap();
        filter.into_text().map_err(|refusal| (refusal.field, refusal.code))
    }

    #[test]
    fn filters_are_translated_and_quoted() {
        let eq = json!({"type": "eq", "key": "lang", "value": "a\" or x = \"b"});
        assert_eq!(translate(eq.clone()), Ok("lang = \"a\\\" or x = \\\"b\"".to_owned()));
        let nin = json!({"type": "nin", "key": "tag", "value": ["x", 3, true]});
        let start = json!({"type": "starts_with", "key": "document", "value": "guides/"});
        assert_eq!(translate(start), Ok("document starts_with \"guides/\"".to_owned()));
        let range = json!({"type": "gte", "key": "year", "value": 2020.5});
        let or = json!({"type": "or", "filters": [nin, range]});
        let both = json!({"type": "and", "filters": [eq, or]});
        let expected = "(lang = \"a\\\" or x = \\\"b\" and (not tag in [\"x\", 3, true] or year >= 2020.5))";
        assert_eq!(translate(both), Ok(expected.to_owned()));
    }

    #[test]
    fn a_wrong_filter_names_its_place() {
        let inside = |filter: Value| translate(json!({"type": "and", "filters": [filter]})).unwrap_err().0;
        assert_eq!(inside(json!({"type": "like", "key": "a", "value": 1})), "filters.filters[0].type");
        assert_eq!(inside(json!({"type": "eq", "key": "a b", "value": 1})), "filters.filters[0].key");
        assert_eq!(inside(json!({"type": "eq", "key": "NOT", "value": 1})), "filters.filters[0].key");
        assert_eq!(inside(json!({"type": "gt", "key": "a", "value": "1"})), "filters.filters[0].value");
        assert_eq!(
            inside(json!({"type": "starts_with", "key": "a", "value": 1})),
            "filters.filters[0].value"
        );
        assert_eq!(inside(json!({"type": "in", "key": "a", "value": [[]]})), "filters.filters[0].value[0]");
        assert_eq!(inside(json!({"type": "or", "filters": []})), "filters.filters[0]");
        let reserved = translate(json!({"type": "eq", "key": "tenant", "value": "a"}));
        assert_eq!(reserved, Err(("filters".to_owned(), "reserved_filter_key")));
    }
}
