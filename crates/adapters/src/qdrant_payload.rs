//! The payload that both Qdrant engines store with a point, and the conditions on it.
//!
//! The embedded engine and the server hold the same payload under the same keys and filter by the same
//! tree of conditions, so a filter means the same in both. Their folders only translate it into the
//! types of their crate. Terms and conditions are exact; [`MetadataFilter::matches`] defines them.

use serde_json::{Map, Value, json};

use contexture_core::domain::filter::{MetadataFilter, NumericBounds};
use contexture_core::domain::filter_subject::PlaceRange;
use contexture_core::domain::ids::{ChunkId, DocumentId, Version};
use contexture_core::domain::metadata::{equals_facet, exists_facet, place_facet, text_facet_start};
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
/// Texts by key, for their starts. Each begins with [`TEXT_MARK`], which is nowhere else in it.
const TEXTS_FIELD: &str = "texts";
/// First line, page, slide or row of the chunk.
pub(super) const PLACE_FIRST_FIELD: &str = "place_first";
/// The last one.
pub(super) const PLACE_LAST_FIELD: &str = "place_last";
/// A facet of every point that has texts and places, which those of older programs have not. No key is empty.
const COMPLETE_FACET: &str = "\u{1f}2";
const TEXT_MARK: char = '\u{1e}';
const TEXT_ESCAPE: char = '\u{1d}';

