//! Random metadata and filters over few keys and values, so that they meet often.

use std::collections::BTreeMap;

use contexture::domain::filter::{Bounds, Filter};
use contexture::domain::metadata::{Metadata, Scalar, Value};
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

pub(crate) fn scalar() -> impl Strategy<Value = Scalar> {
    prop_oneof![
        any::<bool>().prop_map(Scalar::Bool),
        select(vec![-1_i64, 0, 1, 2, 2024]).prop_map(Scalar::Integer),
        number().prop_map(Scalar::Float),
        select(vec!["", "en", "de", "1", "true", "Ünï \u{1f}=i1", "\u{1f}#0"])
            .prop_map(|text| Scalar::Text(text.to_owned())),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![scalar().prop_map(Value::One), vec(scalar(), 0..4).prop_map(Value::Many)]
}

pub(crate) fn metadata() -> impl Strategy<Value = Metadata> {
    btree_map(key(), value(), 0..4).prop_map(|values: BTreeMap<String, Value>| Metadata::new(values).unwrap())
}

fn bounds() -> impl Strategy<Value = Bounds> {
    (option::of(number()), option::of(number()), option::of(number()), option::of(number()))
        .prop_map(|(gt, gte, lt, lte)| Bounds { gt, gte, lt, lte })
}

pub(crate) fn filter() -> impl Strategy<Value = Filter> {
    let leaf = prop_oneof![
        (key(), scalar()).prop_map(|(key, scalar)| Filter::Equals(key, scalar)),
        (key(), vec(scalar(), 0..4)).prop_map(|(key, scalars)| Filter::In(key, scalars)),
        (key(), bounds()).prop_map(|(key, bounds)| Filter::Range(key, bounds)),
        key().prop_map(Filter::Exists),
    ];
    leaf.prop_recursive(3, 16, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Filter::And),
            vec(inner.clone(), 0..4).prop_map(Filter::Or),
            inner.prop_map(|part| Filter::Not(Box::new(part))),
        ]
    })
}
