//! `contexture dead`: lists, shows, replays and drops dead letters.

use std::collections::BTreeSet;
use std::time::Duration;

use clap::{Args, Subcommand};
use serde::Serialize;

use super::console::ConsoleOutput;
use super::drain;
use super::exit::{CommandExitCode, CommandFailure};
use super::global_args::{GlobalArgs, existing_collection};
use super::status::ReasonStatus;
use super::text_format::{self, ColumnAlignment, TextTable};
use crate::wiring::{ProcessRole, ServiceStack};
use contexture_core::domain::ids::{CollectionId, CollectionKey, DocumentId, Version};
use contexture_core::domain::task::IngestStage;
use contexture_core::fault::Refusal;
use contexture_core::ports::clock::{SystemClock, WallClock};
use contexture_core::ports::ledger::{DeadLetter, DeadLetterFilter};

/// Dead letters dropped in one transaction of the ledger.
const PAGE_LETTERS_MAX: usize = 1000;
/// Maximum dead letters of one command; all of them are held in memory.
const LETTERS_MAX: usize = 1_000_000;
/// Dead letters listed when `--limit` does not say.
const LIST_DEFAULT: usize = 100;

/// What `dead` takes.
#[derive(Debug, Args)]
pub(crate) struct DeadLetterArgs {
    #[command(subcommand)]
    action: DeadLetterCommand,
}

#[derive(Debug, Subcommand)]
enum DeadLetterCommand {
    /// List them, oldest first
    List {
        #[command(flatten)]
        selection: DeadLetterSelection,
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
        selection: DeadLetterSelection,
        /// Say how many there are, and change nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// Remove them from the list; the documents stay as they are
    Drop {
        #[command(flatten)]
        selection: DeadLetterSelection,
        /// Say how many there are, and change nothing
        #[arg(long)]
        dry_run: bool,
    },
}

#[derive(Debug, Args)]
struct DeadLetterSelection {
    /// Only this collection
    #[arg(long, value_name = "NAME")]
    collection: Option<String>,
    /// Only this reason, such as `unsupported_type`
    #[arg(long, value_name = "CODE")]
    reason: Option<String>,
    /// Only this stage: chunk, embed or index
    #[arg(long, value_name = "STAGE", value_parser = parse_stage)]
    stage: Option<IngestStage>,
    /// Only since then: 30s, 10m, 2h or 7d ago, or milliseconds since 1970
    #[arg(long, value_name = "TIME", value_parser = parse_since)]
    since: Option<SinceFilter>,
    /// Only these numbers
    #[arg(value_name = "ID")]
    ids: Vec<u64>,
}

/// The earliest time of death that is selected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SinceFilter {
    Ago(Duration),
    EpochMs(u64),
}

/// One dead letter. The field names of this and the next types are a contract.
#[derive(Debug, Serialize)]
struct DeadLetterRow {
    id: u64,
    collection: CollectionId,
    document_id: DocumentId,
    version: Version,
    stage: IngestStage,
    reason: ReasonStatus,
    died_ms: u64,
}

#[derive(Debug, Serialize)]
struct DeadLetterList {
    dead: Vec<DeadLetterRow>,
    more: bool,
}

#[derive(Debug, Serialize)]
struct ReplayOutcome {
    matched: u64,
    replayed: u64,
    dead: u64,
}

#[derive(Debug, Serialize)]
struct DropOutcome {
    matched: u64,
    dropped: u64,
}

/// Lists, shows, replays or drops dead letters.
pub(crate) async fn run(
    arguments: DeadLetterArgs,
    global: &GlobalArgs,
    console: ConsoleOutput,
) -> Result<CommandExitCode, CommandFailure> {
    let workers = matches!(arguments.action, DeadLetterCommand::Replay { dry_run: false, .. });
    // A replay runs the stages here to process the versions; the others only read or change the ledger.
    let roles = if workers { ProcessRole::Change } else { ProcessRole::Look };
    let (_, stack) = global.open_existing(roles).await?;
    let outcome = run_command(&stack, arguments.action, console).await;
    stack.shutdown().await;
    outcome
}

