//! Random metadata and filters over few keys and values, so that they meet often.

use std::collections::BTreeMap;

use contexture_core::domain::chunk::SourceUnit;
use contexture_core::domain::document::DocumentDescription;
use contexture_core::domain::filter::{MetadataFilter, NumericBounds};
use contexture_core::domain::metadata::{DocumentMetadata, MetadataScalar, MetadataValue};
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, TestRunner};

use super::{IndexedTestDocument, indexed};

/// A runner for properties of an adapter: few cases, for each costs I/O.
pub(crate) fn runner(cases: u32) -> TestRunner {
    TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() })
}

/// Keys of metadata, some with the name of a built-in one.
fn key() -> impl Strategy<Value = String> {
    select(vec!["lang", "year", "a.b", "_x-1", "lang", "year", "a.b", "title", "document", "page", "line"])
        .prop_map(str::to_owned)
}

/// Keys of filters: built-in ones as often as others.
fn asked_key() -> impl Strategy<Value = String> {
    prop_oneof![key(), select(vec!["title", "document", "page", "line"]).prop_map(str::to_owned)]
}

fn start() -> impl Strategy<Value = String> {
    select(vec!["", "e", "en", "1", "Ün", "\u{1f}", "\u{1e}", "guides/", "guides/d", "d", "doc 1", "G", "z"])
        .prop_map(str::to_owned)
}

/// A chunk of a document, as filters see it.
#[derive(Debug, Clone)]
pub(crate) struct FilteredTestChunk {
    folder: &'static str,
    title: Option<&'static str>,
    pub(crate) metadata: DocumentMetadata,
    place: Option<(SourceUnit, usize, usize)>,
}

impl FilteredTestChunk {
    /// A document of one chunk; numbers tell documents apart.
    pub(crate) fn indexed(&self, number: &str, text: &str) -> IndexedTestDocument {
        let description = DocumentDescription {
            title: self.title.map(str::to_owned),
            metadata: self.metadata.clone(),
            ..DocumentDescription::default()
        };
        let id = format!("{}doc {number}", self.folder);
        indexed(&id, 1, &description, &[text]).standing_at(self.place)
    }
}

pub(crate) fn filtered_chunk() -> impl Strategy<Value = FilteredTestChunk> {
    let place = (select(vec![SourceUnit::Line, SourceUnit::Page]), 1..4_usize, 0..4_usize)
        .prop_map(|(unit, first, more)| (unit, first, first + more));
    let title = option::of(select(vec!["Guide", "guides/d", "en", "1", "\u{1e}title\u{1f}=sen"]));
    (select(vec!["", "guides/", "guides/deep/"]), title, metadata(), option::of(place))
        .prop_map(|(folder, title, metadata, place)| FilteredTestChunk { folder, title, metadata, place })
}

fn number() -> impl Strategy<Value = f64> {
    select(vec![-1.5, -0.0, 0.0, 0.5, 1.0, 2.0, 3.5, 2024.0, 1e300])
}

pub(crate) fn scalar() -> impl Strategy<Value = MetadataScalar> {
    prop_oneof![
        any::<bool>().prop_map(MetadataScalar::Bool),
        select(vec![-1_i64, 0, 1, 2, 2024]).prop_map(MetadataScalar::Integer),
        number().prop_map(MetadataScalar::Float),
        select(vec![
            "",
            "en",
            "de",
            "1",
            "true",
            "Ünï \u{1f}=i1",
            "\u{1f}#0",
            "\u{1e}\u{1d}e",
            "\u{1e}lang\u{1f}=sen"
        ])
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
        (asked_key(), scalar()).prop_map(|(key, scalar)| MetadataFilter::Equals(key, scalar)),
        (asked_key(), vec(scalar(), 0..4)).prop_map(|(key, scalars)| MetadataFilter::In(key, scalars)),
        (asked_key(), bounds()).prop_map(|(key, bounds)| MetadataFilter::Range(key, bounds)),
        (asked_key(), start()).prop_map(|(key, start)| MetadataFilter::StartsWith(key, start)),
        asked_key().prop_map(MetadataFilter::Exists),
    ];
    leaf.prop_recursive(3, 16, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(MetadataFilter::And),
            vec(inner.clone(), 0..4).prop_map(MetadataFilter::Or),
            inner.prop_map(|part| MetadataFilter::Not(Box::new(part))),
        ]
    })
}
