//! Collections, opened at first use.
//!
//! A generation lives in `collections/TENANT/COLLECTION/GENERATION/{lexical,vectors}` under the
//! data directory; its vectors live on a Qdrant server if one is configured. Collections with the same
//! embedder share one model.
//!
//! A generation whose stored epoch differs from what this program computes was built by another model or
//! chunker. It is served as it is and accepts no documents, because nothing would reveal a mix of the two.
//! Its vectors are searched only if the model is the same.

pub(super) mod epoch;
mod removal;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::{Mutex, RwLock};

use super::backends;
use super::embedding::EmbedderFactory;
use crate::config::{ContextureConfig, VectorsConfig};
use contexture_adapters::tantivy::{TantivyIndex, TantivyReader};
use contexture_core::domain::ids::{CollectionKey, Epoch, GenerationNumber};
use contexture_core::domain::pipeline::{EmbedderDefinition, Pipeline};
use contexture_core::fault::{Fault, Refusal, RefusalKind};
use contexture_core::ports::catalog::{CollectionCatalog, CollectionParts, OpenCollection};
use contexture_core::ports::disk_space::DiskSpace;
use contexture_core::ports::embedder::Embedder;
use contexture_core::ports::generations::GenerationState;
use contexture_core::ports::ledger::{CollectionRecord, Ledger};
use contexture_core::ports::lexical::{AnalyzerSettings, LexicalIndex};
use contexture_core::ports::vectors::VectorStore;
use epoch::{EpochCompatibility, UnavailableVectors, check_epoch, current_epoch, outdated_reason};

/// Attempts to count points without a commit in between. After that it is left to an audit.
const COUNTS_MAX: usize = 3;

/// How this process opens lexical indexes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum IndexAccessMode {
    /// Not at all.
    Absent,
    /// It writes them.
    Written,
    /// It writes them, and follows the log of the ledger, which other processes write as well.
    Followed,
    /// It reads indexes that another process on this machine writes.
    ReadOnly,
}

/// Opens collections with the stores and models of the configuration.
pub(super) struct CollectionStoreCatalog {
    ledger: Arc<dyn Ledger>,
    root: PathBuf,
    server: Option<VectorsConfig>,
    prefix: String,
    mode: IndexAccessMode,
    /// Whether the ledger is in the data directory. Then whoever writes it writes the indexes, too.
    embedded: bool,
    open: RwLock<OpenGenerations>,
    embedders: Arc<EmbedderFactory>,
    disk: Arc<dyn DiskSpace>,
    /// Loaded models. The lock is held while a generation is opened, so that each is opened once: an index
    /// has one writer, and a model takes much memory.
    models: Mutex<Vec<(EmbedderDefinition, Arc<dyn Embedder>)>>,
}

impl CollectionStoreCatalog {
    pub(super) fn new(
        ledger: Arc<dyn Ledger>,
        config: &ContextureConfig,
        mode: IndexAccessMode,
        embedders: Arc<EmbedderFactory>,
        disk: Arc<dyn DiskSpace>,
    ) -> Self {
        Self {
            ledger,
            root: config.data_dir.join("collections"),
            server: config.backends.vectors.clone(),
            prefix: backends::vectors_prefix(&config.backends),
            mode,
            embedded: config.backends.ledger.is_none(),
            open: RwLock::default(),
            embedders,
            disk,
            models: Mutex::default(),
        }
    }

    /// Creates a collection with this pipeline, unless it exists.
    pub(super) async fn create_collection(
        &self,
        key: &CollectionKey,
        pipeline: &Pipeline,
    ) -> Result<(), Refusal> {
        // Its stores take room as soon as they are made.
        if let Some(short) = self.disk.shortage() {
            return Err(Refusal::new(RefusalKind::Exhausted, "disk_full", "", short));
        }
        let epoch = self.epoch_of(pipeline).await?;
        self.ledger.ensure_collection(key, &pipeline.to_toml()?, epoch).await?;
        Ok(())
    }

    /// The epoch that this program builds under a pipeline. Loads the model.
    pub(super) async fn epoch_of(&self, pipeline: &Pipeline) -> Result<Epoch, Refusal> {
        let model = self.model(&pipeline.embedder).await?;
        current_epoch(pipeline, &*model)
    }

    /// The model of a definition. Loads it once.
    pub(super) async fn model(&self, definition: &EmbedderDefinition) -> Result<Arc<dyn Embedder>, Refusal> {
        self.load_once(&mut *self.models.lock().await, definition).await
    }

