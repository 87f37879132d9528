//! Re-indexing a collection, and estimates of what that or an import costs.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::backends::internal_refusal;
use super::catalog::epoch;
use super::service_stack::ServiceStack;
use crate::operations::service::require_same_pipeline;
use contexture_core::domain::ids::{CollectionId, CollectionKey, GenerationNumber};
use contexture_core::domain::pipeline::{DEFAULT_PIPELINE_TOML, Pipeline};
use contexture_core::fault::{Refusal, RefusalKind};
use contexture_core::ingest::estimate::{EmbedBatchLimits, IngestEstimate, IngestEstimator};
use contexture_core::jobs::reindex::ReindexControl;
use contexture_core::ports::catalog::CollectionCatalog;
use contexture_core::ports::embedder::{Embedder, EmbedderWaitStatus};
use contexture_core::ports::generations::{GenerationBuildPace, GenerationRecord};
use contexture_core::ports::ledger::CollectionRecord;

/// Documents of one page of an estimate.
const PAGE_DOCUMENTS: usize = 64;
/// Interval at which a caller polls for the serving generation.
const SERVING_POLL_INTERVAL: Duration = Duration::from_millis(20);

impl ServiceStack {
    /// An estimator of what documents of a collection would cost. The collection need not exist.
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
        let sizes = epoch::chunk_sizes(pipeline, &*embedder)?;
        let limits = &self.stages.limits;
        let batching = EmbedBatchLimits {
            texts_max: limits.embed_batch_texts_max,
            tokens_max: limits.embed_batch_tokens_max,
            chunks_max: limits.chunks_per_document_max,
        };
        let (ledger, extractor) = (self.ledger.clone(), self.stages.extractor.clone());
        let estimator = IngestEstimator::new(ledger, key, embedder.clone(), extractor, sizes, batching);
        Ok((estimator, embedder))
    }

    /// What building a collection under another pipeline would cost. Reads every visible document.
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
                // A version without a stored body has nothing to embed.
                if let Some(stored) = body {
                    estimator.add_visible(key, stored).await?;
                }
            }
        }
    }

    /// Control over the generations of collections.
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

    /// Waits until a generation serves in this process. Returns at once where processes share the ledger.
    pub async fn until_serving(
        &self,
        collection: &CollectionKey,
        generation: GenerationNumber,
        wait_max: Duration,
    ) -> Result<(), Refusal> {
        // Workers serve it, and this process cannot see how far they are.
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

    /// What the calls of a generation's model wait for. None where nothing is known.
    pub async fn waiting_to_build(&self, home: &CollectionRecord) -> Option<EmbedderWaitStatus> {
        let pipeline = Pipeline::from_toml(&home.pipeline).ok()?;
        self.embedders.waiting(&pipeline.embedder).await
    }

    /// Bytes that a generation takes on the disk of this machine.
    pub async fn disk_bytes(&self, home: &CollectionRecord) -> Result<u64, Refusal> {
        let directory = self.catalog.directory(home);
        tokio::task::spawn_blocking(move || directory_bytes(&directory)).await.map_err(internal_refusal)
    }

    /// The time of this process, in ms since the Unix epoch.
    pub fn now_ms(&self) -> u64 {
        self.stages.clock.now_ms()
    }
}

/// Bytes of all files below a directory.
fn directory_bytes(directory: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(directory) else { return 0 };
    let bytes = entries.flatten().map(|entry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => directory_bytes(&entry.path()),
        Ok(metadata) => metadata.len(),
        // Merges of the index delete files at any time.
        Err(_) => 0,
    });
    bytes.sum()
}
