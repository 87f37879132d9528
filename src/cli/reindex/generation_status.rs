//! Prints the generations of a collection.

use std::fmt::Write as _;
use std::time::Duration;

use serde::Serialize;

use crate::cli::console::ConsoleOutput;
use crate::cli::exit::{CommandExitCode, CommandFailure};
use crate::cli::text_format::{self, ColumnAlignment, TextTable};
use crate::wiring::ServiceStack;
use contexture_core::domain::ids::{CollectionId, CollectionKey, DocumentId, Version};
use contexture_core::jobs::reindex::{LiveGenerationStatus, ReindexProgress};

/// One generation. The field names of this and the next types are a contract.
#[derive(Debug, Serialize)]
struct GenerationStatus {
    #[serde(flatten)]
    progress: ReindexProgress,
    /// Bytes on this machine's disk. Vectors on a server are not counted.
    disk_bytes: u64,
    failures: Vec<FailedDocument>,
}

#[derive(Debug, Serialize)]
struct FailedDocument {
    document_id: DocumentId,
    version: Version,
    code: String,
    detail: String,
}

#[derive(Debug, Serialize)]
struct GenerationList {
    collection: CollectionId,
    generations: Vec<GenerationStatus>,
}

/// Prints all live generations.
pub(super) async fn print_all(
    stack: &ServiceStack,
    key: &CollectionKey,
    console: ConsoleOutput,
) -> Result<CommandExitCode, CommandFailure> {
    let standings = stack.reindexing().live_generations(key).await?;
    print_generations(stack, key, standings, console).await
}

/// Prints the one that is being built.
pub(super) async fn print_building(
    stack: &ServiceStack,
    key: &CollectionKey,
    console: ConsoleOutput,
) -> Result<CommandExitCode, CommandFailure> {
    let standing = stack.reindexing().building(key).await?;
    print_generations(stack, key, vec![standing], console).await
}

async fn print_generations(
    stack: &ServiceStack,
    key: &CollectionKey,
    standings: Vec<LiveGenerationStatus>,
    console: ConsoleOutput,
) -> Result<CommandExitCode, CommandFailure> {
    let mut generations = Vec::with_capacity(standings.len());
    for standing in standings {
        let disk_bytes = stack.disk_bytes(&standing.record.home).await?;
        let progress = standing.progress(stack.now_ms());
        let failures = standing.failures.into_iter().map(|failure| FailedDocument {
            document_id: failure.key.document_id,
            version: failure.key.version,
            code: failure.reason.code,
            detail: failure.reason.detail,
        });
        generations.push(GenerationStatus { progress, disk_bytes, failures: failures.collect() });
    }
    let all = GenerationList { collection: key.collection.clone(), generations };
    console.result(&all, generations_text)?;
    Ok(CommandExitCode::Done)
}

fn generations_text(all: &GenerationList) -> String {
    let mut lines = TextTable::new(&[
        ("generation", ColumnAlignment::Right),
        ("state", ColumnAlignment::Left),
        ("documents", ColumnAlignment::Right),
        ("left", ColumnAlignment::Right),
        ("failed", ColumnAlignment::Right),
        ("per second", ColumnAlignment::Right),
        ("time left", ColumnAlignment::Right),
        ("on disk", ColumnAlignment::Right),
        ("note", ColumnAlignment::Left),
    ]);
    for GenerationStatus { progress, disk_bytes, .. } in &all.generations {
        let note = match (progress.paused, progress.drop_ms) {
            (true, _) => "paused".to_owned(),
            (_, Some(drop_ms)) => format!("to be dropped at {}", text_format::utc_time(drop_ms)),
            (_, None) => String::new(),
        };
        let eta = progress.eta_seconds.map(|seconds| text_format::duration(Duration::from_secs_f64(seconds)));
        // A rate and a time left say something only while documents are left. The rest is a dash.
        let is_building = progress.eta_seconds.is_some() && progress.remaining > 0;
        lines.row([
            progress.generation.to_string(),
            progress.state.name().to_owned(),
            text_format::count(progress.documents),
            text_format::count(progress.remaining),
            text_format::count(progress.failed),
            if is_building { format!("{:.1}", progress.documents_per_second) } else { "-".to_owned() },
            eta.filter(|_| is_building).unwrap_or_else(|| "-".to_owned()),
            text_format::bytes(*disk_bytes),
            note,
        ]);
    }
    // Failures go below the table: their details are of any length.
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
