//! The reader of documents that are no text: children of this program.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, OnceLock};

use contexture_adapters::extraction::{self, ChildExtractor};
pub use contexture_adapters::extraction::{ExtractionSpending, MeasuringExtractor, processor_time};
use contexture_core::ports::extractor::{DocumentExtractor, TextDocumentsOnly};

/// The hidden command of a child.
pub const EXTRACT_COMMAND: &str = "extract";

/// The program that runs, if it has that command.
static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
/// The usual name of the program that has it.
const PROGRAM_NAME: &str = "contexture";

/// Says that this program has the command. Called by its command line, before anything is opened.
pub fn name_this_program() {
    if let Ok(program) = std::env::current_exe() {
        // The first call has named the same.
        let _ = PROGRAM.set(program);
    }
}

/// Prepares children of this program. None starts before there is a document for it. Where this library is in another
/// program without ours near it, documents are text only.
pub(super) fn open_extractor() -> Arc<dyn DocumentExtractor> {
    match children() {
        Some(children) => Arc::new(children),
        None => Arc::new(TextDocumentsOnly),
    }
}

/// The same for measurements. None where there is no program to start.
pub fn open_measuring_extractor() -> Option<MeasuringExtractor> {
    children().map(MeasuringExtractor::new)
}

fn children() -> Option<ChildExtractor> {
    let program = PROGRAM.get().cloned().or_else(program_nearby)?;
    Some(ChildExtractor::new(program, vec![EXTRACT_COMMAND.into()]))
}

/// The program beside the running one, or a folder above, as Cargo lays out programs and their tests.
fn program_nearby() -> Option<PathBuf> {
    let running = std::env::current_exe().ok()?;
    let name = format!("{PROGRAM_NAME}{}", std::env::consts::EXE_SUFFIX);
    running.ancestors().skip(1).take(2).map(|folder| folder.join(&name)).find(|program| program.is_file())
}

/// Runs as such a child.
pub fn run_child() -> ExitCode {
    // Whoever started it sees that there is no answer, and says so.
    if extraction::run_child().is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Whether a body is a document that children read.
pub fn is_document(body: &[u8]) -> bool {
    extraction::is_document(body)
}
