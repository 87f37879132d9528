//! Generations for people and scripts.

use std::fmt::Write as _;
use std::time::Duration;

use serde::Serialize;

use crate::cli::console::Console;
use crate::cli::exit::{Exit, Failure};
use crate::cli::table::{self, Align, Table};
use crate::domain::ids::{CollectionId, CollectionKey, DocumentId, Version};
use crate::jobs::reindex::{Progress, Standing};
use crate::wiring::Stack;

/// One generation.
#[derive(Debug, Serialize)]
struct Shown {
    #[serde(flatten)]
    progress: Progress,
    /// What this machine keeps of it on its disk; vectors of a server are not counted.
    disk_bytes: u64,
    failures: Vec<Failed>,
}

#[derive(Debug, Serialize)]
struct Failed {
    document_id: DocumentId,
    version: Version,
    code: String,
    detail: String,
}

#[derive(Debug, Serialize)]
struct All {
    collection: CollectionId,
    generations: Vec<Shown>,
}

/// Prints all live generations.
pub(super) async fn all(stack: &Stack, key: &CollectionKey, console: Console) -> Result<Exit, Failure> {
    let standings = stack.reindexing().standings(key).await?;
    print(stack, key, standings, console).await
}

/// Prints the one that is being built.
pub(super) async fn building(stack: &Stack, key: &CollectionKey, console: Console) -> Result<Exit, Failure> {
    let standing = stack.reindexing().building(key).await?;
    print(stack, key, vec![standing], console).await
}

async fn print(
    stack: &Stack,
    key: &CollectionKey,
    standings: Vec<Standing>,
    console: Console,
) -> Result<Exit, Failure> {
    let mut generations = Vec::with_capacity(standings.len());
    for standing in standings {
        let disk_bytes = stack.disk_bytes(&standing.record.home).await?;
        let progress = standing.progress(stack.now_ms());
        let failures = standing.failures.into_iter().map(|failure| Failed {
            document_id: failure.key.document_id,
            version: failure.key.version,
            code: failure.reason.code,
            detail: failure.reason.detail,
        });
        generations.push(Shown { progress, disk_bytes, failures: failures.collect() });
    }
    let all = All { collection: key.collection.clone(), generations };
    console.result(&all, text)?;
    Ok(Exit::Done)
}

fn text(all: &All) -> String {
    let mut lines = Table::new(&[
        ("generation", Align::Right),
        ("state", Align::Left),
        ("documents", Align::Right),
        ("left", Align::Right),
        ("failed", Align::Right),
        ("per second", Align::Right),
        ("time left", Align::Right),
        ("on disk", Align::Right),
        ("note", Align::Left),
    ]);
    for Shown { progress, disk_bytes, .. } in &all.generations {
        let note = match (progress.paused, progress.drop_ms) {
            (true, _) => "paused".to_owned(),
            (_, Some(drop_ms)) => format!("to be dropped at {}", table::time(drop_ms)),
            (_, None) => String::new(),
        };
        let eta = progress.eta_seconds.map(|seconds| table::duration(Duration::from_secs_f64(seconds)));
        let is_building = progress.eta_seconds.is_some() && progress.remaining > 0;
        lines.row([
            progress.generation.to_string(),
            progress.state.name().to_owned(),
            table::count(progress.documents),
            table::count(progress.remaining),
            table::count(progress.failed),
            if is_building { format!("{:.1}", progress.documents_per_second) } else { "-".to_owned() },
            eta.filter(|_| is_building).unwrap_or_else(|| "-".to_owned()),
            table::bytes(*disk_bytes),
            note,
        ]);
    }
    let mut text = lines.render();
    for (generation, failed) in all
        .generations
        .iter()
        .flat_map(|one| one.failures.iter().map(|failed| (one.progress.generation, failed)))
    {
        let _ = writeln!(
            text,
            "generation {generation} cannot have version {} of {}: {}: {}",
            failed.version, failed.document_id, failed.code, failed.detail
        );
    }
    text
}
