//! Audits by the clock, and where their results stay.

use std::sync::Arc;
use std::time::Duration;

use contexture_adapters::memory::shared_states::MemorySharedStates;
use contexture_core::jobs::audit::schedule::{self, AuditSchedule, LastAuditResult};
use contexture_core::jobs::audit::{AuditPace, AuditReport};
use contexture_core::jobs::collection_states::forget_collection_states;
use contexture_core::jobs::question_sampler::{QuestionSampler, sampled_questions};
use contexture_core::ports::clock::SystemClock;
use contexture_core::ports::shared_states::SharedStateStore;
use tokio::sync::watch;

use super::PACE;
use crate::support::clock::ManualClock;
use crate::support::site::{PATIENCE, SingleProcessSite, SiteEngines, text};
use crate::support::{TENANT, collection, document};

async fn last(site: &SingleProcessSite) -> Option<AuditReport> {
    let named = schedule::tenant_audit_results(&*site.engines.states, TENANT).await.unwrap();
    named.into_iter().find(|(name, _)| name == "home").map(|(_, last)| last.report)
}

async fn until(site: &SingleProcessSite, what: impl Fn(&AuditReport) -> bool) -> AuditReport {
    let looking = async {
        loop {
            match last(site).await {
                Some(report) if what(&report) => return report,
                _ => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
    };
    tokio::time::timeout(PATIENCE, looking).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn audits_run_by_the_clock_and_stop_when_told() {
    let mut site = SingleProcessSite::open(SiteEngines::memory(Arc::new(SystemClock)), false).await;
    site.work();
    site.put("doc", &text("doc", 1)).await;
    site.settled().await;
    let stop = watch::Sender::new(false);
    let plan = AuditSchedule { interval: Duration::from_millis(30), pace: PACE };
    let running = tokio::spawn(schedule::run_scheduled_audits(site.stages.clone(), plan, stop.subscribe()));
    assert_eq!(until(&site, |_| true).await, AuditReport { documents: 1, ..AuditReport::default() });
    site.engines.lexical.remove(vec![document("doc")]).await.unwrap();
    assert_eq!(until(&site, |report| report.wrong() > 0).await.missing, 1);
    assert!(site.open.is_incomplete());
    super::repair(&site).await;
    until(&site, |report| report.wrong() == 0).await;
    assert!(!site.open.is_incomplete());
    stop.send_replace(true);
    tokio::time::timeout(PATIENCE, running).await.unwrap().unwrap();
    site.rest().await;
}

/// Each process audits an index of its own: a whole one does not hide the drift of another.
#[tokio::test]
async fn worst_result_of_an_interval_stays() {
    let clock = Arc::new(ManualClock::new());
    let states = MemorySharedStates::new(clock.clone());
    let (hour, home) = (Duration::from_hours(1), collection(TENANT, "home"));
    let bad = AuditReport { documents: 3, missing: 2, ..AuditReport::default() };
    let good = AuditReport { documents: 3, ..AuditReport::default() };
    let last = async || schedule::tenant_audit_results(&states, TENANT).await.unwrap();
    schedule::store_audit_result(&states, &home, bad, hour).await.unwrap();
    schedule::store_audit_result(&states, &collection("others", "home"), bad, hour).await.unwrap();
    clock.advance(hour / 2);
    schedule::store_audit_result(&states, &home, good, hour).await.unwrap();
    let kept = LastAuditResult { at_ms: ManualClock::START_MS, report: bad };
    assert_eq!(last().await, [("home".to_owned(), kept)]);
    schedule::store_audit_result(&states, &home, good, Duration::ZERO).await.unwrap();
    assert_eq!(last().await[0].1.report, good, "a repair has the last word");
    schedule::store_audit_result(&states, &home, bad, hour).await.unwrap();
    clock.advance(hour);
    schedule::store_audit_result(&states, &home, good, hour).await.unwrap();
    assert_eq!(last().await[0].1.report, good, "and so has the next interval");
}

/// So many documents a second, and no more.
#[tokio::test(start_paused = true)]
async fn an_audit_keeps_its_pace() {
    let site = SingleProcessSite::open(SiteEngines::memory(Arc::new(SystemClock)), false).await;
    for number in 0..100 {
        let id = format!("doc {number}");
        site.put(&id, &text(&id, 1)).await;
    }
    let mut site = site;
    site.work();
    site.settled().await;
    site.rest().await;
    let points = site.points().await.len();
    let began = tokio::time::Instant::now();
    let pace = AuditPace { entries_per_second: 50, ..PACE };
    let audited = contexture_core::jobs::audit::audit_collection(&site.stages, &site.open, pace, 0, |_| {})
        .await
        .unwrap();
    assert_eq!(audited.report.documents, 100);
    let seconds = began.elapsed().as_secs_f64();
    let expected = f64::from(u32::try_from(200 + points).unwrap()) / 50.0;
    assert!((expected..expected + 2.0).contains(&seconds), "{seconds} s for {expected} s");
}

/// What is kept of a collection goes with it, and nothing of another one.
#[tokio::test]
async fn states_of_a_collection_are_forgotten() {
    let states = Arc::new(MemorySharedStates::new(Arc::new(ManualClock::new())));
    let (gone, kept) = (collection(TENANT, "notes"), collection(TENANT, "notes2"));
    let sampler = QuestionSampler::new(states.clone(), 10);
    for key in [&gone, &kept] {
        sampler.note(key, "why");
        schedule::store_audit_result(&*states, key, AuditReport::default(), Duration::ZERO).await.unwrap();
    }
    sampler.store().await.unwrap();
    sampler.note(&gone, "still waiting");
    sampler.forget(&gone);
    forget_collection_states(&*states, &gone).await.unwrap();
    sampler.store().await.unwrap();
    assert_eq!(sampled_questions(&*states, &gone).await.unwrap(), [] as [&str; 0]);
    assert_eq!(sampled_questions(&*states, &kept).await.unwrap(), ["why"]);
    let audited = schedule::tenant_audit_results(&*states, TENANT).await.unwrap();
    assert_eq!(audited.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["notes2"]);
    let before = states.named("").await.unwrap();
    forget_collection_states(&*states, &collection(TENANT, "never")).await.unwrap();
    assert_eq!(states.named("").await.unwrap(), before, "nothing is written of one that left nothing");
}
