//! Stand-in for intake, to be dropped at the merge.

use crate::domain::document::Submission;
use crate::fault::{Refusal, RefusalKind};
use crate::ports::ledger::Receipt;

/// Intake.
pub struct Submitter;

#[expect(clippy::unused_async, reason = "stand-in")]
impl Submitter {
    /// Takes submissions.
    pub async fn submit(&self, _submissions: Vec<Submission>) -> Result<Vec<Receipt>, Refusal> {
        Err(Refusal::new(RefusalKind::Internal, "not_wired", "", "stand-in"))
    }
}
