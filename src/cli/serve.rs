//! `contexture serve`: the API and, unless told otherwise, all stages, until asked to stop.

use std::net::SocketAddr;

use clap::Args;
use serde::Serialize;

use super::console::Console;
use super::exit::{Exit, Failure};
use super::global::Global;
use super::interrupt::interrupted;
use super::listen::{Metrics, bind, metrics_text};
use crate::telemetry;
use crate::wiring::{Roles, Stack};

/// The variable that `--listen` stands for; so the same checks apply to both.
const LISTEN_VARIABLE: &str = "CONTEXTURE__SERVER__LISTEN";

/// What `serve` takes.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Serve the API only; the stages run elsewhere
    #[arg(long)]
    no_workers: bool,
    /// Address and port to listen on; port 0 takes a free one [default: server.listen]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
}

#[derive(Serialize)]
struct Ready {
    listening: SocketAddr,
    workers: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    metrics: Option<SocketAddr>,
}

/// Serves until Ctrl-C or SIGTERM, then ends what is in work.
pub(crate) async fn run(arguments: Arguments, global: &Global, console: Console) -> Result<Exit, Failure> {
    let overlay: Vec<_> =
        arguments.listen.iter().map(|address| (LISTEN_VARIABLE, address.to_string())).collect();
    let config = global.config_with(&overlay)?;
    telemetry::init(&config.log.level, config.log.format)?;
    let (listener, listening) = bind(config.server.listen).await?;
    let metrics = Metrics::bind(&config).await?;
    let ready = Ready { listening, workers: !arguments.no_workers, metrics: metrics.address() };
    let stack = Stack::open(&config, Roles::Serve { workers: ready.workers }).await?;
    let stopped = interrupted();
    let served = match console.result(&ready, text) {
        Ok(()) => {
            let serving = async { Ok(stack.serve(&config, listener, stopped).await?) };
            Box::pin(metrics.beside(&stack, &config, serving)).await
        }
        Err(failure) => Err(failure),
    };
    stack.shutdown().await;
    served.map(|()| Exit::Done)
}

fn text(ready: &Ready) -> String {
    let stages = if ready.workers { "with all stages" } else { "without stages" };
    format!("listening on {} {stages}\n{}", ready.listening, metrics_text(ready.metrics))
}
