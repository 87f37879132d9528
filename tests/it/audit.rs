//! Audit and repair: what is lost is found, exactly that, and mended; traffic is no alarm.

mod damage;
mod explained;
mod load;
mod queues;
mod schedule;
mod staged;

use std::time::Duration;

use contexture::jobs::audit::{self, Audited, Pace, Report};
use contexture::jobs::repair::{self, Repaired};

use crate::support::site::Site;

/// Without a limit, and with a short pause before suspects are looked at again.
const PACE: Pace = Pace { entries_per_second: 0, pause: Duration::from_millis(20) };

async fn audit(site: &Site) -> Audited {
    audit::run(&site.stages, &site.open, PACE, 1000, |_| {}).await.unwrap()
}

async fn report(site: &Site) -> Report {
    audit(site).await.report
}

async fn repair(site: &Site) -> Repaired {
    repair::run(&site.stages, &site.open, |_, _| {}).await.unwrap()
}

fn clean(documents: u64) -> Report {
    Report { documents, ..Report::default() }
}
