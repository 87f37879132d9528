//! `contexture check-config`: what the configuration comes to, and whether its files can be used.

use serde::Serialize;

use super::console::ConsoleOutput;
use super::exit::{CommandExitCode, CommandFailure};
use super::global_args::GlobalArgs;
use crate::wiring;

#[derive(Serialize)]
struct CheckedConfig {
    config: toml::Table,
}

/// Prints the sum of all layers, secrets masked.
pub(crate) async fn run(
    global: &GlobalArgs,
    console: ConsoleOutput,
) -> Result<CommandExitCode, CommandFailure> {
    let config = global.config()?;
    wiring::check_named_resources(&config).await?;
    let shown = config.masked_toml();
    let config = shown
        .parse()
        .map_err(|error| CommandFailure::failed("output_failed", format!("cannot read back: {error}")))?;
    console.result(&CheckedConfig { config }, |_| shown.clone())?;
    Ok(CommandExitCode::Done)
}
