//! The version fence at intake, decided on what was read of a document under its lock.

use std::collections::BTreeMap;

use crate::ledger_rows::corrupt_ledger;
use crate::ledger_rules::repeats_latest;
use contexture_core::domain::document::Submission;
use contexture_core::domain::ids::{ContentHash, Version};
use contexture_core::domain::version_fence::{FenceDecision, check_version_fence};
use contexture_core::fault::Fault;
use contexture_core::ports::ledger::{IntakeDecision, VersionState};

/// The known versions of a document: its latest, and those that submissions name.
#[derive(Debug, Default)]
pub(super) struct DocumentHistory {
    /// None until the document has a row.
    pub(super) document_ref: Option<i64>,
    /// The latest version that its row names.
    pub(super) named: Option<Version>,
    /// None while it has no version.
    pub(super) latest: Option<Version>,
    pub(super) versions: BTreeMap<Version, (ContentHash, VersionState)>,
}

impl DocumentHistory {
    /// Decides, and remembers an accepted version, so that later submissions of the same batch see it.
    pub(super) fn decide(&mut self, submission: &Submission) -> Result<(IntakeDecision, Version), Fault> {
        let (intake, version) = self.check(submission)?;
        if intake == IntakeDecision::Accepted {
            self.latest = Some(version);
            self.versions.insert(version, (submission.content_hash(), VersionState::Accepted));
        }
        Ok((intake, version))
    }

    fn check(&self, submission: &Submission) -> Result<(IntakeDecision, Version), Fault> {
        let content = submission.content_hash();
        let Some(latest) = self.latest else {
            // Deleting an unknown document without a version is done already: nothing is stored.
            let nothing_to_delete = submission.deletes() && submission.version().is_none();
            let intake = if nothing_to_delete { IntakeDecision::Duplicate } else { IntakeDecision::Accepted };
            return Ok((intake, submission.version().unwrap_or(Version::FIRST)));
        };
        let known = |version: Version| self.versions.get(&version).copied();
        let (head, state) =
            known(latest).ok_or_else(|| corrupt_ledger("versions", "the latest one is missing"))?;
        let Some(version) = submission.version() else {
            if head == content && repeats_latest(state, submission.deletes()) {
                return Ok((IntakeDecision::Duplicate, latest));
            }
            // No version follows the highest one, so other content conflicts with it.
            return Ok(match Version::new(latest.get() + 1) {
                Ok(next) => (IntakeDecision::Accepted, next),
                Err(_) => (IntakeDecision::Conflict, latest),
            });
        };
        Ok(match (check_version_fence(Some((latest, head)), version, content), known(version)) {
            (FenceDecision::Apply, _) => (IntakeDecision::Accepted, version),
            (FenceDecision::Duplicate, _) => (IntakeDecision::Duplicate, version),
            // Older than the latest: superseded if it never was stored, a repeat if it was with the
            // same content.
            (FenceDecision::Superseded, None) => (IntakeDecision::Superseded, latest),
            (FenceDecision::Superseded, Some((stored, _))) if stored == content => {
                (IntakeDecision::Duplicate, version)
            }
            (FenceDecision::Superseded | FenceDecision::Conflict, _) => (IntakeDecision::Conflict, version),
        })
    }
}
