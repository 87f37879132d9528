//! Audits by the clock, in every process that holds indexes.
//!
//! Each index is its process's own, so each process audits its own; points are compared along. The
//! last result of a collection is kept where `status` shows it ([`NAME_PREFIX`]); of several
//! processes' results within one interval the worst stays.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::{Audited, Pace, Report, SHOWN_DEFAULT};
use crate::domain::ids::CollectionKey;
use crate::fault::Fault;
use crate::ingest::Stages;
use crate::ports::states::SharedStates;

/// What the names of stored results begin with; tenant and collection follow.
pub const NAME_PREFIX: &str = "audit/";
/// Longest time between two looks at what is due.
const LOOK_MAX: Duration = Duration::from_secs(10);

/// When and how fast.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// Time between the ends of two audits of a collection; the first is as late after the start.
    pub interval: Duration,
    /// How fast.
    pub pace: Pace,
}

/// The last result of a collection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Last {
    /// When it ended, ms since the Unix epoch.
    pub at_ms: u64,
    /// The counts.
    #[serde(flatten)]
    pub report: Report,
}

/// Audits what is due until `stop` is true.
pub async fn run(stages: Arc<Stages>, plan: Plan, mut stop: watch::Receiver<bool>) {
    let started_ms = stages.clock.now_ms();
    let mut ended_ms = HashMap::new();
    let look = plan.interval.min(LOOK_MAX);
    while !*stop.borrow() {
        let work = round(&stages, plan, started_ms, &mut ended_ms);
        tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => return,
            () = work => {}
        }
        let _ = tokio::time::timeout(look, stop.wait_for(|stop| *stop)).await;
    }
}

/// Audits every collection that is due.
async fn round(stages: &Stages, plan: Plan, started_ms: u64, ended_ms: &mut HashMap<CollectionKey, u64>) {
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
        if let Err(fault) = audit(stages, &record.key, plan).await {
            tracing::warn!(tenant = %record.key.tenant, collection = %record.key.collection, %fault, "an audit was not finished");
        }
        ended_ms.insert(record.key, stages.clock.now_ms());
    }
}

async fn audit(stages: &Stages, key: &CollectionKey, plan: Plan) -> Result<(), Fault> {
    let Some(open) = stages.catalog.open(key).await? else { return Ok(()) };
    let Audited { report, .. } = super::run(stages, &open, plan.pace, SHOWN_DEFAULT, |_| {}).await?;
    let Report { documents, missing, stale, orphan, drift, unsettled } = report;
    if report.wrong() > 0 {
        tracing::warn!(
            tenant = %key.tenant, collection = %key.collection, documents, missing, stale, orphan, drift, unsettled,
            "stores and ledger differ; contexture repair mends that"
        );
    } else {
        tracing::info!(tenant = %key.tenant, collection = %key.collection, documents, unsettled, "stores and ledger agree");
    }
    keep(&*stages.states, key, report, plan.interval).await
}

/// Keeps a result, unless a worse one is younger than `while_younger`.
pub async fn keep(
    states: &dyn SharedStates,
    key: &CollectionKey,
    report: Report,
    while_younger: Duration,
) -> Result<(), Fault> {
    let younger_ms = u64::try_from(while_younger.as_millis()).unwrap_or(u64::MAX);
    let change = move |known: Option<&str>, now_ms: u64| {
        let known: Option<Last> = known.and_then(|known| serde_json::from_str(known).ok());
        let is_worse = |last: &Last| {
            last.report.wrong() > report.wrong() && now_ms.saturating_sub(last.at_ms) < younger_ms
        };
        if known.as_ref().is_some_and(is_worse) {
            return None;
        }
        serde_json::to_string(&Last { at_ms: now_ms, report }).ok()
    };
    states.change(&format!("{NAME_PREFIX}{}/{}", key.tenant, key.collection), Box::new(change)).await
}

/// The last results of all collections of all tenants that were audited.
pub async fn all(states: &dyn SharedStates) -> Result<Vec<Last>, Fault> {
    let named = states.named(NAME_PREFIX).await?;
    Ok(named.into_iter().filter_map(|(_, state)| serde_json::from_str(&state).ok()).collect())
}

/// The last result of each of a tenant's collections that was audited, by name.
pub async fn last(states: &dyn SharedStates, tenant: &str) -> Result<Vec<(String, Last)>, Fault> {
    let prefix = format!("{NAME_PREFIX}{tenant}/");
    let named = states.named(&prefix).await?;
    Ok(named
        .into_iter()
        .filter_map(|(name, state)| {
            Some((name.strip_prefix(&prefix)?.to_owned(), serde_json::from_str(&state).ok()?))
        })
        .collect())
}
