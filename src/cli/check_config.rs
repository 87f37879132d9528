//! `contexture check-config`: what the configuration comes to, and whether its files can be used.

use serde::Serialize;

use super::console::Console;
use super::exit::{Exit, Failure};
use super::global::Global;
use crate::wiring;

#[derive(Serialize)]
struct Checked {
    config: toml::Table,
}

/// Prints the sum of all layers, secrets masked.
pub(crate) async fn run(global: &Global, console: Console) -> Result<Exit, Failure> {
    let config = global.config()?;
    wiring::check(&config).await?;
    let shown = config.masked_toml();
    let config = shown
        .parse()
        .map_err(|error| Failure::failed("output_failed", format!("cannot read back: {error}")))?;
    console.result(&Checked { config }, |_| shown.clone())?;
    Ok(Exit::Done)
}
