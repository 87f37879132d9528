//! `contexture reindex`: rebuilds a collection with another pipeline, without downtime.
//!
//! A re-index is stored in the ledger, and any working process continues it. If only one process can use
//! the data, that is this command while it waits, a `serve`, or another working command. With a server, all
//! work is there.

mod catch_up;
mod compare;
mod generation_operations;
mod generation_status;
mod questions;
mod report;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use serde::Serialize;

use compare::{ComparisonArgs, PreparedComparison};
use generation_operations::LocalGenerations;

pub(crate) use generation_operations::{ComparisonProgress, GenerationOperations, GenerationStatus};

use super::command_target::CommandTarget;
use super::console::ConsoleOutput;
use super::exit::{CommandExitCode, CommandFailure};
use super::global_args::{GlobalArgs, existing_collection, read_pipeline};
use super::remote::{RemoteGenerations, RemoteServer};
use super::server_choice::{not_on_a_server, server_side_caller};
use crate::config::NamedFileConfig;
use crate::wiring::{ProcessRole, ServiceStack};
use contexture_core::domain::ids::{CollectionId, GenerationNumber};
use contexture_core::domain::pipeline::Pipeline;
use contexture_core::fault::Refusal;
use contexture_core::ports::generations::GenerationBuildPace;

/// Default time for which a dropped generation stays.
const GRACE_SECONDS: u64 = 60;

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
        target: CollectionArg,
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
        target: CollectionArg,
    },
    /// Stop building for now
    Pause {
        #[command(flatten)]
        target: CollectionArg,
    },
    /// Go on building, at another pace if one is given
    Resume {
        #[command(flatten)]
        target: CollectionArg,
        #[command(flatten)]
        pace: BuildPaceArgs,
        #[command(flatten)]
        waiting: ReindexWaitArgs,
    },
    /// Give up the generation that is being built
    Cancel {
        #[command(flatten)]
        target: CollectionArg,
    },
    /// Ask the active generation and the one that is being built the same questions
    Compare {
        #[command(flatten)]
        target: CollectionArg,
        /// Two others, the one to compare with first
        #[arg(long, value_name = "A,B", value_parser = compare::parse_generations)]
        generations: Option<[GenerationNumber; 2]>,
        #[command(flatten)]
        comparison: ComparisonArgs,
    },
    /// Let the generation serve that was built, if it holds what is required; the one before is kept
    Activate {
        #[command(flatten)]
        target: CollectionArg,
        /// Even if it cannot have some documents
        #[arg(long)]
        allow_failed: bool,
        #[command(flatten)]
        comparison: ComparisonArgs,
    },
    /// Let the generation serve again that served before
    Rollback {
        #[command(flatten)]
        target: CollectionArg,
    },
    /// Drop a generation that is kept
    Drop {
        #[command(flatten)]
        target: CollectionArg,
        /// Its number; the oldest one that is kept, unless given
        #[arg(long, value_name = "N")]
        generation: Option<GenerationNumber>,
        /// How long a rollback stays possible
        #[arg(long, value_name = "SECONDS", default_value_t = GRACE_SECONDS)]
        grace: u64,
    },
}

impl ReindexCommand {
    fn target(&self) -> &CollectionArg {
        match self {
            Self::Start { target, .. }
            | Self::Status { target }
            | Self::Pause { target }
            | Self::Resume { target, .. }
            | Self::Cancel { target }
            | Self::Compare { target, .. }
            | Self::Activate { target, .. }
            | Self::Rollback { target }
            | Self::Drop { target, .. } => target,
        }
    }

    /// The role of the process for this command.
    fn roles(&self) -> ProcessRole {
        match self {
            Self::Status { .. } | Self::Start { dry_run: true, .. } => ProcessRole::Look,
            // It only asks questions. With `awaits` it also builds on meanwhile, if no other process does.
            Self::Compare { .. } => ProcessRole::Ask { awaits: true },
            Self::Activate { comparison, .. } if comparison.asks() => ProcessRole::Ask { awaits: true },
            _ => ProcessRole::Change,
        }
    }

