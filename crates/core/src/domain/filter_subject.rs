//! What filters see of a chunk or of a document: its metadata, and the built-in keys.
//!
//! `document` is the id, `title` the title, and `line`, `page`, `slide` and `row` are where a chunk stands in its
//! source. A place is a range: a comparison holds if it holds for any number of the range. Metadata of the same name
//! wins: the built-in key is not there then. All engines store what is here, so a filter means the same in each.

use std::borrow::Cow;
use std::collections::BTreeSet;

use super::chunk::{Chunk, SourcePlace, SourceUnit};
use super::document::DocumentDescription;
use super::ids::DocumentId;
use super::metadata::{DocumentMetadata, MetadataScalar, equals_facet, exists_facet, place_facet};

/// The key of a document's id.
pub const DOCUMENT_KEY: &str = "document";
/// The key of a document's title.
pub const TITLE_KEY: &str = "title";

/// The unit that a key names; none for other keys.
pub fn place_unit(key: &str) -> Option<SourceUnit> {
    SourceUnit::ALL.into_iter().find(|unit| unit.name() == key)
}

/// Whether every document has a value under this key.
pub fn is_document_key(key: &str) -> bool {
    key == DOCUMENT_KEY || key == TITLE_KEY
}

/// Lines, pages, slides or rows, from 1: the first and the last one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlaceRange {
    /// The first.
    pub first: u64,
    /// The last.
    pub last: u64,
}

impl PlaceRange {
    /// Whether they have a number in common.
    pub fn touches(self, other: Self) -> bool {
        self.first <= other.last && other.first <= self.last
    }
}

impl From<SourcePlace> for PlaceRange {
    fn from(place: SourcePlace) -> Self {
        Self { first: place.first_line as u64, last: place.last_line as u64 }
    }
}

/// A chunk or a document, as filters see it.
#[derive(Debug, Clone, Copy)]
pub struct FilterSubject<'a> {
    document_id: &'a DocumentId,
    description: &'a DocumentDescription,
    place: SubjectPlace<'a>,
}

#[derive(Debug, Clone, Copy)]
enum SubjectPlace<'a> {
    Known(Option<SourcePlace>),
    /// That of a chunk, which is looked up when a filter asks for it.
    Of(&'a Chunk),
}

impl<'a> FilterSubject<'a> {
    /// A chunk.
    pub fn of_chunk(chunk: &'a Chunk) -> Self {
        Self {
            document_id: &chunk.document_id,
            description: &chunk.description,
            place: SubjectPlace::Of(chunk),
        }
    }

    /// A part of a document that stands at a place of its source.
    pub fn at_place(
        document_id: &'a DocumentId,
        description: &'a DocumentDescription,
        place: Option<SourcePlace>,
    ) -> Self {
        Self { document_id, description, place: SubjectPlace::Known(place) }
    }

    /// A whole document. It stands at no place.
    pub fn of_document(document_id: &'a DocumentId, description: &'a DocumentDescription) -> Self {
        Self::at_place(document_id, description, None)
    }

    /// The values under a key, places excepted.
    pub(super) fn scalars(&self, key: &str) -> Option<Cow<'a, [MetadataScalar]>> {
        if let Some(value) = self.metadata().get(key) {
            return Some(Cow::Borrowed(value.scalars()));
        }
        let text = self.built_in_text(key)?;
        Some(Cow::Owned(vec![MetadataScalar::Text(text.to_owned())]))
    }

    /// The place, if it is counted in this unit, and no metadata has the unit's name.
    pub(super) fn place_in(&self, unit: SourceUnit) -> Option<PlaceRange> {
        let place = self.source_place().filter(|place| place.unit == unit)?;
        self.metadata().get(unit.name()).is_none().then(|| place.into())
    }

    /// The place that filters see, if there is one.
    pub fn place(&self) -> Option<PlaceRange> {
        self.place_in(self.source_place()?.unit)
    }

    /// Every facet term.
    pub fn facets(&self) -> BTreeSet<String> {
        let mut facets = self.metadata().facets();
        for key in [DOCUMENT_KEY, TITLE_KEY] {
            if let (None, Some(text)) = (self.metadata().get(key), self.built_in_text(key)) {
                facets.insert(exists_facet(key));
                facets.insert(equals_facet(key, &MetadataScalar::Text(text.to_owned())));
            }
        }
        if let (Some(place), Some(_)) = (self.source_place(), self.place()) {
            facets.insert(place_facet(place.unit.name()));
        }
        facets
    }

    /// The numbers under each key that has some, for ranges.
    pub fn numbers(&self) -> Vec<(String, Vec<f64>)> {
        let numbers = self.metadata().iter().map(|(key, value)| {
            let numbers: Vec<f64> = value.scalars().iter().filter_map(MetadataScalar::as_number).collect();
            (key.clone(), numbers)
        });
        numbers.filter(|(_, numbers)| !numbers.is_empty()).collect()
    }

    fn metadata(&self) -> &'a DocumentMetadata {
        &self.description.metadata
    }

    fn built_in_text(&self, key: &str) -> Option<&'a str> {
        match key {
            DOCUMENT_KEY => Some(self.document_id.as_str()),
            TITLE_KEY => self.description.title.as_deref(),
            _ => None,
        }
    }

    fn source_place(&self) -> Option<SourcePlace> {
        match self.place {
            SubjectPlace::Known(place) => place,
            SubjectPlace::Of(chunk) => chunk.source_place(chunk.span),
        }
    }
}
