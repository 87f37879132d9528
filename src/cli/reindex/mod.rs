//! `contexture reindex`: another pipeline for a collection, without downtime.
//!
//! A re-index belongs to the ledger: it goes on in whatever process builds. Where the data belongs
//! to one process, that is this command while it waits, a `serve`, or any other that works.

mod compare;
mod questions;
mod report;
mod show;
mod watch;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use serde::Serialize;

use compare::{Asked, Asking};

use super::console::Console;
use super::exit::{Exit, Failure};
use super::global::{Global, existing_collection, read_pipeline};
use crate::domain::ids::{CollectionId, CollectionKey, Generation};
use crate::domain::pipeline::Pipeline;
use crate::fault::Refusal;
use crate::ports::generations::BuildPace;
use crate::wiring::{Roles, Stack};

/// How long a dropped generation stays, unless another time is given.
const GRACE_SECONDS: u64 = 60;
/// How long a command waits until an activated generation serves.
const SERVING_MAX: Duration = Duration::from_mins(1);

/// What `reindex` takes.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Args)]
struct Home {
    /// The collection
    #[arg(long, value_name = "NAME")]
    collection: String,
}

#[derive(Debug, Args)]
struct Pace {
    /// At most so many documents per second
    #[arg(long, value_name = "N")]
    documents_per_second: Option<u32>,
    /// At most this share of what the provider of the model bears, in percent
    #[arg(long, value_name = "PERCENT")]
    provider_percent: Option<u32>,
}

impl Pace {
    fn given(&self) -> Option<BuildPace> {
        (self.documents_per_second.is_some() || self.provider_percent.is_some()).then(|| self.or_default())
    }

    fn or_default(&self) -> BuildPace {
        let default = BuildPace::default();
        BuildPace {
            documents_per_second: self.documents_per_second,
            provider_percent: self.provider_percent.unwrap_or(default.provider_percent),
        }
    }
}

#[derive(Debug, Args)]
struct Waiting {
    /// Return at once; the re-index goes on where documents are processed
    #[arg(long)]
    no_wait: bool,
    /// Give up waiting after this long; the re-index stays
    #[arg(long, value_name = "SECONDS", conflicts_with = "no_wait")]
    timeout: Option<u64>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Build a generation under another pipeline, next to the one that serves
    Start {
        #[command(flatten)]
        home: Home,
        /// The other pipeline, a TOML file; the one it has, unless given: for a program that builds it
        /// otherwise than the one before
        #[arg(long, value_name = "FILE")]
        pipeline: Option<PathBuf>,
        #[command(flatten)]
        pace: Pace,
        #[command(flatten)]
        waiting: Waiting,
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
        home: Home,
    },
    /// Stop building for now
    Pause {
        #[command(flatten)]
        home: Home,
    },
    /// Go on building, at another pace if one is given
    Resume {
        #[command(flatten)]
        home: Home,
        #[command(flatten)]
        pace: Pace,
        #[command(flatten)]
        waiting: Waiting,
    },
    /// Give up the generation that is being built
    Cancel {
        #[command(flatten)]
        home: Home,
    },
    /// Ask the active generation and the one that is being built the same questions
    Compare {
        #[command(flatten)]
        home: Home,
        /// Two others, the one to compare with first
        #[arg(long, value_name = "A,B", value_parser = compare::parse_generations)]
        generations: Option<[Generation; 2]>,
        #[command(flatten)]
        asking: Asking,
    },
    /// Let the generation serve that was built, if it holds what is required; the one before is kept
    Activate {
        #[command(flatten)]
        home: Home,
        /// Even if it cannot have some documents
        #[arg(long)]
        allow_failed: bool,
        #[command(flatten)]
        asking: Asking,
    },
    /// Let the generation serve again that served before
    Rollback {
        #[command(flatten)]
        home: Home,
    },
    /// Drop a generation that is kept
    Drop {
        #[command(flatten)]
        home: Home,
        /// Its number; the oldest one that is kept, unless given
        #[arg(long, value_name = "N")]
        generation: Option<Generation>,
        /// How long a rollback stays possible
        #[arg(long, value_name = "SECONDS", default_value_t = GRACE_SECONDS)]
        grace: u64,
    },
}

