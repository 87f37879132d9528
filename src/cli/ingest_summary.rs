//! What a run of `ingest` says at its end.

use serde::Serialize;

use super::console::ConsoleOutput;
use super::exit::CommandFailure;
use super::file_intake::FileIntake;
use super::scan::DocumentScan;
use super::text_format;
use crate::operations::messages::source::FinishedSourceRun;

/// Maximum dead or refused documents that are named. The others are counted.
pub(super) const NAMED_MAX: usize = 5;

/// The result of a run. The field names are a contract.
#[derive(Debug, Serialize)]
pub(super) struct IngestSummary {
    pub(super) accepted: u64,
    pub(super) visible: u64,
    pub(super) unchanged: u64,
    pub(super) dead: u64,
    /// Only the working process knows this and the next two: none if other processes do the work.
    pub(super) chunks: Option<u64>,
    pub(super) embedded: Option<u64>,
    pub(super) cached: Option<u64>,
    pub(super) seconds: f64,
    pub(super) resumed: u64,
    pub(super) in_flight: u64,
    pub(super) skipped: u64,
    pub(super) refused: u64,
    /// Of the unchanged ones: what died with the same bytes.
    pub(super) still_dead: u64,
    /// Documents of earlier runs whose files are gone.
    pub(super) gone: u64,
    /// Of those: what this run deleted.
    pub(super) pruned: u64,
}

/// The failure of a run of which documents died; some are named.
pub(super) fn died_failure(dead: u64, names: &[String], collection: &str) -> CommandFailure {
    let examples = if names.is_empty() { String::new() } else { format!(": {}", names.join(", ")) };
    CommandFailure::failed(
        "documents_died",
        format!(
            "{} could not be indexed{examples}; 'contexture dead list --collection {collection}' shows all",
            text_format::count_with_noun(dead, "document"),
        ),
    )
}

/// Prints the summary, after notes on what was skipped and refused.
pub(super) fn print_summary(
    summary: &IngestSummary,
    collection: &str,
    intake: &FileIntake,
    finished: Option<&FinishedSourceRun>,
    console: ConsoleOutput,
) -> Result<(), CommandFailure> {
    let scan = &intake.scan;
    scan.skips.lines().for_each(|line| console.note(&line));
    for note in intake.still_answered.iter().take(NAMED_MAX) {
        console.note(note);
    }
    if let Some(sync) = intake.sync.as_ref().filter(|sync| !sync.still_dead.is_empty()) {
        let some = sync.still_dead.iter().take(NAMED_MAX);
        let names: Vec<String> = some.map(|(id, reason)| format!("{id} ({})", reason.code)).collect();
        console.note(&format!(
            "{} unchanged and dead: {}; --retry-dead tries again",
            text_format::count_with_noun(sync.still_dead.len() as u64, "file"),
            names.join(", ")
        ));
    }
    if let Some(finished) = finished.filter(|finished| finished.gone > 0) {
        let number = text_format::count_with_noun(finished.gone, "document");
        let names = finished.examples.join(", ");
        console.note(&if finished.deleted > 0 {
            format!("deleted {number} whose files are gone: {names}")
        } else {
            format!("{number} of earlier runs have no file any more: {names}; --prune deletes them")
        });
    }
    for (path, why) in scan.refused.iter().take(NAMED_MAX) {
        console.note(&format!("refused {}: {why}", path.display()));
    }
    console.result(summary, |summary| summary.text(collection))
}

pub(super) fn refused_files_failure(scan: &DocumentScan, refused: u64) -> CommandFailure {
    let names: Vec<String> = scan
        .refused
        .iter()
        .take(NAMED_MAX)
        .map(|(path, why)| format!("{} ({why})", path.display()))
        .collect();
    CommandFailure::failed(
        "documents_refused",
        format!("{} not taken: {}", text_format::count_with_noun(refused, "file"), names.join(", ")),
    )
}

impl IngestSummary {
    fn text(&self, collection: &str) -> String {
        let resumed = match self.resumed {
            0 => String::new(),
            resumed => format!("; {} left by an earlier run", text_format::count(resumed)),
        };
        let in_flight = match self.in_flight {
            0 => String::new(),
            in_flight => format!(", {} in flight", text_format::count(in_flight)),
        };
        let work = match (self.chunks, self.embedded, self.cached) {
            (Some(chunks), Some(embedded), Some(cached)) => format!(
                "{}: {} embedded, {} from the cache, in",
                text_format::count_with_noun(chunks, "chunk"),
                text_format::count(embedded),
                text_format::count(cached)
            ),
            _ => "worked on by other processes, in".to_owned(),
        };
        format!(
            "{collection}: {accepted} accepted, {visible} visible{in_flight}, {unchanged} unchanged, \
             {dead} dead{resumed}\n{work} {seconds:.1} s\n",
            accepted = text_format::count_with_noun(self.accepted, "document"),
            visible = text_format::count(self.visible),
            unchanged = text_format::count(self.unchanged),
            dead = text_format::count(self.dead),
            seconds = self.seconds,
        )
    }
}
