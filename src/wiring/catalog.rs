//! Collections, opened when they are first used.
//!
//! A generation lives in `collections/TENANT/COLLECTION/GENERATION/{lexical,vectors}` under the
//! data directory, its vectors on a Qdrant server if one is configured. Models are shared between
//! collections with the same embedder. A generation whose stored epoch is not what this program would
//! compute is served as it is and takes nothing in: it was built by another model or chunker, and mixing
//! the two would be silent. Its vectors are searched only if the model is the same.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::{Mutex, RwLock};

use super::embedding::EmbedderFactory;
use super::{backends, completeness_check};
use crate::config::{ContextureConfig, VectorsConfig};
use contexture_adapters::tantivy::{TantivyIndex, TantivyReader};
use contexture_core::domain::filter::MetadataFilter;
use contexture_core::domain::ids::{ChunkId, CollectionKey, DocumentId, Epoch, GenerationNumber, Version};
use contexture_core::domain::pipeline::{EmbedderDefinition, Pipeline};
use contexture_core::fault::{Fault, Refusal};
use contexture_core::ingest::chunk::CHUNKER_VERSION;
use contexture_core::ports::catalog::{
    CollectionCatalog, CollectionParts, EmbedderChunkSizes, OpenCollection,
};
use contexture_core::ports::embedder::Embedder;
use contexture_core::ports::generations::GenerationState;
use contexture_core::ports::ledger::{CollectionRecord, Ledger};
use contexture_core::ports::lexical::{AnalyzerSettings, LexicalIndex};
use contexture_core::ports::vectors::{DenseHit, StoredVectorPoint, VectorPoint, VectorStore};

/// How this process has lexical indexes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum IndexAccessMode {
    /// Not at all.
    Absent,
    /// It writes them.
    Written,
    /// It writes them, after what other processes wrote to the ledger's log.
    Followed,
    /// It reads what another process on this machine writes.
    ReadOnly,
}

pub(super) struct CollectionStoreCatalog {
    ledger: Arc<dyn Ledger>,
    root: PathBuf,
    server: Option<VectorsConfig>,
    prefix: String,
    mode: IndexAccessMode,
    open: RwLock<OpenGenerations>,
    makers: Arc<EmbedderFactory>,
    /// Held while a collection is opened, so that each is opened once.
    models: Mutex<Vec<(EmbedderDefinition, Arc<dyn Embedder>)>>,
}

impl CollectionStoreCatalog {
    pub(super) fn new(
        ledger: Arc<dyn Ledger>,
        config: &ContextureConfig,
        mode: IndexAccessMode,
        makers: Arc<EmbedderFactory>,
    ) -> Self {
        Self {
            ledger,
            root: config.data_dir.join("collections"),
            server: config.backends.vectors.clone(),
            prefix: backends::vectors_prefix(&config.backends),
            mode,
            open: RwLock::default(),
            makers,
            models: Mutex::default(),
        }
    }

    /// Creates a collection with this pipeline, unless it is there.
    pub(super) async fn found(&self, key: &CollectionKey, pipeline: &Pipeline) -> Result<(), Refusal> {
        let epoch = self.epoch_of(pipeline).await?;
        self.ledger.ensure_collection(key, &pipeline.to_toml()?, epoch).await?;
        Ok(())
    }

    /// The epoch that this program builds under a pipeline.
    pub(super) async fn epoch_of(&self, pipeline: &Pipeline) -> Result<Epoch, Refusal> {
        let model = self.model(&pipeline.embedder).await?;
        current_epoch(pipeline, &*model)
    }

    /// The model of a definition, loaded once.
    pub(super) async fn model(&self, definition: &EmbedderDefinition) -> Result<Arc<dyn Embedder>, Refusal> {
        self.known(&mut *self.models.lock().await, definition).await
    }

    async fn known(
        &self,
        models: &mut Vec<(EmbedderDefinition, Arc<dyn Embedder>)>,
        definition: &EmbedderDefinition,
    ) -> Result<Arc<dyn Embedder>, Refusal> {
        if let Some((_, model)) = models.iter().find(|(known, _)| known == definition) {
            return Ok(model.clone());
        }
        let model = self.makers.open(definition).await?;
        models.push((definition.clone(), model.clone()));
        Ok(model)
    }

    /// Where this machine keeps a generation.
    pub(super) fn directory(&self, home: &CollectionRecord) -> PathBuf {
        let of_tenant = self.root.join(home.key.tenant.as_str());
        of_tenant.join(home.key.collection.as_str()).join(home.generation.to_string())
    }

