//! Filters in the engine's terms; the facets carry the meaning ([`crate::domain::metadata`]).

use qdrant_edge::external::serde_json::{self, Value, json};

use crate::domain::filter::{Bounds, Filter};
use crate::domain::ids::DocumentId;
use crate::domain::metadata::{equals_facet, exists_facet};
use crate::fault::Fault;

/// The payload key under which a metadata key's numbers stand: hex, so that dots in keys do
/// not become paths.
pub(super) fn number_key(key: &str) -> String {
    use std::fmt::Write;
    key.bytes().fold("k".to_owned(), |mut path, byte| {
        let _ = write!(path, "{byte:02x}");
        path
    })
}

/// The caller's filter, and always its readers.
pub(super) fn to_engine(filter: Option<&Filter>, readers: &[String]) -> Result<qdrant_edge::Filter, Fault> {
    let mut must = vec![json!({"key": "acl", "match": {"any": readers}})];
    must.extend(filter.map(condition));
    parse(json!({ "must": must }))
}

/// All points of a document.
pub(super) fn of_document(document_id: &DocumentId) -> Result<qdrant_edge::Filter, Fault> {
    parse(json!({"must": [{"key": "doc", "match": {"value": document_id.as_str()}}]}))
}

fn parse(filter: Value) -> Result<qdrant_edge::Filter, Fault> {
    serde_json::from_value(filter).map_err(|error| Fault::permanent("invalid_filter", error.to_string()))
}

fn condition(filter: &Filter) -> Value {
    match filter {
        Filter::Equals(key, scalar) => facet_is(&equals_facet(key, scalar)),
        Filter::Exists(key) => facet_is(&exists_facet(key)),
        Filter::In(_, scalars) if scalars.is_empty() => nothing(),
        Filter::In(key, scalars) => {
            let facets: Vec<String> = scalars.iter().map(|scalar| equals_facet(key, scalar)).collect();
            json!({"key": "facets", "match": {"any": facets}})
        }
        Filter::Range(key, bounds) => range(key, bounds),
        Filter::And(parts) if parts.is_empty() => json!({"must_not": [nothing()]}),
        Filter::And(parts) => json!({"must": parts.iter().map(condition).collect::<Vec<_>>()}),
        Filter::Or(parts) if parts.is_empty() => nothing(),
        Filter::Or(parts) => json!({"should": parts.iter().map(condition).collect::<Vec<_>>()}),
        Filter::Not(part) => json!({"must_not": [condition(part)]}),
    }
}

fn facet_is(facet: &str) -> Value {
    json!({"key": "facets", "match": {"value": facet}})
}

/// True of no point.
fn nothing() -> Value {
    json!({"has_id": []})
}

fn range(key: &str, bounds: &Bounds) -> Value {
    json!({
        "key": format!("numbers.{}", number_key(key)),
        "range": {"gt": bounds.gt, "gte": bounds.gte, "lt": bounds.lt, "lte": bounds.lte},
    })
}
