//! Looking at every point, in pages.

use contexture_core::domain::ids::ChunkId;
use contexture_core::ports::vectors::StoredVectorPoint;

use super::{VectorsFixture, plain, point};
use crate::support::{document, version};
use contexture_core::domain::document::DocumentDescription;

const EAST: [f32; 4] = [1.0, 0.0, 0.0, 0.0];

async fn walk(fixture: &VectorsFixture, limit: usize) -> Vec<StoredVectorPoint> {
    let mut all: Vec<StoredVectorPoint> = Vec::new();
    loop {
        let page = fixture.vectors.page(all.last().map(|point| point.id), limit).await.unwrap();
        assert!(page.len() <= limit);
        if page.is_empty() {
            return all;
        }
        all.extend(page);
    }
}

pub(super) async fn pages_hold_every_point_once_in_the_order_of_ids(fixture: VectorsFixture) {
    let points: Vec<_> =
        (0..60).map(|number| plain(&format!("doc {}", number / 8), number % 8, EAST)).collect();
    fixture.upsert(&points).await;
    let mut expected: Vec<ChunkId> = points.iter().map(|point| point.id).collect();
    expected.sort();
    for limit in [1, 7, 60, 1000] {
        let ids: Vec<ChunkId> = walk(&fixture, limit).await.iter().map(|point| point.id).collect();
        assert_eq!(ids, expected, "pages of {limit}");
    }
}

pub(super) async fn walk_sees_what_stays_while_others_come_and_go(fixture: VectorsFixture) {
    let stays: Vec<_> = (0..40).map(|number| plain(&format!("stays {number}"), 0, EAST)).collect();
    let goes: Vec<_> = (0..40).map(|number| plain(&format!("goes {number}"), 0, EAST)).collect();
    fixture.upsert(&stays).await;
    fixture.upsert(&goes).await;
    let mut seen = Vec::new();
    let mut round = 0;
    loop {
        let page = fixture.vectors.page(seen.last().copied(), 8).await.unwrap();
        if page.is_empty() {
            break;
        }
        seen.extend(page.iter().map(|point| point.id));
        fixture.vectors.delete(vec![goes[round].id]).await.unwrap();
        fixture.upsert(&[plain(&format!("comes {round}"), 0, EAST)]).await;
        round += 1;
    }
    assert!(seen.is_sorted(), "in order, and so each once");
    assert!(stays.iter().all(|point| seen.contains(&point.id)));
}

pub(super) async fn stored_points_say_whose_they_are(fixture: VectorsFixture) {
    let (old, new) = (
        point("doc", 1, 0, EAST, &DocumentDescription::default()),
        point("doc", 2, 0, EAST, &DocumentDescription::default()),
    );
    fixture.upsert(&[old.clone(), new.clone(), plain("other", 0, EAST)]).await;
    let unknown = plain("never was", 0, EAST).id;
    let mut found = fixture.vectors.stored(&[new.id, unknown, old.id]).await.unwrap();
    found.sort_by_key(|point| point.owner.clone());
    let owned = |id, number| StoredVectorPoint { id, owner: Some((document("doc"), version(number))) };
    assert_eq!(found, [owned(old.id, 1), owned(new.id, 2)]);
    assert_eq!(fixture.vectors.stored(&[]).await.unwrap(), []);
    let owners: Vec<_> = walk(&fixture, 2).await.into_iter().filter_map(|point| point.owner).collect();
    assert_eq!(owners.len(), 3, "so do those of a page");
}

pub(super) async fn empty_store_has_no_page(fixture: VectorsFixture) {
    assert_eq!(fixture.vectors.page(None, 10).await.unwrap(), []);
    let last = plain("doc", 0, EAST);
    fixture.upsert(std::slice::from_ref(&last)).await;
    assert_eq!(fixture.vectors.page(Some(last.id), 10).await.unwrap(), []);
}
