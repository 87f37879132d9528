//! Makes the collections that submissions name, where the configuration wants that.
//!
//! `server.create_collections` says so for every door, and with which pipeline; `broker.create_collections`
//! for messages of producers alone, with the default pipeline where the other key is off.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::catalog::CollectionStoreCatalog;
use crate::config::{CollectionCreation, ContextureConfig};
use contexture_core::domain::document::Submission;
use contexture_core::domain::ids::CollectionKey;
use contexture_core::domain::pipeline::{DEFAULT_PIPELINE_TOML, Pipeline};
use contexture_core::fault::Refusal;
use contexture_core::ingest::intake::CreateCollectionFn;

/// Makes collections with one pipeline.
pub(super) struct CollectionCreator {
    catalog: Arc<CollectionStoreCatalog>,
    pipeline: Pipeline,
}

impl CollectionCreator {
    /// The creator of all doors; none where collections are made by hand.
    pub(super) fn of_all_doors(
        catalog: &Arc<CollectionStoreCatalog>,
        config: &ContextureConfig,
    ) -> Result<Option<Self>, Refusal> {
        let pipeline = match &config.create_collections {
            CollectionCreation::Off => return Ok(None),
            CollectionCreation::Default => Pipeline::from_toml(DEFAULT_PIPELINE_TOML)?,
            CollectionCreation::Named(wanted) => {
                let named = config.pipelines.iter().find(|(name, _)| name == wanted);
                // The configuration is checked: there is a pipeline of that name.
                let Some((_, pipeline)) = named else { return Ok(None) };
                pipeline.clone()
            }
        };
        Ok(Some(Self { catalog: catalog.clone(), pipeline }))
    }

    /// The creator for messages of producers.
    pub(super) fn of_broker(
        catalog: &Arc<CollectionStoreCatalog>,
        config: &ContextureConfig,
    ) -> Result<Option<Self>, Refusal> {
        if let Some(creator) = Self::of_all_doors(catalog, config)? {
            return Ok(Some(creator));
        }
        if !config.backends.broker.as_ref().is_some_and(|broker| broker.create_collections) {
            return Ok(None);
        }
        Ok(Some(Self { catalog: catalog.clone(), pipeline: Pipeline::from_toml(DEFAULT_PIPELINE_TOML)? }))
    }

    /// Makes the collections of submissions that do not exist.
    pub(super) async fn create_missing(&self, submissions: &[Submission]) -> Result<(), Refusal> {
        let named: BTreeSet<&CollectionKey> = submissions.iter().map(Submission::collection).collect();
        for key in named {
            // Makes it unless it exists; two callers who make one at once get the same.
            self.catalog.create_collection(key, &self.pipeline).await?;
        }
        Ok(())
    }

    /// The same as the intake of the broker calls it.
    pub(super) fn into_function(self) -> CreateCollectionFn {
        let creator = Arc::new(self);
        Box::new(move |key: CollectionKey| {
            let creator = creator.clone();
            Box::pin(async move { creator.catalog.create_collection(&key, &creator.pipeline).await })
        })
    }
}
