//! The audit: ledger, lexical index and vectors of one generation compared, while traffic runs.
//!
//! The ledger is right. Three walks, each in pages, none of them pinning a snapshot:
//!
//! 1. [`documents`]: the log of visible versions, up to where it ended at the start. Each version's
//!    head must be committed as it is, with its chunks and no others, and every chunk has its point.
//! 2. [`heads`]: every document of which the index holds anything must be in the ledger's log.
//! 3. [`points`]: every point must be a chunk of the index, or of a version that may have it.
//!
//! What looks wrong is a suspect. It is looked at again after [`AuditPace::pause`] (fresh ledger, fresh
//! snapshot, fresh points) and counts only if it is wrong still and the ledger says the same of
//! its document before the pause, after it, and once the stores were read. A version in flight explains what
//! is its own: staged points, and a commit that the ledger has not heard of yet; so does a loser
//! that was not swept yet. What is on the move at all of [`INSPECTIONS_MAX`] looks is left to the next audit.

mod collection_audit;
mod documents;
mod heads;
mod points;
mod report;
pub mod schedule;
mod suspects;

use std::time::Duration;

use crate::fault::Fault;
use crate::ingest::StageResources;
use crate::ports::catalog::OpenCollection;

pub use collection_audit::{AuditProgress, CollectionAudit, PAGE_ENTRIES_MAX};
pub use report::{AuditFinding, AuditFindingKind, AuditOutcome, AuditReport, AuditedStore, FindingSummary};
pub use suspects::INSPECTIONS_MAX;

/// Findings that are kept to be shown unless told otherwise.
pub const FINDINGS_SHOWN_DEFAULT: usize = 20;

/// How fast a walk goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuditPace {
    /// Documents, heads and points per second; 0 is no limit.
    pub entries_per_second: u32,
    /// Time before a suspect is looked at again. At least as long as the index may be behind the
    /// ledger's log.
    pub pause: Duration,
}

impl AuditPace {
    /// As fast as it goes: a false alarm of a repair costs a little work and does no harm.
    pub const UNBOUNDED: Self = Self { entries_per_second: 0, pause: Duration::ZERO };
}

/// Compares a collection's stores with the ledger; keeps `shown_max` findings. `show` is called with
/// how far it is.
pub async fn audit_collection(
    stages: &StageResources,
    open: &OpenCollection,
    pace: AuditPace,
    shown_max: usize,
    mut show: impl FnMut(AuditProgress) + Send,
) -> Result<AuditOutcome, Fault> {
    let mut walk = CollectionAudit::new(stages, open, pace).await?;
    let mut audited = AuditOutcome::default();
    while let Some(findings) = walk.next(&mut show).await? {
        for finding in &findings {
            audited.report.count(finding);
            if audited.findings.len() < shown_max {
                audited.findings.push(finding.shown());
            }
        }
    }
    walk.sum_up(&mut audited.report);
    open.set_lacking(audited.report.missing + audited.report.stale > 0);
    Ok(audited)
}
