//! Searching within filter and readers.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU32, Ordering};

use contexture_core::domain::chunk::SourceUnit;
use contexture_core::domain::document::{DocumentDescription, reader_terms};
use contexture_core::domain::filter::{MetadataFilter, NumericBounds};
use contexture_core::domain::filter_subject::FilterSubject;
use contexture_core::domain::metadata::DocumentMetadata;
use proptest::collection::vec;
use proptest::prelude::*;

use super::{DIMS, VectorsFixture, plain, point};
use crate::support::strategies::{FilteredTestChunk, filter, filtered_chunk, runner};
use crate::support::{anyone, groups, indexed, readable_by, staged_point};

const EAST: [f32; DIMS] = [1.0, 0.0, 0.0, 0.0];
const CASES: u32 = 48;

fn described(json: &serde_json::Value) -> DocumentDescription {
    DocumentDescription {
        metadata: DocumentMetadata::from_json(json).unwrap(),
        ..DocumentDescription::default()
    }
}

pub(super) async fn nearest_come_first_with_their_cosine(fixture: VectorsFixture) {
    let points = [
        plain("far", 0, [-1.0, 0.0, 0.0, 0.0]),
        plain("near", 0, [0.8, 0.6, 0.0, 0.0]),
        plain("exact", 0, EAST),
        plain("square", 0, [0.0, 0.0, 1.0, 0.0]),
    ];
    fixture.upsert(&points).await;
    let hits = fixture.vectors.search(EAST.to_vec(), None, &anyone(), 10).await.unwrap();
    let found: Vec<_> = hits.iter().map(|hit| hit.id).collect();
    assert_eq!(found, [points[2].id, points[1].id, points[3].id, points[0].id]);
    for (hit, expected) in hits.iter().zip([1.0, 0.8, 0.0, -1.0]) {
        assert!((hit.score - expected).abs() < 1e-5, "{} is not {expected}", hit.score);
    }
}

pub(super) async fn top_k_bounds_the_hits(fixture: VectorsFixture) {
    let points: Vec<_> = (0..8).map(|ordinal| plain("doc", ordinal, EAST)).collect();
    fixture.upsert(&points).await;
    for (top_k, found) in [(1, 1), (3, 3), (8, 8), (1_000, 8)] {
        assert_eq!(fixture.nearest(EAST, top_k).await.len(), found);
    }
}

pub(super) async fn empty_store_finds_nothing(fixture: VectorsFixture) {
    assert_eq!(fixture.nearest(EAST, 10).await, []);
}

pub(super) async fn readers_must_share_a_term(fixture: VectorsFixture) {
    let open = plain("open", 0, EAST);
    let staff = point("staff", 1, 0, EAST, &readable_by(&["staff"]));
    let both = point("both", 1, 0, EAST, &readable_by(&["board", "staff"]));
    fixture.upsert(&[open.clone(), staff.clone(), both.clone()]).await;
    for (member_of, expected) in [
        (vec![], vec![open.id]),
        (vec!["staff"], vec![open.id, staff.id, both.id]),
        (vec!["board"], vec![open.id, both.id]),
        (vec!["board", "guests"], vec![open.id, both.id]),
        (vec!["*"], vec![open.id]),
    ] {
        let readers = reader_terms(&groups(&member_of));
        let hits = fixture.vectors.search(EAST.to_vec(), None, &readers, 10).await.unwrap();
        let found: BTreeSet<_> = hits.into_iter().map(|hit| hit.id).collect();
        assert_eq!(found, expected.into_iter().collect(), "member of {member_of:?}");
    }
}

pub(super) async fn nobody_finds_what_nobody_may_read(fixture: VectorsFixture) {
    fixture.upsert(&[point("sealed", 1, 0, EAST, &readable_by(&[]))]).await;
    assert_eq!(fixture.nearest(EAST, 10).await, []);
    fixture.upsert(&[plain("open", 0, EAST)]).await;
    let hits = fixture.vectors.search(EAST.to_vec(), None, &[], 10).await.unwrap();
    assert_eq!(hits, [], "a caller without any term reads nothing");
}

pub(super) async fn filter_and_readers_both_hold(fixture: VectorsFixture) {
    let english = described(&serde_json::json!({"lang": "en", "year": [2019, 2024]}));
    let sealed = DocumentDescription { acl: readable_by(&["staff"]).acl, ..english.clone() };
    let wanted = point("wanted", 1, 0, EAST, &english);
    let points = [wanted.clone(), point("sealed", 1, 0, EAST, &sealed), plain("plain", 0, EAST)];
    fixture.upsert(&points).await;
    for text in ["lang = \"en\"", "year > 2020", "year in [2019]", "exists(lang) and not year < 2019"] {
        let filter = MetadataFilter::parse(text).unwrap();
        let hits = fixture.vectors.search(EAST.to_vec(), Some(&filter), &anyone(), 10).await.unwrap();
        assert_eq!(hits.iter().map(|hit| hit.id).collect::<Vec<_>>(), [wanted.id], "{text}");
    }
}

