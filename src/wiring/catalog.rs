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

use super::embedding::Models;
use super::{engines, lacking};
use crate::adapters::tantivy::{TantivyIndex, TantivyReader};
use crate::config::{Config, VectorsConfig};
use crate::domain::filter::Filter;
use crate::domain::ids::{ChunkId, CollectionKey, DocumentId, Epoch, Generation, Version};
use crate::domain::pipeline::{EmbedderDefinition, Pipeline};
use crate::fault::{Fault, Refusal};
use crate::ingest::chunk::CHUNKER_VERSION;
use crate::ports::catalog::{Catalog, ChunkSizes, OpenCollection, Parts};
use crate::ports::embedder::Embedder;
use crate::ports::generations::GenerationState;
use crate::ports::ledger::{CollectionRecord, Ledger};
use crate::ports::lexical::{Analysis, Lexical};
use crate::ports::vectors::{DenseHit, Point, StoredPoint, Vectors};

/// How this process has lexical indexes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum IndexMode {
    /// Not at all.
    Absent,
    /// It writes them.
    Written,
    /// It writes them, after what other processes wrote to the ledger's log.
    Followed,
    /// It reads what another process on this machine writes.
    ReadOnly,
}

pub(super) struct StoreCatalog {
    ledger: Arc<dyn Ledger>,
    root: PathBuf,
    server: Option<VectorsConfig>,
    prefix: String,
    mode: IndexMode,
    open: RwLock<Opened>,
    makers: Arc<Models>,
    /// Held while a collection is opened, so that each is opened once.
    models: Mutex<Vec<(EmbedderDefinition, Arc<dyn Embedder>)>>,
}

impl StoreCatalog {
    pub(super) fn new(
        ledger: Arc<dyn Ledger>,
        config: &Config,
        mode: IndexMode,
        makers: Arc<Models>,
    ) -> Self {
        Self {
            ledger,
            root: config.data_dir.join("collections"),
            server: config.backends.vectors.clone(),
            prefix: engines::vectors_prefix(&config.backends),
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
        epoch(pipeline, &*model)
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
        built: Built,
    ) -> Result<OpenCollection, Fault> {
        let sizes = sizes(pipeline, &*embedder).map_err(refused)?;
        let analysis = Analysis {
            language: pipeline.analyzer.language.name().to_owned(),
            stem: pipeline.analyzer.stem,
            stop_words: pipeline.analyzer.stop_words,
        };
        let directory = self.directory(&record);
        let why = outdated(built, &record);
        let vectors: Arc<dyn Vectors> = if let (Built::ByAnotherModel, Some(why)) = (built, &why) {
            Arc::new(NoVectors(why.clone()))
        } else {
            let dims = embedder.info().dims;
            engines::vectors(self.server.as_ref(), &self.prefix, &record, &directory, dims).await?
        };
        let mode = self.mode;
        let lexical = tokio::task::spawn_blocking(move || index(mode, &directory.join("lexical"), &analysis))
            .await
            .map_err(Fault::transient)??;
        let parts = Parts { record, sizes, embedder, vectors, lexical };
        Ok(OpenCollection::new(parts, mode != IndexMode::Followed).outdated(why))
    }
}

/// What is open in this process.
#[derive(Default)]
struct Opened {
    generations: HashMap<(CollectionKey, Generation), Arc<OpenCollection>>,
    serving: HashMap<CollectionKey, Arc<OpenCollection>>,
}

impl StoreCatalog {
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
        let is_behind = matches!(self.mode, IndexMode::Written | IndexMode::ReadOnly)
            && open.lexical().is_ok_and(|lexical| lexical.snapshot().position() < active.activated_at);
        let kept = records.iter().filter(|record| record.state == GenerationState::Kept);
        match kept.max_by_key(|record| record.activated_ms) {
            Some(kept) if is_behind => self.open_generation(&kept.home).await.map(Some),
            _ => Ok(Some(open)),
        }
    }
}

