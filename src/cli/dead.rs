//! `contexture dead`: documents that were given up, and what to do about them.

use std::collections::BTreeSet;
use std::time::Duration;

use clap::{Args, Subcommand};
use serde::Serialize;

use super::console::Console;
use super::exit::{Exit, Failure};
use super::global::{Global, existing_collection};
use super::settle;
use super::status::ReasonStatus;
use super::table::{self, Align, Table};
use crate::domain::ids::{CollectionId, CollectionKey, DocumentId, Version};
use crate::domain::task::Stage;
use crate::fault::Refusal;
use crate::ports::clock::{Clock, SystemClock};
use crate::ports::ledger::{DeadFilter, DeadLetter};
use crate::wiring::{Roles, Stack};

/// Most letters handled in one step of the ledger.
const PAGE_LETTERS_MAX: usize = 1000;
/// Most letters of one command.
const LETTERS_MAX: usize = 1_000_000;
/// Letters listed when `--limit` does not say.
const LIST_DEFAULT: usize = 100;

/// What `dead` takes.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List them, oldest first
    List {
        #[command(flatten)]
        selection: Selection,
        /// Most letters to list
        #[arg(long, value_name = "N", default_value_t = LIST_DEFAULT)]
        limit: usize,
    },
    /// Show one
    Show {
        /// Its number, as listed
        #[arg(value_name = "ID")]
        id: u64,
    },
    /// Process them again, from the beginning, and wait for the end
    Replay {
        #[command(flatten)]
        selection: Selection,
        /// Say how many there are, and change nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// Remove them from the list; the documents stay as they are
    Drop {
        #[command(flatten)]
        selection: Selection,
        /// Say how many there are, and change nothing
        #[arg(long)]
        dry_run: bool,
    },
}

#[derive(Debug, Args)]
struct Selection {
    /// Only this collection
    #[arg(long, value_name = "NAME")]
    collection: Option<String>,
    /// Only this reason, such as `unsupported_type`
    #[arg(long, value_name = "CODE")]
    reason: Option<String>,
    /// Only this stage: chunk, embed or index
    #[arg(long, value_name = "STAGE", value_parser = parse_stage)]
    stage: Option<Stage>,
    /// Only since then: 30s, 10m, 2h or 7d ago, or milliseconds since 1970
    #[arg(long, value_name = "TIME", value_parser = parse_since)]
    since: Option<Since>,
    /// Only these numbers
    #[arg(value_name = "ID")]
    ids: Vec<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Since {
    Ago(Duration),
    EpochMs(u64),
}

#[derive(Debug, Serialize)]
struct Letter {
    id: u64,
    collection: CollectionId,
    document_id: DocumentId,
    version: Version,
    stage: Stage,
    reason: ReasonStatus,
    died_ms: u64,
}

#[derive(Debug, Serialize)]
struct Listed {
    dead: Vec<Letter>,
    more: bool,
}

#[derive(Debug, Serialize)]
struct Replay {
    matched: u64,
    replayed: u64,
    dead: u64,
}

#[derive(Debug, Serialize)]
struct Dropped {
    matched: u64,
    dropped: u64,
}

/// Lists, shows, replays or drops dead letters.
pub(crate) async fn run(arguments: Arguments, global: &Global, console: Console) -> Result<Exit, Failure> {
    let workers = matches!(arguments.action, Action::Replay { dry_run: false, .. });
    let roles = if workers { Roles::Change } else { Roles::Look };
    let (_, stack) = global.open_existing(roles).await?;
    let outcome = act(&stack, arguments.action, console).await;
    stack.shutdown().await;
    outcome
}

async fn act(stack: &Stack, action: Action, console: Console) -> Result<Exit, Failure> {
    match action {
        Action::List { selection, limit } => {
            list(stack, &selection.filter(stack).await?, limit, console).await
        }
        Action::Show { id } => show(stack, id, console).await,
        Action::Replay { selection, dry_run } => {
            replay(stack, &selection.filter(stack).await?, dry_run, console).await
        }
        Action::Drop { selection, dry_run } => {
            drop_letters(stack, &selection.filter(stack).await?, dry_run, console).await
        }
    }
}

impl Selection {
    async fn filter(self, stack: &Stack) -> Result<DeadFilter, Failure> {
        let collection = match self.collection {
            None => None,
            Some(name) => Some(existing_collection(stack, &CollectionId::new(&name)?).await?.key),
        };
        let since_ms = self.since.map(|since| match since {
            Since::EpochMs(ms) => ms,
            Since::Ago(ago) => {
                SystemClock.now_ms().saturating_sub(u64::try_from(ago.as_millis()).unwrap_or(u64::MAX))
            }
        });
        Ok(DeadFilter { ids: self.ids, collection, reason: self.reason, stage: self.stage, since_ms })
    }
}

fn parse_stage(name: &str) -> Result<Stage, String> {
    Stage::from_name(name).ok_or_else(|| "expected chunk, embed or index".to_owned())
}

fn parse_since(text: &str) -> Result<Since, String> {
    if let Ok(ms) = text.parse() {
        return Ok(Since::EpochMs(ms));
    }
    let expected = || "expected 30s, 10m, 2h or 7d, or milliseconds since 1970".to_owned();
    let unit = text.chars().next_back().ok_or_else(expected)?;
    let seconds_per_unit = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        _ => return Err(expected()),
    };
    let number: u64 = text[..text.len() - 1].parse().map_err(|_| expected())?;
    let seconds = number.checked_mul(seconds_per_unit).ok_or_else(expected)?;
    Ok(Since::Ago(Duration::from_secs(seconds)))
}

