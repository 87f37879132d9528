//! Points that a builder staged and did not live to tell of.

use contexture_core::domain::ids::ChunkId;
use contexture_core::ports::clock::SystemClock;
use contexture_core::ports::generations::GenerationBuildPace;
use contexture_core::ports::vectors::VectorPoint;

use crate::support::site::{DIMS, SingleProcessSite, SiteEngines, text};
use crate::support::{document, epoch, unit_vector, version};

/// A builder staged a version for another generation and was killed; then a newer version came.
#[tokio::test]
async fn what_a_dead_builder_staged_goes_with_its_version() {
    let clock = std::sync::Arc::new(SystemClock);
    let mut site = SingleProcessSite::open(SiteEngines::memory(clock), false).await;
    site.work();
    for id in ["one", "two"] {
        site.put(id, &text(id, 1)).await;
    }
    site.settled().await;
    let begun = site
        .engines
        .ledger
        .begin_generation(&site.home, "", epoch("other"), GenerationBuildPace::default())
        .await;
    begun.unwrap();
    let staged: Vec<ChunkId> =
        (0..3).map(|number| ChunkId::from_uuid(uuid::Uuid::from_u128(number))).collect();
    let point = |(id, of): (&ChunkId, &str)| VectorPoint {
        id: *id,
        vector: unit_vector(1, DIMS),
        document_id: document(of),
        version: version(1),
        facets: Vec::new(),
        numbers: Vec::new(),
        place: None,
        readers: vec!["*".to_owned()],
    };
    let points = staged.iter().zip(["one", "one", "two"]).map(point).collect();
    site.engines.vectors.upsert(points).await.unwrap();
    site.put("one", &text("one", 2)).await;
    site.settled().await;
    let left: Vec<ChunkId> = site.points().await.into_iter().map(|point| point.id).collect();
    assert!(!left.contains(&staged[0]) && !left.contains(&staged[1]), "nobody would ever remove them");
    assert!(left.contains(&staged[2]), "that of a version that is visible may still be told of");
    site.rest().await;
}
