//! Documents that are no text, read in children of this program ([`contexture_documents`]).

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use contexture_core::fault::{FailureReason, Fault, reason};
use contexture_core::ports::extractor::{DocumentExtractor, EnclosedFile, EnclosedFileKind, FileText};
use contexture_documents::{
    DocumentFormat, ExtractedText, ExtractionError, ExtractionErrorCode, ExtractionLimits, ExtractionPool,
    ExtractionTask,
};

pub use contexture_documents::{ExtractionSpending, processor_time};

/// Address space of a child, in bytes. Includes the program itself and the stacks of its threads.
pub const CHILD_MEMORY_BYTES_MAX: u64 = 2 << 30;

/// Reads documents in children.
#[derive(Debug)]
pub struct ChildExtractor {
    pool: ExtractionPool,
}

impl ChildExtractor {
    /// Children are this program with these arguments, which must lead to [`run_child`].
    pub fn new(program: PathBuf, arguments: Vec<OsString>) -> Self {
        Self { pool: ExtractionPool::new(program, arguments, ExtractionLimits::default()) }
    }

    fn read(&self, body: &[u8], task: ExtractionTask, format: DocumentFormat, name: &str) -> MeasuredRead {
        match self.pool.extract_measured(body, task, format, name) {
            Ok(answer) => {
                (answer.read.map_err(|error| Fault::Permanent(failure_reason(error))), answer.spent)
            }
            Err(error) => (Err(Fault::transient_error("starting a reader of documents", error)), None),
        }
    }

    /// The text of a document, or why there is none; and what its child spent, unless that ended without a word.
    fn extract_measured(&self, body: &[u8], name: &str) -> Option<MeasuredFileText> {
        let format = DocumentFormat::sniff(body)?;
        let (read, spent) = self.read(body, ExtractionTask::Text, format, name);
        Some((read.map(ExtractedText::into_file_text), spent))
    }
}

type MeasuredRead = (Result<ExtractedText, Fault>, Option<ExtractionSpending>);
type MeasuredFileText = (Result<FileText, Fault>, Option<ExtractionSpending>);

impl DocumentExtractor for ChildExtractor {
    fn reads(&self, body: &[u8]) -> bool {
        is_document(body)
    }

    fn extract(&self, body: &[u8], name: &str) -> Option<Result<FileText, Fault>> {
        self.extract_measured(body, name).map(|(read, _)| read)
    }

    fn may_enclose(&self, body: &[u8]) -> bool {
        DocumentFormat::sniff(body) == Some(DocumentFormat::Msg)
    }

    fn enclosed_files(&self, body: &[u8], name: &str) -> Result<Vec<EnclosedFile>, Fault> {
        let (read, _) = self.read(body, ExtractionTask::Attachments, DocumentFormat::Msg, name);
        let read = read?;
        for note in read.notes {
            tracing::info!(document = name, note, "a document was read with losses");
        }
        let files = read.attachments.into_iter().map(|attachment| EnclosedFile {
            kind: EnclosedFileKind::Attachment,
            name: Some(attachment.name),
            media_type: attachment.media_type,
            body: attachment.body,
        });
        Ok(files.collect())
    }
}

/// Reads documents in children, one after the other, and remembers what the last one cost.
#[derive(Debug)]
pub struct MeasuringExtractor {
    children: ChildExtractor,
    last: Mutex<Option<ExtractionSpending>>,
}

impl MeasuringExtractor {
    /// Measures what these children spend.
    pub fn new(children: ChildExtractor) -> Self {
        Self { children, last: Mutex::default() }
    }

    /// What the child of the last document spent; none if no child has said so since this was asked.
    pub fn take_spending(&self) -> Option<ExtractionSpending> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl DocumentExtractor for MeasuringExtractor {
    fn reads(&self, body: &[u8]) -> bool {
        self.children.reads(body)
    }

    fn extract(&self, body: &[u8], name: &str) -> Option<Result<FileText, Fault>> {
        let (read, spent) = self.children.extract_measured(body, name)?;
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = spent;
        Some(read)
    }
}

fn failure_reason(error: ExtractionError) -> FailureReason {
    let code = match error.code {
        ExtractionErrorCode::Encrypted => reason::ENCRYPTED,
        ExtractionErrorCode::NoTextLayer => reason::NO_TEXT_LAYER,
        ExtractionErrorCode::UnreadableText => reason::UNREADABLE_TEXT,
        ExtractionErrorCode::CorruptDocument => reason::CORRUPT_DOCUMENT,
        ExtractionErrorCode::TooLarge => reason::DOCUMENT_TOO_LARGE,
        ExtractionErrorCode::Timeout => reason::EXTRACTION_TIMEOUT,
        ExtractionErrorCode::OutOfMemory => reason::EXTRACTION_OUT_OF_MEMORY,
        ExtractionErrorCode::Crashed => reason::EXTRACTION_CRASHED,
    };
    FailureReason::new(code, error.detail)
}

/// Whether a body is in a format that is read here.
pub fn is_document(body: &[u8]) -> bool {
    DocumentFormat::sniff(body).is_some()
}

/// What a child does: reads one document from standard input, and answers on standard output.
pub fn run_child() -> std::io::Result<()> {
    contexture_documents::run_extraction_child(CHILD_MEMORY_BYTES_MAX)
}
