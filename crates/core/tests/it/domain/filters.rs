//! Filters: their text form and what they mean.

use contexture_core::domain::document::DocumentDescription;
use contexture_core::domain::filter::{
    FILTER_DEPTH_MAX, FILTER_TERMS_MAX, FILTER_TEXT_BYTES_MAX, MetadataFilter, NumericBounds,
};
use contexture_core::domain::filter_subject::FilterSubject;
use contexture_core::domain::metadata::{DocumentMetadata, MetadataScalar};
use proptest::prelude::*;
use serde_json::json;

use super::assert_refused;
use crate::support::document;

fn equals(key: &str, scalar: MetadataScalar) -> MetadataFilter {
    MetadataFilter::Equals(key.to_owned(), scalar)
}

/// Whether a document with this metadata passes.
fn admits(filter: &MetadataFilter, metadata: &DocumentMetadata) -> bool {
    let description = DocumentDescription { metadata: metadata.clone(), ..DocumentDescription::default() };
    filter.matches(&FilterSubject::of_document(&document("doc"), &description))
}

fn text(text: &str) -> MetadataScalar {
    MetadataScalar::Text(text.to_owned())
}

#[test]
fn syntax_of_comparisons() {
    let range = |bounds: NumericBounds| MetadataFilter::Range("k".to_owned(), bounds);
    let five = Some(5.0);
    for (written, meant) in [
        ("k = \"x\"", equals("k", text("x"))),
        ("k=5", equals("k", MetadataScalar::Integer(5))),
        ("k = -0.5e1", equals("k", MetadataScalar::Float(-5.0))),
        ("k = TRUE", equals("k", MetadataScalar::Bool(true))),
        ("k = \"a\\\"\\u00e9) and\"", equals("k", text("a\"é) and"))),
        ("k != false", MetadataFilter::Not(Box::new(equals("k", MetadataScalar::Bool(false))))),
        ("k > 5", range(NumericBounds { gt: five, ..NumericBounds::default() })),
        ("k>=5", range(NumericBounds { gte: five, ..NumericBounds::default() })),
        ("k<5", range(NumericBounds { lt: five, ..NumericBounds::default() })),
        (" k\n<=\t5 ", range(NumericBounds { lte: five, ..NumericBounds::default() })),
        ("exists(k)", MetadataFilter::Exists("k".to_owned())),
        ("EXISTS ( a.b-c_d )", MetadataFilter::Exists("a.b-c_d".to_owned())),
        ("k starts_with \"x/\"", MetadataFilter::StartsWith("k".to_owned(), "x/".to_owned())),
        ("k STARTS_WITH\"\"", MetadataFilter::StartsWith("k".to_owned(), String::new())),
        ("starts_with = 5", equals("starts_with", MetadataScalar::Integer(5))),
        ("k in []", MetadataFilter::In("k".to_owned(), Vec::new())),
        (
            "k in [1,\"x\", true ]",
            MetadataFilter::In(
                "k".to_owned(),
                vec![MetadataScalar::Integer(1), text("x"), MetadataScalar::Bool(true)],
            ),
        ),
        ("android = 1", equals("android", MetadataScalar::Integer(1))),
        ("notes in [1]", MetadataFilter::In("notes".to_owned(), vec![MetadataScalar::Integer(1)])),
        ("(k=5)", equals("k", MetadataScalar::Integer(5))),
        ("((k = true))", equals("k", MetadataScalar::Bool(true))),
    ] {
        assert_eq!(MetadataFilter::parse(written).unwrap(), meant, "{written}");
    }
}

#[test]
fn and_binds_tighter_than_or_and_not_tightest() {
    let one = |key: &str| equals(key, MetadataScalar::Integer(1));
    let parsed =
        MetadataFilter::parse("a = 1 or b = 1 and not c = 1 and d = 1 OR not (a = 1 or b = 1)").unwrap();
    let conjunction = MetadataFilter::And(vec![one("b"), MetadataFilter::Not(Box::new(one("c"))), one("d")]);
    let negation = MetadataFilter::Not(Box::new(MetadataFilter::Or(vec![one("a"), one("b")])));
    assert_eq!(parsed, MetadataFilter::Or(vec![one("a"), conjunction, negation]));
}

#[test]
fn example_of_the_documentation_parses() {
    let text = "lang = \"en\" and (year >= 2020 or not exists(draft)) and tag in [\"a\", 3]";
    let filter = MetadataFilter::parse(text).unwrap();
    let metadata = |json: serde_json::Value| DocumentMetadata::from_json(&json).unwrap();
    assert!(admits(&filter, &metadata(json!({"lang": "en", "year": 2021, "tag": 3, "draft": true}))));
    assert!(admits(&filter, &metadata(json!({"lang": "en", "tag": ["b", "a"]}))));
    assert!(!admits(&filter, &metadata(json!({"lang": "en", "draft": true, "tag": "a"}))));
}

