//! `contexture work`: runs some stages until it is asked to stop; for scaling out.
//!
//! Any number of processes may run `chunk` and `embed`. Of several processes with `index`, one works and
//! the others are standbys that keep their indexes up to date.

use std::net::SocketAddr;

use clap::{Args, ValueEnum};
use serde::Serialize;

use super::console::ConsoleOutput;
use super::exit::{CommandExitCode, CommandFailure};
use super::global_args::GlobalArgs;
use super::listen::{MetricsListener, metrics_text};
use super::signals::shutdown_signal;
use crate::telemetry;
use crate::wiring::{ProcessRole, ServiceStack};
use contexture_core::domain::task::IngestStage;
use contexture_core::fault::Refusal;

/// What `work` takes.
#[derive(Debug, Args)]
pub(crate) struct WorkArgs {
    /// What to work on
    #[arg(required = true, value_name = "STAGE")]
    stages: Vec<WorkStage>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "snake_case")]
enum WorkStage {
    /// Take in what producers publish to the broker
    Submit,
    /// Bytes to spans
    Chunk,
    /// Spans to vectors
    Embed,
    /// Everything to the index
    Index,
}

impl WorkStage {
    fn stage(self) -> Option<IngestStage> {
        match self {
            Self::Submit => None,
            Self::Chunk => Some(IngestStage::Chunk),
            Self::Embed => Some(IngestStage::Embed),
            Self::Index => Some(IngestStage::Index),
        }
    }
}

/// What is printed once everything is ready.
#[derive(Serialize)]
struct WorkReadyReport {
    working: Vec<WorkStage>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metrics: Option<SocketAddr>,
}

/// Works until it is asked to stop, then finishes the batch at hand.
pub(crate) async fn run(
    arguments: WorkArgs,
    global: &GlobalArgs,
    console: ConsoleOutput,
) -> Result<CommandExitCode, CommandFailure> {
    let config = global.config_with(&[])?;
    telemetry::init_logging(&config.log.level, config.log.format)?;
    let mut work_stages = arguments.stages;
    // Sorted and unique: a stage that is named twice must run once.
    work_stages.sort_by_key(|work_stage| *work_stage as u8);
    work_stages.dedup();
    let submit = work_stages.contains(&WorkStage::Submit);
    if submit && config.backends.broker.is_none() {
        return Err(Refusal::invalid(
            "no_producers_here",
            "stages",
            "submit takes in what producers publish to a RabbitMQ, and broker.url is empty",
        )
        .into());
    }
    let stages = work_stages.iter().filter_map(|work_stage| work_stage.stage()).collect();
    let metrics = MetricsListener::bind(&config).await?;
    let working = WorkReadyReport { working: work_stages, metrics: metrics.address() };
    let stack = ServiceStack::open(&config, ProcessRole::Work { submit, stages }).await?;
    // Installed before the ready line is printed, because a supervisor may react to that line at once.
    let stopped = shutdown_signal();
    let said = console.result(&working, |working| {
        let names: Vec<String> =
            working.working.iter().map(|work_stage| format!("{work_stage:?}").to_lowercase()).collect();
        format!("working on {}\n{}", names.join(", "), metrics_text(working.metrics))
    });
    // If the ready line cannot be printed, whoever started the process is gone, so it ends.
    let worked = match said {
        Ok(()) => {
            // The stages run in tasks of the stack; here is nothing to do but to wait.
            let working = async {
                stopped.await;
                Ok(())
            };
            metrics.serve_while(&stack, &config, working).await
        }
        Err(failure) => Err(failure),
    };
    stack.shutdown().await;
    worked.map(|()| CommandExitCode::Done)
}
