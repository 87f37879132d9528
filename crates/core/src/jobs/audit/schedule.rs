//! Audits by the clock, in every process that holds indexes.
//!
//! Each index is its process's own, so each process audits its own; points are compared along. The
//! last result of a collection is kept where `status` shows it ([`AUDIT_STATE_PREFIX`]); of several
//! processes' results within one interval the worst stays.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::{AuditOutcome, AuditPace, AuditReport, FINDINGS_SHOWN_DEFAULT};
use crate::domain::ids::CollectionKey;
use crate::fault::Fault;
use crate::ingest::StageResources;
use crate::ports::shared_states::SharedStateStore;

/// What the names of stored results begin with; tenant and collection follow.
pub const AUDIT_STATE_PREFIX: &str = "audit/";
/// Longest time between two looks at what is due.
const DUE_CHECK_INTERVAL_MAX: Duration = Duration::from_secs(10);

/// When and how fast.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuditSchedule {
    /// Time between the ends of two audits of a collection; the first is as late after the start.
    pub interval: Duration,
    /// How fast.
    pub pace: AuditPace,
}

/// The last result of a collection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastAuditResult {
    /// When it ended, ms since the Unix epoch.
    pub at_ms: u64,
    /// The counts.
    #[serde(flatten)]
    pub report: AuditReport,
}

/// Audits what is due until `stop` is true.
pub async fn run_scheduled_audits(
    stages: Arc<StageResources>,
    plan: AuditSchedule,
    mut stop: watch::Receiver<bool>,
) {
    let started_ms = stages.clock.now_ms();
    let mut ended_ms = HashMap::new();
    let look = plan.interval.min(DUE_CHECK_INTERVAL_MAX);
    while !*stop.borrow() {
        let work = audit_due_collections(&stages, plan, started_ms, &mut ended_ms);
        tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => return,
            () = work => {}
        }
        let _ = tokio::time::timeout(look, stop.wait_for(|stop| *stop)).await;
    }
}

/// Audits every collection that is due.
async fn audit_due_collections(
    stages: &StageResources,
    plan: AuditSchedule,
    started_ms: u64,
    ended_ms: &mut HashMap<CollectionKey, u64>,
) {
    let records = match stages.ledger.collections().await {
        Ok(records) => records,
        Err(fault) => {
            tracing::warn!(%fault, "collections cannot be listed for their audits");
            return;
        }
    };
    for record in records {
        let since_ms = ended_ms.get(&record.key).copied().unwrap_or(started_ms);
        let interval_ms = u64::try_from(plan.interval.as_millis()).unwrap_or(u64::MAX);
        if stages.clock.now_ms().saturating_sub(since_ms) < interval_ms {
            continue;
        }
        if let Err(fault) = audit_one_collection(stages, &record.key, plan).await {
            tracing::warn!(tenant = %record.key.tenant, collection = %record.key.collection, %fault, "an audit was not finished");
        }
        ended_ms.insert(record.key, stages.clock.now_ms());
    }
}

async fn audit_one_collection(
    stages: &StageResources,
    key: &CollectionKey,
    plan: AuditSchedule,
) -> Result<(), Fault> {
    let Some(open) = stages.catalog.open(key).await? else { return Ok(()) };
    let AuditOutcome { report, .. } =
        super::audit_collection(stages, &open, plan.pace, FINDINGS_SHOWN_DEFAULT, |_| {}).await?;
    let AuditReport { documents, missing, stale, orphan, drift, unsettled } = report;
    if report.wrong() > 0 {
        tracing::warn!(
            tenant = %key.tenant, collection = %key.collection, documents, missing, stale, orphan, drift, unsettled,
            "stores and ledger differ; contexture repair mends that"
        );
    } else {
        tracing::info!(tenant = %key.tenant, collection = %key.collection, documents, unsettled, "stores and ledger agree");
    }
    store_audit_result(&*stages.states, key, report, plan.interval).await
}

/// Keeps a result, unless a worse one is younger than `while_younger`.
pub async fn store_audit_result(
    states: &dyn SharedStateStore,
    key: &CollectionKey,
    report: AuditReport,
    while_younger: Duration,
) -> Result<(), Fault> {
    let younger_ms = u64::try_from(while_younger.as_millis()).unwrap_or(u64::MAX);
    let change = move |known: Option<&str>, now_ms: u64| {
        let known: Option<LastAuditResult> = known.and_then(|known| serde_json::from_str(known).ok());
        let is_worse = |last: &LastAuditResult| {
            last.report.wrong() > report.wrong() && now_ms.saturating_sub(last.at_ms) < younger_ms
        };
        if known.as_ref().is_some_and(is_worse) {
            return None;
        }
        serde_json::to_string(&LastAuditResult { at_ms: now_ms, report }).ok()
    };
    states.change(&format!("{AUDIT_STATE_PREFIX}{}/{}", key.tenant, key.collection), Box::new(change)).await
}

/// The last results of all collections of all tenants that were audited.
pub async fn all_audit_results(states: &dyn SharedStateStore) -> Result<Vec<LastAuditResult>, Fault> {
    let named = states.named(AUDIT_STATE_PREFIX).await?;
    Ok(named.into_iter().filter_map(|(_, state)| serde_json::from_str(&state).ok()).collect())
}

/// The last result of each of a tenant's collections that was audited, by name.
pub async fn tenant_audit_results(
    states: &dyn SharedStateStore,
    tenant: &str,
) -> Result<Vec<(String, LastAuditResult)>, Fault> {
    let prefix = format!("{AUDIT_STATE_PREFIX}{tenant}/");
    let named = states.named(&prefix).await?;
    Ok(named
        .into_iter()
        .filter_map(|(name, state)| {
            Some((name.strip_prefix(&prefix)?.to_owned(), serde_json::from_str(&state).ok()?))
        })
        .collect())
}
