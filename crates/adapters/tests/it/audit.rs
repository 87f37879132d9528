//! Audit and repair: what is lost is found, exactly that, and mended; traffic is no alarm.

mod damage;
mod explained;
mod load;
mod queues;
mod schedule;
mod staged;

use std::time::Duration;

use contexture_core::jobs::audit::{self, AuditOutcome, AuditPace, AuditReport};
use contexture_core::jobs::repair::{self, RepairOutcome};

use crate::support::site::SingleProcessSite;

/// Without a limit, and with a short pause before suspects are looked at again.
const PACE: AuditPace = AuditPace { entries_per_second: 0, pause: Duration::from_millis(20) };

async fn audit(site: &SingleProcessSite) -> AuditOutcome {
    audit::audit_collection(&site.stages, &site.open, PACE, 1000, |_| {}).await.unwrap()
}

async fn report(site: &SingleProcessSite) -> AuditReport {
    audit(site).await.report
}

async fn repair(site: &SingleProcessSite) -> RepairOutcome {
    repair::repair_collection(&site.stages, &site.open, |_, _| {}).await.unwrap()
}

fn clean(documents: u64) -> AuditReport {
    AuditReport { documents, ..AuditReport::default() }
}
