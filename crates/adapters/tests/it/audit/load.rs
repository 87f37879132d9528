//! Audits and repairs while documents come, change and go: no false alarm, no harm.
//!
//! `CONTEXTURE_AUDIT_FACTOR` multiplies the changes: 100 makes minutes of them.

use std::sync::Arc;
use std::time::Duration;

use contexture_core::jobs::audit::AuditReport;
use contexture_core::ports::clock::SystemClock;

use super::{audit, clean, repair, report};
use crate::support::site::{SingleProcessSite, SiteEngines, text};

/// Documents that stay as they are.
const STILL: usize = 60;
/// Documents that are changed all the time.
const BUSY: usize = 30;

/// Changes or deletes a document, as the number says.
async fn change(site: &SingleProcessSite, number: usize) {
    let id = format!("busy {}", number * 7 % BUSY);
    if number % 5 == 3 { site.delete(&id).await } else { site.put(&id, &text(&id, number)).await }
}

async fn filled(engines: SiteEngines) -> SingleProcessSite {
    let mut site = SingleProcessSite::open(engines, false).await;
    site.work();
    for number in 0..STILL {
        site.put(&format!("still {number}"), &text(&format!("still {number}"), 1)).await;
    }
    site.settled().await;
    site
}

async fn traffic_is_no_alarm(engines: SiteEngines, usual: usize) {
    let factor = std::env::var("CONTEXTURE_AUDIT_FACTOR").map_or(1, |factor| factor.parse().unwrap());
    let changes: usize = usual * factor;
    let mut site = filled(engines).await;
    let mut traffic = Box::pin(async {
        for number in 0..changes {
            change(&site, number).await;
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
    let (mut audits, mut compared) = (0, 0);
    loop {
        let auditing = audit(&site);
        tokio::pin!(auditing);
        let mut ended = false;
        let audited = loop {
            tokio::select! {
                () = &mut traffic, if !ended => ended = true,
                audited = &mut auditing => break audited,
            }
        };
        let AuditReport { documents, unsettled, .. } = audited.report;
        assert_eq!(audited.report, AuditReport { unsettled, ..clean(documents) }, "{:?}", audited.findings);
        assert!(documents >= STILL as u64);
        audits += 1;
        compared += documents;
        if ended {
            break;
        }
    }
    drop(traffic);
    println!("{audits} audits of {compared} documents beside {changes} changes");
    let counts = site.settled().await;
    assert_eq!(counts.dead, 0);
    assert_eq!(report(&site).await, clean(counts.documents));
    site.rest().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn traffic_is_no_alarm_in_memory() {
    traffic_is_no_alarm(SiteEngines::memory(Arc::new(SystemClock)), 1500).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn traffic_is_no_alarm_in_the_embedded_engines() {
    traffic_is_no_alarm(SiteEngines::embedded().await, 600).await;
}

#[cfg(all(feature = "postgres", feature = "qdrant"))]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn traffic_is_no_alarm_on_servers() {
    traffic_is_no_alarm(SiteEngines::servers().await, 400).await;
}

/// Repairs run beside the traffic, of stores that lose points meanwhile: in the end all is well.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn repairs_beside_traffic_do_no_harm() {
    let mut site = filled(SiteEngines::memory(Arc::new(SystemClock))).await;
    let traffic = async {
        for number in 0..800 {
            change(&site, number).await;
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let repairs = async {
        let mut mended = 0;
        for _ in 0..25 {
            let points = site.points().await;
            let lost = points.iter().step_by(20).map(|point| point.id).collect();
            site.engines.vectors.delete(lost).await.unwrap();
            let repaired = repair(&site).await;
            assert_eq!(repaired.failed, 0);
            mended += repaired.mended;
        }
        mended
    };
    let ((), mended) = tokio::join!(traffic, repairs);
    assert!(mended > 0);
    let counts = site.settled().await;
    assert_eq!(counts.dead, 0);
    // What was lost of documents on the move is mended now.
    repair(&site).await;
    assert_eq!(report(&site).await, clean(counts.documents), "{mended} mended");
    site.rest().await;
}
