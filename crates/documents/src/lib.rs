//! Documents that are no text: PDF, Office files, books, and mail of Outlook.
//!
//! Their readers are large crates that take bytes from strangers. So a file is read in a child process: this
//! program, started once more with nothing to do but that. A crash, an endless loop or an exhausted memory ends
//! that child and that document, and nothing else. In reading order:
//!
//! * [`document_format`]: which format a file is in, by its bytes.
//! * [`extracted`]: what comes back: text, places (pages, slides, rows), properties, notes; or why not.
//! * [`pdf`], [`office`]: the readers. Pure functions of the bytes.
//! * [`extraction_frames`]: requests and answers, as they go through the pipes.
//! * [`extraction_child`]: what the child does, after it has set its own limits.
//! * [`extraction_spending`]: what a child spent on it.
//! * [`extraction_pool`]: starts children ahead, gives each one file, and says how it ended.

mod child_limits;
pub mod document_format;
pub mod extracted;
pub mod extraction_child;
pub mod extraction_frames;
pub mod extraction_pool;
pub mod extraction_spending;
pub mod office;
mod page_furniture;
pub mod pdf;

pub use document_format::DocumentFormat;
pub use extracted::{ExtractedAttachment, ExtractedText, ExtractionError, ExtractionErrorCode};
pub use extraction_child::run_extraction_child;
pub use extraction_frames::{ExtractionAnswer, ExtractionTask};
pub use extraction_pool::{ExtractionLimits, ExtractionPool};
pub use extraction_spending::{ExtractionSpending, processor_time};

/// Reads a document of this format.
pub fn read_document(
    body: &[u8],
    format: DocumentFormat,
    name: &str,
) -> Result<ExtractedText, ExtractionError> {
    match format {
        DocumentFormat::Pdf => pdf::read_pdf(body),
        _ => office::read_office(body, format, name),
    }
}

/// The files inside a document of this format.
pub fn read_attachments(
    body: &[u8],
    format: DocumentFormat,
    name: &str,
) -> Result<ExtractedText, ExtractionError> {
    match format {
        DocumentFormat::Msg => office::read_message_attachments(body, name),
        _ => Ok(ExtractedText::default()),
    }
}
