//! Random metadata and filters over few keys and values, so that they meet often.

use std::collections::BTreeMap;

use contexture_core::domain::filter::{MetadataFilter, NumericBounds};
use contexture_core::domain::metadata::{DocumentMetadata, MetadataScalar, MetadataValue};
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, TestRunner};

/// A runner for properties of an adapter: few cases, for each costs I/O.
pub(crate) fn runner(cases: u32) -> TestRunner {
    TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() })
}

fn key() -> impl Strategy<Value = String> {
    select(vec!["lang", "year", "a.b", "_x-1"]).prop_map(str::to_owned)
}

fn number() -> impl Strategy<Value = f64> {
    select(vec![-1.5, -0.0, 0.0, 0.5, 1.0, 2.0, 2024.0, 1e300])
}

pub(crate) fn scalar() -> impl Strategy<Value = MetadataScalar> {
    prop_oneof![
        any::<bool>().prop_map(MetadataScalar::Bool),
        select(vec![-1_i64, 0, 1, 2, 2024]).prop_map(MetadataScalar::Integer),
        number().prop_map(MetadataScalar::Float),
        select(vec!["", "en", "de", "1", "true", "Ünï \u{1f}=i1", "\u{1f}#0"])
            .prop_map(|text| MetadataScalar::Text(text.to_owned())),
    ]
}

fn value() -> impl Strategy<Value = MetadataValue> {
    prop_oneof![scalar().prop_map(MetadataValue::One), vec(scalar(), 0..4).prop_map(MetadataValue::Many)]
}

pub(crate) fn metadata() -> impl Strategy<Value = DocumentMetadata> {
    btree_map(key(), value(), 0..4)
        .prop_map(|values: BTreeMap<String, MetadataValue>| DocumentMetadata::new(values).unwrap())
}

fn bounds() -> impl Strategy<Value = NumericBounds> {
    (option::of(number()), option::of(number()), option::of(number()), option::of(number()))
        .prop_map(|(gt, gte, lt, lte)| NumericBounds { gt, gte, lt, lte })
}

pub(crate) fn filter() -> impl Strategy<Value = MetadataFilter> {
    let leaf = prop_oneof![
        (key(), scalar()).prop_map(|(key, scalar)| MetadataFilter::Equals(key, scalar)),
        (key(), vec(scalar(), 0..4)).prop_map(|(key, scalars)| MetadataFilter::In(key, scalars)),
        (key(), bounds()).prop_map(|(key, bounds)| MetadataFilter::Range(key, bounds)),
        key().prop_map(MetadataFilter::Exists),
    ];
    leaf.prop_recursive(3, 16, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(MetadataFilter::And),
            vec(inner.clone(), 0..4).prop_map(MetadataFilter::Or),
            inner.prop_map(|part| MetadataFilter::Not(Box::new(part))),
        ]
    })
}
