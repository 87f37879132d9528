//! `contexture dead`: lists, shows, replays and drops dead letters.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use clap::{Args, Subcommand};
use serde::Serialize;

use super::command_target::CommandOperations;
use super::console::ConsoleOutput;
use super::dead_letter_text::{letter_text, letters_table, reasons_table};
use super::exit::{CommandExitCode, CommandFailure};
use super::global_args::GlobalArgs;
use super::remote::FollowedVersions;
use super::text_format;
use crate::operations::messages::dead_letter::{DeadLetterSelection, DeadLetterView, ListDeadLettersRequest};
use crate::operations::messages::page::PAGE_ENTRIES_MAX;
use crate::wiring::ProcessRole;
use contexture_core::domain::task::IngestStage;
use contexture_core::fault::{Refusal, RefusalKind};
use contexture_core::ports::clock::{SystemClock, WallClock};

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
        selection: SelectedLetters,
        /// Most letters to list
        #[arg(long, value_name = "N", default_value_t = LIST_DEFAULT)]
        limit: usize,
    },
    /// Count them by reason and stage, most first
    Reasons {
        /// Only this collection
        #[arg(long, value_name = "NAME")]
        collection: Option<String>,
        /// Only since then: 30s, 10m, 2h or 7d ago, or milliseconds since 1970
        #[arg(long, value_name = "TIME", value_parser = parse_since)]
        since: Option<SinceFilter>,
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
        selection: SelectedLetters,
        /// Say how many there are, and change nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// Remove them from the list; the documents stay as they are
    Drop {
        #[command(flatten)]
        selection: SelectedLetters,
        /// Say how many there are, and change nothing
        #[arg(long)]
        dry_run: bool,
    },
}