    async fn open_stores(
        &self,
        record: CollectionRecord,
        pipeline: &Pipeline,
        embedder: Arc<dyn Embedder>,
        built: EpochCompatibility,
    ) -> Result<OpenCollection, Fault> {
        let sizes = chunk_sizes(pipeline, &*embedder).map_err(permanent_fault)?;
        let analysis = AnalyzerSettings {
            language: pipeline.analyzer.language.name().to_owned(),
            stem: pipeline.analyzer.stem,
            stop_words: pipeline.analyzer.stop_words,
        };
        let directory = self.directory(&record);
        let why = outdated_reason(built, &record);
        let vectors: Arc<dyn VectorStore> =
            if let (EpochCompatibility::ByAnotherModel, Some(why)) = (built, &why) {
                Arc::new(UnavailableVectors(why.clone()))
            } else {
                let dims = embedder.info().dims;
                backends::open_vectors(self.server.as_ref(), &self.prefix, &record, &directory, dims).await?
            };
        let mode = self.mode;
        let lexical = tokio::task::spawn_blocking(move || {
            open_lexical_index(mode, &directory.join("lexical"), &analysis)
        })
        .await
        .map_err(Fault::transient)??;
        let parts = CollectionParts { record, sizes, embedder, vectors, lexical };
        Ok(OpenCollection::new(parts, mode != IndexAccessMode::Followed).outdated(why))
    }
}

/// What is open in this process.
#[derive(Default)]
struct OpenGenerations {
    generations: HashMap<(CollectionKey, GenerationNumber), Arc<OpenCollection>>,
    serving: HashMap<CollectionKey, Arc<OpenCollection>>,
}

impl CollectionStoreCatalog {
    async fn known_generation(&self, home: &CollectionRecord) -> Option<Arc<OpenCollection>> {
        self.open.read().await.generations.get(&(home.key.clone(), home.generation)).cloned()
    }

    /// Which generation serves here at first: the active one, unless its index here does not hold
    /// yet what it held when it was activated. Then the one that served before, as long as it is
    /// kept: it holds all that was visible.
    async fn first_to_serve(&self, key: &CollectionKey) -> Result<Option<Arc<OpenCollection>>, Fault> {
        let records = self.ledger.generations(Some(key)).await?;
        let Some(active) = records.iter().find(|record| record.state == GenerationState::Active) else {
            return Ok(None);
        };
        let open = self.open_generation(&active.home).await?;
        let is_behind = matches!(self.mode, IndexAccessMode::Written | IndexAccessMode::ReadOnly)
            && open.lexical().is_ok_and(|lexical| lexical.snapshot().position() < active.activated_at);
        let kept = records.iter().filter(|record| record.state == GenerationState::Kept);
        match kept.max_by_key(|record| record.activated_ms) {
            Some(kept) if is_behind => self.open_generation(&kept.home).await.map(Some),
            _ => Ok(Some(open)),
        }
    }
}

#[async_trait]
impl CollectionCatalog for CollectionStoreCatalog {
    async fn open(&self, key: &CollectionKey) -> Result<Option<Arc<OpenCollection>>, Fault> {
        if let Some(open) = self.open.read().await.serving.get(key) {
            return Ok(Some(open.clone()));
        }
        let Some(open) = self.first_to_serve(key).await? else { return Ok(None) };
        if self.mode == IndexAccessMode::Written && open.takes_in().is_ok() {
            completeness_check::check_completeness(&*self.ledger, &open).await?;
        }
        // Whoever looked at the same time found the same, or later.
        Ok(Some(self.open.write().await.serving.entry(key.clone()).or_insert(open).clone()))
    }

    async fn open_generation(&self, home: &CollectionRecord) -> Result<Arc<OpenCollection>, Fault> {
        if let Some(open) = self.known_generation(home).await {
            return Ok(open);
        }
        let mut models = self.models.lock().await;
        if let Some(open) = self.known_generation(home).await {
            return Ok(open);
        }
        let pipeline = Pipeline::from_toml(&home.pipeline).map_err(permanent_fault)?;
        let embedder = self.known(&mut models, &pipeline.embedder).await.map_err(embedder_fault)?;
        let built = check_epoch(&pipeline, &*embedder, home).map_err(permanent_fault)?;
        let open = self.open_stores(home.clone(), &pipeline, embedder, built).await?;
        let open = Arc::new(open);
        let place = (home.key.clone(), home.generation);
        self.open.write().await.generations.insert(place, open.clone());
        Ok(open)
    }

    async fn serve(&self, open: &Arc<OpenCollection>) {
        self.open.write().await.serving.insert(open.record.key.clone(), open.clone());
    }

    async fn opened(&self) -> Vec<Arc<OpenCollection>> {
        self.open.read().await.serving.values().cloned().collect()
    }