    /// The questions to ask, if any. Read and checked before anything is opened.
    fn prepare_comparison(&self) -> Result<Option<PreparedComparison>, Refusal> {
        match self {
            Self::Compare { comparison, .. } => comparison.read().map(Some),
            Self::Activate { comparison, .. } => comparison.read_gate(),
            _ => Ok(None),
        }
    }

    /// The tokenizer that the command names.
    fn tokenizer(&self) -> Option<&str> {
        match self {
            Self::Compare { comparison, .. } | Self::Activate { comparison, .. } => comparison.tokenizer(),
            _ => None,
        }
    }
}

/// What was done. The field names are a contract.
#[derive(Debug, Serialize)]
struct ReindexOutcome<'a> {
    collection: &'a str,
    generation: GenerationNumber,
    done: &'static str,
}

/// Runs one command on the generations of a collection.
pub(crate) async fn run(
    arguments: ReindexArgs,
    global: &GlobalArgs,
    console: ConsoleOutput,
) -> Result<CommandExitCode, CommandFailure> {
    let action = arguments.action;
    let collection = CollectionId::new(&action.target().collection)?;
    // Files are read before the stack is opened, so that a bad one fails fast.
    let pipeline = match &action {
        ReindexCommand::Start { pipeline, .. } => read_pipeline(pipeline.as_deref())?,
        _ => None,
    };
    let prepared = action.prepare_comparison()?;
    match global.open_for(action.roles(), action.tokenizer()).await? {
        CommandTarget::Server(server) => {
            run_on_server(server, &collection, action, pipeline, prepared, console).await
        }
        CommandTarget::Here(stack, _) => {
            let outcome = run_here(&stack, &collection, action, pipeline, prepared, console).await;
            stack.shutdown().await;
            outcome
        }
    }
}

async fn run_on_server(
    server: RemoteServer,
    collection: &CollectionId,
    action: ReindexCommand,
    pipeline: Option<Pipeline>,
    prepared: Option<PreparedComparison>,
    console: ConsoleOutput,
) -> Result<CommandExitCode, CommandFailure> {
    if matches!(action, ReindexCommand::Start { dry_run: true, .. }) {
        return Err(not_on_a_server("--dry-run", "run it without a server, on the data directory").into());
    }
    if action.tokenizer().is_some_and(|name| NamedFileConfig::from_tokenizer_option(name).is_some()) {
        return Err(not_on_a_server(
            "--tokenizer FILE",
            "name it in the server's configuration ([[tokenizers]])",
        )
        .into());
    }
    let generations =
        RemoteGenerations { server, caller: server_side_caller()?, collection: collection.to_string() };
    run_command(&generations, action, pipeline, prepared, console).await
}

async fn run_here(
    stack: &ServiceStack,
    collection: &CollectionId,
    action: ReindexCommand,
    pipeline: Option<Pipeline>,
    prepared: Option<PreparedComparison>,
    console: ConsoleOutput,
) -> Result<CommandExitCode, CommandFailure> {
    let record = existing_collection(stack, collection).await?;
    // Without a file the stored pipeline is built again. A newer program may build it differently.
    let stored_pipeline = Pipeline::from_toml(&record.pipeline)?;
    if let ReindexCommand::Start { dry_run: true, .. } = action {
        let pipeline = pipeline.unwrap_or(stored_pipeline);
        let (estimate, embedder) = stack.estimate_reindex(&record.key, &pipeline).await?;
        let pace = embedder.pace().await?;
        return super::dry_run::show_reindex_forecast(&embedder.info().model, estimate, pace, console);
    }
    let generations = LocalGenerations { stack, key: record.key, stored_pipeline };
    run_command(&generations, action, pipeline, prepared, console).await
}

