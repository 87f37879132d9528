//! Vectors in memory: exact cosine over all points, with filters evaluated on the terms of each point.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::Mutex;

use async_trait::async_trait;

use super::lock_ignoring_poison;
use contexture_core::domain::filter::{MetadataFilter, NumericBounds};
use contexture_core::domain::ids::{ChunkId, DocumentId, Version};
use contexture_core::domain::metadata::{equals_facet, exists_facet, place_facet, text_facet_start};
use contexture_core::fault::Fault;
use contexture_core::ports::vectors::{DenseHit, StoredVectorPoint, VectorPoint, VectorStore};

/// Points that live as long as the process.
pub struct MemoryVectors {
    dims: usize,
    store: Mutex<MemoryPointStore>,
}

#[derive(Default)]
struct MemoryPointStore {
    points: BTreeMap<ChunkId, VectorPoint>,
    by_document: HashMap<DocumentId, BTreeMap<ChunkId, Version>>,
}

impl MemoryVectors {
    /// Creates an empty store for vectors of `dims` numbers.
    pub fn new(dims: usize) -> Self {
        Self { dims, store: Mutex::default() }
    }

    fn check(&self, vector: &[f32]) -> Result<(), Fault> {
        if vector.len() == self.dims && vector.iter().all(|number| number.is_finite()) {
            return Ok(());
        }
        let detail =
            format!("{} numbers (or one is not finite); the store holds {}", vector.len(), self.dims);
        Err(Fault::permanent("wrong_dimensions", detail))
    }
}

impl MemoryPointStore {
    fn remove(&mut self, id: ChunkId) {
        let Some(point) = self.points.remove(&id) else { return };
        if let Some(ids) = self.by_document.get_mut(&point.document_id) {
            ids.remove(&id);
            if ids.is_empty() {
                self.by_document.remove(&point.document_id);
            }
        }
    }
}

fn matches_filter(filter: &MetadataFilter, point: &VectorPoint) -> bool {
    let has = |facet: String| point.facets.contains(&facet);
    if let Some((unit, ranges)) = filter.places()
        && has(place_facet(unit.name()))
    {
        return point.place.is_some_and(|place| ranges.iter().any(|range| range.touches(place)));
    }
    match filter {
        MetadataFilter::Equals(key, scalar) => has(equals_facet(key, scalar)),
        MetadataFilter::In(key, scalars) => scalars.iter().any(|scalar| has(equals_facet(key, scalar))),
        MetadataFilter::Range(key, bounds) => point
            .numbers
            .iter()
            .filter(|(name, _)| name == key)
            .flat_map(|(_, numbers)| numbers)
            .any(|number| is_within_bounds(*bounds, *number)),
        MetadataFilter::StartsWith(key, text) => {
            let start = text_facet_start(key, text);
            point.facets.iter().any(|facet| facet.starts_with(&start))
        }
        MetadataFilter::Exists(key) => has(exists_facet(key)),
        MetadataFilter::And(parts) => parts.iter().all(|part| matches_filter(part, point)),
        MetadataFilter::Or(parts) => parts.iter().any(|part| matches_filter(part, point)),
        MetadataFilter::Not(part) => !matches_filter(part, point),
    }
}

fn is_within_bounds(bounds: NumericBounds, number: f64) -> bool {
    bounds.gt.is_none_or(|bound| number > bound)
        && bounds.gte.is_none_or(|bound| number >= bound)
        && bounds.lt.is_none_or(|bound| number < bound)
        && bounds.lte.is_none_or(|bound| number <= bound)
}

fn to_stored_point(point: &VectorPoint) -> StoredVectorPoint {
    StoredVectorPoint { id: point.id, owner: Some((point.document_id.clone(), point.version)) }
}

/// Cosine similarity; 0 when a vector has no length.
fn cosine_similarity(left: &[f32], right: &[f32]) -> f32 {
    let dot = |one: &[f32], other: &[f32]| one.iter().zip(other).map(|(x, y)| x * y).sum::<f32>();
    let lengths = (dot(left, left) * dot(right, right)).sqrt();
    if lengths == 0.0 { 0.0 } else { dot(left, right) / lengths }
}

#[async_trait]
impl VectorStore for MemoryVectors {
    async fn upsert(&self, points: Vec<VectorPoint>) -> Result<(), Fault> {
        // All are checked before the first is stored.
        points.iter().try_for_each(|point| self.check(&point.vector))?;
        let mut store = lock_ignoring_poison(&self.store);
        for point in points {
            // Removed first: the point may have belonged to another document.
            store.remove(point.id);
            let siblings = store.by_document.entry(point.document_id.clone()).or_default();
            siblings.insert(point.id, point.version);
            store.points.insert(point.id, point);
        }
        Ok(())
    }

    async fn delete(&self, ids: Vec<ChunkId>) -> Result<(), Fault> {
        let mut store = lock_ignoring_poison(&self.store);
        for id in ids {
            store.remove(id);
        }
        Ok(())
    }

    async fn search(
        &self,
        vector: Vec<f32>,
        filter: Option<&MetadataFilter>,
        readers: &[String],
        top_k: usize,
    ) -> Result<Vec<DenseHit>, Fault> {
        self.check(&vector)?;
        let store = lock_ignoring_poison(&self.store);
        let mut hits: Vec<_> = store
            .points
            .values()
            .filter(|point| point.readers.iter().any(|reader| readers.contains(reader)))
            .filter(|point| filter.is_none_or(|filter| matches_filter(filter, point)))
            .map(|point| DenseHit { id: point.id, score: cosine_similarity(&point.vector, &vector) })
            .collect();
        // Ties by id, so that equal scores have a stable order.
        hits.sort_by(|left, right| right.score.total_cmp(&left.score).then(left.id.cmp(&right.id)));
        hits.truncate(top_k);
        Ok(hits)
    }

    async fn ids_of(&self, document_id: &DocumentId) -> Result<Vec<(ChunkId, Version)>, Fault> {
        Ok(lock_ignoring_poison(&self.store)
            .by_document
            .get(document_id)
            .cloned()
            .into_iter()
            .flatten()
            .collect())
    }

    async fn count(&self) -> Result<u64, Fault> {
        Ok(lock_ignoring_poison(&self.store).points.len() as u64)
    }

    async fn page(&self, after: Option<ChunkId>, limit: usize) -> Result<Vec<StoredVectorPoint>, Fault> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let store = lock_ignoring_poison(&self.store);
        Ok(store
            .points
            .range((from, Bound::Unbounded))
            .take(limit)
            .map(|(_, point)| to_stored_point(point))
            .collect())
    }

    async fn stored(&self, ids: &[ChunkId]) -> Result<Vec<StoredVectorPoint>, Fault> {
        let store = lock_ignoring_poison(&self.store);
        Ok(ids.iter().filter_map(|id| store.points.get(id).map(to_stored_point)).collect())
    }
}
