//! Filters as Tantivy queries over facet terms; none of them changes a score.

use std::ops::Bound;

use tantivy::Term;
use tantivy::query::{AllQuery, BooleanQuery, EmptyQuery, Occur, Query, RangeQuery, TermQuery, TermSetQuery};
use tantivy::schema::{Field, IndexRecordOption};

use super::fields::Fields;
use crate::domain::filter::{Bounds, Filter};
use crate::domain::metadata::{equals_facet, exists_facet, ordered_facet};

/// What follows every ordered facet of a key, and what ends them.
const ORDERED_FIRST: &str = "\u{1f}#";
const ORDERED_END: &str = "\u{1f}$";

pub(super) fn to_query(fields: &Fields, filter: &Filter) -> Box<dyn Query> {
    match filter {
        Filter::Equals(key, scalar) => term(fields.facets, &equals_facet(key, scalar)),
        Filter::Exists(key) => term(fields.facets, &exists_facet(key)),
        Filter::In(_, scalars) if scalars.is_empty() => Box::new(EmptyQuery),
        Filter::In(key, scalars) => Box::new(TermSetQuery::new(
            scalars.iter().map(|scalar| Term::from_field_text(fields.facets, &equals_facet(key, scalar))),
        )),
        Filter::Range(key, bounds) => range(fields.facets, key, bounds),
        Filter::And(parts) if parts.is_empty() => Box::new(AllQuery),
        Filter::And(parts) => combine(fields, Occur::Must, parts),
        Filter::Or(parts) if parts.is_empty() => Box::new(EmptyQuery),
        Filter::Or(parts) => combine(fields, Occur::Should, parts),
        Filter::Not(part) => Box::new(BooleanQuery::new(vec![
            (Occur::Must, Box::new(AllQuery)),
            (Occur::MustNot, to_query(fields, part)),
        ])),
    }
}

/// Documents that one of these reader terms may see.
pub(super) fn readers(fields: &Fields, readers: &[String]) -> Box<dyn Query> {
    Box::new(TermSetQuery::new(readers.iter().map(|reader| Term::from_field_text(fields.readers, reader))))
}

fn term(field: Field, text: &str) -> Box<dyn Query> {
    Box::new(TermQuery::new(Term::from_field_text(field, text), IndexRecordOption::Basic))
}

fn combine(fields: &Fields, occur: Occur, parts: &[Filter]) -> Box<dyn Query> {
    Box::new(BooleanQuery::new(parts.iter().map(|part| (occur, to_query(fields, part))).collect()))
}

fn range(field: Field, key: &str, bounds: &Bounds) -> Box<dyn Query> {
    let term = |text: String| Term::from_field_text(field, &text);
    let mut parts: Vec<(Occur, Box<dyn Query>)> = Vec::new();
    let first = || Bound::Included(term(format!("{key}{ORDERED_FIRST}")));
    let end = || Bound::Excluded(term(format!("{key}{ORDERED_END}")));
    let at = |number: f64| term(ordered_facet(key, number));
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
