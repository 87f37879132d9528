//! Prints the generations of a collection.

use std::fmt::Write as _;
use std::time::Duration;

use serde::Serialize;

use super::generation_operations::{GenerationOperations, GenerationStatus};
use crate::cli::console::ConsoleOutput;
use crate::cli::exit::{CommandExitCode, CommandFailure};
use crate::cli::text_format::{self, ColumnAlignment, TextTable};

/// What is printed. The field names are a contract.
#[derive(Debug, Serialize)]
struct GenerationsReport<'a> {
    collection: &'a str,
    generations: Vec<GenerationStatus>,
}

/// Prints all live generations.
pub(super) async fn print_all(
    generations: &dyn GenerationOperations,
    console: ConsoleOutput,
) -> Result<CommandExitCode, CommandFailure> {
    print_generations(generations, generations.live().await?, console)
}

/// Prints the one that is being built.
pub(super) async fn print_building(
    generations: &dyn GenerationOperations,
    console: ConsoleOutput,
) -> Result<CommandExitCode, CommandFailure> {
    print_generations(generations, vec![generations.building().await?], console)
}

fn print_generations(
    operations: &dyn GenerationOperations,
    generations: Vec<GenerationStatus>,
    console: ConsoleOutput,
) -> Result<CommandExitCode, CommandFailure> {
    console
        .result(&GenerationsReport { collection: operations.collection(), generations }, generations_text)?;
    Ok(CommandExitCode::Done)
}

fn generations_text(all: &GenerationsReport<'_>) -> String {
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
    for progress in &all.generations {
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
            progress.state.clone(),
            text_format::count(progress.documents),
            text_format::count(progress.remaining),
            text_format::count(progress.failed),
            if is_building { format!("{:.1}", progress.documents_per_second) } else { "-".to_owned() },
            eta.filter(|_| is_building).unwrap_or_else(|| "-".to_owned()),
            progress.disk_bytes.map_or_else(|| "-".to_owned(), text_format::bytes),
            note,
        ]);
    }
    // Failures go below the table: their details are of any length.
    let mut text = lines.render();
    for (generation, failed) in
        all.generations.iter().flat_map(|one| one.failures.iter().map(|failed| (one.generation, failed)))
    {
        let _ = writeln!(
            text,
            "generation {generation} cannot have version {} of {}: {}: {}",
            failed.version, failed.document_id, failed.code, failed.detail
        );
    }
    text
}