/// A condition on a point's payload.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum PayloadCondition {
    /// The key holds one of these terms.
    AnyTerm(&'static str, Vec<String>),
    /// The key holds a text that has this in it. It has no index, or else the engine would read words.
    Holds(&'static str, String),
    /// The path holds a number within the bounds.
    Range(String, NumericBounds),
    /// All hold; true if there are none.
    All(Vec<PayloadCondition>),
    /// At least one holds; false if there are none.
    Any(Vec<PayloadCondition>),
    /// It does not hold.
    Not(Box<PayloadCondition>),
}

/// The condition of a search: its readers, always, and the caller's filter.
pub(super) fn readable_condition(filter: Option<&MetadataFilter>, readers: &[String]) -> PayloadCondition {
    let mut parts = vec![PayloadCondition::AnyTerm(READERS_FIELD, readers.to_vec())];
    parts.extend(filter.map(|filter| {
        let condition = filter_condition(filter);
        if !filter.asks_beyond_metadata() {
            return condition;
        }
        // A point of an older program may match: a hit that does not is dropped in the snapshot.
        let complete = PayloadCondition::AnyTerm(FACETS_FIELD, vec![COMPLETE_FACET.to_owned()]);
        PayloadCondition::Any(vec![condition, PayloadCondition::Not(Box::new(complete))])
    }));
    PayloadCondition::All(parts)
}

/// The condition for all points of a document.
pub(super) fn document_condition(document_id: &DocumentId) -> PayloadCondition {
    PayloadCondition::AnyTerm(DOCUMENT_FIELD, vec![document_id.as_str().to_owned()])
}

fn filter_condition(filter: &MetadataFilter) -> PayloadCondition {
    let condition = facet_condition(filter);
    let Some((unit, ranges)) = filter.places() else { return condition };
    let is_place = PayloadCondition::AnyTerm(FACETS_FIELD, vec![place_facet(unit.name())]);
    let touches = PayloadCondition::Any(ranges.into_iter().map(place_condition).collect());
    PayloadCondition::Any(vec![condition, PayloadCondition::All(vec![is_place, touches])])
}

/// Whether a point's place has a number in common with this one.
#[expect(clippy::cast_precision_loss, reason = "no file has 2^53 lines")]
fn place_condition(range: PlaceRange) -> PayloadCondition {
    let from = NumericBounds { gte: Some(range.first as f64), ..NumericBounds::default() };
    let to = NumericBounds { lte: Some(range.last as f64), ..NumericBounds::default() };
    PayloadCondition::All(vec![
        PayloadCondition::Range(PLACE_LAST_FIELD.to_owned(), from),
        PayloadCondition::Range(PLACE_FIRST_FIELD.to_owned(), to),
    ])
}

fn facet_condition(filter: &MetadataFilter) -> PayloadCondition {
    match filter {
        MetadataFilter::Equals(key, scalar) => {
            PayloadCondition::AnyTerm(FACETS_FIELD, vec![equals_facet(key, scalar)])
        }
        MetadataFilter::Exists(key) => PayloadCondition::AnyTerm(FACETS_FIELD, vec![exists_facet(key)]),
        // An engine may read an empty list of terms as no condition. This one is never true.
        MetadataFilter::In(_, scalars) if scalars.is_empty() => PayloadCondition::Any(Vec::new()),
        MetadataFilter::In(key, scalars) => PayloadCondition::AnyTerm(
            FACETS_FIELD,
            scalars.iter().map(|scalar| equals_facet(key, scalar)).collect(),
        ),
        MetadataFilter::Range(key, bounds) => {
            PayloadCondition::Range(format!("{NUMBERS_FIELD}.{}", number_key(key)), *bounds)
        }
        MetadataFilter::StartsWith(key, text) => {
            PayloadCondition::Holds(TEXTS_FIELD, marked_text(&text_facet_start(key, text)))
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

/// Builds the payload of a point.
pub(super) fn build_payload(point: &VectorPoint) -> Map<String, Value> {
    let mut payload = Map::new();
    payload.insert(DOCUMENT_FIELD.to_owned(), json!(point.document_id.as_str()));
    payload.insert(VERSION_FIELD.to_owned(), json!(point.version.get()));
    payload.insert(READERS_FIELD.to_owned(), json!(point.readers));
    let facets = point.facets.iter().map(String::as_str).filter(|facet| !is_ordering_facet(facet));
    let facets: Vec<&str> = facets.chain([COMPLETE_FACET]).collect();
    payload.insert(FACETS_FIELD.to_owned(), json!(facets));
    let texts = point.facets.iter().filter(|facet| is_text_facet(facet));
    let texts: Vec<String> = texts.map(|facet| marked_text(facet)).collect();
    if !texts.is_empty() {
        payload.insert(TEXTS_FIELD.to_owned(), json!(texts));
    }
    if let Some(place) = point.place {
        payload.insert(PLACE_FIRST_FIELD.to_owned(), json!(place.first));
        payload.insert(PLACE_LAST_FIELD.to_owned(), json!(place.last));
    }
    if !point.numbers.is_empty() {
        let numbers: Map<_, _> =
            point.numbers.iter().map(|(key, values)| (number_key(key), json!(values))).collect();
        payload.insert(NUMBERS_FIELD.to_owned(), numbers.into());
    }
    payload
}

/// Whether a facet only serves to order the numbers of a key; ranges here compare the numbers
/// themselves. No key contains the separator, but a text may, so only the first one counts.
fn is_ordering_facet(facet: &str) -> bool {
    facet.split_once('\u{1f}').is_some_and(|(_, value)| value.starts_with('#'))
}

/// Whether a facet is a key with a text.
fn is_text_facet(facet: &str) -> bool {
    facet.split_once('\u{1f}').is_some_and(|(_, value)| value.starts_with("=s"))
}

/// A text, or the start of one, behind a mark. The engines know no starts, but whether a text has another in it: with
/// the mark, that is only so at the start. Escapes are of whole characters, so the start of a text stays its start.
fn marked_text(text: &str) -> String {
    let mut marked = TEXT_MARK.to_string();
    for character in text.chars() {
        match character {
            TEXT_MARK => marked.extend([TEXT_ESCAPE, 'm']),
            TEXT_ESCAPE => marked.extend([TEXT_ESCAPE, 'e']),
            other => marked.push(other),
        }
    }
    marked
}

/// The lowest id after this one, to continue a walk; none after the highest.
pub(super) fn next_point_id(id: Option<ChunkId>) -> Option<ChunkId> {
    // Numeric ids are not ours. They sort before all of these.
    let next = id.map_or(Some(0), |id| id.as_uuid().as_u128().checked_add(1))?;
    Some(ChunkId::from_uuid(uuid::Uuid::from_u128(next)))
}

/// Parses the document id of a payload.
pub(super) fn parse_document_id(id: &str) -> Option<DocumentId> {
    DocumentId::new(id).ok()
}

/// Checks the stored number of a version.
pub(super) fn parse_version(number: u64) -> Option<Version> {
    Version::new(number).ok()
}

/// The payload key of the numbers of a metadata key: hex, so that dots in keys do not become paths.
fn number_key(key: &str) -> String {
    use std::fmt::Write;
    key.bytes().fold("k".to_owned(), |mut path, byte| {
        // Writing into a string cannot fail.
        let _ = write!(path, "{byte:02x}");
        path
    })
}
