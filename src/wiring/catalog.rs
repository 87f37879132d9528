//! Collections, opened when they are first used.
//!
//! A generation lives in `collections/TENANT/COLLECTION/GENERATION/{lexical,vectors}` under the
//! data directory, its vectors on a Qdrant server if one is configured. Models are shared between collections with the same embedder. A collection
//! whose stored epoch is not what this program would compute is refused: its vectors were made
//! by another model or chunker, and mixing the two would be silent.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::{Mutex, RwLock};

use super::embedding::Models;
use super::{engines, lacking};
use crate::adapters::tantivy::{TantivyIndex, TantivyReader};
use crate::config::{Config, VectorsConfig};
use crate::domain::ids::{CollectionKey, Epoch};
use crate::domain::pipeline::{EmbedderDefinition, Pipeline};
use crate::fault::{Fault, Refusal, reason};
use crate::ingest::chunk::CHUNKER_VERSION;
use crate::ports::catalog::{Catalog, ChunkSizes, OpenCollection, Parts};
use crate::ports::embedder::Embedder;
use crate::ports::ledger::{CollectionRecord, Ledger};
use crate::ports::lexical::{Analysis, Lexical};

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
    open: RwLock<HashMap<CollectionKey, Arc<OpenCollection>>>,
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
        let epoch = {
            let model = self.model(&pipeline.embedder).await?;
            epoch(pipeline, &*model)?
        };
        self.ledger.ensure_collection(key, &pipeline.to_toml()?, epoch).await?;
        Ok(())
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

    async fn open_stores(
        &self,
        record: CollectionRecord,
        pipeline: &Pipeline,
        embedder: Arc<dyn Embedder>,
    ) -> Result<OpenCollection, Fault> {
        let sizes = sizes(pipeline, &*embedder).map_err(refused)?;
        let analysis = Analysis {
            language: pipeline.analyzer.language.name().to_owned(),
            stem: pipeline.analyzer.stem,
            stop_words: pipeline.analyzer.stop_words,
        };
        let directory = self
            .root
            .join(record.key.tenant.as_str())
            .join(record.key.collection.as_str())
            .join(record.generation.to_string());
        let vectors =
            engines::vectors(self.server.as_ref(), &self.prefix, &record, &directory, embedder.info().dims)
                .await?;
        let mode = self.mode;
        let lexical = tokio::task::spawn_blocking(move || index(mode, &directory.join("lexical"), &analysis))
            .await
            .map_err(Fault::transient)??;
        let parts = Parts { record, sizes, embedder, vectors, lexical };
        Ok(OpenCollection::new(parts, mode != IndexMode::Followed))
    }
}

#[async_trait]
impl Catalog for StoreCatalog {
    async fn open(&self, key: &CollectionKey) -> Result<Option<Arc<OpenCollection>>, Fault> {
        if let Some(open) = self.open.read().await.get(key) {
            return Ok(Some(open.clone()));
        }
        let mut models = self.models.lock().await;
        if let Some(open) = self.open.read().await.get(key) {
            return Ok(Some(open.clone()));
        }
        let Some(record) = self.ledger.collection(key).await? else {
            return Ok(None);
        };
        let pipeline = Pipeline::from_toml(&record.pipeline).map_err(refused)?;
        let embedder = self.known(&mut models, &pipeline.embedder).await.map_err(unusable)?;
        if epoch(&pipeline, &*embedder).map_err(refused)? != record.epoch {
            return Err(Fault::permanent(
                reason::EPOCH_MISMATCH,
                format!(
                    "collection '{}' was built by another model, chunker or schema than this program's; \
                     ingest its documents into a new collection",
                    key.collection
                ),
            ));
        }
        let open = Arc::new(self.open_stores(record, &pipeline, embedder).await?);
        if self.mode == IndexMode::Written {
            lacking::note(&*self.ledger, &open).await?;
        }
        self.open.write().await.insert(key.clone(), open.clone());
        Ok(Some(open))
    }

    async fn opened(&self) -> Vec<Arc<OpenCollection>> {
        self.open.read().await.values().cloned().collect()
    }
}

fn index(mode: IndexMode, directory: &Path, analysis: &Analysis) -> Result<Option<Arc<dyn Lexical>>, Fault> {
    Ok(match mode {
        IndexMode::Absent => None,
        IndexMode::Written | IndexMode::Followed => Some(Arc::new(TantivyIndex::open(directory, analysis)?)),
        IndexMode::ReadOnly => Some(Arc::new(TantivyReader::open(directory, analysis)?)),
    })
}

fn epoch(pipeline: &Pipeline, embedder: &dyn Embedder) -> Result<Epoch, Refusal> {
    let info = embedder.info();
    pipeline.epoch(&info.model, info.dims, info.tokens_max, CHUNKER_VERSION)
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
