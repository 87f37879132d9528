//! Generations that another program built: what their epoch tells, and what is still possible with them.
//!
//! An epoch is a hash over pipeline, model, dimensions and chunker version. Equal epochs mean comparable
//! vectors and equal chunks.

use async_trait::async_trait;

use contexture_core::domain::filter::MetadataFilter;
use contexture_core::domain::ids::{ChunkId, DocumentId, Epoch, Version};
use contexture_core::domain::pipeline::Pipeline;
use contexture_core::fault::{Fault, Refusal};
use contexture_core::ingest::chunk::CHUNKER_VERSION;
use contexture_core::ports::catalog::EmbedderChunkSizes;
use contexture_core::ports::embedder::Embedder;
use contexture_core::ports::ledger::CollectionRecord;
use contexture_core::ports::vectors::{DenseHit, StoredVectorPoint, VectorPoint, VectorStore};

/// Who built a generation, as far as its epoch tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EpochCompatibility {
    /// A program that would build the same.
    Alike,
    /// A program with the same model and an older chunker.
    ByAnotherChunker,
    /// A program with another model or schema. The vectors of this one are not comparable with its.
    ByAnotherModel,
}

/// Finds out who built a generation. An epoch is a hash, so it can only be compared with computed ones.
pub(super) fn check_epoch(
    pipeline: &Pipeline,
    embedder: &dyn Embedder,
    home: &CollectionRecord,
) -> Result<EpochCompatibility, Refusal> {
    if current_epoch(pipeline, embedder)? == home.epoch {
        return Ok(EpochCompatibility::Alike);
    }
    // The stored hash does not reveal its chunker version, so every older version is tried.
    for version in (0..CHUNKER_VERSION).rev() {
        if epoch_with_chunker(pipeline, embedder, version)? == home.epoch {
            return Ok(EpochCompatibility::ByAnotherChunker);
        }
    }
    Ok(EpochCompatibility::ByAnotherModel)
}

/// What is wrong with a generation that this program would build differently, and how to repair it.
pub(super) fn outdated_reason(built: EpochCompatibility, home: &CollectionRecord) -> Option<String> {
    let by = match built {
        EpochCompatibility::Alike => return None,
        EpochCompatibility::ByAnotherChunker => "an older chunker",
        EpochCompatibility::ByAnotherModel => "another model or schema",
    };
    let name = &home.key.collection;
    let why = format!(
        "generation {} of '{name}' was built by {by} than this program's: it is served as it is and takes \
         nothing in until 'contexture reindex start --collection {name}' has built it anew",
        home.generation
    );
    tracing::warn!(tenant = %home.key.tenant, collection = %name, why, "a generation is outdated");
    Some(why)
}

/// The epoch that this program builds under a pipeline.
pub(super) fn current_epoch(pipeline: &Pipeline, embedder: &dyn Embedder) -> Result<Epoch, Refusal> {
    epoch_with_chunker(pipeline, embedder, CHUNKER_VERSION)
}

fn epoch_with_chunker(pipeline: &Pipeline, embedder: &dyn Embedder, version: u32) -> Result<Epoch, Refusal> {
    let info = embedder.info();
    pipeline.epoch(&info.model, info.dims, info.tokens_max, version)
}

/// Stands in for vectors that no model here fits. Every call fails, so queries degrade and report it.
pub(super) struct UnavailableVectors(pub(super) String);

impl UnavailableVectors {
    fn fault<T>(&self) -> Result<T, Fault> {
        Err(Fault::unauthorized(self.0.clone()))
    }
}

#[async_trait]
impl VectorStore for UnavailableVectors {
    async fn upsert(&self, _: Vec<VectorPoint>) -> Result<(), Fault> {
        self.fault()
    }

    async fn delete(&self, _: Vec<ChunkId>) -> Result<(), Fault> {
        self.fault()
    }

    async fn search(
        &self,
        _: Vec<f32>,
        _: Option<&MetadataFilter>,
        _: &[String],
        _: usize,
    ) -> Result<Vec<DenseHit>, Fault> {
        self.fault()
    }

    async fn ids_of(&self, _: &DocumentId) -> Result<Vec<(ChunkId, Version)>, Fault> {
        self.fault()
    }

    async fn count(&self) -> Result<u64, Fault> {
        self.fault()
    }

    async fn page(&self, _: Option<ChunkId>, _: usize) -> Result<Vec<StoredVectorPoint>, Fault> {
        self.fault()
    }

    async fn stored(&self, _: &[ChunkId]) -> Result<Vec<StoredVectorPoint>, Fault> {
        self.fault()
    }
}

/// The chunk limits of a pipeline under its model.
pub(in crate::wiring) fn chunk_sizes(
    pipeline: &Pipeline,
    embedder: &dyn Embedder,
) -> Result<EmbedderChunkSizes, Refusal> {
    let info = embedder.info();
    let tokens = pipeline.chunk_tokens(info.tokens_max)?;
    Ok(EmbedderChunkSizes {
        chunker: pipeline.chunker.kind,
        tokens_max: tokens.max,
        tokens_target: tokens.target,
        tokens_reserved: info.tokens_reserved,
    })
}
