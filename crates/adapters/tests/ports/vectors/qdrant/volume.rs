//! Many points, large points, and the int8 copy.

use std::collections::BTreeSet;

use contexture_adapters::qdrant::{CollectionOptions, DELETE_IDS_MAX, UPSERT_POINTS_MAX};
use contexture_core::domain::document::DocumentDescription;
use contexture_core::domain::ids::ChunkId;
use contexture_core::ports::vectors::{DenseHit, VectorPoint, VectorStore};

use super::{DIMS, EAST, QdrantTestCollection, one_of_many, point};
use crate::support::qdrant::PLAIN;
use crate::support::{anyone, document, unit_vector};

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_points_go_in_batches() {
    const POINTS: usize = 10_000;
    let mut place = QdrantTestCollection::in_process();
    let vectors = place.vectors(DIMS).await.unwrap();
    let points: Vec<VectorPoint> =
        (0..POINTS).map(|number| one_of_many(number, unit_vector(number, DIMS))).collect();
    let ids: Vec<ChunkId> = points.iter().map(|point| point.id).collect();
    vectors.upsert(points).await.unwrap();
    assert_eq!(place.server().calls("Points/upsert"), POINTS.div_ceil(UPSERT_POINTS_MAX));
    assert_eq!(vectors.count().await.unwrap(), POINTS as u64);
    let hits = vectors.search(EAST.to_vec(), None, &anyone(), POINTS).await.unwrap();
    let found: BTreeSet<ChunkId> = hits.into_iter().map(|hit| hit.id).collect();
    assert_eq!(found, ids.iter().copied().collect());
    for _ in 0..2 {
        vectors.delete(ids.clone()).await.unwrap();
        assert_eq!(vectors.count().await.unwrap(), 0);
    }
    assert_eq!(place.server().calls("Points/delete"), 2 * POINTS.div_ceil(DELETE_IDS_MAX));
}

/// The server takes 4 MiB, as gRPC servers do by default.
#[tokio::test(flavor = "multi_thread")]
async fn large_points_go_in_smaller_batches() {
    const POINTS: usize = 100;
    let mut place = QdrantTestCollection::in_process();
    let vectors = place.vectors(DIMS).await.unwrap();
    let points = (0..POINTS).map(|number| {
        let facets = (0..100).map(|key| format!("key{key}\u{1f}=s{}", "v".repeat(1_000))).collect();
        VectorPoint { facets, ..one_of_many(number, EAST.to_vec()) }
    });
    vectors.upsert(points.collect()).await.unwrap();
    assert_eq!(vectors.count().await.unwrap(), POINTS as u64);
    let calls = place.server().calls("Points/upsert");
    assert!((3..=10).contains(&calls), "10 MB in {calls} calls");
}

#[tokio::test(flavor = "multi_thread")]
async fn long_documents_are_listed_page_by_page() {
    const POINTS: u32 = 2_500;
    let mut place = QdrantTestCollection::in_process();
    let vectors = place.vectors(DIMS).await.unwrap();
    let first = point("long", 3, 0, EAST, &DocumentDescription::default());
    let points: Vec<VectorPoint> = (0..POINTS)
        .map(|ordinal| VectorPoint { id: one_of_many(ordinal as usize, Vec::new()).id, ..first.clone() })
        .collect();
    let ids: BTreeSet<ChunkId> = points.iter().map(|point| point.id).collect();
    vectors.upsert(points).await.unwrap();
    let listed = vectors.ids_of(&document("long")).await.unwrap();
    assert!(listed.iter().all(|(_, version)| version.get() == 3));
    assert_eq!(listed.len(), POINTS as usize);
    assert_eq!(listed.into_iter().map(|(id, _)| id).collect::<BTreeSet<_>>(), ids);
    assert_eq!(place.server().calls("Points/scroll"), 3);
}

/// The copy only proposes; what is found is ranked and scored by the originals.
#[tokio::test(flavor = "multi_thread")]
async fn int8_copy_finds_the_same_with_the_same_scores() {
    const POINTS: usize = 2_000;
    const NUMBERS: usize = 64;
    const TOP_K: usize = 10;
    let mut plain = QdrantTestCollection::in_process();
    let mut int8 = QdrantTestCollection::in_process();
    let exact = plain.vectors_with(NUMBERS, PLAIN).await.unwrap();
    let copied = int8.vectors_with(NUMBERS, CollectionOptions { int8: true, ..PLAIN }).await.unwrap();
    let points: Vec<VectorPoint> =
        (0..POINTS).map(|number| one_of_many(number, unit_vector(number, NUMBERS))).collect();
    exact.upsert(points.clone()).await.unwrap();
    copied.upsert(points).await.unwrap();
    for place in [&mut plain, &mut int8] {
        let collection = place.collection.clone();
        place.server().optimize(&collection);
    }
    let (mut wanted, mut found) = (0, 0);
    for question in 0..40 {
        let question = unit_vector(POINTS + question, NUMBERS);
        let right: Vec<DenseHit> = exact.search(question.clone(), None, &anyone(), TOP_K).await.unwrap();
        let near = copied.search(question, None, &anyone(), TOP_K).await.unwrap();
        for hit in &near {
            if let Some(same) = right.iter().find(|other| other.id == hit.id) {
                assert!((same.score - hit.score).abs() < 1e-5, "{same:?} against {hit:?}");
                found += 1;
            }
        }
        wanted += right.len();
    }
    assert!(found * 100 >= wanted * 95, "{found} of {wanted}");
}
