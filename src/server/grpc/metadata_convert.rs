//! Converts metadata between `google.protobuf.Struct` and the domain.
//!
//! Node's Protobuf libraries drop names that a message does not have, without an error. A plain object given as a
//! Struct therefore arrives without fields, and one given as a Value without a kind. Both are refused, because
//! otherwise the metadata would be lost silently. Nothing else arrives so: no metadata is an absent Struct.

use std::collections::BTreeMap;

use prost_types::value::Kind;
use prost_types::{ListValue, Struct, Value};

use contexture_core::domain::metadata::{DocumentMetadata, MetadataScalar, MetadataValue};
use contexture_core::fault::Refusal;

/// Largest magnitude of a whole number that a protobuf number holds exactly: 2^53.
const WHOLE_NUMBER_MAX: f64 = 9_007_199_254_740_992.0;

/// Reads the metadata of a request.
pub(super) fn metadata_from_struct(raw: Struct) -> Result<DocumentMetadata, Refusal> {
    if raw.fields.is_empty() {
        return Err(Refusal::invalid(
            "empty_metadata",
            "metadata",
            "metadata is a Struct without fields; leave it out if there is none. In Node a plain object arrives \
             like this; write {fields: {key: {stringValue: \"text\"}}}",
        ));
    }
    let mut values = BTreeMap::new();
    for (key, value) in raw.fields {
        let value = metadata_value(value)
            .map_err(|why| Refusal::invalid("invalid_metadata_value", &format!("metadata.{key}"), why))?;
        values.insert(key, value);
    }
    DocumentMetadata::new(values)
}

fn metadata_value(value: Value) -> Result<MetadataValue, &'static str> {
    if let Some(Kind::ListValue(list)) = value.kind {
        return list
            .values
            .into_iter()
            .map(metadata_scalar)
            .collect::<Result<_, _>>()
            .map(MetadataValue::Many);
    }
    metadata_scalar(value).map(MetadataValue::One)
}

fn metadata_scalar(value: Value) -> Result<MetadataScalar, &'static str> {
    match value.kind {
        Some(Kind::BoolValue(flag)) => Ok(MetadataScalar::Bool(flag)),
        Some(Kind::StringValue(text)) => Ok(MetadataScalar::Text(text)),
        Some(Kind::NumberValue(number)) => Ok(number_scalar(number)),
        // Metadata is flat: no nulls, no objects, no lists in lists.
        Some(Kind::NullValue(_) | Kind::StructValue(_) | Kind::ListValue(_)) => {
            Err("a metadata value is a string, a number, a boolean, or a list of these")
        }
        None => Err("the Value has no kind set. In Node a plain value arrives like this; write \
                     {stringValue: \"text\"}, {numberValue: 1}, {boolValue: true} or \
                     {listValue: {values: [{stringValue: \"text\"}]}}"),
    }
}

/// Converts a number of protobuf, which is always a float. A whole number becomes an integer, as in JSON.
#[expect(clippy::cast_possible_truncation, reason = "only whole numbers within 2^53 are converted")]
fn number_scalar(number: f64) -> MetadataScalar {
    // NaN and infinity have no fraction of 0, so they stay floats, which `DocumentMetadata` refuses.
    if number.fract() == 0.0 && number.abs() <= WHOLE_NUMBER_MAX {
        return MetadataScalar::Integer(number as i64);
    }
    MetadataScalar::Float(number)
}

/// Returns the metadata of an answer; none where a document has none.
pub(super) fn metadata_struct(metadata: &DocumentMetadata) -> Option<Struct> {
    let fields: BTreeMap<String, Value> =
        metadata.iter().map(|(key, value)| (key.clone(), value_message(value))).collect();
    (!fields.is_empty()).then_some(Struct { fields })
}

fn value_message(value: &MetadataValue) -> Value {
    match value {
        MetadataValue::One(scalar) => scalar_message(scalar),
        MetadataValue::Many(scalars) => {
            let values = scalars.iter().map(scalar_message).collect();
            Value { kind: Some(Kind::ListValue(ListValue { values })) }
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "protobuf has no integers here; the schema says so")]
fn scalar_message(scalar: &MetadataScalar) -> Value {
    let kind = match scalar {
        MetadataScalar::Bool(flag) => Kind::BoolValue(*flag),
        MetadataScalar::Integer(number) => Kind::NumberValue(*number as f64),
        MetadataScalar::Float(number) => Kind::NumberValue(*number),
        MetadataScalar::Text(text) => Kind::StringValue(text.clone()),
    };
    Value { kind: Some(kind) }
}
