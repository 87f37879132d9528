//! The conditions of [`staged`](super::staged) in the engine's own JSON.

use qdrant_edge::external::serde_json::{self, Value, json};

use super::staged::Condition;
use crate::fault::Fault;

/// A filter that holds where the condition does.
pub(super) fn to_engine(condition: &Condition) -> Result<qdrant_edge::Filter, Fault> {
    let filter = match condition {
        Condition::All(parts) if !parts.is_empty() => json!({ "must": all(parts) }),
        other => json!({ "must": [to_json(other)] }),
    };
    serde_json::from_value(filter).map_err(|error| Fault::permanent("invalid_filter", error.to_string()))
}

fn to_json(condition: &Condition) -> Value {
    match condition {
        Condition::AnyTerm(key, terms) => json!({"key": key, "match": {"any": terms}}),
        Condition::Range(path, bounds) => json!({
            "key": path,
            "range": {"gt": bounds.gt, "gte": bounds.gte, "lt": bounds.lt, "lte": bounds.lte},
        }),
        Condition::All(parts) if parts.is_empty() => json!({"must_not": [nothing()]}),
        Condition::All(parts) => json!({"must": all(parts)}),
        Condition::Any(parts) if parts.is_empty() => nothing(),
        Condition::Any(parts) => json!({"should": all(parts)}),
        Condition::Not(part) => json!({"must_not": [to_json(part)]}),
    }
}

fn all(parts: &[Condition]) -> Vec<Value> {
    parts.iter().map(to_json).collect()
}

/// True of no point.
fn nothing() -> Value {
    json!({"has_id": []})
}
