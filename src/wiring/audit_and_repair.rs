//! Work on whole collections, as commands and the clock ask for it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::roles::StartupPlan;
use super::{ServiceStack, background_tasks};
use crate::config::{AuditConfig, ContextureConfig};
use contexture_core::domain::ids::CollectionKey;
use contexture_core::fault::{Fault, Refusal};
use contexture_core::ingest::{StageResources, housekeeping};
use contexture_core::jobs::audit::schedule::{self, AuditSchedule, LastAuditResult};
use contexture_core::jobs::audit::{self, AuditOutcome, AuditPace, AuditProgress, AuditReport};
use contexture_core::jobs::repair::{self, RepairOutcome};
use contexture_core::ports::catalog::{CollectionCatalog, OpenCollection};

/// Time before what looks wrong is looked at again.
const RECHECK_PAUSE: Duration = Duration::from_millis(500);
/// The same where an index follows the ledger, which it looks at every 200 ms.
const RECHECK_PAUSE_FOLLOWING: Duration = Duration::from_secs(2);
/// Versions that one repair sends on their way again.
const REQUEUED_MAX: usize = 100_000;

/// Starts audits by the clock, in a process that lasts and holds indexes.
pub(super) fn start_scheduled_audits(
    stages: &Arc<StageResources>,
    config: &ContextureConfig,
    duties: &StartupPlan,
    stop: &watch::Sender<bool>,
) -> Option<JoinHandle<()>> {
    let AuditConfig { interval, entries_per_second_max } = config.audit;
    let interval = interval.filter(|_| duties.follow_all)?;
    let plan = AuditSchedule { interval, pace: audit_pace(entries_per_second_max, duties.shared) };
    let stages = stages.clone();
    Some(background_tasks::spawn_restarting("audit", stop, move |stop| {
        schedule::run_scheduled_audits(stages.clone(), plan, stop)
    }))
}

pub(super) fn audit_pace(entries_per_second: u32, shared: bool) -> AuditPace {
    AuditPace { entries_per_second, pause: if shared { RECHECK_PAUSE_FOLLOWING } else { RECHECK_PAUSE } }
}

/// Compares a collection's stores with the ledger, and keeps the result for `status`.
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

/// Mends a collection's stores, and keeps what is left for `status`.
pub(super) async fn repair_and_record(
    stages: &StageResources,
    open: &Arc<OpenCollection>,
    show: impl FnMut(AuditProgress, u64) + Send,
) -> Result<RepairOutcome, Fault> {
    let repaired = repair::repair_collection(stages, open, show).await?;
    let left = AuditReport {
        documents: repaired.found.documents,
        missing: repaired.failed,
        ..AuditReport::default()
    };
    schedule::store_audit_result(&*stages.states, &open.record.key, left, Duration::ZERO).await?;
    Ok(repaired)
}

impl ServiceStack {
    /// Compares a collection's stores with the ledger, and keeps the result for `status`. Where nobody else
    /// works with the ledger it goes as fast as it can.
    pub async fn audit(
        &self,
        collection: &CollectionKey,
        config: AuditConfig,
        shown_max: usize,
        show: impl FnMut(AuditProgress) + Send,
    ) -> Result<AuditOutcome, Refusal> {
        let open = self.opened(collection).await?;
        let entries_per_second = if self.shared { config.entries_per_second_max } else { 0 };
        let pace = audit_pace(entries_per_second, self.shared);
        Ok(audit_and_record(&self.stages, &open, pace, shown_max, show).await?)
    }

    /// Mends a collection's stores, and keeps what is left for `status`.
    pub async fn repair(
        &self,
        collection: &CollectionKey,
        show: impl FnMut(AuditProgress, u64) + Send,
    ) -> Result<RepairOutcome, Refusal> {
        let open = self.opened(collection).await?;
        Ok(repair_and_record(&self.stages, &open, show).await?)
    }

    /// Sends versions in flight again whose messages are lost; returns how many.
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
