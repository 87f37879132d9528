//! `contexture reindex`: another pipeline for a collection, without downtime.
//!
//! A re-index belongs to the ledger: it goes on in whatever process builds. Where the data belongs
//! to one process, that is this command while it waits, a `serve`, or any other that works.

mod catch_up;
mod compare;
mod generation_status;
mod questions;
mod report;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use serde::Serialize;

use compare::{ComparisonArgs, PreparedComparison};

use super::console::ConsoleOutput;
use super::exit::{CommandExitCode, CommandFailure};
use super::global_args::{GlobalArgs, existing_collection, read_pipeline};
use crate::wiring::{ProcessRole, ServiceStack};
use contexture_core::domain::ids::{CollectionId, CollectionKey, GenerationNumber};
use contexture_core::domain::pipeline::Pipeline;
use contexture_core::fault::Refusal;
use contexture_core::ports::generations::GenerationBuildPace;

/// How long a dropped generation stays, unless another time is given.
const GRACE_SECONDS: u64 = 60;
/// How long a command waits until an activated generation serves.
const SERVING_MAX: Duration = Duration::from_mins(1);

/// What `reindex` takes.
#[derive(Debug, Args)]
pub(crate) struct ReindexArgs {
    #[command(subcommand)]
    action: ReindexCommand,
}

#[derive(Debug, Args)]
struct CollectionArg {
    /// The collection
    #[arg(long, value_name = "NAME")]
    collection: String,
}

#[derive(Debug, Args)]
struct BuildPaceArgs {
    /// At most so many documents per second
    #[arg(long, value_name = "N")]
    documents_per_second: Option<u32>,
    /// At most this share of what the provider of the model bears, in percent
    #[arg(long, value_name = "PERCENT")]
    provider_percent: Option<u32>,
}

impl BuildPaceArgs {
    fn given(&self) -> Option<GenerationBuildPace> {
        (self.documents_per_second.is_some() || self.provider_percent.is_some()).then(|| self.or_default())
    }

    fn or_default(&self) -> GenerationBuildPace {
        let default = GenerationBuildPace::default();
        GenerationBuildPace {
            documents_per_second: self.documents_per_second,
            provider_percent: self.provider_percent.unwrap_or(default.provider_percent),
        }
    }
}

#[derive(Debug, Args)]
struct ReindexWaitArgs {
    /// Return at once; the re-index goes on where documents are processed
    #[arg(long)]
    no_wait: bool,
    /// Give up waiting after this long; the re-index stays
    #[arg(long, value_name = "SECONDS", conflicts_with = "no_wait")]
    timeout: Option<u64>,
}

#[derive(Debug, Subcommand)]
enum ReindexCommand {
    /// Build a generation under another pipeline, next to the one that serves
    Start {
        #[command(flatten)]
        home: CollectionArg,
        /// The other pipeline, a TOML file; the one it has, unless given: for a program that builds it
        /// otherwise than the one before
        #[arg(long, value_name = "FILE")]
        pipeline: Option<PathBuf>,
        #[command(flatten)]
        pace: BuildPaceArgs,
        #[command(flatten)]
        waiting: ReindexWaitArgs,
        /// Let it serve as soon as it has caught up
        #[arg(long, conflicts_with = "no_wait")]
        activate: bool,
        /// Say what it would cost, and change nothing
        #[arg(long, conflicts_with_all = ["no_wait", "timeout", "activate"])]
        dry_run: bool,
    },
    /// Show the generations of a collection
    Status {
        #[command(flatten)]
        home: CollectionArg,
    },
    /// Stop building for now
    Pause {
        #[command(flatten)]
        home: CollectionArg,
    },
    /// Go on building, at another pace if one is given
    Resume {
        #[command(flatten)]
        home: CollectionArg,
        #[command(flatten)]
        pace: BuildPaceArgs,
        #[command(flatten)]
        waiting: ReindexWaitArgs,
    },
    /// Give up the generation that is being built
    Cancel {
        #[command(flatten)]
        home: CollectionArg,
    },
    /// Ask the active generation and the one that is being built the same questions
    Compare {
        #[command(flatten)]
        home: CollectionArg,
        /// Two others, the one to compare with first
        #[arg(long, value_name = "A,B", value_parser = compare::parse_generations)]
        generations: Option<[GenerationNumber; 2]>,
        #[command(flatten)]
        asking: ComparisonArgs,
    },
    /// Let the generation serve that was built, if it holds what is required; the one before is kept
    Activate {
        #[command(flatten)]
        home: CollectionArg,
        /// Even if it cannot have some documents
        #[arg(long)]
        allow_failed: bool,
        #[command(flatten)]
        asking: ComparisonArgs,
    },
    /// Let the generation serve again that served before
    Rollback {
        #[command(flatten)]
        home: CollectionArg,
    },
    /// Drop a generation that is kept
    Drop {
        #[command(flatten)]
        home: CollectionArg,
        /// Its number; the oldest one that is kept, unless given
        #[arg(long, value_name = "N")]
        generation: Option<GenerationNumber>,
        /// How long a rollback stays possible
        #[arg(long, value_name = "SECONDS", default_value_t = GRACE_SECONDS)]
        grace: u64,
    },
}