impl Action {
    fn home(&self) -> &Home {
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
    fn roles(&self) -> Roles {
        match self {
            Self::Status { .. } | Self::Start { dry_run: true, .. } => Roles::Look,
            // It asks; where nobody else builds, it builds on meanwhile.
            Self::Compare { .. } => Roles::Ask { awaits: true },
            Self::Activate { asking, .. } if asking.asks() => Roles::Ask { awaits: true },
            _ => Roles::Change,
        }
    }

    /// What it is to ask, read before anything is opened.
    fn asked(&self) -> Result<Option<Asked>, Refusal> {
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
struct Changed {
    collection: CollectionId,
    generation: Generation,
    done: &'static str,
}

/// Does one thing to the generations of a collection.
pub(crate) async fn run(arguments: Arguments, global: &Global, console: Console) -> Result<Exit, Failure> {
    let action = arguments.action;
    let collection = CollectionId::new(&action.home().collection)?;
    let pipeline = match &action {
        Action::Start { pipeline, .. } => read_pipeline(pipeline.as_deref())?,
        _ => None,
    };
    let asked = action.asked()?;
    let (_, stack) = global.open_reading_for(action.roles(), action.tokenizer()).await?;
    let outcome = async {
        let home = existing_collection(&stack, &collection).await?;
        let pipeline = pipeline.map_or_else(|| Pipeline::from_toml(&home.pipeline), Ok)?;
        let key = home.key;
        match action {
            Action::Start { dry_run: true, .. } => {
                let (estimate, embedder) = stack.estimate_reindex(&key, &pipeline).await?;
                let pace = embedder.pace().await?;
                super::dry_run::show_reindex(&embedder.info().model, estimate, pace, console)
            }
            Action::Start { pace, waiting, activate, .. } => {
                let record = stack.begin_reindex(&key, &pipeline, pace.or_default()).await?;
                console.note(&format!(
                    "generation {} of '{collection}' is being built; queries are served by the active one",
                    record.home.generation
                ));
                wait(&stack, &key, waiting, activate, console).await
            }
            other => act(&stack, &key, other, asked, console).await,
        }
    }
    .await;
    stack.shutdown().await;
    outcome
}

async fn act(
    stack: &Stack,
    key: &CollectionKey,
    action: Action,
    asked: Option<Asked>,
    console: Console,
) -> Result<Exit, Failure> {
    let reindexing = stack.reindexing();
    match action {
        // Starting is done by whoever calls, with its pipeline.
        Action::Start { .. } | Action::Status { .. } => show::all(stack, key, console).await,
        Action::Pause { .. } => {
            let generation = reindexing.pause(key).await?;
            say(key, generation, "paused", console)
        }
        Action::Resume { pace, waiting, .. } => {
            reindexing.resume(key, pace.given()).await?;
            wait(stack, key, waiting, false, console).await
        }
        Action::Cancel { .. } => {
            let generation = reindexing.cancel(key).await?;
            say(key, generation, "cancelled", console)
        }
        Action::Compare { generations, .. } => match asked {
            Some(asked) => compare::run(stack, key, asked, generations, console).await,
            None => Err(Refusal::invalid("questions_missing", "questions", "--questions is missing").into()),
        },
        Action::Activate { allow_failed, .. } => {
            if let Some(asked) = asked {
                compare::require(stack, key, asked, console).await?;
            }
            let generation = watch::once_caught_up(|| reindexing.activate(key, allow_failed)).await?;
            serving(stack, key, generation, console).await
        }
        Action::Rollback { .. } => {
            let generation = watch::once_caught_up(|| reindexing.rollback(key)).await?;
            serving(stack, key, generation, console).await
        }
        Action::Drop { generation, grace, .. } => {
            let generation = reindexing.drop_kept(key, generation, grace.saturating_mul(1000)).await?;
            if grace == 0 {
                return say(key, generation, "dropped", console);
            }
            console.note(&format!("it goes in {grace} s; until then reindex rollback brings it back"));
            say(key, generation, "to be dropped", console)
        }
    }
}

async fn wait(
    stack: &Stack,
    key: &CollectionKey,
    waiting: Waiting,
    activate: bool,
    console: Console,
) -> Result<Exit, Failure> {
    let reindexing = stack.reindexing();
    if waiting.no_wait {
        return show::building(stack, key, console).await;
    }
    watch::until_caught_up(stack, key, waiting.timeout.map(Duration::from_secs), console).await?;
    if activate {
        let generation = reindexing.activate(key, false).await?;
        return serving(stack, key, generation, console).await;
    }
    console.note(&format!(
        "it has caught up, and is kept so; 'contexture reindex activate --collection {}' lets it serve",
        key.collection
    ));
    show::building(stack, key, console).await
}

/// Waits until an activated generation serves here, where this process serves at all.
async fn serving(
    stack: &Stack,
    key: &CollectionKey,
    generation: Generation,
    console: Console,
) -> Result<Exit, Failure> {
    stack.until_serving(key, generation, SERVING_MAX).await?;
    say(key, generation, "active", console)
}

fn say(
    key: &CollectionKey,
    generation: Generation,
    done: &'static str,
    console: Console,
) -> Result<Exit, Failure> {
    let changed = Changed { collection: key.collection.clone(), generation, done };
    console.result(&changed, |done| {
        format!("generation {} of '{}': {}\n", done.generation, done.collection, done.done)
    })?;
    Ok(Exit::Done)
}
