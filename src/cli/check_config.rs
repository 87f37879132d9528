//! `contexture check-config`: what the configuration comes to.

use serde::Serialize;

use super::console::Console;
use super::exit::{Exit, Failure};
use super::global::Global;

#[derive(Serialize)]
struct Checked {
    config: toml::Table,
}

/// Prints the sum of all layers, secrets masked.
pub(crate) fn run(global: &Global, console: Console) -> Result<Exit, Failure> {
    let shown = global.config()?.masked_toml();
    let config = shown
        .parse()
        .map_err(|error| Failure::failed("output_failed", format!("cannot read back: {error}")))?;
    console.result(&Checked { config }, |_| shown.clone())?;
    Ok(Exit::Done)
}
