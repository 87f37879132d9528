//! The conditions of [`staged`](super::staged) in the messages of the protocol.

use qdrant_client::qdrant::condition::ConditionOneOf;
use qdrant_client::qdrant::r#match::MatchValue;
use qdrant_client::qdrant::{self, FieldCondition, HasIdCondition, Match, Range, RepeatedStrings};

use super::staged::Condition;
use crate::domain::filter::Bounds;

/// A filter that holds where the condition does.
pub(super) fn to_filter(condition: &Condition) -> qdrant::Filter {
    match condition {
        Condition::All(parts) if parts.is_empty() => none_of(vec![nothing()]),
        Condition::All(parts) => all_of(parts.iter().map(to_condition).collect()),
        Condition::Any(parts) if parts.is_empty() => all_of(vec![nothing()]),
        Condition::Any(parts) => any_of(parts.iter().map(to_condition).collect()),
        Condition::Not(part) => none_of(vec![to_condition(part)]),
        Condition::AnyTerm(..) | Condition::Range(..) => all_of(vec![to_condition(condition)]),
    }
}

fn to_condition(condition: &Condition) -> qdrant::Condition {
    match condition {
        Condition::AnyTerm(_, terms) if terms.is_empty() => nothing(),
        Condition::AnyTerm(key, terms) => {
            let keywords = MatchValue::Keywords(RepeatedStrings { strings: terms.clone() });
            field((*key).to_owned(), Some(Match { match_value: Some(keywords) }), None)
        }
        Condition::Range(path, bounds) => field(path.clone(), None, Some(range(*bounds))),
        Condition::All(_) | Condition::Any(_) | Condition::Not(_) => {
            wrap(ConditionOneOf::Filter(to_filter(condition)))
        }
    }
}

/// True of no point.
fn nothing() -> qdrant::Condition {
    wrap(ConditionOneOf::HasId(HasIdCondition { has_id: Vec::new() }))
}

fn field(key: String, r#match: Option<Match>, range: Option<Range>) -> qdrant::Condition {
    wrap(ConditionOneOf::Field(FieldCondition {
        key,
        r#match,
        range,
        geo_bounding_box: None,
        geo_radius: None,
        values_count: None,
        geo_polygon: None,
        datetime_range: None,
        is_empty: None,
        is_null: None,
    }))
}

fn range(bounds: Bounds) -> Range {
    Range { lt: bounds.lt, gt: bounds.gt, gte: bounds.gte, lte: bounds.lte }
}

fn wrap(condition: ConditionOneOf) -> qdrant::Condition {
    qdrant::Condition { condition_one_of: Some(condition) }
}

fn all_of(must: Vec<qdrant::Condition>) -> qdrant::Filter {
    qdrant::Filter { should: Vec::new(), must, must_not: Vec::new(), min_should: None }
}

fn any_of(should: Vec<qdrant::Condition>) -> qdrant::Filter {
    qdrant::Filter { should, must: Vec::new(), must_not: Vec::new(), min_should: None }
}

fn none_of(must_not: Vec<qdrant::Condition>) -> qdrant::Filter {
    qdrant::Filter { should: Vec::new(), must: Vec::new(), must_not, min_should: None }
}