impl ReindexCommand {
    fn home(&self) -> &CollectionArg {
        match self {
            Self::Start { home, .. }
            | Self::Status { home }
            | Self::Pause { home }
            | Self::Resume { home, .. }
            | Self::Cancel { home }
            | Self::Compare { home, .. }
            | Self::Activate { home, .. }
            | Self::Rollback { home }
            | Self::Drop { home, .. } => home,
        }
    }

    /// Whether the command changes what processes open, or builds itself.
    fn roles(&self) -> ProcessRole {
        match self {
            Self::Status { .. } | Self::Start { dry_run: true, .. } => ProcessRole::Look,
            // It asks; where nobody else builds, it builds on meanwhile.
            Self::Compare { .. } => ProcessRole::Ask { awaits: true },
            Self::Activate { asking, .. } if asking.asks() => ProcessRole::Ask { awaits: true },
            _ => ProcessRole::Change,
        }
    }

    /// What it is to ask, read before anything is opened.
    fn asked(&self) -> Result<Option<PreparedComparison>, Refusal> {
        match self {
            Self::Compare { asking, .. } => asking.read().map(Some),
            Self::Activate { asking, .. } => asking.read_gate(),
            _ => Ok(None),
        }
    }

    /// The tokenizer that it names.
    fn tokenizer(&self) -> Option<&str> {
        match self {
            Self::Compare { asking, .. } | Self::Activate { asking, .. } => asking.tokenizer(),
            _ => None,
        }
    }
}

/// What was done, for scripts.
#[derive(Debug, Serialize)]
struct ReindexOutcome {
    collection: CollectionId,
    generation: GenerationNumber,
    done: &'static str,
}

/// Does one thing to the generations of a collection.
pub(crate) async fn run(
    arguments: ReindexArgs,
    global: &GlobalArgs,
    console: ConsoleOutput,
) -> Result<CommandExitCode, CommandFailure> {
    let action = arguments.action;
    let collection = CollectionId::new(&action.home().collection)?;
    let pipeline = match &action {
        ReindexCommand::Start { pipeline, .. } => read_pipeline(pipeline.as_deref())?,
        _ => None,
    };
    let asked = action.asked()?;
    let (_, stack) = global.open_reading_for(action.roles(), action.tokenizer()).await?;
    let outcome = async {
        let home = existing_collection(&stack, &collection).await?;
        let pipeline = pipeline.map_or_else(|| Pipeline::from_toml(&home.pipeline), Ok)?;
        let key = home.key;
        match action {
            ReindexCommand::Start { dry_run: true, .. } => {
                let (estimate, embedder) = stack.estimate_reindex(&key, &pipeline).await?;
                let pace = embedder.pace().await?;
                super::dry_run::show_reindex_forecast(&embedder.info().model, estimate, pace, console)
            }
            ReindexCommand::Start { pace, waiting, activate, .. } => {
                let record = stack.begin_reindex(&key, &pipeline, pace.or_default()).await?;
                console.note(&format!(
                    "generation {} of '{collection}' is being built; queries are served by the active one",
                    record.home.generation
                ));
                wait_and_activate(&stack, &key, waiting, activate, console).await
            }
            other => run_command(&stack, &key, other, asked, console).await,
        }
    }
    .await;
    stack.shutdown().await;
    outcome
}

