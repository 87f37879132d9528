//! Filters on what is known of a chunk, and their meaning.
//!
//! `key = v`, `key in [..]`, ranges, `key starts_with "…"` and `exists(key)` are true if *any* value under the key
//! satisfies them, and false if the key is missing. A place in the source is a range of numbers, and each of them is a
//! value ([`FilterSubject`]). `not` negates the whole. `and` of nothing is true; `or` and `in` of nothing are false.
//! Engines pre-filter with the same terms ([`crate::domain::metadata`]); [`MetadataFilter::matches`] is the
//! definition. The text form is in [`super::filter_text`].

use std::collections::BTreeSet;

use super::chunk::SourceUnit;
use super::filter_subject::{FilterSubject, PlaceRange, is_document_key, place_unit};
use super::metadata::MetadataScalar;

/// Longest filter text, in bytes.
pub const FILTER_TEXT_BYTES_MAX: usize = 16 * 1024;
/// Deepest nesting.
pub const FILTER_DEPTH_MAX: usize = 32;
/// Most comparisons and listed values.
pub const FILTER_TERMS_MAX: usize = 512;

/// A condition on metadata and built-in keys.
#[derive(Debug, Clone, PartialEq)]
pub enum MetadataFilter {
    /// The key has this value.
    Equals(String, MetadataScalar),
    /// The key has one of these values.
    In(String, Vec<MetadataScalar>),
    /// The key has a number within the bounds.
    Range(String, NumericBounds),
    /// The key has a text that starts with this one.
    StartsWith(String, String),
    /// The key is present.
    Exists(String),
    /// All hold.
    And(Vec<MetadataFilter>),
    /// At least one holds.
    Or(Vec<MetadataFilter>),
    /// It does not hold.
    Not(Box<MetadataFilter>),
}

/// Bounds of a range; a missing bound is open.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct NumericBounds {
    /// Greater than.
    pub gt: Option<f64>,
    /// Greater than or equal.
    pub gte: Option<f64>,
    /// Less than.
    pub lt: Option<f64>,
    /// Less than or equal.
    pub lte: Option<f64>,
}

impl NumericBounds {
    fn contains(&self, number: f64) -> bool {
        self.gt.is_none_or(|bound| number > bound)
            && self.gte.is_none_or(|bound| number >= bound)
            && self.lt.is_none_or(|bound| number < bound)
            && self.lte.is_none_or(|bound| number <= bound)
    }

    /// The places within these bounds; none if there are none.
    pub fn places(&self) -> Option<PlaceRange> {
        let from = [self.gt.map(|bound| bound.floor() + 1.0), self.gte.map(f64::ceil)];
        let to = [self.lt.map(|bound| bound.ceil() - 1.0), self.lte.map(f64::floor)];
        let first = from.into_iter().flatten().fold(0.0, f64::max);
        let last = to.into_iter().flatten().reduce(f64::min);
        (last.is_none_or(|last| first <= last))
            .then(|| PlaceRange { first: place_number(first), last: last.map_or(u64::MAX, place_number) })
    }
}

impl MetadataFilter {
    /// Whether a chunk or a document satisfies this filter. This is the definition of a filter's meaning.
    pub fn matches(&self, subject: &FilterSubject<'_>) -> bool {
        let any = |key: &str, test: &dyn Fn(&MetadataScalar) -> bool| {
            subject.scalars(key).is_some_and(|scalars| scalars.iter().any(test))
        };
        match self {
            Self::Equals(key, wanted) => {
                any(key, &|scalar| scalar.equals(wanted)) || self.matches_place(subject)
            }
            Self::In(key, wanted) => {
                any(key, &|scalar| wanted.iter().any(|one| one.equals(scalar))) || self.matches_place(subject)
            }
            Self::Range(key, bounds) => {
                any(key, &|scalar| scalar.as_number().is_some_and(|number| bounds.contains(number)))
                    || self.matches_place(subject)
            }
            Self::StartsWith(key, start) => {
                any(key, &|scalar| matches!(scalar, MetadataScalar::Text(text) if text.starts_with(start)))
            }
            Self::Exists(key) => subject.scalars(key).is_some() || self.matches_place(subject),
            Self::And(parts) => parts.iter().all(|part| part.matches(subject)),
            Self::Or(parts) => parts.iter().any(|part| part.matches(subject)),
            Self::Not(part) => !part.matches(subject),
        }
    }

