//! What a child does: limits, one request, one answer.

use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::child_limits::{limit_processor_time, limit_this_process};
use crate::extracted::{ExtractedText, ExtractionError, ExtractionErrorCode};
use crate::extraction_frames::{
    ExtractionAnswer, ExtractionRequest, ExtractionTask, read_request, write_frame,
};
use crate::extraction_spending::SpendingMeter;
use crate::{read_attachments, read_document};

/// Reads one document from standard input, and answers on standard output. Returns without a word if there is none.
///
/// `memory_bytes_max` bounds the address space of this process.
pub fn run_extraction_child(memory_bytes_max: u64) -> std::io::Result<()> {
    let meter = SpendingMeter::new();
    limit_this_process(memory_bytes_max);
    let Some((request, body)) = read_request(&mut std::io::stdin().lock())? else { return Ok(()) };
    limit_processor_time(request.cpu_seconds_max);
    let read = read_caught(&request, &body);
    let answer = ExtractionAnswer { read, spent: Some(meter.spent()) };
    let mut out = std::io::stdout().lock();
    write_frame(&mut out, &answer)?;
    out.flush()
}

/// Reads a document; a panic of its reader is an error like others.
fn read_caught(request: &ExtractionRequest, body: &[u8]) -> Result<ExtractedText, ExtractionError> {
    // The panic's message may quote the document; what a person needs is said here.
    std::panic::set_hook(Box::new(|_| {}));
    let read = || match request.task {
        ExtractionTask::Text => read_document(body, request.format, &request.name),
        ExtractionTask::Attachments => read_attachments(body, request.format, &request.name),
    };
    catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|_| {
        let detail = format!(
            "the reader of {} files gave up on {}; open the file and save it anew",
            request.format.ending(),
            request.name
        );
        Err(ExtractionError::new(ExtractionErrorCode::Crashed, detail))
    })
}