#[async_trait]
impl Catalog for StoreCatalog {
    async fn open(&self, key: &CollectionKey) -> Result<Option<Arc<OpenCollection>>, Fault> {
        if let Some(open) = self.open.read().await.serving.get(key) {
            return Ok(Some(open.clone()));
        }
        let Some(open) = self.first_to_serve(key).await? else { return Ok(None) };
        if self.mode == IndexMode::Written && open.takes_in().is_ok() {
            lacking::note(&*self.ledger, &open).await?;
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
        let pipeline = Pipeline::from_toml(&home.pipeline).map_err(refused)?;
        let embedder = self.known(&mut models, &pipeline.embedder).await.map_err(unusable)?;
        let built = built(&pipeline, &*embedder, home).map_err(refused)?;
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
                (true, IndexMode::Absent) => drop(opened.serving.remove(&home.key)),
                (true, _) if shared => {
                    return Err(Fault::transient("it serves here until the active one can"));
                }
                (true, _) => return Ok(()),
            }
            opened.generations.remove(&(home.key.clone(), home.generation))
        };
        if shared {
            engines::remove_vectors(self.server.as_ref(), &self.prefix, home).await?;
        }
        let directory = self.directory(home);
        let is_writer = matches!(self.mode, IndexMode::Written | IndexMode::Followed);
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

fn index(mode: IndexMode, directory: &Path, analysis: &Analysis) -> Result<Option<Arc<dyn Lexical>>, Fault> {
    Ok(match mode {
        IndexMode::Absent => None,
        IndexMode::Written | IndexMode::Followed => Some(Arc::new(TantivyIndex::open(directory, analysis)?)),
        IndexMode::ReadOnly => Some(Arc::new(TantivyReader::open(directory, analysis)?)),
    })
}

/// Who built a generation, as far as its epoch tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Built {
    /// A program like this one.
    Alike,
    /// One with the same model and an older chunker.
    ByAnotherChunker,
    /// One with another model, or schema: this program's vectors mean nothing beside its.
    ByAnotherModel,
}

fn built(pipeline: &Pipeline, embedder: &dyn Embedder, home: &CollectionRecord) -> Result<Built, Refusal> {
    if epoch(pipeline, embedder)? == home.epoch {
        return Ok(Built::Alike);
    }
    for version in (0..CHUNKER_VERSION).rev() {
        if epoch_of_chunker(pipeline, embedder, version)? == home.epoch {
            return Ok(Built::ByAnotherChunker);
        }
    }
    Ok(Built::ByAnotherModel)
}

/// What is wrong with a generation that this program would build otherwise, and how to mend it.
fn outdated(built: Built, home: &CollectionRecord) -> Option<String> {
    let by = match built {
        Built::Alike => return None,
        Built::ByAnotherChunker => "an older chunker",
        Built::ByAnotherModel => "another model or schema",
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

fn epoch(pipeline: &Pipeline, embedder: &dyn Embedder) -> Result<Epoch, Refusal> {
    epoch_of_chunker(pipeline, embedder, CHUNKER_VERSION)
}

fn epoch_of_chunker(pipeline: &Pipeline, embedder: &dyn Embedder, version: u32) -> Result<Epoch, Refusal> {
    let info = embedder.info();
    pipeline.epoch(&info.model, info.dims, info.tokens_max, version)
}

/// In place of vectors that no model here can be asked for: queries go without, and say so.
struct NoVectors(String);

impl NoVectors {
    fn fault<T>(&self) -> Result<T, Fault> {
        Err(Fault::Unauthorized(self.0.clone()))
    }
}

#[async_trait]
impl Vectors for NoVectors {
    async fn upsert(&self, _: Vec<Point>) -> Result<(), Fault> {
        self.fault()
    }

    async fn delete(&self, _: Vec<ChunkId>) -> Result<(), Fault> {
        self.fault()
    }

    async fn search(
        &self,
        _: Vec<f32>,
        _: Option<&Filter>,
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

    async fn page(&self, _: Option<ChunkId>, _: usize) -> Result<Vec<StoredPoint>, Fault> {
        self.fault()
    }

    async fn stored(&self, _: &[ChunkId]) -> Result<Vec<StoredPoint>, Fault> {
        self.fault()
    }
}

pub(super) fn sizes(pipeline: &Pipeline, embedder: &dyn Embedder) -> Result<ChunkSizes, Refusal> {
    let info = embedder.info();
    let tokens = pipeline.chunk_tokens(info.tokens_max)?;
    Ok(ChunkSizes {
        tokens_max: tokens.max,
        tokens_target: tokens.target,
        tokens_reserved: info.tokens_reserved,
    })
}

/// What this process's configuration lacks is no fault of a document: another may have it.
fn unusable(refusal: Refusal) -> Fault {
    match refusal.code {
        "unknown_provider" | "provider_unusable" | "unknown_tokenizer" => {
            Fault::Unauthorized(refusal.message)
        }
        _ => refused(refusal),
    }
}

fn refused(refusal: Refusal) -> Fault {
    Fault::permanent(refusal.code, refusal.message)
}

#[cfg(test)]
mod tests;
