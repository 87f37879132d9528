//! A filter means the same in every engine: the dense and the lexical leg of a query must agree.
//!
//! The port of the vectors allows false hits; these adapters have none, and no missing ones.

use std::collections::BTreeSet;

use contexture_adapters::edge::QdrantEdgeVectors;
use contexture_adapters::tantivy::TantivyIndex;
use contexture_core::domain::filter::MetadataFilter;
use contexture_core::domain::filter_subject::FilterSubject;
use contexture_core::domain::ids::ChunkId;
use contexture_core::ports::lexical::{AnalyzerSettings, DocumentWrite, LexicalIndex};
use contexture_core::ports::vectors::{VectorPoint, VectorStore};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::support::qdrant::QdrantTestCollection;
use crate::support::strategies::{FilteredTestChunk, filter, filtered_chunk, runner};
use crate::support::{IndexedTestDocument, anyone, staged_point};

const CASES: u32 = 64;
const TOP_K: usize = 1_000;
const VECTOR: [f32; 2] = [1.0, 0.0];
const WORD: &str = "heron";

async fn found_by(vectors: &dyn VectorStore, filter: &MetadataFilter) -> BTreeSet<ChunkId> {
    let hits = vectors.search(VECTOR.to_vec(), Some(filter), &anyone(), TOP_K).await.unwrap();
    hits.into_iter().map(|hit| hit.id).collect()
}

async fn check(
    edge: &QdrantEdgeVectors,
    qdrant: &dyn VectorStore,
    chunks: &[FilteredTestChunk],
    filters: &[MetadataFilter],
) -> Result<(), TestCaseError> {
    let analysis = AnalyzerSettings { language: "english".to_owned(), stem: true, stop_words: true };
    let tantivy = TantivyIndex::in_ram(&analysis).unwrap();
    let numbered = chunks.iter().enumerate();
    let written: Vec<IndexedTestDocument> =
        numbered.map(|(number, chunk)| chunk.indexed(&number.to_string(), WORD)).collect();
    let points: Vec<VectorPoint> =
        written.iter().map(|document| staged_point(&document.chunks[0], VECTOR.to_vec())).collect();
    let ids: Vec<ChunkId> = points.iter().map(|point| point.id).collect();
    let writes = written
        .iter()
        .map(|document| DocumentWrite { head: document.head.clone(), chunks: document.chunks.clone() });
    tantivy.commit(writes.collect(), 0).await.unwrap();
    edge.upsert(points.clone()).await.unwrap();
    qdrant.upsert(points).await.unwrap();
    let snapshot = tantivy.snapshot();
    for filter in filters {
        let matching: BTreeSet<ChunkId> = written
            .iter()
            .map(|it| &it.chunks[0])
            .filter(|it| filter.matches(&FilterSubject::of_chunk(it)))
            .map(|it| it.id)
            .collect();
        let lexical = snapshot.search(WORD, Some(filter), &anyone(), TOP_K).unwrap();
        let lexical: BTreeSet<ChunkId> = lexical.into_iter().map(|hit| hit.id).collect();
        prop_assert_eq!(&lexical, &matching, "tantivy: {:?}", filter);
        prop_assert_eq!(&found_by(edge, filter).await, &matching, "edge: {:?}", filter);
        prop_assert_eq!(&found_by(qdrant, filter).await, &matching, "qdrant: {:?}", filter);
    }
    edge.delete(ids.clone()).await.unwrap();
    qdrant.delete(ids).await.unwrap();
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_engine_finds_exactly_what_matches() {
    let directory = tempfile::tempdir().unwrap();
    let edge = QdrantEdgeVectors::open(directory.path(), VECTOR.len()).unwrap();
    let place = QdrantTestCollection::open();
    let qdrant = place.vectors(VECTOR.len()).await.unwrap();
    let handle = tokio::runtime::Handle::current();
    let cases = (vec(filtered_chunk(), 1..8), vec(filter(), 1..8));
    tokio::task::block_in_place(|| {
        runner(CASES)
            .run(&cases, |(chunks, filters)| handle.block_on(check(&edge, &qdrant, &chunks, &filters)))
    })
    .unwrap();
}
