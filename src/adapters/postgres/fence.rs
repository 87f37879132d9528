//! The decision about a submission, on what was read of its document under its lock.

use std::collections::BTreeMap;

use super::rows::corrupt;
use crate::domain::document::Submission;
use crate::domain::fence::{Verdict, decide};
use crate::domain::ids::{ContentHash, Version};
use crate::fault::Fault;
use crate::ports::ledger::{Intake, State};

/// What is known of a document: its latest version, and those that were asked for by number.
#[derive(Debug, Default)]
pub(super) struct History {
    /// None until the document has a row.
    pub(super) document_ref: Option<i64>,
    /// The latest version its row names.
    pub(super) named: Option<Version>,
    /// None while it has no version.
    pub(super) latest: Option<Version>,
    pub(super) versions: BTreeMap<Version, (ContentHash, State)>,
}

impl History {
    /// Decides, and notes what was accepted, so that the next of the same batch meets it.
    pub(super) fn take(&mut self, submission: &Submission) -> Result<(Intake, Version), Fault> {
        let (intake, version) = self.judge(submission)?;
        if intake == Intake::Accepted {
            self.latest = Some(version);
            self.versions.insert(version, (submission.content_hash(), State::Accepted));
        }
        Ok((intake, version))
    }

    fn judge(&self, submission: &Submission) -> Result<(Intake, Version), Fault> {
        let content = submission.content_hash();
        let Some(latest) = self.latest else {
            let nothing_to_delete = submission.deletes() && submission.version().is_none();
            let intake = if nothing_to_delete { Intake::Duplicate } else { Intake::Accepted };
            return Ok((intake, submission.version().unwrap_or(Version::FIRST)));
        };
        let known = |version: Version| self.versions.get(&version).copied();
        let (head, state) = known(latest).ok_or_else(|| corrupt("versions", "the latest one is missing"))?;
        let Some(version) = submission.version() else {
            if head == content && state != State::Dead {
                return Ok((Intake::Duplicate, latest));
            }
            // There is none after the highest, so other content conflicts with it.
            return Ok(match Version::new(latest.get() + 1) {
                Ok(next) => (Intake::Accepted, next),
                Err(_) => (Intake::Conflict, latest),
            });
        };
        Ok(match (decide(Some((latest, head)), version, content), known(version)) {
            (Verdict::Apply, _) => (Intake::Accepted, version),
            (Verdict::Duplicate, _) => (Intake::Duplicate, version),
            (Verdict::Superseded, None) => (Intake::Superseded, latest),
            (Verdict::Superseded, Some((stored, _))) if stored == content => (Intake::Duplicate, version),
            (Verdict::Superseded | Verdict::Conflict, _) => (Intake::Conflict, version),
        })
    }
}
