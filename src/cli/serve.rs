//! `contexture serve`: serves the API and, unless `--no-workers` is given, runs all stages.
//!
//! It runs until SIGINT or SIGTERM.

use std::net::SocketAddr;

use clap::Args;
use serde::Serialize;

use super::console::ConsoleOutput;
use super::exit::{CommandExitCode, CommandFailure};
use super::global_args::GlobalArgs;
use super::listen::{MetricsListener, bind_listener, metrics_text};
use super::running_server::ServerAnnouncement;
use super::signals::shutdown_signal;
use crate::telemetry;
use crate::wiring::{ProcessRole, ServiceStack};

/// The variable that `--listen` sets, so that the same checks apply to both.
const LISTEN_VARIABLE: &str = "CONTEXTURE__SERVER__LISTEN";

/// What `serve` takes.
#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// Serve the API only; the stages run elsewhere
    #[arg(long)]
    no_workers: bool,
    /// Address and port to listen on; port 0 takes a free one [default: server.listen]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
}

/// What is printed once everything is ready.
#[derive(Serialize)]
struct ServeReadyReport {
    listening: SocketAddr,
    workers: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    metrics: Option<SocketAddr>,
}

/// Serves until it is asked to stop, then finishes the work at hand.
pub(crate) async fn run(
    arguments: ServeArgs,
    global: &GlobalArgs,
    console: ConsoleOutput,
) -> Result<CommandExitCode, CommandFailure> {
    let overlay: Vec<_> =
        arguments.listen.iter().map(|address| (LISTEN_VARIABLE, address.to_string())).collect();
    let config = global.config_with(&overlay)?;
    telemetry::init_logging(&config.log.level, config.log.format)?;
    // The port is bound first: a used one must fail before indexes are opened. Connections wait in the
    // backlog until the stack is ready.
    let (listener, listening) = bind_listener(config.server.listen).await?;
    let metrics = MetricsListener::bind(&config).await?;
    let ready = ServeReadyReport { listening, workers: !arguments.no_workers, metrics: metrics.address() };
    let stack = ServiceStack::open(&config, ProcessRole::Serve { workers: ready.workers }).await?;
    // Installed before the ready line is printed, because a supervisor may react to that line at once.
    let stopped = shutdown_signal();
    // Commands that find the directory locked read here whom to ask. Without the file they say who holds it.
    let announced = ServerAnnouncement::write(&config.data_dir, listening, config.server.tls.is_some())
        .inspect_err(
            |error| tracing::warn!(%error, "cannot write server.json; commands will not find this server"),
        )
        .ok();
    // If the ready line cannot be printed, nobody learns the port, so the process ends.
    let served = match console.result(&ready, ready_text) {
        Ok(()) => {
            let serving = async { Ok(stack.serve(&config, listener, stopped).await?) };
            // Boxed, because the future of a whole server is large for the stack of its caller.
            Box::pin(metrics.serve_while(&stack, &config, serving)).await
        }
        Err(failure) => Err(failure),
    };
    // Removed before the stores are closed, so that no command is sent to a server that answers no more.
    drop(announced);
    stack.shutdown().await;
    served.map(|()| CommandExitCode::Done)
}

fn ready_text(ready: &ServeReadyReport) -> String {
    let stages = if ready.workers { "with all stages" } else { "without stages" };
    format!("listening on {} {stages}\n{}", ready.listening, metrics_text(ready.metrics))
}