    fn matches_place(&self, subject: &FilterSubject<'_>) -> bool {
        self.places().is_some_and(|(unit, ranges)| {
            let place = subject.place_in(unit);
            place.is_some_and(|place| ranges.iter().any(|range| range.touches(place)))
        })
    }

    /// Of a condition on a place: the unit, and the places of which one has to be touched. None if it is on something
    /// else, or compares with nothing that a place can be.
    pub fn places(&self) -> Option<(SourceUnit, Vec<PlaceRange>)> {
        let (key, ranges) = match self {
            Self::Equals(key, wanted) => (key, place_at(wanted).into_iter().collect()),
            Self::In(key, wanted) => (key, wanted.iter().filter_map(place_at).collect()),
            Self::Range(key, bounds) => (key, bounds.places().into_iter().collect()),
            Self::Exists(key) => (key, vec![PlaceRange { first: 0, last: u64::MAX }]),
            Self::StartsWith(..) | Self::And(_) | Self::Or(_) | Self::Not(_) => return None,
        };
        let unit = place_unit(key)?;
        (!ranges.is_empty()).then_some((unit, ranges))
    }

    /// Whether it, or a part of it, is on a place: then chunks of one document may differ.
    pub fn tells_chunks_apart(&self) -> bool {
        match self {
            Self::And(parts) | Self::Or(parts) => parts.iter().any(Self::tells_chunks_apart),
            Self::Not(part) => part.tells_chunks_apart(),
            leaf => leaf.places().is_some(),
        }
    }

    /// Whether it asks for a start of texts, a built-in key or a place: points of before have no terms for these.
    pub fn asks_beyond_metadata(&self) -> bool {
        match self {
            Self::Equals(key, _) | Self::In(key, _) | Self::Range(key, _) | Self::Exists(key) => {
                is_document_key(key) || place_unit(key).is_some()
            }
            Self::StartsWith(..) => true,
            Self::And(parts) | Self::Or(parts) => parts.iter().any(Self::asks_beyond_metadata),
            Self::Not(part) => part.asks_beyond_metadata(),
        }
    }

    /// The keys that it asks for and that only metadata can have: numbers under `page` may be places.
    pub fn metadata_keys(&self) -> BTreeSet<&str> {
        match self {
            Self::Equals(key, _)
            | Self::In(key, _)
            | Self::Range(key, _)
            | Self::StartsWith(key, _)
            | Self::Exists(key) => {
                let is_built_in = is_document_key(key) || self.places().is_some();
                (!is_built_in).then_some(key.as_str()).into_iter().collect()
            }
            Self::And(parts) | Self::Or(parts) => parts.iter().flat_map(Self::metadata_keys).collect(),
            Self::Not(part) => part.metadata_keys(),
        }
    }

    /// Whether no document can pass because none has metadata under `keys`. `exists` asks just that, and is
    /// answered.
    pub fn is_barred_by_absence_of(&self, keys: &BTreeSet<&str>) -> bool {
        match self {
            Self::Equals(key, _) | Self::In(key, _) | Self::Range(key, _) | Self::StartsWith(key, _) => {
                keys.contains(key.as_str()) && self.places().is_none()
            }
            Self::Exists(_) => false,
            Self::And(parts) => parts.iter().any(|part| part.is_barred_by_absence_of(keys)),
            Self::Or(parts) => parts.iter().all(|part| part.is_barred_by_absence_of(keys)),
            Self::Not(part) => part.is_certain_by_absence_of(keys),
        }
    }

    /// Whether every document passes because none has metadata under `keys`.
    fn is_certain_by_absence_of(&self, keys: &BTreeSet<&str>) -> bool {
        match self {
            Self::Equals(..) | Self::In(..) | Self::Range(..) | Self::StartsWith(..) | Self::Exists(_) => {
                false
            }
            Self::And(parts) => parts.iter().all(|part| part.is_certain_by_absence_of(keys)),
            Self::Or(parts) => parts.iter().any(|part| part.is_certain_by_absence_of(keys)),
            Self::Not(part) => part.is_barred_by_absence_of(keys),
        }
    }
}

/// The place with this number; none if there is none.
fn place_at(wanted: &MetadataScalar) -> Option<PlaceRange> {
    let number = wanted.as_number().filter(|number| number.fract() == 0.0 && *number >= 0.0)?;
    let number = place_number(number);
    Some(PlaceRange { first: number, last: number })
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "whole numbers, of which no place is below 1 or beyond what is exact"
)]
fn place_number(number: f64) -> u64 {
    number as u64
}
