//! The vectors of a generation that another process may write, read-only.
//!
//! It takes no lock and writes nothing into their directory. Every call sees what was flushed before it:
//! the shard is mirrored again where it has changed.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use qdrant_edge::EdgeShard;

use super::shard_mirror::{CONFIG_FILE, ShardMirror, ShardStamp};
use super::{qdrant_payload, shard_reads};
use contexture_core::domain::filter::MetadataFilter;
use contexture_core::domain::ids::{ChunkId, DocumentId, Version};
use contexture_core::fault::Fault;
use contexture_core::ports::vectors::{DenseHit, StoredVectorPoint, VectorPoint, VectorStore};

/// Reads a shard of another process.
pub struct QdrantEdgeReader {
    source: Arc<MirroredShard>,
    dims: usize,
}

struct MirroredShard {
    directory: PathBuf,
    newest: Mutex<Option<Arc<ShardMirror>>>,
}

impl QdrantEdgeReader {
    /// Reads the shard in a directory, which need not exist yet. Opens it with the first call.
    pub fn new(directory: PathBuf, dims: usize) -> Self {
        Self { source: Arc::new(MirroredShard { directory, newest: Mutex::default() }), dims }
    }

    /// Runs a read on a blocking thread; the default where there is no shard yet.
    async fn read<T: Default + Send + 'static>(
        &self,
        work: impl FnOnce(&EdgeShard) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Fault> {
        let source = self.source.clone();
        let read = move || match source.mirror()? {
            Some(mirror) => work(&mirror.shard),
            None => Ok(T::default()),
        };
        tokio::task::spawn_blocking(read)
            .await
            .map_err(|error| Fault::transient_error("vectors: reading", error))?
    }
}

impl MirroredShard {
    /// A mirror of the shard as it is now.
    fn mirror(&self) -> Result<Option<Arc<ShardMirror>>, Fault> {
        // Held while a mirror is made: a second caller needs the same one.
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.directory.join(CONFIG_FILE).exists() {
            return Ok(None);
        }
        if let Some(known) = &*newest
            && known.stamp == ShardStamp::read(&self.directory)?
        {
            return Ok(Some(known.clone()));
        }
        // The old one goes first, so that two never take space. Who still reads it keeps it.
        *newest = None;
        *newest = ShardMirror::open(&self.directory)?.map(Arc::new);
        Ok(newest.clone())
    }
}

#[async_trait]
impl VectorStore for QdrantEdgeReader {
    async fn upsert(&self, _points: Vec<VectorPoint>) -> Result<(), Fault> {
        Err(read_only_fault())
    }

    async fn delete(&self, _ids: Vec<ChunkId>) -> Result<(), Fault> {
        Err(read_only_fault())
    }

    async fn search(
        &self,
        vector: Vec<f32>,
        filter: Option<&MetadataFilter>,
        readers: &[String],
        top_k: usize,
    ) -> Result<Vec<DenseHit>, Fault> {
        qdrant_payload::check_dimensions(&vector, self.dims)?;
        let condition = qdrant_payload::readable_condition(filter, readers);
        self.read(move |shard| shard_reads::search(shard, vector, &condition, top_k)).await
    }

    async fn ids_of(&self, document_id: &DocumentId) -> Result<Vec<(ChunkId, Version)>, Fault> {
        let document_id = document_id.clone();
        self.read(move |shard| shard_reads::ids_of(shard, &document_id)).await
    }

    async fn count(&self) -> Result<u64, Fault> {
        self.read(shard_reads::count).await
    }

    async fn page(&self, after: Option<ChunkId>, limit: usize) -> Result<Vec<StoredVectorPoint>, Fault> {
        self.read(move |shard| shard_reads::page(shard, after, limit)).await
    }

    async fn stored(&self, ids: &[ChunkId]) -> Result<Vec<StoredVectorPoint>, Fault> {
        let ids = ids.to_vec();
        self.read(move |shard| shard_reads::stored(shard, &ids)).await
    }
}

fn read_only_fault() -> Fault {
    Fault::permanent("vectors_read_only", "this process reads the vectors that another one writes")
}
