//! Hands submissions to intake in bounded batches, and waits where intake asks for patience.
//!
//! A batch holds at most [`BATCH_BYTES_MAX`] bytes of bodies (one body may be larger by
//! itself) and [`BATCH_DOCUMENTS_MAX`] documents, so memory does not grow with the corpus.

use std::time::Duration;

use tokio::time::Instant;

use super::exit::CommandFailure;
use crate::wiring::ServiceStack;
use contexture_core::domain::document::Submission;
use contexture_core::fault::{Refusal, RefusalKind};
use contexture_core::ports::ledger::{IntakeDecision, SubmissionReceipt};

/// Most bytes of bodies in one batch.
pub(crate) const BATCH_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Most documents in one batch.
pub(crate) const BATCH_DOCUMENTS_MAX: usize = 256;
/// How long intake may have no room while nothing ends.
const STALL_MAX: Duration = Duration::from_mins(10);
/// How long to wait when intake has no room and does not say for how long.
const RETRY_DEFAULT: Duration = Duration::from_secs(1);

/// How intake decided, so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct IntakeTally {
    /// Stored; will be processed.
    pub(crate) accepted: u64,
    /// Nothing to do.
    pub(crate) unchanged: u64,
    /// Beaten by a version that somebody gave a number of their own.
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

/// Collects submissions and sends them batch by batch.
pub(crate) struct BatchSubmitter<'a> {
    stack: &'a ServiceStack,
    batch: Vec<Submission>,
    batch_bytes: usize,
    tally: IntakeTally,
}

impl<'a> BatchSubmitter<'a> {
    /// An empty feed into this stack's intake.
    pub(crate) fn new(stack: &'a ServiceStack) -> Self {
        Self { stack, batch: Vec::new(), batch_bytes: 0, tally: IntakeTally::default() }
    }

    /// Adds one, sending what has collected when the batch is full.
    pub(crate) async fn push(&mut self, submission: Submission) -> Result<(), CommandFailure> {
        let bytes = submission.body().len();
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

    /// Sends what has collected.
    pub(crate) async fn flush(&mut self) -> Result<(), CommandFailure> {
        if self.batch.is_empty() {
            return Ok(());
        }
        self.batch_bytes = 0;
        let receipts = submit_with_retry(self.stack, std::mem::take(&mut self.batch)).await?;
        self.tally.add(&receipts);
        Ok(())
    }

    /// What intake has decided of what was sent.
    pub(crate) fn tally(&self) -> IntakeTally {
        self.tally
    }
}

/// Submits, again and again while intake sheds load and versions go on ending.
async fn submit_with_retry(
    stack: &ServiceStack,
    batch: Vec<Submission>,
) -> Result<Vec<SubmissionReceipt>, Refusal> {
    let progress = stack.progress();
    let mut settled = progress.borrow().settled;
    let mut moved = Instant::now();
    loop {
        let shed = match stack.submitter.submit(batch.clone()).await {
            Err(refusal) if refusal.kind == RefusalKind::Exhausted => refusal,
            decided => return decided,
        };
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
