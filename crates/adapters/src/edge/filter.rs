//! The conditions of [`staged`](super::staged) in the engine's own JSON.

use qdrant_edge::external::serde_json::{self, Value, json};

use super::qdrant_payload::PayloadCondition;
use contexture_core::fault::Fault;

/// A filter that holds where the condition does.
pub(super) fn to_engine_filter(condition: &PayloadCondition) -> Result<qdrant_edge::Filter, Fault> {
    let filter = match condition {
        PayloadCondition::All(parts) if !parts.is_empty() => json!({ "must": conditions_to_json(parts) }),
        other => json!({ "must": [condition_to_json(other)] }),
    };
    serde_json::from_value(filter).map_err(|error| Fault::permanent("invalid_filter", error.to_string()))
}

fn condition_to_json(condition: &PayloadCondition) -> Value {
    match condition {
        PayloadCondition::AnyTerm(key, terms) => json!({"key": key, "match": {"any": terms}}),
        PayloadCondition::Range(path, bounds) => json!({
            "key": path,
            "range": {"gt": bounds.gt, "gte": bounds.gte, "lt": bounds.lt, "lte": bounds.lte},
        }),
        PayloadCondition::All(parts) if parts.is_empty() => json!({"must_not": [match_nothing()]}),
        PayloadCondition::All(parts) => json!({"must": conditions_to_json(parts)}),
        PayloadCondition::Any(parts) if parts.is_empty() => match_nothing(),
        PayloadCondition::Any(parts) => json!({"should": conditions_to_json(parts)}),
        PayloadCondition::Not(part) => json!({"must_not": [condition_to_json(part)]}),
    }
}

fn conditions_to_json(parts: &[PayloadCondition]) -> Vec<Value> {
    parts.iter().map(condition_to_json).collect()
}

/// True of no point.
fn match_nothing() -> Value {
    json!({"has_id": []})
}
