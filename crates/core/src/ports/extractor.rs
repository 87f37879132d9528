//! Documents that are no text, such as PDF and Office files, to text.
//!
//! Contract: the same bytes give the same text, always; chunks are spans of it, and it is read again where it is
//! needed. A document that cannot be read is a permanent fault with a code that says why; whatever it does to its
//! reader, neither this process nor another document is touched. A fault that is not the document's, such as no
//! room for a process, is transient. Calls block, for seconds at worst: they are made off the async threads.
//! What is not read here may have a [`DocumentConverter`], which makes text of it once.

pub use contexture_formats::{EnclosedFile, EnclosedFileKind, FileText};

use std::sync::Arc;

use super::converter::DocumentConverter;
use crate::fault::{FailureReason, Fault};

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

    /// The converter of a document: without a refusal one that replaces the readers here, with one a converter
    /// of what they refuse for this reason. None where none is configured.
    fn converter(
        &self,
        _document: &DocumentKind<'_>,
        _refusal: Option<&FailureReason>,
    ) -> Option<ChosenConverter> {
        None
    }
}

/// What is known of a document's type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DocumentKind<'a> {
    /// The media type that its bytes have; none for text.
    pub sniffed: Option<&'a str>,
    /// What its producer says.
    pub declared: Option<&'a str>,
    /// Its id.
    pub name: &'a str,
}

/// A converter for a document, and the type that the document's bytes have.
#[derive(Clone)]
pub struct ChosenConverter {
    /// The converter.
    pub converter: Arc<dyn DocumentConverter>,
    /// The type to name to it.
    pub media_type: String,
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
