//! Searching words within filter and readers.

use std::collections::BTreeSet;

use contexture_core::domain::chunk::{SourceExcerpt, SourceUnit};
use contexture_core::domain::document::{DocumentDescription, reader_terms};
use contexture_core::domain::filter::MetadataFilter;
use contexture_core::domain::filter_subject::FilterSubject;
use contexture_core::domain::metadata::DocumentMetadata;
use proptest::collection::vec;
use proptest::prelude::*;

use super::{LexicalFixture, ids, plain};
use crate::support::strategies::{FilteredTestChunk, filter, filtered_chunk, runner};
use crate::support::{IndexedTestDocument, anyone, groups, indexed, readable_by};

const CASES: u32 = 48;

fn described(json: &serde_json::Value) -> DocumentDescription {
    DocumentDescription {
        metadata: DocumentMetadata::from_json(json).unwrap(),
        ..DocumentDescription::default()
    }
}

pub(super) async fn words_find_their_chunks(fixture: LexicalFixture) {
    let texts = ["heron lake", "otter river", "日本語 text"];
    let written = texts.map(|text| plain(text, 1, &[text]));
    fixture.commit(&written.each_ref()).await;
    for (question, found) in [("heron", 0), ("RIVER", 1), ("otter, please!", 1), ("where text", 2)] {
        assert_eq!(fixture.found(question), ids(&written[found]), "{question}");
    }
    assert_eq!(fixture.found("heron otter").len(), 2, "any word may match");
    assert_eq!(fixture.found("badger"), BTreeSet::new());
}

pub(super) async fn better_matches_come_first(fixture: LexicalFixture) {
    let one = plain("one", 1, &["heron reed marsh willow"]);
    let both = plain("both", 1, &["heron otter marsh willow"]);
    let none = plain("none", 1, &["badger reed marsh willow"]);
    fixture.commit(&[&one, &both, &none]).await;
    let hits = fixture.index.snapshot().search("heron otter", None, &anyone(), 10).unwrap();
    let order: Vec<_> = hits.iter().map(|hit| hit.id).collect();
    assert_eq!(order, [both.chunks[0].id, one.chunks[0].id]);
    assert!(hits[0].score > hits[1].score && hits[1].score > 0.0);
}

pub(super) async fn top_k_bounds_the_hits(fixture: LexicalFixture) {
    fixture.commit(&[&plain("doc", 1, &["heron"; 20])]).await;
    let snapshot = fixture.index.snapshot();
    let found = |top_k: usize| snapshot.search("heron", None, &anyone(), top_k).unwrap();
    assert_eq!([0, 1, 7, 20, 1_000].map(|top_k| found(top_k).len()), [0, 1, 7, 20, 20]);
    assert_eq!(found(7), found(20)[..7], "a shorter list is the start of a longer one");
}

pub(super) async fn readers_must_share_a_term(fixture: LexicalFixture) {
    let open = plain("open", 1, &["heron"]);
    let staff = indexed("staff", 1, &readable_by(&["staff"]), &["heron"]);
    let both = indexed("both", 1, &readable_by(&["board", "staff"]), &["heron"]);
    let sealed = indexed("sealed", 1, &readable_by(&[]), &["heron"]);
    fixture.commit(&[&open, &staff, &both, &sealed]).await;
    let snapshot = fixture.index.snapshot();
    for (member_of, expected) in [
        (vec![], vec![&open]),
        (vec!["staff"], vec![&open, &staff, &both]),
        (vec!["board", "guests"], vec![&open, &both]),
        (vec!["*"], vec![&open]),
    ] {
        let readers = reader_terms(&groups(&member_of));
        let hits = snapshot.search("heron", None, &readers, 10).unwrap();
        let found: BTreeSet<_> = hits.into_iter().map(|hit| hit.id).collect();
        let expected: BTreeSet<_> = expected.into_iter().flat_map(ids).collect();
        assert_eq!(found, expected, "member of {member_of:?}");
    }
    assert_eq!(snapshot.search("heron", None, &[], 10).unwrap(), [], "no term at all reads nothing");
}

/// An index may know that everything is open and skip the check; it must notice when it ends.
pub(super) async fn readers_follow_a_rewritten_document(fixture: LexicalFixture) {
    let (open, other) = (plain("doc", 1, &["heron"]), plain("other", 1, &["heron"]));
    fixture.commit(&[&open, &other]).await;
    assert_eq!(fixture.found("heron").len(), 2);
    let sealed = indexed("doc", 2, &readable_by(&["staff"]), &["heron"]);
    fixture.commit(&[&sealed]).await;
    assert_eq!(fixture.found("heron"), ids(&other));
    fixture.bury(&other, 2).await;
    assert_eq!(fixture.found("heron"), BTreeSet::new());
    fixture.commit(&[&plain("doc", 3, &["heron"])]).await;
    assert_eq!(fixture.found("heron").len(), 1);
    fixture.commit(&[&indexed("doc", 4, &readable_by(&[]), &["heron"])]).await;
    assert_eq!(fixture.found("heron"), BTreeSet::new());
}