    async fn load_once(
        &self,
        models: &mut Vec<(EmbedderDefinition, Arc<dyn Embedder>)>,
        definition: &EmbedderDefinition,
    ) -> Result<Arc<dyn Embedder>, Refusal> {
        if let Some((_, model)) = models.iter().find(|(known, _)| known == definition) {
            return Ok(model.clone());
        }
        let model = self.embedders.open(definition).await?;
        models.push((definition.clone(), model.clone()));
        Ok(model)
    }

    /// The directory of a generation on this machine.
    pub(super) fn directory(&self, home: &CollectionRecord) -> PathBuf {
        let of_tenant = self.root.join(home.key.tenant.as_str());
        of_tenant.join(home.key.collection.as_str()).join(home.generation.to_string())
    }

    async fn open_stores(
        &self,
        record: CollectionRecord,
        pipeline: &Pipeline,
        embedder: Arc<dyn Embedder>,
        compatibility: EpochCompatibility,
    ) -> Result<OpenCollection, Fault> {
        let sizes = epoch::chunk_sizes(pipeline, &*embedder).map_err(permanent_fault)?;
        let analysis = AnalyzerSettings {
            language: pipeline.analyzer.language.name().to_owned(),
            stem: pipeline.analyzer.stem,
            stop_words: pipeline.analyzer.stop_words,
        };
        let directory = self.directory(&record);
        let why = outdated_reason(compatibility, &record);
        let vectors: Arc<dyn VectorStore> = if let (EpochCompatibility::ByAnotherModel, Some(why)) =
            (compatibility, &why)
        {
            Arc::new(UnavailableVectors(why.clone()))
        } else {
            let dims = embedder.info().dims;
            let is_writer = self.writes_indexes() || self.mode == IndexAccessMode::Absent && !self.embedded;
            backends::open_vectors(self.server.as_ref(), &self.prefix, &record, &directory, dims, is_writer)
                .await?
        };
        let (mode, is_embedded) = (self.mode, self.embedded);
        let lexical = tokio::task::spawn_blocking(move || {
            open_lexical_index(mode, is_embedded, &directory.join("lexical"), &analysis)
        })
        .await
        .map_err(|error| Fault::transient_error("opening the index", error))??;
        // One that follows the log is ready once it has caught up; others are up to date when they open.
        let parts = CollectionParts { record, sizes, embedder, vectors, lexical };
        Ok(OpenCollection::new(parts, mode != IndexAccessMode::Followed).outdated(why))
    }
}

/// The generations that are open in this process, and the one of each collection that serves.
#[derive(Default)]
struct OpenGenerations {
    generations: HashMap<(CollectionKey, GenerationNumber), Arc<OpenCollection>>,
    serving: HashMap<CollectionKey, Arc<OpenCollection>>,
}

impl CollectionStoreCatalog {
    async fn known_generation(&self, home: &CollectionRecord) -> Option<Arc<OpenCollection>> {
        self.open.read().await.generations.get(&(home.key.clone(), home.generation)).cloned()
    }

    /// The generation that serves here at first: the active one, unless its local index has not reached
    /// the position of its activation yet. Then the previous one serves, if it is still kept, because it
    /// holds everything that was visible.
    async fn first_to_serve(&self, key: &CollectionKey) -> Result<Option<Arc<OpenCollection>>, Fault> {
        let records = self.ledger.generations(Some(key)).await?;
        let Some(active) = records.iter().find(|record| record.state == GenerationState::Active) else {
            return Ok(None);
        };
        let open = self.open_generation(&active.home).await?;
        // A follower waits for its index to catch up, so it does not need the previous one.
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
        // A replica may lag behind the ledger. What the only index lacks is lost.
        let is_only =
            self.mode == IndexAccessMode::Written || self.mode == IndexAccessMode::ReadOnly && self.embedded;
        if is_only {
            check_completeness(&*self.ledger, &open).await?;
        }
        // Somebody else may have inserted meanwhile. Theirs is the same generation or a later one, so it
        // stays.
        Ok(Some(self.open.write().await.serving.entry(key.clone()).or_insert(open).clone()))
    }

