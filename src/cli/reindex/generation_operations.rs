//! What commands do with the generations of one collection: here, or on a server.

use std::time::Duration;

use async_trait::async_trait;
use serde::Serialize;

use crate::operations::messages::job::GenerationView;
use crate::wiring::ServiceStack;
use contexture_core::domain::ids::{CollectionKey, GenerationNumber};
use contexture_core::domain::pipeline::Pipeline;
use contexture_core::fault::Refusal;
use contexture_core::jobs::reindex::LiveGenerationStatus;
use contexture_core::ports::embedder::EmbedderWaitStatus;
use contexture_core::ports::generations::GenerationBuildPace;
use contexture_lab::compare::{ComparisonRequest, GenerationComparison};

/// Maximum time to wait until an activated generation serves.
const SERVING_MAX: Duration = Duration::from_mins(1);

/// Receives the number of answered questions and of all.
pub(crate) type ComparisonProgress<'a> = Box<dyn FnMut(usize, usize) + Send + 'a>;

/// The generations of a collection.
#[async_trait]
pub(crate) trait GenerationOperations: Send + Sync {
    /// The collection's name.
    fn collection(&self) -> &str;

    /// Begins to build one; without a pipeline, under the one that the collection has.
    async fn start(
        &self,
        pipeline: Option<&Pipeline>,
        pace: GenerationBuildPace,
    ) -> Result<GenerationNumber, Refusal>;

    /// All live ones.
    async fn live(&self) -> Result<Vec<GenerationStatus>, Refusal>;

    /// The one that is being built.
    async fn building(&self) -> Result<GenerationStatus, Refusal>;

    /// Stops building for now.
    async fn pause(&self) -> Result<GenerationNumber, Refusal>;

    /// Goes on building.
    async fn resume(&self, pace: Option<GenerationBuildPace>) -> Result<(), Refusal>;

    /// Gives up the one that is being built.
    async fn cancel(&self) -> Result<GenerationNumber, Refusal>;

    /// Lets the built one serve.
    async fn activate(&self, allow_failed: bool) -> Result<GenerationNumber, Refusal>;

    /// Lets the one before serve again.
    async fn rollback(&self) -> Result<GenerationNumber, Refusal>;

    /// Drops one that is kept.
    async fn drop_kept(
        &self,
        generation: Option<GenerationNumber>,
        grace_ms: u64,
    ) -> Result<GenerationNumber, Refusal>;

    /// Waits until a generation serves, where this process serves at all.
    async fn until_serving(&self, generation: GenerationNumber) -> Result<(), Refusal>;

    /// What building waits for; none where that is not known.
    async fn waiting(&self) -> Option<EmbedderWaitStatus>;

    /// Asks two of them the same questions.
    async fn compare(
        &self,
        request: ComparisonRequest,
        show: ComparisonProgress<'_>,
    ) -> Result<GenerationComparison, Refusal>;
}

/// One generation. The field names of this and the next type are a contract.
#[derive(Debug, Serialize)]
pub(crate) struct GenerationStatus {
    pub(super) generation: GenerationNumber,
    pub(super) state: String,
    pub(super) paused: bool,
    pub(super) caught_up: bool,
    pub(super) documents: u64,
    pub(super) remaining: u64,
    pub(super) failed: u64,
    pub(super) documents_per_second: f64,
    pub(super) eta_seconds: Option<f64>,
    pub(super) drop_ms: Option<u64>,
    /// Bytes on this machine's disk. Vectors on a server are not counted; none where the index is elsewhere.
    pub(super) disk_bytes: Option<u64>,
    pub(super) failures: Vec<FailedDocument>,
}

/// A document that a generation cannot have.
#[derive(Debug, Serialize)]
pub(super) struct FailedDocument {
    pub(super) document_id: String,
    pub(super) version: u64,
    pub(super) code: String,
    pub(super) detail: String,
}

