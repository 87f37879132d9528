//! `contexture serve`: the API and, unless told otherwise, all stages, until asked to stop.

use std::net::SocketAddr;

use clap::Args;
use serde::Serialize;

use super::console::Console;
use super::exit::{Exit, Failure};
use super::global::Global;
use super::interrupt::interrupted;
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
struct Listening {
    listening: SocketAddr,
    workers: bool,
}

/// Serves until Ctrl-C or SIGTERM, then ends what is in work.
pub(crate) async fn run(arguments: Arguments, global: &Global, console: Console) -> Result<Exit, Failure> {
    let overlay: Vec<_> =
        arguments.listen.iter().map(|address| (LISTEN_VARIABLE, address.to_string())).collect();
    let config = global.config_with(&overlay)?;
    telemetry::init(&config.log.level, config.log.format)?;
    let cannot_listen = |error: std::io::Error| {
        Failure::failed("cannot_listen", format!("cannot listen on {}: {error}", config.server.listen))
    };
    let listener = tokio::net::TcpListener::bind(config.server.listen).await.map_err(cannot_listen)?;
    let listening = Listening {
        listening: listener.local_addr().map_err(cannot_listen)?,
        workers: !arguments.no_workers,
    };
    let stack = Stack::open(&config, Roles::Serve { workers: listening.workers }).await?;
    let served = match console.result(&listening, text) {
        Ok(()) => stack.serve(&config, listener, interrupted()).await.map_err(Failure::from),
        Err(failure) => Err(failure),
    };
    stack.shutdown().await;
    served.map(|()| Exit::Done)
}

fn text(listening: &Listening) -> String {
    let stages = if listening.workers { "with all stages" } else { "without stages" };
    format!("listening on {} {stages}\n", listening.listening)
}