pub(super) async fn filter_and_readers_both_hold(fixture: LexicalFixture) {
    let english = described(&serde_json::json!({"lang": "en", "year": [2019, 2024]}));
    let sealed = DocumentDescription { acl: readable_by(&["staff"]).acl, ..english.clone() };
    let wanted = indexed("wanted", 1, &english, &["heron"]);
    let hidden = indexed("hidden", 1, &sealed, &["heron"]);
    fixture.commit(&[&wanted, &hidden, &plain("plain", 1, &["heron"])]).await;
    let snapshot = fixture.index.snapshot();
    for text in ["lang = \"en\"", "year > 2020", "year in [2019]", "exists(lang) and not year < 2019"] {
        let filter = MetadataFilter::parse(text).unwrap();
        let hits = snapshot.search("heron", Some(&filter), &anyone(), 10).unwrap();
        assert_eq!(hits.iter().map(|hit| hit.id).collect::<BTreeSet<_>>(), ids(&wanted), "{text}");
    }
    let filter = MetadataFilter::parse("lang = \"en\"").unwrap();
    assert_eq!(snapshot.search("badger", Some(&filter), &anyone(), 10).unwrap(), [], "words decide, too");
}

pub(super) async fn starts_of_texts_select(fixture: LexicalFixture) {
    let titled = |title: &str, json: &serde_json::Value| DocumentDescription {
        title: Some(title.to_owned()),
        ..described(json)
    };
    let setup =
        indexed("guides/setup.md", 1, &titled("Setup", &serde_json::json!({"team": "ops"})), &["heron"]);
    let other =
        indexed("guides-old.md", 1, &titled("Settled", &serde_json::json!({"title": "Own"})), &["heron"]);
    fixture.commit(&[&setup, &other]).await;
    let snapshot = fixture.index.snapshot();
    for (text, expected) in [
        ("document = \"guides/setup.md\"", vec![&setup]),
        ("document starts_with \"guides/\"", vec![&setup]),
        ("document starts_with \"guides\"", vec![&setup, &other]),
        ("not document starts_with \"guides/\"", vec![&other]),
        ("title starts_with \"Set\"", vec![&setup]),
        ("title in [\"Own\", \"Settled\"]", vec![&other]),
        ("team starts_with \"o\"", vec![&setup]),
        ("exists(document) and exists(title)", vec![&setup, &other]),
        ("document starts_with \"setup\"", vec![]),
    ] {
        let filter = MetadataFilter::parse(text).unwrap();
        let hits = snapshot.search("heron", Some(&filter), &anyone(), 10).unwrap();
        let found: BTreeSet<_> = hits.into_iter().map(|hit| hit.id).collect();
        assert_eq!(found, expected.into_iter().flat_map(ids).collect(), "{text}");
    }
}

/// Chunks beside a hit become hits, but not those that the filter leaves out.
pub(super) async fn places_select_chunks_and_not_their_neighbours(fixture: LexicalFixture) {
    let mut book =
        plain("book.pdf", 1, &["heron one", "heron two", "heron three", "heron four", "heron five"]);
    // Pages 1 to 2, 2 to 3, and so on.
    for (ordinal, chunk) in (1_usize..).zip(&mut book.chunks) {
        let bytes = chunk.text.len();
        chunk.source = Some(SourceExcerpt::of_places(SourceUnit::Page, ordinal, ordinal + 1, bytes));
    }
    let paged = indexed("own.txt", 1, &described(&serde_json::json!({"page": 3})), &["heron"])
        .standing_at(Some((SourceUnit::Page, 90, 99)));
    fixture.commit(&[&book, &paged]).await;
    let snapshot = fixture.index.snapshot();
    for (text, pages, by_metadata) in [
        ("page >= 4", vec![2, 3, 4], false),
        ("page > 4 and page < 6", vec![3, 4], false),
        ("page = 3", vec![1, 2], true),
        ("page in [1, 6.0]", vec![0, 4], false),
        ("page != 3", vec![0, 3, 4], false),
        ("page < 1", vec![], false),
        ("page > 5.5", vec![4], false),
        ("page = 3.5", vec![], false),
        ("page >= 90", vec![], false),
        ("exists(page)", vec![0, 1, 2, 3, 4], true),
        ("exists(slide) or slide > 0 or line = 1", vec![], false),
        ("page = \"3\" or page starts_with \"3\"", vec![], false),
    ] {
        let filter = MetadataFilter::parse(text).unwrap();
        for question in ["heron", "heron three", "three"] {
            let hits = snapshot.search(question, Some(&filter), &anyone(), 10).unwrap();
            let found: BTreeSet<_> = hits.into_iter().map(|hit| hit.id).collect();
            let own = by_metadata.then(|| paged.chunks[0].id);
            let expected: BTreeSet<_> =
                pages.iter().map(|page: &usize| book.chunks[*page].id).chain(own).collect();
            if question == "heron" {
                assert_eq!(found, expected, "{text}");
            }
            assert!(found.is_subset(&expected), "{question}: {text}");
        }
    }
    assert!(!snapshot.has_metadata_key("slide", &anyone()).unwrap(), "no metadata has this name");
    assert!(snapshot.has_metadata_key("page", &anyone()).unwrap());
}

