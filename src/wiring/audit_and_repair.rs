//! Audits and repairs of whole collections. Each result is stored, so that `status` can show it.

use std::sync::Arc;
use std::time::Duration;

use super::background_tasks::audit_pace;
use super::service_stack::ServiceStack;
use crate::config::AuditConfig;
use contexture_core::domain::ids::CollectionKey;
use contexture_core::fault::{Fault, Refusal};
use contexture_core::ingest::{StageResources, housekeeping};
use contexture_core::jobs::audit::schedule::{self, LastAuditResult};
use contexture_core::jobs::audit::{self, AuditOutcome, AuditPace, AuditProgress, AuditReport};
use contexture_core::jobs::repair::{self, RepairOutcome};
use contexture_core::ports::catalog::{CollectionCatalog, OpenCollection};

/// Most versions that one repair requeues.
const REQUEUED_MAX: usize = 100_000;

/// Compares the stores of a collection with the ledger, and stores the result for `status`.
pub(super) async fn audit_and_record(
    stages: &StageResources,
    open: &Arc<OpenCollection>,
    pace: AuditPace,
    shown_max: usize,
    show: impl FnMut(AuditProgress) + Send,
) -> Result<AuditOutcome, Fault> {
    let audited = audit::audit_collection(stages, open, pace, shown_max, show).await?;
    schedule::store_audit_result(&*stages.states, &open.record.key, audited.report, Duration::ZERO).await?;
    Ok(audited)
}

/// Repairs the stores of a collection, and stores what is left for `status`.
pub(super) async fn repair_and_record(
    stages: &StageResources,
    open: &Arc<OpenCollection>,
    show: impl FnMut(AuditProgress, u64) + Send,
) -> Result<RepairOutcome, Fault> {
    let repaired = repair::repair_collection(stages, open, show).await?;
    // What was repaired is right again. What failed counts as missing.
    let left = AuditReport {
        documents: repaired.found.documents,
        missing: repaired.failed,
        ..AuditReport::default()
    };
    schedule::store_audit_result(&*stages.states, &open.record.key, left, Duration::ZERO).await?;
    Ok(repaired)
}

impl ServiceStack {
    /// Compares the stores of a collection with the ledger, and stores the result for `status`. Runs without
    /// a pace where no other process shares the ledger.
    pub async fn audit(
        &self,
        collection: &CollectionKey,
        config: AuditConfig,
        shown_max: usize,
        show: impl FnMut(AuditProgress) + Send,
    ) -> Result<AuditOutcome, Refusal> {
        let open = self.opened(collection).await?;
        // Alone on the ledger, a fast audit disturbs nobody.
        let entries_per_second = if self.shared { config.entries_per_second_max } else { 0 };
        let pace = audit_pace(entries_per_second, self.shared);
        Ok(audit_and_record(&self.stages, &open, pace, shown_max, show).await?)
    }

    /// Repairs the stores of a collection, and stores what is left for `status`.
    pub async fn repair(
        &self,
        collection: &CollectionKey,
        show: impl FnMut(AuditProgress, u64) + Send,
    ) -> Result<RepairOutcome, Refusal> {
        let open = self.opened(collection).await?;
        Ok(repair_and_record(&self.stages, &open, show).await?)
    }

    /// Requeues versions in flight whose messages are lost. Returns how many.
    pub async fn requeue(&self) -> Result<usize, Refusal> {
        Ok(housekeeping::requeue_lost_messages_now(&self.stages, REQUEUED_MAX).await?)
    }

    /// The last audits of the local tenant's collections, by name.
    pub async fn last_audits(&self) -> Result<Vec<(String, LastAuditResult)>, Refusal> {
        Ok(schedule::tenant_audit_results(&*self.stages.states, self.principal.tenant().as_str()).await?)
    }

    async fn opened(&self, collection: &CollectionKey) -> Result<Arc<OpenCollection>, Refusal> {
        let open = self.catalog.open(collection).await?;
        Ok(open.ok_or_else(|| Fault::transient("a collection is gone that was there a moment ago"))?)
    }
}
