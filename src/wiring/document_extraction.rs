//! The reader of documents that are no text: children of this program.

use std::process::ExitCode;
use std::sync::Arc;

use contexture_adapters::extraction::{self, ChildExtractor};
use contexture_core::fault::{Fault, Refusal};
use contexture_core::ports::extractor::DocumentExtractor;

/// The hidden command of a child.
pub const EXTRACT_COMMAND: &str = "extract";

/// Prepares children of this program. None starts before there is a document for it.
pub(super) fn open_extractor() -> Result<Arc<dyn DocumentExtractor>, Refusal> {
    let program = std::env::current_exe()
        .map_err(|error| Fault::transient_error("finding this program for its children", error))?;
    Ok(Arc::new(ChildExtractor::new(program, vec![EXTRACT_COMMAND.into()])))
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
