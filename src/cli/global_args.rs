//! The options that every command takes, and what commands open with them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::Args;

use super::command_target::CommandTarget;
use super::exit::CommandFailure;
use crate::config::ContextureConfig;
use crate::telemetry;
use crate::wiring::{ProcessRole, ServiceStack, is_local_ledger_absent};
use contexture_core::domain::ids::{CollectionId, CollectionKey, TenantId};
use contexture_core::domain::pipeline::{PIPELINE_TOML_BYTES_MAX, Pipeline};
use contexture_core::domain::principal::{AccessScope, Principal};
use contexture_core::fault::{Refusal, RefusalKind};
use contexture_core::ports::ledger::CollectionRecord;

/// The log level of `config/default.toml`.
const LEVEL_DEFAULT: &str = "info";

#[derive(Debug, Args)]
pub(crate) struct GlobalArgs {
    /// Where everything is kept [default: ./contexture-data, or `CONTEXTURE_DATA_DIR`]
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Configuration file, laid over the defaults
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Work on this server instead of a data directory, or `CONTEXTURE_SERVER`
    #[arg(long, global = true, value_name = "URL")]
    pub(crate) server: Option<String>,
    /// The API key for the server, in a file, or `CONTEXTURE_API_KEY_FILE`; `CONTEXTURE_API_KEY` holds the key
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) api_key_file: Option<PathBuf>,
    /// Work on this tenant's collections in a data directory [default: local]
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) tenant: Option<String>,
    /// Print one JSON object instead of text
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

impl GlobalArgs {
    /// The configuration of this command line. Variables in `overlay` replace those of the environment.
    pub(crate) fn config_with(&self, overlay: &[(&str, String)]) -> Result<ContextureConfig, Refusal> {
        let inherited = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .filter(|(name, _)| overlay.iter().all(|(laid, _)| laid != name));
        let laid = overlay.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
        let mut config = ContextureConfig::load(self.config.as_deref(), inherited.chain(laid))?;
        if let Some(data) = &self.data {
            // Absolute, so that messages name the place without the working directory.
            config.data_dir = std::path::absolute(data).map_err(|error| {
                Refusal::invalid("invalid_data_dir", "data", format!("--data {}: {error}", data.display()))
            })?;
        }
        Ok(config)
    }

    /// The configuration of a one-shot command. Also starts logging.
    pub(crate) fn config(&self) -> Result<ContextureConfig, Refusal> {
        let config = self.config_with(&[])?;
        // A command reports its result itself, so logs appear only when a level was configured. A program
        // that reads stderr must find one JSON object there or nothing, so `--json` turns logs off.
        let level = match (config.log.level == LEVEL_DEFAULT, self.json) {
            (false, _) => &config.log.level,
            (true, false) => "error",
            (true, true) => "off",
        };
        telemetry::init_logging(level, config.log.format)?;
        Ok(config)
    }

    /// Opens what a command works on. Refuses with `data_dir_not_found` if there is no ledger, so that a reading
    /// command creates nothing. If `tokenizer` is the path of a file, it is loaded, too.
    pub(crate) async fn open_for(
        &self,
        role: ProcessRole,
        tokenizer: Option<&str>,
    ) -> Result<CommandTarget, CommandFailure> {
        let config = self.config()?.reading_for(tokenizer);
        if let Some(server) = self.server(&config).await? {
            return Ok(CommandTarget::Server(server));
        }
        if is_local_ledger_absent(&config) {
            return Err(Refusal::not_found(
                "data_dir_not_found",
                format!(
                    "there is no ledger in {}; ingest something first, or give --data",
                    config.data_dir.display()
                ),
            )
            .into());
        }
        let stack = self.open_stack(&config, role).await?;
        Ok(CommandTarget::Here(Box::new(stack), Box::new(config)))
    }

    /// The same, and makes the data directory if there is none.
    pub(crate) async fn open_or_create(&self, role: ProcessRole) -> Result<CommandTarget, CommandFailure> {
        let config = self.config()?;
        if let Some(server) = self.server(&config).await? {
            return Ok(CommandTarget::Server(server));
        }
        let stack = self.open_stack(&config, role).await?;
        Ok(CommandTarget::Here(Box::new(stack), Box::new(config)))
    }

    /// Opens the data directory for the tenant of this command line.
    pub(crate) async fn open_stack(
        &self,
        config: &ContextureConfig,
        role: ProcessRole,
    ) -> Result<ServiceStack, Refusal> {
        let principal = self.tenant.as_deref().map(tenant_principal).transpose()?;
        let mut stack = ServiceStack::open(config, role).await?;
        if let Some(principal) = principal {
            stack.principal = principal;
        }
        Ok(stack)
    }
}

/// Whoever can open the data directory may do everything as any tenant.
fn tenant_principal(tenant: &str) -> Result<Principal, Refusal> {
    let scopes = [AccessScope::Read, AccessScope::Write, AccessScope::Admin, AccessScope::Metrics];
    Principal::new(TenantId::new(tenant)?, BTreeSet::new(), BTreeSet::from(scopes))
}

/// The key of a collection of the local principal.
pub(crate) fn collection_key(stack: &ServiceStack, collection: &CollectionId) -> CollectionKey {
    CollectionKey { tenant: stack.principal.tenant().clone(), collection: collection.clone() }
}

/// The record of a collection. Refuses with `unknown_collection` if there is none.
pub(crate) async fn existing_collection(
    stack: &ServiceStack,
    collection: &CollectionId,
) -> Result<CollectionRecord, CommandFailure> {
    let key = collection_key(stack, collection);
    let record = stack.ledger.collection(&key).await?;
    Ok(record.ok_or_else(|| {
        Refusal::new(
            RefusalKind::NotFound,
            "unknown_collection",
            "collection",
            format!("there is no collection '{collection}'; 'contexture status' lists those that exist"),
        )
    })?)
}

/// Reads the pipeline file, if one is named.
pub(crate) fn read_pipeline(path: Option<&Path>) -> Result<Option<Pipeline>, Refusal> {
    let Some(path) = path else { return Ok(None) };
    let refuse = |why: String| {
        Refusal::invalid("invalid_pipeline_file", "pipeline", format!("pipeline {}: {why}", path.display()))
    };
    // Checked before reading, so that a wrong path to a huge file costs nothing.
    let bytes = std::fs::metadata(path).map_err(|error| refuse(error.to_string()))?.len();
    if bytes > PIPELINE_TOML_BYTES_MAX as u64 {
        return Err(refuse(format!("{bytes} bytes; at most {PIPELINE_TOML_BYTES_MAX} are read")));
    }
    let text = std::fs::read_to_string(path).map_err(|error| refuse(error.to_string()))?;
    Pipeline::from_toml(&text).map(Some)
}
