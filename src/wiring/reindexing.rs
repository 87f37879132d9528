//! Re-indexing, and what it would cost.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::{ServiceStack, catalog, require_same_pipeline};
use contexture_core::domain::ids::{CollectionId, CollectionKey, GenerationNumber};
use contexture_core::domain::pipeline::{DEFAULT_PIPELINE_TOML, Pipeline};
use contexture_core::fault::{Refusal, RefusalKind};
use contexture_core::ingest::estimate::{EmbedBatchLimits, IngestEstimate, IngestEstimator};
use contexture_core::jobs::reindex::ReindexControl;
use contexture_core::ports::catalog::CollectionCatalog;
use contexture_core::ports::embedder::{Embedder, EmbedderWaitStatus};
use contexture_core::ports::generations::{GenerationBuildPace, GenerationRecord};
use contexture_core::ports::ledger::CollectionRecord;

/// Documents that are looked at together for an estimate.
const PAGE_DOCUMENTS: usize = 64;
/// Time between two looks at which generation serves.
const SERVING_POLL_INTERVAL: Duration = Duration::from_millis(20);

impl ServiceStack {
    /// Adds up what documents of a collection would cost; the collection need not exist.
    pub async fn estimator(
        &self,
        collection: &CollectionId,
        pipeline: Option<&Pipeline>,
    ) -> Result<(IngestEstimator, Arc<dyn Embedder>), Refusal> {
        let key = self.key(collection);
        let pipeline = match (self.ledger.collection(&key).await?, pipeline) {
            (Some(record), Some(pipeline)) => {
                require_same_pipeline(&record, pipeline)?;
                pipeline.clone()
            }
            (Some(record), None) => Pipeline::from_toml(&record.pipeline)?,
            (None, Some(pipeline)) => pipeline.clone(),
            (None, None) => Pipeline::from_toml(DEFAULT_PIPELINE_TOML)?,
        };
        self.estimator_under(key, &pipeline).await
    }

    async fn estimator_under(
        &self,
        key: CollectionKey,
        pipeline: &Pipeline,
    ) -> Result<(IngestEstimator, Arc<dyn Embedder>), Refusal> {
        let embedder = self.catalog.model(&pipeline.embedder).await?;
        let sizes = catalog::chunk_sizes(pipeline, &*embedder)?;
        let limits = &self.stages.limits;
        let batching = EmbedBatchLimits {
            texts_max: limits.embed_batch_texts_max,
            tokens_max: limits.embed_batch_tokens_max,
            chunks_max: limits.chunks_per_document_max,
        };
        let estimator = IngestEstimator::new(self.ledger.clone(), key, embedder.clone(), sizes, batching);
        Ok((estimator, embedder))
    }

    /// What building a collection under another pipeline would cost.
    pub async fn estimate_reindex(
        &self,
        collection: &CollectionKey,
        pipeline: &Pipeline,
    ) -> Result<(IngestEstimate, Arc<dyn Embedder>), Refusal> {
        let (mut estimator, embedder) = self.estimator_under(collection.clone(), pipeline).await?;
        let mut after = 0;
        loop {
            let changes = self.ledger.changes(collection, after, PAGE_DOCUMENTS).await?;
            let Some(last) = changes.last() else { return Ok((estimator.finish(), embedder)) };
            after = last.position;
            let keys: Vec<_> = changes.into_iter().map(|change| change.task.key).collect();
            for (key, body) in keys.iter().zip(self.ledger.bodies(&keys).await?) {
                if let Some(stored) = body {
                    estimator.add_visible(key, stored).await?;
                }
            }
        }
    }

    /// The generations of collections, to work with.
    pub fn reindexing(&self) -> ReindexControl {
        ReindexControl::new(self.ledger.clone(), self.stages.clock.clone())
    }

    /// Begins to build a collection under another pipeline.
    pub async fn begin_reindex(
        &self,
        collection: &CollectionKey,
        pipeline: &Pipeline,
        pace: GenerationBuildPace,
    ) -> Result<GenerationRecord, Refusal> {
        let epoch = self.catalog.epoch_of(pipeline).await?;
        self.reindexing().start(collection, &pipeline.to_toml()?, epoch, pace).await
    }

    /// Waits until a generation serves in this process; returns at once where it serves nothing.
    pub async fn until_serving(
        &self,
        collection: &CollectionKey,
        generation: GenerationNumber,
        wait_max: Duration,
    ) -> Result<(), Refusal> {
        if self.shared {
            return Ok(());
        }
        let deadline = Instant::now() + wait_max;
        loop {
            let serving = self.catalog.open(collection).await?;
            if serving.is_some_and(|open| open.record.generation == generation) {
                return Ok(());
            }
            if Instant::now() >= deadline {
                let message = format!(
                    "generation {generation} is active, and does not serve here yet: its index is filled still"
                );
                return Err(Refusal::new(RefusalKind::Deadline, "not_serving_yet", "", message));
            }
            tokio::time::sleep(SERVING_POLL_INTERVAL).await;
        }
    }

    /// What the calls of a generation's model wait for.
    pub async fn waiting_to_build(&self, home: &CollectionRecord) -> Option<EmbedderWaitStatus> {
        let pipeline = Pipeline::from_toml(&home.pipeline).ok()?;
        self.models.waiting(&pipeline.embedder).await
    }

    /// What this machine keeps of a generation on its disk, in bytes.
    pub async fn disk_bytes(&self, home: &CollectionRecord) -> Result<u64, Refusal> {
        let directory = self.catalog.directory(home);
        tokio::task::spawn_blocking(move || directory_bytes(&directory))
            .await
            .map_err(super::internal_refusal)
    }

    /// The time of this process, in ms since the Unix epoch.
    pub fn now_ms(&self) -> u64 {
        self.stages.clock.now_ms()
    }
}

/// What a directory takes; files that vanish meanwhile count nothing.
fn directory_bytes(directory: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(directory) else { return 0 };
    let bytes = entries.flatten().map(|entry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => directory_bytes(&entry.path()),
        Ok(metadata) => metadata.len(),
        Err(_) => 0,
    });
    bytes.sum()
}
