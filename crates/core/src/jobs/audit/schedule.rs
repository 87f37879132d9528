//! Scheduled audits, in every process that holds indexes.
//!
//! Each process has indexes of its own, so each audits its own; the shared points are compared along with
//! them. The last result of a collection is stored in the shared states under [`AUDIT_STATE_PREFIX`], where
//! `status` reads it. Of the results of several processes within one interval the worst is kept.

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

/// Prefix of the names of stored results. Tenant and collection follow.
pub const AUDIT_STATE_PREFIX: &str = "audit/";
/// Longest time between two checks for what is due.
const DUE_CHECK_INTERVAL_MAX: Duration = Duration::from_secs(10);

/// When audits run, and how fast.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuditSchedule {
    /// Time from the end of one audit of a collection to the start of the next. The first comes one interval
    /// after the start of the process.
    pub interval: Duration,
    /// How fast.
    pub pace: AuditPace,
}

/// The last audit result of a collection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastAuditResult {
    /// When it ended, ms since the Unix epoch.
    pub at_ms: u64,
    /// The counts.
    #[serde(flatten)]
    pub report: AuditReport,
}

/// Audits what is due, until `stop` is true. Stops at any await: an audit writes nothing but its result.
pub async fn run_scheduled_audits(
    stages: Arc<StageResources>,
    schedule: AuditSchedule,
    mut stop: watch::Receiver<bool>,
) {
    let started_ms = stages.clock.now_ms();
    let mut ended_ms = HashMap::new();
    let check_interval = schedule.interval.min(DUE_CHECK_INTERVAL_MAX);
    while !*stop.borrow() {
        let work = audit_due_collections(&stages, schedule, started_ms, &mut ended_ms);
        tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => return,
            () = work => {}
        }
        let _ = tokio::time::timeout(check_interval, stop.wait_for(|stop| *stop)).await;
    }
}

/// Audits every collection that is due.
async fn audit_due_collections(
    stages: &StageResources,
    schedule: AuditSchedule,
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
        let interval_ms = u64::try_from(schedule.interval.as_millis()).unwrap_or(u64::MAX);
        // Saturates: a clock that is set back delays an audit and starts none early.
        if stages.clock.now_ms().saturating_sub(since_ms) < interval_ms {
            continue;
        }
        if let Err(fault) = audit_one_collection(stages, &record.key, schedule).await {
            tracing::warn!(tenant = %record.key.tenant, collection = %record.key.collection, %fault, "an audit was not finished");
        }
        // After a failure as well: it is tried again one interval later, not at once.
        ended_ms.insert(record.key, stages.clock.now_ms());
    }
}

async fn audit_one_collection(
    stages: &StageResources,
    key: &CollectionKey,
    schedule: AuditSchedule,
) -> Result<(), Fault> {
    let Some(open) = stages.catalog.open(key).await? else { return Ok(()) };
    let AuditOutcome { report, .. } =
        super::audit_collection(stages, &open, schedule.pace, FINDINGS_SHOWN_DEFAULT, |_| {}).await?;
    let AuditReport { documents, missing, stale, orphan, drift, unsettled } = report;
    if report.wrong() > 0 {
        tracing::warn!(
            tenant = %key.tenant, collection = %key.collection, documents, missing, stale, orphan, drift, unsettled,
            "stores and ledger differ; contexture repair mends that"
        );
    } else {
        tracing::info!(tenant = %key.tenant, collection = %key.collection, documents, unsettled, "stores and ledger agree");
    }
    store_audit_result(&*stages.states, key, report, schedule.interval).await
}

/// Stores a result, unless a worse one is stored that is younger than `while_younger`.
pub async fn store_audit_result(
    states: &dyn SharedStateStore,
    key: &CollectionKey,
    report: AuditReport,
    while_younger: Duration,
) -> Result<(), Fault> {
    let younger_ms = u64::try_from(while_younger.as_millis()).unwrap_or(u64::MAX);
    // The closure runs inside the state's transaction, and may run again after a conflict.
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
    states.change(&state_name(key), Box::new(change)).await
}

/// Deletes the stored result of a collection. An empty state stays, which counts as none.
pub async fn forget_audit_result(states: &dyn SharedStateStore, key: &CollectionKey) -> Result<(), Fault> {
    // Nothing is written where nothing was stored.
    states.change(&state_name(key), Box::new(|known, _| known.map(|_| String::new()))).await
}

fn state_name(key: &CollectionKey) -> String {
    format!("{AUDIT_STATE_PREFIX}{}/{}", key.tenant, key.collection)
}

/// The last results of all audited collections of all tenants.
pub async fn all_audit_results(states: &dyn SharedStateStore) -> Result<Vec<LastAuditResult>, Fault> {
    let named = states.named(AUDIT_STATE_PREFIX).await?;
    Ok(named.into_iter().filter_map(|(_, state)| serde_json::from_str(&state).ok()).collect())
}

/// The last result of each audited collection of a tenant, by name.
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
