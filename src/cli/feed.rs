//! Hands submissions to intake in bounded batches, and waits where intake asks for patience.
//!
//! A batch holds at most [`BATCH_BYTES_MAX`] bytes of bodies (one body may be larger by
//! itself) and [`BATCH_DOCUMENTS_MAX`] documents, so memory does not grow with the corpus.

use std::time::Duration;

use tokio::time::Instant;

use super::exit::Failure;
use crate::domain::document::Submission;
use crate::fault::{Refusal, RefusalKind};
use crate::ports::ledger::{Intake, Receipt};
use crate::wiring::Stack;

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
pub(crate) struct Tally {
    /// Stored; will be processed.
    pub(crate) accepted: u64,
    /// Nothing to do.
    pub(crate) unchanged: u64,
    /// Beaten by a version that somebody gave a number of their own.
    pub(crate) outrun: u64,
}

impl Tally {
    fn add(&mut self, receipts: &[Receipt]) {
        for receipt in receipts {
            match receipt.intake {
                Intake::Accepted => self.accepted += 1,
                Intake::Duplicate => self.unchanged += 1,
                Intake::Conflict | Intake::Superseded => self.outrun += 1,
            }
        }
    }
}

/// Collects submissions and sends them batch by batch.
pub(crate) struct Feed<'a> {
    stack: &'a Stack,
    batch: Vec<Submission>,
    batch_bytes: usize,
    tally: Tally,
}

impl<'a> Feed<'a> {
    /// An empty feed into this stack's intake.
    pub(crate) fn new(stack: &'a Stack) -> Self {
        Self { stack, batch: Vec::new(), batch_bytes: 0, tally: Tally::default() }
    }

    /// Adds one, sending what has collected when the batch is full.
    pub(crate) async fn push(&mut self, submission: Submission) -> Result<(), Failure> {
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
    pub(crate) async fn flush(&mut self) -> Result<(), Failure> {
        if self.batch.is_empty() {
            return Ok(());
        }
        self.batch_bytes = 0;
        let receipts = submit_patiently(self.stack, std::mem::take(&mut self.batch)).await?;
        self.tally.add(&receipts);
        Ok(())
    }

    /// What intake has decided of what was sent.
    pub(crate) fn tally(&self) -> Tally {
        self.tally
    }
}

/// Submits, again and again while intake sheds load and versions go on ending.
async fn submit_patiently(stack: &Stack, batch: Vec<Submission>) -> Result<Vec<Receipt>, Refusal> {
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