    async fn open_generation(&self, home: &CollectionRecord) -> Result<Arc<OpenCollection>, Fault> {
        if let Some(open) = self.known_generation(home).await {
            return Ok(open);
        }
        let mut models = self.models.lock().await;
        // Checked again: whoever held the lock before may have opened it.
        if let Some(open) = self.known_generation(home).await {
            return Ok(open);
        }
        let pipeline = Pipeline::from_toml(&home.pipeline).map_err(permanent_fault)?;
        let embedder = self.load_once(&mut models, &pipeline.embedder).await.map_err(embedder_fault)?;
        let compatibility = check_epoch(&pipeline, &*embedder, home).map_err(permanent_fault)?;
        let open = self.open_stores(home.clone(), &pipeline, embedder, compatibility).await?;
        let open = Arc::new(open);
        let key = (home.key.clone(), home.generation);
        self.open.write().await.generations.insert(key, open.clone());
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
                // Without an index nothing follows the log, so nothing here switches to the active one.
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
        if self.writes_indexes() {
            removal::delete_files(closed.into_iter().collect(), vec![self.directory(home)], None).await
        } else {
            Ok(())
        }
    }

    async fn remove_collection(&self, homes: &[CollectionRecord], shared: bool) -> Result<(), Fault> {
        self.close_and_delete(homes, shared).await
    }
}

fn open_lexical_index(
    mode: IndexAccessMode,
    embedded: bool,
    directory: &Path,
    analysis: &AnalyzerSettings,
) -> Result<Option<Arc<dyn LexicalIndex>>, Fault> {
    Ok(match mode {
        IndexAccessMode::Absent => None,
        IndexAccessMode::Written | IndexAccessMode::Followed => {
            Some(Arc::new(TantivyIndex::open(directory, analysis)?))
        }
        // Nothing was committed to the only index yet, so it is empty. A reader makes none.
        IndexAccessMode::ReadOnly if embedded && !TantivyReader::has_commits(directory)? => {
            Some(Arc::new(TantivyIndex::in_ram(analysis)?))
        }
        IndexAccessMode::ReadOnly => Some(Arc::new(TantivyReader::open(directory, analysis)?)),
    })
}

/// Checks whether stores that were just opened hold what the ledger has. Logs and marks the collection
/// when they do not.
///
/// It only counts. That finds an index that is gone or was restored from an old copy, and delays nothing;
/// an audit finds the rest. Whole stores have at least one head for every document that the log had a
/// moment ago, because the ledger learns of a commit last. While nothing is committed they also have a
/// point for every chunk, because vectors are staged before the commit and removed after it.
async fn check_completeness(ledger: &dyn Ledger, open: &OpenCollection) -> Result<(), Fault> {
    let documents = ledger.log_extent(&open.record.key).await?.documents;
    let held = open.lexical()?.snapshot().counts()?;
    let heads = held.documents + held.tombstones;
    // The vectors of an outdated collection may be of a model that this process does not have.
    let missing = if open.check_accepts_documents().is_ok() {
        match points_missing(open).await {
            // A server that is away may have them; an audit says so later.
            Err(Fault::Transient(_)) => 0,
            missing => missing?,
        }
    } else {
        0
    };
    if heads < documents || missing > 0 {
        tracing::error!(
            tenant = %open.record.key.tenant, collection = %open.record.key.collection,
            documents, heads, chunks = held.chunks, points_missing = missing,
            "the index or the vectors lack what the ledger has; run 'contexture repair'"
        );
        open.set_incomplete(true);
    }
    Ok(())
}

/// By how many the chunks of a snapshot exceed the points, at a moment without a commit.
async fn points_missing(open: &OpenCollection) -> Result<u64, Fault> {
    for _ in 0..COUNTS_MAX {
        let before = open.lexical()?.snapshot();
        let points = open.vectors.count().await?;
        // The same snapshot before and after the count: no commit changed chunks or points meanwhile.
        if open.lexical()?.snapshot().id() == before.id() {
            return Ok(before.counts()?.chunks.saturating_sub(points));
        }
    }
    Ok(0)
}

/// Maps a model that cannot be opened to a fault. What the configuration of this process lacks is not the
/// fault of a document, and another process may have it, so that must not be permanent.
fn embedder_fault(refusal: Refusal) -> Fault {
    match refusal.code {
        "unknown_provider" | "provider_unusable" | "unknown_tokenizer" => {
            Fault::unauthorized(refusal.message)
        }
        _ => permanent_fault(refusal),
    }
}

fn permanent_fault(refusal: Refusal) -> Fault {
    Fault::permanent(refusal.code, refusal.message)
}

#[cfg(test)]
mod tests;