#[test]
fn broken_text_is_refused() {
    for broken in [
        "",
        " ",
        "k",
        "k =",
        "= 1",
        "k == 1",
        "k = x",
        "k = null",
        "k = [1]",
        "k = {}",
        "k = 'x'",
        "k = \"x",
        "k = 1 2",
        "k = 1 and",
        "and k = 1",
        "k = 1 or or j = 1",
        "(k = 1",
        "k = 1)",
        "()",
        "not",
        "exists",
        "exists k",
        "exists(k",
        "exists()",
        "k in",
        "k in 1",
        "k in [",
        "k in [1",
        "k in [1,]",
        "k in [,]",
        "k in [1 2]",
        "k in [[1]]",
        "k > \"x\"",
        "k starts_with",
        "k starts_with x",
        "k starts_with 5",
        "k starts_with true",
        "k starts_with [\"x\"]",
        "k starts_withs \"x\"",
        "k ^= \"x\"",
        "k < true",
        "k >= ",
        "k => 1",
        "k = 1e999",
        "k = NaN",
        "k = 1; drop",
        "ключ = 1",
        "k = 1\0",
        "\u{202e}k = 1",
        "k=01",
    ] {
        assert_refused(MetadataFilter::parse(broken), "invalid_filter", "filter");
    }
}

#[test]
fn what_the_credential_decides_cannot_be_filtered_on() {
    for text in [
        "tenant = \"other\"",
        "acl in [\"staff\"]",
        "exists(groups)",
        "a = 1 or not (groups = \"x\")",
        "_contexture = 1",
        "_contexture_readers in [1]",
    ] {
        assert_refused(MetadataFilter::parse(text), "reserved_filter_key", "filter");
    }
}

#[test]
fn limits_hold_at_their_edge() {
    let nested = |depth: usize| format!("{}k = 1{}", "(".repeat(depth - 1), " )".repeat(depth - 1));
    assert!(MetadataFilter::parse(&nested(FILTER_DEPTH_MAX)).is_ok());
    for depth in [FILTER_DEPTH_MAX + 1, 1_000, 5_000] {
        assert_refused(MetadataFilter::parse(&nested(depth)), "filter_too_deep", "filter");
        assert_refused(MetadataFilter::parse(&"not ".repeat(depth.min(4_000))), "filter_too_deep", "filter");
    }
    assert!(
        MetadataFilter::parse("k = 1 and ".repeat(40).trim_end_matches(" and ")).is_ok(),
        "wide is not deep"
    );

    let list = |values: usize| format!("k in [{}]", vec!["1"; values].join(","));
    assert!(MetadataFilter::parse(&list(FILTER_TERMS_MAX - 1)).is_ok(), "the comparison counts as one");
    assert_refused(MetadataFilter::parse(&list(FILTER_TERMS_MAX)), "filter_too_large", "filter");
    let chain = |terms: usize| vec!["k=1"; terms].join(" or ");
    assert!(MetadataFilter::parse(&chain(FILTER_TERMS_MAX)).is_ok());
    assert_refused(MetadataFilter::parse(&chain(FILTER_TERMS_MAX + 1)), "filter_too_large", "filter");

    let padded = |bytes: usize| format!("{:<bytes$}", "k = 1");
    assert!(MetadataFilter::parse(&padded(FILTER_TEXT_BYTES_MAX)).is_ok());
    assert_refused(MetadataFilter::parse(&padded(FILTER_TEXT_BYTES_MAX + 1)), "filter_too_long", "filter");
}

