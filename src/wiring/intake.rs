//! The intake of the broker, as a configuration wants it.

use std::sync::Arc;

use super::backends::ProducerExchange;
use super::catalog::CollectionStoreCatalog;
use crate::config::BrokerConfig;
use crate::server::auth::local_principal;
use contexture_adapters::file_references::FileReferences;
use contexture_core::domain::ids::CollectionKey;
use contexture_core::domain::pipeline::{DEFAULT_PIPELINE_TOML, Pipeline};
use contexture_core::fault::Refusal;
use contexture_core::ingest::intake::{BrokerIntake, CreateCollectionFn, ProducerAccess};
use contexture_core::ingest::submit::DocumentSubmitter;
use contexture_core::ports::ledger::Ledger;
use contexture_core::ports::producers::BodyReferenceFetcher;

/// Opens the folders that bodies may come from.
pub(super) fn open_intake(
    config: &BrokerConfig,
    exchange: ProducerExchange,
    submitter: Arc<DocumentSubmitter>,
    ledger: Arc<dyn Ledger>,
    catalog: Arc<CollectionStoreCatalog>,
) -> Result<BrokerIntake, Refusal> {
    Ok(BrokerIntake {
        submitter,
        ledger,
        producers: exchange.producers,
        events: exchange.events,
        access: ProducerAccess::new(local_principal()?.tenant().clone(), config.producers.clone()),
        references: open_file_references(config)?,
        found: config.create_collections.then(|| collection_creator(catalog)),
    })
}

fn open_file_references(config: &BrokerConfig) -> Result<Option<Arc<dyn BodyReferenceFetcher>>, Refusal> {
    if config.body_roots.is_empty() {
        return Ok(None);
    }
    let files = FileReferences::new(&config.body_roots).map_err(|error| {
        Refusal::invalid(
            "invalid_config",
            "broker.body_roots",
            format!("broker.body_roots names a folder that cannot be opened: {error}"),
        )
    })?;
    Ok(Some(Arc::new(files)))
}

fn collection_creator(catalog: Arc<CollectionStoreCatalog>) -> CreateCollectionFn {
    Box::new(move |key: CollectionKey| {
        let catalog = catalog.clone();
        Box::pin(async move { catalog.found(&key, &Pipeline::from_toml(DEFAULT_PIPELINE_TOML)?).await })
    })
}