impl GenerationStatus {
    /// The status of a generation that takes so many bytes here.
    pub(crate) fn new(view: GenerationView, disk_bytes: Option<u64>) -> Self {
        let failures = view.failures.into_iter().map(|failure| FailedDocument {
            document_id: failure.document_id,
            version: failure.version,
            code: failure.reason.code,
            detail: failure.reason.detail,
        });
        Self {
            generation: view.generation,
            state: view.state,
            paused: view.paused,
            caught_up: view.caught_up,
            documents: view.documents,
            remaining: view.remaining,
            failed: view.failed,
            documents_per_second: view.documents_per_second,
            eta_seconds: view.eta_seconds,
            drop_ms: view.drop_ms,
            disk_bytes,
            failures: failures.collect(),
        }
    }
}

/// The generations of a collection of this process.
pub(super) struct LocalGenerations<'a> {
    pub(super) stack: &'a ServiceStack,
    pub(super) key: CollectionKey,
    /// The pipeline that the collection has.
    pub(super) stored_pipeline: Pipeline,
}

impl LocalGenerations<'_> {
    async fn status(&self, standing: LiveGenerationStatus) -> Result<GenerationStatus, Refusal> {
        let disk_bytes = self.stack.disk_bytes(&standing.record.home).await?;
        Ok(GenerationStatus::new(GenerationView::new(&standing, self.stack.now_ms()), Some(disk_bytes)))
    }
}

#[async_trait]
impl GenerationOperations for LocalGenerations<'_> {
    fn collection(&self) -> &str {
        self.key.collection.as_str()
    }

    async fn start(
        &self,
        pipeline: Option<&Pipeline>,
        pace: GenerationBuildPace,
    ) -> Result<GenerationNumber, Refusal> {
        let pipeline = pipeline.unwrap_or(&self.stored_pipeline);
        Ok(self.stack.begin_reindex(&self.key, pipeline, pace).await?.home.generation)
    }

    async fn live(&self) -> Result<Vec<GenerationStatus>, Refusal> {
        let standings = self.stack.reindexing().live_generations(&self.key).await?;
        let mut live = Vec::with_capacity(standings.len());
        for standing in standings {
            live.push(self.status(standing).await?);
        }
        Ok(live)
    }

    async fn building(&self) -> Result<GenerationStatus, Refusal> {
        self.status(self.stack.reindexing().building(&self.key).await?).await
    }

    async fn pause(&self) -> Result<GenerationNumber, Refusal> {
        self.stack.reindexing().pause(&self.key).await
    }

    async fn resume(&self, pace: Option<GenerationBuildPace>) -> Result<(), Refusal> {
        self.stack.reindexing().resume(&self.key, pace).await
    }

    async fn cancel(&self) -> Result<GenerationNumber, Refusal> {
        self.stack.reindexing().cancel(&self.key).await
    }

    async fn activate(&self, allow_failed: bool) -> Result<GenerationNumber, Refusal> {
        self.stack.reindexing().activate(&self.key, allow_failed).await
    }

    async fn rollback(&self) -> Result<GenerationNumber, Refusal> {
        self.stack.reindexing().rollback(&self.key).await
    }

    async fn drop_kept(
        &self,
        generation: Option<GenerationNumber>,
        grace_ms: u64,
    ) -> Result<GenerationNumber, Refusal> {
        self.stack.reindexing().drop_kept(&self.key, generation, grace_ms).await
    }

    async fn until_serving(&self, generation: GenerationNumber) -> Result<(), Refusal> {
        self.stack.until_serving(&self.key, generation, SERVING_MAX).await
    }

    async fn waiting(&self) -> Option<EmbedderWaitStatus> {
        let standing = self.stack.reindexing().building(&self.key).await.ok()?;
        self.stack.waiting_to_build(&standing.record.home).await
    }

    async fn compare(
        &self,
        request: ComparisonRequest,
        show: ComparisonProgress<'_>,
    ) -> Result<GenerationComparison, Refusal> {
        self.stack.comparing().run(&self.stack.principal, &self.key.collection, request, show).await
    }
}
