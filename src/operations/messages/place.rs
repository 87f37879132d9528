//! Places in the sources of documents, as JSON.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use contexture_core::domain::chunk::SourcePlace;

/// A place in a source that has no lines.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PlaceView {
    /// What is counted: `page`, `slide` or `row`.
    pub unit: String,
    /// The first one, from 1.
    pub first: u64,
    /// The last one.
    pub last: u64,
}

impl PlaceView {
    /// None for lines, which have fields of their own.
    pub(super) fn new(place: SourcePlace) -> Option<Self> {
        let SourcePlace { unit, first_line, last_line, .. } = place;
        (!unit.is_line()).then(|| Self {
            unit: unit.name().to_owned(),
            first: first_line as u64,
            last: last_line as u64,
        })
    }
}

/// First and last line, where the source has lines.
pub(super) fn source_lines(place: Option<SourcePlace>) -> Option<(u64, u64)> {
    let place = place.filter(|place| place.unit.is_line())?;
    Some((place.first_line as u64, place.last_line as u64))
}

/// First byte and the byte behind the last, where the source is UTF-8 text.
pub(super) fn source_bytes(place: Option<SourcePlace>) -> Option<(u64, u64)> {
    place?.bytes.map(|(start, end)| (start as u64, end as u64))
}
