//! Converts filters to Tantivy queries over facet terms. The caller gives them a constant score.

use std::ops::Bound;

use tantivy::Term;
use tantivy::query::{AllQuery, BooleanQuery, EmptyQuery, Occur, Query, RangeQuery, TermQuery, TermSetQuery};
use tantivy::schema::{Field, IndexRecordOption};

use super::fields::IndexSchemaFields;
use contexture_core::domain::filter::{MetadataFilter, NumericBounds};
use contexture_core::domain::filter_subject::PlaceRange;
use contexture_core::domain::metadata::{
    equals_facet, exists_facet, ordered_facet, place_facet, text_facet_start,
};
use contexture_core::ports::document_ledger::successor;

/// Suffixes of a key that enclose its ordered facets. `$` follows `#` in ASCII, so the range from
/// the first to the second holds the ordered facets of this key and nothing else.
const ORDERED_FACETS_START: &str = "\u{1f}#";
const ORDERED_FACETS_END: &str = "\u{1f}$";

pub(super) fn build_filter_query(fields: &IndexSchemaFields, filter: &MetadataFilter) -> Box<dyn Query> {
    let by_facets = build_facet_query(fields, filter);
    match filter.places() {
        Some((unit, ranges)) => {
            let places = ranges.iter().map(|range| (Occur::Should, build_place_query(fields, *range)));
            let place: Box<dyn Query> = Box::new(BooleanQuery::new(vec![
                (Occur::Must, build_term_query(fields.facets, &place_facet(unit.name()))),
                (Occur::Must, Box::new(BooleanQuery::new(places.collect()))),
            ]));
            Box::new(BooleanQuery::new(vec![(Occur::Should, by_facets), (Occur::Should, place)]))
        }
        None => by_facets,
    }
}

fn build_facet_query(fields: &IndexSchemaFields, filter: &MetadataFilter) -> Box<dyn Query> {
    match filter {
        MetadataFilter::Equals(key, scalar) => build_term_query(fields.facets, &equals_facet(key, scalar)),
        MetadataFilter::Exists(key) => build_key_query(fields, key),
        MetadataFilter::In(_, scalars) if scalars.is_empty() => Box::new(EmptyQuery),
        MetadataFilter::In(key, scalars) => Box::new(TermSetQuery::new(
            scalars.iter().map(|scalar| Term::from_field_text(fields.facets, &equals_facet(key, scalar))),
        )),
        MetadataFilter::Range(key, bounds) => build_range_query(fields.facets, key, bounds),
        MetadataFilter::StartsWith(key, text) => {
            build_start_query(fields.facets, &text_facet_start(key, text))
        }
        MetadataFilter::And(parts) if parts.is_empty() => Box::new(AllQuery),
        MetadataFilter::And(parts) => combine_filters(fields, Occur::Must, parts),
        MetadataFilter::Or(parts) if parts.is_empty() => Box::new(EmptyQuery),
        MetadataFilter::Or(parts) => combine_filters(fields, Occur::Should, parts),
        MetadataFilter::Not(part) => Box::new(BooleanQuery::new(vec![
            (Occur::Must, Box::new(AllQuery)),
            (Occur::MustNot, build_filter_query(fields, part)),
        ])),
    }
}

/// Matches chunks that one of these reader terms may see.
pub(super) fn build_readers_query(fields: &IndexSchemaFields, readers: &[String]) -> Box<dyn Query> {
    Box::new(TermSetQuery::new(readers.iter().map(|reader| Term::from_field_text(fields.readers, reader))))
}

/// Matches chunks whose document has this key, places excepted.
pub(super) fn build_key_query(fields: &IndexSchemaFields, key: &str) -> Box<dyn Query> {
    build_term_query(fields.facets, &exists_facet(key))
}

fn build_term_query(field: Field, text: &str) -> Box<dyn Query> {
    Box::new(TermQuery::new(Term::from_field_text(field, text), IndexRecordOption::Basic))
}

fn combine_filters(fields: &IndexSchemaFields, occur: Occur, parts: &[MetadataFilter]) -> Box<dyn Query> {
    Box::new(BooleanQuery::new(parts.iter().map(|part| (occur, build_filter_query(fields, part))).collect()))
}

fn build_range_query(field: Field, key: &str, bounds: &NumericBounds) -> Box<dyn Query> {
    let term = |text: String| Term::from_field_text(field, &text);
    let mut parts: Vec<(Occur, Box<dyn Query>)> = Vec::new();
    let first = || Bound::Included(term(format!("{key}{ORDERED_FACETS_START}")));
    let end = || Bound::Excluded(term(format!("{key}{ORDERED_FACETS_END}")));
    let at = |number: f64| term(ordered_facet(key, number));
    // Of two bounds on one side the stricter one counts; at the same number, the exclusive one.
    // Without a bound the range ends with the key's facets, not with the field's terms.
    let lower = match (bounds.gt, bounds.gte) {
        (Some(gt), Some(gte)) if gte > gt => Bound::Included(at(gte)),
        (Some(gt), _) => Bound::Excluded(at(gt)),
        (None, Some(gte)) => Bound::Included(at(gte)),
        (None, None) => first(),
    };
    let upper = match (bounds.lt, bounds.lte) {
        (Some(lt), Some(lte)) if lte < lt => Bound::Included(at(lte)),
        (Some(lt), _) => Bound::Excluded(at(lt)),
        (None, Some(lte)) => Bound::Included(at(lte)),
        (None, None) => end(),
    };
    parts.push((Occur::Must, Box::new(RangeQuery::new(lower, upper))));
    Box::new(BooleanQuery::new(parts))
}

/// Matches chunks with a facet that starts with this text.
fn build_start_query(field: Field, start: &str) -> Box<dyn Query> {
    let term = |text: &str| Term::from_field_text(field, text);
    // Terms are in the order of bytes, which is that of characters. A facet begins with a key, so that there is a
    // successor.
    let end = successor(start).map_or(Bound::Unbounded, |end| Bound::Excluded(term(&end)));
    Box::new(RangeQuery::new(Bound::Included(term(start)), end))
}

/// Matches chunks that stand, in whatever unit, at one of these places.
fn build_place_query(fields: &IndexSchemaFields, range: PlaceRange) -> Box<dyn Query> {
    let at = |field: Field, place: u64| Bound::Included(Term::from_field_u64(field, place));
    let ends_behind = RangeQuery::new(at(fields.place_last, range.first), Bound::Unbounded);
    let begins_before = RangeQuery::new(Bound::Unbounded, at(fields.place_first, range.last));
    Box::new(BooleanQuery::new(vec![
        (Occur::Must, Box::new(ends_behind)),
        (Occur::Must, Box::new(begins_before)),
    ]))
}
