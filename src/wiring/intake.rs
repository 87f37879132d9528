//! The intake of the broker, as a configuration wants it.

use std::sync::Arc;

use super::catalog::StoreCatalog;
use super::engines::Exchange;
use crate::adapters::files::FileReferences;
use crate::config::BrokerConfig;
use crate::domain::ids::CollectionKey;
use crate::domain::pipeline::{DEFAULT_TOML, Pipeline};
use crate::fault::Refusal;
use crate::ingest::intake::{Access, Found, Intake};
use crate::ingest::submit::Submitter;
use crate::ports::ledger::Ledger;
use crate::ports::producers::References;
use crate::server::auth::local_principal;

/// Opens the folders that bodies may come from.
pub(super) fn open(
    config: &BrokerConfig,
    exchange: Exchange,
    submitter: Arc<Submitter>,
    ledger: Arc<dyn Ledger>,
    catalog: Arc<StoreCatalog>,
) -> Result<Intake, Refusal> {
    Ok(Intake {
        submitter,
        ledger,
        producers: exchange.producers,
        events: exchange.events,
        access: Access::new(local_principal()?.tenant().clone(), config.producers.clone()),
        references: references(config)?,
        found: config.create_collections.then(|| founder(catalog)),
    })
}

fn references(config: &BrokerConfig) -> Result<Option<Arc<dyn References>>, Refusal> {
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

fn founder(catalog: Arc<StoreCatalog>) -> Found {
    Box::new(move |key: CollectionKey| {
        let catalog = catalog.clone();
        Box::pin(async move { catalog.found(&key, &Pipeline::from_toml(DEFAULT_TOML)?).await })
    })
}