async fn list(stack: &Stack, filter: &DeadFilter, limit: usize, console: Console) -> Result<Exit, Failure> {
    let limit = limit.min(LETTERS_MAX);
    let mut letters = stack.ledger.dead(filter, limit + 1).await?;
    let more = letters.len() > limit;
    letters.truncate(limit);
    let listed = Listed { dead: letters.into_iter().map(Letter::from).collect(), more };
    console.result(&listed, |listed| letters_table(&listed.dead))?;
    if listed.more {
        console.note(&format!("there are more than {limit}; see --limit"));
    }
    Ok(Exit::Done)
}

async fn show(stack: &Stack, id: u64, console: Console) -> Result<Exit, Failure> {
    let filter = DeadFilter { ids: vec![id], ..DeadFilter::default() };
    let letter = stack.ledger.dead(&filter, 1).await?.pop().map(Letter::from).ok_or_else(|| {
        Refusal::not_found(
            "dead_letter_not_found",
            format!("there is no dead letter {id}; 'contexture dead list' shows their numbers"),
        )
    })?;
    console.result(&letter, |letter| {
        format!(
            "dead letter  {}\ncollection   {}\ndocument     {}\nversion      {}\nstage        {}\n\
             reason       {}\ndetail       {}\ndied         {}\n",
            letter.id,
            letter.collection,
            letter.document_id,
            letter.version,
            letter.stage.name(),
            letter.reason.code(),
            table::snippet(letter.reason.detail(), usize::MAX),
            table::time(letter.died_ms)
        )
    })?;
    Ok(Exit::Done)
}

async fn replay(
    stack: &Stack,
    filter: &DeadFilter,
    dry_run: bool,
    console: Console,
) -> Result<Exit, Failure> {
    let letters = stack.ledger.dead(filter, LETTERS_MAX).await?;
    let matched = letters.len() as u64;
    let mut replayed = Replay { matched, replayed: 0, dead: 0 };
    if !dry_run && matched > 0 {
        let collections: BTreeSet<CollectionKey> =
            letters.iter().map(|letter| letter.key.collection_key()).collect();
        let started_ms = SystemClock.now_ms();
        replayed.replayed = stack.replay(filter).await?;
        for collection in collections {
            settle::wait(stack, &collection, None, |_, _, _| {}).await?;
            let again = DeadFilter {
                collection: Some(collection),
                since_ms: Some(started_ms),
                ..DeadFilter::default()
            };
            replayed.dead += stack.ledger.dead(&again, LETTERS_MAX).await?.len() as u64;
        }
    }
    console.result(&replayed, |replayed| {
        if dry_run {
            return format!("would replay {}\n", table::counted(replayed.matched, "version"));
        }
        let replays = table::counted(replayed.replayed, "version");
        format!("replayed {replays}, {} dead again\n", table::count(replayed.dead))
    })?;
    if replayed.dead > 0 {
        return Err(Failure::failed(
            "documents_died",
            format!(
                "{} died again; 'contexture dead list' says why",
                table::counted(replayed.dead, "version")
            ),
        ));
    }
    Ok(Exit::Done)
}

async fn drop_letters(
    stack: &Stack,
    filter: &DeadFilter,
    dry_run: bool,
    console: Console,
) -> Result<Exit, Failure> {
    let letters = stack.ledger.dead(filter, LETTERS_MAX).await?;
    let ids: Vec<u64> = letters.iter().map(|letter| letter.id).collect();
    let mut dropped = Dropped { matched: ids.len() as u64, dropped: 0 };
    if !dry_run {
        for page in ids.chunks(PAGE_LETTERS_MAX) {
            dropped.dropped += stack.ledger.drop_dead(page).await?;
        }
    }
    console.result(&dropped, |dropped| {
        let (verb, number) =
            if dry_run { ("would drop", dropped.matched) } else { ("dropped", dropped.dropped) };
        format!("{verb} {}\n", table::counted(number, "dead letter"))
    })?;
    Ok(Exit::Done)
}

impl From<DeadLetter> for Letter {
    fn from(letter: DeadLetter) -> Self {
        Self {
            id: letter.id,
            collection: letter.key.collection,
            document_id: letter.key.document_id,
            version: letter.key.version,
            stage: letter.stage,
            reason: letter.reason.into(),
            died_ms: letter.died_ms,
        }
    }
}

fn letters_table(letters: &[Letter]) -> String {
    let mut lines = Table::new(&[
        ("id", Align::Right),
        ("died", Align::Left),
        ("stage", Align::Left),
        ("collection", Align::Left),
        ("document", Align::Left),
        ("version", Align::Right),
        ("reason", Align::Left),
    ]);
    for letter in letters {
        lines.row([
            letter.id.to_string(),
            table::time(letter.died_ms),
            letter.stage.name().to_owned(),
            letter.collection.to_string(),
            letter.document_id.to_string(),
            letter.version.to_string(),
            letter.reason.code().to_owned(),
        ]);
    }
    lines.render()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Since, parse_since};

    #[test]
    fn since_is_an_age_or_a_time() {
        assert_eq!(parse_since("90s"), Ok(Since::Ago(Duration::from_secs(90))));
        assert_eq!(parse_since("10m"), Ok(Since::Ago(Duration::from_mins(10))));
        assert_eq!(parse_since("2h"), Ok(Since::Ago(Duration::from_hours(2))));
        assert_eq!(parse_since("7d"), Ok(Since::Ago(Duration::from_hours(168))));
        assert_eq!(parse_since("1709208000000"), Ok(Since::EpochMs(1_709_208_000_000)));
        for wrong in ["", "m", "10 minutes", "1w", "-1h", "9ä", "99999999999999999999d"] {
            assert!(parse_since(wrong).is_err(), "{wrong}");
        }
    }
}