async fn run_command(
    stack: &ServiceStack,
    key: &CollectionKey,
    action: ReindexCommand,
    asked: Option<PreparedComparison>,
    console: ConsoleOutput,
) -> Result<CommandExitCode, CommandFailure> {
    let reindexing = stack.reindexing();
    match action {
        // Starting is done by whoever calls, with its pipeline.
        ReindexCommand::Start { .. } | ReindexCommand::Status { .. } => {
            generation_status::print_all(stack, key, console).await
        }
        ReindexCommand::Pause { .. } => {
            let generation = reindexing.pause(key).await?;
            report_outcome(key, generation, "paused", console)
        }
        ReindexCommand::Resume { pace, waiting, .. } => {
            reindexing.resume(key, pace.given()).await?;
            wait_and_activate(stack, key, waiting, false, console).await
        }
        ReindexCommand::Cancel { .. } => {
            let generation = reindexing.cancel(key).await?;
            report_outcome(key, generation, "cancelled", console)
        }
        ReindexCommand::Compare { generations, .. } => match asked {
            Some(asked) => compare::run(stack, key, asked, generations, console).await,
            None => Err(Refusal::invalid("questions_missing", "questions", "--questions is missing").into()),
        },
        ReindexCommand::Activate { allow_failed, .. } => {
            if let Some(asked) = asked {
                compare::require_before_activation(stack, key, asked, console).await?;
            }
            let generation =
                catch_up::retry_until_caught_up(|| reindexing.activate(key, allow_failed)).await?;
            wait_until_serving(stack, key, generation, console).await
        }
        ReindexCommand::Rollback { .. } => {
            let generation = catch_up::retry_until_caught_up(|| reindexing.rollback(key)).await?;
            wait_until_serving(stack, key, generation, console).await
        }
        ReindexCommand::Drop { generation, grace, .. } => {
            let generation = reindexing.drop_kept(key, generation, grace.saturating_mul(1000)).await?;
            if grace == 0 {
                return report_outcome(key, generation, "dropped", console);
            }
            console.note(&format!("it goes in {grace} s; until then reindex rollback brings it back"));
            report_outcome(key, generation, "to be dropped", console)
        }
    }
}

async fn wait_and_activate(
    stack: &ServiceStack,
    key: &CollectionKey,
    waiting: ReindexWaitArgs,
    activate: bool,
    console: ConsoleOutput,
) -> Result<CommandExitCode, CommandFailure> {
    let reindexing = stack.reindexing();
    if waiting.no_wait {
        return generation_status::print_building(stack, key, console).await;
    }
    catch_up::wait_until_caught_up(stack, key, waiting.timeout.map(Duration::from_secs), console).await?;
    if activate {
        let generation = reindexing.activate(key, false).await?;
        return wait_until_serving(stack, key, generation, console).await;
    }
    console.note(&format!(
        "it has caught up, and is kept so; 'contexture reindex activate --collection {}' lets it serve",
        key.collection
    ));
    generation_status::print_building(stack, key, console).await
}

/// Waits until an activated generation serves here, where this process serves at all.
async fn wait_until_serving(
    stack: &ServiceStack,
    key: &CollectionKey,
    generation: GenerationNumber,
    console: ConsoleOutput,
) -> Result<CommandExitCode, CommandFailure> {
    stack.until_serving(key, generation, SERVING_MAX).await?;
    report_outcome(key, generation, "active", console)
}

fn report_outcome(
    key: &CollectionKey,
    generation: GenerationNumber,
    done: &'static str,
    console: ConsoleOutput,
) -> Result<CommandExitCode, CommandFailure> {
    let changed = ReindexOutcome { collection: key.collection.clone(), generation, done };
    console.result(&changed, |done| {
        format!("generation {} of '{}': {}\n", done.generation, done.collection, done.done)
    })?;
    Ok(CommandExitCode::Done)
}
