//! Metadata and its facets.

use std::collections::BTreeMap;

use contexture_core::domain::metadata::{
    DocumentMetadata, METADATA_KEY_BYTES_MAX, METADATA_KEYS_MAX, METADATA_LIST_ITEMS_MAX,
    METADATA_VALUE_BYTES_MAX, MetadataScalar, MetadataValue, equals_facet, exists_facet, ordered_facet,
};
use proptest::prelude::*;
use serde_json::json;

use super::assert_refused;
use crate::support::strategies::scalar;

fn keys(count: usize) -> serde_json::Value {
    (0..count).map(|number| (format!("k{number}"), json!(1))).collect::<serde_json::Map<_, _>>().into()
}

#[test]
fn metadata_is_accepted_at_its_limits() {
    let good = [
        json!({}),
        json!({"a": "", "b": 1, "c": -1.5, "d": true, "e": [], "f": ["x", 1, false]}),
        json!({"_a-b.C9": "x".repeat(METADATA_VALUE_BYTES_MAX)}),
        json!({"k".repeat(METADATA_KEY_BYTES_MAX): vec![1; METADATA_LIST_ITEMS_MAX]}),
        keys(METADATA_KEYS_MAX),
    ];
    for metadata in good {
        let read = DocumentMetadata::from_json(&metadata).unwrap();
        assert_eq!(serde_json::to_value(&read).unwrap(), metadata, "kept as it came");
    }
}

#[test]
fn metadata_beyond_its_limits_is_refused_by_field() {
    let long = "x".repeat(METADATA_VALUE_BYTES_MAX + 1);
    let long_key = "k".repeat(METADATA_KEY_BYTES_MAX + 1);
    let long_key_field = format!("metadata.{long_key}");
    for (metadata, code, field) in [
        (json!(null), "invalid_metadata", "metadata"),
        (json!([]), "invalid_metadata", "metadata"),
        (keys(METADATA_KEYS_MAX + 1), "too_many_metadata_keys", "metadata"),
        (keys(10_000), "too_many_metadata_keys", "metadata"),
        (json!({"a": long}), "metadata_value_too_long", "metadata.a"),
        (json!({"a": [1, long]}), "metadata_value_too_long", "metadata.a"),
        (json!({"a": vec![1; METADATA_LIST_ITEMS_MAX + 1]}), "metadata_list_too_long", "metadata.a"),
        (json!({long_key: 1}), "invalid_metadata_key", &long_key_field),
        (json!({"": 1}), "invalid_metadata_key", "metadata."),
        (json!({"1a": 1}), "invalid_metadata_key", "metadata.1a"),
        (json!({"a b": 1}), "invalid_metadata_key", "metadata.a b"),
        (json!({"ä": 1}), "invalid_metadata_key", "metadata.ä"),
        (json!({"_contexture_tenant": 1}), "reserved_metadata_key", "metadata._contexture_tenant"),
        (json!({"a": null}), "invalid_metadata_value", "metadata.a"),
        (json!({"a": {"b": 1}}), "invalid_metadata_value", "metadata.a"),
        (json!({"a": [[1]]}), "invalid_metadata_value", "metadata.a"),
        (json!({"a": [1, null]}), "invalid_metadata_value", "metadata.a"),
    ] {
        assert_refused(DocumentMetadata::from_json(&metadata), code, field);
    }
}

#[test]
fn numbers_that_are_not_finite_are_refused() {
    for number in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let values = BTreeMap::from([("a".to_owned(), MetadataValue::One(MetadataScalar::Float(number)))]);
        assert_refused(DocumentMetadata::new(values), "invalid_metadata_value", "metadata.a");
    }
}

#[test]
fn equality_of_scalars() {
    let text = |text: &str| MetadataScalar::Text(text.to_owned());
    for (left, right, equal) in [
        (MetadataScalar::Integer(1), MetadataScalar::Float(1.0), true),
        (MetadataScalar::Integer(0), MetadataScalar::Float(-0.0), true),
        (MetadataScalar::Integer(1), MetadataScalar::Bool(true), false),
        (MetadataScalar::Integer(1), text("1"), false),
        (MetadataScalar::Bool(true), text("true"), false),
        (MetadataScalar::Float(0.1), MetadataScalar::Float(0.1), true),
        (MetadataScalar::Float(0.1), MetadataScalar::Float(0.1_f64.next_up()), false),
        (MetadataScalar::Float(5e-324), MetadataScalar::Float(0.0), false),
        (MetadataScalar::Integer((1 << 53) + 1), MetadataScalar::Float(9_007_199_254_740_992.0), false),
        (text(""), text(""), true),
        (text("A"), text("a"), false),
    ] {
        assert_eq!(left.equals(&right), equal, "{left:?} and {right:?}");
    }
}

#[test]
fn facets_of_one_document() {
    let metadata =
        DocumentMetadata::from_json(&json!({"lang": "en", "year": [2024, 2024.0, "x"], "none": []})).unwrap();
    let expected = [
        exists_facet("lang"),
        equals_facet("lang", &MetadataScalar::Text("en".to_owned())),
        exists_facet("none"),
        exists_facet("year"),
        equals_facet("year", &MetadataScalar::Integer(2024)),
        equals_facet("year", &MetadataScalar::Text("x".to_owned())),
        ordered_facet("year", 2024.0),
    ];
    assert_eq!(metadata.facets(), expected.into_iter().collect());
}

fn any_number() -> impl Strategy<Value = f64> {
    let special =
        [0.0, -0.0, f64::MIN_POSITIVE, 5e-324, -5e-324, f64::MAX, f64::MIN, f64::EPSILON, -1.0, 1.0];
    prop_oneof![proptest::num::f64::ANY, proptest::sample::select(special.to_vec())]
        .prop_filter("finite", |number| number.is_finite())
}

proptest! {
    #[test]
    fn equal_means_same_facet(left in scalar(), right in scalar()) {
        prop_assert_eq!(equals_facet("k", &left) == equals_facet("k", &right), left.equals(&right));
        prop_assert!(left.equals(&left));
        prop_assert_eq!(left.equals(&right), right.equals(&left));
    }

    #[test]
    fn floats_equal_as_numbers_do(left in any_number(), right in any_number()) {
        #[expect(clippy::float_cmp, reason = "exact equality is the law")]
        let same = left == right;
        prop_assert_eq!(MetadataScalar::Float(left).equals(&MetadataScalar::Float(right)), same);
    }

    #[test]
    fn order_of_terms_is_order_of_numbers(left in any_number(), right in any_number()) {
        let terms = ordered_facet("k", left).cmp(&ordered_facet("k", right));
        prop_assert_eq!(Some(terms), left.partial_cmp(&right), "{} and {}", left, right);
    }

    #[test]
    fn whole_numbers_equal_their_float(number in -(1_i64 << 53)..=(1 << 53)) {
        #[expect(clippy::cast_precision_loss, reason = "within 2^53, where none is lost")]
        let float = number as f64;
        prop_assert!(MetadataScalar::Integer(number).equals(&MetadataScalar::Float(float)));
    }

    #[test]
    fn scalars_survive_json(one in scalar()) {
        let json = serde_json::to_string(&one).unwrap();
        prop_assert!(serde_json::from_str::<MetadataScalar>(&json).unwrap().equals(&one), "{}", json);
    }
}
