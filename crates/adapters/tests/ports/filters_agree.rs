//! A filter means the same in every engine: the dense and the lexical leg of a query must agree.
//!
//! The port of the vectors allows false hits; these adapters have none, and no missing ones.

use std::collections::BTreeSet;

use contexture_adapters::edge::QdrantEdgeVectors;
use contexture_adapters::tantivy::TantivyIndex;
use contexture_core::domain::document::DocumentDescription;
use contexture_core::domain::filter::MetadataFilter;
use contexture_core::domain::ids::ChunkId;
use contexture_core::domain::metadata::{DocumentMetadata, MetadataScalar};
use contexture_core::ports::lexical::{AnalyzerSettings, DocumentWrite, LexicalIndex};
use contexture_core::ports::vectors::{VectorPoint, VectorStore};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::support::qdrant::QdrantTestCollection;
use crate::support::strategies::{filter, metadata, runner};
use crate::support::{IndexedTestDocument, anyone, indexed};

const CASES: u32 = 64;
const TOP_K: usize = 1_000;
const VECTOR: [f32; 2] = [1.0, 0.0];
const WORD: &str = "heron";

fn point(document: &IndexedTestDocument, metadata: &DocumentMetadata) -> VectorPoint {
    let numbers = metadata.iter().map(|(key, value)| {
        let numbers: Vec<f64> = value.scalars().iter().filter_map(MetadataScalar::as_number).collect();
        (key.clone(), numbers)
    });
    let chunk = &document.chunks[0];
    VectorPoint {
        id: chunk.id,
        vector: VECTOR.to_vec(),
        document_id: chunk.document_id.clone(),
        version: chunk.version,
        facets: metadata.facets().into_iter().collect(),
        numbers: numbers.filter(|(_, numbers)| !numbers.is_empty()).collect(),
        readers: chunk.description.acl.terms(),
    }
}

async fn found_by(vectors: &dyn VectorStore, filter: &MetadataFilter) -> BTreeSet<ChunkId> {
    let hits = vectors.search(VECTOR.to_vec(), Some(filter), &anyone(), TOP_K).await.unwrap();
    hits.into_iter().map(|hit| hit.id).collect()
}

async fn check(
    edge: &QdrantEdgeVectors,
    qdrant: &dyn VectorStore,
    documents: &[DocumentMetadata],
    filters: &[MetadataFilter],
) -> Result<(), TestCaseError> {
    let analysis = AnalyzerSettings { language: "english".to_owned(), stem: true, stop_words: true };
    let tantivy = TantivyIndex::in_ram(&analysis).unwrap();
    let written: Vec<(IndexedTestDocument, &DocumentMetadata)> = documents
        .iter()
        .enumerate()
        .map(|(number, metadata)| {
            let description =
                DocumentDescription { metadata: metadata.clone(), ..DocumentDescription::default() };
            (indexed(&format!("doc {number}"), 1, &description, &[WORD]), metadata)
        })
        .collect();
    let points: Vec<VectorPoint> =
        written.iter().map(|(document, metadata)| point(document, metadata)).collect();
    let ids: Vec<ChunkId> = points.iter().map(|point| point.id).collect();
    let writes = written
        .iter()
        .map(|(document, _)| DocumentWrite { head: document.head.clone(), chunks: document.chunks.clone() });
    tantivy.commit(writes.collect(), 0).await.unwrap();
    edge.upsert(points.clone()).await.unwrap();
    qdrant.upsert(points).await.unwrap();
    let snapshot = tantivy.snapshot();
    for filter in filters {
        let matching: BTreeSet<ChunkId> =
            ids.iter().zip(documents).filter(|(_, it)| filter.matches(it)).map(|(id, _)| *id).collect();
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
    let cases = (vec(metadata(), 1..8), vec(filter(), 1..8));
    tokio::task::block_in_place(|| {
        runner(CASES)
            .run(&cases, |(documents, filters)| handle.block_on(check(&edge, &qdrant, &documents, &filters)))
    })
    .unwrap();
}