    async fn remove(&self, home: &CollectionRecord, shared: bool) -> Result<(), Fault> {
        let closed = {
            let mut opened = self.open.write().await;
            let serves =
                opened.serving.get(&home.key).is_some_and(|open| open.record.generation == home.generation);
            match (serves, self.mode) {
                (false, _) => {}
                // Nothing here would ever tell it that another serves.
                (true, IndexAccessMode::Absent) => drop(opened.serving.remove(&home.key)),
                (true, _) if shared => {
                    return Err(Fault::transient("it serves here until the active one can"));
                }
                (true, _) => return Ok(()),
            }
            opened.generations.remove(&(home.key.clone(), home.generation))
        };
        if shared {
            backends::remove_vectors(self.server.as_ref(), &self.prefix, home).await?;
        }
        let directory = self.directory(home);
        let is_writer = matches!(self.mode, IndexAccessMode::Written | IndexAccessMode::Followed);
        let remove = move || {
            // Closing waits for threads.
            drop(closed);
            match std::fs::remove_dir_all(&directory) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Fault::transient(format!(
                    "the directory of a dropped generation cannot be removed: {error}"
                ))),
                _ => Ok(()),
            }
        };
        if is_writer { tokio::task::spawn_blocking(remove).await.map_err(Fault::transient)? } else { Ok(()) }
    }
}

fn open_lexical_index(
    mode: IndexAccessMode,
    directory: &Path,
    analysis: &AnalyzerSettings,
) -> Result<Option<Arc<dyn LexicalIndex>>, Fault> {
    Ok(match mode {
        IndexAccessMode::Absent => None,
        IndexAccessMode::Written | IndexAccessMode::Followed => {
            Some(Arc::new(TantivyIndex::open(directory, analysis)?))
        }
        IndexAccessMode::ReadOnly => Some(Arc::new(TantivyReader::open(directory, analysis)?)),
    })
}

/// Who built a generation, as far as its epoch tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum EpochCompatibility {
    /// A program like this one.
    Alike,
    /// One with the same model and an older chunker.
    ByAnotherChunker,
    /// One with another model, or schema: this program's vectors mean nothing beside its.
    ByAnotherModel,
}

fn check_epoch(
    pipeline: &Pipeline,
    embedder: &dyn Embedder,
    home: &CollectionRecord,
) -> Result<EpochCompatibility, Refusal> {
    if current_epoch(pipeline, embedder)? == home.epoch {
        return Ok(EpochCompatibility::Alike);
    }
    for version in (0..CHUNKER_VERSION).rev() {
        if epoch_with_chunker(pipeline, embedder, version)? == home.epoch {
            return Ok(EpochCompatibility::ByAnotherChunker);
        }
    }
    Ok(EpochCompatibility::ByAnotherModel)
}

/// What is wrong with a generation that this program would build otherwise, and how to mend it.
fn outdated_reason(built: EpochCompatibility, home: &CollectionRecord) -> Option<String> {
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

fn current_epoch(pipeline: &Pipeline, embedder: &dyn Embedder) -> Result<Epoch, Refusal> {
    epoch_with_chunker(pipeline, embedder, CHUNKER_VERSION)
}

fn epoch_with_chunker(pipeline: &Pipeline, embedder: &dyn Embedder, version: u32) -> Result<Epoch, Refusal> {
    let info = embedder.info();
    pipeline.epoch(&info.model, info.dims, info.tokens_max, version)
}

/// In place of vectors that no model here can be asked for: queries go without, and say so.
struct UnavailableVectors(String);

impl UnavailableVectors {
    fn fault<T>(&self) -> Result<T, Fault> {
        Err(Fault::Unauthorized(self.0.clone()))
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

pub(super) fn chunk_sizes(
    pipeline: &Pipeline,
    embedder: &dyn Embedder,
) -> Result<EmbedderChunkSizes, Refusal> {
    let info = embedder.info();
    let tokens = pipeline.chunk_tokens(info.tokens_max)?;
    Ok(EmbedderChunkSizes {
        tokens_max: tokens.max,
        tokens_target: tokens.target,
        tokens_reserved: info.tokens_reserved,
    })
}

/// What this process's configuration lacks is no fault of a document: another may have it.
fn embedder_fault(refusal: Refusal) -> Fault {
    match refusal.code {
        "unknown_provider" | "provider_unusable" | "unknown_tokenizer" => {
            Fault::Unauthorized(refusal.message)
        }
        _ => permanent_fault(refusal),
    }
}

fn permanent_fault(refusal: Refusal) -> Fault {
    Fault::permanent(refusal.code, refusal.message)
}

#[cfg(test)]
mod tests;
