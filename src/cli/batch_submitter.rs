//! Sends submissions to intake in bounded batches, and retries when intake sheds load.
//!
//! A batch holds at most [`BATCH_BYTES_MAX`] bytes of bodies and [`BATCH_DOCUMENTS_MAX`] documents.
//! A single larger body forms a batch of its own. So memory does not grow with the corpus.

use std::time::Duration;

use tokio::time::Instant;

use super::exit::CommandFailure;
use crate::operations::messages::document::IntakeName;
use crate::wiring::ServiceStack;
use contexture_core::domain::document::Submission;
use contexture_core::fault::{Refusal, RefusalKind};
use contexture_core::ports::ledger::{IntakeDecision, SubmissionReceipt};

/// Maximum bytes of bodies in one batch.
pub(crate) const BATCH_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Maximum documents in one batch.
pub(crate) const BATCH_DOCUMENTS_MAX: usize = 256;
/// How long intake may be full without any version ending before the command gives up.
const STALL_MAX: Duration = Duration::from_mins(10);
/// Time before a retry when intake is full and names no time itself.
const RETRY_DEFAULT: Duration = Duration::from_secs(1);

/// Decisions of intake so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct IntakeTally {
    /// Stored, and will be processed.
    pub(crate) accepted: u64,
    /// Stored already with the same content.
    pub(crate) unchanged: u64,
    /// Beaten by a version with an explicit number.
    pub(crate) outrun: u64,
}

impl IntakeTally {
    fn add(&mut self, receipts: &[SubmissionReceipt]) {
        for receipt in receipts {
            match receipt.intake {
                IntakeDecision::Accepted => self.accepted += 1,
                IntakeDecision::Duplicate => self.unchanged += 1,
                IntakeDecision::Conflict | IntakeDecision::Superseded => self.outrun += 1,
            }
        }
    }
}

impl IntakeTally {
    /// Counts the decision of a server.
    pub(crate) fn add_name(&mut self, intake: IntakeName) {
        match intake {
            IntakeName::Accepted => self.accepted += 1,
            IntakeName::Duplicate => self.unchanged += 1,
            IntakeName::Superseded => self.outrun += 1,
        }
    }
}

/// Collects submissions and sends them in batches.
pub(crate) struct BatchSubmitter<'a> {
    stack: &'a ServiceStack,
    batch: Vec<Submission>,
    batch_bytes: usize,
    tally: IntakeTally,
    /// What was decided since the last look.
    receipts: Vec<SubmittedFile>,
}

/// A submission that was decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SubmittedFile {
    /// Its document.
    pub(crate) document_id: String,
    /// The version that it has, or that won over it.
    pub(crate) version: u64,
    /// Whether the document had this content already.
    pub(crate) is_unchanged: bool,
}

impl<'a> BatchSubmitter<'a> {
    /// An empty batch for this stack's intake.
    pub(crate) fn new(stack: &'a ServiceStack) -> Self {
        Self { stack, batch: Vec::new(), batch_bytes: 0, tally: IntakeTally::default(), receipts: Vec::new() }
    }

    /// Adds one submission. Sends the batch first if this one would exceed its bytes, or after it when full.
    pub(crate) async fn push(&mut self, submission: Submission) -> Result<(), CommandFailure> {
        let bytes = submission.body().len();
        // Flushing before the push keeps the bound. A body above it by itself still goes, alone.
        if self.batch_bytes + bytes > BATCH_BYTES_MAX {
            self.flush().await?;
        }
        self.batch_bytes += bytes;
        self.batch.push(submission);
        if self.batch.len() >= BATCH_DOCUMENTS_MAX {
            self.flush().await?;
        }
        Ok(())
    }

    /// Sends the collected submissions.
    pub(crate) async fn flush(&mut self) -> Result<(), CommandFailure> {
        if self.batch.is_empty() {
            return Ok(());
        }
        debug_assert!(self.batch.len() <= BATCH_DOCUMENTS_MAX);
        self.batch_bytes = 0;
        let batch = std::mem::take(&mut self.batch);
        let ids: Vec<String> = batch.iter().map(|one| one.document_id().as_str().to_owned()).collect();
        let receipts = submit_with_retry(self.stack, batch).await?;
        self.tally.add(&receipts);
        let decided = ids.into_iter().zip(&receipts).filter_map(|(document_id, receipt)| {
            let is_unchanged = match receipt.intake {
                IntakeDecision::Accepted => false,
                IntakeDecision::Duplicate => true,
                IntakeDecision::Conflict | IntakeDecision::Superseded => return None,
            };
            Some(SubmittedFile { document_id, version: receipt.version.get(), is_unchanged })
        });
        self.receipts.extend(decided);
        Ok(())
    }

    /// What was stored, or was there already, since the last call.
    pub(crate) fn take_receipts(&mut self) -> Vec<SubmittedFile> {
        std::mem::take(&mut self.receipts)
    }

    /// The decisions about everything that was sent.
    pub(crate) fn tally(&self) -> IntakeTally {
        self.tally
    }
}

/// Submits, and retries while intake sheds load. Fails with `stalled` if no version ends for [`STALL_MAX`].
async fn submit_with_retry(
    stack: &ServiceStack,
    batch: Vec<Submission>,
) -> Result<Vec<SubmissionReceipt>, Refusal> {
    let progress = stack.progress();
    let mut settled = progress.borrow().settled;
    let mut moved = Instant::now();
    loop {
        // Sending the same batch again is safe: what was stored after all is decided as a duplicate.
        let shed = match stack.submitter.submit(batch.clone()).await {
            // A full disk does not empty itself.
            Err(refusal) if refusal.kind == RefusalKind::Exhausted && refusal.code != "disk_full" => refusal,
            decided => return decided,
        };
        // Any version that ended makes room sooner or later, so only a standstill counts towards the limit.
        let settled_now = progress.borrow().settled;
        if settled_now != settled {
            settled = settled_now;
            moved = Instant::now();
        } else if moved.elapsed() >= STALL_MAX {
            return Err(Refusal::new(
                RefusalKind::Deadline,
                "stalled",
                "",
                format!(
                    "nothing has ended for {} minutes and intake has no room ({}); \
                     see 'contexture status'",
                    STALL_MAX.as_secs() / 60,
                    shed.message
                ),
            ));
        }
        tokio::time::sleep(shed.retry_after.unwrap_or(RETRY_DEFAULT)).await;
    }
}
