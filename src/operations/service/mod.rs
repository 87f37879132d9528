//! The operations over the ledger, the open collections and the shared states.

mod collections;
mod dead_letters;
mod described_texts;
mod document_urls;
mod document_views;
mod documents;
mod events;
mod settings;
mod sources;
mod status;

use std::sync::Arc;

use async_trait::async_trait;

use super::api::IngestApi;
use super::messages::status::NamedPipeline;
use contexture_core::domain::ids::{CollectionKey, Epoch};
use contexture_core::domain::pipeline::{DEFAULT_PIPELINE_TOML, Pipeline};
use contexture_core::domain::principal::{AccessScope, Principal};
use contexture_core::fault::{Refusal, RefusalKind};
use contexture_core::ingest::StageResources;
use contexture_core::ingest::submit::unknown_collection_refusal;
use contexture_core::jobs::question_sampler::QuestionSampler;
use contexture_core::ports::ledger::CollectionRecord;
use contexture_core::resilience::quota_protocol::QuotaStatus;

pub use document_urls::DocumentUrls;
pub use settings::CollectionSettingsStore;

/// Name of the pipeline that a collection gets which is made without one.
pub const DEFAULT_PIPELINE_NAME: &str = "default";

/// What only the composition root knows of models and their providers.
#[async_trait]
pub trait ModelCatalog: Send + Sync {
    /// The epoch that this program builds under a pipeline. Loads the model.
    async fn epoch_of(&self, pipeline: &Pipeline) -> Result<Epoch, Refusal>;

    /// The quotas of the providers that have been called, as all processes share them.
    async fn provider_quotas(&self) -> Result<Vec<(String, QuotaStatus)>, Refusal>;
}

/// The operations on what is stored.
pub struct StoreOperations {
    stages: Arc<StageResources>,
    ingest: Arc<dyn IngestApi>,
    models: Arc<dyn ModelCatalog>,
    settings: Arc<CollectionSettingsStore>,
    pipelines: Vec<NamedPipeline>,
    sampler: Option<Arc<QuestionSampler>>,
}

impl StoreOperations {
    /// Operations with these configured pipelines, beside the built-in one.
    pub fn new(
        stages: Arc<StageResources>,
        ingest: Arc<dyn IngestApi>,
        models: Arc<dyn ModelCatalog>,
        settings: Arc<CollectionSettingsStore>,
        configured: Vec<(String, Pipeline)>,
    ) -> Result<Self, Refusal> {
        let built_in = Pipeline::from_toml(DEFAULT_PIPELINE_TOML)?;
        let mut pipelines = vec![NamedPipeline {
            name: DEFAULT_PIPELINE_NAME.to_owned(),
            pipeline: built_in.to_toml()?,
            default: true,
        }];
        for (name, pipeline) in configured {
            pipelines.push(NamedPipeline { name, pipeline: pipeline.to_toml()?, default: false });
        }
        Ok(Self { stages, ingest, models, settings, pipelines, sampler: None })
    }

    /// The same, with what samples questions in this process.
    #[must_use]
    pub fn with_sampler(self, sampler: Option<Arc<QuestionSampler>>) -> Self {
        Self { sampler, ..self }
    }

    /// The record of the caller's collection; not found where it does not exist.
    async fn existing(&self, key: &CollectionKey) -> Result<CollectionRecord, Refusal> {
        let record = self.stages.ledger.collection(key).await?;
        record.ok_or_else(|| unknown_collection_refusal(&key.collection))
    }

    /// The pipeline that a request names, or gives as TOML; without one the default.
    pub fn pipeline(&self, asked: Option<&str>) -> Result<Pipeline, Refusal> {
        let asked = asked.unwrap_or(DEFAULT_PIPELINE_NAME);
        if let Some(named) = self.pipelines.iter().find(|named| named.name == asked) {
            return Pipeline::from_toml(&named.pipeline);
        }
        if !is_pipeline_text(asked) {
            let known: Vec<&str> = self.pipelines.iter().map(|named| named.name.as_str()).collect();
            return Err(Refusal::invalid(
                "unknown_pipeline",
                "pipeline",
                format!(
                    "there is no pipeline '{asked}'; known: {}, or the text of a pipeline file",
                    known.join(", ")
                ),
            ));
        }
        Pipeline::from_toml(asked)
    }

    /// Makes a collection unless it exists; tells whether it is new. Refuses another pipeline than the one
    /// that it has.
    pub async fn ensure_collection(
        &self,
        key: &CollectionKey,
        asked: Option<&str>,
    ) -> Result<(CollectionRecord, bool), Refusal> {
        if let Some(record) = self.stages.ledger.collection(key).await? {
            if let Some(asked) = asked {
                require_same_pipeline(&record, &self.pipeline(Some(asked))?)?;
            }
            return Ok((record, false));
        }
        let pipeline = self.pipeline(asked)?;
        let epoch = self.models.epoch_of(&pipeline).await?;
        let record = self.stages.ledger.ensure_collection(key, &pipeline.to_toml()?, epoch).await?;
        // Somebody else may have made it meanwhile, with another pipeline.
        require_same_pipeline(&record, &pipeline)?;
        Ok((record, true))
    }
}

/// Whether this is the text of a pipeline and no name: TOML has at least a `=`, a table or a line break.
fn is_pipeline_text(asked: &str) -> bool {
    asked.contains(['=', '[', '\n'])
}

/// Refuses a pipeline that is not the one the collection was created with.
pub fn require_same_pipeline(record: &CollectionRecord, pipeline: &Pipeline) -> Result<(), Refusal> {
    // Stored as canonical TOML, so equal text means equal settings however it was written.
    if record.pipeline == pipeline.to_toml()? {
        return Ok(());
    }
    let message = format!(
        "collection '{name}' has another pipeline; leave the pipeline out, or build it anew under this one with \
         'contexture reindex start --collection {name} --pipeline FILE'",
        name = record.key.collection
    );
    Err(Refusal::new(RefusalKind::Conflict, "pipeline_differs", "pipeline", message))
}

/// Refuses a caller that has none of the scopes that work with collections.
fn require_any_scope(caller: &Principal) -> Result<(), Refusal> {
    let read = caller.require(AccessScope::Read);
    read.or_else(|refusal| {
        let other = [AccessScope::Write, AccessScope::Admin];
        if other.into_iter().any(|scope| caller.require(scope).is_ok()) { Ok(()) } else { Err(refusal) }
    })
}