async fn run_command(
    generations: &dyn GenerationOperations,
    action: ReindexCommand,
    pipeline: Option<Pipeline>,
    prepared: Option<PreparedComparison>,
    console: ConsoleOutput,
) -> Result<CommandExitCode, CommandFailure> {
    match action {
        ReindexCommand::Start { pace, waiting, activate, .. } => {
            let begun = generations.start(pipeline.as_ref(), pace.or_default()).await?;
            console.note(&format!(
                "generation {begun} of '{}' is being built; queries are served by the active one",
                generations.collection()
            ));
            wait_and_activate(generations, waiting, activate, console).await
        }
        ReindexCommand::Status { .. } => generation_status::print_all(generations, console).await,
        ReindexCommand::Pause { .. } => {
            let generation = generations.pause().await?;
            report_outcome(generations, generation, "paused", console)
        }
        ReindexCommand::Resume { pace, waiting, .. } => {
            generations.resume(pace.given()).await?;
            wait_and_activate(generations, waiting, false, console).await
        }
        ReindexCommand::Cancel { .. } => {
            let generation = generations.cancel().await?;
            report_outcome(generations, generation, "cancelled", console)
        }
        ReindexCommand::Compare { generations: pair, .. } => match prepared {
            Some(prepared) => compare::run(generations, prepared, pair, console).await,
            None => Err(Refusal::invalid("questions_missing", "questions", "--questions is missing").into()),
        },
        ReindexCommand::Activate { allow_failed, .. } => {
            if let Some(prepared) = prepared {
                compare::require_before_activation(generations, prepared, console).await?;
            }
            let generation = catch_up::retry_until_caught_up(|| generations.activate(allow_failed)).await?;
            wait_until_serving(generations, generation, console).await
        }
        ReindexCommand::Rollback { .. } => {
            let generation = catch_up::retry_until_caught_up(|| generations.rollback()).await?;
            wait_until_serving(generations, generation, console).await
        }
        ReindexCommand::Drop { generation, grace, .. } => {
            // Any number of seconds may be given; one that is too large means for ever.
            let generation = generations.drop_kept(generation, grace.saturating_mul(1000)).await?;
            if grace == 0 {
                return report_outcome(generations, generation, "dropped", console);
            }
            console.note(&format!("it goes in {grace} s; until then reindex rollback brings it back"));
            report_outcome(generations, generation, "to be dropped", console)
        }
    }
}

async fn wait_and_activate(
    generations: &dyn GenerationOperations,
    waiting: ReindexWaitArgs,
    activate: bool,
    console: ConsoleOutput,
) -> Result<CommandExitCode, CommandFailure> {
    if waiting.no_wait {
        return generation_status::print_building(generations, console).await;
    }
    catch_up::wait_until_caught_up(generations, waiting.timeout.map(Duration::from_secs), console).await?;
    if activate {
        let generation = generations.activate(false).await?;
        return wait_until_serving(generations, generation, console).await;
    }
    console.note(&format!(
        "it has caught up, and is kept so; 'contexture reindex activate --collection {}' lets it serve",
        generations.collection()
    ));
    generation_status::print_building(generations, console).await
}

/// Waits until an activated generation serves in this process, if it serves at all.
async fn wait_until_serving(
    generations: &dyn GenerationOperations,
    generation: GenerationNumber,
    console: ConsoleOutput,
) -> Result<CommandExitCode, CommandFailure> {
    generations.until_serving(generation).await?;
    report_outcome(generations, generation, "active", console)
}

fn report_outcome(
    generations: &dyn GenerationOperations,
    generation: GenerationNumber,
    done: &'static str,
    console: ConsoleOutput,
) -> Result<CommandExitCode, CommandFailure> {
    let changed = ReindexOutcome { collection: generations.collection(), generation, done };
    console.result(&changed, |done| {
        format!("generation {} of '{}': {}\n", done.generation, done.collection, done.done)
    })?;
    Ok(CommandExitCode::Done)
}