#[test]
fn meaning_of_each_filter() {
    let metadata =
        json!({"lang": "en", "year": 2024, "tags": ["a", 3, 7.5], "none": [], "flag": false, "zero": -0.0});
    let metadata = DocumentMetadata::from_json(&metadata).unwrap();
    for (text, holds) in [
        ("lang = \"en\"", true),
        ("lang = \"EN\"", false),
        ("lang != \"en\"", false),
        ("year = 2024.0", true),
        ("year = \"2024\"", false),
        ("zero = 0", true),
        ("flag = false", true),
        ("flag = 0", false),
        ("tags = 3", true),
        ("tags != 3", false),
        ("tags in [9, \"a\"]", true),
        ("tags in [9]", false),
        ("tags in []", false),
        ("not tags in []", true),
        ("missing in []", false),
        ("year >= 2024", true),
        ("year > 2024", false),
        ("year <= 2024", true),
        ("year < 2024", false),
        ("tags > 7", true),
        ("tags < 3", false),
        ("tags > 3 and tags < 7", true),
        ("lang > 0", false),
        ("flag >= 0", false),
        ("missing = 1", false),
        ("missing != 1", true),
        ("missing < 1", false),
        ("not missing < 1", true),
        ("lang starts_with \"e\"", true),
        ("lang starts_with \"\"", true),
        ("lang starts_with \"E\"", false),
        ("lang starts_with \"eng\"", false),
        ("tags starts_with \"a\"", true),
        ("year starts_with \"2\"", false),
        ("missing starts_with \"\"", false),
        ("not missing starts_with \"\"", true),
        ("document = \"doc\"", true),
        ("document starts_with \"d\"", true),
        ("exists(title)", false),
        ("page >= 1", false),
        ("not page >= 1", true),
        ("exists(line)", false),
        ("exists(lang)", true),
        ("exists(none)", true),
        ("none = 1", false),
        ("exists(missing)", false),
        ("exists(missing) or exists(lang)", true),
        ("exists(missing) and exists(lang)", false),
    ] {
        assert_eq!(admits(&MetadataFilter::parse(text).unwrap(), &metadata), holds, "{text}");
    }
    assert!(admits(&MetadataFilter::And(Vec::new()), &metadata));
    assert!(!admits(&MetadataFilter::Or(Vec::new()), &metadata));
    let between = NumericBounds { gt: Some(3.0), lt: Some(7.0), ..NumericBounds::default() };
    assert!(
        !admits(&MetadataFilter::Range("tags".to_owned(), between), &metadata),
        "one value within all bounds"
    );
    assert!(
        admits(&MetadataFilter::Range("year".to_owned(), NumericBounds::default()), &metadata),
        "any number"
    );
    assert!(
        !admits(&MetadataFilter::Range("lang".to_owned(), NumericBounds::default()), &metadata),
        "but a number"
    );
}

#[test]
fn absent_keys_bar_what_needs_them() {
    let absent = std::collections::BTreeSet::from(["no"]);
    for (text, barred) in [
        ("no = 1", true),
        ("no in [1]", true),
        ("no > 1", true),
        ("no starts_with \"\"", true),
        ("yes = 1", false),
        ("exists(no)", false),
        ("not (no = 1)", false),
        ("no != 1", false),
        ("not not no = 1", true),
        ("yes = 1 and no = 1", true),
        ("yes = 1 or no = 1", false),
        ("not (no != 1 or yes = 1)", true),
    ] {
        assert_eq!(MetadataFilter::parse(text).unwrap().is_barred_by_absence_of(&absent), barred, "{text}");
    }
}

/// Filters on the keys `no` and `yes`.
fn filters() -> impl Strategy<Value = MetadataFilter> {
    let leaf =
        (proptest::sample::select(vec!["no", "yes"]), 0..4_i64, 0..4_u8).prop_map(|(key, number, kind)| {
            let (key, scalar) = (key.to_owned(), MetadataScalar::Integer(number));
            match kind {
                0 => MetadataFilter::Equals(key, scalar),
                1 => MetadataFilter::In(key, vec![scalar]),
                2 => MetadataFilter::Range(key, NumericBounds { gt: Some(1.0), ..NumericBounds::default() }),
                _ => MetadataFilter::Exists(key),
            }
        });
    leaf.prop_recursive(4, 24, 3, |inner| {
        let parts = proptest::collection::vec(inner.clone(), 0..4);
        prop_oneof![
            inner.prop_map(|part| MetadataFilter::Not(Box::new(part))),
            parts.clone().prop_map(MetadataFilter::And),
            parts.prop_map(MetadataFilter::Or),
        ]
    })
}

proptest! {
    #[test]
    fn what_absent_keys_bar_matches_nothing(filter in filters(), values in proptest::collection::vec(0..4_i64, 0..3)) {
        let absent = std::collections::BTreeSet::from(["no"]);
        if filter.is_barred_by_absence_of(&absent) {
            for metadata in [json!({}), json!({ "yes": values })] {
                prop_assert!(!admits(&filter, &DocumentMetadata::from_json(&metadata).unwrap()));
            }
        }
    }

    #[test]
    fn parsing_never_panics(text in "\\PC{0,40}|.{0,40}") {
        let _ = MetadataFilter::parse(&text);
    }

    #[test]
    fn parsing_shuffled_tokens_never_panics(tokens in proptest::collection::vec(
        proptest::sample::select(vec![
            "a", "=", "!=", "<", ">=", "1", "-1.5", "\"x\"", "(", ")", "[", "]", ",", "and", "or", "not", "in",
            "exists", "starts_with", "true", " ", "é", "\"",
        ]), 0..24)) {
        let text = tokens.concat();
        if let Ok(filter) = MetadataFilter::parse(&text) {
            prop_assert!(!text.trim().is_empty(), "{:?}", filter);
        }
    }
}
