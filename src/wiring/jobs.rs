//! Work on whole collections, as commands and the clock ask for it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::roles::Duties;
use super::{Stack, lasting};
use crate::config::{AuditConfig, Config};
use crate::domain::ids::CollectionKey;
use crate::fault::{Fault, Refusal};
use crate::ingest::{Stages, housekeeping};
use crate::jobs::audit::schedule::{self, Last, Plan};
use crate::jobs::audit::{self, Audited, Pace, Progress, Report};
use crate::jobs::repair::{self, Repaired};
use crate::ports::catalog::{Catalog, OpenCollection};

/// Time before what looks wrong is looked at again.
const PAUSE: Duration = Duration::from_millis(500);
/// The same where an index follows the ledger, which it looks at every 200 ms.
const PAUSE_FOLLOWING: Duration = Duration::from_secs(2);
/// Versions that one repair sends on their way again.
const REQUEUED_MAX: usize = 100_000;

/// Starts audits by the clock, in a process that lasts and holds indexes.
pub(super) fn start(
    stages: &Arc<Stages>,
    config: &Config,
    duties: &Duties,
    stop: &watch::Sender<bool>,
) -> Option<JoinHandle<()>> {
    let AuditConfig { interval, entries_per_second_max } = config.audit;
    let interval = interval.filter(|_| duties.follow_all)?;
    let plan = Plan { interval, pace: pace(entries_per_second_max, duties.shared) };
    let stages = stages.clone();
    Some(lasting::spawn("audit", stop, move |stop| schedule::run(stages.clone(), plan, stop)))
}

pub(super) fn pace(entries_per_second: u32, shared: bool) -> Pace {
    Pace { entries_per_second, pause: if shared { PAUSE_FOLLOWING } else { PAUSE } }
}

/// Compares a collection's stores with the ledger, and keeps the result for `status`.
pub(super) async fn audited(
    stages: &Stages,
    open: &Arc<OpenCollection>,
    pace: Pace,
    shown_max: usize,
    show: impl FnMut(Progress) + Send,
) -> Result<Audited, Fault> {
    let audited = audit::run(stages, open, pace, shown_max, show).await?;
    schedule::keep(&*stages.states, &open.record.key, audited.report, Duration::ZERO).await?;
    Ok(audited)
}

/// Mends a collection's stores, and keeps what is left for `status`.
pub(super) async fn repaired(
    stages: &Stages,
    open: &Arc<OpenCollection>,
    show: impl FnMut(Progress, u64) + Send,
) -> Result<Repaired, Fault> {
    let repaired = repair::run(stages, open, show).await?;
    let left = Report { documents: repaired.found.documents, missing: repaired.failed, ..Report::default() };
    schedule::keep(&*stages.states, &open.record.key, left, Duration::ZERO).await?;
    Ok(repaired)
}

impl Stack {
    /// Compares a collection's stores with the ledger, and keeps the result for `status`. Where nobody else
    /// works with the ledger it goes as fast as it can.
    pub async fn audit(
        &self,
        collection: &CollectionKey,
        config: AuditConfig,
        shown_max: usize,
        show: impl FnMut(Progress) + Send,
    ) -> Result<Audited, Refusal> {
        let open = self.opened(collection).await?;
        let entries_per_second = if self.shared { config.entries_per_second_max } else { 0 };
        let pace = pace(entries_per_second, self.shared);
        Ok(audited(&self.stages, &open, pace, shown_max, show).await?)
    }

    /// Mends a collection's stores, and keeps what is left for `status`.
    pub async fn repair(
        &self,
        collection: &CollectionKey,
        show: impl FnMut(Progress, u64) + Send,
    ) -> Result<Repaired, Refusal> {
        let open = self.opened(collection).await?;
        Ok(repaired(&self.stages, &open, show).await?)
    }

    /// Sends versions in flight again whose messages are lost; returns how many.
    pub async fn requeue(&self) -> Result<usize, Refusal> {
        Ok(housekeeping::requeue_lost_now(&self.stages, REQUEUED_MAX).await?)
    }

    /// The last audits of the local tenant's collections, by name.
    pub async fn last_audits(&self) -> Result<Vec<(String, Last)>, Refusal> {
        Ok(schedule::last(&*self.stages.states, self.principal.tenant().as_str()).await?)
    }

    async fn opened(&self, collection: &CollectionKey) -> Result<Arc<OpenCollection>, Refusal> {
        let open = self.catalog.open(collection).await?;
        Ok(open.ok_or_else(|| Fault::transient("a collection is gone that was there a moment ago"))?)
    }
}