pub(super) async fn questions_without_words_find_nothing(fixture: LexicalFixture) {
    fixture.commit(&[&plain("doc", 1, &["heron lake"])]).await;
    for question in
        ["", " \t\n", "?!... --", "\0\u{202e}\u{200d}", "the of and a", "\u{1f468}\u{200d}\u{1f469}"]
    {
        assert_eq!(fixture.found(question), BTreeSet::new(), "{question:?}");
    }
}

pub(super) async fn query_syntax_is_only_text(fixture: LexicalFixture) {
    let (heron, otter) = (plain("heron", 1, &["heron lake"]), plain("otter", 1, &["otter river"]));
    fixture.commit(&[&heron, &otter]).await;
    for question in [
        "*",
        "+-!(){}[]^\"~*?:\\/",
        "AND",
        "NOT OR",
        "text:badger",
        "document_id:badger^2",
        "\"badger",
        "((((",
        "[a TO z]",
        "/.*/",
        "badger~2",
        "-",
        "\\",
    ] {
        assert_eq!(fixture.found(question), BTreeSet::new(), "{question:?}");
    }
    for question in ["+heron", "-heron", "NOT heron", "heron*", "\"heron", "(heron", "heron^9", "text:heron"]
    {
        assert_eq!(fixture.found(question), ids(&heron), "{question:?}");
    }
}

pub(super) async fn huge_questions_are_harmless(fixture: LexicalFixture) {
    let written = plain("doc", 1, &["heron lake"]);
    fixture.commit(&[&written]).await;
    let many_terms: String =
        (0..100_000).fold("heron".to_owned(), |text, number| text + &format!(" w{number}"));
    assert_eq!(fixture.found(&many_terms), ids(&written));
    assert_eq!(fixture.found(&"heron ".repeat(170_000)), ids(&written), "one word, a megabyte of it");
    assert_eq!(fixture.found(&"x".repeat(1 << 20)), BTreeSet::new(), "one word of a megabyte");
}

/// In this index a filter is exact: neither a missing hit nor a false one.
pub(super) async fn random_filters_are_exact(fixture: LexicalFixture) {
    let handle = tokio::runtime::Handle::current();
    let cases = (vec(filtered_chunk(), 1..6), vec(filter(), 1..8));
    tokio::task::block_in_place(|| {
        runner(CASES)
            .run(&cases, |(documents, filters)| handle.block_on(compare(&fixture, &documents, &filters)))
    })
    .unwrap();
}

async fn compare(
    fixture: &LexicalFixture,
    chunks: &[FilteredTestChunk],
    filters: &[MetadataFilter],
) -> Result<(), TestCaseError> {
    // Those of the case before are gone.
    let before = fixture.index.snapshot().held(None, 100).unwrap();
    fixture.index.remove(before).await.unwrap();
    let numbered = chunks.iter().enumerate();
    let written: Vec<IndexedTestDocument> =
        numbered.map(|(number, chunk)| chunk.indexed(&number.to_string(), "heron")).collect();
    fixture.commit(&written.iter().collect::<Vec<_>>()).await;
    let snapshot = fixture.index.snapshot();
    for filter in filters {
        let hits = snapshot.search("heron", Some(filter), &anyone(), 100).unwrap();
        for (one, chunk) in written.iter().zip(chunks) {
            let found = hits.iter().any(|hit| hit.id == one.chunks[0].id);
            let matches = filter.matches(&FilterSubject::of_chunk(&one.chunks[0]));
            prop_assert_eq!(found, matches, "{:?} on {:?}", filter, chunk);
        }
    }
    prop_assert!(snapshot.head(&written[0].head.document_id).unwrap().is_some());
    Ok(())
}
