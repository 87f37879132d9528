//! A reader of vectors beside the process that owns them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use async_trait::async_trait;
use contexture_adapters::edge::{QdrantEdgeReader, QdrantEdgeVectors};
use contexture_core::domain::filter::MetadataFilter;
use contexture_core::domain::ids::{ChunkId, DocumentId, Version};
use contexture_core::fault::Fault;
use contexture_core::ports::vectors::{DenseHit, StoredVectorPoint, VectorPoint, VectorStore};

use super::{DIMS, VectorsFixture, plain};

const EAST: [f32; DIMS] = [1.0, 0.0, 0.0, 0.0];

/// Writes with one handle and reads with another, as two processes do.
struct VectorsBesideOwner {
    owner: QdrantEdgeVectors,
    reader: QdrantEdgeReader,
}

#[async_trait]
impl VectorStore for VectorsBesideOwner {
    async fn upsert(&self, points: Vec<VectorPoint>) -> Result<(), Fault> {
        self.owner.upsert(points).await
    }

    async fn delete(&self, ids: Vec<ChunkId>) -> Result<(), Fault> {
        self.owner.delete(ids).await
    }

    async fn search(
        &self,
        vector: Vec<f32>,
        filter: Option<&MetadataFilter>,
        readers: &[String],
        top_k: usize,
    ) -> Result<Vec<DenseHit>, Fault> {
        self.reader.search(vector, filter, readers, top_k).await
    }

    async fn ids_of(&self, document_id: &DocumentId) -> Result<Vec<(ChunkId, Version)>, Fault> {
        self.reader.ids_of(document_id).await
    }

    async fn count(&self) -> Result<u64, Fault> {
        self.reader.count().await
    }

    async fn page(&self, after: Option<ChunkId>, limit: usize) -> Result<Vec<StoredVectorPoint>, Fault> {
        self.reader.page(after, limit).await
    }

    async fn stored(&self, ids: &[ChunkId]) -> Result<Vec<StoredVectorPoint>, Fault> {
        self.reader.stored(ids).await
    }
}

pub(super) async fn open_edge_reader() -> VectorsFixture {
    let directory = tempfile::tempdir().unwrap();
    let owner = QdrantEdgeVectors::open(directory.path(), DIMS).unwrap();
    let reader = QdrantEdgeReader::new(directory.path().to_owned(), DIMS);
    VectorsFixture { vectors: Arc::new(VectorsBesideOwner { owner, reader }), _keep: Box::new(directory) }
}

/// Every file below a folder: its bytes and when it was changed.
fn contents(folder: &Path) -> BTreeMap<PathBuf, (Vec<u8>, SystemTime)> {
    let mut files = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                files.insert(path.clone(), (Vec::new(), SystemTime::UNIX_EPOCH));
                folders.push(path);
            } else {
                let changed = std::fs::metadata(&path).unwrap().modified().unwrap();
                files.insert(path.clone(), (std::fs::read(&path).unwrap(), changed));
            }
        }
    }
    files
}

async fn read_everything(reader: &QdrantEdgeReader) -> u64 {
    let count = reader.count().await.unwrap();
    assert_eq!(reader.page(None, 1000).await.unwrap().len() as u64, count);
    let hits = reader.search(EAST.to_vec(), None, &crate::support::anyone(), 1000).await.unwrap();
    assert_eq!(hits.len() as u64, count);
    count
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reader_changes_nothing_in_the_directory() {
    let directory = tempfile::tempdir().unwrap();
    let owner = QdrantEdgeVectors::open(directory.path(), DIMS).unwrap();
    let points: Vec<_> = (0..50).map(|number| plain(&format!("doc {number}"), 0, EAST)).collect();
    owner.upsert(points.clone()).await.unwrap();
    owner.delete(points[..7].iter().map(|point| point.id).collect()).await.unwrap();
    let before = contents(directory.path());
    let reader = QdrantEdgeReader::new(directory.path().to_owned(), DIMS);
    assert_eq!(read_everything(&reader).await, 43, "while the owner has it open");
    drop(reader);
    assert!(contents(directory.path()) == before, "the reader wrote something");
    drop(owner);
    let before = contents(directory.path());
    let readers = (0..8).map(|_| {
        let directory = directory.path().to_owned();
        tokio::spawn(async move { read_everything(&QdrantEdgeReader::new(directory, DIMS)).await })
    });
    for reader in readers.collect::<Vec<_>>() {
        assert_eq!(reader.await.unwrap(), 43, "after the owner has closed it");
    }
    assert!(contents(directory.path()) == before, "a reader wrote something");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reader_of_a_directory_that_is_not_there_finds_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let shard = directory.path().join("vectors");
    let reader = QdrantEdgeReader::new(shard.clone(), DIMS);
    assert_eq!(read_everything(&reader).await, 0);
    assert!(!shard.exists());
    let owner = QdrantEdgeVectors::open(&shard, DIMS).unwrap();
    owner.upsert(vec![plain("doc", 0, EAST)]).await.unwrap();
    assert_eq!(read_everything(&reader).await, 1, "it sees what comes later");
    assert!(reader.upsert(Vec::new()).await.is_err() && reader.delete(Vec::new()).await.is_err());
}

/// What was answered is there, however the owner goes on writing meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reader_keeps_up_with_a_busy_owner() {
    let directory = tempfile::tempdir().unwrap();
    let owner = Arc::new(QdrantEdgeVectors::open(directory.path(), DIMS).unwrap());
    let answered = Arc::new(std::sync::Mutex::new(Vec::new()));
    let (writing, known) = (owner.clone(), answered.clone());
    let writer = tokio::spawn(async move {
        for number in 0..150 {
            let points =
                [plain(&format!("doc {number}"), 0, EAST), plain(&format!("gone {number}"), 0, EAST)];
            let (stays, goes) = (points[0].id, points[1].id);
            writing.upsert(points.to_vec()).await.unwrap();
            writing.delete(vec![goes]).await.unwrap();
            known.lock().unwrap().push(stays);
        }
    });
    let reader = QdrantEdgeReader::new(directory.path().to_owned(), DIMS);
    loop {
        let done = writer.is_finished();
        let asked = answered.lock().unwrap().clone();
        // An owner that never rests may move what is being mirrored, again and again. Then the reader says so,
        // and an answer goes without vectors; it never finds less than it says.
        match reader.stored(&asked).await {
            Ok(found) => assert_eq!(found.len(), asked.len()),
            Err(fault) => assert!(matches!(fault, Fault::Transient(_)), "{fault}"),
        }
        if done {
            break;
        }
    }
    writer.await.unwrap();
    assert_eq!(read_everything(&reader).await, 150);
}
