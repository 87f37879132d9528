//! Storing and removing points.

use contexture_core::domain::document::DocumentDescription;
use contexture_core::fault::Fault;

use super::{VectorsFixture, plain, point};
use crate::support::{anyone, document, version};

const EAST: [f32; 4] = [1.0, 0.0, 0.0, 0.0];
const NORTH: [f32; 4] = [0.0, 1.0, 0.0, 0.0];

pub(super) async fn upsert_replaces_points_of_the_same_id(fixture: VectorsFixture) {
    fixture.upsert(&[plain("doc", 0, EAST), plain("doc", 1, NORTH)]).await;
    let moved = plain("doc", 0, [0.0, 0.0, 1.0, 0.0]);
    fixture.upsert(std::slice::from_ref(&moved)).await;
    assert_eq!(fixture.vectors.count().await.unwrap(), 2);
    let hits = fixture.vectors.search(EAST.to_vec(), None, &anyone(), 10).await.unwrap();
    assert!(hits.iter().all(|hit| hit.score.abs() < 1e-6), "the old vector is gone: {hits:?}");
    assert_eq!(fixture.nearest([0.0, 0.0, 1.0, 0.0], 1).await, [moved.id]);
}

pub(super) async fn upsert_is_idempotent(fixture: VectorsFixture) {
    let points = [plain("doc", 0, EAST), plain("doc", 1, NORTH)];
    for _ in 0..3 {
        fixture.upsert(&points).await;
    }
    assert_eq!(fixture.vectors.count().await.unwrap(), 2);
    assert_eq!(fixture.nearest(EAST, 10).await.len(), 2);
}

pub(super) async fn delete_is_idempotent(fixture: VectorsFixture) {
    let points = [plain("doc", 0, EAST), plain("doc", 1, NORTH)];
    fixture.upsert(&points).await;
    let unknown = plain("never was", 0, EAST).id;
    for _ in 0..2 {
        fixture.vectors.delete(vec![points[0].id, unknown]).await.unwrap();
        assert_eq!(fixture.vectors.count().await.unwrap(), 1);
        assert_eq!(fixture.nearest(EAST, 10).await, [points[1].id]);
    }
    let left = fixture.vectors.ids_of(&points[1].document_id).await.unwrap();
    assert_eq!(left, [(points[1].id, version(1))]);
}

pub(super) async fn empty_batches_are_fine(fixture: VectorsFixture) {
    fixture.vectors.upsert(Vec::new()).await.unwrap();
    fixture.vectors.delete(Vec::new()).await.unwrap();
    assert_eq!(fixture.vectors.count().await.unwrap(), 0);
}

pub(super) async fn wrong_dimensions_are_permanent_and_store_nothing(fixture: VectorsFixture) {
    for numbers in [Vec::new(), vec![1.0; 3], vec![1.0; 5]] {
        let mut wrong = plain("doc", 0, EAST);
        wrong.vector.clone_from(&numbers);
        let refused = fixture.vectors.upsert(vec![plain("doc", 1, NORTH), wrong]).await.unwrap_err();
        assert!(matches!(refused, Fault::Permanent(_)), "{refused:?}");
        let refused = fixture.vectors.search(numbers, None, &anyone(), 1).await.unwrap_err();
        assert!(matches!(refused, Fault::Permanent(_)), "{refused:?}");
    }
    assert_eq!(fixture.vectors.count().await.unwrap(), 0, "a refused call stores nothing");
}

pub(super) async fn documents_list_their_points_with_versions(fixture: VectorsFixture) {
    let old = point("doc", 1, 0, EAST, &DocumentDescription::default());
    let new = point("doc", 2, 0, NORTH, &DocumentDescription::default());
    fixture.upsert(&[old.clone(), new.clone(), plain("other", 0, EAST)]).await;
    let mut ids = fixture.vectors.ids_of(&document("doc")).await.unwrap();
    ids.sort_by_key(|(_, number)| *number);
    assert_eq!(ids, [(old.id, version(1)), (new.id, version(2))]);
    assert_eq!(fixture.vectors.ids_of(&document("never was")).await.unwrap(), []);
}

pub(super) async fn changes_are_visible_at_once(fixture: VectorsFixture) {
    for round in 0..20 {
        let added = plain(&format!("doc {round}"), 0, EAST);
        fixture.upsert(std::slice::from_ref(&added)).await;
        assert_eq!(fixture.nearest(EAST, 1).await, [added.id]);
        fixture.vectors.delete(vec![added.id]).await.unwrap();
        assert_eq!(fixture.nearest(EAST, 1).await, []);
    }
}
