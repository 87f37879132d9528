//! Tests of points that older programs stored: they have no terms for built-in keys and no places.

#![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

use qdrant_edge::external::serde_json::json;
use qdrant_edge::{PointId, PointInsertOperations, PointOperations, UpdateOperation};

use super::{QdrantEdgeVectors, conversions};
use contexture_core::domain::filter::MetadataFilter;
use contexture_core::domain::ids::{ChunkId, DocumentId, Version};
use contexture_core::ports::vectors::{VectorPoint, VectorStore};

#[tokio::test]
async fn points_of_older_programs_are_not_left_out() {
    let directory = tempfile::tempdir().unwrap();
    let vectors = QdrantEdgeVectors::open(directory.path(), 2).unwrap();
    let id = ChunkId::from_uuid(uuid::Uuid::from_u128(7));
    let mut point = conversions::to_engine_point(VectorPoint {
        id,
        vector: vec![1.0, 0.0],
        document_id: DocumentId::new("guides/setup.md").unwrap(),
        version: Version::new(1).unwrap(),
        facets: Vec::new(),
        numbers: Vec::new(),
        place: None,
        readers: vec!["gstaff".to_owned()],
    });
    assert_eq!(point.id, PointId::Uuid(id.as_uuid()));
    let payload = &mut point.payload.as_mut().unwrap().0;
    payload.insert("facets".to_owned(), json!(["team\u{1f}?", "team\u{1f}=sops"]));
    let upsert = PointOperations::UpsertPoints(PointInsertOperations::PointsList(vec![point]));
    vectors.writer.apply(UpdateOperation::PointOperation(upsert), 1).await.unwrap();
    for (text, hits) in [
        ("document starts_with \"guides/\"", 1),
        ("not document starts_with \"guides/\"", 1),
        ("page = 3", 1),
        ("not page = 3", 1),
        ("team starts_with \"o\"", 1),
        ("team = \"ops\"", 1),
        ("team = \"other\"", 0),
    ] {
        let filter = MetadataFilter::parse(text).unwrap();
        for (reader, hits) in [("gstaff", hits), ("*", 0)] {
            let found = vectors.search(vec![1.0, 0.0], Some(&filter), &[reader.to_owned()], 10).await;
            assert_eq!(found.unwrap().len(), hits, "{reader}: {text}");
        }
    }
}
