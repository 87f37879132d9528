//! Filters: their text form and what they mean.

use contexture::domain::filter::{Bounds, DEPTH_MAX, Filter, TERMS_MAX, TEXT_BYTES_MAX};
use contexture::domain::metadata::{Metadata, Scalar};
use proptest::prelude::*;
use serde_json::json;

use super::assert_refused;

fn equals(key: &str, scalar: Scalar) -> Filter {
    Filter::Equals(key.to_owned(), scalar)
}

fn text(text: &str) -> Scalar {
    Scalar::Text(text.to_owned())
}

#[test]
fn syntax_of_comparisons() {
    let range = |bounds: Bounds| Filter::Range("k".to_owned(), bounds);
    let five = Some(5.0);
    for (written, meant) in [
        ("k = \"x\"", equals("k", text("x"))),
        ("k=5", equals("k", Scalar::Integer(5))),
        ("k = -0.5e1", equals("k", Scalar::Float(-5.0))),
        ("k = TRUE", equals("k", Scalar::Bool(true))),
        ("k = \"a\\\"\\u00e9) and\"", equals("k", text("a\"é) and"))),
        ("k != false", Filter::Not(Box::new(equals("k", Scalar::Bool(false))))),
        ("k > 5", range(Bounds { gt: five, ..Bounds::default() })),
        ("k>=5", range(Bounds { gte: five, ..Bounds::default() })),
        ("k<5", range(Bounds { lt: five, ..Bounds::default() })),
        (" k\n<=\t5 ", range(Bounds { lte: five, ..Bounds::default() })),
        ("exists(k)", Filter::Exists("k".to_owned())),
        ("EXISTS ( a.b-c_d )", Filter::Exists("a.b-c_d".to_owned())),
        ("k in []", Filter::In("k".to_owned(), Vec::new())),
        (
            "k in [1,\"x\", true ]",
            Filter::In("k".to_owned(), vec![Scalar::Integer(1), text("x"), Scalar::Bool(true)]),
        ),
        ("android = 1", equals("android", Scalar::Integer(1))),
        ("notes in [1]", Filter::In("notes".to_owned(), vec![Scalar::Integer(1)])),
        ("(k=5)", equals("k", Scalar::Integer(5))),
        ("((k = true))", equals("k", Scalar::Bool(true))),
    ] {
        assert_eq!(Filter::parse(written).unwrap(), meant, "{written}");
    }
}

#[test]
fn and_binds_tighter_than_or_and_not_tightest() {
    let one = |key: &str| equals(key, Scalar::Integer(1));
    let parsed = Filter::parse("a = 1 or b = 1 and not c = 1 and d = 1 OR not (a = 1 or b = 1)").unwrap();
    let conjunction = Filter::And(vec![one("b"), Filter::Not(Box::new(one("c"))), one("d")]);
    let negation = Filter::Not(Box::new(Filter::Or(vec![one("a"), one("b")])));
    assert_eq!(parsed, Filter::Or(vec![one("a"), conjunction, negation]));
}

#[test]
fn example_of_the_documentation_parses() {
    let text = "lang = \"en\" and (year >= 2020 or not exists(draft)) and tag in [\"a\", 3]";
    let filter = Filter::parse(text).unwrap();
    let metadata = |json: serde_json::Value| Metadata::from_json(&json).unwrap();
    assert!(filter.matches(&metadata(json!({"lang": "en", "year": 2021, "tag": 3, "draft": true}))));
    assert!(filter.matches(&metadata(json!({"lang": "en", "tag": ["b", "a"]}))));
    assert!(!filter.matches(&metadata(json!({"lang": "en", "draft": true, "tag": "a"}))));
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
        assert_refused(Filter::parse(broken), "invalid_filter", "filter");
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
        assert_refused(Filter::parse(text), "reserved_filter_key", "filter");
    }
}

#[test]
fn limits_hold_at_their_edge() {
    let nested = |depth: usize| format!("{}k = 1{}", "(".repeat(depth - 1), " )".repeat(depth - 1));
    assert!(Filter::parse(&nested(DEPTH_MAX)).is_ok());
    for depth in [DEPTH_MAX + 1, 1_000, 5_000] {
        assert_refused(Filter::parse(&nested(depth)), "filter_too_deep", "filter");
        assert_refused(Filter::parse(&"not ".repeat(depth.min(4_000))), "filter_too_deep", "filter");
    }
    assert!(Filter::parse("k = 1 and ".repeat(40).trim_end_matches(" and ")).is_ok(), "wide is not deep");

    let list = |values: usize| format!("k in [{}]", vec!["1"; values].join(","));
    assert!(Filter::parse(&list(TERMS_MAX - 1)).is_ok(), "the comparison counts as one");
    assert_refused(Filter::parse(&list(TERMS_MAX)), "filter_too_large", "filter");
    let chain = |terms: usize| vec!["k=1"; terms].join(" or ");
    assert!(Filter::parse(&chain(TERMS_MAX)).is_ok());
    assert_refused(Filter::parse(&chain(TERMS_MAX + 1)), "filter_too_large", "filter");

    let padded = |bytes: usize| format!("{:<bytes$}", "k = 1");
    assert!(Filter::parse(&padded(TEXT_BYTES_MAX)).is_ok());
    assert_refused(Filter::parse(&padded(TEXT_BYTES_MAX + 1)), "filter_too_long", "filter");
}

#[test]
fn meaning_of_each_filter() {
    let metadata =
        json!({"lang": "en", "year": 2024, "tags": ["a", 3, 7.5], "none": [], "flag": false, "zero": -0.0});
    let metadata = Metadata::from_json(&metadata).unwrap();
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
        ("exists(lang)", true),
        ("exists(none)", true),
        ("none = 1", false),
        ("exists(missing)", false),
        ("exists(missing) or exists(lang)", true),
        ("exists(missing) and exists(lang)", false),
    ] {
        assert_eq!(Filter::parse(text).unwrap().matches(&metadata), holds, "{text}");
    }
    assert!(Filter::And(Vec::new()).matches(&metadata));
    assert!(!Filter::Or(Vec::new()).matches(&metadata));
    let between = Bounds { gt: Some(3.0), lt: Some(7.0), ..Bounds::default() };
    assert!(!Filter::Range("tags".to_owned(), between).matches(&metadata), "one value within all bounds");
    assert!(Filter::Range("year".to_owned(), Bounds::default()).matches(&metadata), "any number");
    assert!(!Filter::Range("lang".to_owned(), Bounds::default()).matches(&metadata), "but a number");
}

proptest! {
    #[test]
    fn parsing_never_panics(text in "\\PC{0,40}|.{0,40}") {
        let _ = Filter::parse(&text);
    }

    #[test]
    fn parsing_shuffled_tokens_never_panics(tokens in proptest::collection::vec(
        proptest::sample::select(vec![
            "a", "=", "!=", "<", ">=", "1", "-1.5", "\"x\"", "(", ")", "[", "]", ",", "and", "or", "not", "in",
            "exists", "true", " ", "é", "\"",
        ]), 0..24)) {
        let text = tokens.concat();
        if let Ok(filter) = Filter::parse(&text) {
            prop_assert!(!text.trim().is_empty(), "{:?}", filter);
        }
    }
}
