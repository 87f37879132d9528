//! The audit: compares lexical index and vectors of one generation with the ledger, beside traffic.
//!
//! The ledger is right. [`collection_audit`] runs three phases, page by page, without pinning a snapshot:
//!
//! 1. Documents: every version in the log of visible versions, up to its end at the start, has its head
//!    committed as accepted, has exactly its chunks in the index, and a point for every chunk.
//! 2. Heads: every document that the index holds anything of is in the log of the ledger.
//! 3. Points: every point belongs to a chunk of the index, or to a version that may have it.
//!
//! What looks wrong is a suspect. It is inspected again after [`AuditPace::pause`], with a fresh read of
//! all stores. It becomes a finding only if it is still wrong and the ledger said the same of its document
//! before the pause, after it, and after the stores were read. A version in flight explains its staged
//! points, and a commit that the ledger has not heard of yet. A loser that is not swept yet explains its
//! own. A suspect that moves at all of [`INSPECTIONS_MAX`] inspections is left to the next audit.

mod collection_audit;
mod documents;
mod points;
mod report;
pub mod schedule;
mod suspects;

use crate::fault::Fault;
use crate::ingest::StageResources;
use crate::ports::catalog::OpenCollection;

pub use collection_audit::{AuditPace, AuditProgress, CollectionAudit, PAGE_ENTRIES_MAX};
pub use report::{AuditFinding, AuditFindingKind, AuditOutcome, AuditReport, AuditedStore, FindingSummary};
pub use suspects::INSPECTIONS_MAX;

/// Findings that an audit keeps, unless told otherwise.
pub const FINDINGS_SHOWN_DEFAULT: usize = 20;

/// Compares the stores of a collection with the ledger. Keeps the first `shown_max` findings, and calls
/// `show` after every page.
pub async fn audit_collection(
    stages: &StageResources,
    open: &OpenCollection,
    pace: AuditPace,
    shown_max: usize,
    mut show: impl FnMut(AuditProgress) + Send,
) -> Result<AuditOutcome, Fault> {
    let mut audit = CollectionAudit::new(stages, open, pace).await?;
    let mut outcome = AuditOutcome::default();
    while let Some(findings) = audit.next(&mut show).await? {
        for finding in &findings {
            outcome.report.count(finding);
            if outcome.findings.len() < shown_max {
                outcome.findings.push(finding.summary());
            }
        }
    }
    audit.add_totals(&mut outcome.report);
    // Orphans and drift are wrong as well, but queries lose nothing by them.
    open.set_incomplete(outcome.report.missing + outcome.report.stale > 0);
    Ok(outcome)
}
