//! What both Qdrant engines store of a point, and the conditions asked of it.
//!
//! The embedded engine and the server hold the same payload under the same keys and filter by
//! the same tree of conditions, so a filter means the same in both; their folders only spell it
//! in their crate's types. Terms are exact, and so is every condition here:
//! [`MetadataFilter::matches`](contexture_core::domain::filter::Filter::matches) is its definition.

use serde_json::{Map, Value, json};

use contexture_core::domain::filter::{MetadataFilter, NumericBounds};
use contexture_core::domain::ids::{ChunkId, DocumentId, Version};
use contexture_core::domain::metadata::{equals_facet, exists_facet};
use contexture_core::fault::Fault;
use contexture_core::ports::vectors::VectorPoint;

/// The document's id.
pub(super) const DOCUMENT_FIELD: &str = "doc";
/// The version, a whole number.
pub(super) const VERSION_FIELD: &str = "ver";
/// Reader terms.
pub(super) const READERS_FIELD: &str = "acl";
/// Facet terms, without those that only order numbers.
pub(super) const FACETS_FIELD: &str = "facets";
/// Numbers by key, for ranges.
const NUMBERS_FIELD: &str = "numbers";
/// A condition on a point's payload.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum PayloadCondition {
    /// The key holds one of these terms.
    AnyTerm(&'static str, Vec<String>),
    /// The path holds a number within the bounds.
    Range(String, NumericBounds),
    /// All hold; of none: true.
    All(Vec<PayloadCondition>),
    /// At least one holds; of none: false.
    Any(Vec<PayloadCondition>),
    /// It does not hold.
    Not(Box<PayloadCondition>),
}

/// The caller's filter, and always its readers.
pub(super) fn readable_condition(filter: Option<&MetadataFilter>, readers: &[String]) -> PayloadCondition {
    let mut parts = vec![PayloadCondition::AnyTerm(READERS_FIELD, readers.to_vec())];
    parts.extend(filter.map(filter_condition));
    PayloadCondition::All(parts)
}

/// All points of a document.
pub(super) fn document_condition(document_id: &DocumentId) -> PayloadCondition {
    PayloadCondition::AnyTerm(DOCUMENT_FIELD, vec![document_id.as_str().to_owned()])
}

fn filter_condition(filter: &MetadataFilter) -> PayloadCondition {
    match filter {
        MetadataFilter::Equals(key, scalar) => {
            PayloadCondition::AnyTerm(FACETS_FIELD, vec![equals_facet(key, scalar)])
        }
        MetadataFilter::Exists(key) => PayloadCondition::AnyTerm(FACETS_FIELD, vec![exists_facet(key)]),
        MetadataFilter::In(_, scalars) if scalars.is_empty() => PayloadCondition::Any(Vec::new()),
        MetadataFilter::In(key, scalars) => PayloadCondition::AnyTerm(
            FACETS_FIELD,
            scalars.iter().map(|scalar| equals_facet(key, scalar)).collect(),
        ),
        MetadataFilter::Range(key, bounds) => {
            PayloadCondition::Range(format!("{NUMBERS_FIELD}.{}", number_key(key)), *bounds)
        }
        MetadataFilter::And(parts) => PayloadCondition::All(parts.iter().map(filter_condition).collect()),
        MetadataFilter::Or(parts) => PayloadCondition::Any(parts.iter().map(filter_condition).collect()),
        MetadataFilter::Not(part) => PayloadCondition::Not(Box::new(filter_condition(part))),
    }
}

/// Refuses a vector that a collection of `dims` numbers cannot hold.
pub(super) fn check_dimensions(vector: &[f32], dims: usize) -> Result<(), Fault> {
    if vector.len() == dims && vector.iter().all(|number| number.is_finite()) {
        return Ok(());
    }
    Err(Fault::permanent(
        "wrong_dimensions",
        format!("a vector has {} numbers (or one is not finite); the collection has {dims}", vector.len()),
    ))
}

/// The payload of a point.
pub(super) fn build_payload(point: &VectorPoint) -> Map<String, Value> {
    let mut payload = Map::new();
    payload.insert(DOCUMENT_FIELD.to_owned(), json!(point.document_id.as_str()));
    payload.insert(VERSION_FIELD.to_owned(), json!(point.version.get()));
    payload.insert(READERS_FIELD.to_owned(), json!(point.readers));
    let facets: Vec<&String> = point.facets.iter().filter(|facet| !is_ordering_facet(facet)).collect();
    if !facets.is_empty() {
        payload.insert(FACETS_FIELD.to_owned(), json!(facets));
    }
    if !point.numbers.is_empty() {
        let numbers: Map<_, _> =
            point.numbers.iter().map(|(key, values)| (number_key(key), json!(values))).collect();
        payload.insert(NUMBERS_FIELD.to_owned(), numbers.into());
    }
    payload
}

/// Whether a facet only orders a key's numbers; ranges here compare the numbers themselves. No
/// key holds the separator, but a text may, so only the first one counts.
fn is_ordering_facet(facet: &str) -> bool {
    facet.split_once('\u{1f}').is_some_and(|(_, value)| value.starts_with('#'))
}

/// The id that a walk goes on from after this one; none after the last of all.
pub(super) fn next_point_id(id: Option<ChunkId>) -> Option<ChunkId> {
    // Ids that are numbers are not ours and stand before all of these.
    let next = id.map_or(Some(0), |id| id.as_uuid().as_u128().checked_add(1))?;
    Some(ChunkId::from_uuid(uuid::Uuid::from_u128(next)))
}

/// The document that a payload names.
pub(super) fn parse_document_id(id: &str) -> Option<DocumentId> {
    DocumentId::new(id).ok()
}

/// The version in a payload, from its stored number.
pub(super) fn parse_version(number: u64) -> Option<Version> {
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