async fn run_command(
    stack: &ServiceStack,
    action: DeadLetterCommand,
    console: ConsoleOutput,
) -> Result<CommandExitCode, CommandFailure> {
    match action {
        DeadLetterCommand::List { selection, limit } => {
            list_letters(stack, &selection.filter(stack).await?, limit, console).await
        }
        DeadLetterCommand::Show { id } => show_letter(stack, id, console).await,
        DeadLetterCommand::Replay { selection, dry_run } => {
            replay_letters(stack, &selection.filter(stack).await?, dry_run, console).await
        }
        DeadLetterCommand::Drop { selection, dry_run } => {
            drop_letters(stack, &selection.filter(stack).await?, dry_run, console).await
        }
    }
}

impl DeadLetterSelection {
    async fn filter(self, stack: &ServiceStack) -> Result<DeadLetterFilter, CommandFailure> {
        let collection = match self.collection {
            None => None,
            Some(name) => Some(existing_collection(stack, &CollectionId::new(&name)?).await?.key),
        };
        let since_ms = self.since.map(|since| match since {
            SinceFilter::EpochMs(ms) => ms,
            SinceFilter::Ago(ago) => {
                SystemClock.now_ms().saturating_sub(u64::try_from(ago.as_millis()).unwrap_or(u64::MAX))
            }
        });
        Ok(DeadLetterFilter { ids: self.ids, collection, reason: self.reason, stage: self.stage, since_ms })
    }
}

fn parse_stage(name: &str) -> Result<IngestStage, String> {
    IngestStage::from_name(name).ok_or_else(|| "expected chunk, embed or index".to_owned())
}

fn parse_since(text: &str) -> Result<SinceFilter, String> {
    if let Ok(ms) = text.parse() {
        return Ok(SinceFilter::EpochMs(ms));
    }
    let expected = || "expected 30s, 10m, 2h or 7d, or milliseconds since 1970".to_owned();
    // All units are one byte. The last character may be longer, but then it is refused before the text is cut.
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
    Ok(SinceFilter::Ago(Duration::from_secs(seconds)))
}

async fn list_letters(
    stack: &ServiceStack,
    filter: &DeadLetterFilter,
    limit: usize,
    console: ConsoleOutput,
) -> Result<CommandExitCode, CommandFailure> {
    let limit = limit.min(LETTERS_MAX);
    // One more than asked for tells whether there are more.
    let mut letters = stack.ledger.dead(filter, limit + 1).await?;
    let more = letters.len() > limit;
    letters.truncate(limit);
    let listed = DeadLetterList { dead: letters.into_iter().map(DeadLetterRow::from).collect(), more };
    console.result(&listed, |listed| letters_table(&listed.dead))?;
    if listed.more {
        console.note(&format!("there are more than {limit}; see --limit"));
    }
    Ok(CommandExitCode::Done)
}

async fn show_letter(
    stack: &ServiceStack,
    id: u64,
    console: ConsoleOutput,
) -> Result<CommandExitCode, CommandFailure> {
    let filter = DeadLetterFilter { ids: vec![id], ..DeadLetterFilter::default() };
    let letter = stack.ledger.dead(&filter, 1).await?.pop().map(DeadLetterRow::from).ok_or_else(|| {
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
            // Without a limit: only for its cleaning, since a detail may quote a document.
            text_format::snippet(letter.reason.detail(), usize::MAX),
            text_format::utc_time(letter.died_ms)
        )
    })?;
    Ok(CommandExitCode::Done)
}

