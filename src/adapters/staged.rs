//! What both Qdrant engines store of a point, and the conditions asked of it.
//!
//! The embedded engine and the server hold the same payload under the same keys and filter by
//! the same tree of conditions, so a filter means the same in both; their folders only spell it
//! in their crate's types. Terms are exact, and so is every condition here:
//! [`Filter::matches`](crate::domain::filter::Filter::matches) is its definition.

use serde_json::{Map, Value, json};

use crate::domain::filter::{Bounds, Filter};
use crate::domain::ids::{ChunkId, DocumentId, Version};
use crate::domain::metadata::{equals_facet, exists_facet};
use crate::fault::Fault;
use crate::ports::vectors::Point;

/// The document's id.
pub(super) const DOCUMENT: &str = "doc";
/// The version, a whole number.
pub(super) const VERSION: &str = "ver";
/// Reader terms.
pub(super) const READERS: &str = "acl";
/// Facet terms, without those that only order numbers.
pub(super) const FACETS: &str = "facets";
/// Numbers by key, for ranges.
const NUMBERS: &str = "numbers";
/// A condition on a point's payload.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Condition {
    /// The key holds one of these terms.
    AnyTerm(&'static str, Vec<String>),
    /// The path holds a number within the bounds.
    Range(String, Bounds),
    /// All hold; of none: true.
    All(Vec<Condition>),
    /// At least one holds; of none: false.
    Any(Vec<Condition>),
    /// It does not hold.
    Not(Box<Condition>),
}

/// The caller's filter, and always its readers.
pub(super) fn readable(filter: Option<&Filter>, readers: &[String]) -> Condition {
    let mut parts = vec![Condition::AnyTerm(READERS, readers.to_vec())];
    parts.extend(filter.map(condition));
    Condition::All(parts)
}

/// All points of a document.
pub(super) fn of_document(document_id: &DocumentId) -> Condition {
    Condition::AnyTerm(DOCUMENT, vec![document_id.as_str().to_owned()])
}

fn condition(filter: &Filter) -> Condition {
    match filter {
        Filter::Equals(key, scalar) => Condition::AnyTerm(FACETS, vec![equals_facet(key, scalar)]),
        Filter::Exists(key) => Condition::AnyTerm(FACETS, vec![exists_facet(key)]),
        Filter::In(_, scalars) if scalars.is_empty() => Condition::Any(Vec::new()),
        Filter::In(key, scalars) => {
            Condition::AnyTerm(FACETS, scalars.iter().map(|scalar| equals_facet(key, scalar)).collect())
        }
        Filter::Range(key, bounds) => Condition::Range(format!("{NUMBERS}.{}", number_key(key)), *bounds),
        Filter::And(parts) => Condition::All(parts.iter().map(condition).collect()),
        Filter::Or(parts) => Condition::Any(parts.iter().map(condition).collect()),
        Filter::Not(part) => Condition::Not(Box::new(condition(part))),
    }
}

/// Refuses a vector that a collection of `dims` numbers cannot hold.
pub(super) fn check_dims(vector: &[f32], dims: usize) -> Result<(), Fault> {
    if vector.len() == dims && vector.iter().all(|number| number.is_finite()) {
        return Ok(());
    }
    Err(Fault::permanent(
        "wrong_dimensions",
        format!("a vector has {} numbers (or one is not finite); the collection has {dims}", vector.len()),
    ))
}

/// The payload of a point.
pub(super) fn payload(point: &Point) -> Map<String, Value> {
    let mut payload = Map::new();
    payload.insert(DOCUMENT.to_owned(), json!(point.document_id.as_str()));
    payload.insert(VERSION.to_owned(), json!(point.version.get()));
    payload.insert(READERS.to_owned(), json!(point.readers));
    let facets: Vec<&String> = point.facets.iter().filter(|facet| !only_orders(facet)).collect();
    if !facets.is_empty() {
        payload.insert(FACETS.to_owned(), json!(facets));
    }
    if !point.numbers.is_empty() {
        let numbers: Map<_, _> =
            point.numbers.iter().map(|(key, values)| (number_key(key), json!(values))).collect();
        payload.insert(NUMBERS.to_owned(), numbers.into());
    }
    payload
}

/// Whether a facet only orders a key's numbers; ranges here compare the numbers themselves. No
/// key holds the separator, but a text may, so only the first one counts.
fn only_orders(facet: &str) -> bool {
    facet.split_once('\u{1f}').is_some_and(|(_, value)| value.starts_with('#'))
}

/// The id that a walk goes on from after this one; none after the last of all.
pub(super) fn after(id: Option<ChunkId>) -> Option<ChunkId> {
    // Ids that are numbers are not ours and stand before all of these.
    let next = id.map_or(Some(0), |id| id.as_uuid().as_u128().checked_add(1))?;
    Some(ChunkId::from_uuid(uuid::Uuid::from_u128(next)))
}

/// The document that a payload names.
pub(super) fn document(id: &str) -> Option<DocumentId> {
    DocumentId::new(id).ok()
}

/// The version in a payload, from its stored number.
pub(super) fn version(number: u64) -> Option<Version> {
    Version::new(number).ok()
}

/// The payload key under which a metadata key's numbers stand: hex, so that dots in keys do
/// not become paths.
fn number_key(key: &str) -> String {
    use std::fmt::Write;
    key.bytes().fold("k".to_owned(), |mut path, byte| {
        let _ = write!(path, "{byte:02x}");
        path
    })
}
