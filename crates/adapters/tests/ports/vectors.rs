//! The suite of the vectors port.

mod beside;
mod kills;
#[cfg(feature = "qdrant")]
mod qdrant;
mod search;
mod store;
mod walk;

use std::any::Any;
use std::sync::Arc;

use contexture_adapters::edge::QdrantEdgeVectors;
use contexture_adapters::memory::vectors::MemoryVectors;
use contexture_core::domain::document::DocumentDescription;
use contexture_core::domain::ids::ChunkId;
use contexture_core::ports::vectors::{VectorPoint, VectorStore};

use crate::support::{anyone, indexed, staged_point};

/// Numbers per vector.
const DIMS: usize = 4;

/// An empty store.
pub(crate) struct VectorsFixture {
    vectors: Arc<dyn VectorStore>,
    /// What must outlive it, such as its directory.
    _keep: Box<dyn Any + Send>,
}

impl VectorsFixture {
    async fn upsert(&self, points: &[VectorPoint]) {
        self.vectors.upsert(points.to_vec()).await.unwrap();
    }

    async fn nearest(&self, vector: [f32; DIMS], top_k: usize) -> Vec<ChunkId> {
        let hits = self.vectors.search(vector.to_vec(), None, &anyone(), top_k).await.unwrap();
        hits.into_iter().map(|hit| hit.id).collect()
    }
}

/// A point as the embed stage stages it: chunk `ordinal` of a document's version.
fn point(
    id: &str,
    version: u64,
    ordinal: usize,
    vector: [f32; DIMS],
    description: &DocumentDescription,
) -> VectorPoint {
    let chunk = indexed(id, version, description, &["text"; 8]).chunks.swap_remove(ordinal);
    staged_point(&chunk, vector.to_vec())
}

/// A point without metadata that everyone of the tenant may find.
fn plain(id: &str, ordinal: usize, vector: [f32; DIMS]) -> VectorPoint {
    point(id, 1, ordinal, vector, &DocumentDescription::default())
}

macro_rules! vectors_suite {
    ($adapter:ident, $open:ident) => {
        laws!($adapter, $open, {
            store: [
                upsert_replaces_points_of_the_same_id,
                upsert_is_idempotent,
                delete_is_idempotent,
                empty_batches_are_fine,
                wrong_dimensions_are_permanent_and_store_nothing,
                documents_list_their_points_with_versions,
                changes_are_visible_at_once,
            ],
            walk: [
                pages_hold_every_point_once_in_the_order_of_ids,
                walk_sees_what_stays_while_others_come_and_go,
                stored_points_say_whose_they_are,
                empty_store_has_no_page,
            ],
            search: [
                nearest_come_first_with_their_cosine,
                top_k_bounds_the_hits,
                empty_store_finds_nothing,
                readers_must_share_a_term,
                nobody_finds_what_nobody_may_read,
                filter_and_readers_both_hold,
                empty_lists_match_nothing_or_everything,
                starts_of_texts_and_places_select,
                random_filters_leave_no_match_out,
            ],
        });
    };
}

async fn open_memory() -> VectorsFixture {
    VectorsFixture { vectors: Arc::new(MemoryVectors::new(DIMS)), _keep: Box::new(()) }
}

vectors_suite!(memory, open_memory);

async fn open_edge() -> VectorsFixture {
    let directory = tempfile::tempdir().unwrap();
    let vectors = Arc::new(QdrantEdgeVectors::open(directory.path(), DIMS).unwrap());
    VectorsFixture { vectors, _keep: Box::new(directory) }
}

vectors_suite!(edge, open_edge);

use beside::open_edge_reader;
vectors_suite!(edge_reader, open_edge_reader);

#[cfg(feature = "qdrant")]
async fn open_qdrant() -> VectorsFixture {
    let place = crate::support::qdrant::QdrantTestCollection::open();
    VectorsFixture { vectors: Arc::new(place.vectors(DIMS).await.unwrap()), _keep: Box::new(place) }
}

#[cfg(feature = "qdrant")]
vectors_suite!(qdrant_server, open_qdrant);
