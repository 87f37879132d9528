//! Searching words within filter and readers.

use std::collections::BTreeSet;

use contexture_core::domain::document::{DocumentDescription, reader_terms};
use contexture_core::domain::filter::MetadataFilter;
use contexture_core::domain::metadata::DocumentMetadata;
use proptest::collection::vec;
use proptest::prelude::*;

use super::{LexicalFixture, ids, plain};
use crate::support::strategies::{filter, metadata, runner};
use crate::support::{IndexedTestDocument, anyone, document, groups, indexed, readable_by};

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
    let cases = (vec(metadata(), 1..6), vec(filter(), 1..8));
    tokio::task::block_in_place(|| {
        runner(CASES)
            .run(&cases, |(documents, filters)| handle.block_on(compare(&fixture, &documents, &filters)))
    })
    .unwrap();
}

async fn compare(
    fixture: &LexicalFixture,
    documents: &[DocumentMetadata],
    filters: &[MetadataFilter],
) -> Result<(), TestCaseError> {
    let written: Vec<IndexedTestDocument> = documents
        .iter()
        .enumerate()
        .map(|(number, metadata)| {
            let description =
                DocumentDescription { metadata: metadata.clone(), ..DocumentDescription::default() };
            indexed(&format!("doc {number}"), 1, &description, &["heron"])
        })
        .collect();
    fixture.commit(&written.iter().collect::<Vec<_>>()).await;
    let snapshot = fixture.index.snapshot();
    for filter in filters {
        let hits = snapshot.search("heron", Some(filter), &anyone(), 100).unwrap();
        for (one, metadata) in written.iter().zip(documents) {
            let found = hits.iter().any(|hit| hit.id == one.chunks[0].id);
            prop_assert_eq!(found, filter.matches(metadata), "{:?} on {:?}", filter, metadata);
        }
    }
    prop_assert!(snapshot.head(&document("doc 0")).unwrap().is_some());
    Ok(())
}
