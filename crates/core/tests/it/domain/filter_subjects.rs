//! Built-in keys of filters: the document, its title, and places in the source.

use contexture_core::domain::chunk::{SourcePlace, SourceUnit};
use contexture_core::domain::document::DocumentDescription;
use contexture_core::domain::filter::{MetadataFilter, NumericBounds};
use contexture_core::domain::filter_subject::FilterSubject;
use contexture_core::domain::metadata::DocumentMetadata;
use serde_json::json;

use crate::support::document;

fn at_pages(first: usize, last: usize) -> SourcePlace {
    SourcePlace { unit: SourceUnit::Page, first_line: first, last_line: last, bytes: None }
}

#[test]
fn place_is_any_number_of_its_range() {
    let (id, description) = (document("a.pdf"), DocumentDescription::default());
    let subject = FilterSubject::at_place(&id, &description, Some(at_pages(9, 11)));
    for (text, holds) in [
        ("page >= 11", true),
        ("page > 11", false),
        ("page <= 9", true),
        ("page < 9", false),
        ("page > 10.5", true),
        ("page = 10", true),
        ("page = 10.0", true),
        ("page = 10.5", false),
        ("page = \"10\"", false),
        ("page = -1", false),
        ("page != 10", false),
        ("page != 12", true),
        ("page in [1, 2, 11]", true),
        ("page in [\"11\", 12]", false),
        ("page in []", false),
        ("page >= 10 and page <= 10", true),
        ("exists(page)", true),
        ("exists(slide) or exists(row) or exists(line)", false),
        ("line >= 1", false),
        ("page >= 1e300", false),
        ("page <= 1e300", true),
        ("page >= -1e300", true),
    ] {
        assert_eq!(MetadataFilter::parse(text).unwrap().matches(&subject), holds, "{text}");
    }
    let between = NumericBounds { gt: Some(9.2), lt: Some(9.8), ..NumericBounds::default() };
    assert!(!MetadataFilter::Range("page".to_owned(), between).matches(&subject), "no page lies in between");
}

#[test]
fn metadata_wins_over_built_in_keys() {
    let id = document("guides/setup.md");
    let own = json!({"document": "own", "title": ["mine", 3], "page": "iv"});
    let own = DocumentDescription {
        title: Some("Setup".to_owned()),
        metadata: DocumentMetadata::from_json(&own).unwrap(),
        ..DocumentDescription::default()
    };
    let plain = DocumentDescription { metadata: DocumentMetadata::default(), ..own.clone() };
    for (text, with, without) in [
        ("document = \"own\"", true, false),
        ("document starts_with \"guides/\"", false, true),
        ("title = \"Setup\"", false, true),
        ("title = 3", true, false),
        ("title starts_with \"m\"", true, false),
        ("page = \"iv\"", true, false),
        ("page > 3", false, true),
        ("exists(page)", true, true),
    ] {
        let filter = MetadataFilter::parse(text).unwrap();
        for (description, holds) in [(&own, with), (&plain, without)] {
            let subject = FilterSubject::at_place(&id, description, Some(at_pages(3, 4)));
            assert_eq!(filter.matches(&subject), holds, "{text}");
        }
    }
}

#[test]
fn built_in_keys_are_known_without_metadata() {
    for (text, keys) in [
        ("document = \"a\" or title starts_with \"b\"", vec![]),
        ("page >= 3 and exists(line) and row in [1, \"x\"]", vec![]),
        ("page = \"x\" and slide starts_with \"y\"", vec!["page", "slide"]),
        ("lang starts_with \"e\" and not exists(draft)", vec!["draft", "lang"]),
    ] {
        let filter = MetadataFilter::parse(text).unwrap();
        assert_eq!(filter.metadata_keys().into_iter().collect::<Vec<_>>(), keys, "{text}");
    }
    let absent = std::collections::BTreeSet::from(["page"]);
    let barred = |text: &str| MetadataFilter::parse(text).unwrap().is_barred_by_absence_of(&absent);
    assert!(barred("page = \"x\"") && barred("page starts_with \"x\"") && !barred("page = 3"));
}