pub(super) async fn empty_lists_match_nothing_or_everything(fixture: VectorsFixture) {
    let tagged = point("tagged", 1, 0, EAST, &described(&serde_json::json!({"tag": ["a", 1], "year": 5})));
    let empty = point("empty", 1, 0, EAST, &described(&serde_json::json!({"tag": []})));
    fixture.upsert(&[tagged.clone(), empty.clone()]).await;
    let (nothing, everything) = (Vec::new(), vec![tagged.id, empty.id]);
    let unbounded = MetadataFilter::Range("year".to_owned(), NumericBounds::default());
    for (filter, expected) in [
        (MetadataFilter::In("tag".to_owned(), Vec::new()), nothing.clone()),
        (MetadataFilter::Or(Vec::new()), nothing),
        (MetadataFilter::And(Vec::new()), everything.clone()),
        (MetadataFilter::Not(Box::new(MetadataFilter::Or(Vec::new()))), everything.clone()),
        (MetadataFilter::Exists("tag".to_owned()), everything),
        (unbounded, vec![tagged.id]),
    ] {
        let hits = fixture.vectors.search(EAST.to_vec(), Some(&filter), &anyone(), 10).await.unwrap();
        let found: BTreeSet<_> = hits.into_iter().map(|hit| hit.id).collect();
        assert_eq!(found, expected.into_iter().collect(), "{filter:?}");
    }
}

pub(super) async fn starts_of_texts_and_places_select(fixture: VectorsFixture) {
    let described = |id: &str, json: &serde_json::Value, pages: (usize, usize)| {
        let description = DocumentDescription { title: Some(format!("About {id}")), ..described(json) };
        let document = indexed(id, 1, &description, &["text"]);
        let document = document.standing_at(Some((SourceUnit::Page, pages.0, pages.1)));
        staged_point(&document.chunks[0], EAST.to_vec())
    };
    let setup = described("guides/setup.md", &serde_json::json!({"team": ["ops", 3]}), (1, 2));
    let other = described("guides-old.md", &serde_json::json!({"title": "Own"}), (3, 5));
    let paged = described("own", &serde_json::json!({"page": 4}), (90, 99));
    fixture.upsert(&[setup.clone(), other.clone(), paged.clone()]).await;
    for (text, expected) in [
        ("document = \"guides/setup.md\"", vec![&setup]),
        ("document starts_with \"guides/\"", vec![&setup]),
        ("document starts_with \"guides\"", vec![&setup, &other]),
        ("not document starts_with \"guides/\"", vec![&other, &paged]),
        ("title starts_with \"About \"", vec![&setup, &paged]),
        ("title = \"Own\"", vec![&other]),
        ("team starts_with \"o\"", vec![&setup]),
        ("team starts_with \"\"", vec![&setup]),
        ("page >= 2 and not page > 4", vec![&setup, &paged]),
        ("page = 4", vec![&other, &paged]),
        ("page > 5", vec![]),
        ("page < 3", vec![&setup]),
        ("page in [1, 90]", vec![&setup]),
        ("exists(page)", vec![&setup, &other, &paged]),
        ("exists(slide) or line >= 1", vec![]),
        ("page = \"4\"", vec![]),
    ] {
        let filter = MetadataFilter::parse(text).unwrap();
        let hits = fixture.vectors.search(EAST.to_vec(), Some(&filter), &anyone(), 10).await.unwrap();
        let found: BTreeSet<_> = hits.iter().map(|hit| hit.id).collect();
        assert_eq!(found, expected.into_iter().map(|point| point.id).collect(), "{text}");
        let hits = fixture.vectors.search(EAST.to_vec(), Some(&filter), &[], 10).await.unwrap();
        assert_eq!(hits, [], "whoever may read nothing: {text}");
    }
}

/// The contract allows a false hit, never a missing one.
pub(super) async fn random_filters_leave_no_match_out(fixture: VectorsFixture) {
    let rounds = AtomicU32::new(0);
    let handle = tokio::runtime::Handle::current();
    let cases = (vec(filtered_chunk(), 1..6), vec(filter(), 1..6));
    tokio::task::block_in_place(|| {
        runner(CASES).run(&cases, |(documents, filters)| {
            let round = rounds.fetch_add(1, Ordering::Relaxed);
            handle.block_on(compare(&fixture, round, &documents, &filters))
        })
    })
    .unwrap();
}

async fn compare(
    fixture: &VectorsFixture,
    round: u32,
    chunks: &[FilteredTestChunk],
    filters: &[MetadataFilter],
) -> Result<(), TestCaseError> {
    let numbered = chunks.iter().enumerate();
    let written: Vec<_> =
        numbered.map(|(number, chunk)| chunk.indexed(&format!("{round} {number}"), "text").chunks).collect();
    let points: Vec<_> = written.iter().map(|chunks| staged_point(&chunks[0], EAST.to_vec())).collect();
    fixture.upsert(&points).await;
    for filter in filters {
        let hits = fixture.vectors.search(EAST.to_vec(), Some(filter), &anyone(), 1_000).await.unwrap();
        for (point, chunks) in points.iter().zip(&written) {
            let found = hits.iter().any(|hit| hit.id == point.id);
            let matches = filter.matches(&FilterSubject::of_chunk(&chunks[0]));
            prop_assert!(found || !matches, "{:?} misses {:?}", filter, point);
        }
    }
    fixture.vectors.delete(points.iter().map(|point| point.id).collect()).await.unwrap();
    Ok(())
}
