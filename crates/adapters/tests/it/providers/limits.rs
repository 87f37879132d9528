//! The limiter that all callers of a credential share.

use std::sync::Arc;
use std::time::Duration;

use contexture_core::fault::Fault;
use contexture_core::ports::clock::WallClock;
use contexture_core::ports::embedder::TurnDeadline;
use contexture_core::resilience::limiter::{self, ProviderLimiter, UNWELL_WAIT_MAX};
use contexture_core::resilience::quota::{
    CredentialQuota, LEASE_SLACK_MS, PARKED_MS, RATE_DEBT_MS_MAX, RETRY_AFTER_MS_MAX,
};
use contexture_core::resilience::quota_protocol::{
    AdvertisedLimits, CallOutcome, ProviderLimits, TurnDecision, TurnRequest, WaitReason,
};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::support::providers::ProviderSetup;

fn per_minute(requests: u32, calls_max: u32) -> ProviderLimits {
    ProviderLimits { requests_per_minute: Some(requests), tokens_per_minute: None, calls_max }
}

/// Calls that take `call` each, from `callers` callers of each limiter, until `until`; returns when
/// each began, in ms.
async fn calls(
    limiters: &[Arc<ProviderLimiter>],
    callers: usize,
    call: Duration,
    until: Duration,
) -> Vec<u128> {
    let began = Instant::now();
    let mut running = JoinSet::new();
    for limiter in limiters.iter().flat_map(|limiter| std::iter::repeat_n(limiter, callers)) {
        let limiter = limiter.clone();
        running.spawn(async move {
            let mut times = Vec::new();
            while began.elapsed() < until {
                let lease = limiter.acquire(10, &TurnDeadline::never()).await.unwrap();
                times.push(began.elapsed().as_millis());
                tokio::time::sleep(call).await;
                limiter.report(lease, CallOutcome::Served(None), AdvertisedLimits::default()).await.unwrap();
            }
            times
        });
    }
    let mut times = running.join_all().await.concat();
    times.sort_unstable();
    times
}

fn processes(count: usize, limits: ProviderLimits) -> Vec<Arc<ProviderLimiter>> {
    let setup = ProviderSetup { limits, ..ProviderSetup::new() };
    let states = setup.states.clone();
    (0..count)
        .map(|number| {
            let one = ProviderSetup { holder: format!("process {number}"), limits, ..ProviderSetup::new() };
            ProviderSetup { states: states.clone(), clock: setup.clock.clone(), ..one }.limiter()
        })
        .collect()
}

#[tokio::test(start_paused = true)]
async fn four_processes_share_one_rate_and_use_it_up() {
    let limiters = processes(4, per_minute(600, 16));
    let times = calls(&limiters, 4, Duration::from_millis(80), Duration::from_mins(2)).await;
    let minute = |from: u128| times.iter().filter(|at| (from..from + 60_000).contains(*at)).count();
    for from in [0, 7_000, 30_000, 59_000] {
        let calls = minute(from);
        assert!((570..=604).contains(&calls), "{calls} in the minute from {from} ms");
    }
}

#[tokio::test(start_paused = true)]
async fn one_of_four_that_has_work_gets_it_all() {
    let limiters = processes(4, per_minute(600, 16));
    calls(&limiters, 2, Duration::from_millis(80), Duration::from_secs(5)).await;
    let times = calls(&limiters[..1], 8, Duration::from_millis(80), Duration::from_mins(1)).await;
    assert!(times.len() >= 570, "{}", times.len());
}

