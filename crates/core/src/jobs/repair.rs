//! The repair: fixes what an audit finds, page by page, from the ledger.
//!
//! A visible document that lacks something is written again ([`restore`]). Orphan heads and points are
//! removed. Nothing else is touched. If a whole store is gone, the audit finds every document missing, so
//! everything is rebuilt.
//!
//! Running it twice or beside traffic is safe: every write to the index holds the lock of the index stage,
//! and what has changed since it was found is left alone.

use std::collections::BTreeSet;

use serde::Serialize;

use super::audit::{AuditFinding, AuditPace, AuditProgress, AuditReport, CollectionAudit};
use crate::domain::ids::{ChunkId, DocumentId, VersionKey};
use crate::fault::Fault;
use crate::ingest::{StageResources, restore};
use crate::ports::catalog::OpenCollection;
use crate::ports::ledger::VersionState;

/// What a repair did.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct RepairOutcome {
    /// What was found.
    #[serde(flatten)]
    pub found: AuditReport,
    /// How many findings were repaired.
    pub mended: u64,
    /// How many could not be repaired.
    pub failed: u64,
    /// The first of those, and why.
    #[serde(skip)]
    pub why: Option<(VersionKey, Fault)>,
}

impl RepairOutcome {
    /// Adds the outcome of another collection.
    pub fn add(&mut self, other: Self) {
        self.found.add(&other.found);
        self.mended += other.mended;
        self.failed += other.failed;
        self.why = self.why.take().or(other.why);
    }
}

/// Repairs the stores of a collection. Calls `show` with the progress and the number of repaired findings.
pub async fn repair_collection(
    stages: &StageResources,
    open: &OpenCollection,
    mut show: impl FnMut(AuditProgress, u64) + Send,
) -> Result<RepairOutcome, Fault> {
    let mut audit = CollectionAudit::new(stages, open, AuditPace::UNBOUNDED).await?;
    let mut repaired = RepairOutcome::default();
    loop {
        let mended = repaired.mended;
        let Some(findings) = audit.next(&mut |progress| show(progress, mended)).await? else { break };
        for finding in &findings {
            repaired.found.count(finding);
        }
        // Every page is repaired before the next is read, so memory is bounded and progress survives a stop.
        let total = findings.len() as u64;
        let failed = repair_findings(stages, open, findings).await?;
        repaired.failed += failed.len() as u64;
        repaired.mended += total - failed.len() as u64;
        for (key, fault) in failed {
            tracing::warn!(
                tenant = %key.tenant, collection = %key.collection, document = %key.document_id,
                version = %key.version, %fault, "a document cannot be repaired"
            );
            repaired.why.get_or_insert((key, fault));
        }
    }
    audit.add_totals(&mut repaired.found);
    // Everything that could be found was looked for, so this also clears an older mark.
    open.set_incomplete(repaired.failed > 0);
    Ok(repaired)
}

/// Repairs findings. Returns the documents that cannot be repaired, and why.
async fn repair_findings(
    stages: &StageResources,
    open: &OpenCollection,
    findings: Vec<AuditFinding>,
) -> Result<Vec<(VersionKey, Fault)>, Fault> {
    let (mut wanted, mut heads, mut points) = (Vec::new(), Vec::new(), Vec::new());
    for finding in findings {
        match finding {
            AuditFinding::Document(_, one) => wanted.push(one),
            AuditFinding::Head(document_id) => heads.push(document_id),
            AuditFinding::Point(id, _) => points.push(id),
        }
    }
    let failed = restore::restore_versions(stages, open, &wanted).await?;
    remove_orphan_heads(stages, open, heads).await?;
    remove_orphan_points(open, points).await?;
    Ok(failed)
}

/// Removes orphan heads, except of versions that are in flight or visible by now.
async fn remove_orphan_heads(
    stages: &StageResources,
    open: &OpenCollection,
    heads: Vec<DocumentId>,
) -> Result<(), Fault> {
    if heads.is_empty() {
        return Ok(());
    }
    let lexical = open.lexical()?;
    // The lock comes before the ledger is read: what the index stage commits after that read cannot be
    // removed.
    let _writing = open.writing.lock().await;
    let home = &open.record;
    let version_lists = stages.ledger.versions_in_stores(&home.key, home.generation, &heads).await?;
    let snapshot = lexical.snapshot();
    let mut removed = BTreeSet::new();
    for (document_id, versions) in heads.into_iter().zip(version_lists) {
        let version = snapshot.head(&document_id)?.map(|head| head.version);
        let is_wanted = versions.iter().any(|record| {
            record.state == VersionState::Visible
                || (!record.state.is_terminal() && Some(record.key.version) == version)
        });
        if !is_wanted {
            removed.insert(document_id);
        }
    }
    if removed.is_empty() {
        return Ok(());
    }
    lexical.remove(removed.into_iter().collect()).await
}

/// Deletes orphan points.
async fn remove_orphan_points(open: &OpenCollection, points: Vec<ChunkId>) -> Result<(), Fault> {
    if points.is_empty() { Ok(()) } else { open.vectors.delete(points).await }
}
