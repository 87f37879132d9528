//! Converts the conditions of [`qdrant_payload`](super::qdrant_payload) to messages of the protocol.

use qdrant_client::qdrant::condition::ConditionOneOf;
use qdrant_client::qdrant::r#match::MatchValue;
use qdrant_client::qdrant::{self, FieldCondition, HasIdCondition, Match, Range, RepeatedStrings};

use super::qdrant_payload::PayloadCondition;
use contexture_core::domain::filter::NumericBounds;

/// Converts a condition to an equivalent filter.
pub(super) fn to_qdrant_filter(condition: &PayloadCondition) -> qdrant::Filter {
    match condition {
        PayloadCondition::All(parts) if parts.is_empty() => none_of(vec![match_nothing()]),
        PayloadCondition::All(parts) => all_of(parts.iter().map(to_qdrant_condition).collect()),
        PayloadCondition::Any(parts) if parts.is_empty() => all_of(vec![match_nothing()]),
        PayloadCondition::Any(parts) => any_of(parts.iter().map(to_qdrant_condition).collect()),
        PayloadCondition::Not(part) => none_of(vec![to_qdrant_condition(part)]),
        PayloadCondition::AnyTerm(..) | PayloadCondition::Holds(..) | PayloadCondition::Range(..) => {
            all_of(vec![to_qdrant_condition(condition)])
        }
    }
}

fn to_qdrant_condition(condition: &PayloadCondition) -> qdrant::Condition {
    match condition {
        PayloadCondition::AnyTerm(_, terms) if terms.is_empty() => match_nothing(),
        PayloadCondition::AnyTerm(key, terms) => {
            let keywords = MatchValue::Keywords(RepeatedStrings { strings: terms.clone() });
            field_condition((*key).to_owned(), Some(Match { match_value: Some(keywords) }), None)
        }
        PayloadCondition::Holds(key, text) => {
            let text = Match { match_value: Some(MatchValue::Text(text.clone())) };
            field_condition((*key).to_owned(), Some(text), None)
        }
        PayloadCondition::Range(path, bounds) => {
            field_condition(path.clone(), None, Some(to_qdrant_range(*bounds)))
        }
        PayloadCondition::All(_) | PayloadCondition::Any(_) | PayloadCondition::Not(_) => {
            wrap_condition(ConditionOneOf::Filter(to_qdrant_filter(condition)))
        }
    }
}

/// A condition that no point meets: to the server an empty list of clauses matches everything.
fn match_nothing() -> qdrant::Condition {
    wrap_condition(ConditionOneOf::HasId(HasIdCondition { has_id: Vec::new() }))
}

fn field_condition(key: String, r#match: Option<Match>, range: Option<Range>) -> qdrant::Condition {
    wrap_condition(ConditionOneOf::Field(FieldCondition {
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

fn to_qdrant_range(bounds: NumericBounds) -> Range {
    Range { lt: bounds.lt, gt: bounds.gt, gte: bounds.gte, lte: bounds.lte }
}

fn wrap_condition(condition: ConditionOneOf) -> qdrant::Condition {
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