#[tokio::test(start_paused = true)]
async fn tokens_are_paced_like_requests_and_corrected() {
    let limits = ProviderLimits { requests_per_minute: None, tokens_per_minute: Some(60_000), calls_max: 8 };
    let limiter = ProviderSetup { limits, ..ProviderSetup::new() }.limiter();
    let began = Instant::now();
    for _ in 0..10 {
        // A thousand are expected, and a hundred used: a second each becomes a tenth.
        let lease = limiter.acquire(1000, &TurnDeadline::never()).await.unwrap();
        limiter.report(lease, CallOutcome::Served(Some(100)), AdvertisedLimits::default()).await.unwrap();
    }
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    for _ in 0..10 {
        let lease = limiter.acquire(1000, &TurnDeadline::never()).await.unwrap();
        limiter.report(lease, CallOutcome::Served(None), AdvertisedLimits::default()).await.unwrap();
    }
    let took = began.elapsed();
    assert!((Duration::from_secs(8)..Duration::from_secs(12)).contains(&took), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn who_dies_gives_its_place_back() {
    let limits = ProviderLimits { requests_per_minute: None, tokens_per_minute: None, calls_max: 2 };
    let setup = ProviderSetup { limits, call_max: Duration::from_secs(10), ..ProviderSetup::new() };
    let limiter = setup.limiter();
    // Two that are never reported: their process is gone.
    limiter.acquire(1, &TurnDeadline::never()).await.unwrap();
    limiter.acquire(1, &TurnDeadline::never()).await.unwrap();
    let began = Instant::now();
    limiter.acquire(1, &TurnDeadline::never()).await.unwrap();
    let waited = began.elapsed();
    assert!((Duration::from_secs(14)..Duration::from_secs(17)).contains(&waited), "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn window_falls_when_throttled_and_grows_back() {
    let limits = ProviderLimits { requests_per_minute: None, tokens_per_minute: None, calls_max: 16 };
    let limiter = ProviderSetup { limits, ..ProviderSetup::new() }.limiter();
    let window = |limiter: &ProviderLimiter| limiter.status().unwrap().window;
    calls(std::slice::from_ref(&limiter), 16, Duration::from_millis(50), Duration::from_secs(20)).await;
    assert_eq!(window(&limiter), 16);
    for expected in [8, 4, 2, 1, 1] {
        let lease = limiter.acquire(1, &TurnDeadline::never()).await.unwrap();
        limiter.report(lease, CallOutcome::Throttled(Some(1200)), AdvertisedLimits::default()).await.unwrap();
        assert_eq!(window(&limiter), expected);
    }
    calls(std::slice::from_ref(&limiter), 16, Duration::from_millis(50), Duration::from_secs(20)).await;
    assert_eq!(window(&limiter), 16);
}

#[tokio::test(start_paused = true)]
async fn waits_without_a_hint_grow_and_are_spread() {
    let limiter = ProviderSetup::new().limiter();
    let mut waits = Vec::new();
    for _ in 0..10 {
        let lease = loop {
            match limiter.acquire(1, &TurnDeadline::never()).await {
                Ok(lease) => break lease,
                Err(Fault::Throttled { retry_after, .. }) => tokio::time::sleep(retry_after).await,
                Err(other) => panic!("{other}"),
            }
        };
        limiter.report(lease, CallOutcome::Throttled(None), AdvertisedLimits::default()).await.unwrap();
        waits.push(limiter.status().unwrap().wait_ms);
    }
    for (doublings, wait_ms) in waits.iter().enumerate() {
        let most_ms = (1000 << doublings).min(60_000);
        assert!((most_ms / 2..=most_ms).contains(wait_ms), "{waits:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn others_see_why_one_waits() {
    let limiters = processes(2, per_minute(600, 16));
    let lease = limiters[0].acquire(1, &TurnDeadline::never()).await.unwrap();
    limiters[0]
        .report(lease, CallOutcome::Throttled(Some(300_000)), AdvertisedLimits::default())
        .await
        .unwrap();
    let began = Instant::now();
    assert!(matches!(limiters[1].acquire(1, &TurnDeadline::never()).await, Err(Fault::Throttled { .. })));
    assert!(began.elapsed() < UNWELL_WAIT_MAX);
    let waiting = limiters[1].clone();
    let parked = tokio::spawn(async move { waiting.until_open().await });
    tokio::time::sleep(Duration::from_secs(2)).await;
    limiters[0].refresh().await.unwrap();
    let standing = limiters[0].status().unwrap();
    assert_eq!(standing.waiting, 1);
    assert!((290_000..=300_000).contains(&standing.wait_ms), "{}", standing.wait_ms);
    tokio::time::sleep(Duration::from_mins(5)).await;
    parked.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn retries_have_a_budget() {
    let limiter = ProviderSetup::new().limiter();
    let mut taken = 0;
    let fault = loop {
        match limiter.begin_retry().await {
            Ok(()) => taken += 1,
            Err(fault) => break fault,
        }
    };
    assert_eq!(taken, 100);
    assert!(matches!(fault, Fault::Throttled { .. }), "{fault}");
    tokio::time::sleep(Duration::from_secs(5)).await;
    limiter.begin_retry().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_wait_for_a_turn_ends_at_its_deadline_and_when_the_process_stops() {
    let limiter = ProviderSetup { limits: per_minute(1, 16), ..ProviderSetup::new() }.limiter();
    limiter.acquire(1, &TurnDeadline::never()).await.unwrap();
    let stop = watch::Sender::new(false);
    let began = Instant::now();
    let deadline = TurnDeadline::new(began + Duration::from_secs(7), stop.subscribe());
    let Fault::Throttled { retry_after, .. } = limiter.acquire(1, &deadline).await.unwrap_err() else {
        panic!()
    };
    assert_eq!((began.elapsed(), retry_after), (Duration::from_secs(7), TurnDeadline::AGAIN));

    let deadline = TurnDeadline::new(began + Duration::from_mins(5), stop.subscribe());
    let waiting = tokio::spawn(async move { limiter.acquire(1, &deadline).await });
    tokio::time::sleep(Duration::from_secs(3)).await;
    stop.send_replace(true);
    let stopped = Instant::now();
    assert!(matches!(waiting.await.unwrap(), Err(Fault::Throttled { .. })));
    assert!(stopped.elapsed() < Duration::from_millis(10), "{:?}", stopped.elapsed());
}

const LATE_MS: u64 = 1_000_000_000_000;
/// The clock is set back by a day.
const EARLY_MS: u64 = LATE_MS - 24 * 60 * 60 * 1000;
const CALL_MS: u64 = 30_000;

/// Until when a quota lets nobody call, asked at a time.
fn waits_until(quota: &mut CredentialQuota, limits: &ProviderLimits, now_ms: u64) -> Option<u64> {
    let ask = TurnRequest { holder: "one", waiting: 1, tokens: 1, call_max_ms: CALL_MS };
    match quota.request_turn(limits, &ask, 0, now_ms) {
        TurnDecision::Go { .. } => None,
        TurnDecision::Wait(wait) => Some(wait.until_ms),
    }
}

fn ended(quota: &mut CredentialQuota, limits: &ProviderLimits, ended: &CallOutcome) {
    let lease = quota.record_unasked_call(limits, 1, LATE_MS);
    quota.report(limits, lease, ended, &AdvertisedLimits::default(), 0, LATE_MS);
}

#[test]
fn a_clock_set_back_holds_nobody_longer_than_the_wait_itself() {
    let none = ProviderLimits { requests_per_minute: None, tokens_per_minute: None, calls_max: 1 };
    let waits = |ends: &[CallOutcome]| {
        let mut quota = CredentialQuota::default();
        for end in ends {
            ended(&mut quota, &none, end);
        }
        assert!(waits_until(&mut quota.clone(), &none, LATE_MS).is_some());
        waits_until(&mut quota, &none, EARLY_MS).map(|until_ms| until_ms - EARLY_MS)
    };
    assert_eq!(waits(&[CallOutcome::Throttled(Some(RETRY_AFTER_MS_MAX))]), Some(RETRY_AFTER_MS_MAX));
    assert_eq!(waits(&[CallOutcome::Parked("no".to_owned())]), Some(PARKED_MS));
    let failed = CallOutcome::Failed { words: "down".to_owned(), late: false };
    assert!(waits(&vec![failed; 5]).unwrap() <= 60_000);

    let slow = ProviderLimits { tokens_per_minute: Some(60), ..none };
    let mut quota = CredentialQuota::default();
    quota.record_unasked_call(&slow, 1_000_000, LATE_MS);
    let until_ms = waits_until(&mut quota, &ProviderLimits { calls_max: 16, ..slow }, EARLY_MS).unwrap();
    assert!(until_ms - EARLY_MS <= RATE_DEBT_MS_MAX, "{until_ms}");

    // Whoever had the only place is gone.
    let mut quota = CredentialQuota::default();
    assert_eq!(waits_until(&mut quota, &none, LATE_MS), None);
    assert!(waits_until(&mut quota, &none, EARLY_MS).is_some());
    let gone = EARLY_MS + CALL_MS + LEASE_SLACK_MS;
    assert!(waits_until(&mut quota.clone(), &none, gone - 1).is_some());
    assert_eq!(waits_until(&mut quota, &none, gone), None);
}

#[test]
fn a_clock_set_back_does_not_stop_budget_and_window() {
    let limits = ProviderLimits { requests_per_minute: None, tokens_per_minute: None, calls_max: 16 };
    let mut quota = CredentialQuota::default();
    while quota.begin_retry(LATE_MS).is_ok() {}
    quota.expire(EARLY_MS);
    assert!(quota.begin_retry(EARLY_MS).is_err());
    assert!(quota.begin_retry(EARLY_MS + 5_000).is_ok(), "a retry comes back in five seconds");

    let late = CallOutcome::Failed { words: String::new(), late: true };
    ended(&mut quota, &limits, &late);
    assert_eq!(quota.status(&limits, LATE_MS).window, 2);
    quota.expire(EARLY_MS);
    let lease = quota.record_unasked_call(&limits, 1, EARLY_MS + 2_000);
    quota.report(&limits, lease, &late, &AdvertisedLimits::default(), 0, EARLY_MS + 2_000);
    assert_eq!(quota.status(&limits, EARLY_MS).window, 1);
    quota.note_waiting("gone", 3, LATE_MS);
    quota.expire(EARLY_MS);
    assert_eq!(quota.status(&limits, EARLY_MS + 5_000).waiting, 0);
}

/// Time as a person sets it.
struct SettableClock(std::sync::atomic::AtomicU64);

impl WallClock for SettableClock {
    fn now_ms(&self) -> u64 {
        self.0.load(std::sync::atomic::Ordering::SeqCst)
    }
}

#[tokio::test(start_paused = true)]
async fn a_clock_set_back_does_not_shut_questions_out() {
    let clock = Arc::new(SettableClock(LATE_MS.into()));
    let limiter = ProviderSetup { clock: clock.clone(), ..ProviderSetup::new() }.limiter();
    limiter.park("no".to_owned()).await.unwrap();
    assert!(limiter.check_query().is_err() && !limiter.is_open());
    clock.0.store(EARLY_MS, std::sync::atomic::Ordering::SeqCst);
    assert!(limiter.check_query().is_ok(), "one finds out");
}

#[tokio::test(start_paused = true)]
async fn a_status_goes_by_the_time_of_the_store() {
    let setup = ProviderSetup::new();
    let limiter = setup.limiter();
    limiter.park("no".to_owned()).await.unwrap();
    let known = [("other", setup.limits), ("scripted", setup.limits)];
    let standings = limiter::read_quota_statuses(&*setup.states, &known).await.unwrap();
    assert_eq!(standings.len(), 1);
    let (name, standing) = &standings[0];
    assert_eq!(
        (name.as_str(), standing.why, standing.wait_ms),
        ("scripted", Some(WaitReason::Parked), PARKED_MS)
    );
    tokio::time::sleep(Duration::from_secs(10)).await;
    let standings = limiter::read_quota_statuses(&*setup.states, &known).await.unwrap();
    assert_eq!(standings[0].1.wait_ms, PARKED_MS - 10_000);
}

#[tokio::test(start_paused = true)]
async fn who_says_that_nothing_is_left_is_left_alone_without_a_limit_per_minute() {
    let limiter = ProviderSetup::new().limiter();
    let lease = limiter.acquire(1, &TurnDeadline::never()).await.unwrap();
    let told = AdvertisedLimits { no_requests_ms: Some(90_000), ..AdvertisedLimits::default() };
    limiter.report(lease, CallOutcome::Served(None), told).await.unwrap();
    let fault = limiter.acquire(1, &TurnDeadline::never()).await.unwrap_err();
    let Fault::Throttled { retry_after, .. } = fault else { panic!("{fault}") };
    assert!(retry_after > Duration::from_secs(85), "{retry_after:?}");
    tokio::time::sleep(retry_after).await;
    limiter.acquire(1, &TurnDeadline::never()).await.unwrap();
}