#[derive(Debug, Args)]
struct SelectedLetters {
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

/// What is listed. The field names of this and the next types are a contract.
#[derive(Debug, Serialize)]
struct DeadLetterListing {
    dead: Vec<DeadLetterView>,
    more: bool,
}

#[derive(Debug, Serialize)]
struct ReplaySummary {
    matched: u64,
    replayed: u64,
    dead: u64,
}

#[derive(Debug, Serialize)]
struct DropSummary {
    matched: u64,
    dropped: u64,
}

/// Lists, counts, shows, replays or drops dead letters.
pub(crate) async fn run(
    arguments: DeadLetterArgs,
    global: &GlobalArgs,
    console: ConsoleOutput,
) -> Result<CommandExitCode, CommandFailure> {
    let role = match arguments.action {
        // A replay runs the stages here to process the versions; a drop only changes the ledger.
        DeadLetterCommand::Replay { dry_run: false, .. } | DeadLetterCommand::Drop { dry_run: false, .. } => {
            ProcessRole::Change
        }
        _ => ProcessRole::Look,
    };
    let operations = global.operations(role).await?;
    let outcome = run_command(&operations, arguments.action, console).await;
    operations.close().await;
    outcome.map(|()| CommandExitCode::Done)
}

async fn run_command(
    operations: &CommandOperations,
    action: DeadLetterCommand,
    console: ConsoleOutput,
) -> Result<(), CommandFailure> {
    let (letters, caller) = (&operations.dead_letters, &operations.caller);
    match action {
        DeadLetterCommand::List { selection, limit } => {
            let limit = limit.min(LETTERS_MAX);
            let (dead, more) = find_letters(operations, selection.into_selection(), limit).await?;
            let listed = DeadLetterListing { dead, more };
            console.result(&listed, |listed| letters_table(&listed.dead))?;
            if listed.more {
                console.note(&format!("there are more than {limit}; see --limit"));
            }
            Ok(())
        }
        DeadLetterCommand::Reasons { collection, since } => {
            let since_ms = since.map(SinceFilter::epoch_ms);
            let selection = DeadLetterSelection { collection, since_ms, ..DeadLetterSelection::default() };
            let reasons = letters.dead_letter_reasons(caller, selection).await?;
            console.result(&reasons, |reasons| reasons_table(&reasons.reasons))
        }
        DeadLetterCommand::Show { id } => {
            let letter = letters.dead_letter(caller, id).await.map_err(|refusal| match refusal.code {
                "dead_letter_not_found" => Refusal::not_found(
                    refusal.code,
                    format!("there is no dead letter {id}; 'contexture dead list' shows their numbers"),
                ),
                _ => refusal,
            })?;
            console.result(&letter, letter_text)
        }
        DeadLetterCommand::Replay { selection, dry_run } => {
            replay_letters(operations, selection.into_selection(), dry_run, console).await
        }
        DeadLetterCommand::Drop { selection, dry_run } => {
            let outcome = letters.drop_dead_letters(caller, selection.into_selection(), dry_run).await?;
            let dropped = DropSummary { matched: outcome.matched, dropped: outcome.dropped };
            console.result(&dropped, |dropped| {
                let (verb, number) =
                    if dry_run { ("would drop", dropped.matched) } else { ("dropped", dropped.dropped) };
                format!("{verb} {}\n", text_format::count_with_noun(number, "dead letter"))
            })
        }
    }
}

impl SelectedLetters {
    fn into_selection(self) -> DeadLetterSelection {
        DeadLetterSelection {
            ids: (!self.ids.is_empty()).then_some(self.ids),
            collection: self.collection,
            reason: self.reason,
            stage: self.stage.map(|stage| stage.name().to_owned()),
            since_ms: self.since.map(SinceFilter::epoch_ms),
        }
    }
}

impl SinceFilter {
    fn epoch_ms(self) -> u64 {
        match self {
            Self::EpochMs(ms) => ms,
            Self::Ago(ago) => {
                SystemClock.now_ms().saturating_sub(u64::try_from(ago.as_millis()).unwrap_or(u64::MAX))
            }
        }
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

/// The selected letters, oldest first, at most `limit`, and whether there are more.
async fn find_letters(
    operations: &CommandOperations,
    selection: DeadLetterSelection,
    limit: usize,
) -> Result<(Vec<DeadLetterView>, bool), CommandFailure> {
    let (letters, caller) = (&operations.dead_letters, &operations.caller);
    let DeadLetterSelection { ids, collection, reason, stage, since_ms } = selection;
    let mut found = Vec::new();
    let Some(ids) = ids else {
        let mut more = true;
        let mut cursor = None;
        while more && found.len() < limit {
            let wanted = (limit - found.len()).min(PAGE_ENTRIES_MAX);
            let request = ListDeadLettersRequest {
                collection: collection.clone(),
                reason: reason.clone(),
                stage: stage.clone(),
                since_ms,
                limit: i64::try_from(wanted).ok(),
                cursor,
            };
            let page = letters.list_dead_letters(caller, request).await?;
            found.extend(page.dead_letters);
            (more, cursor) = (page.next_cursor.is_some(), page.next_cursor);
        }
        return Ok((found, more));
    };
    // Lists have no numbers; those that are named are few.
    for id in ids.into_iter().collect::<BTreeSet<u64>>() {
        let letter = match letters.dead_letter(caller, id).await {
            Err(refusal) if refusal.kind == RefusalKind::NotFound => continue,
            letter => letter?,
        };
        let is_wanted = |wanted: &Option<String>, has: &str| wanted.as_deref().is_none_or(|one| one == has);
        if is_wanted(&collection, &letter.collection)
            && is_wanted(&reason, &letter.reason.code)
            && is_wanted(&stage, &letter.stage)
            && since_ms.is_none_or(|since_ms| letter.died_ms >= since_ms)
        {
            found.push(letter);
        }
    }
    let more = found.len() > limit;
    found.truncate(limit);
    Ok((found, more))
}

async fn replay_letters(
    operations: &CommandOperations,
    selection: DeadLetterSelection,
    dry_run: bool,
    console: ConsoleOutput,
) -> Result<(), CommandFailure> {
    let (letters, caller) = (&operations.dead_letters, &operations.caller);
    let replayed = if dry_run {
        let outcome = letters.replay_dead_letters(caller, selection, true).await?;
        ReplaySummary { matched: outcome.matched, replayed: 0, dead: 0 }
    } else {
        replay_and_wait(operations, selection).await?
    };
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
    Ok(())
}

async fn replay_and_wait(
    operations: &CommandOperations,
    selection: DeadLetterSelection,
) -> Result<ReplaySummary, CommandFailure> {
    let (letters, caller) = (&operations.dead_letters, &operations.caller);
    // The letters are read before the replay, because afterwards they are no longer dead.
    let (found, _) = find_letters(operations, selection.clone(), LETTERS_MAX).await?;
    let mut versions: BTreeMap<String, BTreeSet<(String, u64)>> = BTreeMap::new();
    for letter in found {
        versions.entry(letter.collection).or_default().insert((letter.document_id, letter.version));
    }
    let mut followed = Vec::new();
    if let Some(server) = operations.server() {
        for (collection, versions) in &versions {
            let ids = versions.iter().map(|(document_id, _)| document_id.clone());
            let mut following = FollowedVersions::follow(server, caller, collection, ids).await?;
            for (document_id, version) in versions {
                following.expect(document_id, *version);
            }
            followed.push(following);
        }
    }
    let outcome = letters.replay_dead_letters(caller, selection, false).await?;
    let mut replayed = ReplaySummary { matched: outcome.matched, replayed: outcome.replayed, dead: 0 };
    for following in &mut followed {
        following.wait(None, |_| {}).await?;
    }
    for (collection, versions) in versions {
        if operations.server().is_none() {
            operations.wait_until_drained(&collection).await?;
        }
        let of_collection =
            DeadLetterSelection { collection: Some(collection), ..DeadLetterSelection::default() };
        let (again, _) = find_letters(operations, of_collection, LETTERS_MAX).await?;
        let again = again
            .into_iter()
            .filter(|letter| versions.contains(&(letter.document_id.clone(), letter.version)));
        replayed.dead += again.count() as u64;
    }
    Ok(replayed)
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