async fn replay_letters(
    stack: &ServiceStack,
    filter: &DeadLetterFilter,
    dry_run: bool,
    console: ConsoleOutput,
) -> Result<CommandExitCode, CommandFailure> {
    let letters = stack.ledger.dead(filter, LETTERS_MAX).await?;
    let matched = letters.len() as u64;
    // The letters are read before the replay, because afterwards they are no longer dead.
    let mut replayed = ReplayOutcome { matched, replayed: 0, dead: 0 };
    if !dry_run && matched > 0 {
        let collections: BTreeSet<CollectionKey> =
            letters.iter().map(|letter| letter.key.collection_key()).collect();
        // Versions that die again are found by their time of death, so it is taken before the replay.
        let started_ms = SystemClock.now_ms();
        replayed.replayed = stack.replay(filter).await?;
        for collection in collections {
            drain::wait_until_drained(stack, &collection, None, |_, _, _| {}).await?;
            let again = DeadLetterFilter {
                collection: Some(collection),
                since_ms: Some(started_ms),
                ..DeadLetterFilter::default()
            };
            replayed.dead += stack.ledger.dead(&again, LETTERS_MAX).await?.len() as u64;
        }
    }
    console.result(&replayed, |replayed| {
        if dry_run {
            return format!("would replay {}\n", text_format::count_with_noun(replayed.matched, "version"));
        }
        let replays = text_format::count_with_noun(replayed.replayed, "version");
        format!("replayed {replays}, {} dead again\n", text_format::count(replayed.dead))
    })?;
    if replayed.dead > 0 {
        return Err(CommandFailure::failed(
            "documents_died",
            format!(
                "{} died again; 'contexture dead list' says why",
                text_format::count_with_noun(replayed.dead, "version")
            ),
        ));
    }
    Ok(CommandExitCode::Done)
}

async fn drop_letters(
    stack: &ServiceStack,
    filter: &DeadLetterFilter,
    dry_run: bool,
    console: ConsoleOutput,
) -> Result<CommandExitCode, CommandFailure> {
    let letters = stack.ledger.dead(filter, LETTERS_MAX).await?;
    let ids: Vec<u64> = letters.iter().map(|letter| letter.id).collect();
    let mut dropped = DropOutcome { matched: ids.len() as u64, dropped: 0 };
    if !dry_run {
        for page in ids.chunks(PAGE_LETTERS_MAX) {
            dropped.dropped += stack.ledger.drop_dead_letters(page).await?;
        }
    }
    console.result(&dropped, |dropped| {
        let (verb, number) =
            if dry_run { ("would drop", dropped.matched) } else { ("dropped", dropped.dropped) };
        format!("{verb} {}\n", text_format::count_with_noun(number, "dead letter"))
    })?;
    Ok(CommandExitCode::Done)
}

impl From<DeadLetter> for DeadLetterRow {
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

fn letters_table(letters: &[DeadLetterRow]) -> String {
    let mut lines = TextTable::new(&[
        ("id", ColumnAlignment::Right),
        ("died", ColumnAlignment::Left),
        ("stage", ColumnAlignment::Left),
        ("collection", ColumnAlignment::Left),
        ("document", ColumnAlignment::Left),
        ("version", ColumnAlignment::Right),
        ("reason", ColumnAlignment::Left),
    ]);
    for letter in letters {
        lines.row([
            letter.id.to_string(),
            text_format::utc_time(letter.died_ms),
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

    use super::{SinceFilter, parse_since};

    #[test]
    fn since_is_an_age_or_a_time() {
        assert_eq!(parse_since("90s"), Ok(SinceFilter::Ago(Duration::from_secs(90))));
        assert_eq!(parse_since("10m"), Ok(SinceFilter::Ago(Duration::from_mins(10))));
        assert_eq!(parse_since("2h"), Ok(SinceFilter::Ago(Duration::from_hours(2))));
        assert_eq!(parse_since("7d"), Ok(SinceFilter::Ago(Duration::from_hours(168))));
        assert_eq!(parse_since("1709208000000"), Ok(SinceFilter::EpochMs(1_709_208_000_000)));
        for wrong in ["", "m", "10 minutes", "1w", "-1h", "9ä", "99999999999999999999d"] {
            assert!(parse_since(wrong).is_err(), "{wrong}");
        }
    }
}
