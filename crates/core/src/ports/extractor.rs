//! Documents that are no text, such as PDF and Office files, to text.
//!
//! Contract: the same bytes give the same text, always; chunks are spans of it, and it is read again where it is
//! needed. A document that cannot be read is a permanent fault with a code that says why; whatever it does to its
//! reader, neither this process nor another document is touched. A fault that is not the document's, such as no
//! room for a process, is transient. Calls block, for seconds at worst: they are made off the async threads.

pub use contexture_formats::{EnclosedFile, EnclosedFileKind, FileText};

use crate::fault::Fault;

/// Reads documents that are no text.
pub trait DocumentExtractor: Send + Sync {
    /// Whether its bytes are of a format that is read here.
    fn reads(&self, body: &[u8]) -> bool;

    /// The text of a document, or none if its bytes are of no format that is read here. `name` is for messages.
    fn extract(&self, body: &[u8], name: &str) -> Option<Result<FileText, Fault>>;

    /// Whether a document that is read here may have files inside that are documents of their own.
    fn may_enclose(&self, _body: &[u8]) -> bool {
        false
    }

    /// The files inside such a document.
    fn enclosed_files(&self, _body: &[u8], _name: &str) -> Result<Vec<EnclosedFile>, Fault> {
        Ok(Vec::new())
    }
}

/// Reads nothing: where documents are text, or must be.
#[derive(Debug, Clone, Copy, Default)]
pub struct TextDocumentsOnly;

impl DocumentExtractor for TextDocumentsOnly {
    fn reads(&self, _body: &[u8]) -> bool {
        false
    }

    fn extract(&self, _body: &[u8], _name: &str) -> Option<Result<FileText, Fault>> {
        None
    }
}
