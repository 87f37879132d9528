//! The repair: what an audit finds is mended as it is found, from the ledger.
//!
//! A visible document is put in once more, where it is lacking ([`restore`]); a head or a point of
//! nobody is removed. Only that is touched. Where everything is gone (the index's directory, the vectors),
//! everything is found missing, page by page, and so everything is rebuilt. Running it twice,
//! or beside traffic, does no harm: the index stage's lock is held for every write, and what has moved
//! since it was found is left alone.

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
    /// How much of that was mended.
    pub mended: u64,
    /// How much could not be.
    pub failed: u64,
    /// The first of those, and why.
    #[serde(skip)]
    pub why: Option<(VersionKey, Fault)>,
}

impl RepairOutcome {
    /// Adds another collection's.
    pub fn add(&mut self, other: Self) {
        self.found.add(&other.found);
        self.mended += other.mended;
        self.failed += other.failed;
        self.why = self.why.take().or(other.why);
    }
}

/// Mends a collection's stores; `show` is called with how far it is and how much it has mended.
pub async fn repair_collection(
    stages: &StageResources,
    open: &OpenCollection,
    mut show: impl FnMut(AuditProgress, u64) + Send,
) -> Result<RepairOutcome, Fault> {
    let mut walk = CollectionAudit::new(stages, open, AuditPace::UNBOUNDED).await?;
    let mut repaired = RepairOutcome::default();
    loop {
        let mended = repaired.mended;
        let Some(findings) = walk.next(&mut |progress| show(progress, mended)).await? else { break };
        for finding in &findings {
            repaired.found.count(finding);
        }
        let total = findings.len() as u64;
        let failed = repair_findings(stages, open, findings).await?;
        repaired.failed += failed.len() as u64;
        repaired.mended += total - failed.len() as u64;
        for (key, fault) in failed {
            tracing::warn!(
                tenant = %key.tenant, collection = %key.collection, document = %key.document_id,
                version = %key.version, %fault, "a document cannot be mended"
            );
            repaired.why.get_or_insert((key, fault));
        }
    }
    walk.sum_up(&mut repaired.found);
    open.set_lacking(repaired.failed > 0);
    Ok(repaired)
}

/// Mends findings; returns the documents that cannot be mended, and why.
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

/// Removes heads of nobody, but none of a version that is in flight or visible by now.
async fn remove_orphan_heads(
    stages: &StageResources,
    open: &OpenCollection,
    heads: Vec<DocumentId>,
) -> Result<(), Fault> {
    if heads.is_empty() {
        return Ok(());
    }
    let lexical = open.lexical()?;
    let _writing = open.writing.lock().await;
    let home = &open.record;
    let standings = stages.ledger.standings(&home.key, home.generation, &heads).await?;
    let snapshot = lexical.snapshot();
    let mut removed = BTreeSet::new();
    for (document_id, standing) in heads.into_iter().zip(standings) {
        let version = snapshot.head(&document_id)?.map(|head| head.version);
        let is_wanted = standing.iter().any(|record| {
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

async fn remove_orphan_points(open: &OpenCollection, points: Vec<ChunkId>) -> Result<(), Fault> {
    if points.is_empty() { Ok(()) } else { open.vectors.delete(points).await }
}
