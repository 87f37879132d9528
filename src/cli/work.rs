//! `contexture work`: some stages, until asked to stop; for scaling out.
//!
//! Any number of processes may run `chunk` and `embed`. `index` in several processes: one works,
//! the others stand by with their indexes up to date.

use std::net::SocketAddr;

use clap::{Args, ValueEnum};
use serde::Serialize;

use super::console::Console;
use super::exit::{Exit, Failure};
use super::global::Global;
use super::interrupt::interrupted;
use super::listen::{Metrics, metrics_text};
use crate::domain::task::Stage;
use crate::fault::Refusal;
use crate::telemetry;
use crate::wiring::{Roles, Stack};

/// What `work` takes.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// What to work on
    #[arg(required = true, value_name = "STAGE")]
    stages: Vec<Part>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "snake_case")]
enum Part {
    /// Take in what producers publish to the broker
    Submit,
    /// Bytes to spans
    Chunk,
    /// Spans to vectors
    Embed,
    /// Everything to the index
    Index,
}

impl Part {
    fn stage(self) -> Option<Stage> {
        match self {
            Self::Submit => None,
            Self::Chunk => Some(Stage::Chunk),
            Self::Embed => Some(Stage::Embed),
            Self::Index => Some(Stage::Index),
        }
    }
}

#[derive(Serialize)]
struct Working {
    working: Vec<Part>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metrics: Option<SocketAddr>,
}

/// Works until Ctrl-C or SIGTERM, then finishes the batch at hand.
pub(crate) async fn run(arguments: Arguments, global: &Global, console: Console) -> Result<Exit, Failure> {
    let config = global.config_with(&[])?;
    telemetry::init(&config.log.level, config.log.format)?;
    let mut parts = arguments.stages;
    parts.sort_by_key(|part| *part as u8);
    parts.dedup();
    let submit = parts.contains(&Part::Submit);
    if submit && config.backends.broker.is_none() {
        return Err(Refusal::invalid(
            "no_producers_here",
            "stages",
            "submit takes in what producers publish to a RabbitMQ, and broker.url is empty",
        )
        .into());
    }
    let stages = parts.iter().filter_map(|part| part.stage()).collect();
    let metrics = Metrics::bind(&config).await?;
    let working = Working { working: parts, metrics: metrics.address() };
    let stack = Stack::open(&config, Roles::Work { submit, stages }).await?;
    let stopped = interrupted();
    let said = console.result(&working, |working| {
        let names: Vec<String> =
            working.working.iter().map(|part| format!("{part:?}").to_lowercase()).collect();
        format!("working on {}\n{}", names.join(", "), metrics_text(working.metrics))
    });
    let worked = match said {
        Ok(()) => {
            let working = async {
                stopped.await;
                Ok(())
            };
            metrics.beside(&stack, &config, working).await
        }
        Err(failure) => Err(failure),
    };
    stack.shutdown().await;
    worked.map(|()| Exit::Done)
}
